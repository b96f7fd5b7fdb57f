// SPDX-License-Identifier: Apache-2.0
/*
 * test_image.c: PTX found in text, fat binaries (plain, LZ4, Zstd; bare and behind wrappers of both
 * versions), ELF files; machine code only; and no out-of-bounds read for damaged images: each
 * image is placed right before an unreadable page.
 */
#include <elf.h>
#include <lz4.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "softgpu/image.h"
#include "tests/harness.h"

static const char ptx75[] = ".version 8.0\n.target sm_75\n.address_size 64\n// the older one\n";
static const char ptx90[] = ".version 8.0\n.target sm_90\n.address_size 64\n// the newer one, "
			    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";

enum packing { PLAIN, LZ4, ZSTD };
struct builder {
	uint8_t data[8192];
	size_t n;
};

static void begin(struct builder *b)
{
	const uint32_t magic = 0xBA55ED50;
	const uint16_t version = 1, header = 16;
	memset(b, 0, sizeof(*b));
	memcpy(b->data, &magic, 4);
	memcpy(b->data + 4, &version, 2);
	memcpy(b->data + 6, &header, 2);
	b->n = 16;
}

static void add_entry(struct builder *b, uint16_t kind, uint32_t sm, const char *text,
                      enum packing packing)
{
	uint8_t *e = b->data + b->n, *payload = e + 64;
	size_t room = sizeof(b->data) - b->n - 64, len = strlen(text) + 1, stored = len;
	uint64_t flags = packing == LZ4 ? 0x2000 : packing == ZSTD ? 0x8000 : 0;
	if (packing == LZ4)
		stored = (size_t)LZ4_compress_default(text, (char *)payload, (int)len, (int)room);
	else if (packing == ZSTD)
		stored = ZSTD_compress(payload, room, text, len, 3);
	else
		memcpy(payload, text, len);
	const uint16_t version = 0x101;
	const uint32_t header = 64, compressed = packing == PLAIN ? 0 : (uint32_t)stored;
	const uint64_t padded = (stored + 7) / 8 * 8, full = packing == PLAIN ? 0 : len;
	memcpy(e, &kind, 2);
	memcpy(e + 2, &version, 2);
	memcpy(e + 4, &header, 4);
	memcpy(e + 8, &padded, 8);
	memcpy(e + 16, &compressed, 4);
	memcpy(e + 28, &sm, 4);
	memcpy(e + 40, &flags, 8);
	memcpy(e + 56, &full, 8);
	b->n += 64 + padded;
	const uint64_t total = b->n - 16;
	memcpy(b->data + 8, &total, 8);
}

