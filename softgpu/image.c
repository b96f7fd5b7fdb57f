// SPDX-License-Identifier: Apache-2.0
/*
 * image.c: finds PTX in a module image. Layouts:
 *   wrapper  u32 0x466243B1, u32 version; +8 pointer to a fat binary; version 2 also +16 pointer
 *            to a NULL-terminated array of prelinked fat binaries, one a translation unit
 *   fat binary  u32 0xBA55ED50, u16 version 1, u16 header size, u64 bytes of entries
 *   entry    +0 u16 kind (1 PTX, 2 ELF), +4 u32 header size, +8 u64 padded payload bytes,
 *            +16 u32 compressed bytes, +28 u32 sm, +40 u64 flags, +56 u64 uncompressed bytes
 *   ELF      section .nv_fatbin, or a cubin: machine code only
 * A wrapper's pointers are into the process: what they point to is trusted up to its own headers'
 * lengths, as the driver does. Everything else is checked against the length.
 */
#include <elf.h>
#include <lz4.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "image.h"

#define WRAPPER_MAGIC 0x466243B1u
#define FATBIN_MAGIC 0xBA55ED50u
#define EM_CUDA_MACHINE 190
#define ENTRY_PTX 1
#define ENTRY_ELF 2
#define FLAG_LZ4 0x2000u
#define FLAG_ZSTD 0x8000u
#define FLAG_ARCH_SPECIFIC 0x100000u /* sm_90a: still the best text if it is all there is */
#define TEXT_LIMIT ((uint64_t)1 << 30)
#define PRELINKED_MAX 1024

struct entry {
	const uint8_t *payload; /* NULL: none so far */
	uint64_t stored, size;
	uint64_t flags;
	unsigned sm;
};

struct found {
	struct entry ptx;  /* the best one so far */
	struct entry code; /* the best machine code of this device's generation */
	unsigned max_sm;
	unsigned above;      /* an architecture that was too new, or 0 */
	char machine[100];   /* "sm_80, sm_90": machine code that was found */
	const uint8_t *list; /* of prelinked fat binaries, or NULL */
	struct ptx_error *err;
};

static bool bad(struct ptx_error *err, const char *what, size_t at)
{
	snprintf(err->text, sizeof(err->text), "malformed module image: %s at byte %zu", what, at);
	return false;
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}
static uint32_t get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}
static uint64_t get64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static void note_machine(struct found *f, unsigned sm)
{
	size_t n = strlen(f->machine);
	snprintf(f->machine + n, sizeof(f->machine) - n, "%ssm_%u", n ? ", " : "", sm);
}

static struct entry entry_of(const uint8_t *e, const uint8_t *payload, uint64_t padded)
{
	uint64_t flags = get64(e + 40), compressed = get32(e + 16);
	bool packed = flags & (FLAG_LZ4 | FLAG_ZSTD);
	return (struct entry){.payload = payload,
	                      .sm = get32(e + 28),
	                      .flags = flags,
	                      .stored = packed && compressed ? compressed : padded,
	                      .size = packed ? get64(e + 56) : padded};
}

static void note_ptx(struct found *f, const struct entry *e)
{
	if (e->sm > f->max_sm) {
		f->above = e->sm;
		return;
	}
	bool specific = e->flags & FLAG_ARCH_SPECIFIC;
	if (f->ptx.payload && (e->sm < f->ptx.sm || (e->sm == f->ptx.sm && specific)))
		return;
	f->ptx = *e;
}

/* Machine code runs on later devices of its generation. */
static void note_code(struct found *f, const struct entry *e)
{
	note_machine(f, e->sm);
	if (e->sm / 10 == f->max_sm / 10 && e->sm <= f->max_sm &&
	    (!f->code.payload || e->sm > f->code.sm))
		f->code = *e;
}

