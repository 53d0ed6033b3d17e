/* Calls in tail position: the frame is gone before the jump. */
extern long tail_sink(long value);
extern long (*tail_pointer)(long value);

__attribute__((noinline)) long tail_direct(long a)
{
	return tail_sink(a + 1);
}

long tail_after_call(long a)
{
	long b = tail_sink(a);

	return tail_direct(a + b);
}

long tail_indirect(long a)
{
	return tail_pointer(a + 1);
}

long tail_on_one_path(long a, long b)
{
	if (a > b)
		return tail_sink(a);
	a += tail_sink(b) + tail_sink(a);
	return a * b;
}
