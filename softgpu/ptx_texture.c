// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_texture.c: reading images: where a coordinate points, which texels a filter takes, what they
 * are worth. Kernels may write an image while others read it (surfaces), so texels are read as
 * relaxed atomics.
 */
#include <math.h>
#include <string.h>

#include "ptx_lanes.h"
#include "ptx_texture.h"

#define FRACTION 256 /* of a texel: 8 bits */

const struct ptx_geometry_info ptx_geometries[] = {
    [PTX_1D] = {1, false, false},  [PTX_2D] = {2, false, false}, [PTX_3D] = {3, false, false},
    [PTX_A1D] = {1, true, false},  [PTX_A2D] = {2, true, false}, [PTX_CUBE] = {3, false, true},
    [PTX_ACUBE] = {3, true, true},
};

/* floorf, and bounds, of what is no NaN: every fetch needs them, and libm's are calls. */
static inline float floor_of(float v)
{
	if (!(fabsf(v) < 8388608.0f))
		return v; /* whole already */
	float cut = (float)(int32_t)v;
	return cut > v ? cut - 1 : cut;
}

static inline float clamp_to(float v, float low, float high)
{
	return v < low ? low : v > high ? high : v;
}

/* ---- one texel */

static uint32_t load(uint64_t addr, unsigned bytes)
{
	const void *p = (const void *)(uintptr_t)addr;
	switch (bytes) {
	case 1:
		return __atomic_load_n((const uint8_t *)p, __ATOMIC_RELAXED);
	case 2:
		return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
	default:
		return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
	}
}

/* IEC 61966-2-1, as the sRGB textures of graphics have it */
static float linear_of_srgb(float v)
{
	return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
}

/* One of 1 or 2 bytes: those of 4 are what they are, promoted or not. */
static union ptx_texel_value channel(const struct ptx_image *t, uint64_t addr, unsigned c)
{
	uint32_t bits = load(addr + (uint64_t)c * t->bytes, t->bytes);
	union ptx_texel_value v = {.u = bits};
	if (t->texel == PTX_TEXEL_FLOAT) {
		v.f = (float)ptx_f16_to((uint16_t)bits);
		return v;
	}
	unsigned shift = 32 - 8u * t->bytes;
	int32_t s = t->texel == PTX_TEXEL_SIGNED ? (int32_t)(bits << shift) >> shift : 0;
	if (!t->promoted) {
		if (t->texel == PTX_TEXEL_SIGNED)
			v.u = (uint32_t)s;
		return v;
	}
	if (t->texel == PTX_TEXEL_UNSIGNED) {
		v.f = (float)bits / (t->bytes == 1 ? 255.0f : 65535.0f);
		if (t->srgb && c < 3)
			v.f = linear_of_srgb(v.f);
	} else {
		v.f = fmaxf((float)s / (t->bytes == 1 ? 127.0f : 32767.0f), -1.0f);
	}
	return v;
}

/* Channels that an image lacks are 0. */
static inline void read_texel(const struct ptx_image *t, const struct ptx_level *l, uint32_t x,
                              uint32_t y, uint32_t z, union ptx_texel_value out[4])
{
	uint64_t addr =
	    l->addr + z * l->slice + y * l->pitch + (uint64_t)x * t->channels * t->bytes;
	memset(out, 0, 4 * sizeof(*out));
	for (unsigned c = 0; c < t->channels; c++)
		if (t->bytes == 4)
			out[c].u = load(addr + 4ul * c, 4);
		else
			out[c] = channel(t, addr, c);
}

/* Integers that stay integers are not mixed. */
static bool is_float(const struct ptx_image *t)
{
	return t->texel == PTX_TEXEL_FLOAT || (t->promoted && t->bytes < 4);
}

static void border_colour(const struct ptx_image *t, union ptx_texel_value out[4])
{
	for (unsigned c = 0; c < 4; c++) {
		float v = isnan(t->colour[c]) ? 0 : t->colour[c];
		if (is_float(t))
			out[c].f = t->colour[c];
		else if (t->texel == PTX_TEXEL_SIGNED)
			out[c].u =
			    (uint32_t)(int32_t)fminf(fmaxf(v, -2147483648.0f), 2147483520.0f);
		else
			out[c].u = (uint32_t)fminf(fmaxf(v, 0), 4294967040.0f);
	}
}

