// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_warp.c: what lanes of a warp do together, against a reference: random member masks,
 * lanes that have exited, lanes that are guarded away; and lanes that meet at two or three
 * different instructions of one operation, as the sides of a branch do.
 */
#include "tests/unit/ptx_util.h"

#define LANES 32
#define ROUNDS 60

struct lane_in { /* what a lane reads; 32 bytes */
	uint32_t path, mask, a, b, c, p;
	uint64_t wide;
};
struct lane_out {
	uint32_t value, pred;
};

struct warp_op {
	const char *text; /* $ is replaced by the number of the path: registers of its own */
	void (*ref)(const struct lane_in *in, uint32_t set,
	            struct lane_out *out); /* lanes of `set` */
};

/* ---- references */
static int lanes_of(uint32_t set)
{
	return __builtin_popcount(set);
}
#define EACH(lane, set)                                                                            \
	for (unsigned lane = 0; lane < LANES; lane++)                                              \
		if (((set) >> lane) & 1)

static void shuffle(const struct lane_in *in, uint32_t set, struct lane_out *out, char mode)
{
	EACH(i, set)
	{
		int n = (int)in[i].b & 31, clamp = (int)in[i].c & 31, seg = (int)in[i].c >> 8 & 31,
		    j;
		int low = (int)i & seg, max = low | (clamp & ~seg);
		bool ok;
		if (mode == 'u') {
			j = (int)i - n;
			ok = j >= max;
		} else if (mode == 'd') {
			j = (int)i + n;
			ok = j <= max;
		} else {
			j = mode == 'x' ? (int)i ^ n : low | (n & ~seg);
			ok = j <= max;
		}
		j = ok ? j : (int)i;
		/* PTX leaves open what comes of a lane that takes no part: 0 */
		out[i].value = (set >> (j & 31)) & 1 ? in[j & 31].a : 0;
		out[i].pred = ok;
	}
}
#define SHUFFLE(name, mode)                                                                        \
	static void name(const struct lane_in *in, uint32_t set, struct lane_out *out)             \
	{                                                                                          \
		shuffle(in, set, out, mode);                                                       \
	}
SHUFFLE(up, 'u')
SHUFFLE(down, 'd')
SHUFFLE(bfly, 'x')
SHUFFLE(idx, 'i')

static void ballot(const struct lane_in *in, uint32_t set, struct lane_out *out)
{
	uint32_t r = 0;
	EACH(i, set) r |= (in[i].p & 1) << i;
	EACH(i, set) out[i].value = r;
}
static void all_any_uni(const struct lane_in *in, uint32_t set, struct lane_out *out)
{
	int n = 0;
	EACH(i, set) n += in[i].p & 1;
	EACH(i, set)
	out[i].value = (n == lanes_of(set)) + 2 * (n > 0) + 4 * (!n || n == lanes_of(set));
}
static void match_any(const struct lane_in *in, uint32_t set, struct lane_out *out)
{
	EACH(i, set)
	{
		out[i].value = 0;
		EACH(j, set) out[i].value |= (uint32_t)(in[j].a == in[i].a) << j;
	}
}
static void match_all(const struct lane_in *in, uint32_t set, struct lane_out *out)
{
	bool same = true;
	EACH(i, set) EACH(j, set) same &= in[i].wide == in[j].wide;
	EACH(i, set) out[i] = (struct lane_out){same ? set : 0, same};
}
static void redux(const struct lane_in *in, uint32_t set, struct lane_out *out)
{
	uint32_t sum = 0, umin = ~0u, both = ~0u, one = 0, odd = 0;
	int32_t smax = INT32_MIN;
	EACH(i, set)
	{
		uint32_t v = in[i].a * 0x10000001u;
		sum += v;
		umin = v < umin ? v : umin;
		smax = (int32_t)v > smax ? (int32_t)v : smax;
		both &= v;
		one |= v;
		odd ^= v;
	}
	EACH(i, set) out[i].value = sum ^ umin ^ (uint32_t)smax ^ both ^ one ^ odd;
}
static void elect(const struct lane_in *in, uint32_t set, struct lane_out *out)
{
	EACH(i, set)
	out[i] = (struct lane_out){(uint32_t)__builtin_ctz(set), i == (unsigned)__builtin_ctz(set)};
}

