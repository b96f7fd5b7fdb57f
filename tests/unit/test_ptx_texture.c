// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_texture.c: texture and surface instructions: each form that nvcc emits is read, the
 * others are refused by name; addressing, filters, cubes' edges, levels, queries and what lies
 * outside, on images in plain memory. Whole programs are in tests/cudart/.
 */
#include <math.h>

#include "softgpu/ptx_texture.h"
#include "tests/unit/ptx_util.h"

enum { SIDE = 4, FACES = 6 };
static float texels[FACES][SIDE][SIDE];

static struct ptx_image plain(void)
{
	struct ptx_image t = {.n_levels = 1,
	                      .channels = 1,
	                      .bytes = 4,
	                      .texel = PTX_TEXEL_FLOAT,
	                      .border = {PTX_CLAMP, PTX_CLAMP, PTX_CLAMP}};
	t.level[0] = (struct ptx_level){(uint64_t)(uintptr_t)texels,
	                                SIDE,
	                                SIDE,
	                                FACES,
	                                sizeof(texels[0][0]),
	                                sizeof(texels[0])};
	for (int i = 0; i < FACES * SIDE * SIDE; i++)
		((float *)texels)[i] = (float)i;
	return t;
}

static float sample(const struct ptx_image *t, enum ptx_geometry g, float x, float y, float z,
                    uint32_t layer, float lod)
{
	union ptx_texel_value v[4];
	struct ptx_place p = {{x, y, z}, layer};
	ptx_texture_sample(t, g, &p, lod, v);
	return v[0].f;
}

/* ---- the sampler */

TEST(points_and_edges)
{
	struct ptx_image t = plain();
	ck_assert_float_eq(sample(&t, PTX_2D, 1.99f, 2.0f, 0, 0, 0), 9);
	ck_assert_float_eq(sample(&t, PTX_2D, -3, 9, 0, 0, 0), 12);
	ck_assert_float_eq(sample(&t, PTX_2D, NAN, 1, 0, 0, 0), 4);
	ck_assert_float_eq(sample(&t, PTX_2D, INFINITY, -INFINITY, 0, 0, 0), 3);
	t.border[0] = PTX_WRAP; /* which needs normalized coordinates */
	ck_assert_float_eq(sample(&t, PTX_2D, 5, 0, 0, 0, 0), 3);
	t.normalized = true;
	ck_assert_float_eq(sample(&t, PTX_2D, 1.25f, 0, 0, 0, 0), 1);
	ck_assert_float_eq(sample(&t, PTX_2D, -0.25f, 0, 0, 0, 0), 3);
	t.border[0] = PTX_MIRROR;
	ck_assert_float_eq(sample(&t, PTX_2D, 1.26f, 0, 0, 0, 0), 2);
	ck_assert_float_eq(sample(&t, PTX_2D, -0.01f, 0, 0, 0, 0), 0);
	t.border[0] = PTX_BORDER;
	t.colour[0] = 77;
	ck_assert_float_eq(sample(&t, PTX_2D, 1.01f, 0, 0, 0, 0), 77);
}
TEST_END

TEST(linear_weights_have_eight_bits)
{
	struct ptx_image t = plain();
	t.linear = true;
	ck_assert_float_eq(sample(&t, PTX_2D, 1.0f, 0.5f, 0, 0, 0), 0.5f);
	ck_assert_float_eq(sample(&t, PTX_2D, 0.5f + 1 / 256.0f, 0.5f, 0, 0, 0), 1 / 256.0f);
	ck_assert_float_eq(sample(&t, PTX_2D, 0.5f + 1 / 1024.0f, 0.5f, 0, 0, 0), 0);
	ck_assert_float_eq(sample(&t, PTX_3D, 1.0f, 1.0f, 1.0f, 0, 0), 0.5f + 2 + 8);
	ck_assert_float_eq(sample(&t, PTX_A2D, 1.0f, 0.5f, 0, 2, 0), 32.5f);
	ck_assert_float_eq(sample(&t, PTX_A2D, 1.0f, 0.5f, 0, (uint32_t)-1, 0), 0.5f);
	ck_assert_float_eq(sample(&t, PTX_A2D, 1.0f, 0.5f, 0, 99, 0), 80.5f);
	t.border[0] = t.border[1] = PTX_BORDER; /* half of it is the border's colour */
	ck_assert_float_eq(sample(&t, PTX_2D, 4.0f, 0.5f, 0, 0, 0), 1.5f);
}
TEST_END

