// SPDX-License-Identifier: Apache-2.0
/*
 * kernels.c: typical kernels (tests/kernels/ *.cu, compiled by nvcc) against results of the CPU.
 * Integers and counts must be equal, floats within a bound that the order of additions explains.
 * Usage: kernels FOLDER [NAME…]: FOLDER holds the fat binaries; prints one line a kernel.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels_client.h"

static void reduction(void)
{
	enum { N = 20001 };
	float *x = input(N * sizeof(float)), sum = 0;
	unsigned *u = input(N * sizeof(unsigned)), most = 0;
	for (int i = 0; i < N; i++) {
		x[i] = (float)(i % 61 - 20); /* small integers: exact in any order */
		u[i] = next_random() % 1000000007;
		sum += x[i];
		most = u[i] > most ? u[i] : most;
	}
	CUdeviceptr dx = to_device(x, N * 4), du = to_device(u, N * 4), out = device(8);
	run_kernel("reduce_sum", 9, 1, 256, 1, 0, ARGS(dx, (int){N}, out));
	CUdeviceptr second = out + 4;
	run_kernel("reduce_max", 5, 1, 128, 1, 0, ARGS(du, (int){N}, second));
	union {
		float f;
		unsigned u;
	} got[2];
	from_device(got, out, 8);
	CHECK(got[0].f == sum && got[1].u == most);
}

static void scan(void)
{
	enum { N = 30000, BLOCK = 512, BLOCKS = (N + BLOCK - 1) / BLOCK };
	unsigned *x = input(N * 4), *got = input(N * 4), sum = 0;
	for (int i = 0; i < N; i++)
		x[i] = next_random() % 1000;
	CUdeviceptr in = to_device(x, N * 4), out = device(N * 4), sums = device(BLOCKS * 4),
		    none = 0;
	run_kernel("scan_blocks", BLOCKS, 1, BLOCK, 1, 0, ARGS(in, out, sums, (int){N}));
	run_kernel("scan_blocks", 1, 1, 64, 1, 0, ARGS(sums, sums, none, (int){BLOCKS}));
	run_kernel("scan_add", BLOCKS, 1, BLOCK, 1, 0, ARGS(out, sums, (int){N}));
	from_device(got, out, N * 4);
	for (int i = 0; i < N; i++) {
		sum += x[i];
		CHECK(got[i] == sum);
	}
}

static int by_value(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
	return x < y ? -1 : x > y;
}

static void sort(void)
{
	enum { N = 4096, PART = 512, RADIX = 700 };
	unsigned *x = input(N * 4), *got = input(N * 4), values[RADIX], keys[RADIX];
	for (int i = 0; i < N; i++)
		x[i] = next_random() >> (i % 20);
	CUdeviceptr d = to_device(x, N * 4);
	run_kernel("bitonic_block", N / PART, 1, PART / 2, 1, PART * 4, ARGS(d, (int){1}));
	for (unsigned size = 2 * PART; size <= N; size *= 2)
		for (unsigned step = size / 2; step; step /= 2)
			run_kernel("bitonic_step", N / 256, 1, 256, 1, 0, ARGS(d, size, step));
	from_device(got, d, N * 4);
	qsort(x, N, 4, by_value);
	CHECK(!memcmp(got, x, N * 4));
	for (unsigned i = 0; i < RADIX; i++) {
		keys[i] = next_random() % 50;
		values[i] = i;
	}
	CUdeviceptr dk = to_device(keys, sizeof(keys)), dv = to_device(values, sizeof(values));
	run_kernel("radix_sort", 1, 1, 704, 1, 4 * RADIX * 4, ARGS(dk, dv, (int){RADIX}, (int){6}));
	from_device(got, dk, sizeof(keys));
	from_device(values, dv, sizeof(values));
	for (int i = 0; i < RADIX; i++) {
		CHECK(got[i] == keys[values[i]]);
		CHECK(!i || got[i - 1] < got[i] ||
		      (got[i - 1] == got[i] && values[i - 1] < values[i]));
	}
}

