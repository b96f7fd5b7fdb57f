// SPDX-License-Identifier: Apache-2.0
/*
 * record.h: what the generated hooks of the proxy call, and what record.c and format.c share.
 *
 * A hook: rec_begin() (what lies behind the pointers is kept), the driver's function, rec_end()
 * (the line is made and written). Nothing is locked across the driver's function.
 */
#ifndef WORKLOADS_RECORD_RECORD_H
#define WORKLOADS_RECORD_RECORD_H

#include "trace.h"

struct rec_call {
	int entry;
	const union rec_value *args;
	uint64_t seq, begin_ns, end_ns;
	const char *found; /* of cuGetProcAddress: exact, rule, opaque */
	uint16_t kept_at[REC_ARGS_MAX], kept_len[REC_ARGS_MAX];
	uint16_t kept;
	unsigned char bytes[REC_BEFORE_ALL];
};

/* The driver's function; NULL: there is none, and rec_absent() is the result. */
void *rec_begin(struct rec_call *c, int entry, const union rec_value *args);
CUresult rec_absent(struct rec_call *c);
void rec_end(struct rec_call *c, CUresult r);
/* Ours in place of the driver's function in *pfn, where we have that one. */
void rec_substitute(struct rec_call *c, CUresult r, const char *symbol, void **pfn, int version,
                    cuuint64_t flags);

/* ---- format.c */
struct rec_out {
	char *buf;
	size_t len, cap; /* what does not fit is left out */
};
void rec_put(struct rec_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rec_put_text(struct rec_out *o, const char *text, size_t max);
void rec_put_bytes(struct rec_out *o, const void *bytes, size_t len, size_t max);
/* Bytes behind parameter i: count × size, at most `max`; *cut says whether there are more. */
size_t rec_bytes_behind(const struct rec_call *c, int i, size_t max, bool *cut);
/* All arguments, as trace.h says. `r` is the result: outputs of a failed call may be unset. */
void rec_put_args(struct rec_out *o, const struct rec_call *c, CUresult r);

/* Whether a parameter describes a kernel's node; its function in *f. */
bool rec_node_function(const struct rec_param *p, const void *at, uint64_t *f);

/* ---- kernels.c: names and parameters of kernels, by handle */
void rec_kernel_learn(const struct rec_call *c, CUresult r);
/* "" if the handle is unknown. */
const char *rec_kernel_name(uint64_t handle, char *buf, size_t len);
/* Sizes of the parameters; -1: unknown. At first `fresh`, and then the trace wants a kernel line.
 */
int rec_kernel_params(uint64_t handle, uint16_t *sizes, int max, bool *fresh);
void rec_kernels_fork(int stage); /* -1: before a fork, 0: after it */

/* ---- record.c */
void *rec_real_function(const char *name);
void rec_write(const char *line, size_t len);

#endif
