// SPDX-License-Identifier: Apache-2.0
/*
 * replay_values.c: a recorded call's arguments, with this run's values in place of the recorded
 * ones: handles that earlier calls gave, addresses inside allocations that earlier calls made. A
 * host address that no call gave is replaced by that of a scratch area: what is copied does not
 * matter, only what the driver says to it.
 */
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA (4u << 20)
#define MARGIN 512u /* of room behind each object: attributes may be larger than recorded */
#define UNKNOWN_SIZE 4096u
#define KERNEL_PARAMS_MAX 32764u /* CUDA C++ Programming Guide, from compute capability 7.0 */

static const char lost[] = "handles and addresses that no replayed call gave";

static _Alignas(64) unsigned char arena[ARENA];
static size_t arena_used;

/* False if a word is lost. */
static bool translate_words(void *at, size_t len)
{
	unsigned char *b = at;
	bool whole = true;
	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint64_t v;
		memcpy(&v, b + i, 8);
		enum rp_found f = rp_look_up(&v);
		if (f == RP_FOUND)
			memcpy(b + i, &v, 8);
		whole &= f != RP_LOST;
	}
	return whole;
}

static void *reserve(size_t len)
{
	size_t room = (len + MARGIN + 63) & ~(size_t)63;
	if (arena_used + room > sizeof(arena))
		return NULL;
	void *at = arena + arena_used;
	arena_used += room;
	memset(at, 0, room);
	return at;
}

/* ---------------------------------------------------------------- kernel parameters */

/* "[8:00ff,4:01]" */
static void **kernel_params(const struct rp_value *v)
{
	void **params = reserve(1024 * sizeof(void *));
	const char *at = v->bytes.at, *end = at + v->bytes.len;
	bool unknown = v->bytes.len == 1 && *at == '?';
	for (int i = 0; params && i < 1024 && (unknown ? i < 64 : at < end); i++) {
		size_t size = 8, digits = 0;
		if (!unknown) {
			char *colon;
			size = strtoul(at, &colon, 10);
			at = colon + (*colon == ':');
			digits = strspn(at, "0123456789abcdef");
		}
		params[i] = reserve(size);
		if (!params[i])
			return NULL;
		rp_bytes((struct slice){at, digits}, params[i], size);
		translate_words(params[i], size);
		const char *comma = unknown ? at : memchr(at, ',', (size_t)(end - at));
		at = comma ? comma + !unknown : end;
	}
	return params;
}

struct line_args {
	struct rp_arg args[2 * REC_ARGS_MAX];
	int n;
};

/* Bytes of the parameters of the kernel that the line names. */
static size_t kernel_bytes(const struct line_args *l)
{
	size_t bytes = 0;
	struct slice s = rp_arg_named(l->args, l->n, "kernel");
	char *name = s.len > 2 ? strndup(s.at + 1, s.len - 2) : NULL; /* in quotes */
	if (name)
		bytes = rp_kernel_bytes(name);
	free(name);
	return bytes && bytes < KERNEL_PARAMS_MAX ? bytes : KERNEL_PARAMS_MAX;
}

