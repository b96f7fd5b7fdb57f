// SPDX-License-Identifier: Apache-2.0
/*
 * identity.h: who is at the other end of a socket, from the kernel (SO_PEERCRED, SO_PEERGROUPS,
 * /proc), never from what the peer says; and what that entitles it to.
 */
#ifndef REIN_IDENTITY_H
#define REIN_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

#include "../common/util.h"
#include "../common/wire.h"
#include "config.h"

#define REIN_GROUP "rein"

struct rein_identity {
	pid_t pid; /* 0: not visible from here */
	uid_t uid;
	char exe[REIN_EXE_LEN]; /* printable; "" if it cannot be read */
	char comm[32];          /* printable */
	bool privileged;        /* root, the daemon's own user, or in the group `rein` */
};

/* Fills all of it; *pidfd is the process' (-1 if there is none to be had). -ESRCH: the process
 * ended meanwhile. */
REIN_MUST_CHECK int rein_identity_get(struct rein_identity *who, int sock, int *pidfd);
/* The group's id, or -1 (as gid_t) if it does not exist. */
gid_t rein_identity_group(void);
/* The names of all classes, as a list for people; what does not fit is cut off. */
void rein_identity_classes(const struct rein_config *config, char *buf, size_t len);

struct rein_wish {                 /* what a program asks for */
	const char *class_name;    /* "" = by the rules */
	int prio;                  /* REIN_PRIO_UNSET = the class' */
	uint32_t weight;           /* 0 = the class' */
	int latency_nice;          /* REIN_NICE_UNSET = the class' */
	struct rein_timing timing; /* all 0 = the class' */
	uint32_t sms;              /* as in sms.h; 0 = the class' */
};

struct rein_grant {
	int err; /* 0, or a negative errno: refused, `text` says why */
	const struct rein_class *class;
	int prio;
	uint32_t weight;
	int latency_nice;
	struct rein_timing timing; /* what it may reserve; whether it can be kept is admit.h's */
	uint32_t sms;
	enum rein_band band;
	bool declared;  /* somebody gave it a class, a priority or timing */
	char text[160]; /* "" or why less was granted than asked for */
};

/* What a process gets that asks for that. The rules' class is everybody's right; more needs
 * privilege; less never does. More is: a higher priority or weight, a lower latency_nice, a more
 * urgent band, a reservation that the class does not have, SMs other than the class' slice. */
void rein_grant(struct rein_grant *out, const struct rein_config *config,
                const struct rein_identity *who, const struct rein_wish *wish);
/* Band and `declared`, after something else in it was changed; has_prio: somebody said one. */
void rein_grant_settle(struct rein_grant *g, bool has_prio);

#endif