static bool scan_fatbin(struct found *f, const uint8_t *p, size_t len)
{
	if (len < 16 || get32(p) != FATBIN_MAGIC)
		return bad(f->err, "not a fat binary", 0);
	size_t at = get16(p + 6);
	uint64_t bytes = get64(p + 8);
	if (at < 16 || at > len || bytes > len - at)
		return bad(f->err, "a fat binary longer than the image", 0);
	size_t end = at + bytes;
	while (end - at >= 64) {
		const uint8_t *e = p + at;
		uint32_t header = get32(e + 4);
		uint64_t padded = get64(e + 8);
		if (header < 64 || header > end - at || padded > end - at - header)
			return bad(f->err, "an entry that leaves its fat binary", at);
		if (get32(e + 16) > padded)
			return bad(f->err, "an entry with more compressed than stored bytes", at);
		struct entry entry = entry_of(e, e + header, padded);
		if (get16(e) == ENTRY_PTX)
			note_ptx(f, &entry);
		else if (get16(e) == ENTRY_ELF)
			note_code(f, &entry);
		at += header + padded;
	}
	return true;
}

/* A fat binary at a pointer out of a wrapper: its header is all that says how long it is. */
static bool scan_pointed(struct found *f, uint64_t pointer)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)pointer;
	if (!p || get32(p) != FATBIN_MAGIC)
		return bad(f->err, "the wrapper points to no fat binary", 8);
	uint64_t bytes = get64(p + 8);
	if (bytes > TEXT_LIMIT * 4)
		return bad(f->err, "a fat binary of more than 4 GiB", 8);
	return scan_fatbin(f, p, (size_t)get16(p + 6) + bytes);
}

static bool scan_wrapper(struct found *f, const uint8_t *p, size_t len)
{
	/* Its pointers mean something only in a wrapper that the program itself holds, and such a
	 * one comes without a length. */
	if (len != SIZE_MAX)
		return bad(f->err,
		           "a fat binary's wrapper in a file, where its pointers mean nothing", 0);
	uint32_t version = get32(p + 4);
	if (version != 1 && version != 2)
		return bad(f->err, "a wrapper of unknown version", 4);
	if (get64(p + 8) && !scan_pointed(f, get64(p + 8)))
		return false;
	if (version == 1 || !get64(p + 16))
		return true;
	f->list = (const uint8_t *)(uintptr_t)get64(p + 16);
	return true;
}

/* The size of an ELF image whose length nobody gave: the end of its last part. */
static size_t elf_size(const uint8_t *p)
{
	Elf64_Ehdr h;
	memcpy(&h, p, sizeof(h));
	uint64_t end = h.e_shoff + (uint64_t)h.e_shnum * h.e_shentsize;
	return end > TEXT_LIMIT * 4 ? 0 : (size_t)end;
}

static bool section_at(const uint8_t *p, size_t len, const Elf64_Ehdr *h, unsigned i,
                       Elf64_Shdr *out)
{
	uint64_t at = h->e_shoff + (uint64_t)i * h->e_shentsize;
	if (h->e_shentsize < sizeof(*out) || h->e_shoff > len || at > len ||
	    len - at < sizeof(*out))
		return false;
	memcpy(out, p + at, sizeof(*out));
	return out->sh_type == SHT_NOBITS ||
	       (out->sh_offset <= len && out->sh_size <= len - out->sh_offset);
}

static bool scan_elf(struct found *f, const uint8_t *p, size_t len)
{
	Elf64_Ehdr h;
	Elf64_Shdr names, s;
	if (len == SIZE_MAX)
		len = elf_size(p);
	if (len < sizeof(h))
		return bad(f->err, "an ELF file cut short", 0);
	memcpy(&h, p, sizeof(h));
	if (h.e_machine == EM_CUDA_MACHINE) {
		/* up to CUDA 12 the architecture is the low byte of e_flags, then the second */
		unsigned low = h.e_flags & 0xff, second = (h.e_flags >> 8) & 0xff;
		struct entry all = {.payload = p, .stored = len, .size = len};
		all.sm = h.e_ident[EI_ABIVERSION] >= 8 && second ? second : low;
		note_code(f, &all);
	}
	if (!h.e_shnum)
		return true;
	if (!section_at(p, len, &h, h.e_shstrndx, &names) || names.sh_type == SHT_NOBITS)
		return bad(f->err, "section names outside the ELF file", h.e_shoff);
	for (unsigned i = 0; i < h.e_shnum; i++) {
		if (!section_at(p, len, &h, i, &s))
			return bad(f->err, "a section outside the ELF file", h.e_shoff);
		const char *name = (const char *)p + names.sh_offset + s.sh_name;
		static const char wanted[] = ".nv_fatbin";
		if (s.sh_name >= names.sh_size || names.sh_size - s.sh_name < sizeof(wanted) ||
		    memcmp(name, wanted, sizeof(wanted)) || s.sh_type == SHT_NOBITS)
			continue;
		/* several fat binaries, one behind the other, aligned to 8 */
		size_t at = s.sh_offset, end = s.sh_offset + s.sh_size;
		while (end - at >= 16 && get32(p + at) == FATBIN_MAGIC) {
			if (!scan_fatbin(f, p + at, end - at))
				return false;
			at += (get16(p + at + 6) + get64(p + at + 8) + 7) & ~(uint64_t)7;
			if (at > end)
				break;
		}
	}
	return true;
}

