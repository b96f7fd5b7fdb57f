// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_errors.c: what is malformed or unsupported fails to load, and what goes wrong at run
 * time fails the launch; each with one line that names line, instruction, kernel, thread, address.
 * And a short fuzz: no text may crash the loader.
 */
#include "tests/unit/ptx_kernels.h"
#include "tests/unit/ptx_util.h"

#define KERNEL(body)                                                                               \
	PTX_HEAD ".visible .entry k(.param .u64 p)\n{\n"                                           \
		 ".reg .pred %p<4>; .reg .b16 %h<4>; .reg .b32 %r<9>; .reg .b64 %d<4>; "           \
		 ".reg .f32 %f<4>;\n" body "\nret;\n}\n"
#define LINE 7 /* of the body's first line */

static const struct {
	const char *text;
	enum ptx_status status;
	int line;
	const char *says;
} loads[] = {
    {KERNEL("wgmma.fence.sync.aligned;"), PTX_UNSUPPORTED, LINE,
     "unsupported instruction 'wgmma.fence.sync.aligned'; kernel 'k'"},
    {KERNEL("wmma.load.a.sync.aligned.row.m16n16k16.f16 {%r0}, [%d0];"), PTX_BAD_SYNTAX, LINE,
     "the number of registers differs from the fragment's"},
    {KERNEL("mma.sync.aligned.m16n8k8.row.row.f32.f16.f16.f32 {%f0}, {%r0}, {%r1}, {%f1};"),
     PTX_UNSUPPORTED, LINE, "layout other than .row.col"},
    {KERNEL("mma.sync.aligned.m16n8k8.row.col.f32.s8.s8.s32 {%f0}, {%r0}, {%r1}, {%f1};"),
     PTX_UNSUPPORTED, LINE, "shape"},
    {KERNEL("mma.sync.aligned.m16n8k4.row.col.f32.f32.f32.f32 {%f0}, {%r0}, {%r1}, {%f1};"),
     PTX_UNSUPPORTED, LINE, "shape"},
    {KERNEL("\nmov.u32 %r0, 1;\ntex.2dms.v4.f32.s32 {%f0,%f1,%f2,%f3}, [%d0, {%r0,%r1,%r2,%r2}];"),
     PTX_UNSUPPORTED, LINE + 2, "tex.2dms.v4.f32.s32"},
    {KERNEL("add.u8 %h0, %h1, %h2;"), PTX_UNSUPPORTED, LINE, "'add.u8'"},
    {KERNEL("add.relu.f32 %f0, %f1, %f2;"), PTX_UNSUPPORTED, LINE, "'.relu'"},
    {KERNEL("mov.u32 %r0, %pm0;"), PTX_UNSUPPORTED, LINE, "%pm0"},
    {KERNEL("call (%r0), %d0, (%r1), proto;"), PTX_BAD_SYNTAX, LINE, ".callprototype"},
    {KERNEL("mov.u64 %d0, vprintf;"), PTX_BAD_SYNTAX, LINE, "not declared"},
    {KERNEL("foo.bar %r0;"), PTX_UNSUPPORTED, LINE, "'foo.bar'"},
    {KERNEL("add.u32 %r0, %r1;"), PTX_BAD_SYNTAX, LINE, "operands"},
    {KERNEL("add.u32 %r0, %r1, %d2;"), PTX_BAD_SYNTAX, LINE, "size"},
    {KERNEL("add.u32 %r0, %r1, %r9;"), PTX_BAD_SYNTAX, LINE, "'%r9' is not declared"},
    {KERNEL("add.u32 %r0, %r1, %p1;"), PTX_BAD_SYNTAX, LINE, "register or constant"},
    {KERNEL("add.f32 %f0, %f1, 1;"), PTX_BAD_SYNTAX, LINE, "floating-point"},
    {KERNEL("bra nowhere;"), PTX_BAD_SYNTAX, LINE, "label 'nowhere'"},
    {KERNEL("\n@%r0 bra x; x:"), PTX_BAD_SYNTAX, LINE + 1, "guard"},
    {KERNEL("x: x: bra x;"), PTX_BAD_SYNTAX, LINE, "label 'x' is there twice"},
    {KERNEL("ld.global.u32 %r0, %d0;"), PTX_BAD_SYNTAX, LINE, "brackets"},
    {KERNEL("ld.global.v2.u32 {%r0}, [%d0];"), PTX_BAD_SYNTAX, LINE, "number of registers"},
    {KERNEL("ld.param.u64 %d0, [p+4];"), PTX_BAD_SYNTAX, LINE, "outside the parameters"},
    {KERNEL("ld.global.u32 %r0, [q];"), PTX_BAD_SYNTAX, LINE, "'q' is not declared"},
    {KERNEL("mov.u32 %r0, 0x12z;"), PTX_BAD_SYNTAX, LINE, "bad number"},
    {KERNEL("mov.u32 %r0, \"x\";"), PTX_BAD_SYNTAX, LINE, "operand expected"},
    {KERNEL("mov.u32 %r0, 1"), PTX_BAD_SYNTAX, LINE + 1, "expected"},
    {KERNEL("{ add.u32 %r0, %r1, %r2;"), PTX_BAD_SYNTAX, 5, "not closed"},
    {"", PTX_BAD_SYNTAX, 1, "PTX begins with"},
    {"hello", PTX_BAD_SYNTAX, 1, "PTX begins with"},
    {".version 8.0\n.address_size 64\n", PTX_BAD_SYNTAX, 1, "no .target"},
    {".version 8.0\n.target sm_90\n.address_size 32\n", PTX_UNSUPPORTED, 3, "address_size"},
    {PTX_HEAD ".global .texref t;\n", PTX_UNSUPPORTED, 4, "texref"},
    {PTX_HEAD ".global .u32 x[2] = {1, 2, 3};\n", PTX_BAD_SYNTAX, 4, "more initial values"},
    {PTX_HEAD ".global .u32 x;\n.global .u32 x;\n", PTX_BAD_SYNTAX, 5, "twice"},
    {PTX_HEAD "/* never closed\n", PTX_BAD_SYNTAX, 4, "comment"},
    {PTX_HEAD ".func (.reg .u32 r) f(.reg .u32 a)\n{ ret; }\n.entry k()\n{\n.reg .u32 x;\n"
              "call (x), f, (x); ret; }\n",
     PTX_UNSUPPORTED, 9, "parameters in registers"},
    {PTX_HEAD ".extern .func f;\n.global .u64 p = f;\n", PTX_UNSUPPORTED, 5, "external"},
    {PTX_HEAD ".extern .func f;\n.entry k()\n{\ncall f; ret; }\n", PTX_UNSUPPORTED, 7,
     "external function 'f'"},
};

