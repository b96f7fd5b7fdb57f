// SPDX-License-Identifier: Apache-2.0
/*
 * sched.h: the SMs of one device, as one process sees them: block slots, stream priorities and
 * modelled durations. Pure: time is an argument, no threads, no clock, so that tests run in
 * virtual time. One sched per process and device; which process may run when is the shared
 * device's business (device.h), which freezes and resumes this one.
 *
 * The model. A kernel whose grid needs W waves alone on the device (occupancy by threads, blocks,
 * shared memory, registers) and lasts D alone is placed in cohorts of blocks, each of which lasts
 * D / W. Blocks of the most urgent pending kernel (lowest priority number, then submission) are
 * placed first, and a later kernel's only once all blocks of the ones before it are placed, but for
 * SMs that those may not use: a kernel may be confined to some SMs (a green context's), and is then
 * treated as on a device that has only these. A
 * cohort is never interrupted, but by a freeze, which keeps what remains. Kernels that run side by
 * side slow each other by the slots they hold, and by the memory bandwidth if they want more than
 * there is: whenever other blocks are resident, what remains of each cohort is stretched anew.
 *
 * The clock moves only with events. It may lag the wall clock, as when the engine wakes up late:
 * a successor still starts at its predecessor's end. A kernel whose duration is not known yet
 * (its payload still executes) stalls the clock when its turn comes.
 */
#ifndef SOFTGPU_SCHED_H
#define SOFTGPU_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

#define SG_NEVER UINT64_MAX

struct sg_sm { /* of an SM's resources: in use, or what one block needs */
	uint32_t blocks, threads, shared, registers;
};

struct sg_kernel {
	/* given */
	uint64_t ready_ns;
	uint64_t blocks;
	const struct sg_sm_set *on; /* the SMs that it may use; NULL: all */
	uint64_t solo_ns;           /* alone on these; 0: not known yet, see sg_sched_set_solo() */
	double memory;              /* of the bandwidth, alone on these: 0 to 1 */
	int priority;               /* CUDA's: lower = more urgent */
	uint32_t block_threads, shared_bytes, registers;
	bool cooperative; /* all blocks are placed at once, or none */
	bool skip;        /* do not stall for it while its duration is not known */
	/* the scheduler's own */
	bool started;
	bool told, done; /* where processes run together: its duration is known, it has completed */
	uint64_t start_ns, end_ns;       /* results */
	uint64_t seq, left, waves, wave; /* wave: cohorts placed so far */
	uint64_t slots;                  /* blocks that its SMs hold at a time */
	uint64_t resident;               /* blocks in cohorts */
	uint32_t cohorts, per_sm;
	struct sg_sm need;
	struct sg_kernel *next;
	/* where processes run together (mps.h): its job there, SG_MPS_JOBS: none yet */
	uint32_t job, job_wanted;
};

/* Blocks of one kernel that were placed at the same time and end at the same time. */
struct sg_cohort {
	struct sg_cohort *next;
	struct sg_kernel *kernel;
	uint64_t end_ns;
	uint64_t blocks;
	double stretch;  /* what remains takes so many times longer than alone */
	uint8_t on_sm[]; /* of each SM */
};

struct sg_sched {
	const struct sg_model *model;
	uint64_t clock_ns;
	bool running; /* owns the device; else frozen */
	bool dirty;   /* blocks may be placeable at clock_ns */
	struct sg_kernel *stalled;
	struct sg_kernel *kernels; /* unfinished; by priority, then submission */
	struct sg_cohort *cohorts; /* resident; by end */
	struct sg_cohort *spare;
	uint32_t n_cohorts, cohorts_max; /* resident; 0: no limit */
	uint64_t seq;
	double wanted;    /* of the memory bandwidth, by what is resident; 1: all of it */
	uint64_t busy_ns; /* with at least one block resident */
	struct sg_sm *sm;
};

/* 0 or -ENOMEM. Frozen at first. */
int sg_sched_init(struct sg_sched *s, const struct sg_model *m);
void sg_sched_fini(struct sg_sched *s);

/* Adds a kernel; the caller keeps it alive until it comes out of sg_sched_advance(). */
void sg_sched_add(struct sg_sched *s, struct sg_kernel *k);
/* Its payload has run: how long it lasts alone (at least 1); k->memory is set. */
void sg_sched_set_solo(struct sg_sched *s, struct sg_kernel *k, uint64_t solo_ns);

/* Runs until the first time ≤ to_ns at which kernels complete and returns these, linked by
 * `next`, with clock_ns at that time; NULL: none complete by to_ns. Call it again until NULL. */
struct sg_kernel *sg_sched_advance(struct sg_sched *s, uint64_t to_ns);

/* The device is taken away at t / given back at t. */
void sg_sched_freeze(struct sg_sched *s, uint64_t t_ns);
void sg_sched_resume(struct sg_sched *s, uint64_t t_ns);

/* Nothing is resident up to t although the device is kept: only time passes. After
 * sg_sched_advance() to t said NULL. */
void sg_sched_pass(struct sg_sched *s, uint64_t t_ns);

/* Earliest time at which there is SM work to run: clock_ns if there is some now; SG_NEVER. */
uint64_t sg_sched_wants_ns(const struct sg_sched *s);
/* No earlier than this can a kernel complete, as things stand: when to look again. SG_NEVER:
 * nothing to wait for (frozen, empty, or stalled). */
uint64_t sg_sched_wake_ns(const struct sg_sched *s);

/* For mps.c, which keeps what is placed elsewhere: puts it back as it was. Kernels first, then
 * cohorts by end; false: out of memory. */
void sg_sched_restore_kernel(struct sg_sched *s, struct sg_kernel *k);
bool sg_sched_restore_cohort(struct sg_sched *s, const struct sg_cohort *like,
                             const uint8_t *on_sm);

#endif
