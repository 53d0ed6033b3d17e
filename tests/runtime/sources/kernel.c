/* What a reader of tasks needs of a kernel: a list of processes with threads, and their stacks. */
struct list_head { struct list_head *next, *prev; };
struct thread_info { unsigned long flags; };
struct signal_struct { int count; struct list_head thread_head; };
struct task_struct {
	struct thread_info thread_info;
	unsigned int __state;
	void *stack;
	unsigned int flags;
	struct list_head tasks;
	int exit_state;
	struct {	/* as randomized layouts have it */
		union { int pid; int other; };
		int tgid;
	};
	struct signal_struct *signal;
	struct list_head thread_node;
	char comm[16];
};

#define SIZE 4096
#define MAGIC 0x57AC6E9D
#define WORDS (SIZE / sizeof(long))
static unsigned long stacks[4][WORDS] __attribute__((aligned(SIZE))) = {
	{ MAGIC, [WORDS - 100] = 1, 0, 5 },
	{ MAGIC, 0, 7 },
	{ 0xdead, [WORDS - 1] = 1 },
	{ MAGIC, [WORDS - 50] = 9 },
};
extern struct task_struct init_task, a, b, thread, gone;
static struct signal_struct sa = { 2, { &a.thread_node, &thread.thread_node } };
static struct signal_struct sb = { 1, { &b.thread_node, &b.thread_node } };
static struct signal_struct sg = { 1, { &gone.thread_node, &gone.thread_node } };
struct task_struct init_task = { .tasks = { &a.tasks, &gone.tasks }, .comm = "swapper" };
struct task_struct a = {
	.__state = 1, .stack = stacks[0], .tasks = { &b.tasks, &init_task.tasks }, .pid = 10,
	.tgid = 10, .signal = &sa, .thread_node = { &thread.thread_node, &sa.thread_head },
	.comm = "process",
};
struct task_struct thread = {
	.__state = 2, .stack = stacks[1], .pid = 11, .tgid = 10, .signal = &sa,
	.thread_node = { &sa.thread_head, &a.thread_node }, .comm = "thread of fifte",
};
struct task_struct b = {
	.__state = 0x402, .stack = stacks[2], .flags = 0x200000, .tasks = { &gone.tasks, &a.tasks },
	.pid = 2, .tgid = 2, .signal = &sb, .thread_node = { &sb.thread_head, &sb.thread_head },
	.comm = "kworker",
};
struct task_struct gone = {
	.exit_state = 32, .tasks = { LAST, &b.tasks }, .pid = 3, .tgid = 3, .signal = &sg,
	.thread_node = { &sg.thread_head, &sg.thread_head }, .comm = "gone",
};
/* The page tables that cores.py fills in. */
unsigned long init_top_pgt[3][512] __attribute__((aligned(4096)));
const char linux_banner[] = "Linux version 6.1.0-test (a@b) (gcc) #1 SMP\n";
void _start(void) {}