static void **extra(const struct rp_value *v, const struct line_args *l)
{
	void **list = reserve(5 * sizeof(void *));
	size_t *size = reserve(sizeof(*size));
	size_t most = v->cut ? kernel_bytes(l) : v->bytes.len / 2; /* what was cut off: zeros */
	void *buffer = reserve(most);
	if (!list || !size || !buffer)
		return NULL;
	*size = rp_bytes(v->bytes, buffer, most);
	translate_words(buffer, *size);
	*size = v->cut ? most : *size;
	list[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
	list[1] = buffer;
	list[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
	list[3] = size;
	list[4] = CU_LAUNCH_PARAM_END;
	return list;
}

/* ---------------------------------------------------------------- structures with addresses */

static CUresult nothing(void)
{
	return CUDA_SUCCESS; /* in place of the program's functions */
}

/* The extra argument "PARAM.FIELD" of the line, read as `kind`. */
static bool deep(const struct line_args *l, const char *param, const char *field, int kind,
                 struct rp_value *v)
{
	char name[96];
	struct rec_param p = {.name = field, .kind = (uint8_t)kind};
	snprintf(name, sizeof(name), "%s.%s", param, field);
	struct slice s = rp_arg_named(l->args, l->n, name);
	return s.at && rp_value(&p, s, v) && !v->null;
}

static void *deep_bytes(const struct line_args *l, const char *param, const char *field)
{
	struct rp_value v;
	if (!deep(l, param, field, REC_STRUCT, &v))
		return NULL;
	void *at = reserve(v.bytes.len / 2);
	if (at)
		translate_words(at, rp_bytes(v.bytes, at, v.bytes.len / 2));
	return at;
}

static void fix_kernel(const struct line_args *l, const char *param, void ***params, void ***ext)
{
	struct rp_value v;
	*params = deep(l, param, "kernelParams", REC_PARAMS, &v) ? kernel_params(&v) : NULL;
	*ext = deep(l, param, "extra", REC_EXTRA, &v) ? extra(&v, l) : NULL;
}

#define FIX_COPY(T)                                                                                \
	do {                                                                                       \
		T *copy = at;                                                                      \
		copy->srcHost = (void *)(uintptr_t)rp_host((uintptr_t)copy->srcHost);              \
		copy->dstHost = (void *)(uintptr_t)rp_host((uintptr_t)copy->dstHost);              \
	} while (0)

static void fix_node(const struct line_args *l, const struct rec_param *p, CUgraphNodeParams *node)
{
	if (node->type == CU_GRAPH_NODE_TYPE_KERNEL) {
		fix_kernel(l, p->name, &node->kernel.kernelParams, &node->kernel.extra);
	} else if (node->type == CU_GRAPH_NODE_TYPE_MEMCPY) {
		void *at = &node->memcpy.copyParams;
		FIX_COPY(CUDA_MEMCPY3D);
	} else if (node->type == CU_GRAPH_NODE_TYPE_HOST) {
		node->host.fn = (CUhostFn)(void *)nothing;
	}
}

/* Addresses inside a structure that no call gave; handles are translated already. */
static void fix_struct(const struct line_args *l, const struct rec_param *p, void *at)
{
	const char *type = p->type;
	if (strcmp(type, "CUDA_MEMCPY2D") == 0) {
		FIX_COPY(CUDA_MEMCPY2D);
	} else if (strcmp(type, "CUDA_MEMCPY2D_v1") == 0) {
		FIX_COPY(CUDA_MEMCPY2D_v1);
	} else if (strcmp(type, "CUDA_MEMCPY3D") == 0) {
		FIX_COPY(CUDA_MEMCPY3D);
	} else if (strcmp(type, "CUDA_MEMCPY3D_v1") == 0) {
		FIX_COPY(CUDA_MEMCPY3D_v1);
	} else if (strcmp(type, "CUDA_MEMCPY3D_PEER") == 0) {
		FIX_COPY(CUDA_MEMCPY3D_PEER);
	} else if (strncmp(type, "CUDA_HOST_NODE_PARAMS", 21) == 0) {
		((CUDA_HOST_NODE_PARAMS *)at)->fn = (CUhostFn)(void *)nothing;
	} else if (strncmp(type, "CUDA_KERNEL_NODE_PARAMS", 23) == 0 && p->is_const) {
		CUDA_KERNEL_NODE_PARAMS_v1 *k = at;
		fix_kernel(l, p->name, &k->kernelParams, &k->extra);
	} else if (strcmp(type, "CUgraphNodeParams") == 0) {
		fix_node(l, p, at);
	} else if (strcmp(type, "CUlaunchConfig") == 0) {
		CUlaunchConfig *config = at;
		config->attrs = deep_bytes(l, p->name, "attrs");
		config->numAttrs = config->attrs ? config->numAttrs : 0;
	} else if (strcmp(type, "CUDA_BATCH_MEM_OP_NODE_PARAMS") == 0) {
		CUDA_BATCH_MEM_OP_NODE_PARAMS *b = at;
		b->paramArray = deep_bytes(l, p->name, "paramArray");
	} else if (strcmp(type, "CUctxCreateParams") == 0) {
		memset(at, 0, sizeof(CUctxCreateParams)); /* affinity is not in the trace */
	}
}

/* ---------------------------------------------------------------- one argument */

/* How many bytes the driver may find or leave behind parameter i. */
static size_t object_size(const struct rec_entry *e, const struct rp_value *v, int i)
{
	const struct rec_param *p = &e->params[i];
	uint64_t n = 1;
	if (p->count >= 0)
		n = v[p->count].number;
	size_t size = p->kind == REC_TEXT_OUT ? 1 : p->size;
	return n < ARENA / size ? size * (size_t)n : ARENA; /* for which there is no room */
}

static bool build_object(const struct rec_entry *e, struct rp_built *b, int i,
                         const struct line_args *l, bool success)
{
	const struct rec_param *p = &e->params[i];
	const struct rp_value *v = &b->values[i];
	size_t len = object_size(e, b->values, i);
	unsigned char *at = reserve(len);
	b->kept[i] = reserve(len);
	if (!at || !b->kept[i]) {
		b->why = "arguments larger than the replayer's room";
		return false;
	}
	if (v->is_number)
		memcpy(at, &v->number, p->size);
	else
		rp_bytes(v->bytes, at, len);
	if (!translate_words(at, len) && (p->is_const || p->count >= 0) && success) {
		b->why = lost;
		return false;
	}
	if (strcmp(p->type, "void *") == 0 && p->count >= 0) { /* option values, buffers */
		uint64_t *words = (uint64_t *)at;
		for (size_t k = 0; k < len / 8; k++)
			if (words[k] > UINT32_MAX)
				words[k] = rp_host(words[k]);
	} else if (p->pointee >= REC_CLASS_STRUCT) {
		for (size_t k = 0; k + p->size <= len; k += p->size)
			fix_struct(l, p, at + k);
	}
	memcpy(b->kept[i], at, len);
	b->len[i] = len;
	b->args[i].u = (uintptr_t)at;
	return true;
}

static bool build_arg(const struct rp_call *c, struct rp_built *b, int i, const struct line_args *l)
{
	const struct rec_entry *e = &rec_entries[c->entry];
	const struct rec_param *p = &e->params[i];
	const struct rp_value *v = &b->values[i];
	void *at = NULL;
	if (v->null)
		return true;
	switch ((enum rec_kind)p->kind) {
	case REC_INT:
		b->args[i].u = v->number;
		return true;
	case REC_FLOAT:
		b->args[i].f = v->real;
		return true;
	case REC_HANDLE:
		b->args[i].u = v->number;
		if (rp_look_up(&b->args[i].u) != RP_FOUND && c->status == CUDA_SUCCESS) {
			b->why = lost;
			return false;
		}
		return true;
	case REC_DEVPTR:
		b->args[i].u = v->number;
		switch (rp_look_up(&b->args[i].u)) {
		case RP_LOST:
			b->why = c->status == CUDA_SUCCESS ? lost : NULL;
			break;
		case RP_UNKNOWN: /* a host address, by unified addressing */
			if (c->status == CUDA_SUCCESS)
				b->args[i].u = rp_scratch();
			break;
		case RP_FOUND:
			break;
		}
		return b->why == NULL;
	case REC_HOST:
		b->args[i].u = rp_host(v->number);
		return true;
	case REC_CALLBACK:
		b->args[i].u = v->number ? (uintptr_t)nothing : 0;
		return true;
	case REC_STRUCT:
		at = reserve(p->size);
		if (at)
			rp_bytes(v->bytes, at, p->size);
		break;
	case REC_STRING:
		at = reserve(v->bytes.len + 1);
		if (at) {
			char *text = rp_text(v->bytes);
			strcpy(at, text ? text : "");
			free(text);
		}
		break;
	case REC_TEXT_OUT:
		at = reserve(object_size(e, b->values, i));
		break;
	case REC_TEXT_PTR:
	case REC_LIST_PTR:
		at = reserve(sizeof(void *));
		break;
	case REC_IMAGE:
		b->args[i].u = c->module >= 0 ? (uintptr_t)rp_module_ptx(c->module) : 0;
		return true;
	case REC_PARAMS:
		at = kernel_params(v);
		break;
	case REC_EXTRA:
		at = extra(v, l);
		break;
	case REC_OBJECT:
		return build_object(e, b, i, l, c->status == CUDA_SUCCESS);
	}
	b->args[i].u = (uintptr_t)at;
	if (!at)
		b->why = "arguments larger than the replayer's room";
	return at != NULL;
}

/* ---------------------------------------------------------------- a call */

static bool starts(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

static const char *cannot(const struct rp_call *c)
{
	const char *name = rec_entries[c->entry].name;
	bool load = starts(name, "cuModuleLoad") || starts(name, "cuLibraryLoad");
	if (strcmp(name, "cuGetExportTable") == 0)
		return "an export table";
	if (c->status == CUDA_ERROR_DEINITIALIZED)
		return "a call after the driver's end";
	if (load && c->status != CUDA_SUCCESS)
		return "an image that the driver refused";
	if (starts(name, "cuIpcOpen") || starts(name, "cuMemImportFromShareableHandle") ||
	    starts(name, "cuMemPoolImport"))
		return "memory of another process";
	if (starts(name, "cuCoredump") || starts(name, "cuCheckpoint"))
		return "the state of the recorded process";
	return NULL;
}

/* The bytes that an argument of one of these names speaks of; 0: none does. */
static uint64_t size_argument(const struct rec_entry *e, const struct rp_value *v)
{
	static const char *const names[] = {"bytesize", "bytes", "size",
	                                    "psize",    "pSize", "ByteCount"};
	for (int i = 0; i < e->n; i++)
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
			if (strcmp(e->params[i].name, names[k]) == 0)
				return v[i].has_after ? v[i].after_number : v[i].number;
	return 0;
}

/* Host memory that the program registers is the program's own: it gets some of that size. */
static bool give_host_memory(const struct rp_call *c, const struct rp_built *b)
{
	const struct rec_entry *e = &rec_entries[c->entry];
	uint64_t v = b->values[0].number, page = v & 4095;
	if (!starts(e->name, "cuMemHostRegister") || c->status != CUDA_SUCCESS ||
	    b->values[0].null || rp_range_live(v))
		return true;
	uint64_t size = size_argument(e, b->values);
	void *at = mmap(NULL, size + page + 1, PROT_READ | PROT_WRITE,
	                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return false;
	rp_range_add(b->values[0].number, (uintptr_t)at + page, size ? size : 1);
	return true;
}

bool rp_build(const struct rp_call *c, struct rp_built *b)
{
	const struct rec_entry *e = &rec_entries[c->entry];
	struct line_args l;
	memset(b, 0, sizeof(*b));
	arena_used = 0;
	b->why = cannot(c);
	l.n = b->why ? -1 : rp_args(c, l.args, 2 * REC_ARGS_MAX);
	if (l.n < e->n)
		return false;
	for (int i = 0; i < e->n; i++)
		if (!rp_value(&e->params[i], l.args[i].value, &b->values[i]))
			return false;
	struct slice found = rp_arg_named(l.args, l.n, "found");
	b->opaque = found.len == 8 && memcmp(found.at, "\"opaque\"", 8) == 0;
	if (size_argument(e, b->values) > RP_SCRATCH && strstr(e->name, "cpy")) {
		b->why = "a copy larger than the replayer's scratch memory";
		return false;
	}
	if (starts(e->name, "cuMemHostRegister") && c->status != CUDA_SUCCESS &&
	    !rp_range_live(b->values[0].number)) {
		b->why = "host memory that the driver refused";
		return false;
	}
	if (!give_host_memory(c, b)) {
		b->why = "no memory to register";
		return false;
	}
	for (int i = 0; i < e->n; i++)
		if (!build_arg(c, b, i, &l))
			return false;
	if (c->module >= 0 && (strcmp(e->name, "cuModuleLoad") == 0 ||
	                       strcmp(e->name, "cuLibraryLoadFromFile") == 0)) {
		b->args[1].u = (uintptr_t)rp_module_file(c->module);
		b->why = b->args[1].u ? NULL : "no room in /tmp for a module";
	}
	return b->why == NULL;
}

/* ---------------------------------------------------------------- what a call gave */

static bool is_address(const struct rec_param *p)
{
	return starts(p->type, "CUdeviceptr") || strcmp(p->type, "void *") == 0;
}

static void learn_word(const struct rec_param *p, uint64_t recorded, uint64_t ours, uint64_t size)
{
	if (recorded <= RP_SMALL || ours <= RP_SMALL)
		return;
	if (!is_address(p))
		rp_handle_put(recorded, ours);
	else
		rp_range_add(recorded, ours, size ? size : UNKNOWN_SIZE);
}

/* Words of structures that the call changed, in the recording and here. */
static void learn_struct(const struct rec_param *p, const struct rp_value *v,
                         const unsigned char *kept, const unsigned char *now, size_t len)
{
	for (size_t at = 0; at + 8 <= len && 2 * at + 16 <= v->after.len; at += 8) {
		uint64_t before = 0, after = 0, ours, was;
		rp_bytes((struct slice){v->after.at + 2 * at, 16}, &after, 8);
		if (2 * at + 16 <= v->bytes.len)
			rp_bytes((struct slice){v->bytes.at + 2 * at, 16}, &before, 8);
		memcpy(&ours, now + at, 8);
		memcpy(&was, kept + at, 8);
		if (before != after && was != ours && after > UINT32_MAX && ours > UINT32_MAX)
			learn_word(p, after, ours, 0);
	}
	if (strcmp(p->type, "CUDA_MEM_ALLOC_NODE_PARAMS") == 0) {
		CUDA_MEM_ALLOC_NODE_PARAMS recorded;
		if (rp_bytes(v->after, &recorded, sizeof(recorded)) == sizeof(recorded))
			rp_range_add(recorded.dptr, ((const CUDA_MEM_ALLOC_NODE_PARAMS *)now)->dptr,
			             recorded.bytesize);
	}
}

/* At most n handles: of ours there may be fewer. */
static void learn_list(const struct rec_param *p, struct slice digits, const uint64_t *ours,
                       size_t n)
{
	for (size_t i = 0; ours && i < n && 16 * i + 16 <= digits.len; i++) {
		uint64_t recorded = 0;
		rp_bytes((struct slice){digits.at + 16 * i, 16}, &recorded, 8);
		learn_word(p, recorded, ours[i], 0);
	}
}

/* *out is an array of as many handles as another argument says. */
static void learn_pointed(const struct rp_built *b, const struct rec_param *p, int i)
{
	const size_t *n = p->count < 0 ? NULL : (const size_t *)(uintptr_t)b->args[p->count].u;
	if (n)
		learn_list(p, b->values[i].bytes, *(uint64_t *const *)(uintptr_t)b->args[i].u, *n);
}

/* cuMemFree, cuMemFreeAsync, cuMemFreeHost, cuMemHostUnregister, cuMemAddressFree */
static void learn_free(const struct rec_entry *e, const struct rp_value *v)
{
	if (!starts(e->name, "cuMemFree") && !starts(e->name, "cuMemHostUnregister") &&
	    !starts(e->name, "cuMemAddressFree"))
		return;
	rp_range_free(v[0].number);
}

void rp_learn(const struct rp_call *c, struct rp_built *b)
{
	const struct rec_entry *e = &rec_entries[c->entry];
	learn_free(e, b->values);
	uint64_t size = size_argument(e, b->values);
	if (starts(e->name, "cuMemAllocPitch"))
		size = (b->values[1].has_after ? b->values[1].after_number : b->values[1].number) *
		       b->values[3].number;
	for (int i = 0; i < e->n; i++) {
		const struct rec_param *p = &e->params[i];
		const struct rp_value *v = &b->values[i];
		const unsigned char *now = (const unsigned char *)(uintptr_t)b->args[i].u;
		if (v->null || p->is_const) {
			if (p->kind == REC_LIST_PTR && !v->null)
				learn_pointed(b, p, i);
			continue;
		}
		if (p->kind != REC_OBJECT || strcmp(e->params[i].name, "pfn") == 0)
			continue;
		uint64_t ours = 0;
		memcpy(&ours, now, p->size < 8 ? p->size : 8);
		if (v->is_number && p->size == 8)
			learn_word(p, v->has_after ? v->after_number : v->number, ours, size);
		else if (p->pointee >= REC_CLASS_STRUCT)
			learn_struct(p, v, b->kept[i], now, b->len[i]);
		else if (p->size == 8 && !v->is_number)
			learn_list(p, v->after, (const uint64_t *)(const void *)now, b->len[i] / 8);
	}
}

void rp_lose(const struct rp_call *c)
{
	const struct rec_entry *e = &rec_entries[c->entry];
	struct rp_value v[REC_ARGS_MAX];
	struct rp_arg args[2 * REC_ARGS_MAX];
	if (rp_args(c, args, 2 * REC_ARGS_MAX) < e->n)
		return;
	for (int i = 0; i < e->n; i++)
		if (!rp_value(&e->params[i], args[i].value, &v[i]))
			return;
	for (int i = 0; i < e->n; i++) {
		const struct rec_param *p = &e->params[i];
		uint64_t given = v[i].has_after ? v[i].after_number : v[i].number;
		if (p->kind != REC_OBJECT || p->is_const || !v[i].is_number || p->size != 8 ||
		    given <= RP_SMALL)
			continue;
		uint64_t size = size_argument(e, v);
		if (is_address(p))
			rp_range_add(given, 0, size ? size : UNKNOWN_SIZE);
		else if (p->pointee == REC_CLASS_POINTER)
			rp_handle_put(given, 0);
	}
}

const char *rp_differs(const struct rp_call *c, const struct rp_built *b, bool *unsupported)
{
	const struct rec_entry *e = &rec_entries[c->entry];
	*unsupported = false;
	if (!starts(e->name, "cuGetProcAddress") || b->values[1].null)
		return NULL;
	const struct rp_value *pfn = &b->values[1], *status = &b->values[4];
	uint64_t found = pfn->has_after ? pfn->after_number : pfn->number;
	uint64_t here = *(const uint64_t *)(uintptr_t)b->args[1].u;
	*unsupported = found && !here && b->opaque;
	if ((found != 0) != (here != 0))
		return found ? "a function was found in the recording only"
		             : "a function was found here only";
	if (e->n > 4 && !status->null &&
	    (status->has_after ? status->after_number : status->number) !=
	        *(const unsigned *)(uintptr_t)b->args[4].u)
		return "symbolStatus is another";
	return NULL;
}
