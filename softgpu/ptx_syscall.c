// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_syscall.c: the functions that CUDA's device run-time provides to kernels: vprintf,
 * __assertfail, malloc and free, cudaGraphSetConditional. Output goes to the process's stdout, that
 * of assertions to stderr, as with a GPU, a whole message at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ptx_exec.h"

#define TEXT_MAX 1024
#define ARGS_MAX 4096

/* An argument or result of the call: local memory of the lane. NULL: outside (cannot be). */
uint8_t *ptx_call_slot(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, unsigned i,
                       uint32_t need)
{
	const uint32_t *ext = &w->worker->job->k->ext[in->target];
	uint64_t frame = ((const uint64_t *)ptx_reg(w, PTX_FRAME))[lane];
	uint64_t at = frame + ext[2 * i], bytes = ext[2 * i + 1];
	uint32_t local = w->worker->job->lane_bytes;
	if (bytes < need || at > local || local - at < need)
		return NULL;
	return w->local + (size_t)lane * local + at;
}

bool ptx_call_argument(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, unsigned i,
                       uint32_t size, uint64_t *v)
{
	const uint8_t *p = ptx_call_slot(w, in, lane, i, size);
	*v = 0;
	if (!p)
		return ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
		                 "a call's argument is too small");
	memcpy(v, p, size);
	return true;
}

static uint8_t *generic(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, uint64_t addr,
                        uint32_t bytes)
{
	struct ptx_inst access = *in;
	enum ptx_space space;
	access.kind = PTX_K_LD;
	access.space = PTX_SPACE_GENERIC;
	return ptx_locate(w, &access, lane, addr, bytes, &space);
}

/* A string of the guest, cut to fit. False: not readable. */
static bool read_string(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, uint64_t addr,
                        char *out, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		const uint8_t *p = generic(w, in, lane, addr + i, 1);
		if (!p)
			return false;
		out[i] = (char)*p;
		if (!*p)
			return true;
	}
	out[len - 1] = 0;
	return true;
}

struct output {
	char text[TEXT_MAX];
	size_t n;
};

static void put(struct output *o, const char *s, size_t n)
{
	if (n > sizeof(o->text) - o->n)
		n = sizeof(o->text) - o->n;
	memcpy(o->text + o->n, s, n);
	o->n += n;
}

struct reader { /* the packed arguments of printf */
	struct ptx_warp *w;
	const struct ptx_inst *in;
	unsigned lane;
	uint64_t base;
	uint32_t off;
	bool ok;
};

static uint64_t next_argument(struct reader *r, uint32_t size)
{
	uint64_t v = 0;
	r->off = (r->off + size - 1) & ~(size - 1);
	const uint8_t *p = r->off < ARGS_MAX && r->ok
	                       ? generic(r->w, r->in, r->lane, r->base + r->off, size)
	                       : NULL;
	r->ok = p != NULL;
	if (p)
		memcpy(&v, p, size);
	r->off += size;
	return v;
}

/* An int argument, as what "%d", "%hd", "%hhd" name. */
static long long sign_of(uint64_t v, int narrow)
{
	return !narrow ? (int32_t)v : narrow == 1 ? (int16_t)v : (int8_t)v;
}

/* One conversion of the format, from '%'; returns what follows it. */
static const char *convert(struct reader *r, const char *f, struct output *o)
{
	char spec[48] = "%", buf[TEXT_MAX], text[512];
	size_t n = 1;
	bool wide = false;
	int len = 0, narrow = 0;
	for (f++; *f && strchr("-+ #0123456789.*", *f) && n < 30; f++) {
		if (*f == '*')
			n += (size_t)snprintf(spec + n, sizeof(spec) - n, "%d",
			                      (int)next_argument(r, 4) % 1000);
		else
			spec[n++] = *f;
	}
	for (; *f && strchr("hlLqjzt", *f); f++) {
		wide |= *f != 'h'; /* long is 64 bits wide on all hosts with CUDA */
		narrow += *f == 'h';
	}
	switch (*f) {
	case 'd':
	case 'i':
		strcpy(spec + n, "lld");
		len = snprintf(buf, sizeof(buf), spec,
		               wide ? (long long)next_argument(r, 8)
		                    : sign_of(next_argument(r, 4), narrow));
		break;
	case 'u':
	case 'x':
	case 'X':
	case 'o':
		snprintf(spec + n, sizeof(spec) - n, "ll%c", *f);
		len = snprintf(buf, sizeof(buf), spec,
		               (unsigned long long)next_argument(r, wide ? 8 : 4) &
		                   (wide          ? ~0ull
		                    : !narrow     ? 0xffffffffull
		                    : narrow == 1 ? 0xffffull
		                                  : 0xffull));
		break;
	case 'c':
		strcpy(spec + n, "c");
		len = snprintf(buf, sizeof(buf), spec, (int)next_argument(r, 4));
		break;
	case 'p':
		strcpy(spec + n, "p");
		len = snprintf(buf, sizeof(buf), spec, (void *)(uintptr_t)next_argument(r, 8));
		break;
	case 's':
		strcpy(spec + n, "s");
		if (read_string(r->w, r->in, r->lane, next_argument(r, 8), text, sizeof(text)))
			len = snprintf(buf, sizeof(buf), spec, text);
		else
			r->ok = false;
		break;
	case 'e':
	case 'E':
	case 'f':
	case 'F':
	case 'g':
	case 'G':
	case 'a':
	case 'A': {
		uint64_t bits = next_argument(r, 8);
		double v;
		memcpy(&v, &bits, sizeof(v));
		snprintf(spec + n, sizeof(spec) - n, "%c", *f);
		len = snprintf(buf, sizeof(buf), spec, v);
		break;
	}
	case '%':
		put(o, "%", 1);
		return f + 1;
	default: /* not a conversion: as it stands */
		put(o, spec, n);
		return f;
	}
	if (len > 0)
		put(o, buf, (size_t)len < sizeof(buf) ? (size_t)len : sizeof(buf) - 1);
	return f + 1;
}

