/* The kernel's random offset of the stack: alloca with a limit that the code shows. */
extern void random_work(void *value);
extern unsigned int random_seed;

void random_offset(unsigned long a)
{
	void *pointer = __builtin_alloca_with_align(random_seed & 0x3FF, 8);

	__asm__ volatile("" : "=r"(pointer) : "0"(pointer));
	random_work((void *)a);
}