/* The bytes of an entry, with a NUL behind them; NULL: f->err says why. */
static char *unpack(struct found *f, const struct entry *e, size_t *out)
{
	if (e->size > TEXT_LIMIT || !e->size) {
		bad(f->err, "an entry of an impossible size", 0);
		return NULL;
	}
	char *buf = malloc(e->size + 1);
	size_t n = e->size;
	if (!buf) {
		snprintf(f->err->text, sizeof(f->err->text), "no memory for %llu bytes of code",
		         (unsigned long long)e->size);
		return NULL;
	}
	if (e->flags & FLAG_ZSTD) {
		n = ZSTD_decompress(buf, e->size, e->payload, e->stored);
		if (ZSTD_isError(n))
			n = 0;
	} else if (e->flags & FLAG_LZ4) {
		int got = e->stored > LZ4_MAX_INPUT_SIZE
		              ? -1
		              : LZ4_decompress_safe((const char *)e->payload, buf, (int)e->stored,
		                                    (int)e->size);
		n = got < 0 ? 0 : (size_t)got;
	} else {
		memcpy(buf, e->payload, e->size);
	}
	if (!n) {
		free(buf);
		bad(f->err, "an entry that does not decompress", 0);
		return NULL;
	}
	buf[n] = 0;
	*out = n;
	return buf;
}

static enum image_kind conclude(struct found *f, char **text, size_t *text_len)
{
	if (f->ptx.payload) {
		*text = unpack(f, &f->ptx, text_len);
		if (*text)
			*text_len = strlen(*text); /* it is padded with zeros */
		return *text ? IMAGE_PTX : IMAGE_BAD;
	}
	if (f->above)
		snprintf(
		    f->err->text, sizeof(f->err->text),
		    "the module's PTX is for compute_%u, this device is compute_%u: build with "
		    "-gencode arch=compute_%u,code=compute_%u",
		    f->above, f->max_sm, f->max_sm, f->max_sm);
	else if (f->machine[0])
		snprintf(
		    f->err->text, sizeof(f->err->text),
		    "machine code only (%.40s) and no PTX, which the software GPU needs: build "
		    "with -arch=sm_%u, or -gencode arch=compute_%u,code=compute_%u, or set "
		    "SOFTGPU_SASS=time to time it unrun",
		    f->machine, f->max_sm, f->max_sm, f->max_sm);
	else
		snprintf(f->err->text, sizeof(f->err->text),
		         "the module image has neither PTX nor machine code");
	return f->above || f->machine[0] ? IMAGE_SASS_ONLY : IMAGE_BAD;
}

/* The prelinked fat binaries of a wrapper, one for each translation unit, linked. Each must have
 * PTX; one whose PTX is too new is left out if others remain: so comes NVIDIA's device runtime,
 * which is linked to each such program and used by few. */
