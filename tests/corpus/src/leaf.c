/* Functions that call nothing: none, or only a red zone, below the return address. */
int leaf_empty(void)
{
	return 0;
}

int leaf_sum(int a, int b)
{
	return a + b;
}

int leaf_small_array(int index)
{
	volatile char buffer[48] = { 0 };

	return buffer[index];
}

int leaf_beyond_red_zone(int index)
{
	volatile char buffer[200] = { 0 };

	return buffer[index];
}
