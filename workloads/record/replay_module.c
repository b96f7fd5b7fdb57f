// SPDX-License-Identifier: Apache-2.0
/*
 * replay_module.c: a trace holds no images. For each load that succeeded a module is made up: an
 * empty kernel for each name that was taken from it, with the parameters that it was launched
 * with, and a variable for each global. All of it is known from the rest of the trace, as is
 * which contexts are primary ones.
 */
#include "replay.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARAMS_MAX 1024

struct kernel {
	int module;
	char *name;
	struct slice sizes; /* "8,4": empty if it was never launched */
	uint64_t *asked;    /* sizes that cuFuncGetParamInfo gave the program */
	int n_asked;
	uint64_t threads; /* __launch_bounds__, if the program asked; 0: not known */
};

struct global {
	int module;
	char *name;
	uint64_t size;
};

struct module {
	char *ptx;
	uint64_t listed; /* kernels that an enumeration asked for */
	char file[64];
};

static struct module *modules;
static struct kernel *kernels;
static struct global *globals;
static int n_modules, n_kernels, n_globals;

/* By handle, at the point of the trace that the plan has reached: index + 1. */
static struct rp_map module_of, kernel_of;
static struct rp_map primary_of; /* by handle of a primary context: device + 1 */

static void *one_more(void *array, int n, size_t size)
{
	if (n & (n - 1))
		return array; /* room doubles at each power of two */
	void *more = realloc(array, (n ? 2 * (size_t)n : 1) * size);
	if (!more) {
		fprintf(stderr, "replay: out of memory\n");
		exit(1);
	}
	return more;
}

/* ---------------------------------------------------------------- what a module must hold */

static bool identifier(const char *name)
{
	if (!*name || isdigit((unsigned char)*name))
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_$%", *name))
			return false;
	return true;
}

static int kernel_named(int module, char *name)
{
	for (int i = n_kernels - 1; i >= 0; i--) {
		if (kernels[i].module == module && strcmp(kernels[i].name, name) == 0) {
			free(name);
			return i;
		}
	}
	kernels = one_more(kernels, n_kernels, sizeof(*kernels));
	kernels[n_kernels] = (struct kernel){.module = module, .name = name};
	return n_kernels++;
}

static void global_named(int module, char *name, uint64_t size)
{
	for (int i = 0; i < n_globals; i++) {
		if (globals[i].module == module && strcmp(globals[i].name, name) == 0) {
			free(name);
			return;
		}
	}
	globals = one_more(globals, n_globals, sizeof(*globals));
	globals[n_globals++] = (struct global){module, name, size};
}

/* The handle that argument i gave, or took. */
static uint64_t handle(const struct rp_value *v)
{
	return v->has_after ? v->after_number : v->number;
}

