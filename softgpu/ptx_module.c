// SPDX-License-Identifier: Apache-2.0
/* ptx_module.c: loading and freeing modules, and what is asked of them. */
#include <stdlib.h>
#include <string.h>

#include "ptx_dec.h"

static void free_module(struct ptx_module *m)
{
	for (uint32_t i = 0; i < m->n_vars; i++)
		if (!m->vars[i].shared)
			m->mem.free(m->mem.self, m->vars[i].addr);
	for (uint32_t i = 0; i < m->n_kernels; i++)
		ptx_arena_free(atomic_load(&m->kernels[i]->spare));
	ptx_pool_free(&m->keep);
	free(m);
}

/* Everything that may jump out: the state is in *ld and *m, nothing in locals. */
static void load(struct ptx_load *ld, const char *text, size_t len)
{
	char *copy = ptx_alloc(ld, ld->keep, len + 1); /* names of variables point into it */
	memcpy(copy, text, len);
	ptx_tokenize(ld, copy, len);
	ptx_parse_module(ld);
}

enum ptx_status ptx_module_load(const char *text, size_t len, const struct ptx_memory *mem,
                                struct ptx_module **out, struct ptx_error *err)
{
	static atomic_uint modules;
	struct ptx_load ld = {.err = err, .mem = mem};
	*err = (struct ptx_error){0};
	*out = NULL;
	struct ptx_module *m = calloc(1, sizeof(*m));
	if (!m)
		return PTX_NO_MEMORY;
	m->mem = *mem;
	m->id = (atomic_fetch_add(&modules, 1) + 1) & 0xfffffff;
	ld.module = m;
	ld.keep = &m->keep;
	if (setjmp(ld.out)) {
		ptx_pool_free(&ld.temp);
		free_module(m);
		return ld.status;
	}
	load(&ld, text, len);
	ptx_pool_free(&ld.temp);
	*out = m;
	return PTX_OK;
}

void ptx_module_free(struct ptx_module *m)
{
	if (m)
		free_module(m);
}

struct ptx_kernel *ptx_kernel_find(const struct ptx_module *m, const char *name)
{
	for (uint32_t i = 0; i < m->n_kernels; i++)
		if (!strcmp(m->kernels[i]->info.name, name))
			return m->kernels[i];
	return NULL;
}

unsigned ptx_kernel_count(const struct ptx_module *m)
{
	return m->n_kernels;
}

struct ptx_kernel *ptx_kernel_at(const struct ptx_module *m, unsigned i)
{
	return i < m->n_kernels ? m->kernels[i] : NULL;
}

const struct ptx_kernel_info *ptx_kernel_info(const struct ptx_kernel *k)
{
	return &k->info;
}

bool ptx_global_find(const struct ptx_module *m, const char *name, void **addr, size_t *size)
{
	for (uint32_t i = 0; i < m->n_vars; i++) {
		if (!ptx_str_is(m->vars[i].name, name))
			continue;
		*addr = m->vars[i].addr;
		*size = m->vars[i].size;
		return true;
	}
	return false;
}
