// SPDX-License-Identifier: Apache-2.0
#include "rmhold.h"

#include <errno.h>
#include <linux/ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../common/atomic.h"

/* Longer than any context takes to be saved; the controls that hold are not waited for longer. */
#define PREEMPT_US 100000
#define DOUBLE_FILE "/memfd:softgpu-nvidiactl" /* of the driver that has an entry */

static rein_a64 entry;

void rein_rm_entry_set(rein_rm_entry_fn *f)
{
	rein_store_release(&entry, (uint64_t)(uintptr_t)f);
}

int rein_rm_entry_ask(int fd, unsigned long request, void *arg)
{
	rein_rm_entry_fn *f = (rein_rm_entry_fn *)(uintptr_t)rein_load_acquire(&entry);
	errno = ENOTTY;
	return f ? f(fd, request, arg) : -1;
}

static bool is_double(int fd)
{
	char link[40], name[64];
	if (!rein_load_acquire(&entry))
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, name, sizeof(name));
	return n >= (ssize_t)strlen(DOUBLE_FILE) &&
	       strncmp(name, DOUBLE_FILE, strlen(DOUBLE_FILE)) == 0;
}

bool rein_rm_is_file(int fd)
{
	struct stat st;
	int saved = errno;
	bool is = fstat(fd, &st) == 0 &&
	          (S_ISCHR(st.st_mode) ? major(st.st_rdev) == REIN_RM_DEVICE_MAJOR : is_double(fd));
	errno = saved;
	return is;
}

/* ---------------------------------------------------------------- controls */

static int control(struct rein_rm_hold *h, const struct rein_rm_group *g, uint32_t object,
                   uint32_t cmd, void *params, uint32_t size)
{
	const unsigned long request =
	    _IOWR(REIN_RM_IOC_TYPE, REIN_RM_ESC_CONTROL, struct rein_rm_nvos54);
	struct rein_rm_nvos54 c = {.client = g->client,
	                           .object = object,
	                           .cmd = cmd,
	                           .params = (uintptr_t)params,
	                           .params_size = size};
	if (!rein_rm_is_file(g->fd))
		return -EBADF;
	long r = syscall(SYS_ioctl, g->fd, request, &c);
	if (r == -1 && errno == ENOTTY)
		r = rein_rm_entry_ask(g->fd, request, &c);
	if (r == 0 && c.status == REIN_RM_OK)
		return 0;
	h->failed_cmd = cmd;
	h->failed_status = r == 0 ? c.status : 0;
	return r == 0 ? -EIO : -errno;
}

static int channels(struct rein_rm_hold *h, const struct rein_rm_group *g, bool disable)
{
	struct rein_rm_disable p = {.disable = disable,
	                            .channels = g->channels,
	                            .only_scheduling =
	                                disable && h->recipe == REIN_RM_RECIPE_DISABLE_PREEMPT};
	for (uint32_t i = 0; i < g->channels; i++) {
		p.client[i] = g->client;
		p.channel[i] = g->channel[i];
	}
	if (!g->channels)
		return 0;
	return control(h, g, g->subdevice, REIN_RM_CMD_DISABLE_CHANNELS, &p, sizeof(p));
}

static int preempt(struct rein_rm_hold *h, const struct rein_rm_group *g)
{
	struct rein_rm_preempt p = {.wait = 1, .manual_timeout = 1, .timeout_us = PREEMPT_US};
	return control(h, g, g->handle, REIN_RM_CMD_PREEMPT, &p, sizeof(p));
}

/* The structure grew by a byte in release 575: the driver's own size is the right one. */
static int schedule(struct rein_rm_hold *h, const struct rein_rm_group *g, bool enable)
{
	uint8_t p[4] = {enable};
	if (h->schedule_size < 1 || h->schedule_size > sizeof(p))
		return -ENOTSUP;
	return control(h, g, g->handle, REIN_RM_CMD_SCHEDULE, p, h->schedule_size);
}

static int timeslice(struct rein_rm_hold *h, unsigned i, bool ours)
{
	const struct rein_rm_group *g = &h->group[i];
	uint64_t us = h->timeslice_us;
	int err = 0;
	if (ours)
		err = control(h, g, g->handle, REIN_RM_CMD_GET_TIMESLICE, &h->slice_us[i],
		              sizeof(us));
	else
		us = h->slice_us[i];
	if (err || !us) /* no time known to give back: it never had ours */
		return err;
	return control(h, g, g->handle, REIN_RM_CMD_SET_TIMESLICE, &us, sizeof(us));
}

static int one(struct rein_rm_hold *h, unsigned i, bool hold)
{
	switch (h->recipe) {
	case REIN_RM_RECIPE_DISABLE_PREEMPT:
	case REIN_RM_RECIPE_DISABLE:
		return channels(h, &h->group[i], hold);
	case REIN_RM_RECIPE_SCHEDULE:
		return schedule(h, &h->group[i], !hold);
	case REIN_RM_RECIPE_TIMESLICE:
		return timeslice(h, i, hold);
	default:
		return -ENOTSUP;
	}
}

/* All are stopped from being scheduled before the first is waited for. */
int rein_rm_take(struct rein_rm_hold *h)
{
	int err = 0;
	memset(h->slice_us, 0, sizeof(h->slice_us));
	for (unsigned i = 0; i < h->groups && !err; i++)
		err = one(h, i, true);
	for (unsigned i = 0; i < h->groups && !err; i++)
		if (h->recipe == REIN_RM_RECIPE_DISABLE_PREEMPT)
			err = preempt(h, &h->group[i]);
	return err;
}

int rein_rm_let_go(struct rein_rm_hold *h)
{
	unsigned kept = 0;
	int err = 0;
	for (unsigned i = 0; i < h->groups; i++) {
		int e = one(h, i, false);
		if (e == -EBADF || e == -ENOTSUP) /* its file is gone, and so is the group; */
			e = 0;                    /* or it never was held */
		if (e) {
			h->group[kept] = h->group[i];
			h->slice_us[kept++] = h->slice_us[i];
			err = e;
		}
	}
	h->groups = kept;
	return err;
}
