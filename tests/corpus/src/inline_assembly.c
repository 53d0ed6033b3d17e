/* Inline assembly that moves the stack pointer: GCC's figure leaves these bytes out. */
extern void assembly_sink(unsigned long value);

#if defined(__x86_64__)
#define READ_FLAGS "pushfq\n\tpopq %0"
#define THREE_DEEP "pushq %1\n\tpushq %1\n\tpushq %1\n\tpopq %0\n\tpopq %0\n\tpopq %0"
#define MOVE_BY_IMMEDIATE "subq $32, %%rsp\n\tmovq %1, (%%rsp)\n\tmovq (%%rsp), %0\n\taddq $32, %%rsp"
#define MOVE_BY_LEA "leaq -40(%%rsp), %%rsp\n\tmovq %1, %0\n\tleaq 40(%%rsp), %%rsp"
#else
#define READ_FLAGS "str xzr, [sp, #-16]!\n\tldr %0, [sp], #16"
#define THREE_DEEP                                                                    \
	"stp %1, %1, [sp, #-16]!\n\tstp %1, %1, [sp, #-16]!\n\tstr %1, [sp, #-16]!\n\t" \
	"ldr %0, [sp], #16\n\tldp %0, xzr, [sp], #16\n\tldp %0, xzr, [sp], #16"
#define MOVE_BY_IMMEDIATE "sub sp, sp, #32\n\tstr %1, [sp]\n\tldr %0, [sp]\n\tadd sp, sp, #32"
#define MOVE_BY_LEA "sub sp, sp, #1, lsl #12\n\tmov %0, %1\n\tadd sp, sp, #1, lsl #12"
#endif

unsigned long assembly_read_flags(void)
{
	unsigned long flags;

	__asm__ volatile(READ_FLAGS : "=r"(flags) : : "memory");
	return flags;
}

unsigned long assembly_three_deep(unsigned long value)
{
	unsigned long result;

	__asm__ volatile(THREE_DEEP : "=&r"(result) : "r"(value) : "memory");
	return result;
}

unsigned long assembly_between_calls(unsigned long value)
{
	unsigned long result;

	assembly_sink(value);
	__asm__ volatile(MOVE_BY_IMMEDIATE : "=&r"(result) : "r"(value) : "memory");
	assembly_sink(result);
	return value + result;
}

unsigned long assembly_by_lea(unsigned long value)
{
	unsigned long result;

	assembly_sink(value);
	__asm__ volatile(MOVE_BY_LEA : "=&r"(result) : "r"(value) : "memory");
	return value + result;
}

/* Moved less far than another path of the same function goes: nothing is added. */
unsigned long assembly_not_the_deepest(unsigned long value)
{
	unsigned long flags;

	__asm__ volatile(READ_FLAGS : "=r"(flags) : : "memory");
	if (flags & value) {
		char buffer[256];

		__asm__ volatile("" : : "r"(buffer) : "memory");
		assembly_sink(flags);
	}
	return 0;
}
