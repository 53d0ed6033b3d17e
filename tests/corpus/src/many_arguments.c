/* More arguments than registers: pushed (x86-64) or stored (arm64) before the call. */
extern long many_take(long a, long b, long c, long d, long e, long f, long g, long h, long i,
		      long j, long k);

long many_callee(long a, long b, long c, long d, long e, long f, long g, long h, long i, long j)
{
	return a + b + c + d + e + f + g + h + i + j;
}

long many_caller(long a)
{
	return many_take(a, 2, 3, 4, 5, 6, 7, 8, 9, 10, a + 11) + 1;
}

long many_caller_twice(long a, long b)
{
	long sum = many_take(a, b, 3, 4, 5, 6, 7, 8, 9, 10, b);

	return sum + many_take(b, a, sum, 4, 5, 6, 7, 8, 9, a, 11);
}

long many_nested(long a)
{
	return many_callee(a, 2, 3, 4, 5, 6, many_take(1, 2, 3, 4, 5, 6, a, 8, 9, 10, 11), 8, a, 10)
	       + many_take(a, many_take(1, 2, 3, 4, 5, 6, 7, a, 9, 10, 11), 3, 4, 5, 6, 7, 8, 9, 10, a);
}