TEST(load_errors)
{
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		struct ptx_module *m = NULL;
		struct ptx_error e;
		enum ptx_status s =
		    ptx_module_load(loads[i].text, strlen(loads[i].text), &device, &m, &e);
		if (m && loads[i].status == PTX_UNSUPPORTED) { /* its kernel is refused */
			ck_assert_int_eq(s, PTX_OK);
			s = run_ptx(m, "k", (struct shape){.gx = 1, .bx = 1}, &m, NULL, &e);
			ck_assert_ptr_nonnull(strstr(e.text, "kernel 'k'"));
			ptx_module_free(m);
			m = NULL;
		}
		ck_assert_msg(s == loads[i].status && e.line == loads[i].line &&
		                  strstr(e.text, loads[i].says) && !strchr(e.text, '\n'),
		              "status %d, line %d, '%s' for:\n%s", s, e.line, e.text,
		              loads[i].text);
		ck_assert_ptr_null(m);
	}
	ck_assert_int_eq(device_n, 0); /* variables of failed modules are given back */
}
TEST_END

/* Only kernels that reach what is unsupported cannot be launched. */
TEST(refused_kernels)
{
	struct ptx_module *m = load_ptx(
	    PTX_HEAD ".func f()\n{\nfoo.bar;\nret;\n}\n"
		     ".entry bad()\n{\ncall f;\nret;\n}\n"
		     ".entry good(.param .u64 p)\n{ .reg .b64 %d; .reg .b32 %r;\n"
		     "ld.param.u64 %d, [p]; mov.u32 %r, 7; st.global.u32 [%d], %r; ret; }\n"
		     ".entry worse()\n{ .reg .b128 %q; ret; }\n");
	uint32_t *buf = device_alloc(NULL, 64, 64);
	struct ptx_error e;
	struct shape one = {.gx = 1, .bx = 1};
	ck_assert_int_eq(run_ptx(m, "bad", one, NULL, NULL, &e), PTX_UNSUPPORTED);
	ck_assert_int_eq(e.line, 6);
	ck_assert_str_eq(e.text, "unsupported instruction 'foo.bar'; kernel 'bad'");
	must_run(m, "good", one, &buf);
	ck_assert_uint_eq(buf[0], 7);
	ck_assert_int_eq(run_ptx(m, "worse", one, NULL, NULL, &e), PTX_UNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(e.text, ".b128"));
	ptx_module_free(m);
	device_free(NULL, buf);
}
TEST_END

