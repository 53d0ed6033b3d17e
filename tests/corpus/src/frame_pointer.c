/* flags: -fno-omit-frame-pointer */
/* The same shapes with a frame pointer. */
extern void pointer_fill(void *buffer, unsigned long size);
extern long pointer_many(long a, long b, long c, long d, long e, long f, long g, long h, long i);

long pointer_leaf(long a)
{
	return a * 3;
}

long pointer_array(long a, long b)
{
	char buffer[72];

	pointer_fill(buffer, sizeof(buffer));
	return buffer[a] + buffer[b] + a + b;
}

long pointer_pushes(long a)
{
	return pointer_many(a, 2, 3, 4, 5, 6, 7, 8, 9) + a;
}

long pointer_variable(unsigned long size)
{
	char buffer[size];

	pointer_fill(buffer, size);
	return buffer[0];
}
