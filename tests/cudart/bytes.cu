// SPDX-License-Identifier: Apache-2.0
// NVCC: -arch=sm_75
/*
 * bytes.cu: arithmetic on packed bytes and halves as quantised networks and image codes use it:
 * dp4a and dp2a products, the SIMD intrinsics, video instructions and cvt.pack in PTX. Against the
 * CPU.
 */
#include "t.h"

enum { N = 2048, LEN = 16 };
struct result {
	int dot, dot2;
	unsigned sum, sad, average, largest, packed, moved, scaled, equal;
};

__global__ void bytes(const unsigned *a, const unsigned *b, result *out)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	result r = {};
	for (int k = 0; k < LEN; k++) {
		unsigned x = a[(i + k) % N], y = b[(i + k) % N];
		r.dot = __dp4a((int)x, (int)y, r.dot);
		r.dot2 = __dp2a_lo((int)x, (int)y, r.dot2);
	}
	r.sum = __vaddss4(a[i], b[i]);
	r.sad = __vsadu4(a[i], b[i]);
	r.average = __vavgu4(a[i], b[i]);
	r.largest = __vmaxs2(a[i], b[i]);
	r.equal = __vcmpeq4(a[i] & 0x01030103, b[i] & 0x01030103);
	asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, %3;"
	    : "=r"(r.packed)
	    : "r"(r.dot >> 8), "r"(r.dot2 >> 4), "r"(a[i]));
	asm("vadd.u32.u32.u32.sat %0.b2, %1.b1, %2.b3, %3;"
	    : "=r"(r.moved)
	    : "r"(a[i]), "r"(b[i]), "r"(0x11223344));
	asm("vmad.s32.s32.s32.sat.shr7 %0, %1.h0, %2.h1, %3;"
	    : "=r"(r.scaled)
	    : "r"(a[i]), "r"(b[i]), "r"(77));
	out[i] = r;
}

static int clamp(int v, int lo, int hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static result expect(const unsigned *a, const unsigned *b, int i)
{
	result r = {};
	unsigned x = a[i], y = b[i];
	for (int k = 0; k < LEN; k++) {
		unsigned p = a[(i + k) % N], q = b[(i + k) % N];
		for (int n = 0; n < 4; n++)
			r.dot += (signed char)(p >> (8 * n)) * (signed char)(q >> (8 * n));
		for (int n = 0; n < 2; n++)
			r.dot2 += (short)(p >> (16 * n)) * (signed char)(q >> (8 * n));
	}
	for (int n = 0; n < 32; n += 8) {
		int u = (x >> n) & 255, v = (y >> n) & 255;
		r.sum |= (unsigned)(clamp((signed char)u + (signed char)v, -128, 127) & 255) << n;
		r.sad += u > v ? u - v : v - u;
		r.average |= (unsigned)((u + v + 1) / 2) << n;
		int mask = n % 16 ? 1 : 3;
		r.equal |= (u & mask) == (v & mask) ? 255u << n : 0;
	}
	for (int n = 0; n < 32; n += 16) {
		short u = (short)(x >> n), v = (short)(y >> n);
		r.largest |= (unsigned)(unsigned short)(u > v ? u : v) << n;
	}
	r.packed = x << 16 | (clamp(r.dot >> 8, -128, 127) & 255) << 8 |
	           (clamp(r.dot2 >> 4, -128, 127) & 255);
	r.moved = 0x11003344u | (unsigned)clamp((int)((x >> 8) & 255) + (int)(y >> 24), 0, 255)
	                            << 16;
	r.scaled = (unsigned)(((short)x * (short)(y >> 16) + 77) >> 7);
	return r;
}

int main()
{
	static unsigned a[N], b[N];
	static result got[N];
	unsigned *da, *db;
	result *out;
	for (int i = 0; i < N; i++) {
		a[i] = (unsigned)i * 2654435761u;
		b[i] = ((unsigned)i + 99) * 2246822519u;
	}
	OK(cudaMalloc(&da, sizeof(a)));
	OK(cudaMalloc(&db, sizeof(b)));
	OK(cudaMalloc(&out, sizeof(got)));
	OK(cudaMemcpy(da, a, sizeof(a), cudaMemcpyHostToDevice));
	OK(cudaMemcpy(db, b, sizeof(b), cudaMemcpyHostToDevice));
	bytes<<<N / 128, 128>>>(da, db, out);
	OK(cudaGetLastError());
	OK(cudaMemcpy(got, out, sizeof(got), cudaMemcpyDeviceToHost));
	for (int i = 0; i < N; i++) {
		result want = expect(a, b, i);
		TRUE(!memcmp(&got[i], &want, sizeof(want)));
	}
	OK(cudaFree(da));
	OK(cudaFree(db));
	OK(cudaFree(out));
	printf("ok\n");
	return 0;
}
