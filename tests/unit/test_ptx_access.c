// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_access.c: loads and stores of a warp, of every type, vector and register size, in every
 * space, at addresses that are the same, neighbours or apart, by all lanes or some: the interpreter
 * takes another way for each. The reference goes lane by lane.
 */
#include "tests/unit/ptx_util.h"

#define ELEMENTS 64 /* that the memory holds */
#define AREA_MAX (ELEMENTS * 32)

struct kind {
	const char *type;
	int size;
	bool sign;
	int reg; /* bytes of a register */
};
static const struct kind kinds[] = {
    {"u8", 1, false, 2},  {"u8", 1, false, 4},  {"u8", 1, false, 8},  {"s8", 1, true, 2},
    {"s8", 1, true, 4},   {"s8", 1, true, 8},   {"u16", 2, false, 2}, {"u16", 2, false, 4},
    {"u16", 2, false, 8}, {"s16", 2, true, 2},  {"s16", 2, true, 4},  {"s16", 2, true, 8},
    {"u32", 4, false, 4}, {"u32", 4, false, 8}, {"s32", 4, true, 8},  {"f32", 4, false, 4},
    {"u64", 8, false, 8},
};
enum space { GLOBAL, SHARED, LOCAL };
static const char *const spaces[] = {"global", "shared", "local"};

/* in which order the lanes' elements lie */
enum order { FIRST, SECOND, BACKWARD, APART, PAIRS, SAME, N_ORDERS };
static uint32_t place(enum order o, uint32_t lane)
{
	switch (o) {
	case FIRST:
		return lane;
	case SECOND: /* neighbours, but not from a multiple of 16 bytes on */
		return lane + 1;
	case BACKWARD:
		return 40 - lane;
	case APART:
		return 2 * lane;
	case PAIRS:
		return lane / 2;
	default:
		return 5;
	}
}

struct params {
	const uint8_t
	    *in;          /* what the memory begins with; each lane's local memory: plus the lane */
	uint8_t *area;    /* what is in it at the end */
	uint64_t *out;    /* what was loaded, by lane and register */
	uint32_t *places; /* of loads, of stores */
	uint32_t mask;
};

static void registers(char *to, size_t size, int n)
{
	snprintf(to, size, n == 1 ? "%%v0" : n == 2 ? "{%%v0, %%v1}" : "{%%v0, %%v1, %%v2, %%v3}");
}

