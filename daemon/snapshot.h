// SPDX-License-Identifier: Apache-2.0
/* snapshot.h: the arbiter's state at one moment, copied on its thread, for answers to people.
 * What comes from clients' memory are plain numbers; nothing here is trusted for decisions. */
#ifndef REIN_SNAPSHOT_H
#define REIN_SNAPSHOT_H

#include "arbiter.h"

struct rein_server;

#define REIN_UUID_LEN 41 /* "GPU-" and 36 characters, NUL */

struct rein_snapshot_client {
	uint32_t id, holder;
	int prio, latency_nice;
	uint32_t weight, job;
	enum rein_band band;
	uint64_t backlog_ns; /* in effect */
	struct rein_measured measured;
	bool held, waiting, working, metered;
	uint32_t mode;            /* enum rein_hold_mode: how it is held now */
	uint64_t delay_ns;        /* rein_points_delay() */
	uint32_t sms;             /* that it is to have, as in sms.h */
	uint32_t sms_now, sms_of; /* that it has, 0: all; and how many there are, 0: not known */
	uint64_t devices;         /* bit i: device[i] of the snapshot */
	uint32_t cupti;           /* enum rein_cupti_state, as it says */
	struct rein_counts n;
	struct rein_recent_figures recent;
	/* what it declares: requests open now, the oldest one's arrival and the earliest deadline
	 * (0: none), how many ended late */
	bool declares, background;
	uint32_t requests_open, late;
	uint64_t arrival_ns, deadline_ns;
	double share;
};

struct rein_snapshot {
	unsigned n_devices;
	struct {
		uint8_t uuid[16];
		unsigned clients, active;
		struct rein_gates gates;
	} device[REIN_BOARD_DEVICES_MAX];
	unsigned n_clients;
	struct rein_snapshot_client client[]; /* by id, ascending */
};

/* NULL: out of memory. */
struct rein_snapshot *rein_snapshot_take(struct rein_server *s);
void rein_snapshot_free(struct rein_snapshot *snap);
void rein_uuid_text(char text[REIN_UUID_LEN], const uint8_t uuid[16]);

#endif
