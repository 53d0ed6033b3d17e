/* Functions that end in a call, a trap or a loop: no epilogue. */
extern void noreturn_panic(const char *why) __attribute__((noreturn));

__attribute__((noreturn)) void noreturn_forward(const char *why)
{
	noreturn_panic(why);
}

__attribute__((noreturn)) void noreturn_buffer(int seed)
{
	volatile char buffer[80];

	buffer[seed] = 1;
	noreturn_panic((const char *)buffer);
}

__attribute__((noreturn)) void noreturn_loop(void)
{
	for (;;)
		__asm__ volatile("" ::: "memory");
}

int noreturn_trap(int *p)
{
	if (!p)
		__builtin_trap();
	return *p;
}

int noreturn_in_the_middle(int a, int b)
{
	if (a == 1)
		noreturn_panic("one");
	if (b == 2)
		noreturn_panic("two");
	return a / b;
}
