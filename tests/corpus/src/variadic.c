/* Variadic functions: the register save area. */
typedef __builtin_va_list variadic_list;

extern int variadic_print(const char *format, variadic_list arguments);

int variadic_forward(const char *format, ...)
{
	variadic_list arguments;
	int result;

	__builtin_va_start(arguments, format);
	result = variadic_print(format, arguments);
	__builtin_va_end(arguments);
	return result;
}

long variadic_sum(int count, ...)
{
	variadic_list arguments;
	long sum = 0;

	__builtin_va_start(arguments, count);
	while (count-- > 0)
		sum += __builtin_va_arg(arguments, long);
	__builtin_va_end(arguments);
	return sum;
}

long variadic_caller(void)
{
	return variadic_sum(9, 1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L) + variadic_forward("%d", 1);
}
