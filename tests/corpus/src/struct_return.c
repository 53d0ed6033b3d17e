/* Structures returned in memory, in registers, and passed by value. */
struct struct_small {
	long a, b;
};

struct struct_big {
	long words[16];
};

extern struct struct_big struct_make(int seed);
extern long struct_take(struct struct_big big);

struct struct_small struct_in_registers(long a)
{
	return (struct struct_small){ a, a + 1 };
}

struct struct_big struct_in_memory(long a)
{
	struct struct_big big = { { a } };

	big.words[15] = a;
	return big;
}

struct struct_big struct_forward(int seed)
{
	return struct_make(seed);
}

long struct_by_value(int seed)
{
	return struct_take(struct_make(seed)) + 1;
}
