// SPDX-License-Identifier: Apache-2.0
/*
 * client.h: one process that joined: who it is, what it asked for, the memory shared with it.
 * Session thread only, except `member`, which is the arbiter's between join and leave.
 */
#ifndef REIN_CLIENT_H
#define REIN_CLIENT_H

#include "../common/wire.h"
#include "identity.h"
#include "loop.h"

struct rein_client {
	struct rein_member member;
	struct rein_identity who;
	char asked_class[REIN_CLASS_LEN];
	int asked_prio;
	char class_name[REIN_CLASS_LEN]; /* in effect */
	/* `rein set` wins over what was asked for and over the rules */
	char set_class[REIN_CLASS_LEN];     /* "": not set */
	int set_prio;                       /* REIN_PRIO_UNSET: not set */
	uint32_t set_weight;                /* 0: not set */
	int control_fd, status_fd, ring_fd; /* until they are sent; ring: the end to write */
	struct rein_control *control;
	struct rein_status *status; /* mapped read-only */
	uint64_t joined_ns;
};

/* 0 if every field of a HELLO is sane, or -EPROTO/-EPROTONOSUPPORT with a line in why. A bad
 * magic is -EBADMSG: not one of ours, not worth an answer. */
REIN_MUST_CHECK int rein_hello_check(const struct rein_msg_hello *h, size_t len, char *why,
                                     size_t why_len);

/* Makes the objects and the doorbell. NULL with *err on failure. */
struct rein_client *rein_client_new(const struct rein_msg_hello *h, const struct rein_identity *who,
                                    uint32_t id, int *err);
/* Must have left the loop. */
void rein_client_free(struct rein_client *c);

/* Sets class, priority and the rest as granted and set; before the join. */
void rein_client_apply(struct rein_client *c, const struct rein_grant *g);
/* What the arbiter is to use, from the grant and what was set. */
struct rein_arbiter_params rein_client_params(const struct rein_client *c,
                                              const struct rein_grant *g);
/* The grant under this configuration, with what `rein set` changed. */
void rein_client_grant(const struct rein_client *c, const struct rein_config *config,
                       struct rein_grant *g);

#endif