static void histogram(void)
{
	enum { N = 50000 };
	unsigned char *x = input(N);
	unsigned want[256] = {0}, got[512];
	for (int i = 0; i < N; i++) {
		x[i] = (unsigned char)(next_random() % 256 & next_random());
		want[x[i]]++;
	}
	CUdeviceptr d = to_device(x, N), bins = device(2048), second = bins + 1024;
	run_kernel("histogram", 7, 1, 192, 1, 0, ARGS(d, (int){N}, bins));
	run_kernel("histogram_match", 7, 1, 200, 1, 0, ARGS(d, (int){N}, second));
	from_device(got, bins, sizeof(got));
	CHECK(!memcmp(got, want, sizeof(want)) && !memcmp(got + 256, want, sizeof(want)));
}

static void stencil(void)
{
	enum { W = 101, H = 67 };
	float *a = input(W * H * 4), *b = input(W * H * 4), *got = input(W * H * 4);
	for (int i = 0; i < W * H; i++)
		a[i] = (float)(next_random() % 4096); /* sums of eighths: exact */
	CUdeviceptr da = to_device(a, W * H * 4), db = device(W * H * 4);
	for (int step = 0; step < 3; step++) {
		run_kernel("stencil", (W + 15) / 16, (H + 15) / 16, 16, 16, 0,
		           ARGS(da, db, (int){W}, (int){H}));
		CUdeviceptr swap = da;
		da = db;
		db = swap;
		for (int i = 0; i < W * H; i++) {
			int x = i % W, y = i / W;
			float around = (x ? a[i - 1] : 0) + (x < W - 1 ? a[i + 1] : 0) +
			               (y ? a[i - W] : 0) + (y < H - 1 ? a[i + W] : 0);
			b[i] = fmaf(a[i], 0.5f, around * 0.125f);
		}
		memcpy(a, b, W * H * 4);
	}
	from_device(got, da, W * H * 4);
	for (int i = 0; i < W * H; i++)
		CHECK(fabsf(got[i] - a[i]) <= 1e-3f);
}

static void transpose(void)
{
	enum { W = 77, H = 130 };
	unsigned *x = input(W * H * 4), *got = input(W * H * 4);
	for (int i = 0; i < W * H; i++)
		x[i] = next_random();
	CUdeviceptr in = to_device(x, W * H * 4), out = device(W * H * 4);
	run_kernel("transpose", 3, 5, 32, 8, 0, ARGS(in, out, (int){W}, (int){H}));
	from_device(got, out, W * H * 4);
	for (int y = 0; y < H; y++)
		for (int c = 0; c < W; c++)
			CHECK(got[c * H + y] == x[y * W + c]);
}

static void nbody(void)
{
	enum { N = 300 };
	float(*x)[4] = input(N * 16), (*got)[4] = input(N * 16);
	for (int i = 0; i < N * 4; i++)
		x[i / 4][i % 4] = uniform() + (i % 4 == 3);
	CUdeviceptr in = to_device(x, N * 16), out = device(N * 16);
	float soften = 0.01f;
	run_kernel("nbody", 3, 1, 128, 1, 128 * 16, ARGS(in, out, (int){N}, soften));
	from_device(got, out, N * 16);
	for (int i = 0; i < N; i++) {
		double a[3] = {0, 0, 0}, size = 0;
		for (int j = 0; j < N; j++) {
			double d[3], r2 = (double)soften;
			for (int k = 0; k < 3; k++) {
				d[k] = (double)x[j][k] - (double)x[i][k];
				r2 += d[k] * d[k];
			}
			for (int k = 0; k < 3; k++)
				a[k] += d[k] * (double)x[j][3] / (r2 * sqrt(r2));
			size += (double)x[j][3] / r2;
		}
		for (int k = 0; k < 3; k++)
			CHECK(near_to(got[i][k], a[k], 1e-5 * size));
	}
}

