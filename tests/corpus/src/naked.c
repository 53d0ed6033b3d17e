/* only: x86_64 */
/* No prologue from the compiler: only what the assembly does. */
__attribute__((naked)) void naked_three_pushes(void)
{
	__asm__("pushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tcall naked_sink\n\t"
		"popq %r12\n\tpopq %rbp\n\tpopq %rbx\n\tret");
}
