/* Two names of one address, and one that another file may replace. */
extern long aliases_work(long value);

long aliases_target(long a)
{
	char buffer[24];

	__asm__ volatile("" : : "r"(buffer) : "memory");
	return aliases_work(a) + 1;
}

long aliases_other(long a) __attribute__((alias("aliases_target")));

__attribute__((weak)) long aliases_weak(long a)
{
	return aliases_work(a) + aliases_work(a + 1);
}