static void softmax(void)
{
	enum { ROWS = 9, COLUMNS = 1000 };
	float *x = input(ROWS * COLUMNS * 4), *got = input(ROWS * COLUMNS * 4);
	for (int i = 0; i < ROWS * COLUMNS; i++)
		x[i] = uniform() * 20 - 10;
	CUdeviceptr in = to_device(x, ROWS * COLUMNS * 4), out = device(ROWS * COLUMNS * 4);
	run_kernel("softmax", ROWS, 1, 256, 1, 0, ARGS(in, out, (int){COLUMNS}));
	from_device(got, out, ROWS * COLUMNS * 4);
	for (int r = 0; r < ROWS; r++) {
		double sum = 0;
		for (int i = 0; i < COLUMNS; i++)
			sum += exp((double)x[r * COLUMNS + i]);
		for (int i = 0; i < COLUMNS; i++) {
			double want = exp((double)x[r * COLUMNS + i]) / sum;
			CHECK(near_to(got[r * COLUMNS + i], want, want * 2e-5));
		}
	}
}

static void layernorm(void)
{
	enum { ROWS = 13, N = 512 };
	uint16_t *x = input(ROWS * N * 2), *got = input(ROWS * N * 2);
	float *gamma = input(N * 4), *beta = input(N * 4), eps = 1e-5f;
	for (int i = 0; i < ROWS * N; i++)
		x[i] = (uint16_t)(0x3800 + next_random() % 0x800 + (next_random() % 2 << 15));
	for (int i = 0; i < N; i++) {
		gamma[i] = uniform() + 0.5f;
		beta[i] = uniform();
	}
	CUdeviceptr in = to_device(x, ROWS * N * 2), out = device(ROWS * N * 2);
	CUdeviceptr dg = to_device(gamma, N * 4), db = to_device(beta, N * 4);
	run_kernel("layernorm", 4, 1, 32, 4, 0,
	           ARGS(in, dg, db, out, (int){ROWS}, (int){N / 2}, eps));
	from_device(got, out, ROWS * N * 2);
	for (int r = 0; r < ROWS; r++) {
		double sum = 0, squares = 0;
		for (int i = 0; i < N; i++) {
			double v = half_value(x[r * N + i]);
			sum += v;
			squares += v * v;
		}
		double mean = sum / N, scale = 1 / sqrt(squares / N - mean * mean + (double)eps);
		for (int i = 0; i < N; i++) {
			double want = (half_value(x[r * N + i]) - mean) * scale * (double)gamma[i] +
			              (double)beta[i];
			CHECK(near_to((float)half_value(got[r * N + i]), want,
			              fabs(want) * 1e-3 + 1e-4));
		}
	}
}

static void attention(void)
{
	enum { N = 75, D = 32 };
	float *q = input(N * D * 4), *k = input(N * D * 4), *v = input(N * D * 4),
	      *got = input(N * D * 4);
	for (int i = 0; i < N * D; i++) {
		q[i] = uniform() * 2 - 1;
		k[i] = uniform() * 2 - 1;
		v[i] = uniform();
	}
	CUdeviceptr dq = to_device(q, N * D * 4), dk = to_device(k, N * D * 4);
	CUdeviceptr dv = to_device(v, N * D * 4), out = device(N * D * 4);
	for (int causal = 0; causal < 2; causal++) {
		run_kernel("attention", 2, 1, 64, 1, 0, ARGS(dq, dk, dv, out, (int){N}, causal));
		from_device(got, out, N * D * 4);
		for (int r = 0; r < N; r++) {
			double p[N], sum = 0;
			for (int j = 0; j < N; j++) {
				double s = 0;
				for (int d = 0; d < D; d++)
					s += (double)q[r * D + d] * (double)k[j * D + d];
				p[j] = causal && j > r ? 0 : exp(s / sqrt(D));
				sum += p[j];
			}
			for (int d = 0; d < D; d++) {
				double want = 0;
				for (int j = 0; j < N; j++)
					want += p[j] / sum * (double)v[j * D + d];
				CHECK(near_to(got[r * D + d], want, 2e-5));
			}
		}
	}
}