/* the image behind the end of which nothing can be read */
static uint8_t *guarded_area;
static uint8_t *guarded(const void *data, size_t n)
{
	size_t area = 16384;
	if (!guarded_area) {
		guarded_area = mmap(NULL, area + 4096, PROT_READ | PROT_WRITE,
		                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ck_assert_ptr_ne(guarded_area, MAP_FAILED);
		ck_assert_int_eq(mprotect(guarded_area + area, 4096, PROT_NONE), 0);
	}
	uint8_t *p = guarded_area + area - n;
	memcpy(p, data, n);
	return p;
}

static void expect_ptx(const void *image, size_t len, unsigned max_sm, const char *want)
{
	struct ptx_error e;
	char *text;
	size_t n;
	enum image_kind k = image_find_ptx(image, len, max_sm, &text, &n, &e);
	ck_assert_msg(k == IMAGE_PTX, "kind %d: %s", k, e.text);
	ck_assert_str_eq(text, want);
	ck_assert_uint_eq(n, strlen(want));
	free(text);
}

static void expect_error(const void *image, size_t len, enum image_kind want, const char *says)
{
	struct ptx_error e;
	char *text;
	size_t n;
	enum image_kind k = image_find_ptx(image, len, 90, &text, &n, &e);
	ck_assert_msg(k == want && strstr(e.text, says) && !text, "kind %d: %s", k, e.text);
}

TEST(plain_text)
{
	expect_ptx(ptx75, SIZE_MAX, 90, ptx75);
	expect_ptx(ptx75, sizeof(ptx75), 90, ptx75);
	expect_ptx(guarded(ptx75, sizeof(ptx75) - 1), sizeof(ptx75) - 1, 90, ptx75);
	expect_error("", 0, IMAGE_BAD, "nothing");
	expect_error("\1\2\3\4\5\6\7\10", 8, IMAGE_BAD, "neither");
	expect_error("some text that is no PTX", SIZE_MAX, IMAGE_BAD, "neither");
}
TEST_END

TEST(fat_binaries)
{
	for (int packing = PLAIN; packing <= ZSTD; packing++) {
		struct builder b;
		begin(&b);
		add_entry(&b, 2, 75, "machine code", PLAIN);
		add_entry(&b, 1, 90, ptx90, (enum packing)packing);
		add_entry(&b, 1, 75, ptx75, (enum packing)packing);
		const uint8_t *p = guarded(b.data, b.n);
		expect_ptx(p, b.n, 90, ptx90);
		expect_ptx(p, b.n, 89, ptx75);
		expect_ptx(p, SIZE_MAX, 120, ptx90);
		struct {
			uint32_t magic, version;
			const void *data;
			const void *list;
		} wrapper = {0x466243B1, 1, p, NULL};
		expect_ptx(&wrapper, SIZE_MAX, 90, ptx90);
		const void *list[] = {p, NULL};
		wrapper.version = 2;
		wrapper.data = NULL;
		wrapper.list = list;
		expect_ptx(&wrapper, SIZE_MAX, 90, ptx90);
		wrapper.version = 3;
		expect_error(&wrapper, SIZE_MAX, IMAGE_BAD, "version");
		wrapper.version = 2; /* found by fuzzing: its pointers were followed */
		expect_error(&wrapper, sizeof(wrapper), IMAGE_BAD, "wrapper in a file");
	}
}
TEST_END

TEST(machine_code_only)
{
	struct builder b;
	begin(&b);
	add_entry(&b, 2, 80, "code", PLAIN);
	add_entry(&b, 2, 90, "code", ZSTD);
	expect_error(b.data, b.n, IMAGE_SASS_ONLY, "sm_80, sm_90");
	expect_error(b.data, b.n, IMAGE_SASS_ONLY, "code=compute_90");
	add_entry(&b, 1, 100, ptx90, PLAIN);
	expect_error(b.data, b.n, IMAGE_SASS_ONLY, "compute_100");
}
TEST_END

TEST(elf_files)
{
	struct builder b;
	uint8_t file[8192] = {0};
	static const char names[] = "\0.shstrtab\0.nv_fatbin";
	Elf64_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64},
	                .e_machine = EM_X86_64,
	                .e_shnum = 3,
	                .e_shentsize = sizeof(Elf64_Shdr),
	                .e_shstrndx = 1};
	begin(&b);
	add_entry(&b, 1, 75, ptx75, ZSTD);
	Elf64_Shdr s[3] = {
	    {0},
	    {.sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = 64, .sh_size = sizeof(names)},
	    {.sh_name = 11, .sh_type = SHT_PROGBITS, .sh_offset = 128, .sh_size = b.n}};
	h.e_shoff = 128 + b.n;
	memcpy(file, &h, sizeof(h));
	memcpy(file + 64, names, sizeof(names));
	memcpy(file + 128, b.data, b.n);
	memcpy(file + h.e_shoff, s, sizeof(s));
	size_t n = h.e_shoff + sizeof(s);
	expect_ptx(guarded(file, n), n, 90, ptx75);
	expect_ptx(guarded(file, n), SIZE_MAX, 90, ptx75);
	/* a cubin: machine code for sm_90 */
	h.e_machine = 190;
	h.e_flags = 0x6005a04;
	h.e_ident[EI_ABIVERSION] = 8;
	h.e_shnum = 0;
	memcpy(file, &h, sizeof(h));
	expect_error(guarded(file, n), n, IMAGE_SASS_ONLY, "sm_90");
	expect_error(guarded(file, 20), 20, IMAGE_BAD, "cut short");
}
TEST_END

