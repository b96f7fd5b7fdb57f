// SPDX-License-Identifier: Apache-2.0
/*
 * image_sass.c: for modules that bring machine code only, and are to be timed without running: a
 * PTX text whose kernels have the names, parameters, shared memory and block limits of the machine
 * code, and empty bodies; its variables have their names, sizes and initial values.
 *
 * Facts of cubins (ELF, machine 190; seen in nvcc 13.0's output, readelf -x .nv.info.*): kernels
 * are FUNC symbols with bit 0x10 in st_other. Section .nv.info.KERNEL is a list of records: u8
 * format, u8 attribute, u16 size or value, and with format 4 `size` bytes. Attributes: 0x17 a
 * parameter (+4 u16 ordinal, +6 u16 offset, +8 u32: bytes from bit 18 on), 0x05 the most threads
 * of a block, 0x10 those required (three u32). Section .nv.shared.KERNEL is as large as the
 * kernel's shared memory, with the system's 1 KiB in it from architecture 90 on. Variables are
 * OBJECT symbols in .nv.global (zeros), .nv.global.init and .nv.constant3.
 */
#include <elf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

#define ENTRY_FLAG 0x10
#define PARAMS_MAX 1024
#define SYSTEM_SHARED 1024
#define VALUE_MAX ((uint64_t)1 << 20) /* initial values of larger variables: refused */

struct elf {
	const uint8_t *p;
	size_t len;
	Elf64_Ehdr h;
	Elf64_Shdr names;
	unsigned sm;
	struct ptx_error *err;
};

struct text {
	char *p;
	size_t n, room;
	bool failed; /* no memory */
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || t->failed)
		return;
	if (t->room - t->n <= (size_t)n) {
		size_t room = 2 * t->room + (size_t)n + 4096;
		char *p = realloc(t->p, room);
		t->failed = !p;
		if (!p)
			return;
		t->p = p;
		t->room = room;
	}
	va_start(ap, fmt);
	t->n += (size_t)vsnprintf(t->p + t->n, t->room - t->n, fmt, ap);
	va_end(ap);
}

static bool bad(struct elf *e, const char *what)
{
	snprintf(e->err->text, sizeof(e->err->text), "malformed machine code: %s", what);
	return false;
}

/* ---- sections and names, all checked */

static bool section(struct elf *e, unsigned i, Elf64_Shdr *out)
{
	uint64_t at = e->h.e_shoff + (uint64_t)i * e->h.e_shentsize;
	if (i >= e->h.e_shnum || e->h.e_shentsize < sizeof(*out) || e->h.e_shoff > e->len ||
	    at > e->len || e->len - at < sizeof(*out))
		return false;
	memcpy(out, e->p + at, sizeof(*out));
	return out->sh_type == SHT_NOBITS ||
	       (out->sh_offset <= e->len && out->sh_size <= e->len - out->sh_offset);
}

/* The string at `at` of a table; "" if it is not inside. */
static const char *string(const struct elf *e, const Elf64_Shdr *table, uint64_t at)
{
	if (table->sh_type == SHT_NOBITS || at >= table->sh_size)
		return "";
	const char *s = (const char *)e->p + table->sh_offset + at;
	return memchr(s, 0, table->sh_size - at) ? s : "";
}

static bool find(struct elf *e, const char *prefix, const char *rest, Elf64_Shdr *out)
{
	size_t n = strlen(prefix);
	for (unsigned i = 0; i < e->h.e_shnum; i++) {
		if (!section(e, i, out))
			return false;
		const char *name = string(e, &e->names, out->sh_name);
		if (!strncmp(name, prefix, n) && !strcmp(name + n, rest))
			return true;
	}
	return false;
}

/* What PTX takes for a name. */
static bool is_name(const char *s)
{
	if (!*s || (*s >= '0' && *s <= '9'))
		return false;
	return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$")] ==
	       0;
}

/* ---- kernels */

struct kernel {
	struct {
		uint32_t offset, size;
	} params[PARAMS_MAX];
	unsigned n_params;
	uint32_t max_threads[3], required[3];
};

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static void note(struct kernel *k, unsigned attribute, const uint8_t *data, unsigned size)
{
	if (attribute == 0x17 && size >= 12) {
		unsigned ordinal = data[4] | data[5] << 8;
		if (ordinal >= PARAMS_MAX)
			return;
		k->params[ordinal].offset = data[6] | (uint32_t)data[7] << 8;
		k->params[ordinal].size = get32(data + 8) >> 18;
		if (k->n_params <= ordinal)
			k->n_params = ordinal + 1;
	} else if ((attribute == 0x05 || attribute == 0x10) && size >= 12) {
		for (unsigned i = 0; i < 3; i++)
			(attribute == 0x05 ? k->max_threads : k->required)[i] = get32(data + 4 * i);
	}
}

static bool read_info(struct elf *e, const Elf64_Shdr *s, struct kernel *k)
{
	uint64_t at = 0;
	if (s->sh_type == SHT_NOBITS) /* and so without an offset that was checked */
		return bad(e, "a kernel's .nv.info without contents");
	const uint8_t *p = e->p + s->sh_offset;
	while (s->sh_size - at >= 4) {
		unsigned format = p[at], attribute = p[at + 1], size = p[at + 2] | p[at + 3] << 8;
		at += 4;
		if (format != 4)
			continue; /* its value is in the size's place */
		if (size > s->sh_size - at)
			return bad(e, "a record of .nv.info leaves its section");
		note(k, attribute, p + at, size);
		at += size;
	}
	return true;
}

