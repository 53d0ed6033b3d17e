/* flags-x86_64: -mno-sse */
/* A function that realigns the stack whatever its caller left it at. */
extern void realigned_fill(void *buffer, unsigned long size);

#if defined(__x86_64__)
__attribute__((force_align_arg_pointer))
#endif
int realigned_entry(int a)
{
	char buffer[40];

	realigned_fill(buffer, sizeof(buffer));
	return buffer[a] + a;
}