static bool print(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	char format[TEXT_MAX];
	struct output o = {.n = 0};
	struct reader r = {.w = w, .in = in, .lane = lane, .ok = true};
	uint64_t addr;
	int32_t count = 0;
	if (!ptx_call_argument(w, in, lane, 0, 8, &addr) ||
	    !ptx_call_argument(w, in, lane, 1, 8, &r.base) ||
	    !read_string(w, in, lane, addr, format, sizeof(format)))
		return false;
	for (const char *f = format; *f && r.ok;) {
		const char *run = f;
		while (*f && *f != '%')
			f++;
		put(&o, run, (size_t)(f - run));
		if (*f) {
			count += f[1] != '%'; /* the result: how many arguments were printed */
			f = convert(&r, f, &o);
		}
	}
	if (!r.ok)
		return false;
	fwrite(o.text, 1, o.n, stdout);
	uint8_t *result = ptx_call_slot(w, in, lane, 2, 4);
	if (result)
		memcpy(result, &count, 4);
	return true;
}

/* (message, file, line, function, size of a character). The line is CUDA's own: programs and their
 * users look for it. */
static bool assert_fail(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	char text[3][512]; /* message, file, function */
	const uint32_t *c = w->block->ctaid;
	uint64_t a, line;
	for (unsigned i = 0; i < 3; i++)
		if (!ptx_call_argument(w, in, lane, i < 2 ? i : 3, 8, &a) ||
		    !read_string(w, in, lane, a, text[i], sizeof(text[i])))
			return false;
	if (!ptx_call_argument(w, in, lane, 2, 4, &line))
		return false;
	fprintf(stderr, "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` failed.\n",
	        text[1], (unsigned)line, text[2], c[0], c[1], c[2], w->tid[0][lane],
	        w->tid[1][lane], w->tid[2][lane], text[0]);
	return ptx_fault(w, in, lane, PTX_ASSERT, "%.59s:%u: assertion '%.59s' failed", text[1],
	                 (unsigned)line, text[0]);
}

static bool allocate(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	const struct ptx_memory *mem = w->worker->job->mem;
	uint64_t size;
	if (!ptx_call_argument(w, in, lane, 0, 8, &size))
		return false;
	uint64_t p = (uint64_t)(uintptr_t)(size ? mem->alloc(mem->self, size, 16) : NULL);
	uint8_t *result = ptx_call_slot(w, in, lane, 1, 8);
	if (!result)
		return ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS, "malloc's result is too small");
	memcpy(result, &p, 8);
	return true;
}

static bool release(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	const struct ptx_memory *mem = w->worker->job->mem;
	uint64_t p, lo, hi;
	if (!ptx_call_argument(w, in, lane, 0, 8, &p))
		return false;
	if (!p)
		return true;
	/* only what begins an allocation; the ranges remembered may contain it */
	if (!mem->check(mem->self, p, 1, &lo, &hi) || lo != p)
		return ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
		                 "free of 0x%llx, which malloc did not return",
		                 (unsigned long long)p);
	memset(w->worker->ranges, 0, sizeof(w->worker->ranges));
	mem->free(mem->self, (void *)(uintptr_t)p);
	return true;
}

/* (handle, value) */
static bool set_condition(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane)
{
	const struct ptx_memory *mem = w->worker->job->mem;
	uint64_t handle, value;
	if (!ptx_call_argument(w, in, lane, 0, 8, &handle) ||
	    !ptx_call_argument(w, in, lane, 1, 4, &value))
		return false;
	if (mem->set_condition && mem->set_condition(mem->self, handle, (uint32_t)value))
		return true;
	return ptx_fault(w, in, lane, PTX_ILLEGAL_ADDRESS,
	                 "cudaGraphSetConditional of a handle that does not exist");
}

bool ptx_exec_syscall(struct ptx_warp *w, const struct ptx_inst *in, uint32_t mask)
{
	static bool (*const calls[])(struct ptx_warp *, const struct ptx_inst *, unsigned) = {
	    [PTX_SYS_PRINTF] = print,
	    [PTX_SYS_ASSERT] = assert_fail,
	    [PTX_SYS_MALLOC] = allocate,
	    [PTX_SYS_FREE] = release,
	    [PTX_SYS_CONDITION] = set_condition,
	};
	bool ok = true;
	/* each thread whose assertion fails says so; any other fault is the kernel's end */
	for (uint32_t rest = mask; rest && (ok || in->op == PTX_SYS_ASSERT); rest &= rest - 1)
		ok = (in->op >= PTX_SYS_BUFFER ? ptx_exec_child : calls[in->op])(
		    w, in, (unsigned)__builtin_ctz(rest));
	return ok;
}