static bool starts(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

/* cuFuncGetParamInfo, cuKernelGetParamInfo; a parameter that was not asked about: 8 bytes. */
static void plan_parameter(struct kernel *k, const struct rp_value *v)
{
	if (v[3].null || v[1].number >= PARAMS_MAX)
		return;
	while ((uint64_t)k->n_asked <= v[1].number) {
		k->asked = one_more(k->asked, k->n_asked, sizeof(*k->asked));
		k->asked[k->n_asked++] = 8;
	}
	k->asked[v[1].number] = handle(&v[3]);
}

/* cuFuncGetAttribute, cuKernelGetAttribute */
static void plan_bound(struct kernel *k, const struct rp_value *v)
{
	if (v[1].number == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK && handle(&v[0]) < 1024)
		k->threads = handle(&v[0]);
}

/* One successful call; v: its arguments. */
static void plan_call(struct rp_call *c, const struct rp_value *v)
{
	const char *name = rec_entries[c->entry].name;
	uint64_t m = 0, k = 0;
	if (starts(name, "cuModuleLoad") || starts(name, "cuLibraryLoad")) {
		modules = one_more(modules, n_modules, sizeof(*modules));
		modules[n_modules] = (struct module){0};
		c->module = n_modules++;
		rp_map_put(&module_of, handle(&v[0]), (uint64_t)n_modules);
	} else if (strcmp(name, "cuDevicePrimaryCtxRetain") == 0) {
		rp_map_put(&primary_of, handle(&v[0]), v[1].number + 1);
	} else if (strcmp(name, "cuLibraryGetModule") == 0) {
		if (rp_map_get(&module_of, v[1].number, &m))
			rp_map_put(&module_of, handle(&v[0]), m);
	} else if (strcmp(name, "cuModuleGetFunction") == 0 ||
	           strcmp(name, "cuLibraryGetKernel") == 0) {
		char *text = rp_text(v[2].bytes);
		if (text && identifier(text) && rp_map_get(&module_of, v[1].number, &m))
			rp_map_put(&kernel_of, handle(&v[0]),
			           (uint64_t)kernel_named((int)m - 1, text) + 1);
		else
			free(text);
	} else if (strcmp(name, "cuFuncGetParamInfo") == 0 ||
	           strcmp(name, "cuKernelGetParamInfo") == 0) {
		if (rp_map_get(&kernel_of, v[0].number, &k))
			plan_parameter(&kernels[k - 1], v);
	} else if (strcmp(name, "cuFuncGetAttribute") == 0 ||
	           strcmp(name, "cuKernelGetAttribute") == 0) {
		if (rp_map_get(&kernel_of, v[2].number, &k))
			plan_bound(&kernels[k - 1], v);
	} else if (strcmp(name, "cuKernelGetFunction") == 0) {
		if (rp_map_get(&kernel_of, v[1].number, &k))
			rp_map_put(&kernel_of, handle(&v[0]), k);
	} else if (strcmp(name, "cuModuleEnumerateFunctions") == 0 ||
	           strcmp(name, "cuLibraryEnumerateKernels") == 0) {
		if (rp_map_get(&module_of, v[2].number, &m) && modules[m - 1].listed < v[1].number)
			modules[m - 1].listed = v[1].number;
	} else if (starts(name, "cuModuleGetGlobal") || strcmp(name, "cuLibraryGetGlobal") == 0) {
		char *text = v[3].null ? NULL : rp_text(v[3].bytes);
		if (text && identifier(text) && rp_map_get(&module_of, v[2].number, &m))
			global_named((int)m - 1, text, v[1].null ? 65536 : handle(&v[1]));
		else
			free(text);
	}
}

/* ---------------------------------------------------------------- its text */

struct text {
	char *at;
	size_t len, room;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	size_t n = (size_t)vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (t->len + n + 1 > t->room) {
		t->room = 2 * (t->len + n + 1);
		t->at = realloc(t->at, t->room);
		if (!t->at) {
			fprintf(stderr, "replay: out of memory\n");
			exit(1);
		}
	}
	vsnprintf(t->at + t->len, n + 1, fmt, again);
	va_end(again);
	t->len += n;
}

static void add_parameter(struct text *t, const struct kernel *k, int i, unsigned long size)
{
	const char *comma = i ? ",\n" : "";
	if (size == 1 || size == 2 || size == 4 || size == 8)
		add(t, "%s .param .b%lu %s_p%d", comma, 8 * size, k->name, i);
	else
		add(t, "%s .param .align 8 .b8 %s_p%d[%lu]", comma, k->name, i, size);
}

static void add_kernel(struct text *t, const struct kernel *k)
{
	const char *at = k->sizes.at, *end = k->sizes.at + k->sizes.len;
	add(t, ".visible .entry %s(\n", k->name);
	for (int i = 0; at < end && i < PARAMS_MAX; i++) {
		char *next;
		add_parameter(t, k, i, strtoul(at, &next, 10));
		at = next + (next < end);
	}
	for (int i = 0; !k->sizes.len && i < k->n_asked; i++)
		add_parameter(t, k, i, (unsigned long)k->asked[i]);
	add(t, "\n)\n");
	if (k->threads)
		add(t, ".maxntid %llu, 1, 1\n", (unsigned long long)k->threads);
	add(t, "{\n ret;\n}\n");
}

static void write_module(int m)
{
	struct text t = {0};
	uint64_t have = 0;
	add(&t, ".version 8.0\n.target sm_75\n.address_size 64\n");
	for (int i = 0; i < n_globals; i++)
		if (globals[i].module == m)
			add(&t, ".visible .global .align 16 .b8 %s[%llu];\n", globals[i].name,
			    (unsigned long long)(globals[i].size ? globals[i].size : 1));
	for (int i = 0; i < n_kernels; i++) {
		if (kernels[i].module == m) {
			add_kernel(&t, &kernels[i]);
			have++;
		}
	}
	for (; have < modules[m].listed; have++)
		add(&t, ".visible .entry replay_other_%llu()\n{\n ret;\n}\n",
		    (unsigned long long)have);
	modules[m].ptx = t.at;
}

bool rp_modules_plan(struct rp_trace *t)
{
	struct rp_arg args[2 * REC_ARGS_MAX];
	struct rp_value v[REC_ARGS_MAX] = {{0}};
	int line = 0;
	uint64_t k = 0;
	for (int i = 0; i <= t->n_calls; i++) {
		for (; line < t->n_kernels && t->kernels[line].before <= i; line++)
			if (rp_map_get(&kernel_of, t->kernels[line].handle, &k))
				kernels[k - 1].sizes = t->kernels[line].sizes;
		if (i == t->n_calls)
			break;
		struct rp_call *c = &t->calls[i];
		if (c->entry < 0 || c->status != CUDA_SUCCESS)
			continue;
		const struct rec_entry *e = &rec_entries[c->entry];
		if (rp_args(c, args, 2 * REC_ARGS_MAX) < e->n)
			return false;
		for (int a = 0; a < e->n; a++)
			if (!rp_value(&e->params[a], args[a].value, &v[a]))
				return false;
		plan_call(c, v);
	}
	for (int m = 0; m < n_modules; m++)
		write_module(m);
	return true;
}

bool rp_primary(uint64_t handle, int *device)
{
	uint64_t next;
	bool found = rp_map_get(&primary_of, handle, &next);
	*device = found ? (int)next - 1 : 0;
	return found;
}

size_t rp_kernel_bytes(const char *name)
{
	const struct kernel *k = NULL;
	for (int i = 0; i < n_kernels && !k; i++)
		if (kernels[i].sizes.len && strcmp(kernels[i].name, name) == 0)
			k = &kernels[i];
	if (!k)
		return 0;
	size_t bytes = 0;
	const char *at = k->sizes.at, *end = at + k->sizes.len;
	for (char *next; at < end; at = next + (next < end)) {
		size_t size = strtoul(at, &next, 10);
		size_t align = size == 1 || size == 2 || size == 4 ? size : 8; /* add_parameter() */
		bytes = (bytes + align - 1) / align * align + size;
	}
	return bytes;
}

const char *rp_module_ptx(int module)
{
	return modules[module].ptx;
}

const char *rp_module_file(int module)
{
	struct module *m = &modules[module];
	size_t len = strlen(m->ptx);
	snprintf(m->file, sizeof(m->file), "/tmp/replay-XXXXXX");
	int fd = mkstemp(m->file);
	if (fd < 0 || write(fd, m->ptx, len) != (ssize_t)len) {
		if (fd < 0)
			m->file[0] = 0;
		else
			close(fd);
		return NULL;
	}
	close(fd);
	return m->file;
}

void rp_modules_free(void)
{
	for (int m = 0; m < n_modules; m++) {
		if (modules[m].file[0])
			unlink(modules[m].file);
		free(modules[m].ptx);
	}
	for (int i = 0; i < n_kernels; i++)
		free(kernels[i].name), free(kernels[i].asked);
	for (int i = 0; i < n_globals; i++)
		free(globals[i].name);
	free(modules);
	free(kernels);
	free(globals);
}
