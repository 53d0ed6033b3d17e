/* Functions split into a hot part and one in .text.unlikely, which may be the deeper one. */
extern void cold_report(const char *why, long a, long b, long c, long d, long e, long f, long g,
			long h) __attribute__((cold));
extern void cold_fill(void *buffer) __attribute__((cold));
extern long cold_work(long value);

long cold_deeper(long a, long b)
{
	if (__builtin_expect(a == b, 0)) {
		cold_report("equal", a, b, 1, 2, 3, 4, 5, 6);
		return -1;
	}
	return a + b;
}

long cold_with_buffer(long a)
{
	if (__builtin_expect(a < 0, 0)) {
		char buffer[300];

		cold_fill(buffer);
		cold_report(buffer, a, a, a, a, a, a, a, a);
		return buffer[0];
	}
	return a * 2;
}

long cold_not_deeper(long a, long b)
{
	char buffer[64];
	long c = cold_work((long)buffer) + cold_work(b);

	if (__builtin_expect(c == 3, 0)) {
		cold_fill(buffer);
		return cold_work(c) + a;
	}
	return a + b + c + buffer[2];
}
