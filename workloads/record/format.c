// SPDX-License-Identifier: Apache-2.0
/* format.c: a call's arguments as text, in the form that trace.h defines. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "record.h"

#define FATBIN_WRAPPER 0x466243b1u
#define FATBIN_HEADER 0xba55ed50u
#define KERNEL_MAX 1024 /* parameters of one kernel */

void rec_put(struct rec_out *o, const char *fmt, ...)
{
	va_list ap;
	if (o->len >= o->cap)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(o->buf + o->len, o->cap - o->len, fmt, ap);
	va_end(ap);
	o->len = n > 0 && (size_t)n < o->cap - o->len ? o->len + (size_t)n : o->cap;
}

void rec_put_text(struct rec_out *o, const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);
	rec_put(o, "\"");
	for (size_t i = 0; i < len && i < max; i++) {
		unsigned char c = (unsigned char)text[i];
		bool plain = c >= ' ' && c < 127 && c != '"' && c != '\\';
		rec_put(o, plain ? "%c" : "\\x%02x", c);
	}
	rec_put(o, len > max ? "\"+" : "\"");
}

void rec_put_bytes(struct rec_out *o, const void *bytes, size_t len, size_t max)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *b = bytes;
	for (size_t i = 0; i < len && i < max && o->len + 2 < o->cap; i++) {
		o->buf[o->len++] = digits[b[i] >> 4];
		o->buf[o->len++] = digits[b[i] & 15];
	}
}

/* ---------------------------------------------------------------- behind a pointer */

static uint64_t load(const void *at, size_t size)
{
	uint64_t v = 0;
	memcpy(&v, at, size < sizeof(v) ? size : sizeof(v));
	return v;
}

static const void *address(const struct rec_call *c, int i)
{
	return (const void *)(uintptr_t)c->args[i].u;
}

/* How many objects, by the parameter that counts; 1 if none does. */
static size_t count_of(const struct rec_call *c, int i)
{
	const struct rec_param *params = rec_entries[c->entry].params;
	int by = params[i].count;
	if (by < 0)
		return 1;
	if (params[by].kind != REC_OBJECT)
		return (size_t)c->args[by].u;
	return c->args[by].u ? (size_t)load(address(c, by), params[by].size) : 0;
}

size_t rec_bytes_behind(const struct rec_call *c, int i, size_t max, bool *cut)
{
	size_t size = rec_entries[c->entry].params[i].size;
	size_t n = c->args[i].u ? count_of(c, i) : 0;
	*cut = n > max / size;
	return *cut ? max / size * size : n * size;
}

static void put_integer(struct rec_out *o, uint64_t v, size_t size, bool is_signed)
{
	if (is_signed)
		rec_put(o, "%lld", size == 4 ? (long long)(int32_t)v : (long long)v);
	else
		rec_put(o, "%llu", (unsigned long long)v);
}

static void put_address(struct rec_out *o, uint64_t v)
{
	rec_put(o, v ? "0x%llx" : "%llu", (unsigned long long)v);
}

static bool is_devptr(const char *type)
{
	return strncmp(type, "CUdeviceptr", 11) == 0 || strcmp(type, "CUtexObject") == 0 ||
	       strcmp(type, "CUmemGenericAllocationHandle") == 0;
}

/* What `bytes` hold: one number or handle, or bytes. */
static void put_behind(struct rec_out *o, const struct rec_param *p, const void *bytes, size_t len,
                       bool cut)
{
	bool number = p->pointee == REC_CLASS_INT || p->pointee == REC_CLASS_POINTER;
	if (number && len == p->size && p->count < 0) {
		rec_put(o, "*");
		if (p->pointee == REC_CLASS_POINTER || is_devptr(p->type))
			put_address(o, load(bytes, len));
		else
			put_integer(o, load(bytes, len), len, p->is_signed);
		return;
	}
	rec_put(o, "{");
	rec_put_bytes(o, bytes, len, REC_AFTER_MAX);
	rec_put(o, cut ? "}+" : "}");
}

static void put_object(struct rec_out *o, const struct rec_call *c, int i)
{
	const struct rec_param *p = &rec_entries[c->entry].params[i];
	bool cut;
	size_t len = rec_bytes_behind(c, i, REC_AFTER_MAX, &cut);
	if (!c->args[i].u) {
		rec_put(o, "0");
		return;
	}
	size_t before = c->kept_len[i];
	if (before && (before != len || memcmp(c->bytes + c->kept_at[i], address(c, i), len))) {
		put_behind(o, p, c->bytes + c->kept_at[i], before, false);
		rec_put(o, ">");
	}
	put_behind(o, p, address(c, i), len, cut);
}

/* ---------------------------------------------------------------- images */

static uint64_t fnv1a(const unsigned char *b, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x100000001b3u;
	return h;
}