TEST(integers)
{
	static const uint8_t bytes[4][2] = {{255, 128}, {0, 1}, {51, 7}, {9, 9}};
	struct ptx_image t = plain();
	union ptx_texel_value v[4];
	const int32_t at[3] = {2, 0, 0}, outside[3] = {4, 0, 0};
	t.level[0] = (struct ptx_level){(uint64_t)(uintptr_t)bytes, 4, 1, 1, 8, 8};
	t.bytes = 1;
	t.channels = 2;
	t.texel = PTX_TEXEL_UNSIGNED;
	ptx_texture_fetch(&t, PTX_1D, at, 0, 0, v);
	ck_assert_uint_eq(v[0].u, 51);
	ck_assert_uint_eq(v[1].u, 7);
	ck_assert_uint_eq(v[2].u, 0);
	ptx_texture_fetch(&t, PTX_1D, outside, 0, 0, v);
	ck_assert_uint_eq(v[0].u, 9); /* the nearest one of an array */
	t.rows = true;
	ptx_texture_fetch(&t, PTX_1D, outside, 0, 0, v);
	ck_assert_uint_eq(v[0].u, 0); /* nothing beyond linear memory */
	t.promoted = true;
	ck_assert_float_eq(sample(&t, PTX_1D, 2, 0, 0, 0, 0), 0.2f);
	t.srgb = true; /* 0.2 of sRGB */
	ck_assert(fabsf(sample(&t, PTX_1D, 2, 0, 0, 0, 0) - 0.0331f) < 1e-4f);
	t.texel = PTX_TEXEL_SIGNED;
	t.srgb = false;
	ck_assert_float_eq(sample(&t, PTX_1D, 0, 0, 0, 0, 0), -1 / 127.0f);
}
TEST_END

TEST(cubes_and_their_edges)
{
	struct ptx_image t = plain();
	t.cube = true;
	/* the middle of the texel (3, 1) of face +z: s = 0.75, t = -0.25 */
	ck_assert_float_eq(sample(&t, PTX_CUBE, 0.75f, 0.25f, 1, 0, 0), 4 * 16 + 1 * 4 + 3);
	ck_assert_float_eq(sample(&t, PTX_CUBE, 7.5f, 2.5f, 10, 0, 0), 4 * 16 + 1 * 4 + 3);
	ck_assert_float_eq(sample(&t, PTX_CUBE, 0, 0, 0, 0, 0), 2 * 4 + 2);
	ck_assert_float_eq(sample(&t, PTX_CUBE, NAN, 1, 1, 0, 0), 2 * 16 + 2 * 4 + 2);
	ck_assert_float_eq(sample(&t, PTX_CUBE, INFINITY, INFINITY, 1, 0, 0), 2 * 4 + 2);
	t.linear = true;
	/* at the edge from +z to +x: clamped to one face, or half of each */
	float clamped = sample(&t, PTX_CUBE, 1 - 1e-6f, 0.25f, 1, 0, 0);
	ck_assert_float_eq(clamped, 4 * 16 + 1 * 4 + 3);
	t.seamless = true;
	float both = sample(&t, PTX_CUBE, 1 - 1e-6f, 0.25f, 1, 0, 0);
	ck_assert_float_eq(both, (4 * 16 + 1 * 4 + 3 + 0 * 16 + 1 * 4 + 0) / 2.0f);
}
TEST_END

TEST(levels)
{
	static float second[2][2] = {{100, 101}, {102, 103}};
	struct ptx_image t = plain();
	t.n_levels = 2;
	t.level[1] = (struct ptx_level){(uint64_t)(uintptr_t)second, 2, 2, 1, 8, 16};
	t.normalized = true;
	ck_assert_float_eq(sample(&t, PTX_2D, 0.9f, 0.9f, 0, 0, 1), 15); /* max_lod is 0 */
	t.max_lod = 10;
	ck_assert_float_eq(sample(&t, PTX_2D, 0.9f, 0.9f, 0, 0, 1), 103);
	ck_assert_float_eq(sample(&t, PTX_2D, 0.9f, 0.9f, 0, 0, 0.4f), 15);
	ck_assert_float_eq(sample(&t, PTX_2D, 0.9f, 0.9f, 0, 0, 99), 103);
	t.mip_linear = true;
	ck_assert_float_eq(sample(&t, PTX_2D, 0.9f, 0.9f, 0, 0, 0.25f), 15 + 22);
	t.bias = 0.75f;
	ck_assert_float_eq(sample(&t, PTX_2D, 0.9f, 0.9f, 0, 0, 0.25f), 103);
	struct ptx_place p = {{0.5f, 0.5f, 0}, 0};
	const float dx[3] = {0.5f, 0, 0}, dy[3] = {0, 0.25f, 0}, none[3] = {0};
	ck_assert_float_eq(ptx_texture_lod(&t, PTX_2D, &p, dx, dy), 1);
	ck_assert_float_lt(ptx_texture_lod(&t, PTX_2D, &p, none, none), -100);
}
TEST_END