/* Fills the memory, loads under a guard, stores under it, shows the memory and the registers. */
static struct ptx_module *compile(const struct kind *k, int n, enum space s, bool generic)
{
	char text[6000], regs[40], show[600] = "", vec[16] = "", name[16] = "";
	int at = 0, bytes = ELEMENTS * k->size * n;
	registers(regs, sizeof(regs), n);
	if (n > 1)
		snprintf(vec, sizeof(vec), ".v%d", n);
	if (!generic)
		snprintf(name, sizeof(name), ".%s", spaces[s]);
	for (int i = 0; i < n; i++)
		at += snprintf(show + at, sizeof(show) - (size_t)at,
		               k->reg == 8 ? "mov.b64 %%w, %%v%d;" : "cvt.u64.u%d %%w, %%v%d;",
		               k->reg == 8 ? i : k->reg * 8, i),
		    at += snprintf(show + at, sizeof(show) - (size_t)at,
		                   "st.global.u64 [%%o+%d], %%w;\n", 8 * i);
	snprintf(text, sizeof(text),
	         PTX_HEAD
	         ".visible .entry k(.param .u64 in, .param .u64 area, .param .u64 out, .param .u64 "
	         "places,"
	         " .param .u32 mask)\n{\n"
	         ".reg .b64 %%in, %%area, %%o, %%p, %%m, %%w, %%a, %%c; .reg .b32 %%r<9>; .reg "
	         ".pred %%g, %%q;\n"
	         ".reg .b%d %%v<4>; .shared .align 16 .b8 sh[%d]; .local .align 16 .b8 lo[%d];\n"
	         "ld.param.u64 %%in, [in]; ld.param.u64 %%area, [area]; ld.param.u64 %%o, [out];\n"
	         "ld.param.u64 %%p, [places]; ld.param.u32 %%r0, [mask]; mov.u32 %%r1, %%tid.x;\n"
	         "mad.wide.u32 %%o, %%r1, 32, %%o; mad.wide.u32 %%p, %%r1, 4, %%p;\n"
	         "shr.u32 %%r0, %%r0, %%r1; and.b32 %%r0, %%r0, 1; setp.ne.u32 %%g, %%r0, 0;\n"
	         "%s\n"
	         /* every lane fills what it has, or all the same memory */
	         "mov.u32 %%r2, 0;\nfill: cvt.u64.u32 %%w, %%r2; add.u64 %%c, %%in, %%w;\n"
	         "ld.global.u8 %%r3, [%%c]; %s add.u64 %%c, %%m, %%w; st.%s.u8 [%%c], %%r3;\n"
	         "add.u32 %%r2, %%r2, 1; setp.lt.u32 %%q, %%r2, %d; @%%q bra fill;\n"
	         "bar.sync 0; %s\n"
	         "mov.b%d %%v0, 0; mov.b%d %%v1, 0; mov.b%d %%v2, 0; mov.b%d %%v3, 0;\n"
	         "ld.global.u32 %%r4, [%%p]; mad.wide.u32 %%c, %%r4, %d, %%a;\n"
	         "@%%g ld%s%s.%s %s, [%%c];\n%s"
	         "bar.sync 0; ld.global.u32 %%r4, [%%p+128]; mad.wide.u32 %%c, %%r4, %d, %%a;\n"
	         "@%%g st%s%s.%s [%%c], %s;\nbar.sync 0;\n"
	         "mov.u32 %%r2, 0;\nshow: cvt.u64.u32 %%w, %%r2; add.u64 %%c, %%m, %%w;\n"
	         "ld.%s.u8 %%r3, [%%c]; add.u64 %%c, %%area, %%w; %s st.global.u8 [%%c], %%r3;\n"
	         "add.u32 %%r2, %%r2, 1; setp.lt.u32 %%q, %%r2, %d; @%%q bra show;\nret;\n}\n",
	         k->reg * 8, bytes, bytes,
	         s == GLOBAL   ? "add.u64 %m, %area, 2048;"
	         : s == SHARED ? "mov.u64 %m, sh;"
	                       : "mov.u64 %m, lo; mad.wide.u32 %area, %r1, 2048, %area;",
	         s == LOCAL ? "add.u32 %r3, %r3, %r1;" : "", spaces[s], bytes,
	         generic && s == SHARED  ? "cvta.shared.u64 %a, %m;"
	         : generic && s == LOCAL ? "cvta.local.u64 %a, %m;"
	                                 : "mov.u64 %a, %m;",
	         k->reg * 8, k->reg * 8, k->reg * 8, k->reg * 8, k->size * n, name, vec, k->type,
	         regs, show, k->size * n, name, vec, k->type, regs, spaces[s], "", bytes);
	return load_ptx(text);
}

static uint64_t element(const uint8_t *p, const struct kind *k)
{
	uint64_t v = 0, low = k->reg == 8 ? ~0ull : (1ull << (k->reg * 8)) - 1;
	memcpy(&v, p, (size_t)k->size);
	if (k->sign && v >> (k->size * 8 - 1))
		v |= ~0ull << (k->size * 8 - 1);
	return v & low;
}

struct memory {
	struct params p;
	uint8_t expected[32][AREA_MAX];
	uint64_t loaded[32][4];
};

