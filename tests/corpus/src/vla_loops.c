/* Variable-length arrays that come and go with their scope, inside loops. */
extern void vla_loops_fill(void *buffer, unsigned long size);

long vla_loops_nested(unsigned long n, unsigned long m)
{
	long sum = 0;

	for (unsigned long i = 1; i < n; i++) {
		char outer[i];

		vla_loops_fill(outer, i);
		for (unsigned long j = 1; j < m; j++) {
			int inner[j];

			vla_loops_fill(inner, sizeof(inner));
			sum += inner[0] + outer[i - 1];
		}
	}
	return sum;
}

long vla_loops_then_fixed(unsigned long n)
{
	char fixed[256];
	long sum = 0;

	for (unsigned long i = 1; i < n; i++) {
		char scratch[i * 8];

		vla_loops_fill(scratch, sizeof(scratch));
		sum += scratch[0];
	}
	vla_loops_fill(fixed, sizeof(fixed));
	return sum + fixed[9];
}
