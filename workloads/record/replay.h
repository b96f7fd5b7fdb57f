// SPDX-License-Identifier: Apache-2.0
/*
 * replay.h: what the parts of the replayer share. A trace is read whole and checked line by line
 * (replay_parse.c); modules are made up from the kernels that it names (replay_module.c); each
 * call's arguments are built with this run's handles and addresses (replay_values.c); replay.c
 * makes the calls, each recorded thread's on a thread of its own, one at a time, in the order in
 * which the recorded ones returned.
 */
#ifndef WORKLOADS_RECORD_REPLAY_H
#define WORKLOADS_RECORD_REPLAY_H

#include "trace.h"

struct slice {
	const char *at;
	size_t len;
};

/* One argument of a line, not yet given its kind. */
struct rp_arg {
	struct slice name, value;
};

/* An argument as its kind reads it. */
struct rp_value {
	bool null, cut, is_number, has_after;
	uint64_t number, after_number;
	double real;
	struct slice bytes, after; /* hexadecimal digits; of a text: what is between the quotes */
};

struct rp_call {
	int line, entry, status, module; /* module: made up for this load; -1: none */
	long tid;
	uint64_t seq;
	struct slice name, args;
};

struct rp_kernel_line { /* "kernel HANDLE name sizes" stands before call `before` */
	int before;
	uint64_t handle;
	struct slice name, sizes;
};

struct rp_trace {
	const char *path;
	char *text;
	struct rp_call *calls;
	int n_calls;
	struct rp_kernel_line *kernels;
	int n_kernels;
	char program[64];
	int pid;
	bool forked, cut, ended;
};

/* ---- replay_parse.c: all print one line and return false when the trace is damaged */
bool rp_read(struct rp_trace *t, const char *path);
void rp_free(struct rp_trace *t);
/* The arguments of a call; how many, -1: damaged. */
int rp_args(const struct rp_call *c, struct rp_arg *args, int max);
bool rp_value(const struct rec_param *p, struct slice text, struct rp_value *v);
/* The argument of that name as text; {NULL, 0} if there is none. */
struct slice rp_arg_named(const struct rp_arg *args, int n, const char *name);
/* Digits to bytes; at most max; how many. */
size_t rp_bytes(struct slice digits, void *out, size_t max);
/* A text with its escapes undone; NUL-terminated, allocated. */
char *rp_text(struct slice quoted);

/* ---- replay_module.c */
/* Makes up modules with the kernels and variables that the trace takes from each load. */
bool rp_modules_plan(struct rp_trace *t);
const char *rp_module_ptx(int module);
/* Bytes of the parameters of a kernel of this name; 0: there is none that was launched. */
size_t rp_kernel_bytes(const char *name);
/* Whether a recorded handle is, somewhere in the trace, that of a device's primary context. */
bool rp_primary(uint64_t handle, int *device);
/* A file with that text; NULL: it cannot be written. Removed by rp_modules_free(). */
const char *rp_module_file(int module);
void rp_modules_free(void);

/* ---- replay_address.c */
#define RP_SMALL 0xffffull      /* streams 0, 1, 2, device numbers: never translated */
#define RP_SCRATCH (4ull << 30) /* bytes that a copy may have */

struct rp_map {
	uint64_t *keys, *values;
	size_t used, room;
};
void rp_map_put(struct rp_map *m, uint64_t key, uint64_t value);
bool rp_map_get(const struct rp_map *m, uint64_t key, uint64_t *value);

enum rp_found { RP_FOUND, RP_UNKNOWN, RP_LOST };
/* This run's value: that of a handle, else of an address in the newest allocation that holds it.
 * RP_LOST: what gave it could not be replayed. */
enum rp_found rp_look_up(uint64_t *v);
/* ours = 0: what gave it could not be replayed. */
void rp_handle_put(uint64_t recorded, uint64_t ours);
void rp_range_add(uint64_t recorded, uint64_t ours, uint64_t size);
bool rp_range_live(uint64_t v);
void rp_range_free(uint64_t v);
/* Memory in place of the recorded program's own; nothing in it matters. */
uint64_t rp_scratch(void);
uint64_t rp_host(uint64_t v);

/* ---- replay_values.c */
struct rp_built {
	union rec_value args[REC_ARGS_MAX];
	struct rp_value values[REC_ARGS_MAX];
	unsigned char *kept[REC_ARGS_MAX]; /* objects as they were before the call */
	size_t len[REC_ARGS_MAX];
	bool opaque;     /* a look-up of what cuda.h does not declare */
	const char *why; /* it cannot be replayed; static text */
};
/* Builds the arguments; false: see `why`. Memory is valid until the next call of this function. */
bool rp_build(const struct rp_call *c, struct rp_built *b);
/* Takes in what a successful call gave. */
void rp_learn(const struct rp_call *c, struct rp_built *b);
/* Notes that what a recorded call gave is not there: the call was not made, or failed here. */
void rp_lose(const struct rp_call *c);
/* What cuGetProcAddress answered besides its status differs: says how, else NULL. `unsupported`:
 * because the function is none of cuda.h. */
const char *rp_differs(const struct rp_call *c, const struct rp_built *b, bool *unsupported);

#endif
