extern int early(int), two(int), hot_and_cold(int);

int sink(const char *text, int value)
{
	__asm__ volatile("" : : "r"(text) : "memory");
	return value;
}

__attribute__((cold)) void failed(const char *text)
{
	sink(text, 1);
}

int overridden(int value)
{
	return sink("strong", value);
}

int main(int count)
{
	return early(count) + two(count) + hot_and_cold(count);
}
