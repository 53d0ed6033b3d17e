/* alloca: with a size known to the compiler, with one that is not, and in a loop. */
extern void alloca_fill(void *buffer, unsigned long size);

int alloca_constant(void)
{
	char *buffer = __builtin_alloca(96);

	alloca_fill(buffer, 96);
	return buffer[0];
}

int alloca_variable(unsigned long size)
{
	char *buffer = __builtin_alloca(size);

	alloca_fill(buffer, size);
	return buffer[0];
}

void alloca_in_loop(int n)
{
	while (n-- > 0)
		alloca_fill(__builtin_alloca(64), 64);
}

int alloca_on_one_path(int n)
{
	char fixed[32];

	alloca_fill(fixed, sizeof(fixed));
	if (n > 4) {
		char *buffer = __builtin_alloca(n);

		alloca_fill(buffer, n);
		return buffer[0];
	}
	return fixed[0];
}
