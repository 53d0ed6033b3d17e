/* Frames on either side of the immediates' limits: 4,095 bytes (arm64), 16 MiB (arm64). */
extern void large_fill(void *buffer, unsigned long size);

int large_one_page(void)
{
	char buffer[4096];

	large_fill(buffer, sizeof(buffer));
	return buffer[7];
}

int large_odd(void)
{
	char buffer[69961];

	large_fill(buffer, sizeof(buffer));
	return buffer[7];
}

int large_many_megabytes(void)
{
	char buffer[20000000];

	large_fill(buffer, sizeof(buffer));
	return buffer[7];
}

int large_in_one_branch(int deep)
{
	if (deep) {
		char buffer[1024];

		large_fill(buffer, sizeof(buffer));
		return buffer[7];
	}
	return 0;
}
