// SPDX-License-Identifier: Apache-2.0
/* ptx_dec_video.c: arithmetic on two halves or four bytes of a register (vadd2, vabsdiff4 …; the
 * forms that permute or mask parts are not there), on single values that may be parts of registers
 * (vadd, vmad …), and cvt.pack. */
#include <string.h>

#include "ptx_dec.h"

static void decode_video(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const tests[] = {".eq", ".ne", ".lt", ".le", ".gt", ".ge", NULL};
	const struct ptx_opd *o = d->stmt->opd;
	struct ptx_inst in = {.op = (uint8_t)(self->arg & 15), .size = 4};
	bool set = in.op == PTX_VIDEO_SET;
	in.vec = (uint8_t)(self->arg >> 4);
	/* vset has no type of the result; it is unsigned */
	const struct ptx_type *td = ptx_need_type(d), *ta = ptx_need_type(d);
	const struct ptx_type *tb = set ? ta : ptx_need_type(d);
	if (set) {
		int test = ptx_take_any(d, tests);
		if (test < 0)
			ptx_unsupported(d, NULL);
		in.round = (uint8_t)test;
		tb = ta;
		ta = td;
	}
	const struct ptx_type *all[] = {td, ta, tb};
	for (int i = 0; i < 3; i++)
		if (all[i]->size != 4 || (all[i]->kind != 'u' && all[i]->kind != 's'))
			ptx_unsupported(d, NULL);
	in.flags =
	    (uint8_t)((!set && td->kind == 's' ? PTX_VIDEO_DS : 0) |
	              (ta->kind == 's' ? PTX_VIDEO_AS : 0) | (tb->kind == 's' ? PTX_VIDEO_BS : 0));
	in.flags |= ptx_take(d, ".sat") ? PTX_VIDEO_SAT : 0;
	in.flags |= ptx_take(d, ".add") ? PTX_VIDEO_ADD : 0;
	if (in.flags & PTX_VIDEO_ADD && in.flags & PTX_VIDEO_SAT)
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, 4, 4);
	in.d = ptx_dst(d, &o[0], 4);
	in.a = ptx_src(d, &o[1], ta);
	in.b = ptx_src(d, &o[2], tb);
	in.c = ptx_src(d, &o[3], td);
	ptx_emit_built(d, PTX_K_VIDEO, &in);
}

/* ---- single values: vadd.s32.u32.s32.sat d{.h1}, a{.b0}, b, c */
static uint8_t part_of(struct ptx_dec *d, struct ptx_opd *o)
{
	static const char *const names[] = {".b0", ".b1", ".b2", ".b3", ".h0", ".h1"};
	struct ptx_str part = o->part;
	o->part = (struct ptx_str){0};
	for (uint8_t i = 0; i < 6 && part.len; i++)
		if (ptx_str_is(part, names[i]))
			return i + PTX_PART_B0;
	if (part.len)
		ptx_unsupported(d, "this selection of parts is");
	return PTX_PART_ALL;
}

static bool negated(struct ptx_opd *o)
{
	bool was = o->negated;
	o->negated = false;
	return was;
}

static const struct ptx_type *word_type(struct ptx_dec *d)
{
	const struct ptx_type *t = ptx_need_type(d);
	if (t->size != 4 || (t->kind != 'u' && t->kind != 's'))
		ptx_unsupported(d, NULL);
	return t;
}

static void take_mad(struct ptx_dec *d, struct ptx_opd *o, struct ptx_inst *in)
{
	in->space = ptx_take(d, ".shr7") ? 7 : ptx_take(d, ".shr15") ? 15 : 0;
	in->order = ptx_take(d, ".po") ? PTX_MAD_PLUS_ONE : 0;
	ptx_need_operands(d, 4, 4);
	in->order |= negated(&o[1]) != negated(&o[2]) ? PTX_MAD_MINUS_AB : 0;
	in->order |= negated(&o[3]) ? PTX_MAD_MINUS_C : 0;
	if (in->order & (in->order - 1))
		ptx_unsupported(d, "more than one of .po and negations is");
}

