/* Locals that want more alignment than the stack has: the stack pointer is masked. */
extern void aligned_fill(void *buffer, unsigned long size);

int aligned_32(void)
{
	char buffer[96] __attribute__((aligned(32)));

	aligned_fill(buffer, sizeof(buffer));
	return buffer[1];
}

int aligned_64(int a, int b)
{
	char buffer[200] __attribute__((aligned(64)));

	aligned_fill(buffer, sizeof(buffer));
	return buffer[a] + buffer[b] + a + b;
}

int aligned_page(void)
{
	char buffer[4096] __attribute__((aligned(4096)));

	aligned_fill(buffer, sizeof(buffer));
	return buffer[1];
}

int aligned_and_variable(unsigned long size)
{
	char fixed[64] __attribute__((aligned(64)));
	char buffer[size];

	aligned_fill(fixed, sizeof(fixed));
	aligned_fill(buffer, size);
	return buffer[0] + fixed[1];
}

long aligned_with_stack_arguments(long a, long b, long c, long d, long e, long f, long g, long h,
				  long i)
{
	char fixed[64] __attribute__((aligned(64)));

	aligned_fill(fixed, sizeof(fixed));
	return a + b + c + d + e + f + g + h + i + fixed[1];
}