TEST(surfaces_keep_to_their_rows)
{
	struct ptx_image s = plain();
	uint64_t base = (uint64_t)(uintptr_t)texels;
	const struct {
		int32_t x, y, z;
		uint32_t bytes;
		int64_t at, clamped; /* -1: outside */
	} cases[] = {
	    {4, 1, 2, 4, 148, 148}, {12, 3, 5, 4, 380, 380}, {16, 0, 0, 4, -1, 12},
	    {12, 0, 0, 8, -1, 8},   {-4, 0, 0, 4, -1, 0},    {0, 4, 0, 4, -1, 48},
	    {0, 0, 6, 4, -1, 320},  {2, 0, 0, 4, -1, -1}, /* misaligned */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const int32_t at[3] = {cases[i].x, cases[i].y, cases[i].z};
		uint64_t a = ptx_surface_at(&s, at, cases[i].bytes, false);
		uint64_t c = ptx_surface_at(&s, at, cases[i].bytes, true);
		ck_assert_int_eq(a ? (int64_t)(a - base) : -1, cases[i].at);
		ck_assert_int_eq(c ? (int64_t)(c - base) : -1, cases[i].clamped);
	}
}
TEST_END

/* ---- the instructions */

#define HANDLE 5u
static struct ptx_image bound;
static int asked;

static bool image(void *self, uint64_t handle, bool surface, struct ptx_image *out)
{
	asked++;
	*out = bound;
	return handle == HANDLE + surface;
}

static const struct ptx_memory with_images = {
    .check = device_check, .alloc = device_alloc, .free = device_free, .image = image};

#define HEAD                                                                                       \
	PTX_HEAD                                                                                   \
	".visible .entry k(.param .u64 out, .param .u64 tex, .param .u64 surf)\n"                  \
	"{\n.reg .b64 %rd<9>; .reg .f32 %f<40>; .reg .b32 %r<40>; .reg .b16 %h<9>; .reg "          \
	".pred %p;\n"                                                                              \
	"ld.param.u64 %rd1, [out]; ld.param.u64 %rd2, [tex]; ld.param.u64 %rd3, [surf];\n"         \
	"mov.u32 %r1, %tid.x; cvt.rn.f32.u32 %f1, %r1; mov.f32 %f2, 0f3F800000;\n"                 \
	"mad.wide.u32 %rd1, %r1, 4, %rd1;\n"

static enum ptx_status run(const char *body, uint64_t tex, uint64_t surf, uint32_t *out,
                           struct ptx_error *err)
{
	char text[2000];
	struct ptx_module *m;
	struct ptx_result res;
	snprintf(text, sizeof(text), "%s%s\nret;\n}\n", HEAD, body);
	enum ptx_status s = ptx_module_load(text, strlen(text), &with_images, &m, err);
	ck_assert_msg(s == PTX_OK, "%s: %s", body, err->text);
	uint64_t params[3] = {(uint64_t)(uintptr_t)out, tex, surf};
	struct ptx_launch l = {
	    .grid = {1, 1, 1}, .block = {32, 1, 1}, .params = params, .n_sms = 1, .max_workers = 1};
	s = ptx_run(ptx_kernel_find(m, "k"), &l, &with_images, &res, err);
	ptx_module_free(m);
	return s;
}

