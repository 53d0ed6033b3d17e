/* Functions with an unlikely part, which GCC puts elsewhere as NAME.cold. */
void use(void *p);
int get(int n);
void note(int n) __attribute__((cold));
void die(void) __attribute__((noreturn, cold));

/* The cold part starts at the depth of the whole frame. */
int hot(int a)
{
	char b[200];
	use(b);
	if (__builtin_expect(b[a] == 3, 0)) {
		note(a);
		note(b[2]);
		if (get(7))
			die();
		use(b);
	}
	return get(a);
}

/* Only the cold part has a frame. */
int wrap(int a)
{
	if (__builtin_expect(a < 0, 0)) {
		char b[300];
		note(a);
		use(b);
		note(b[1]);
		return b[2];
	}
	return a + 1;
}

int small(int a)
{
	if (__builtin_expect(a == 9, 0)) {
		note(1);
		die();
	}
	return a;
}