/* What the lanes see and leave behind, one after the other. */
static void model(struct memory *m, const struct kind *k, int n, enum space s, uint32_t lanes)
{
	size_t item = (size_t)k->size * (size_t)n, bytes = ELEMENTS * item;
	memset(m->loaded, 0, sizeof(m->loaded));
	for (uint32_t i = 0; i < lanes; i++)
		for (size_t b = 0; b < bytes; b++)
			m->expected[i][b] = (uint8_t)(m->p.in[b] + (s == LOCAL ? i : 0));
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < lanes; i++) {
			uint8_t *at =
			    m->expected[s == LOCAL ? i : 0] + m->p.places[32 * pass + i] * item;
			if (!((m->p.mask >> i) & 1))
				continue;
			for (int v = 0; v < n; v++, at += k->size)
				if (pass == 0)
					m->loaded[i][v] = element(at, k);
				else
					memcpy(at, &m->loaded[i][v], (size_t)k->size);
		}
}

static void run_one(const struct ptx_module *mod, struct memory *m, const struct kind *k, int n,
                    enum space s, uint32_t lanes, const char *what)
{
	size_t bytes = (size_t)(ELEMENTS * k->size * n);
	must_run(mod, "k", (struct shape){.gx = 1, .bx = lanes}, &m->p);
	model(m, k, n, s, lanes);
	for (uint32_t i = 0; i < lanes; i++)
		for (int v = 0; v < n; v++)
			ck_assert_msg(m->p.out[4 * i + (uint32_t)v] == m->loaded[i][v],
			              "%s: lane %u loaded %llx, not %llx", what, i,
			              (unsigned long long)m->p.out[4 * i + (uint32_t)v],
			              (unsigned long long)m->loaded[i][v]);
	for (uint32_t i = 0; i < (s == LOCAL ? lanes : 1); i++)
		ck_assert_msg(!memcmp(m->p.area + (size_t)i * AREA_MAX, m->expected[i], bytes),
		              "%s: memory %u differs", what, i);
}

static void run_all(const struct kind *k, int n, enum space s, bool generic, struct memory *m)
{
	static const uint32_t masks[] = {~0u, 0x0f0f3355, 1u << 9};
	struct ptx_module *mod = compile(k, n, s, generic);
	for (int load = 0; load < N_ORDERS; load++)
		for (unsigned i = 0; i < 4; i++) {
			int store =
			    (load + (int)i) % PAIRS; /* lanes do not share what they write */
			uint32_t lanes = i < 3 ? 32 : 20;
			char what[120];
			m->p.mask = masks[i % 3];
			for (uint32_t lane = 0; lane < 32; lane++) {
				m->p.places[lane] = place((enum order)load, lane);
				m->p.places[32 + lane] = place((enum order)store, lane);
			}
			snprintf(what, sizeof(what),
			         "%s.v%d.%s, registers of %d%s, orders %d and %d, mask %x",
			         spaces[s], n, k->type, k->reg, generic ? ", generic" : "", load,
			         store, m->p.mask);
			run_one(mod, m, k, n, s, lanes, what);
		}
	ptx_module_free(mod);
}

static void of_space(enum space s)
{
	struct memory *m = calloc(1, sizeof(*m));
	uint64_t rng = 1;
	uint8_t *in = device_alloc(NULL, AREA_MAX, 64);
	ck_assert_ptr_nonnull(m);
	for (int i = 0; i < AREA_MAX; i++)
		in[i] = (uint8_t)next_random(&rng);
	m->p.in = in;
	m->p.area = device_alloc(NULL, 32 * AREA_MAX, 64);
	m->p.out = device_alloc(NULL, 32 * 32, 64);
	m->p.places = device_alloc(NULL, 256, 64);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (int n = 1; n <= 4; n *= 2)
			for (int generic = 0; generic < 2; generic++)
				run_all(&kinds[i], n, s, generic, m);
	device_free(NULL, in);
	device_free(NULL, m->p.area);
	device_free(NULL, m->p.out);
	device_free(NULL, m->p.places);
	free(m);
}

TEST(global_memory)
{
	of_space(GLOBAL);
}
TEST_END

TEST(shared_memory)
{
	of_space(SHARED);
}
TEST_END

TEST(local_memory)
{
	of_space(LOCAL);
}
TEST_END

TESTS("ptx_access", global_memory, shared_memory, local_memory)
