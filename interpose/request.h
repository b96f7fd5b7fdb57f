// SPDX-License-Identifier: Apache-2.0
/*
 * request.h: requests that the program declares, through include/rein.h (request.c) or NVTX ranges
 * (nvtx.c); and its background threads.
 *
 * An open request counts like a submission that has not completed: it is one of the things that
 * rein_demand_try_idle() looks at, under the same protocol (demand.h): first it is counted, then
 * REIN_ATT_IDLE is looked at. So while one is open the client is active, whatever its streams do.
 *
 * What the daemon is to know besides (abi.h, request_flags and what follows it) is a function of
 * what is open and who is in the background. Everyone who changes that publishes after, and again
 * if it changed meanwhile: the last one writes the last state.
 *
 * Nothing here calls the driver, starts a thread or waits, but rein_request_yield(), which waits
 * for at most one lease. Before the first use of CUDA requests are only counted.
 */
#ifndef REIN_REQUEST_H
#define REIN_REQUEST_H

#include "shim.h"

struct rein_api;

/* As rein_request_begin() and _end() of include/rein.h. */
uint64_t rein_requests_begin(uint64_t arrival_ns, uint64_t deadline_ns);
void rein_requests_end(uint64_t request);
/* As rein_thread_background(). */
int rein_requests_background(int on);

/* Beside a stand-in librein.so passes everything on, these too: to this table, from now on. What
 * was begun or said before stays here, where nothing is scheduled. */
void rein_requests_pass_to(const struct rein_api *api);

/* What the calling thread declared ends with it. */
void rein_requests_watch_thread(void);
void rein_nvtx_thread_ends(void); /* nvtx.c */

/* Requests that are open now. */
extern rein_a32 rein_requests_open;
static inline bool rein_requests_any(void)
{
	return rein_load_seqcst(&rein_requests_open);
}

/* The client became active: a request of its own counting, unless it declares its requests. */
void rein_requests_active(void);
/* Writes flags, deadlines and the like to the status page; before the demand word is. */
void rein_requests_publish(void);

/* A background thread waits here, before it counts its submission. */
void rein_request_yield(void);

/* The table that include/rein.h asks for; NULL: no such version. The library exports it. */
const struct rein_api *rein_api(uint32_t version);
/* nvtx.c: what the loader of NVTX calls; exported too. 1: done, 0: the shim is disabled. */
int InitializeInjectionNvtx2(const void *(*get_export_table)(uint32_t id));

#endif
