/* flags: -fstack-protector-strong */
/* A canary beside the array, and a call that does not return where it is broken. */
extern void protector_fill(void *buffer, unsigned long size);

int protector_array(void)
{
	char buffer[100];

	protector_fill(buffer, sizeof(buffer));
	return buffer[3];
}

int protector_variable(unsigned long size)
{
	char buffer[size];

	protector_fill(buffer, size);
	return buffer[3];
}