TEST(damage)
{
	struct builder b;
	begin(&b);
	add_entry(&b, 2, 75, "machine code", PLAIN);
	add_entry(&b, 1, 75, ptx75, LZ4);
	add_entry(&b, 1, 90, ptx90, ZSTD);
	uint32_t rng = 1;
	for (int i = 0; i < 20000; i++) {
		size_t n = b.n;
		struct ptx_error e;
		char *text;
		size_t len;
		rng = rng * 1664525 + 1013904223;
		if (i % 3 == 0)
			n = (rng >> 8) % b.n + 1; /* cut */
		uint8_t *p = guarded(b.data, n);
		if (i % 3)
			p[(rng >> 8) % n] = (uint8_t)(rng >> 24);
		if (i % 3 == 2)
			p[(rng >> 16) % 96] ^= (uint8_t)(1u << (rng & 7));
		if (n < 4 || p[0] != 0x50 || p[1] != 0xed)
			continue; /* no longer a fat binary */
		enum image_kind k = image_find_ptx(p, n, 90, &text, &len, &e);
		ck_assert(k == IMAGE_PTX ? text && text[len] == 0 : !text && e.text[0]);
		free(text);
	}
}
TEST_END

static void expect_linked(const char *a, const char *b, const char *want)
{
	char *texts[] = {(char *)a, (char *)b};
	size_t n;
	char *got = image_link(texts, 2, &n);
	ck_assert_ptr_nonnull(got);
	ck_assert_str_eq(got, want);
	ck_assert_uint_eq(n, strlen(want));
	free(got);
}

TEST(linking)
{
	/* names that each text gives out itself; not in strings and comments, and not %registers */
	expect_linked(".global .b8 $str[2];",
	              "{ mov.u64 %d, $str; $L_1: bra $L_1; } // $x \"$y\"\n",
	              ".global .b8 $str[2];\n"
	              "{ mov.u64 %d, $str$u1; $L_1$u1: bra $L_1$u1; } // $x \"$y\"\n");
	/* of weak definitions the first; lines are kept */
	expect_linked(
	    ".weak .func (.param .b32 r) f(.param .b32 p)\n{ ret; }\n",
	    ".weak .func (.param .b32 r) f(.param .b32 p)\n{ { ret; }\n }\n.visible .func g()"
	    " { ret; }\n",
	    ".weak .func (.param .b32 r) f(.param .b32 p)\n{ ret; }\n"
	    "\n\n\n.visible .func g() { ret; }\n");
	expect_linked(".weak .global .align 4 .b8 v[2] = {1, 2};\n",
	              ".weak .global .align 4 .b8 v[2] = {1, 2};\n.weak .global .u32 w;\n",
	              ".weak .global .align 4 .b8 v[2] = {1, 2};\n\n.weak .global .u32 w;\n");
	/* cut short: nothing is read behind the end */
	expect_linked(".weak .func f", "\"$a", ".weak .func f\n\"$a\n");
	expect_linked("/*", ".weak", "/*\n.weak\n");
}
TEST_END

/* nvcc's output for sm_90: two kernels, three variables. */
TEST(what_stands_for_machine_code)
{
	static const char *const parts[] = {
	    ".entry _Z2k1Pifcd1P(.param .align 1 .b8 p0[8], .param .align 1 .b8 p1[4], "
	    ".param .align 1 .b8 p2[1], .param .align 4 .b8 p3[8], .param .align 1 .b8 p4[200])",
	    ".shared .align 16 .b8 s[1344];",
	    ".entry _Z2k2v()\n.maxntid 128, 1, 1\n",
	    ".global .align 16 .b8 counter[4] = {7,0,0,0};",
	    ".global .align 16 .b8 big[8000];",
	    ".const .align 16 .b8 tab[64] = {0,0,128,63,",
	};
	char file[16384], *text;
	size_t len;
	struct ptx_error err;
	FILE *f = fopen("tests/fuzz/seeds/image/kernels", "rb");
	ck_assert_ptr_nonnull(f);
	size_t n = fread(file, 1, sizeof(file), f);
	fclose(f);
	ck_assert_int_eq(image_find_ptx(file, n, 90, &text, &len, &err), IMAGE_SASS_ONLY);
	ck_assert_int_eq(image_find_sass(file, n, 90, &text, &len, &err), IMAGE_PTX);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		ck_assert_msg(strstr(text, parts[i]) != NULL, "%s is not in\n%s", parts[i], text);
	free(text);
	/* of another generation of devices; and cut short */
	ck_assert_int_eq(image_find_sass(file, n, 89, &text, &len, &err), IMAGE_SASS_ONLY);
	for (size_t cut = 0; cut < n; cut += 97)
		if (image_find_sass(file, cut, 90, &text, &len, &err) == IMAGE_PTX)
			free(text);
}
TEST_END

TESTS("image", plain_text, fat_binaries, machine_code_only, elf_files, damage,
      what_stands_for_machine_code, linking)
