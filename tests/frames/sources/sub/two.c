#include "../include/shared.h"

static __attribute__((noinline)) int same(int value)
{
	return sink("two", value + 2);
}

/* The program has another one: this one's symbol goes, its code stays. */
__attribute__((weak)) int overridden(int value)
{
	return sink("weak", value);
}

int two(int value)
{
	return same(value) + in_header(value) + overridden(value);
}