/* ---- where a coordinate points */

/* The texel that stands for index i of n; -1: the border's colour. */
static inline int64_t wrapped(enum ptx_border mode, int64_t i, uint32_t n)
{
	if (i >= 0 && i < n)
		return i;
	switch (mode) {
	case PTX_WRAP:
		i %= n;
		return i < 0 ? i + n : i;
	case PTX_MIRROR:
		i %= 2 * (int64_t)n;
		i = i < 0 ? i + 2 * (int64_t)n : i;
		return i < n ? i : 2 * (int64_t)n - 1 - i;
	case PTX_BORDER:
		return -1;
	default:
		return i < 0 ? 0 : n - 1;
	}
}

/* Wrap and mirror are of normalized coordinates only. */
static enum ptx_border border_of(const struct ptx_image *t, unsigned axis)
{
	enum ptx_border b = t->border[axis];
	return t->normalized || b == PTX_BORDER ? b : PTX_CLAMP;
}

/* A coordinate in texels: periods are taken off first, where the numbers are still exact. */
static inline float in_texels(const struct ptx_image *t, unsigned axis, float v, uint32_t n)
{
	if (isnan(v))
		return 0;
	if (t->normalized) {
		if (t->border[axis] == PTX_WRAP)
			v -= floor_of(v);
		else if (t->border[axis] == PTX_MIRROR)
			v -= 2 * floor_of(v / 2);
		v *= (float)n;
	}
	return isnan(v) ? -16777216.0f                            /* of an infinite period */
	                : clamp_to(v, -16777216.0f, 16777216.0f); /* far outside is outside */
}

struct axis { /* one or two texels in a row, and how much the second counts */
	int64_t i[2];
	float second;
};

static int64_t nearest(const struct ptx_image *t, unsigned axis, float v, uint32_t n)
{
	return wrapped(border_of(t, axis), (int64_t)floor_of(in_texels(t, axis, v, n)), n);
}

static struct axis axis_of(const struct ptx_image *t, unsigned axis, float v, uint32_t n)
{
	enum ptx_border mode = border_of(t, axis);
	float x = in_texels(t, axis, v, n);
	int64_t fixed = (int64_t)floor_of((x - 0.5f) * FRACTION + 0.5f);
	int64_t i = fixed >> 8;
	return (struct axis){{wrapped(mode, i, n), wrapped(mode, i + 1, n)},
	                     (float)(fixed & (FRACTION - 1)) / FRACTION};
}

/* ---- cubes (CUDA Programming Guide, "Cubemap Textures") */

/* Which face a direction meets, and where: both in [0, 1]. */
static unsigned cube_face(const float v[3], float *s, float *t)
{
	float x = v[0], y = v[1], z = v[2], ax = fabsf(x), ay = fabsf(y), az = fabsf(z), m, a, b;
	unsigned face;
	if (ax >= ay && ax >= az) {
		face = x < 0;
		m = ax;
		a = x < 0 ? z : -z;
		b = -y;
	} else if (ay >= az) {
		face = 2 + (y < 0);
		m = ay;
		a = x;
		b = y < 0 ? -z : z;
	} else {
		face = 4 + (z < 0);
		m = az;
		a = z < 0 ? -x : x;
		b = -y;
	}
	/* no direction at all (0, infinities, NaN) is the middle */
	bool known = m > 0 && isfinite(m) && !isnan(a) && !isnan(b);
	*s = known ? (a / m + 1) / 2 : 0.5f;
	*t = known ? (b / m + 1) / 2 : 0.5f;
	return face;
}

/* The other way round: s and t of -1 to 1, and beyond. */
static void cube_direction(unsigned face, float s, float t, float v[3])
{
	const float all[6][3] = {{1, -t, -s}, {-1, -t, s}, {s, 1, t},
	                         {s, -1, -t}, {s, -t, 1},  {-s, -t, -1}};
	memcpy(v, all[face], sizeof(all[face]));
}