static void fft(void)
{
	enum { LOG = 8, N = 1 << LOG, BLOCKS = 2 };
	float(*x)[2] = input(BLOCKS * N * 8), (*got)[2] = input(BLOCKS * N * 8), sign = -1;
	for (int i = 0; i < BLOCKS * N * 2; i++)
		x[i / 2][i % 2] = uniform() - 0.5f;
	CUdeviceptr in = to_device(x, BLOCKS * N * 8), out = device(BLOCKS * N * 8);
	run_kernel("fft", BLOCKS, 1, 64, 1, N * 8, ARGS(in, out, (int){LOG}, sign));
	from_device(got, out, BLOCKS * N * 8);
	for (int b = 0; b < BLOCKS; b++)
		for (int f = 0; f < N; f++) {
			double re = 0, im = 0;
			for (int i = 0; i < N; i++) {
				double w = -2 * M_PI * (f * i % N) / N;
				const float *c = x[b * N + i];
				re += (double)c[0] * cos(w) - (double)c[1] * sin(w);
				im += (double)c[0] * sin(w) + (double)c[1] * cos(w);
			}
			CHECK(near_to(got[b * N + f][0], re, 1e-4));
			CHECK(near_to(got[b * N + f][1], im, 1e-4));
		}
}

static void philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
	for (int r = 0; r < 10; r++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
		uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
		uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k0, (uint32_t)b,
		                    (uint32_t)(a >> 32) ^ c[3] ^ k1, (uint32_t)a};
		memcpy(c, next, sizeof(next));
	}
}

static void montecarlo(void)
{
	enum { N = 512, ROUNDS = 20, SEED = 2024 };
	uint32_t(*got)[4] = input(N * 16);
	unsigned long long hits = 0, want = 0;
	CUdeviceptr out = device(N * 16), count = device(8);
	run_kernel("philox_fill", 2, 1, 256, 1, 0, ARGS(out, (int){SEED}, (int){N}));
	run_kernel("monte_carlo", 2, 1, 256, 1, 0, ARGS(count, (int){SEED}, (int){ROUNDS}));
	from_device(got, out, N * 16);
	from_device(&hits, count, 8);
	for (uint32_t i = 0; i < N; i++) {
		uint32_t c[4] = {i, 0, 0, 0};
		philox(c, SEED, 7);
		CHECK(!memcmp(got[i], c, sizeof(c)));
		for (uint32_t r = 0; r < ROUNDS; r++) {
			uint32_t v[4] = {i, r, 0, 0};
			philox(v, SEED, 0);
			for (int k = 0; k < 4; k += 2) {
				double x = v[k] * 0x1p-32, y = v[k + 1] * 0x1p-32;
				want +=
				    fma(x, x, y * y) < 1; /* nvcc fuses them; the sum differs by */
			}                                 /* an ulp at most, never across 1 */
		}
	}
	CHECK(hits == want);
}

static void product(const float *a, const float *b, const float *got, int m, int n, int k)
{
	for (int r = 0; r < m; r++)
		for (int c = 0; c < n; c++) {
			double sum = 0;
			for (int i = 0; i < k; i++)
				sum += (double)a[r * k + i] * (double)b[i * n + c];
			CHECK(near_to(got[r * n + c], sum, 1e-6 * k));
		}
}

static void matmul(void)
{
	enum { M = 70, N = 45, K = 51, S = 128, SK = 96 };
	float *a = input(S * SK * 4), *b = input(SK * S * 4), *got = input(S * S * 4);
	for (int i = 0; i < S * SK; i++) {
		a[i] = uniform() - 0.5f;
		b[i] = uniform() - 0.5f;
	}
	CUdeviceptr da = to_device(a, S * SK * 4), db = to_device(b, S * SK * 4),
		    c = device(S * S * 4);
	run_kernel("matmul", 3, 5, 16, 16, 0, ARGS(da, db, c, (int){M}, (int){N}, (int){K}));
	from_device(got, c, M * N * 4);
	product(a, b, got, M, N, K);
	run_kernel("matmul_async", 2, 2, 256, 1, 0, ARGS(da, db, c, (int){S}, (int){SK}));
	from_device(got, c, S * S * 4);
	product(a, b, got, S, S, SK);
}