struct failure {
	const char *text;
	enum ptx_status status;
	uint32_t threads;
	const char *says[3];
};
static const struct failure failures[] = {
    {KERNEL("mov.u64 %d0, 4096; st.global.u32 [%d0], %r0;"),
     PTX_ILLEGAL_ADDRESS,
     32,
     {"0x1000", "global store of 4 bytes", "kernel 'k'"}},
    {KERNEL("mov.u32 %r0, %tid.x; ld.param.u64 %d0, [p]; mul.wide.u32 %d1, %r0, 4;"
            "add.u64 %d0, %d0, %d1; ld.global.u32 %r1, [%d0];"),
     PTX_ILLEGAL_ADDRESS,
     40,
     {"thread (16,0,0)", "block (0,0,0)", "load"}},
    {KERNEL("ld.param.u64 %d0, [p]; ld.global.u32 %r1, [%d0+2];"),
     PTX_MISALIGNED,
     1,
     {"misaligned", "4 bytes", "thread (0,0,0)"}},
    {KERNEL("ld.param.u64 %d0, [p]; ld.global.v4.f32 {%f0,%f1,%f2,%f3}, [%d0+8];"),
     PTX_MISALIGNED,
     32,
     {"16 bytes", "global", "kernel"}},
    {KERNEL(".shared .b32 s[4]; mov.u32 %r0, %tid.x; mul.lo.u32 %r0, %r0, 4; mov.u32 %r1, s;"
            "add.u32 %r0, %r0, %r1; st.shared.u32 [%r0], 1;"),
     PTX_ILLEGAL_ADDRESS,
     32,
     {"shared", "thread (4,0,0)", "0x10"}},
    {KERNEL(".local .b32 l[4]; mov.u64 %d0, l; ld.local.u32 %r0, [%d0+4096];"),
     PTX_ILLEGAL_ADDRESS,
     32,
     {"local", "0x1000", ""}},
    {KERNEL("mov.u64 %d0, 64; ld.param.u32 %r0, [%d0];"),
     PTX_ILLEGAL_ADDRESS,
     32,
     {"parameter", "0x40", ""}},
    {KERNEL("ld.param.u64 %d0, [p]; atom.global.add.u32 %r0, [%d0+64], 1;"),
     PTX_ILLEGAL_ADDRESS,
     32,
     {"atomic", "4 bytes", ""}},
    {KERNEL("mov.u32 %r0, %tid.x; setp.eq.u32 %p1, %r0, 33; @%p1 trap;"),
     PTX_TRAP,
     64,
     {"trap", "thread (33,0,0)", "block (0,0,0)"}},
    {KERNEL("brkpt;"), PTX_TRAP, 1, {"thread (0,0,0)", "", ""}},
    {KERNEL("mov.u32 %r0, %tid.x; setp.ge.u32 %p1, %r0, 32; @%p1 bra B;"
            "bar.sync 0; bra C; B: bar.sync 1; C:"),
     PTX_BARRIER,
     64,
     {"barrier", "kernel 'k'", ""}},
    {KERNEL("bar.sync 0, 96;"), PTX_BARRIER, 64, {"barrier", "", ""}},
    {KERNEL("bar.sync 16;"), PTX_BARRIER, 64, {"barrier 16", "", ""}},
    {KERNEL("mov.u32 %r0, %tid.x; setp.ge.u32 %p1, %r0, 8; @%p1 bra B;"
            "bar.sync 0; bra C; B: bar.sync 1; C:"),
     PTX_BARRIER,
     32,
     {"different barriers", "", ""}},
    {KERNEL("mov.u32 %r0, %tid.x; setp.ge.u32 %p1, %r0, 8; @%p1 bra B;"
            "shfl.sync.idx.b32 %r1, %r0, 0, 31, -1; bra C; B: bar.sync 0; C:"),
     PTX_BARRIER,
     32,
     {"never reach", "", ""}},
};

