// SPDX-License-Identifier: Apache-2.0
/*
 * client.h: one process that joined: who it is, what it asked for, the memory shared with it.
 * Session thread only, except `member`, which is the arbiter's between join and leave.
 */
#ifndef REIN_CLIENT_H
#define REIN_CLIENT_H

#include "../common/wire.h"
#include "../profiler/collector.h"
#include "identity.h"
#include "loop.h"

/* What became of a client's reservation: admit.c writes it. */
struct rein_reservation {
	enum rein_promise promise;
	struct rein_timing wanted; /* by its class, its greeting or `rein set`; all 0: none */
	struct rein_timing timing; /* in effect: what the policy knows */
	uint64_t later_ns;         /* refused as asked for: the deadline that could be kept; 0 */
	uint64_t response_ns;      /* promised: the longest from arrival to end; 0: nothing */
	bool withdrawn;            /* promised once, not now */
	unsigned good_looks;       /* in a row, while nothing is promised */
	char why[256];             /* why not; or what was answered */
};

struct rein_client_set { /* by `rein set`; wins over what was asked for and over the rules */
	char class_name[REIN_CLASS_LEN]; /* "": not set */
	int prio;                        /* REIN_PRIO_UNSET: not set */
	uint32_t weight;                 /* 0: not set */
	int latency_nice;                /* REIN_NICE_UNSET: not set */
	uint32_t sms;                    /* as in sms.h; 0: not set */
	bool has_timing;
	struct rein_timing timing;
};

struct rein_client {
	struct rein_member member;
	struct rein_identity who;
	struct rein_wish asked; /* in its greeting; the class' name is here: */
	char asked_class[REIN_CLASS_LEN];
	char class_name[REIN_CLASS_LEN]; /* in effect */
	char job[REIN_NAME_LEN];         /* "": none */
	uint32_t job_id;
	struct rein_client_set set;
	struct rein_reservation reservation;
	uint64_t backlog_cap_ns; /* what admitted deadlines tolerate; UINT64_MAX: anything */
	/* until they are sent; ring: the end to write; rings, points: -1 for who takes none */
	int control_fd, status_fd, ring_fd, rings_fd, points_fd;
	struct rein_control *control;
	struct rein_status *status;   /* mapped read-only */
	struct rein_points *points;   /* NULL: none */
	struct rein_metrics_row *row; /* where its counts go when it leaves; NULL: none */
	struct rein_counts counted;   /* of its counts, what other rows have */
	struct rein_source *source;   /* the collector's; NULL: its events are not recorded */
	uint64_t joined_ns;
};

/* 0 if every field of a HELLO is sane (what an older peer did not send is filled in; the room at h
 * is whole and was zero before), or -EPROTO/-EPROTONOSUPPORT with a line in why. A bad
 * magic is -EBADMSG: not one of ours, not worth an answer. */
REIN_MUST_CHECK int rein_hello_check(struct rein_msg_hello *h, size_t len, char *why,
                                     size_t why_len);

/* What it asks for; class_name points into h. */
struct rein_wish rein_wish_of(const struct rein_msg_hello *h);

/* Makes the objects and the doorbell. NULL with *err on failure. */
struct rein_client *rein_client_new(const struct rein_msg_hello *h, const struct rein_identity *who,
                                    uint32_t id, int *err);
/* Must have left the loop. */
void rein_client_free(struct rein_client *c);

/* Sets class, priority and the rest as granted and set; before the join. */
void rein_client_apply(struct rein_client *c, const struct rein_grant *g);
/* What the arbiter is to use, from the grant, the reservation in effect and the cap. */
struct rein_arbiter_params rein_client_params(const struct rein_client *c,
                                              const struct rein_grant *g);
/* The grant under this configuration, with what `rein set` changed. */
void rein_client_grant(const struct rein_client *c, const struct rein_config *config,
                       struct rein_grant *g);

#endif