static void decode_single(struct ptx_dec *d, const struct ptx_opcode *self)
{
	static const char *const tests[] = {".eq", ".ne", ".lt", ".le", ".gt", ".ge", NULL};
	static const char *const shifts[] = {".clamp", ".wrap", NULL};
	static const char *const seconds[] = {".add", ".min", ".max", NULL};
	static const struct ptx_type u32_type = {"u32", 'u', 4};
	struct ptx_opd *o = d->stmt->opd;
	struct ptx_inst in = {.op = (uint8_t)self->arg, .size = 4, .vec = 1};
	const struct ptx_type *td = in.op == PTX_VIDEO_SET ? &u32_type : word_type(d);
	const struct ptx_type *ta = word_type(d), *tb = word_type(d);
	int how = in.op == PTX_VIDEO_SET                             ? ptx_take_any(d, tests)
	          : in.op == PTX_VIDEO_SHL || in.op == PTX_VIDEO_SHR ? ptx_take_any(d, shifts)
	                                                             : 0;
	if (how < 0)
		ptx_unsupported(d, NULL);
	in.round = (uint8_t)how;
	in.flags =
	    (uint8_t)((td->kind == 's' ? PTX_VIDEO_DS : 0) | (ta->kind == 's' ? PTX_VIDEO_AS : 0) |
	              (tb->kind == 's' ? PTX_VIDEO_BS : 0) |
	              (ptx_take(d, ".sat") ? PTX_VIDEO_SAT : 0));
	if (in.op == PTX_VIDEO_MAD)
		take_mad(d, o, &in);
	else
		in.scalar = (uint8_t)(ptx_take_any(d, seconds) + 1);
	in.sign = part_of(d, &o[0]);
	uint32_t n = 3u + (in.op == PTX_VIDEO_MAD || in.scalar || in.sign);
	if (in.sign && (in.scalar || in.op == PTX_VIDEO_MAD))
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, n, n);
	in.rsize = part_of(d, &o[1]);
	in.asize = part_of(d, &o[2]);
	in.d = ptx_dst(d, &o[0], 4);
	in.a = ptx_src(d, &o[1], ta);
	in.b = ptx_src(d, &o[2], tb);
	if (n == 4)
		in.c = ptx_src(d, &o[3], td);
	ptx_emit_built(d, PTX_K_VIDEO, &in);
}

/* cvt.pack.sat.s8.s32.b32 d, a, b, c: a and b clamped, into the lower end of c moved up */
void ptx_decode_pack(struct ptx_dec *d)
{
	static const char *const types[] = {".u16", ".s16", ".u8", ".s8", ".u4",
	                                    ".s4",  ".u2",  ".s2", NULL};
	static const struct ptx_type b32_type = {"b32", 'b', 4};
	const struct ptx_opd *o = d->stmt->opd;
	struct ptx_inst in = {.op = PTX_VIDEO_PACK, .size = 4, .vec = 1};
	int to = ptx_take_any(d, types);
	if (!ptx_take(d, ".sat") || to < 0 || !ptx_take(d, ".s32"))
		ptx_unsupported(d, NULL);
	bool rest = to > 1;
	if (rest && !ptx_take(d, ".b32"))
		ptx_unsupported(d, NULL);
	ptx_need_operands(d, rest ? 4 : 3, rest ? 4 : 3);
	in.rsize = (uint8_t)(16 >> to / 2);
	in.flags = to & 1 ? PTX_VIDEO_DS : 0;
	in.d = ptx_dst(d, &o[0], 4);
	in.a = ptx_src(d, &o[1], &b32_type);
	in.b = ptx_src(d, &o[2], &b32_type);
	in.c = rest ? ptx_src(d, &o[3], &b32_type) : ptx_const(d, 0, 4);
	ptx_emit_built(d, PTX_K_VIDEO, &in);
}

#define BOTH(name, op)                                                                             \
	{name, decode_single, NULL, NULL, op},                                                     \
	    {name "2", decode_video, NULL, NULL, (op) | 2 << 4},                                   \
	{                                                                                          \
		name "4", decode_video, NULL, NULL, (op) | 4 << 4                                  \
	}
const struct ptx_opcode ptx_video_opcodes[] = {
    BOTH("vadd", PTX_VIDEO_ADDS),
    BOTH("vsub", PTX_VIDEO_SUB),
    BOTH("vabsdiff", PTX_VIDEO_ABSDIFF),
    BOTH("vmin", PTX_VIDEO_MIN),
    BOTH("vmax", PTX_VIDEO_MAX),
    BOTH("vset", PTX_VIDEO_SET),
    {"vshl", decode_single, NULL, NULL, PTX_VIDEO_SHL},
    {"vshr", decode_single, NULL, NULL, PTX_VIDEO_SHR},
    {"vmad", decode_single, NULL, NULL, PTX_VIDEO_MAD},
    {NULL, NULL, NULL, NULL, 0},
};
