// SPDX-License-Identifier: Apache-2.0
/*
 * model.h: every figure of the software GPU's timing model, in one place; docs/softgpu.md says
 * the equations. Each can be set by environment, read once at first use; a value that does not
 * parse ends cuInit with CUDA_ERROR_INVALID_VALUE and one line that says which and what is
 * accepted. What is measured on a real GPU stands together in model_env.c, with its source.
 */
#ifndef SOFTGPU_MODEL_H
#define SOFTGPU_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum sg_mode {
	SG_MODE_WALL, /* SOFTGPU_MODE=wall: payloads run, completions come at their modelled time */
	SG_MODE_TIME, /* SOFTGPU_MODE=time: nothing is executed, only time passes */
	SG_MODE_FAST, /* SOFTGPU_MODE=fast: complete as soon as executed; no time, no sharing */
};

#define SG_DEVICES_MAX 8
#define SG_COPY_ENGINES_MAX 8
#define SG_SMS_MAX 1024
#define SG_CHANNELS_MAX 128

/* A set of SMs of one device: a green context's. */
struct sg_sm_set {
	uint32_t n;
	uint64_t bit[SG_SMS_MAX / 64];
};
static inline bool sg_sm_same(const struct sg_sm_set *a, const struct sg_sm_set *b)
{
	return memcmp(a->bit, b->bit, sizeof(a->bit)) == 0;
}
static inline bool sg_sm_has(const struct sg_sm_set *s, uint32_t sm)
{
	return s->bit[sm / 64] >> sm % 64 & 1;
}
static inline void sg_sm_add(struct sg_sm_set *s, uint32_t sm)
{
	s->n += !sg_sm_has(s, sm);
	s->bit[sm / 64] |= 1ull << sm % 64;
}

struct sg_declared {
	char name[128];   /* kernel name, or a prefix ending in '*' */
	uint64_t solo_ns; /* duration alone on the device, at any grid */
	double memory;    /* of the memory bandwidth that it uses then: 0 to 1 */
};

struct sg_model {
	enum sg_mode mode;
	char device_name[64]; /* SOFTGPU_NAME */
	char shm_name[64];    /* SOFTGPU_SHM: processes with the same name share the device */
	uint32_t n_devices;   /* SOFTGPU_DEVICES */
	/* geometry; SOFTGPU_GEOMETRY=small|h200 sets all that follows, single variables then win */
	uint32_t sms;        /* SOFTGPU_SMS; less for an MPS client with a percentage */
	uint32_t device_sms; /* of the whole device; 0: as many as sms */
	uint32_t sm_arch;    /* SOFTGPU_ARCH: 90 = compute capability 9.0 */
	uint32_t clock_mhz;  /* SOFTGPU_CLOCK_MHZ */
	uint32_t sm_granule; /* SOFTGPU_SM_GRANULE: partitions are multiples of it; 0: by sm_arch */
	uint32_t blocks_per_sm, threads_per_sm, shared_per_sm, registers_per_sm;
	uint32_t shared_per_block_max;      /* opt-in maximum */
	uint64_t memory_bytes;              /* SOFTGPU_MEMORY */
	uint32_t memory_bus_bits, l2_bytes; /* told to who asks; the model has no caches */
	uint32_t rm;                        /* SOFTGPU_RM: has a resource manager, rm_double.h */
	/* time */
	double warp_ipc_per_sm;     /* SOFTGPU_IPC: warp instructions per SM and clock */
	double memory_gbps;         /* SOFTGPU_MEM_GBPS */
	double h2d_gbps, d2h_gbps;  /* SOFTGPU_H2D_GBPS, SOFTGPU_D2H_GBPS */
	uint64_t copy_latency_ns;   /* SOFTGPU_COPY_LATENCY */
	uint32_t copy_engines;      /* SOFTGPU_COPY_ENGINES */
	uint64_t launch_latency_ns; /* SOFTGPU_LAUNCH_LATENCY: submit → first block */
	uint64_t kernel_gap_ns;     /* SOFTGPU_KERNEL_GAP: between kernels of one stream */
	uint64_t kernel_min_ns;     /* SOFTGPU_KERNEL_MIN: an empty kernel */
	uint64_t timeslice_ns;      /* SOFTGPU_TIMESLICE */
	uint64_t switch_ns;         /* SOFTGPU_SWITCH: context switch between processes */
	uint64_t preempt_ns;        /* SOFTGPU_PREEMPT: a control that takes a group off the SMs */
	uint64_t resume_ns;         /* SOFTGPU_RESUME: a control that lets it on again */
	uint64_t slice_create_ns;   /* SOFTGPU_SLICE_CREATE: making a green context; the caller's */
	uint64_t slice_swap_ns;     /* SOFTGPU_SLICE_SWAP: an event's way to streams on other SMs */
	uint64_t memop_ns;          /* SOFTGPU_MEMOP: a memory operation of a stream, when open */
	uint32_t wait_keeps_slice;  /* SOFTGPU_WAIT_KEEPS_SLICE: a waiting channel counts as work */
	uint32_t mps;               /* SOFTGPU_MPS: processes run together, without slices */
	uint32_t channels;          /* SOFTGPU_CHANNELS: of a context and priority */
	uint32_t queue_depth;       /* SOFTGPU_QUEUE_DEPTH: unfinished commands of a stream */
	uint64_t overrun_slack_ns;  /* SOFTGPU_OVERRUN_SLACK: a payload this short never overruns */
	/* declared kernel times: SOFTGPU_TIMES="lc_step=2ms,be_*=1.9ms" or =@FILE, a line each */
	struct sg_declared *declared;
	uint32_t n_declared;
	/* logs, for tests, demo and reports; empty = off */
	char owner_log[256]; /* SOFTGPU_OWNER_LOG: "pid start_ns end_ns" per time slice, appended */
	char stats[256];     /* SOFTGPU_STATS: one line of counters per process, at its end */
	char order_log[256]; /* SOFTGPU_ORDER_LOG: "pid stream_id kind name start_ns end_ns" per
	                        command as it completes; kind "overrun" reports one, see docs */
	bool sass_time; /* SOFTGPU_SASS=time: machine code alone is timed, not run, not refused */
	bool measuring; /* mode, declared times or a log were asked for: overruns are reported */
};

