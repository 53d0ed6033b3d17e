#ifndef SHARED_H
#define SHARED_H

extern int sink(const char *text, int value);

static inline __attribute__((noinline)) int in_header(int value)
{
	return sink("header", value);
}

#endif
