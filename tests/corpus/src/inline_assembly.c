/* Inline assembly that moves the stack pointer: GCC's figure leaves these bytes out. */
extern void assembly_sink(unsigned long value);

#if defined(__x86_64__)
#define READ_FLAGS "pushfq\n\tpopq %q0"
#define THREE_DEEP "pushq %q1\n\tpushq %q1\n\tpushq %q1\n\tpopq %q0\n\tpopq %q0\n\tpopq %q0"
#define MOVE_BY_IMMEDIATE \
	"subq $32, %%rsp\n\tmovq %q1, (%%rsp)\n\tmovq (%%rsp), %q0\n\taddq $32, %%rsp"
#define MOVE_BY_LEA "leaq -40(%%rsp), %%rsp\n\tmovq %q1, %q0\n\tleaq 40(%%rsp), %%rsp"
#elif defined(__i386__)
#define READ_FLAGS "pushfl\n\tpopl %0"
#define THREE_DEEP "pushl %1\n\tpushl %1\n\tpushl %1\n\tpopl %0\n\tpopl %0\n\tpopl %0"
#define MOVE_BY_IMMEDIATE "subl $32, %%esp\n\tmovl %1, (%%esp)\n\tmovl (%%esp), %0\n\taddl $32, %%esp"
#define MOVE_BY_LEA "leal -40(%%esp), %%esp\n\tmovl %1, %0\n\tleal 40(%%esp), %%esp"
#elif defined(__arm__)
#define READ_FLAGS "push {r0}\n\tmov %0, sp\n\tadd sp, sp, #4"
#define THREE_DEEP "push {%1}\n\tpush {%1}\n\tpush {%1}\n\tpop {%0}\n\tpop {%0}\n\tpop {%0}"
#define MOVE_BY_IMMEDIATE "sub sp, sp, #32\n\tstr %1, [sp]\n\tldr %0, [sp]\n\tadd sp, sp, #32"
#define MOVE_BY_LEA "sub sp, sp, #4096\n\tmov %0, %1\n\tadd sp, sp, #4096"
#elif defined(__mips__)
#if defined(__mips64)
#define MOVE_SP(bytes) "daddiu $sp, $sp, " #bytes "\n\t"
#define MINUS_4096 "li $1, 4096\n\tdsubu $sp, $sp, $1\n\t"
#define PLUS_4096 "\n\tdaddu $sp, $sp, $1"
#else
#define MOVE_SP(bytes) "addiu $sp, $sp, " #bytes "\n\t"
#define MINUS_4096 "li $1, 4096\n\tsubu $sp, $sp, $1\n\t"
#define PLUS_4096 "\n\taddu $sp, $sp, $1"
#endif
#define READ_FLAGS MOVE_SP(-16) "sw $0, 0($sp)\n\tlw %0, 0($sp)\n\t" MOVE_SP(16)
#define THREE_DEEP                                                                     \
	MOVE_SP(-16) MOVE_SP(-16) MOVE_SP(-16) "sw %1, 0($sp)\n\tlw %0, 0($sp)\n\t" \
	MOVE_SP(16) MOVE_SP(16) MOVE_SP(16)
#define MOVE_BY_IMMEDIATE MOVE_SP(-32) "sw %1, 0($sp)\n\tlw %0, 0($sp)\n\t" MOVE_SP(32)
#define MOVE_BY_LEA ".set push\n\t.set noat\n\t" MINUS_4096 "move %0, %1" PLUS_4096 "\n\t.set pop"
#elif defined(__powerpc__)
#if defined(__powerpc64__)
#define STORE_UPDATE "stdu"
#else
#define STORE_UPDATE "stwu"
#endif
#define TAKE(bytes) STORE_UPDATE " 1, -" #bytes "(1)\n\t"
#define GIVE(bytes) "\n\taddi 1, 1, " #bytes
#define READ_FLAGS TAKE(16) "mfcr %0" GIVE(16)
#define THREE_DEEP TAKE(16) TAKE(16) TAKE(16) "mr %0, %1" GIVE(16) GIVE(16) GIVE(16)
#define MOVE_BY_IMMEDIATE TAKE(32) "mr %0, %1" GIVE(32)
#define MOVE_BY_LEA "li %0, -4096\n\t" STORE_UPDATE "x 1, 1, %0\n\tmr %0, %1" GIVE(4096)
#elif defined(__s390x__)
#define READ_FLAGS "aghi %%r15, -16\n\tipm %0\n\taghi %%r15, 16"
#define THREE_DEEP                                                                        \
	"lay %%r15, -16(%%r15)\n\tagfi %%r15, -16\n\taghik %%r15, %%r15, -16\n\tlgr %0, %1\n\t" \
	"la %%r15, 16(%%r15)\n\talgfi %%r15, 16\n\tlay %%r15, 16(%%r15)"
#define MOVE_BY_IMMEDIATE "slgfi %%r15, 32\n\tlgr %0, %1\n\taghi %%r15, 32"
#define MOVE_BY_LEA "lghi %0, 4096\n\tsgr %%r15, %0\n\tlgr %0, %1\n\tlay %%r15, 4096(%%r15)"
#elif defined(__riscv)
#define MOVE_SP(bytes) "addi sp, sp, " #bytes "\n\t"
#define READ_FLAGS MOVE_SP(-16) "sw zero, 0(sp)\n\tlw %0, 0(sp)\n\t" MOVE_SP(16)
#define THREE_DEEP                                                     \
	MOVE_SP(-16) MOVE_SP(-16) MOVE_SP(-16) "mv %0, %1\n\t" MOVE_SP(16) \
	MOVE_SP(16) MOVE_SP(16)
#define MOVE_BY_IMMEDIATE MOVE_SP(-32) "mv %0, %1\n\t" MOVE_SP(32)
#define MOVE_BY_LEA "lui %0, 1\n\tsub sp, sp, %0\n\tlui %0, 1\n\tadd sp, sp, %0\n\tmv %0, %1"
#elif defined(__loongarch__)
#define MOVE_SP(bytes) "addi.d $sp, $sp, " #bytes "\n\t"
#define READ_FLAGS MOVE_SP(-16) "st.w $zero, $sp, 0\n\tld.w %0, $sp, 0\n\t" MOVE_SP(16)
#define THREE_DEEP                                                       \
	MOVE_SP(-16) MOVE_SP(-16) MOVE_SP(-16) "move %0, %1\n\t" MOVE_SP(16) \
	MOVE_SP(16) MOVE_SP(16)
#define MOVE_BY_IMMEDIATE MOVE_SP(-32) "move %0, %1\n\t" MOVE_SP(32)
#define MOVE_BY_LEA                                                                   \
	"lu12i.w %0, 1\n\tsub.d $sp, $sp, %0\n\tlu12i.w %0, 1\n\tadd.d $sp, $sp, %0\n\t" \
	"move %0, %1"
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