TEST(run_errors)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		const struct failure *f = &failures[i];
		struct ptx_error e;
		void *buf = device_alloc(NULL, 64, 64);
		struct ptx_module *m = load_ptx(f->text);
		enum ptx_status s =
		    run_ptx(m, "k", (struct shape){.gx = 1, .bx = f->threads}, &buf, NULL, &e);
		ck_assert_msg(s == f->status && e.line == LINE && strstr(e.text, f->says[0]) &&
		                  strstr(e.text, f->says[1]) && strstr(e.text, f->says[2]),
		              "status %d, line %d, '%s' for:\n%s", s, e.line, e.text, f->text);
		ptx_module_free(m);
		device_free(NULL, buf);
	}
}
TEST_END

TEST(bad_launches)
{
	struct ptx_module *m =
	    load_ptx(PTX_HEAD ".extern .shared .b8 d[];\n"
	                      ".entry k(.param .u32 x) .maxntid 256, 1, 1 { ret; }\n"
	                      ".entry r() .reqntid 8, 4, 1 { ret; }\n");
	struct ptx_error e;
	uint32_t x = 0;
	struct shape ok = {.gx = 1, .bx = 256}, s = ok;
	ck_assert_int_eq(run_ptx(m, "k", ok, &x, NULL, &e), PTX_OK);
	ck_assert_int_eq(run_ptx(m, "k", ok, NULL, NULL, &e), PTX_BAD_LAUNCH);
	s.gx = 0;
	ck_assert_int_eq(run_ptx(m, "k", s, &x, NULL, &e), PTX_BAD_LAUNCH);
	s = ok;
	s.bx = 257;
	ck_assert_int_eq(run_ptx(m, "k", s, &x, NULL, &e), PTX_BAD_LAUNCH);
	ck_assert_ptr_nonnull(strstr(e.text, "256 threads"));
	s = ok;
	s.dynamic_shared = 300000;
	ck_assert_int_eq(run_ptx(m, "k", s, &x, NULL, &e), PTX_BAD_LAUNCH);
	s = (struct shape){.gx = 1, .bx = 8, .by = 4};
	ck_assert_int_eq(run_ptx(m, "r", s, NULL, NULL, &e), PTX_OK);
	s.bx = 32;
	s.by = 1;
	ck_assert_int_eq(run_ptx(m, "r", s, NULL, NULL, &e), PTX_BAD_LAUNCH);
	ck_assert_ptr_null(ptx_kernel_find(m, "absent"));
	ck_assert_uint_eq(ptx_kernel_count(m), 2);
	ptx_module_free(m);
}
TEST_END

