/* only: x86_64 */
/* flags: -mgeneral-regs-only */
/* Interrupt handlers: the processor has pushed five words, or six with an error code. */
struct interrupt_frame {
	unsigned long ip, cs, flags, sp, ss;
};

extern void interrupt_work(unsigned long value);

__attribute__((interrupt)) void interrupt_plain(struct interrupt_frame *frame)
{
	interrupt_work(frame->ip);
}

__attribute__((interrupt)) void interrupt_with_error(struct interrupt_frame *frame,
						     unsigned long error)
{
	interrupt_work(frame->ip + error);
}

__attribute__((interrupt)) void interrupt_without_calls(struct interrupt_frame *frame)
{
	volatile unsigned long copy = frame->ip;

	(void)copy;
}
