// SPDX-License-Identifier: Apache-2.0
/*
 * elf_objects.c: see elf_objects.h. What is read was mapped and relocated by the loader already,
 * so it is trusted as far as the loader trusts it; names are checked against the string table's
 * size.
 */
#include "elf_objects.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

#define VERSION_HIDDEN 0x8000 /* in DT_VERSYM: not the default version */

struct tables {
	uintptr_t base;
	const ElfW(Sym) * symbols;
	const char *names;
	size_t names_len;
	const uint32_t *gnu_hash, *hash; /* either may be NULL */
	const ElfW(Half) * versions;     /* NULL: the object has no versions */
};

/* The loader rewrites these entries to addresses, but for objects with a read-only table (vDSO). */
REIN_NO_SANITIZE static const void *at(uintptr_t base, const ElfW(Dyn) * d)
{
	return (const void *)(d->d_un.d_ptr < base ? base + d->d_un.d_ptr : d->d_un.d_ptr);
}

REIN_NO_SANITIZE static bool read_tables(uintptr_t base, const ElfW(Dyn) * d, struct tables *t)
{
	*t = (struct tables){.base = base};
	for (; d && d->d_tag != DT_NULL; d++) {
		switch (d->d_tag) {
		case DT_SYMTAB:
			t->symbols = at(t->base, d);
			break;
		case DT_STRTAB:
			t->names = at(t->base, d);
			break;
		case DT_STRSZ:
			t->names_len = d->d_un.d_val;
			break;
		case DT_GNU_HASH:
			t->gnu_hash = at(t->base, d);
			break;
		case DT_HASH:
			t->hash = at(t->base, d);
			break;
		case DT_VERSYM:
			t->versions = at(t->base, d);
			break;
		default:
			break;
		}
	}
	return t->symbols && t->names && (t->gnu_hash || t->hash);
}

/* strcmp, but see REIN_NO_SANITIZE */
REIN_NO_SANITIZE static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

REIN_NO_SANITIZE static void *matches(const struct tables *t, uint32_t index, const char *symbol)
{
	const ElfW(Sym) *s = &t->symbols[index];
	unsigned bind = ELF64_ST_BIND(s->st_info);
	if (s->st_shndx == SHN_UNDEF || !s->st_value || s->st_name >= t->names_len)
		return NULL;
	if (ELF64_ST_TYPE(s->st_info) != STT_FUNC || (bind != STB_GLOBAL && bind != STB_WEAK))
		return NULL;
	if (t->versions && (t->versions[index] & VERSION_HIDDEN))
		return NULL;
	return same(t->names + s->st_name, symbol) ? (void *)(t->base + s->st_value) : NULL;
}

/* DT_GNU_HASH: buckets, first hashed symbol, Bloom words, shift; Bloom filter; buckets; chains. */
REIN_NO_SANITIZE static void *find_by_gnu_hash(const struct tables *t, const char *symbol)
{
	const uint32_t *h = t->gnu_hash;
	uint32_t n_buckets = h[0], first = h[1], bloom_words = h[2];
	const uint32_t *buckets = (const uint32_t *)((const ElfW(Addr) *)(h + 4) + bloom_words);
	const uint32_t *chains = buckets + n_buckets;
	uint32_t hash = 5381;

	for (const unsigned char *c = (const unsigned char *)symbol; *c; c++)
		hash = hash * 33 + *c;
	uint32_t i = n_buckets ? buckets[hash % n_buckets] : 0;
	if (i < first)
		return NULL;
	for (;; i++) {
		uint32_t other = chains[i - first]; /* bit 0 marks the end of the chain */
		void *found = (other | 1) == (hash | 1) ? matches(t, i, symbol) : NULL;
		if (found || (other & 1))
			return found;
	}
}

/* DT_HASH: its second word is the number of symbols; few objects have only this one. */
REIN_NO_SANITIZE static void *find_by_count(const struct tables *t, const char *symbol)
{
	for (uint32_t i = 0; i < t->hash[1]; i++) {
		void *found = matches(t, i, symbol);
		if (found)
			return found;
	}
	return NULL;
}

REIN_NO_SANITIZE static void *find_in(const struct link_map *object, const char *symbol)
{
	struct tables t;
	if (!read_tables(object->l_addr, object->l_ld, &t))
		return NULL;
	return t.gnu_hash ? find_by_gnu_hash(&t, symbol) : find_by_count(&t, symbol);
}

REIN_NO_SANITIZE void *rein_elf_next(const char *symbol)
{
	const struct link_map *object = _r_debug.r_map;
	void *found = NULL;
	while (object && object->l_ld != _DYNAMIC) /* ours */
		object = object->l_next;
	while (!found && object && (object = object->l_next))
		found = find_in(object, symbol);
	return found;
}

/* A handle of glibc is the object's link_map, but for the main program's. */
void *rein_elf_symbol(void *handle, const char *symbol)
{
	struct link_map *object = NULL;
	return dlinfo(handle, RTLD_DI_LINKMAP, &object) == 0 && object ? find_in(object, symbol)
	                                                               : NULL;
}

bool rein_elf_is_ours(void *handle)
{
	struct link_map *object = NULL;
	return dlinfo(handle, RTLD_DI_LINKMAP, &object) == 0 && object && object->l_ld == _DYNAMIC;
}

bool rein_elf_is_named(const struct rein_elf_object *object, const char *start)
{
	const char *slash = strrchr(object->name, '/');
	return !strncmp(slash ? slash + 1 : object->name, start, strlen(start));
}

static bool contains(const struct dl_phdr_info *info, const void *addr)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + p->p_vaddr;
		if (p->p_type == PT_LOAD && (uintptr_t)addr - start < p->p_memsz)
			return true;
	}
	return false;
}

struct object_search {
	const void *addr;  /* either this */
	const char *start; /* or that */
	struct rein_elf_object *out;
};

static int object_in(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct object_search *s = arg;
	struct rein_elf_object o = {info->dlpi_addr, info->dlpi_name ? info->dlpi_name : ""};
	if (s->addr ? !contains(info, s->addr) : !rein_elf_is_named(&o, s->start))
		return 0;
	*s->out = o;
	return 1;
}

bool rein_elf_object_of(const void *addr, struct rein_elf_object *out)
{
	struct object_search s = {.addr = addr, .out = out};
	return dl_iterate_phdr(object_in, &s) != 0;
}

bool rein_elf_object_named(const char *start, struct rein_elf_object *out)
{
	struct object_search s = {.start = start, .out = out};
	return dl_iterate_phdr(object_in, &s) != 0;
}