static const struct warp_op ops[] = {
    {"shfl.sync.up.b32 %v$|%q$, %a$, %b$, %c$, %m$;", up},
    {"shfl.sync.down.b32 %v$|%q$, %a$, %b$, %c$, %m$;", down},
    {"shfl.sync.bfly.b32 %v$|%q$, %a$, %b$, %c$, %m$;", bfly},
    {"shfl.sync.idx.b32 %v$|%q$, %a$, %b$, %c$, %m$;", idx},
    {"vote.sync.ballot.b32 %v$, %p$, %m$;", ballot},
    {"vote.sync.all.pred %q$, %p$, %m$; selp.u32 %v$, 1, 0, %q$; vote.sync.any.pred %q$, %p$, %m$;"
     "@%q$ add.u32 %v$, %v$, 2; vote.sync.uni.pred %q$, %p$, %m$; @%q$ add.u32 %v$, %v$, 4;"
     "setp.ne.u32 %q$, 0, 0;",
     all_any_uni},
    {"match.any.sync.b32 %v$, %a$, %m$;", match_any},
    {"match.all.sync.b64 %v$|%q$, %w$, %m$;", match_all},
    {"mul.lo.u32 %a$, %a$, 0x10000001; redux.sync.add.u32 %v$, %a$, %m$;"
     "redux.sync.min.u32 %t$, %a$, %m$; xor.b32 %v$, %v$, %t$;"
     "redux.sync.max.s32 %t$, %a$, %m$; xor.b32 %v$, %v$, %t$;"
     "redux.sync.and.b32 %t$, %a$, %m$; xor.b32 %v$, %v$, %t$;"
     "redux.sync.or.b32 %t$, %a$, %m$; xor.b32 %v$, %v$, %t$;"
     "redux.sync.xor.b32 %t$, %a$, %m$; xor.b32 %v$, %v$, %t$;",
     redux},
    {"elect.sync %v$|%q$, %m$;", elect},
};

/* ---- a kernel with the operation at three places */
static void make_kernel(char *text, size_t len, const char *op)
{
	size_t n = (size_t)snprintf(
	    text, len,
	    PTX_HEAD ".visible .entry k(.param .u64 p)\n{\n"
		     ".reg .b64 %%rd<5>; .reg .b32 %%r<9>; .reg .pred %%g<4>; .reg .b32 %%a<3>, "
		     "%%b<3>, %%c<3>, %%m<3>, %%v<3>, %%t<3>; .reg .b64 %%w<3>; .reg .pred %%p<3>, "
		     "%%q<3>;\n"
		     "ld.param.u64 %%rd0, [p]; mov.u32 %%r0, %%tid.x;\n"
		     "mad.wide.u32 %%rd1, %%r0, 32, %%rd0; ld.global.u32 %%r1, [%%rd1];\n"
		     "setp.eq.u32 %%g0, %%r1, 3; @%%g0 exit;\n"
		     "setp.eq.u32 %%g1, %%r1, 1; @%%g1 bra P1; setp.eq.u32 %%g2, %%r1, 2;\n"
		     "@%%g2 bra P2; bra P0;\n");
	for (int path = 2; path >= 0; path--) { /* the first one lies last */
		n += (size_t)snprintf(
		    text + n, len - n,
		    "P%d: ld.global.u32 %%m%d, [%%rd1+4]; ld.global.u32 %%a%d, [%%rd1+8];\n"
		    "ld.global.u32 %%b%d, [%%rd1+12]; ld.global.u32 %%c%d, [%%rd1+16];\n"
		    "ld.global.u32 %%t%d, [%%rd1+20]; setp.ne.u32 %%p%d, %%t%d, 0;\n"
		    "ld.global.u64 %%w%d, [%%rd1+24]; setp.ne.u32 %%q%d, 0, 0;\n",
		    path, path, path, path, path, path, path, path, path, path);
		for (const char *p = op; *p && n + 2 < len; p++)
			text[n++] = *p == '$' ? (char)('0' + path) : *p;
		n += (size_t)snprintf(
		    text + n, len - n,
		    "\nmov.u32 %%r2, %%v%d; selp.u32 %%r3, 1, 0, %%q%d; bra out;\n", path, path);
	}
	snprintf(text + n, len - n,
	         "out: mad.wide.u32 %%rd2, %%r0, 8, %%rd0; st.global.v2.u32 [%%rd2+1024], {%%r2, "
	         "%%r3};\nret;\n}\n");
}

