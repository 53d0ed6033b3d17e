/* flags: -fstack-clash-protection */
/* Large frames taken page by page, each page touched; fully unrolled and as a loop. */
extern void clash_fill(void *buffer, unsigned long size);

int clash_two_pages(void)
{
	char buffer[8192];

	clash_fill(buffer, sizeof(buffer));
	return buffer[7];
}

int clash_many_pages(void)
{
	char buffer[400000];

	clash_fill(buffer, sizeof(buffer));
	return buffer[7];
}

int clash_variable(unsigned long size)
{
	char buffer[size];

	clash_fill(buffer, size);
	return buffer[7];
}
