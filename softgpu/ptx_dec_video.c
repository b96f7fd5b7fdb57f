// SPDX-License-Identifier: Apache-2.0
/* ptx_dec_video.c: arithmetic on two halves or four bytes of a register: vadd2, vabsdiff4 … The
 * forms that select single parts of an operand are not there. */
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

#define BOTH(name, op)                                                                             \
	{name "2", decode_video, NULL, NULL, (op) | 2 << 4},                                       \
	{                                                                                          \
		name "4", decode_video, NULL, NULL, (op) | 4 << 4                                  \
	}
const struct ptx_opcode ptx_video_opcodes[] = {
    BOTH("vadd", PTX_VIDEO_ADDS), BOTH("vsub", PTX_VIDEO_SUB), BOTH("vabsdiff", PTX_VIDEO_ABSDIFF),
    BOTH("vmin", PTX_VIDEO_MIN),  BOTH("vmax", PTX_VIDEO_MAX), BOTH("vset", PTX_VIDEO_SET),
    {NULL, NULL, NULL, NULL, 0},
};