/* Masks that divide the lanes, paths within them at random; a few lanes exit. */
static void fill(struct lane_in *in, uint64_t *rng)
{
	unsigned width = 1u << next_random(rng) % 6, paths = 1 + (unsigned)(next_random(rng) % 3);
	uint32_t scattered = (uint32_t)next_random(rng);
	bool scatter = next_random(rng) % 3 == 0; /* two masks, neither of them a run */
	for (unsigned i = 0; i < LANES; i++) {
		uint64_t r = next_random(rng);
		uint32_t tile = width == 32 ? ~0u : ((1u << width) - 1) << (i & ~(width - 1));
		in[i] = (struct lane_in){
		    .path = r % 16 == 0 ? 3 : (uint32_t)(r >> 8) % paths,
		    .mask = scatter ? ((scattered >> i) & 1 ? scattered : ~scattered) : tile,
		    .a = (uint32_t)(r >> 16) % 5,
		    .b = (uint32_t)(r >> 24) % 34,
		    .c = (uint32_t)(r >> 32) % 4 ? 31 : (uint32_t)(r >> 34) & 0x1f1f,
		    .p = r >> 60 < 12,
		    .wide = r >> 56 < 250 ? 1ull << 40 : 0,
		};
		/* the lanes of one operation agree in how a shuffle is divided */
		if (i & (LANES - 1))
			in[i].c = in[0].c;
	}
}

static void check(const struct warp_op *op, const struct lane_in *in, const struct lane_out *got)
{
	uint32_t live = 0, done = 0;
	EACH(i, ~0u) live |= (uint32_t)(in[i].path != 3) << i;
	EACH(i, live)
	{
		if ((done >> i) & 1)
			continue;
		struct lane_out want[LANES] = {{0, 0}};
		uint32_t set = in[i].mask & live;
		op->ref(in, set, want);
		done |= set;
		EACH(j, set)
		if (got[j].value != want[j].value || got[j].pred != want[j].pred)
			ck_abort_msg("%s, lane %u of %08x at path %u: got %x %u, want %x %u",
			             op->text, j, set, in[j].path, got[j].value, got[j].pred,
			             want[j].value, want[j].pred);
	}
}

TEST(meet_anywhere)
{
	static char text[8000];
	for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++) {
		make_kernel(text, sizeof(text), ops[o].text);
		struct ptx_module *m = load_ptx(text);
		uint8_t *mem = device_alloc(NULL, 2048, 64);
		uint64_t rng = o + 1;
		for (int round = 0; round < ROUNDS; round++) {
			struct lane_in in[LANES];
			fill(in, &rng);
			memcpy(mem, in, sizeof(in));
			must_run(m, "k", (struct shape){.gx = 1, .bx = 32}, &mem);
			check(&ops[o], in, (const struct lane_out *)(const void *)(mem + 1024));
		}
		device_free(NULL, mem);
		ptx_module_free(m);
	}
}
TEST_END

/* Different operations, or one with other members, do not meet: the launch fails and says so. */
TEST(do_not_meet)
{
	static const char *const bodies[] = {
	    "@%p bra B; shfl.sync.up.b32 %r2, %r0, 1, 0, -1; bra C; B: shfl.sync.down.b32 %r2, "
	    "%r0, 1, "
	    "31, -1; C:",
	    "@%p bra B; vote.sync.any.pred %q, %p, -1; bra C; B: vote.sync.all.pred %q, %p, -1; C:",
	    "@%p bra B; shfl.sync.up.b32 %r2, %r0, 1, 0, -1; bra C; B: bar.warp.sync -1; C:",
	};
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		char text[800];
		struct ptx_error e;
		snprintf(text, sizeof(text),
		         PTX_HEAD
		         ".visible .entry k()\n{\n.reg .b32 %%r<4>; .reg .pred %%p, %%q;\n"
		         "mov.u32 %%r0, %%tid.x; setp.lt.u32 %%p, %%r0, 16;\n%s\nret;\n}\n",
		         bodies[i]);
		struct ptx_module *m = load_ptx(text);
		ck_assert_int_eq(run_ptx(m, "k", (struct shape){.gx = 1, .bx = 32}, NULL, NULL, &e),
		                 PTX_BARRIER);
		ck_assert_ptr_nonnull(strstr(e.text, "waits for lanes that never reach it"));
		ptx_module_free(m);
	}
}
TEST_END

TESTS("ptx_warp", meet_anywhere, do_not_meet)