/* The model; reads the environment on first call. NULL: a bad value; *why (static) says which. */
const struct sg_model *sg_model(const char **why);
/* The same without the cache, into *m; false: `why` says which value is bad. For tests. */
bool sg_model_read(struct sg_model *m, char *why, size_t why_len);
void sg_model_clear(struct sg_model *m); /* what sg_model_read allocated */

/* What is declared of a kernel, or NULL. An exact name wins over a prefix, a long prefix over a
 * short. */
const struct sg_declared *sg_model_declared(const struct sg_model *m, const char *kernel);
/* "2ms", "1.5 us", "300ns", "1s" → ns; false: not a duration */
bool sg_parse_duration(const char *text, uint64_t *ns);

/* ---- The equations: docs/softgpu.md */

/* Durations alone. A kernel confined to n SMs: of the whole device. */
uint64_t sg_model_confined_ns(const struct sg_model *m, uint64_t blocks, uint64_t solo_ns,
                              uint32_t n);
uint64_t sg_model_kernel_ns(const struct sg_model *m, uint64_t blocks, uint64_t instructions,
                            uint64_t global_bytes);
uint64_t sg_model_set_ns(const struct sg_model *m, uint64_t bytes);
enum sg_copy_dir { SG_COPY_H2D, SG_COPY_D2H, SG_COPY_D2D, SG_COPY_H2H };
uint64_t sg_model_copy_ns(const struct sg_model *m, enum sg_copy_dir dir, uint64_t bytes);
uint64_t sg_model_memops_ns(const struct sg_model *m, uint32_t n);
/* The first i of a kernel's n waves take, of solo_ns. */
uint64_t sg_model_waves_ns(uint64_t solo_ns, uint64_t n, uint64_t i);

/* Blocks of this shape that one SM holds at a time; 0: it does not fit at all. */
uint32_t sg_model_blocks_per_sm(const struct sg_model *m, uint32_t block_threads,
                                uint32_t shared_bytes, uint32_t registers);

/* The part of the memory bandwidth that work uses which moves so many bytes in solo_ns. */
double sg_model_memory_share(const struct sg_model *m, uint64_t bytes, uint64_t solo_ns);
/* How many times longer such work takes while all that runs would use `wanted` of it. */
double sg_model_stretch(double share, double wanted);

/* Start of work on the SMs: submitted, let go by its channel, and after its predecessors (0: none)
 */
uint64_t sg_model_start_ns(const struct sg_model *m, uint64_t submit_ns, uint64_t issue_ns,
                           uint64_t pred_end_ns);
/* The first slice boundary, of a grant that began at start_ns, that is not before from_ns. */
uint64_t sg_model_slice_end_ns(uint64_t slice_ns, uint64_t start_ns, uint64_t from_ns);
/* SMs that an MPS client with this percentage may use: of m->sms, whole granules, at least one. */
uint32_t sg_model_percent_sms(const struct sg_model *m, double percent);

#endif
