/* flags-x86_64: -fjump-tables -mindirect-branch=keep */
/* A switch compiled to an indirect jump, its cases of different depth. */
extern long jump_sink(long value);
extern long jump_many(long a, long b, long c, long d, long e, long f, long g, long h, long i,
		      long j);
extern void jump_fill(void *buffer);

long jump_table(int which, long a)
{
	switch (which) {
	case 0:
		return jump_sink(a);
	case 1:
		return jump_sink(a + 1) + a;
	case 2:
		return jump_many(a, 2, 3, 4, 5, 6, 7, 8, 9, 10) + 1;
	case 3:
		return jump_sink(a * 3) - 3;
	case 4:
		return jump_sink(a / 5) + 5;
	case 5:
		return jump_sink(a << 3) ^ a;
	case 6: {
		char buffer[120];

		jump_fill(buffer);
		return buffer[3];
	}
	case 7:
		return jump_sink(jump_sink(a));
	default:
		return 0;
	}
}

long jump_computed(int which, long a)
{
	static const void *const labels[] = { &&zero, &&one, &&two };

	goto *labels[which];
zero:
	return jump_sink(a) + 1;
one:
	a = jump_sink(a);
two:
	return jump_many(a, 2, 3, 4, 5, 6, 7, 8, 9, 10) + 2;
}