static void spmv(void)
{
	enum { ROWS = 333, COLUMNS = 200 };
	static int start[ROWS + 1], column[ROWS * 40];
	static double value[ROWS * 40], x[COLUMNS], got[ROWS];
	for (int r = 0; r < ROWS; r++) {
		int n = (int)(next_random() % 40);
		for (int i = start[r]; i < start[r] + n; i++) {
			column[i] = (int)(next_random() % COLUMNS);
			value[i] = (double)uniform();
		}
		start[r + 1] = start[r] + n;
	}
	for (int i = 0; i < COLUMNS; i++)
		x[i] = (double)uniform();
	CUdeviceptr ds = to_device(start, sizeof(start)), dc = to_device(column, sizeof(column));
	CUdeviceptr dv = to_device(value, sizeof(value)), dx = to_device(x, sizeof(x));
	CUdeviceptr dy = device(sizeof(got));
	run_kernel("spmv", (ROWS * 8 + 127) / 128, 1, 128, 1, 0,
	           ARGS(ds, dc, dv, dx, dy, (int){ROWS}));
	from_device(got, dy, sizeof(got));
	for (int r = 0; r < ROWS; r++) {
		double sum = 0;
		for (int i = start[r]; i < start[r + 1]; i++)
			sum += value[i] * x[column[i]];
		CHECK(fabs(got[r] - sum) < 1e-12);
	}
}