/* A texel of a face, which may lie beyond the face's edge. */
static void cube_texel(const struct ptx_image *t, const struct ptx_level *l, unsigned face,
                       int64_t x, int64_t y, uint32_t first, union ptx_texel_value out[4])
{
	int64_t n = l->width;
	if (t->seamless && (x < 0 || x >= n || y < 0 || y >= n)) {
		float v[3], s, u;
		cube_direction(face, ((float)x + 0.5f) / (float)n * 2 - 1,
		               ((float)y + 0.5f) / (float)n * 2 - 1, v);
		face = cube_face(v, &s, &u);
		x = (int64_t)(s * (float)n);
		y = (int64_t)(u * (float)n);
	}
	read_texel(t, l, (uint32_t)wrapped(PTX_CLAMP, x, l->width),
	           (uint32_t)wrapped(PTX_CLAMP, y, l->height),
	           (uint32_t)wrapped(PTX_CLAMP, first + face, l->depth), out);
}

/* ---- filters */

static void mix(union ptx_texel_value sum[4], const union ptx_texel_value v[4], float weight)
{
	for (unsigned c = 0; c < 4; c++)
		sum[c].f += weight * v[c].f;
}

/* A cube's image is always taken by normalized coordinates, clamped at the face's edges. */
static void sample_cube(const struct ptx_image *t, const struct ptx_level *l,
                        const struct ptx_place *p, uint32_t first, bool linear,
                        union ptx_texel_value out[4])
{
	float s, u;
	unsigned face = cube_face(p->at, &s, &u);
	if (!linear) {
		cube_texel(t, l, face, (int64_t)(s * (float)l->width),
		           (int64_t)(u * (float)l->height), first, out);
		return;
	}
	int64_t fx = (int64_t)floor_of((s * (float)l->width - 0.5f) * FRACTION + 0.5f);
	int64_t fy = (int64_t)floor_of((u * (float)l->height - 0.5f) * FRACTION + 0.5f);
	float a = (float)(fx & (FRACTION - 1)) / FRACTION;
	float b = (float)(fy & (FRACTION - 1)) / FRACTION;
	union ptx_texel_value v[4];
	memset(out, 0, 4 * sizeof(*out));
	for (unsigned i = 0; i < 4; i++) {
		cube_texel(t, l, face, (fx >> 8) + (i & 1), (fy >> 8) + (i >> 1), first, v);
		mix(out, v, (i & 1 ? a : 1 - a) * (i >> 1 ? b : 1 - b));
	}
}

static uint32_t clamped_layer(const struct ptx_level *l, uint32_t layer, unsigned faces)
{
	uint32_t n = l->depth / faces;
	/* a negative one is the first */
	return (layer >> 31 ? 0 : n && layer >= n ? n - 1 : layer) * faces;
}

/* The texel at a place that may be beyond the border. */
static void texel_at(const struct ptx_image *t, const struct ptx_level *l, const int64_t at[3],
                     union ptx_texel_value out[4])
{
	if (at[0] < 0 || at[1] < 0 || at[2] < 0)
		border_colour(t, out);
	else
		read_texel(t, l, (uint32_t)at[0], (uint32_t)at[1], (uint32_t)at[2], out);
}

/* All the texels around it, each by its share; `layer` is the third place unless the image has one.
 */
static void sample_linear(const struct ptx_image *t, const struct ptx_level *l, unsigned dims,
                          const float place[3], uint32_t layer, union ptx_texel_value out[4])
{
	const uint32_t size[3] = {l->width, l->height, l->depth};
	struct axis axis[3] = {{{0, 0}, 0}, {{0, 0}, 0}, {{layer, layer}, 0}};
	union ptx_texel_value v[4];
	for (unsigned i = 0; i < 3 && i < dims; i++)
		axis[i] = axis_of(t, i, place[i], size[i]);
	memset(out, 0, 4 * sizeof(*out));
	for (unsigned k = 0; k < 1u << dims; k++) {
		float weight = 1;
		int64_t at[3];
		for (unsigned i = 0; i < 3; i++) {
			unsigned second = k >> i & 1;
			at[i] = axis[i].i[second];
			weight *= second ? axis[i].second : 1 - axis[i].second;
		}
		if (weight == 0)
			continue;
		texel_at(t, l, at, v);
		mix(out, v, weight);
	}
}

