// SPDX-License-Identifier: Apache-2.0
/*
 * rmhold.h: the controls that hold channel groups and let them go, by recipe (common/rm.h). Called
 * by one thread (rmgate.c). Not through libc's ioctl but the bare system call: other libraries that
 * stand in front of ioctl watch what the driver asks, and this is not the driver.
 *
 * A control is issued only on a descriptor that still is the resource manager's. Should the number
 * have become that of another open file of it, the resource manager does not know the client there
 * and refuses.
 */
#ifndef REIN_RMHOLD_H
#define REIN_RMHOLD_H

#include "rmtable.h"

/* A driver that answers its resource manager's ioctls itself, where no kernel does (ENOTTY): the
 * software GPU (softgpu/rm_double.h). As ioctl(2). */
#define REIN_RM_ENTRY "softgpu_rm_ioctl"
typedef int rein_rm_entry_fn(int fd, unsigned long request, void *arg);
/* NULL: none. Any thread, before there is a table with groups of such a driver. */
void rein_rm_entry_set(rein_rm_entry_fn *entry);
/* Asks it, if there is one; else -1 and ENOTTY. */
int rein_rm_entry_ask(int fd, unsigned long request, void *arg);
/* Whether this is an open file of the resource manager. errno is kept. */
bool rein_rm_is_file(int fd);

/* What is held, and how. groups = 0: nothing. The caller fills in recipe, timeslice_us,
 * schedule_size and the groups, and takes the lot to be held until rein_rm_let_go() says 0. */
struct rein_rm_hold {
	enum rein_rm_recipe recipe;
	uint32_t timeslice_us; /* RECIPE_TIMESLICE, which shortens instead of holding: at least 1 */
	unsigned schedule_size; /* rein_rm_table's */
	unsigned groups;
	struct rein_rm_group group[REIN_RM_GROUPS];
	uint64_t slice_us[REIN_RM_GROUPS]; /* what they had */
	/* of the last control that failed */
	uint32_t failed_cmd, failed_status;
};
/* 0; -errno: not held as it should be, which must be undone by rein_rm_let_go(). -EIO: the resource
 * manager refused, see failed_status. */
REIN_MUST_CHECK int rein_rm_take(struct rein_rm_hold *h);
/* 0: nothing is held any more; groups = 0. -errno: some of it still is: try again. */
REIN_MUST_CHECK int rein_rm_let_go(struct rein_rm_hold *h);

#endif
