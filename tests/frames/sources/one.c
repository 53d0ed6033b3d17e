#include "include/shared.h"

static __attribute__((noinline)) int same(int value)
{
	return sink("one", value + 1);
}

int early(int value);

/* A clone with a constant argument. */
static __attribute__((noinline)) int scaled(int value, int by)
{
	char room[64];

	room[value & 63] = by;
	return sink(room, value * by);
}

extern __attribute__((cold)) void failed(const char *text);

/* One part in .text, one in .text.unlikely: its entry has ranges. */
int hot_and_cold(int value)
{
	char room[128];

	room[value & 127] = 1;
	if (__builtin_expect(value < 0, 0)) {
		failed(room);
		sink("cold", value);
	}
	return same(value) + in_header(value);
}

/* Also inlined: its entry refers to the one that says where it is declared. */
int
inlined(int value)
{
	return sink("inlined", value) + sink("twice", value);
}

/* A name that stands in the entry itself. */
int f(int value) { return sink("f", value); }

int early(int value)
{
	return scaled(value, 3) + inlined(value) + scaled(value + 1, 3) + f(value);
}
