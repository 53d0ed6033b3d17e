	.text
	.globl in_assembly
	.type in_assembly, @function
in_assembly:
	nop
	nop
	.size in_assembly, . - in_assembly
#ifndef __aarch64__
	.section .note.GNU-stack, "", @progbits
#endif