static void sample_level(const struct ptx_image *t, const struct ptx_level *l,
                         const struct ptx_geometry_info *g, const struct ptx_place *p,
                         union ptx_texel_value out[4])
{
	bool linear = t->linear && is_float(t);
	uint32_t first = g->layer ? clamped_layer(l, p->layer, g->cube ? 6 : 1) : 0;
	const uint32_t size[3] = {l->width, l->height, l->depth};
	int64_t at[3] = {0, 0, first};
	if (g->cube) {
		sample_cube(t, l, p, first, linear, out);
	} else if (linear) {
		sample_linear(t, l, g->dims, p->at, first, out);
	} else {
		for (unsigned i = 0; i < 3 && i < g->dims; i++)
			at[i] = nearest(t, i, p->at[i], size[i]);
		texel_at(t, l, at, out);
	}
}

void ptx_texture_sample(const struct ptx_image *t, enum ptx_geometry geometry,
                        const struct ptx_place *p, float lod, union ptx_texel_value out[4])
{
	const struct ptx_geometry_info *g = &ptx_geometries[geometry];
	union ptx_texel_value next[4];
	float last = (float)(t->n_levels - 1);
	if (t->n_levels == 1) { /* whatever the level of detail */
		sample_level(t, &t->level[0], g, p, out);
		return;
	}
	lod = isnan(lod) ? 0 : fminf(fmaxf(lod + t->bias, t->min_lod), t->max_lod);
	lod = fminf(fmaxf(lod, 0), last);
	if (!t->mip_linear || !is_float(t)) {
		sample_level(t, &t->level[(unsigned)floorf(lod + 0.5f)], g, p, out);
		return;
	}
	unsigned low = (unsigned)lod;
	float part = floorf((lod - (float)low) * FRACTION + 0.5f) / FRACTION;
	sample_level(t, &t->level[low], g, p, out);
	if (part == 0 || low + 1 >= t->n_levels)
		return;
	sample_level(t, &t->level[low + 1], g, p, next);
	for (unsigned c = 0; c < 4; c++)
		out[c].f = (1 - part) * out[c].f + part * next[c].f;
}

void ptx_texture_fetch(const struct ptx_image *t, enum ptx_geometry geometry, const int32_t at[3],
                       uint32_t layer, int32_t level, union ptx_texel_value out[4])
{
	const struct ptx_geometry_info *g = &ptx_geometries[geometry];
	uint32_t deepest = t->n_levels - 1;
	const struct ptx_level *l = &t->level[level < 0                   ? 0
	                                      : (uint32_t)level > deepest ? deepest
	                                                                  : (uint32_t)level];
	const uint32_t size[3] = {l->width, l->height, l->depth};
	int64_t i[3] = {0, 0, 0};
	for (unsigned k = 0; k < 3 && k < g->dims; k++) {
		bool outside = at[k] < 0 || (uint32_t)at[k] >= size[k];
		if (outside && (t->rows || border_of(t, k) == PTX_BORDER)) {
			memset(out, 0, 4 * sizeof(*out));
			if (!t->rows)
				border_colour(t, out);
			return;
		}
		i[k] = wrapped(PTX_CLAMP, at[k], size[k]);
	}
	if (g->layer)
		i[2] = clamped_layer(l, layer, 1);
	read_texel(t, l, (uint32_t)i[0], (uint32_t)i[1], (uint32_t)i[2], out);
}