static void mutate(char *t, size_t *n, size_t cap, uint64_t *rng)
{
	static const char *const words[] = {".u32",     ".f64",
	                                    ".pred",    ".v4",
	                                    ".shared",  ".s16",
	                                    ".wide",    "4294967295",
	                                    "-1",       "%rd1",
	                                    "%p1",      "%f1",
	                                    "%tid.x",   "99999999999999999999",
	                                    ".sync",    ".rz",
	                                    ".cc",      "0f00000000",
	                                    "_",        "{%r1,%r2}",
	                                    "[%rd1+4]", ".reg .b64 %q<5>;",
	                                    "{",        "}",
	                                    ";",        "@"};
	size_t at = next_random(rng) % *n, from = next_random(rng) % *n,
	       len = next_random(rng) % 40;
	switch (next_random(rng) % 5) {
	case 0:
		t[at] = (char)next_random(rng);
		break;
	case 1:
		t[at] = "0123456789%{}()[];,.:rfpsb_-+!@"[next_random(rng) % 31];
		break;
	case 2:
		if (at + len < *n && from + len < *n)
			memmove(t + at, t + from, len);
		break;
	case 3:
		if (at + len < *n) {
			memmove(t + at, t + at + len, *n - at - len);
			*n -= len;
		}
		break;
	default: {
		const char *w = words[next_random(rng) % (sizeof(words) / sizeof(words[0]))];
		size_t k = strlen(w);
		if (*n + k < cap) {
			memmove(t + at + k, t + at, *n - at);
			for (size_t i = 0; i < k; i++)
				t[at + i] = w[i];
			*n += k;
		}
	}
	}
}

/* However deep the brackets are. */
TEST(deep_nesting)
{
	static const char *const opens[] = {"[", "{", "(", "{[", "-", "{.reg .b32 q;", "/**/@"};
	enum { N = 50000 };
	char *t = malloc(N * 16 + 1000);
	ck_assert_ptr_nonnull(t);
	for (size_t k = 0; k < sizeof(opens) / sizeof(opens[0]); k++) {
		for (int operand = 0; operand < 2; operand++) {
			struct ptx_module *m;
			struct ptx_error e;
			size_t n = (size_t)sprintf(t, PTX_HEAD ".entry k()\n{\n%s",
			                           operand ? "ld.u32 %r0, " : "");
			for (int i = 0; i < N; i++)
				n += (size_t)sprintf(t + n, "%s", opens[k]);
			ck_assert_int_ne(ptx_module_load(t, n, &device, &m, &e), PTX_OK);
			/* closed, so that it is not refused at once */
			for (int i = 0; i < N && opens[k][0] != '-'; i++)
				t[n++] = opens[k][0] == '[' ? ']' : opens[k][0] == '(' ? ')' : '}';
			ck_assert_int_ne(ptx_module_load(t, n, &device, &m, &e), PTX_OK);
		}
	}
	free(t);
}
TEST_END

TEST(mutated_texts)
{
	uint64_t rng = 7;
	size_t cap = sizeof(nvcc_kernels) + 1000, loaded = 0;
	char *t = malloc(cap);
	ck_assert_ptr_nonnull(t);
	for (int i = 0; i < 1500; i++) {
		size_t n = sizeof(nvcc_kernels) - 1;
		struct ptx_module *m;
		struct ptx_error e;
		memcpy(t, nvcc_kernels, n);
		for (uint64_t k = next_random(&rng) % 3 + 1; k; k--)
			mutate(t, &n, cap, &rng);
		enum ptx_status s = ptx_module_load(t, n, &device, &m, &e);
		ck_assert_msg(s == PTX_OK || (e.text[0] && !m), "no reason given, status %d", s);
		loaded += s == PTX_OK;
		ptx_module_free(m);
	}
	ck_assert_uint_gt(loaded, 0);
	free(t);
}
TEST_END

TESTS("ptx_errors", load_errors, refused_kernels, run_errors, bad_launches, deep_nesting,
      mutated_texts)