static size_t elf_size(const unsigned char *b)
{
	uint64_t sections = load(b + 40, 8);
	return (size_t)(sections + load(b + 58, 2) * load(b + 60, 2));
}

static void put_image(struct rec_out *o, const unsigned char *b)
{
	const char *kind = "ptx";
	size_t len;
	if (!b) {
		rec_put(o, "0");
		return;
	}
	if (load(b, 4) == FATBIN_WRAPPER)
		b = (const unsigned char *)(uintptr_t)load(b + 8, 8);
	if (load(b, 4) == FATBIN_HEADER) {
		kind = "fatbin";
		len = (size_t)load(b + 8, 8) + 16;
	} else if (memcmp(b, "\177ELF", 4) == 0) {
		kind = "cubin";
		len = elf_size(b);
	} else {
		len = strlen((const char *)b);
	}
	rec_put(o, "<%s:%zu:%016llx>", kind, len,
	        (unsigned long long)fnv1a(b, len < REC_HASHED_MAX ? len : REC_HASHED_MAX));
}

/* ---------------------------------------------------------------- kernel parameters */

static void put_one_parameter(struct rec_out *o, const unsigned char *b, size_t size, size_t room)
{
	size_t len = size < room ? size : room;
	while (len && b[len - 1] == 0)
		len--;
	rec_put(o, "%zu:", size);
	rec_put_bytes(o, b, len, len);
	if (size > room)
		rec_put(o, "+");
}

static void put_params(struct rec_out *o, uint64_t function, void *const *params)
{
	uint16_t sizes[KERNEL_MAX];
	bool fresh;
	int n = rec_kernel_params(function, sizes, KERNEL_MAX, &fresh);
	size_t room = REC_PARAMS_MAX;
	if (!params || n < 0) {
		rec_put(o, params ? "[?]" : "0");
		return;
	}
	rec_put(o, "[");
	for (int i = 0; i < n; i++) {
		if (i)
			rec_put(o, ",");
		if (params[i])
			put_one_parameter(o, params[i], sizes[i], room);
		room -= sizes[i] < room ? sizes[i] : room;
	}
	rec_put(o, "]");
}

/* {CU_LAUNCH_PARAM_BUFFER_POINTER, buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &size, END} in any order */
static void put_extra(struct rec_out *o, void *const *extra)
{
	const void *buffer = NULL;
	size_t size = 0;
	if (!extra) {
		rec_put(o, "0");
		return;
	}
	for (int i = 0; i < 4 && extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
		if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER)
			buffer = extra[i + 1];
		else if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE)
			size = *(size_t *)extra[i + 1];
	}
	rec_put(o, "{");
	if (buffer)
		rec_put_bytes(o, buffer, size, REC_PARAMS_MAX);
	rec_put(o, buffer && size > REC_PARAMS_MAX ? "}+" : "}");
}

static void put_kernel(struct rec_out *o, uint64_t function)
{
	char name[128];
	rec_put(o, " kernel=");
	rec_put_text(o, rec_kernel_name(function, name, sizeof(name)), sizeof(name));
}

/* ---------------------------------------------------------------- what structures point to */

static void put_config_attrs(struct rec_out *o, const char *name, const CUlaunchConfig *config)
{
	size_t len = config->attrs ? config->numAttrs * sizeof(*config->attrs) : 0;
	if (!len)
		return;
	rec_put(o, " %s.attrs={", name);
	rec_put_bytes(o, config->attrs, len, REC_AFTER_MAX);
	rec_put(o, len > REC_AFTER_MAX ? "}+" : "}");
}

/* The kernel node that a parameter describes, in the newest form. */
static bool kernel_node(const struct rec_param *p, const void *at, CUDA_KERNEL_NODE_PARAMS_v3 *k)
{
	if (strcmp(p->type, "CUgraphNodeParams") == 0) {
		*k = ((const CUgraphNodeParams *)at)->kernel;
		return ((const CUgraphNodeParams *)at)->type == CU_GRAPH_NODE_TYPE_KERNEL;
	}
	bool v1 = strcmp(p->type, "CUDA_KERNEL_NODE_PARAMS_v1") == 0;
	if (!p->is_const || (!v1 && strcmp(p->type, "CUDA_KERNEL_NODE_PARAMS") != 0))
		return false;
	const CUDA_KERNEL_NODE_PARAMS_v2 *v2 = at; /* v1 is how it begins */
	*k = (CUDA_KERNEL_NODE_PARAMS_v3){.func = v2->func,
	                                  .kern = v1 ? NULL : v2->kern,
	                                  .kernelParams = v2->kernelParams,
	                                  .extra = v2->extra};
	return true;
}

bool rec_node_function(const struct rec_param *p, const void *at, uint64_t *f)
{
	CUDA_KERNEL_NODE_PARAMS_v3 k;
	if (!kernel_node(p, at, &k))
		return false;
	*f = k.func ? (uintptr_t)k.func : (uintptr_t)k.kern;
	return true;
}