TEST(every_form_runs)
{
	static const struct {
		const char *text;
		float lane3;
	} forms[] = {
	    {"tex.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%f1, %f2}];", 7},
	    {"tex.base.2d.v4.f32.f32 {%f4, _, _, _}|%p, [%rd2, {%f1, %f2}]; @!%p mov.f32 %f4, "
	     "0f00000000;",
	     7},
	    {"tex.1d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%f1}];", 3},
	    {"tex.1d.v4.f32.s32 {%f4, %f5, %f6, %f7}, [%rd2, {%r1}];", 3},
	    {"tex.1d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, %f1];", 3},
	    {"tex.2d.v4.f32.s32 {%f4, %f5, %f6, %f7}, [%rd2, {%r1, 2}];", 11},
	    {"tex.3d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%f1, %f2, %f1, %f1}];", 55},
	    {"tex.a1d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%r1, %f2}];", 49},
	    {"tex.a2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%r1, %f2, %f1, %f1}];", 61},
	    {"tex.cube.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%f1, %f2, %f2, %f2}];", 5},
	    {"tex.acube.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%r1, %f1, %f2, %f2}];", 5},
	    {"tex.level.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%f1, %f2}], %f2;", 7},
	    {"tex.level.2d.v4.f32.s32 {%f4, %f5, %f6, %f7}, [%rd2, {%r1, %r1}], %r1;", 15},
	    {"tex.grad.1d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%f1}], {%f1}, {%f2};", 3},
	    {"tex.grad.3d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%f1, %f2, %f2, %f2}], "
	     "{%f1, %f1, %f1, %f1}, {%f2, %f2, %f2, %f2};",
	     23},
	    {"tld4.r.2d.v4.f32.f32 {%f5, %f6, %f7, %f4}, [%rd2, {%f1, %f2}];", 2},
	    {"tex.2d.v2.f16x2.f32 {%r4, %r5}, [%rd2, {%f1, %f2}]; mov.b32 {%h1, %h2}, %r4; "
	     "cvt.f32.f16 %f4, %h1;",
	     7},
	    {"txq.width.b32 %r4, [%rd2]; cvt.rn.f32.u32 %f4, %r4;", SIDE},
	    {"txq.depth.b32 %r4, [%rd2]; cvt.rn.f32.u32 %f4, %r4;", FACES},
	    {"txq.level.height.b32 %r4, [%rd2], 9; cvt.rn.f32.u32 %f4, %r4;", SIDE},
	    {"suq.height.b32 %r4, [%rd3]; cvt.rn.f32.u32 %f4, %r4;", SIDE},
	    {"suld.b.2d.b32.trap {%r4}, [%rd3, {0, 2}]; mov.b32 %f4, %r4;", 8},
	    {"suld.b.2d.b32.zero %r4, [%rd3, {16, 2}]; mov.b32 %f4, %r4;", 0},
	    {"suld.b.2d.v2.b32.clamp {%r5, %r4}, [%rd3, {16, 2}]; mov.b32 %f4, %r4;", 11},
	    {"suld.b.a2d.v2.b16.trap {%h1, %h2}, [%rd3, {2, 4, 1, 1}]; mov.b32 %f4, {%h1, %h2};",
	     37},
	    {"suld.b.3d.v2.b64.trap {%rd4, %rd5}, [%rd3, {0, 1, 1, 1}]; cvt.u32.u64 %r4, %rd5; "
	     "mov.b32 %f4, %r4;",
	     22},
	};
	struct ptx_error err;
	float out[32];
	bound = plain();
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		char body[600];
		snprintf(body, sizeof(body), "%s st.global.f32 [%%rd1], %%f4;", forms[i].text);
		uint32_t *device_out = device_alloc(NULL, sizeof(out), 64);
		asked = 0;
		enum ptx_status s = run(body, HANDLE, HANDLE + 1, device_out, &err);
		ck_assert_msg(s == PTX_OK, "%s: %s", forms[i].text, err.text);
		ck_assert_int_eq(asked, 1); /* once a block, not once a lane */
		memcpy(out, device_out, sizeof(out));
		device_free(NULL, device_out);
		ck_assert_msg(out[3] == forms[i].lane3, "%s: %g, not %g", forms[i].text,
		              (double)out[3], (double)forms[i].lane3);
	}
}
TEST_END

