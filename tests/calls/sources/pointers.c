/* Ways in which a pointer to a function comes to be called. */
#define NOINLINE __attribute__((noinline, noclone, noipa))
#ifdef __aarch64__
#define KEPT "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28"
#else
#define KEPT "rbx", "rbp", "r12", "r13", "r14", "r15"
#endif

struct file;
struct file_ops {
	long tag;
	int (*read)(struct file *, long);
	int (*open)(struct file *);
};
struct other_ops {
	long tag;
	int (*read)(struct file *, long);
};
struct file {
	long position;
	const struct file_ops *ops;
	const struct other_ops *others;
	void *private;
};

NOINLINE static int first_read(struct file *f, long n) { return f->position + n; }
NOINLINE static int second_read(struct file *f, long n) { return f->position - n; }
NOINLINE static int third_read(struct file *f, long n) { return f->position * n; }
NOINLINE static int other_read(struct file *f, long n) { return f->position ^ n; }
NOINLINE static int first_open(struct file *f) { return f->position; }

const struct file_ops first_ops = { 1, first_read, first_open };
static const struct file_ops table_of_ops[2] = { { 2, second_read }, { 3, third_read } };
const struct other_ops other_ops = { 4, other_read };
const void *volatile keep[] = { table_of_ops };

/* A field of the structure that an argument points to. */
NOINLINE int by_field(struct file *f) { return f->ops->read(f, 1) + 1; }
NOINLINE int by_tail(struct file *f) { return f->ops->open(f); }
/* The same offset in another structure. */
NOINLINE int by_other_field(struct file *f) { return f->others->read(f, 2) + 1; }

/* Across a call, in a register that it leaves alone. */
NOINLINE void nothing(void) { asm volatile(""); }
NOINLINE int across_a_call(struct file *f)
{
	nothing();
	return f->ops->read(f, 3) + 1;
}

/* Kept on the stack, for want of registers. */
NOINLINE int across_the_stack(struct file *f, long n)
{
	asm volatile("" ::: KEPT);
	nothing();
	asm volatile("" ::: KEPT);
	return f->ops->read(f, n) + 1;
}

/* Stepping through a table. */
NOINLINE int by_loop(struct file *f, const struct file_ops *ops)
{
	int sum = 0;
	for (; ops->tag; ops++)
		sum += ops->read(f, 4);
	return sum;
}

/* One of two. */
NOINLINE int by_choice(struct file *f, struct file *g, int which)
{
	const struct file_ops *ops = which ? f->ops : g->ops;
	nothing();
	return ops->read(f, 5) + 1;
}

/* A structure inside another one is the same wherever it is. */
struct work {
	struct work *next;
	void (*run)(struct work *);
};
struct delayed {
	long when;
	struct work work;
};
NOINLINE static void work_a(struct work *w) { w->next = w; }
NOINLINE static void work_b(struct work *w) { w->next = 0; }
NOINLINE static void work_c(struct work *w) { w->next = w->next->next; }
struct delayed delayed_a = { 1, { 0, work_a } };
NOINLINE void store_work(struct delayed *d) { d->work.run = work_b; }
NOINLINE void set_up_work(struct work *w, void (*run)(struct work *)) { w->run = run; }
NOINLINE void use_set_up(struct work *w) { set_up_work(w, work_c); }
NOINLINE void run_work(struct work *w) { w->run(w); nothing(); }
NOINLINE void run_delayed(struct delayed *d) { d->work.run(&d->work); nothing(); }

/* An argument that is called. */
NOINLINE static int each_a(int n) { return n + 1; }
NOINLINE static int each_b(int n) { return n + 2; }
NOINLINE int apply(int (*each)(int), int n) { return each(n) + each(n + 1); }
NOINLINE int apply_deeper(int (*each)(int), int n) { return apply(each, n) + 1; }
NOINLINE int use_apply(int n) { return apply(each_a, n) + apply_deeper(each_b, n); }

/* A variable of its own. */
NOINLINE static unsigned hook_a(unsigned n) { return n + 3; }
NOINLINE static unsigned hook_b(unsigned n) { return n + 4; }
unsigned (*hook)(unsigned) = hook_a;
NOINLINE void set_hook(void) { hook = hook_b; }
NOINLINE unsigned by_variable(unsigned n) { return hook(n) + 1; }

/* No structure tells which: those of the prototype. */
NOINLINE static char type_a(char *c) { return *c; }
NOINLINE static char type_b(char *c) { return c[1]; }
char (*type_table[])(char *) = { type_a, type_b };
NOINLINE char by_type(char (**table)(char *), char *c) { return table[*c](c) + 1; }

/* Debug information tells what a variable points to. */
NOINLINE int by_private(struct file *f)
{
	const struct file_ops *ops = f->private;
	return ops->read(f, 6) + 1;
}
struct member {
	long before;
	const struct other_ops *others;
	struct work work;
};
NOINLINE int by_container(struct work *w, struct file *f)
{
	struct member *m = (void *)((char *)w - __builtin_offsetof(struct member, work));
	nothing();
	return m->others->read(f, m->before) + 1;
}

/* Nothing tells which. */
NOINLINE int by_nothing(struct file *f)
{
	return ((const struct file_ops *)f->private)->read(f, 7) + 1;
}

/* Nothing is ever put there. */
struct empty {
	long (*never)(long, long, long);
};
NOINLINE long by_empty(struct empty *e) { return e->never(1, 2, 3) + 1; }

/* Where this is put is not seen: any field of its prototype may have it. */
struct hidden {
	short (*get)(short);
};
NOINLINE static short get_a(short n) { return n; }
NOINLINE static short get_b(short n) { return n + 1; }
struct hidden hidden = { get_a };
NOINLINE void hide(void **where) { *where = get_b; }
NOINLINE short by_hidden(struct hidden *h) { return h->get(1) + 1; }

/* Copied from one field to another. */
struct current {
	void (*now)(struct work *);
};
NOINLINE void take(struct current *c, struct work *w) { c->now = w->run; }
NOINLINE void by_copy(struct current *c, struct work *w) { c->now(w); nothing(); }

int main(void) { return 0; }