/* The alignment that brings a parameter from where the last one ends to its offset; 0: none. */
static uint32_t alignment(uint32_t end, uint32_t offset)
{
	for (uint32_t a = 1; a <= 4096; a *= 2)
		if (((end + a - 1) & ~(a - 1)) == offset)
			return a;
	return 0;
}

static bool kernel_text(struct elf *e, struct text *t, const char *name)
{
	struct kernel *k = calloc(1, sizeof(*k));
	Elf64_Shdr s;
	uint32_t end = 0;
	bool ok = k != NULL;
	t->failed |= !k;
	if (ok && find(e, ".nv.info.", name, &s))
		ok = read_info(e, &s, k);
	if (ok)
		put(t, ".visible .entry %s(", name);
	for (unsigned i = 0; ok && i < k->n_params; i++) {
		uint32_t align = alignment(end, k->params[i].offset);
		if (!align || !k->params[i].size)
			ok = bad(e, "a kernel's parameters overlap");
		else
			put(t, "%s.param .align %u .b8 p%u[%u]", i ? ", " : "", align, i,
			    k->params[i].size);
		end = k->params[i].offset + k->params[i].size;
	}
	if (ok) {
		put(t, ")\n");
		if (k->required[0])
			put(t, ".reqntid %u, %u, %u\n", k->required[0], k->required[1],
			    k->required[2]);
		else if (k->max_threads[0])
			put(t, ".maxntid %u, %u, %u\n", k->max_threads[0], k->max_threads[1],
			    k->max_threads[2]);
		uint64_t shared = find(e, ".nv.shared.", name, &s) ? s.sh_size : 0;
		if (e->sm >= 90)
			shared = shared > SYSTEM_SHARED ? shared - SYSTEM_SHARED : 0;
		put(t, "{\n");
		if (shared && shared <= UINT32_MAX)
			put(t, ".shared .align 16 .b8 s[%u];\n", (unsigned)shared);
		put(t, "ret;\n}\n");
	}
	free(k);
	return ok;
}

/* ---- variables */

static bool variable_text(struct elf *e, struct text *t, const char *name, const Elf64_Sym *sym,
                          const char *section_name, const Elf64_Shdr *s)
{
	bool constant = !strcmp(section_name, ".nv.constant3");
	bool values = constant || !strcmp(section_name, ".nv.global.init");
	if (!values && strcmp(section_name, ".nv.global") != 0)
		return true;
	if (!sym->st_size || sym->st_size > 1u << 30)
		return true;
	put(t, ".visible %s .align 16 .b8 %s[%llu]", constant ? ".const" : ".global", name,
	    (unsigned long long)sym->st_size);
	if (values) {
		if (s->sh_type == SHT_NOBITS || sym->st_value > s->sh_size ||
		    sym->st_size > s->sh_size - sym->st_value || sym->st_size > VALUE_MAX)
			return bad(e, "initial values outside their section, or over 1 MiB");
		const uint8_t *v = e->p + s->sh_offset + sym->st_value;
		put(t, " = {%u", v[0]);
		for (uint64_t i = 1; i < sym->st_size; i++)
			put(t, ",%u", v[i]);
		put(t, "}");
	}
	put(t, ";\n");
	return true;
}

/* Kernels and variables by their symbols. */
static bool symbols(struct elf *e, struct text *t)
{
	Elf64_Shdr table, names, s;
	if (!find(e, ".symtab", "", &table) || table.sh_type == SHT_NOBITS ||
	    !section(e, table.sh_link, &names))
		return bad(e, "no table of symbols");
	for (uint64_t at = 0; table.sh_size - at >= sizeof(Elf64_Sym); at += sizeof(Elf64_Sym)) {
		Elf64_Sym sym;
		memcpy(&sym, e->p + table.sh_offset + at, sizeof(sym));
		const char *name = string(e, &names, sym.st_name);
		if (!is_name(name) || !section(e, sym.st_shndx, &s))
			continue;
		unsigned type = ELF64_ST_TYPE(sym.st_info);
		if (type == STT_FUNC && sym.st_other & ENTRY_FLAG) {
			if (!kernel_text(e, t, name))
				return false;
		} else if (type == STT_OBJECT &&
		           !variable_text(e, t, name, &sym, string(e, &e->names, s.sh_name), &s)) {
			return false;
		}
	}
	return true;
}

char *image_sass_text(const void *cubin, size_t len, unsigned sm, size_t *text_len,
                      struct ptx_error *err)
{
	struct elf e = {.p = cubin, .len = len, .sm = sm, .err = err};
	struct text t = {0};
	bool ok = len >= sizeof(e.h);
	if (ok)
		memcpy(&e.h, cubin, sizeof(e.h));
	if (!ok || memcmp(e.h.e_ident, ELFMAG, SELFMAG) != 0 ||
	    !section(&e, e.h.e_shstrndx, &e.names) || e.names.sh_type == SHT_NOBITS) {
		bad(&e, "not a cubin, or cut short");
		return NULL;
	}
	put(&t, ".version 8.0\n.target sm_%u\n.address_size 64\n", sm);
	ok = symbols(&e, &t);
	if (ok && !t.failed) {
		*text_len = t.n;
		return t.p;
	}
	if (ok)
		snprintf(err->text, sizeof(err->text), "no memory to read the machine code");
	free(t.p);
	return NULL;
}
