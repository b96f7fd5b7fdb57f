// SPDX-License-Identifier: Apache-2.0
/* ptx_lanes_matrix.inc.h: products of small matrices, and elements of their factors as doubles. */

/* c += a · b, 8 columns at a time; the products of a and b are exact but for `chain`. */
static void product(f64 *c, const f64 *a, const f64 *b, const struct ptx_product *p)
{
	for (u32 m = 0; m < p->m; m++)
		for (u32 n = 0; n < p->n; n += 8) {
			f64 sum[8];
			const f64 *row = a + m * PTX_MATRIX_SIDE;
			const f64 *col = b + m / p->apart * p->k * PTX_MATRIX_SIDE + n;
			memcpy(sum, c + m * PTX_MATRIX_SIDE + n, sizeof(sum));
			for (u32 k = 0; k < p->k; k++, col += PTX_MATRIX_SIDE)
				for (int i = 0; i < 8; i++)
#if defined(__FMA__)
					sum[i] = __builtin_fma(row[k], col[i], sum[i]);
#else
					sum[i] = p->chain ? fma(row[k], col[i], sum[i])
					                  : sum[i] + row[k] * col[i];
#endif
			memcpy(c + m * PTX_MATRIX_SIDE + n, sum, sizeof(sum));
		}
}

static void product_int(s32 *c, const s32 *a, const s32 *b, const struct ptx_product *p)
{
	for (u32 m = 0; m < p->m; m++)
		for (u32 n = 0; n < p->n; n += 8) {
			u32 sum[8] = {0};
			const s32 *row = a + m * PTX_MATRIX_SIDE, *col = b + n;
			for (u32 k = 0; k < p->k; k++, col += PTX_MATRIX_SIDE)
				for (int i = 0; i < 8; i++)
					sum[i] += (u32)(row[k] * col[i]);
			memcpy(c + m * PTX_MATRIX_SIDE + n, sum, sizeof(sum));
		}
}

static void widen_f16(f64 *d, const u32 *s, u32 shift)
{
	LANES_LOOP
	{
		u32 h = s[i] >> shift, low = (h & 0x7fff) << 13, bits;
		f32 f;
		memcpy(&f, &low, sizeof(f));
		f *= 0x1p112f; /* moves the exponent, of subnormal numbers too */
		memcpy(&bits, &f, sizeof(bits));
		bits |= (low >= 0x7c00u << 13 ? 0x7f800000 : 0) | (h & 0x8000) << 16;
		memcpy(&f, &bits, sizeof(f));
		d[i] = (f64)f;
	}
}

/* Of 32-bit floats, and of bf16 (shift 0 or 16), which are their upper halves: `keep` says which
 * bits count. */
static void widen_f32(f64 *d, const u32 *s, u32 shift, u32 keep)
{
	LANES_LOOP
	{
		u32 bits = (s[i] << shift) & keep;
		f32 f;
		memcpy(&f, &bits, sizeof(f));
		d[i] = (f64)f;
	}
}
