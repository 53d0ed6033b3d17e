/* What the optimiser makes of static functions: .constprop, .isra and .part clones. */
struct clones_pair {
	long first, second, unused[6];
};

extern long clones_work(long value);
extern struct clones_pair *clones_next(void);

static __attribute__((noinline)) long clones_scaled(long value, long scale)
{
	long sum = 0;

	for (long i = 0; i < value; i++)
		sum += clones_work(i * scale) / scale;
	return sum;
}

static __attribute__((noinline)) long clones_of_pair(struct clones_pair *pair)
{
	return clones_work(pair->first) + clones_work(pair->second);
}

static long clones_rarely(long value)
{
	if (__builtin_expect(value < 0, 1))
		return 0;
	for (long i = 0; i < value; i++) {
		value ^= clones_work(i) + clones_work(value);
		value ^= clones_work(value) * clones_work(i + 1);
	}
	return value;
}

long clones_use(long a)
{
	return clones_scaled(a, 7) + clones_scaled(a + 1, 7) + clones_of_pair(clones_next());
}

long clones_use_again(long a)
{
	return clones_scaled(a, 7) + clones_of_pair(clones_next()) + clones_rarely(a);
}

long clones_use_once_more(long a)
{
	return clones_rarely(a + 1) + clones_rarely(a * 2);
}