TEST(stores_and_reductions)
{
	struct ptx_error err;
	uint32_t *out = device_alloc(NULL, 128, 64);
	bound = plain();
	ck_assert_int_eq(run("mov.b32 %r4, 0f42C80000; @%p bra L; L:\n"
	                     "sust.b.2d.b32.zero [%rd3, {8, 3}], {%r4};\n"
	                     "sust.b.2d.b32.zero [%rd3, {99, 3}], {%r4};\n"
	                     "sust.b.a2d.v2.b16.clamp [%rd3, {99, 0, 0, 0}], {1, 2};",
	                     HANDLE, HANDLE + 1, out, &err),
	                 PTX_OK);
	ck_assert_float_eq(texels[0][3][2], 100);
	ck_assert_mem_eq(&texels[5][0][0], ((uint16_t[]){1, 2}), 4);
	memset(texels, 0, sizeof(texels));
	ck_assert_int_eq(run("sured.b.add.2d.u32.trap [%rd3, {4, 1}], %r1;\n"
	                     "sured.b.max.1d.s32.clamp [%rd3, {0}], %r1;",
	                     HANDLE, HANDLE + 1, out, &err),
	                 PTX_OK);
	ck_assert_mem_eq(&texels[0][1][1], &(uint32_t){31 * 16}, 4);
	ck_assert_mem_eq(&texels[0][0][0], &(uint32_t){31}, 4);
	device_free(NULL, out);
}
TEST_END

TEST(handles_and_edges_fail_the_launch)
{
	struct ptx_error err;
	uint32_t *out = device_alloc(NULL, 128, 64);
	bound = plain();
	const char *tex = "tex.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%f1, %f2}];";
	ck_assert_int_eq(run(tex, 99, 0, out, &err), PTX_ILLEGAL_ADDRESS);
	ck_assert_ptr_nonnull(strstr(err.text, "0x63 is no texture object"));
	ck_assert_int_eq(run(tex, HANDLE + 1, 0, out, &err), PTX_ILLEGAL_ADDRESS);
	ck_assert_int_eq(run(tex, 0, 0, out, &err), PTX_ILLEGAL_ADDRESS);
	ck_assert_int_eq(
	    run("suld.b.2d.b32.trap {%r4}, [%rd3, {16, 0}];", 0, HANDLE + 1, out, &err),
	    PTX_ILLEGAL_ADDRESS);
	ck_assert_ptr_nonnull(strstr(err.text, "surface access of 4 bytes at byte 16"));
	device_free(NULL, out);
}
TEST_END

TEST(other_forms_are_refused_by_name)
{
	static const char *const bad[] = {
	    "tex.2dms.v4.f32.s32 {%f4, %f5, %f6, %f7}, [%rd2, {%r1, %r1, %r1, %r1}];",
	    "tex.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%f1, %f2}], {%r1, %r1};",
	    "tex.2d.f32.f32 %f4, [%rd2, {%f1, %f2}];",
	    "tld4.r.3d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%f1, %f2, %f1, %f1}];",
	    "txq.channel_order.b32 %r4, [%rd2];",
	    "sust.p.2d.b32.trap [%rd3, {%r1, %r1}], {%r1};",
	    "suld.b.cube.b32.trap {%r4}, [%rd3, {%r1, %r1, %r1, %r1}];",
	};
	struct ptx_error err;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enum ptx_status s = run(bad[i], HANDLE, HANDLE + 1, NULL, &err);
		ck_assert_msg(s == PTX_UNSUPPORTED && strstr(err.text, "unsupported instruction"),
		              "%s: status %d, %s", bad[i], s, err.text);
	}
	static const char *const malformed[] = {
	    "tex.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%f1}];",
	    "tex.2d.v4.f32.f32 {%f4, %f5}, [%rd2, {%f1, %f2}];",
	    "tex.2d.v4.f32.f32 {%f4, %f5, %f6, %f7}, [%rd2, {%rd1, %f2}];",
	    "ld.global.f32 %f4, [%rd1, {%r1}];",
	};
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		char text[1500];
		struct ptx_module *m = NULL;
		snprintf(text, sizeof(text), "%s%s\nret;\n}\n", HEAD, malformed[i]);
		ck_assert_int_eq(ptx_module_load(text, strlen(text), &with_images, &m, &err),
		                 PTX_BAD_SYNTAX);
	}
}
TEST_END

TESTS("ptx_texture", points_and_edges, linear_weights_have_eight_bits, integers,
      cubes_and_their_edges, levels, surfaces_keep_to_their_rows, every_form_runs,
      stores_and_reductions, handles_and_edges_fail_the_launch, other_forms_are_refused_by_name)
