// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_exec_texture.c: texture and surface instructions, lane by lane: who the handle is, where the
 * lane's place is, what is there. Each texel counts once as memory traffic, whatever the filter
 * takes besides: its neighbours are other lanes'.
 */
#include <string.h>

#include "ptx_exec.h"

void ptx_images_forget(struct ptx_worker *k)
{
	for (unsigned i = 0; i < PTX_IMAGES; i++)
		k->images[i].handle = 0;
}

/* NULL: the job has failed. */
static const struct ptx_image *image_of(struct ptx_warp *w, const struct ptx_inst *in,
                                        unsigned lane, bool surface)
{
	struct ptx_worker *k = w->worker;
	const struct ptx_memory *mem = k->job->mem;
	uint64_t handle = ((const uint64_t *)ptx_reg(w, in->a))[lane];
	for (unsigned i = 0; handle && i < PTX_IMAGES; i++)
		if (k->images[i].handle == handle && k->images[i].surface == surface)
			return &k->images[i].image;
	struct ptx_bound *b = &k->images[k->next_image++ % PTX_IMAGES];
	b->handle = 0;
	if (!handle || !mem->image || !mem->image(mem->self, handle, surface, &b->image)) {
		ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
		          "0x%llx is no %s object of this context, or its memory was freed",
		          (unsigned long long)handle, surface ? "surface" : "texture");
		return NULL;
	}
	b->handle = handle;
	b->surface = surface;
	return &b->image;
}

static uint32_t operand(const struct ptx_warp *w, const struct ptx_inst *in, unsigned lane,
                        unsigned i)
{
	const uint32_t *ext = &w->worker->job->k->ext[in->target + in->vec];
	return ((const uint32_t *)ptx_reg(w, ext[i]))[lane];
}

static float as_float(uint32_t bits)
{
	float f;
	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* ---- textures */

static uint32_t query(const struct ptx_warp *w, const struct ptx_inst *in, unsigned lane,
                      const struct ptx_image *t)
{
	uint32_t n = in->rsize ? operand(w, in, lane, 0) : 0;
	const struct ptx_level *l = &t->level[n < t->n_levels ? n : t->n_levels - 1];
	switch ((enum ptx_query)in->round) {
	case PTX_Q_WIDTH:
		return l->width;
	case PTX_Q_HEIGHT:
		return l->height;
	case PTX_Q_DEPTH:
		return t->layered || t->cube ? 1 : l->depth;
	case PTX_Q_LAYERS:
		return !t->layered ? 1 : t->cube ? l->depth / 6 : l->depth;
	case PTX_Q_LEVELS:
		return t->n_levels;
	case PTX_Q_SAMPLES:
		return 1;
	default:
		return t->normalized;
	}
}

/* The lanes' values of each operand: a layer, a place, a level or six derivatives. */
struct operands {
	const uint32_t *of[1 + 3 + 6];
};

static struct operands operands_of(const struct ptx_warp *w, const struct ptx_inst *in)
{
	const struct ptx_geometry_info *info = &ptx_geometries[in->space];
	const uint32_t *ext = &w->worker->job->k->ext[in->target + in->vec];
	unsigned n = info->layer + info->dims + (in->op == PTX_TEX_LEVEL) +
	             (in->op == PTX_TEX_GRAD ? 2u * info->dims : 0);
	struct operands o;
	for (unsigned i = 0; i < n; i++)
		o.of[i] = (const uint32_t *)ptx_reg(w, ext[i]);
	return o;
}

static void sample(const struct ptx_inst *in, const struct operands *o, unsigned lane,
                   const struct ptx_image *t, union ptx_texel_value out[4])
{
	enum ptx_geometry g = (enum ptx_geometry)in->space;
	const struct ptx_geometry_info *info = &ptx_geometries[g];
	struct ptx_place p = {.layer = 0};
	float d[2][3];
	int32_t at[3] = {0};
	unsigned n = 0;
	if (info->layer)
		p.layer = o->of[n++][lane];
	for (unsigned i = 0; i < info->dims; i++) {
		uint32_t v = o->of[n++][lane];
		at[i] = (int32_t)v;
		p.at[i] = as_float(v);
	}
	uint32_t level = in->op == PTX_TEX_LEVEL ? o->of[n][lane] : 0;
	if (in->sign) {
		ptx_texture_fetch(t, g, at, p.layer, (int32_t)level, out);
		return;
	}
	if (in->op == PTX_TEX_GATHER) {
		ptx_texture_gather(t, g, &p, in->round, out);
		return;
	}
	float lod = as_float(level);
	if (in->op == PTX_TEX_GRAD) {
		memset(d, 0, sizeof(d));
		for (unsigned i = 0; i < 2 * info->dims; i++)
			d[i / info->dims][i % info->dims] = as_float(o->of[n + i][lane]);
		lod = ptx_texture_lod(t, g, &p, d[0], d[1]);
	}
	ptx_texture_sample(t, g, &p, lod, out);
}

static uint32_t two_halves(float low, float high)
{
	return ptx_f16_from((double)low, PTX_RN) | (uint32_t)ptx_f16_from((double)high, PTX_RN)
	                                               << 16;
}

bool ptx_exec_texture(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const uint32_t *regs = &w->worker->job->k->ext[in->target];
	const uint64_t *handles = (const uint64_t *)ptx_reg(w, in->a);
	struct operands o = {.of = {NULL}};
	const struct ptx_image *t = NULL;
	uint64_t handle = 0; /* t's: nearly always the same for all lanes */
	union ptx_texel_value v[4];
	if (in->op != PTX_TEX_QUERY)
		o = operands_of(w, in);
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		bool of_surface = in->op == PTX_TEX_QUERY && in->sign;
		if (!t || handles[lane] != handle) {
			handle = handles[lane];
			t = image_of(w, in, lane, of_surface);
		}
		if (!t)
			return false;
		if (in->op == PTX_TEX_QUERY) {
			v[0].u = query(w, in, lane, t);
		} else {
			sample(in, &o, lane, t, v);
			w->worker->res.global_bytes += (uint64_t)t->channels * t->bytes;
		}
		if (in->size == 2) {
			v[0].u = two_halves(v[0].f, v[1].f);
			v[1].u = two_halves(v[2].f, v[3].f);
		}
		for (unsigned i = 0; i < in->vec; i++)
			((uint32_t *)ptx_reg(w, regs[i]))[lane] = v[i].u;
	}
	if (in->d)
		ptx_set_pred(w, in->d, ~0u, mask); /* nothing is sparse: all texels are there */
	return true;
}

