/* not: clang */
/* The builtins that look at, or leave by, somebody else's frame. */
extern long builtin_sink(void *value);
extern void *builtin_buffer[5];

void *builtin_return_address(void)
{
	return __builtin_return_address(0);
}

long builtin_frame_address(void)
{
	return builtin_sink(__builtin_frame_address(0)) + 1;
}

__attribute__((noinline, noreturn)) void builtin_leave(void)
{
	__builtin_longjmp(builtin_buffer, 1);
}

long builtin_land(long a)
{
	if (__builtin_setjmp(builtin_buffer))
		return -1;
	builtin_sink(&a);
	builtin_leave();
}

/* GCC 12 cannot compile this one for arm64 without floating-point registers. */
#if defined(__x86_64__)
extern long builtin_target(long a, long b);

long builtin_apply_all(long a, long b)
{
	void *arguments = __builtin_apply_args();

	__builtin_return(__builtin_apply((void (*)())builtin_target, arguments, 64));
}
#endif
