// SPDX-License-Identifier: Apache-2.0
/*
 * ptx.h: modules and kernels of the software GPU: parses PTX, decodes once into an internal
 * form, and executes grids with a warp-vectorised interpreter (32 lanes an instruction).
 *
 * Device pointers are host pointers of this process. Results are deterministic for programs
 * without races. What is not supported fails ptx_module_load(), or, where only some kernels reach
 * it, ptx_run() of those, with an error that names the instruction and the line of the PTX text;
 * nothing is skipped.
 *
 * Threads: a module is immutable after load, but for its global variables; ptx_run() may run
 * concurrently for any kernels.
 */
#ifndef SOFTGPU_PTX_H
#define SOFTGPU_PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/atomic.h"

struct ptx_image; /* ptx_texture.h */
struct ptx_module;
struct ptx_kernel;

struct ptx_error {
	int line;       /* of the PTX text, from 1; 0 if none */
	char text[240]; /* "unsupported instruction 'wmma.load.a…'"; one line, no newline */
};

/* Results of load and run. */
enum ptx_status {
	PTX_OK = 0,
	PTX_BAD_SYNTAX,  /* malformed text          → CUDA_ERROR_INVALID_PTX */
	PTX_UNSUPPORTED, /* not provided here       → CUDA_ERROR_NOT_SUPPORTED, named */
	PTX_NO_MEMORY,
	PTX_ILLEGAL_ADDRESS, /* → CUDA_ERROR_ILLEGAL_ADDRESS; error.text: kernel, thread,
	                        address */
	PTX_MISALIGNED,
	PTX_TRAP,       /* trap or brkpt           → CUDA_ERROR_LAUNCH_FAILED */
	PTX_ASSERT,     /* → CUDA_ERROR_ASSERT */
	PTX_BARRIER,    /* barrier that can never complete → CUDA_ERROR_LAUNCH_FAILED */
	PTX_BAD_LAUNCH, /* block too large, too much shared memory … */
};

/* Where global accesses may go. Checked on every generic/global access. */
struct ptx_memory {
	/* true if [addr, addr+size) may be accessed. The interpreter caches the range returned
	 * in *lo, *hi (the whole allocation) for the rest of the block. */
	bool (*check)(void *self, uint64_t addr, uint64_t size, uint64_t *lo, uint64_t *hi);
	void *self;
	/* module global variables are allocated through these, so that check knows them */
	void *(*alloc)(void *self, size_t size, size_t align);
	void (*free)(void *self, void *ptr);
	/* .managed variables, by name: one memory for all modules of a library, *fresh if it is not
	 * initialised yet, never given to free(). NULL: they are like others */
	void *(*managed)(void *owner, const char *name, size_t name_len, size_t size, size_t align,
	                 bool *fresh);
	void *managed_owner; /* whom to ask, while the module is loaded */
	/* cudaGraphSetConditional(); false: there is no such handle. NULL: none at all */
	bool (*set_condition)(void *self, uint64_t handle, uint32_t value);
	/* What a texture object is, or a surface object; false: there is none. NULL: none at all.
	 * Asked once a handle and block (cluster). */
	bool (*image)(void *self, uint64_t handle, bool surface, struct ptx_image *out);
};

struct ptx_param {
	uint32_t offset, size; /* in the parameter buffer, bytes */
};

struct ptx_kernel_info {
	const char *name;
	uint32_t n_params;
	const struct ptx_param *params;
	uint32_t param_bytes;
	uint32_t static_shared_bytes;
	uint32_t local_bytes;
	uint32_t registers;              /* an estimate: 32-bit registers a thread */
	uint32_t max_threads;            /* .maxntid product, else 1024 */
	uint32_t required[3];            /* .reqntid, else 0 */
	uint32_t cluster[3];             /* .reqnctapercluster, else 0 */
	uint32_t target_sm;              /* of the module: 75, 90 … */
	const struct ptx_error *refused; /* why it cannot be launched; NULL: it can */
};

/* `text` need not be NUL-terminated. On success *out is owned by the caller. */
enum ptx_status ptx_module_load(const char *text, size_t len, const struct ptx_memory *mem,
                                struct ptx_module **out, struct ptx_error *err);
void ptx_module_free(struct ptx_module *m);

struct ptx_kernel *ptx_kernel_find(const struct ptx_module *m, const char *name);
unsigned ptx_kernel_count(const struct ptx_module *m);
struct ptx_kernel *ptx_kernel_at(const struct ptx_module *m, unsigned i);
const struct ptx_kernel_info *ptx_kernel_info(const struct ptx_kernel *k);
/* A .global or .const variable: its address and size; false if there is none. */
bool ptx_global_find(const struct ptx_module *m, const char *name, void **addr, size_t *size);

#define PTX_STACK_BYTES 65536 /* of a thread, if nobody says otherwise */
struct ptx_launch {
	uint32_t grid[3], block[3];
	uint32_t cluster[3]; /* blocks of a cluster; 0: as the kernel says, else 1 */
	uint32_t dynamic_shared_bytes;
	const void *params; /* param_bytes bytes, laid out by ptx_param.offset */
	uint32_t n_sms;     /* for %nsmid, %smid */
	const uint16_t *on; /* the SMs that it runs on, n_on of them; NULL: all */
	uint32_t n_on;
	uint32_t max_workers;  /* threads to run blocks on; 0 = one per core, 1 = the caller only */
	bool cooperative;      /* all blocks resident: grid barriers may be used */
	const rein_a32 *pause; /* futex: blocks stand still while it is not 0; NULL: never */
	uint32_t stack_bytes;  /* of a thread, for calls that are not inlined; 0: PTX_STACK_BYTES */
	uint32_t depth;        /* of launches by kernels; 0: by the host */
	uint64_t (*now_ns)(void); /* for %globaltimer and %clock; NULL = CLOCK_MONOTONIC */
};

struct ptx_result {
	uint64_t warp_instructions;   /* issued by warps */
	uint64_t thread_instructions; /* by active lanes */
	uint64_t global_bytes;        /* read + written in global memory */
};

enum ptx_status ptx_run(const struct ptx_kernel *k, const struct ptx_launch *l,
                        const struct ptx_memory *mem, struct ptx_result *res,
                        struct ptx_error *err);

#endif