/* ---- surfaces */

/* Where a lane's access is; NULL: outside, or the job has failed (*failed). */
static uint8_t *place(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, uint32_t bytes,
                      bool *failed)
{
	enum ptx_geometry g = (enum ptx_geometry)in->space;
	const struct ptx_geometry_info *info = &ptx_geometries[g];
	const struct ptx_image *s = image_of(w, in, lane, true);
	int32_t at[3] = {0};
	*failed = !s;
	if (!s)
		return NULL;
	for (unsigned i = 0; i < info->dims; i++)
		at[i] = (int32_t)operand(w, in, lane, info->layer + i);
	if (info->layer)
		at[2] = (int32_t)operand(w, in, lane, 0);
	uint64_t addr = ptx_surface_at(s, at, bytes, in->order == PTX_OUT_CLAMP);
	if (!addr && in->order == PTX_OUT_TRAP) {
		*failed = true;
		ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
		          "surface access of %u bytes at byte %d, row %d, slice %d: outside or "
		          "misaligned",
		          bytes, at[0], at[1], at[2]);
	}
	return (uint8_t *)(uintptr_t)addr;
}

bool ptx_exec_surface(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	const struct ptx_geometry_info *info = &ptx_geometries[in->space];
	const uint32_t *regs = &w->worker->job->k->ext[in->target];
	const uint32_t *values = in->op == PTX_SURF_LOAD ? regs : regs + info->dims + info->layer;
	uint32_t n = in->op == PTX_SURF_REDUCE ? 1 : in->round, bytes = n * in->size;
	struct ptx_inst atom = *in;
	atom.op = in->round;
	for (uint32_t rest = mask; rest; rest &= rest - 1) {
		unsigned lane = (unsigned)__builtin_ctz(rest);
		uint8_t data[16] = {0};
		bool failed;
		uint8_t *p = place(w, in, lane, bytes, &failed);
		if (failed)
			return false;
		if (p)
			w->worker->res.global_bytes += bytes;
		if (p && in->op == PTX_SURF_LOAD)
			ptx_copy_in(data, p, bytes);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t v = 0;
			void *reg = ptx_reg(w, values[i]);
			if (in->op == PTX_SURF_LOAD) {
				memcpy(&v, data + i * in->size, in->size);
				ptx_lane_set(reg, in->asize, lane, v);
				continue;
			}
			v = ptx_lane_get(reg, in->asize, lane);
			memcpy(data + i * in->size, &v, in->size);
			if (p && in->op == PTX_SURF_REDUCE)
				ptx_atom_apply(&atom, p, PTX_SPACE_GLOBAL, v, 0);
		}
		if (p && in->op == PTX_SURF_STORE)
			ptx_copy_out(p, data, bytes);
	}
	return true;
}
