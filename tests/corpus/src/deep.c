/* A chain of calls, saving from none to all of the callee-saved registers. */
extern long deep_sink(long value);

__attribute__((noinline)) long deep_one(long a)
{
	return deep_sink(a) + 1;
}

__attribute__((noinline)) long deep_two(long a, long b)
{
	return deep_one(a) + deep_one(b) + a + b;
}

__attribute__((noinline)) long deep_six(long a, long b, long c, long d, long e, long f)
{
	long sum = deep_two(a, b);

	sum ^= deep_two(c, d) * a;
	sum ^= deep_two(e, f) * b;
	return sum + a + b + c + d + e + f + deep_sink(sum);
}

long deep_recursive(long n)
{
	if (n < 2)
		return n;
	return deep_recursive(n - 1) * 3 + deep_recursive(n - 2) + deep_sink(n);
}
