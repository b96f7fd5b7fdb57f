// SPDX-License-Identifier: Apache-2.0
/*
 * identity.h: who is at the other end of a socket, from the kernel (SO_PEERCRED, SO_PEERGROUPS,
 * /proc), never from what the peer says; and what that entitles it to.
 */
#ifndef REIN_IDENTITY_H
#define REIN_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

#include "../common/abi.h"
#include "../common/util.h"
#include "config.h"

#define REIN_GROUP "rein"

struct rein_identity {
	pid_t pid; /* 0: not visible from here */
	uid_t uid;
	char exe[256];   /* printable; "" if it cannot be read */
	char comm[32];   /* printable */
	bool privileged; /* root, the daemon's own user, or in the group `rein` */
};

/* Fills all of it; *pidfd is the process' (-1 if there is none to be had). -ESRCH: the process
 * ended meanwhile. */
REIN_MUST_CHECK int rein_identity_get(struct rein_identity *who, int sock, int *pidfd);
/* The group's id, or -1 (as gid_t) if it does not exist. */
gid_t rein_identity_group(void);

/* Copies text, replacing what is not printable ASCII: names reach terminals and JSON. */
void rein_printable(char *to, size_t len, const char *from);

struct rein_grant {
	int err; /* 0, or a negative errno: refused, `text` says why */
	const struct rein_class *class;
	int prio;
	char text[160]; /* "" or why less was granted than asked for */
};

/* What a process gets that asks for a class ("" = by the rules) and a priority (REIN_PRIO_UNSET =
 * the class'). The rules' class is everybody's right; more needs privilege; less never does. */
void rein_grant(struct rein_grant *out, const struct rein_config *config,
                const struct rein_identity *who, const char *class_name, int prio);

#endif
