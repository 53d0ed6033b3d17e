/* One function a case of what moves the stack pointer; compiled by every cross compiler. */
typedef __SIZE_TYPE__ size;
void use(void *p);
int get(int n);
void die(void) __attribute__((noreturn));
struct pair { long a, b, c, d; };
struct big { char bytes[600]; };

int leaf(int a) { return a * 3; }

int calls(int a) { return get(a) + 1; }

int saves(int a, int b, int c, int d)
{
	int e = get(a), f = get(b), g = get(c), h = get(d);
	return e * f + g * h + a * b + c * d;
}

int array(void) { char b[400]; use(b); return b[3]; }

int page(void) { char b[5000]; use(b); return b[3]; }

int huge(void) { char b[70000]; use(b); return b[3]; }

int early(int *p)
{
	char b[200];
	if (!p)
		return -1;
	if (*p == 5)
		return 7;
	use(b);
	return b[*p];
}

int bug(int a)
{
	char b[300];
	if (a == 77)
		die();
	use(b);
	if (b[a] == 3) {
		use(b + 8);
		die();
	}
	return get(b[5]);
}

int cases(int a, int b)
{
	char x[120];
	use(x);
	switch (a) {
	case 0: return get(b);
	case 1: use(x + 1); return 1;
	case 2: return get(b * 7) + b;
	case 3: use(x + 2); break;
	case 4: return x[b] + 8;
	case 5: get(x[7]); use(x); return get(3);
	case 6: return get(0) ^ 0x55;
	default: break;
	}
	return x[9];
}

int variable(int n) { char b[n]; use(b); return b[1]; }

int aligned(void) { char b[256] __attribute__((aligned(64))); use(b); return b[1]; }

int variadic(int n, ...)
{
	__builtin_va_list l;
	int s = 0;
	__builtin_va_start(l, n);
	while (n--)
		s += get(__builtin_va_arg(l, int));
	__builtin_va_end(l);
	return s;
}

struct pair returns(int a) { struct pair p = { get(a), get(a + 1), 3, 4 }; return p; }

int takes(struct big b, int c) { return get(b.bytes[c]); }

int many(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j)
{
	return get(a + j) + get(b + i) + get(c + h) + get(d + g) + get(e + f);
}
int gives(int a) { return many(a, 2, 3, 4, 5, 6, 7, 8, a, 10) + 1; }

int passes(int a) { struct big b; use(&b); return takes(b, a) + 1; }

int tail(int a) { char b[150]; use(b); return get(b[a]); }