static enum image_kind link_list(struct found *f, char **text, size_t *text_len)
{
	char *texts[PRELINKED_MAX];
	unsigned n = 0;
	enum image_kind kind = IMAGE_PTX;
	for (unsigned i = 0; kind == IMAGE_PTX && get64(f->list + 8 * (size_t)i); i++) {
		struct found one = {.max_sm = f->max_sm, .err = f->err};
		size_t len;
		if (i == PRELINKED_MAX) {
			bad(f->err, "a list of prelinked fat binaries without an end", 16);
			kind = IMAGE_BAD;
		} else if (!scan_pointed(&one, get64(f->list + 8 * (size_t)i))) {
			kind = IMAGE_BAD;
		} else {
			kind = conclude(&one, &texts[n], &len);
			n += kind == IMAGE_PTX;
			if (kind == IMAGE_SASS_ONLY && one.above)
				kind = IMAGE_PTX;
		}
	}
	if (kind == IMAGE_PTX && !n)
		kind = IMAGE_SASS_ONLY; /* the last one said why */
	if (kind == IMAGE_PTX) {
		*text = image_link(texts, n, text_len);
		if (!*text) {
			snprintf(f->err->text, sizeof(f->err->text), "no memory to link the PTX");
			kind = IMAGE_BAD;
		}
	}
	while (n)
		free(texts[--n]);
	return kind;
}

static enum image_kind plain_text(struct found *f, const char *p, size_t len, char **text,
                                  size_t *text_len)
{
	char *buf = len == SIZE_MAX ? strdup(p) : strndup(p, len);
	if (!buf) {
		snprintf(f->err->text, sizeof(f->err->text), "no memory for the PTX text");
		return IMAGE_BAD;
	}
	*text = buf;
	*text_len = strlen(buf);
	return IMAGE_PTX;
}

/* Text: anything that begins like PTX: with a directive, a comment or blanks. */
static bool looks_like_text(const uint8_t *p, size_t len)
{
	if (!p[0] || !strchr("./ \t\r\n", p[0]))
		return false;
	for (size_t i = 0; i < 4 && i < len; i++)
		if (!p[i] || p[i] >= 0x7f ||
		    (p[i] < 32 && p[i] != '\n' && p[i] != '\r' && p[i] != '\t'))
			return i > 0 && !p[i];
	return len > 0;
}

/* Looks at an image that is no text. */
static bool scan(struct found *f, const uint8_t *p, size_t len)
{
	if (len < 4)
		return bad(f->err, "too short", 0);
	if (get32(p) == WRAPPER_MAGIC)
		return scan_wrapper(f, p, len);
	if (get32(p) == FATBIN_MAGIC)
		return len == SIZE_MAX ? scan_pointed(f, (uint64_t)(uintptr_t)p)
		                       : scan_fatbin(f, p, len);
	if (!memcmp(p, ELFMAG, SELFMAG) && (len == SIZE_MAX || len > EI_CLASS) &&
	    p[EI_CLASS] == ELFCLASS64)
		return scan_elf(f, p, len);
	return bad(f->err, "neither PTX, a fat binary nor an ELF file", 0);
}

enum image_kind image_find_ptx(const void *image, size_t len, unsigned max_sm, char **text,
                               size_t *text_len, struct ptx_error *err)
{
	struct found f = {.max_sm = max_sm, .err = err};
	const uint8_t *p = image;
	*text = NULL;
	*text_len = 0;
	*err = (struct ptx_error){0};
	if (!p || !len) {
		bad(err, "nothing there", 0);
		return IMAGE_BAD;
	}
	if (looks_like_text(p, len))
		return plain_text(&f, (const char *)p, len, text, text_len);
	if (!scan(&f, p, len))
		return IMAGE_BAD;
	return f.list && get64(f.list) ? link_list(&f, text, text_len)
	                               : conclude(&f, text, text_len);
}

enum image_kind image_find_sass(const void *image, size_t len, unsigned sm, char **text,
                                size_t *text_len, struct ptx_error *err)
{
	struct found f = {.max_sm = sm, .err = err};
	size_t n;
	*text = NULL;
	*text_len = 0;
	*err = (struct ptx_error){0};
	if (!image || !len || !scan(&f, image, len))
		return IMAGE_BAD;
	if (!f.code.payload)
		return conclude(&f, text, text_len);
	char *cubin = unpack(&f, &f.code, &n);
	if (!cubin)
		return IMAGE_BAD;
	*text = image_sass_text(cubin, n, f.code.sm, text_len, err);
	free(cubin);
	return *text ? IMAGE_PTX : IMAGE_BAD;
}