static int clamp(int v, int lo, int hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static void conv2d(void)
{
	enum { W = 50, H = 37, R = 2, F = 2 * R + 1 };
	unsigned char(*x)[4] = input(W * H * 4), (*got)[4] = input(W * H * 4);
	float filter[F * F];
	size_t bytes;
	CUdeviceptr constant;
	for (int i = 0; i < W * H * 4; i++)
		x[i / 4][i % 4] = (unsigned char)next_random();
	for (int i = 0; i < F * F; i++) /* sixty-fourths: sums are exact */
		filter[i] = (float)((int)(next_random() % 9) - 2) / 64;
	OK(cuModuleGetGlobal(&constant, &bytes, module, "filter"));
	CHECK(bytes == 81 * sizeof(float));
	OK(cuMemcpyHtoD(constant, filter, sizeof(filter)));
	CUdeviceptr in = to_device(x, W * H * 4), out = device(W * H * 4);
	run_kernel("conv2d", 4, 5, 16, 8, 0, ARGS(in, out, (int){W}, (int){H}, (int){R}));
	from_device(got, out, W * H * 4);
	for (int i = 0; i < W * H; i++) {
		float s[4] = {0, 0, 0, 0};
		for (int k = 0; k < F * F; k++) {
			int sx = clamp(i % W + k % F - R, 0, W - 1),
			    sy = clamp(i / W + k / F - R, 0, H - 1);
			for (int c = 0; c < 4; c++)
				s[c] += filter[k] * (float)x[sy * W + sx][c];
		}
		/* a division that may be one ulp off may turn a whole number into the one below */
		float first = fminf(fmaxf(s[0] / 255, 0), 1) * 255;
		CHECK(got[i][0] == (int)first || got[i][0] == (int)nextafterf(first, 0) ||
		      got[i][0] == (int)nextafterf(first, 256));
		CHECK(got[i][1] == clamp((int)nearbyintf(s[1]), 0, 255));
		CHECK(got[i][2] == clamp((int)floorf(s[2]), 0, 255));
		CHECK(got[i][3] == clamp((int)ceilf(s[3]), 0, 255));
	}
}

static void compact(void)
{
	enum { N = 5000, BLOCK = 256, BLOCKS = (N + BLOCK - 1) / BLOCK };
	int *x = input(N * 4), *got = input(N * 4), handed[BLOCKS + 1], n = 0;
	for (int i = 0; i < N; i++)
		x[i] = (int)(next_random() % 1000);
	CUdeviceptr in = to_device(x, N * 4), out = device(N * 4), chain = device(sizeof(handed));
	run_kernel("compact", BLOCKS, 1, BLOCK, 1, 0, ARGS(in, out, (int){N}, chain, (int){300}));
	from_device(got, out, N * 4);
	from_device(handed, chain, sizeof(handed));
	for (int i = 0; i < N; i++)
		if (x[i] < 300)
			CHECK(got[n++] == x[i]);
	CHECK(handed[BLOCKS] == n + 1);
}

static int order;
static int by_order(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;
	if (order == 2 && x % 10 != y % 10)
		return x % 10 - y % 10;
	return order == 1 ? (y > x) - (y < x) : (x > y) - (x < y);
}

static void functions(void)
{
	enum { THREADS = 96, EACH = 25 };
	static int x[THREADS][EACH], got[THREADS][EACH], area[100];
	for (int i = 0; i < THREADS * EACH; i++)
		x[i / EACH][i % EACH] = (int)(next_random() % 500);
	CUdeviceptr d = to_device(x, sizeof(x)), out = device(sizeof(area));
	run_kernel("sort_each", 3, 1, 32, 1, 0, ARGS(d, (int){EACH}));
	from_device(got, d, sizeof(got));
	for (int i = 0; i < THREADS; i++) {
		order = i % 3;
		qsort(x[i], EACH, sizeof(int), by_order);
		CHECK(!memcmp(x[i], got[i], sizeof(x[i])));
	}
	run_kernel("shapes", 4, 1, 32, 1, 0, ARGS(out, (int){100}));
	from_device(area, out, sizeof(area));
	for (int i = 0; i < 100; i++)
		CHECK(area[i] == (i % 2 ? i * i * 1002 : i * 3000 + i * 2 * 6));
	/* (x + 3) * (x - (x * 2)) */
	const int tree[][3] = {{'*', 1, 2}, {'+', 3, 4}, {'-', 3, 5}, {'x', 0, 0},
	                       {0, 3, 0},   {'*', 3, 6}, {0, 2, 0}};
	CUdeviceptr nodes = to_device(tree, sizeof(tree));
	run_kernel("evaluate_all", 4, 1, 32, 1, 0, ARGS(nodes, (int){0}, out, (int){100}));
	from_device(area, out, sizeof(area));
	for (int i = 0; i < 100; i++)
		CHECK(area[i] == (i + 3) * (i - 2 * i));
}

/* That the module loads is most of it. */
static void features(void)
{
	enum { N = 64 };
	static const char *const names[] = {"maths",   "integers", "halves", "warps",
	                                    "atomics", "groups",   "memory"};
	int x[N], got[N], sum = 0;
	CUfunction f;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		OK(cuModuleGetFunction(&f, module, names[i]));
	for (int i = 0; i < N; i++)
		x[i] = (int)(next_random() % 10);
	CUdeviceptr in = to_device(x, sizeof(x)), out = device(sizeof(got));
	run_kernel("groups", 1, 1, N, 1, 0, ARGS(in, out));
	from_device(got, out, sizeof(got));
	for (int i = 0; i < N; i++) {
		int scan = 0, first = i / 32 * 32;
		sum = 0;
		for (int k = first; k < first + 32; k++)
			sum += x[k];
		for (int k = i / 4 * 4; k <= i; k++)
			scan += x[k];
		CHECK(got[i] == sum * 1000 + scan + (i & 1 ? 100000 * (16 + first + 1) : 0));
	}
	run_kernel("memory", 1, 1, 1, 1, 0, ARGS(out, in, (int){1}));
	from_device(got, out, sizeof(got));
	int a = 4 * x[0] + x[1] + 2 + 3 + 'o';
	CHECK(got[1] == a && got[2] == a && got[3] == a && got[6] == 0 && got[9] == a);
	CHECK(got[4] == x[0] + x[3] + 2);
}

static const struct {
	const char *name;
	void (*check)(void);
} all[] = {
    {"reduction", reduction},
    {"scan", scan},
    {"sort", sort},
    {"histogram", histogram},
    {"stencil", stencil},
    {"transpose", transpose},
    {"nbody", nbody},
    {"softmax", softmax},
    {"layernorm", layernorm},
    {"attention", attention},
    {"fft", fft},
    {"montecarlo", montecarlo},
    {"matmul", matmul},
    {"spmv", spmv},
    {"conv2d", conv2d},
    {"compact", compact},
    {"functions", functions},
    {"features", features},
};

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: kernels FOLDER [NAME...]\n");
		return 2;
	}
	start();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		bool wanted = argc == 2;
		for (int k = 2; k < argc; k++)
			wanted |= !strcmp(argv[k], all[i].name);
		if (!wanted)
			continue;
		load(argv[1], all[i].name);
		all[i].check();
		unload();
		printf("%s ok\n", all[i].name);
		fflush(stdout);
	}
	return 0;
}