void ptx_texture_gather(const struct ptx_image *t, enum ptx_geometry geometry,
                        const struct ptx_place *p, unsigned which, union ptx_texel_value out[4])
{
	/* PTX ISA, "tld4": (0,1) (1,1) (1,0) (0,0) of the two by two texels */
	static const uint8_t order[4][2] = {{0, 1}, {1, 1}, {1, 0}, {0, 0}};
	const struct ptx_geometry_info *g = &ptx_geometries[geometry];
	const struct ptx_level *l = &t->level[0];
	uint32_t first = g->layer ? clamped_layer(l, p->layer, g->cube ? 6 : 1) : 0;
	union ptx_texel_value v[4];
	if (g->cube) {
		float s, u;
		unsigned face = cube_face(p->at, &s, &u);
		int64_t x = (int64_t)floorf(s * (float)l->width - 0.5f + 0.5f / FRACTION);
		int64_t y = (int64_t)floorf(u * (float)l->height - 0.5f + 0.5f / FRACTION);
		for (unsigned k = 0; k < 4; k++) {
			cube_texel(t, l, face, x + order[k][0], y + order[k][1], first, v);
			out[k] = v[which];
		}
		return;
	}
	struct axis x = axis_of(t, 0, p->at[0], l->width);
	struct axis y = axis_of(t, 1, p->at[1], l->height);
	for (unsigned k = 0; k < 4; k++) {
		int64_t i = x.i[order[k][0]], j = y.i[order[k][1]];
		if (i < 0 || j < 0)
			border_colour(t, v);
		else
			read_texel(t, l, (uint32_t)i, (uint32_t)j, first, v);
		out[k] = v[which];
	}
}

/* The derivative of a place on a cube's face by that of the direction: the quotient's rule. */
static void on_face(const float v[3], const float d[3], float out[2])
{
	float moved[3], s0, t0, s1, t1;
	const float step = 1.0f / 1024;
	unsigned face = cube_face(v, &s0, &t0);
	for (unsigned i = 0; i < 3; i++)
		moved[i] = v[i] + d[i] * step;
	if (cube_face(moved, &s1, &t1) != face) { /* over an edge: the same length, from there */
		for (unsigned i = 0; i < 3; i++)
			moved[i] = v[i] - d[i] * step;
		cube_face(moved, &s1, &t1);
	}
	out[0] = (s1 - s0) / step;
	out[1] = (t1 - t0) / step;
}

float ptx_texture_lod(const struct ptx_image *t, enum ptx_geometry geometry,
                      const struct ptx_place *p, const float dx[3], const float dy[3])
{
	const struct ptx_geometry_info *g = &ptx_geometries[geometry];
	const struct ptx_level *l = &t->level[0];
	const float size[3] = {(float)l->width, (float)l->height, (float)l->depth};
	const float *d[2] = {dx, dy};
	float longest = 0, flat[3] = {0};
	for (unsigned k = 0; k < 2; k++) {
		float sum = 0;
		const float *v = d[k];
		if (g->cube) {
			on_face(p->at, d[k], flat);
			v = flat;
		}
		for (unsigned i = 0; i < 3 && i < (g->cube ? 2 : g->dims); i++) {
			float part = v[i] * (t->normalized || g->cube ? size[i] : 1);
			sum += part * part;
		}
		longest = fmaxf(longest, sum);
	}
	return longest > 0 ? 0.5f * log2f(longest) : -126.0f;
}

/* ---- surfaces */

uint64_t ptx_surface_at(const struct ptx_image *s, const int32_t at[3], uint32_t bytes, bool clamp)
{
	const struct ptx_level *l = &s->level[0];
	int64_t row = (int64_t)l->width * s->channels * s->bytes, i[3] = {at[0], at[1], at[2]};
	const int64_t last[3] = {row - bytes, (int64_t)(l->height ? l->height : 1) - 1,
	                         (int64_t)(l->depth ? l->depth : 1) - 1};
	for (unsigned k = 0; k < 3; k++) {
		if (i[k] >= 0 && i[k] <= last[k])
			continue;
		if (!clamp || last[k] < 0)
			return 0;
		i[k] = i[k] < 0 ? 0 : last[k];
	}
	if (i[0] & (bytes - 1))
		return 0;
	return l->addr + (uint64_t)i[2] * l->slice + (uint64_t)i[1] * l->pitch + (uint64_t)i[0];
}
