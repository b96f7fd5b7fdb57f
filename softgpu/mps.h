// SPDX-License-Identifier: Apache-2.0
/*
 * mps.h: the SMs of a device whose processes run together (MPS mode): one shared placement, that
 * is a scheduler (sched.h) whose state all processes change in turn. Pure, as ledger.h is: no
 * mapping, no clock, no threads; device.c publishes what a round leaves, as a whole or not at all.
 *
 * A kernel that is ready to run becomes a job of its process' client, with its duration or, while
 * its payload executes, without. Whoever makes a round carries the shared clock on to what the
 * wall clock allows, for all clients. A job that completes, and one whose turn has come without a
 * duration, stop that clock until their process has been there, so that what it does next happens
 * when the model says; but no longer than SG_MPS_PATIENCE_NS: then the others go on, and what a
 * stopped or late process does next happens later. The dead are removed with all their jobs.
 */
#ifndef SOFTGPU_MPS_H
#define SOFTGPU_MPS_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger.h"
#include "model.h"
#include "sched.h"

#define SG_MPS_JOBS 128
#define SG_MPS_JOBS_EACH 24 /* of one client; what is ready besides waits in its process */
#define SG_MPS_COHORTS 128
#define SG_MPS_PATIENCE_NS 2000000ull

struct sg_mps_job {
	struct sg_kernel k;  /* its pointers mean something during a round only */
	struct sg_sm_set on; /* SMs of the device */
	uint32_t seat;
	uint32_t state;    /* enum in mps.c; 0: free */
	uint64_t since_ns; /* the clock stands still for it since, by the wall clock; 0 */
};

struct sg_mps_client {
	uint32_t sms;    /* that it may use; 0: nobody is here */
	uint32_t first;  /* of these, on the device; they may go past its end and on from 0 */
	uint64_t absent; /* the others have lost patience: its jobs stop the clock no more */
};

struct sg_mps_cohort {
	uint64_t end_ns, blocks;
	double stretch;
	uint64_t job;
	uint8_t on_sm[SG_SMS_MAX];
};

/* What processes share of a device; only what is used of the two arrays is copied. */
struct sg_mps {
	uint64_t clock_ns, seq, wanted_bits;
	uint64_t dirty, held;
	uint64_t bells; /* out: seats to wake */
	uint32_t n_jobs, n_cohorts;
	struct sg_mps_client client[SG_SEATS];
	struct sg_mps_job job[SG_MPS_JOBS];
	struct sg_mps_cohort cohort[SG_MPS_COHORTS];
};
_Static_assert(sizeof(struct sg_mps) % 8 == 0, "copied by words");

/* One round of one client. Its own kernels change in what is said here, and only when the round
 * has been published, sg_mps_commit(). */
struct sg_mps_round {
	uint32_t seat;
	uint64_t now_ns, to_ns;    /* by the wall clock; and no further than that */
	uint64_t acked[2];         /* jobs that were done and are dealt with, a bit each */
	struct sg_kernel *kernels; /* its kernels that are ready, most urgent first */
	/* results */
	bool changed; /* something to publish */
	uint64_t wake_ns;
	uint64_t done[2];
	uint64_t started[2];
	uint64_t start_ns[SG_MPS_JOBS], end_ns[SG_MPS_JOBS];
};

/* The client comes or goes (sms 0). It gets the SMs that the fewest others may use. */
void sg_mps_seat(struct sg_mps *m, const struct sg_model *model, uint32_t seat, uint32_t sms);
/* 0 or -ENOMEM: nothing has changed. */
int sg_mps_round(struct sg_mps *m, const struct sg_model *model, struct sg_mps_round *r);
/* The round counts: sets `job`, `told`, `done` and times of its kernels. */
void sg_mps_commit(const struct sg_mps_round *r);

#endif
