// SPDX-License-Identifier: Apache-2.0
/*
 * rmtable.h: which channel groups this process has, learned from its own ioctls to NVIDIA's
 * resource manager (common/rm.h): a decoder, and a table of fixed size. Pure: no system call, no
 * lock, no allocation; the caller (rmgate.c) sees to both the lock and that the file is the
 * resource manager's.
 *
 * Trust. Arguments come from the process' own driver. Their memory is read only as far as the
 * ioctl's number says it is; what a pointer in them leads to only after the resource manager itself
 * has read it with success, and within the size given with it.
 *
 * A mistake must never leave a channel out: what is held in part is not held. So whatever is not
 * understood, or finds no room, spoils the table for good: it then names no groups.
 */
#ifndef REIN_RMTABLE_H
#define REIN_RMTABLE_H

#include "../common/rm.h"
#include "../common/util.h"

#define REIN_RM_OBJECTS 512
#define REIN_RM_GROUPS 16

struct rein_rm_object {
	uint32_t client, handle, parent;
	uint16_t class_id;
	uint16_t engine; /* groups: 0 if it is not named */
	int fd;          /* through which it was made */
};

struct rein_rm_table {
	struct rein_rm_object object[REIN_RM_OBJECTS]; /* those that lead to channels */
	unsigned objects;
	unsigned generation;    /* +1 with each change */
	unsigned schedule_size; /* bytes of SCHEDULE as the driver passes them; 0: not seen */
	const char *spoiled;    /* NULL, or why it names no groups any more */
};

/* An ioctl as it is meant: unwrapped. number 0: none of those that matter here. */
struct rein_rm_call {
	unsigned number, size;
	void *arg;
};
struct rein_rm_call rein_rm_call_of(unsigned long request, void *arg);

/* Before a FREE is passed on: whether it frees what is in the table; and forgetting that. */
bool rein_rm_frees(const struct rein_rm_table *t, const struct rein_rm_call *call);
void rein_rm_forget(struct rein_rm_table *t, const struct rein_rm_call *call);
/* Of a call that returned 0: whether rein_rm_learn() has anything to do with it. */
bool rein_rm_matters(const struct rein_rm_call *call);
/* After a call returned `result`. `frees`: what rein_rm_frees() said. True: the table changed. */
bool rein_rm_learn(struct rein_rm_table *t, const struct rein_rm_call *call, int fd, int result,
                   bool frees);

/* A group that runs kernels: its engine is GR, as far as it is named, and one of its channels has a
 * compute object. */
struct rein_rm_group {
	int fd;
	uint32_t client, handle, device, subdevice;
	uint32_t channels, channel[REIN_RM_DISABLE_MAX];
};
/* How many there are, at most REIN_RM_GROUPS; 0 of a spoiled table. Spoils it if they are too many,
 * or cannot be controlled (more channels than one control names, no subdevice). */
unsigned rein_rm_groups(struct rein_rm_table *t, struct rein_rm_group group[REIN_RM_GROUPS]);
/* Takes out of the group what is no longer in the table. False: the group itself is not. */
bool rein_rm_still(const struct rein_rm_table *t, struct rein_rm_group *g);

#endif