static void put_deep(struct rec_out *o, const struct rec_param *p, const void *at)
{
	CUDA_KERNEL_NODE_PARAMS_v3 k;
	uint64_t f;
	if (strcmp(p->type, "CUlaunchConfig") == 0) {
		put_config_attrs(o, p->name, at);
	} else if (kernel_node(p, at, &k) && rec_node_function(p, at, &f)) {
		put_kernel(o, f);
		rec_put(o, " %s.kernelParams=", p->name);
		put_params(o, f, k.kernelParams);
		rec_put(o, " %s.extra=", p->name);
		put_extra(o, k.extra);
	} else if (strcmp(p->type, "CUDA_BATCH_MEM_OP_NODE_PARAMS") == 0 && p->is_const) {
		const CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *b = at;
		rec_put(o, " %s.paramArray={", p->name);
		if (b->paramArray)
			rec_put_bytes(o, b->paramArray, b->count * sizeof(*b->paramArray),
			              REC_AFTER_MAX);
		rec_put(o, "}");
	}
}

/* ---------------------------------------------------------------- all arguments */

/* The function of a launch: the argument `f`. */
static uint64_t function_of(const struct rec_call *c)
{
	const struct rec_entry *e = &rec_entries[c->entry];
	for (int i = 0; i < e->n; i++)
		if (e->params[i].kind == REC_HANDLE && strcmp(e->params[i].type, "CUfunction") == 0)
			return c->args[i].u;
	return 0;
}

static void put_text_out(struct rec_out *o, const struct rec_call *c, int i)
{
	size_t room = rec_entries[c->entry].params[i].count >= 0 ? count_of(c, i) : 0;
	rec_put_text(o, room ? address(c, i) : "", room < REC_TEXT_MAX ? room : REC_TEXT_MAX);
}

static void put_pointed(struct rec_out *o, const struct rec_call *c, int i)
{
	const void *to = (const void *)(uintptr_t)load(address(c, i), sizeof(void *));
	size_t n = count_of(c, i) * sizeof(void *);
	if (!to) {
		rec_put(o, "*0");
	} else if (rec_entries[c->entry].params[i].kind == REC_TEXT_PTR) {
		rec_put_text(o, to, REC_TEXT_MAX);
	} else {
		rec_put(o, "{");
		rec_put_bytes(o, to, n, REC_AFTER_MAX);
		rec_put(o, n > REC_AFTER_MAX ? "}+" : "}");
	}
}

static void put_value(struct rec_out *o, const struct rec_call *c, int i, CUresult r)
{
	const struct rec_param *p = &rec_entries[c->entry].params[i];
	uint64_t v = c->args[i].u;
	switch ((enum rec_kind)p->kind) {
	case REC_INT:
		put_integer(o, v, p->size, p->is_signed);
		return;
	case REC_FLOAT:
		rec_put(o, "%.9g", c->args[i].f);
		return;
	case REC_STRUCT:
		rec_put(o, "{");
		rec_put_bytes(o, address(c, i), p->size, REC_AFTER_MAX);
		rec_put(o, "}");
		return;
	case REC_PARAMS:
		put_params(o, function_of(c), address(c, i));
		return;
	case REC_EXTRA:
		put_extra(o, address(c, i));
		return;
	case REC_HANDLE:
	case REC_DEVPTR:
	case REC_HOST:
	case REC_CALLBACK:
		put_address(o, v);
		return;
	default:
		break;
	}
	if (!v) {
		rec_put(o, "0");
		return;
	}
	switch ((enum rec_kind)p->kind) {
	case REC_STRING:
		rec_put_text(o, address(c, i), REC_TEXT_MAX);
		break;
	case REC_TEXT_OUT:
		if (r == CUDA_SUCCESS)
			put_text_out(o, c, i);
		else
			rec_put(o, "\"\"");
		break;
	case REC_TEXT_PTR:
	case REC_LIST_PTR:
		if (r == CUDA_SUCCESS)
			put_pointed(o, c, i);
		else
			rec_put(o, "*0");
		break;
	case REC_IMAGE:
		put_image(o, address(c, i));
		break;
	default:
		put_object(o, c, i);
	}
}

void rec_put_args(struct rec_out *o, const struct rec_call *c, CUresult r)
{
	const struct rec_entry *e = &rec_entries[c->entry];
	for (int i = 0; i < e->n; i++) {
		rec_put(o, " %s=", e->params[i].name);
		put_value(o, c, i, r);
	}
	for (int i = 0; i < e->n; i++) {
		if (e->params[i].kind == REC_OBJECT && c->args[i].u)
			put_deep(o, &e->params[i], address(c, i));
		if (e->params[i].kind == REC_PARAMS)
			put_kernel(o, function_of(c));
	}
	if (c->found)
		rec_put(o, " found=\"%s\"", c->found);
}
