/* The early way out has no frame; the prologue comes late, or more than once. */
extern long shrink_work(long value);

long shrink_early_return(long *p)
{
	if (!p)
		return -1;
	return shrink_work(*p) + shrink_work(p[1]) + *p;
}

long shrink_two_exits(long a, long b)
{
	if (a == b)
		return 0;
	if (a > b) {
		long c = shrink_work(a);

		return shrink_work(b) + c + a;
	}
	for (long i = 0; i < b; i++)
		a += shrink_work(i);
	return a;
}
