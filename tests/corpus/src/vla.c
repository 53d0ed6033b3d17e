/* Variable-length arrays: what the function uses depends on its argument. */
extern void vla_fill(void *buffer, unsigned long size);

int vla_plain(unsigned long size)
{
	char buffer[size];

	vla_fill(buffer, size);
	return buffer[0];
}

int vla_limited(unsigned char size)
{
	int buffer[size + 1];

	vla_fill(buffer, sizeof(buffer));
	return buffer[0];
}

int vla_and_calls(unsigned long size, int a, int b)
{
	char buffer[size];

	vla_fill(buffer, size);
	vla_fill(buffer + a, b);
	return buffer[a] + a + b;
}
