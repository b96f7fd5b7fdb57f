// SPDX-License-Identifier: Apache-2.0
/*
 * ledger.h: who owns a shared device when: the state that all processes share and its
 * transitions. Pure: no memory mapping, no clock, no threads (device.c has those), so tests run
 * in virtual time.
 *
 * A process takes a seat. Its ownership is a sequence of grants, intervals [start, end) of
 * modelled time. A grant is open-ended while nobody else waits; when somebody does, it gets an
 * end: the next slice boundary. Whoever looks first after that end hands the device over, at that
 * modelled time, so neither a late nor a stopped owner delays the others: a late owner simply
 * learns that its grant ended then. An owner with nothing to run gives up at once. The next owner
 * is who has waited longest; it starts switch_ns later if another context was loaded.
 *
 * An owner whose grant ended is taken to want the device again (it had not given it up), so that
 * a late wake-up does not cost it its turn; but only while it has fewer than SG_GRANTS - 1 grants
 * that it has not looked at, so a stopped process soon drops out.
 */
#ifndef SOFTGPU_LEDGER_H
#define SOFTGPU_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

#define SG_SEATS 64
#define SG_GRANTS 4 /* kept per seat; power of two */
#define SG_NOBODY UINT32_MAX

struct sg_grant {
	uint64_t start_ns, end_ns; /* end: UINT64_MAX = open */
};

struct sg_seat {
	uint64_t wants;    /* bool */
	uint64_t want_ns;  /* since when */
	uint64_t grants;   /* given so far; the last one is grant[(grants - 1) % SG_GRANTS] */
	uint64_t taken;    /* of these the process is done with so many */
	uint64_t switches; /* of these began with a context switch */
	uint64_t held;     /* bool: gets no further grant, whatever it wants */
	uint64_t evict_ns; /* its grant ends then, wanted or not; 0: no */
	uint64_t slice_ns; /* the length of its slices; 0: the device's */
	struct sg_grant grant[SG_GRANTS];
};

struct sg_ledger {
	uint32_t owner; /* seat, or SG_NOBODY */
	uint32_t last;  /* whose context is loaded */
	uint64_t free_ns;
	uint64_t slice_ns, switch_ns;
	uint64_t bells; /* out: seats to wake, a bit each; cleared by whoever rings them */
	uint64_t n_copy_engines;
	uint64_t copy_free_ns[SG_COPY_ENGINES_MAX];
	uint64_t link_free_ns[2]; /* to the device, to the host: one copy at a time each */
	struct sg_seat seat[SG_SEATS];
};
_Static_assert(sizeof(struct sg_ledger) % 8 == 0, "copied by words");

void sg_ledger_init(struct sg_ledger *l, const struct sg_model *m);
/* Hands over what has expired by now. Every other call does this first. */
void sg_ledger_settle(struct sg_ledger *l, uint64_t now_ns);
/* `seat` has SM work since want_ns. */
void sg_ledger_request(struct sg_ledger *l, uint32_t seat, uint64_t want_ns, uint64_t now_ns);
/* `seat` has no more work, since modelled time at_ns: owned or wanted, it does no longer. */
void sg_ledger_give(struct sg_ledger *l, uint32_t seat, uint64_t at_ns, uint64_t now_ns);
/* `seat` is empty: its process has left or died. Its grant ends now. */
void sg_ledger_vacate(struct sg_ledger *l, uint32_t seat, uint64_t now_ns);
/* Controls of `seat`. Hold: as above; a grant under way goes on. Released it is in line again,
 * wanting since at_ns at the earliest. */
void sg_ledger_hold(struct sg_ledger *l, uint32_t seat, bool held, uint64_t at_ns, uint64_t now_ns);
/* Takes the device from it at at_ns, if it has it. Unless it is held it is then in line again, at
 * the price of a switch. */
void sg_ledger_evict(struct sg_ledger *l, uint32_t seat, uint64_t at_ns, uint64_t now_ns);
/* Reserves the copy engine that is free first, and the link to the host in that direction, for
 * dur_ns, not before ready_ns; its start. */
uint64_t sg_ledger_copy(struct sg_ledger *l, enum sg_copy_dir dir, uint64_t ready_ns,
                        uint64_t dur_ns);
/* End of the owner's grant, UINT64_MAX if open or nobody owns the device. */
uint64_t sg_ledger_owner_end(const struct sg_ledger *l);

#endif
