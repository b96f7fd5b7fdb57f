// SPDX-License-Identifier: Apache-2.0
// functions.cu: what is called and not inlined: a recursive sort, comparisons through pointers,
// virtual functions, an evaluator of expressions.

typedef bool (*less_fn)(int, int);
static __device__ __noinline__ bool up(int a, int b)
{
	return a < b;
}
static __device__ __noinline__ bool down(int a, int b)
{
	return a > b;
}
static __device__ __noinline__ bool by_digit(int a, int b)
{
	return a % 10 != b % 10 ? a % 10 < b % 10 : a < b;
}
__device__ less_fn orders[3] = {up, down, by_digit};

static __device__ void quicksort(int *x, int n, less_fn less)
{
	if (n < 2)
		return;
	int pivot = x[n / 2], i = 0, j = n - 1;
	for (;;) {
		while (less(x[i], pivot))
			i++;
		while (less(pivot, x[j]))
			j--;
		if (i >= j)
			break;
		int swap = x[i];
		x[i++] = x[j];
		x[j--] = swap;
	}
	quicksort(x, i, less);
	quicksort(x + i, n - i, less);
}

// each thread sorts `n` numbers of its own
extern "C" __global__ void sort_each(int *x, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	quicksort(x + i * n, n, orders[i % 3]);
}

struct Shape {
	__device__ virtual int area() const = 0;
	__device__ virtual int scaled(int by) const
	{
		return area() * by;
	}
};
struct Square : Shape {
	int side;
	__device__ Square(int s) : side(s)
	{
	}
	__device__ int area() const override
	{
		return side * side;
	}
};
struct Box : Shape {
	int a, b;
	__device__ Box(int x, int y) : a(x), b(y)
	{
	}
	__device__ int area() const override
	{
		return a * b;
	}
	__device__ int scaled(int by) const override
	{
		return (a * by) * (b * by);
	}
};

extern "C" __global__ void shapes(int *out, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	Square s(i);
	Box b(i, 3);
	const Shape *p = i % 2 ? (const Shape *)&s : &b;
	if (i < n)
		out[i] = p->area() * 1000 + p->scaled(2);
}

// Expressions in reverse Polish notation are trees: node = {operator, left, right} or {0, value, 0}
static __device__ int evaluate(const int *node, int at, int x)
{
	int op = node[3 * at], l = node[3 * at + 1], r = node[3 * at + 2];
	if (op == 0)
		return l;
	if (op == 'x')
		return x;
	int a = evaluate(node, l, x), b = evaluate(node, r, x);
	return op == '+' ? a + b : op == '*' ? a * b : a - b;
}

extern "C" __global__ void evaluate_all(const int *node, int root, int *out, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		out[i] = evaluate(node, root, i);
}
