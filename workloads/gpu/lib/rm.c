// SPDX-License-Identifier: Apache-2.0
/* rm.c: controls of the resource manager, issued by ourselves; see rm.h. */
#include "rm.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../lib/clock.h"

#define STATUS_INVALID_ARGUMENT 0x1f
#define STATUS_INVALID_PARAM_STRUCT 0x3a

static int call(int fd, unsigned long request, void *arg)
{
	/* rm_spy.so's own way past its recorder, so that its counts stay those of libcuda alone;
	 * processes that are not under it have no recorder */
	static wl_rm_spy_ioctl_fn *past;
	static bool asked;
	if (!asked) {
		void *symbol = dlsym(RTLD_DEFAULT, WL_RM_SPY_IOCTL);
		memcpy(&past, &symbol, sizeof(past));
		asked = true;
	}
	if (past)
		return past(fd, request, arg);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

const char *wl_rm_result_text(struct wl_rm_result r)
{
	static __thread char buffers[8][80];
	static __thread unsigned next;
	char *buf = buffers[next++ % 8];
	if (r.error)
		snprintf(buf, sizeof(buffers[0]), "ioctl: %s", strerror(r.error));
	else if (r.status == 0)
		snprintf(buf, sizeof(buffers[0]), "NV_OK");
	else
		snprintf(buf, sizeof(buffers[0]), "%s (0x%x)", wl_rm_status_name(r.status),
		         r.status);
	return buf;
}

int wl_rm_capture(struct wl_rm_group *g, struct wl_rm_table *table, char *why, size_t len)
{
	wl_rm_spy_snapshot_fn *snapshot = NULL;
	void *symbol = dlsym(RTLD_DEFAULT, WL_RM_SPY_SNAPSHOT);
	memcpy(&snapshot, &symbol, sizeof(snapshot));
	if (!snapshot) {
		snprintf(why, len, "this program does not run under rm_spy.so (LD_PRELOAD)");
		return -ENOSYS;
	}
	struct wl_rm_table *t = table ? table : malloc(sizeof(*t));
	if (!t) {
		snprintf(why, len, "no memory");
		return -ENOMEM;
	}
	snapshot(t);
	int err = wl_rm_compute_group(t, g);
	if (err == -ENOENT && t->unknown_layouts)
		snprintf(why, len, "unknown layout: ioctl 0x%x of %u bytes (%u calls)",
		         t->last_unknown >> 16, t->last_unknown & 0xffff, t->unknown_layouts);
	else if (err == -ENOENT)
		snprintf(why, len,
		         "no channel group with a compute object among %u objects of %u "
		         "resource-manager calls",
		         t->objects, t->calls);
	else if (err)
		snprintf(why, len, "the compute group has more than %d channels",
		         REIN_RM_DISABLE_MAX);
	else if (!g->subdevice)
		snprintf(why, len, "no subdevice object was seen");
	if (!table)
		free(t);
	return err;
}

struct wl_rm_result wl_rm_control(int fd, uint32_t client, uint32_t object, uint32_t cmd,
                                  void *params, uint32_t size)
{
	struct rein_rm_nvos54 c = {
	    .client = client,
	    .object = object,
	    .cmd = cmd,
	    .params = (uintptr_t)params,
	    .params_size = size,
	};
	struct wl_rm_result r = {0};
	uint64_t begin = wl_now_ns();
	if (call(fd, _IOWR(REIN_RM_IOC_TYPE, REIN_RM_ESC_CONTROL, struct rein_rm_nvos54), &c) != 0)
		r.error = errno ? errno : EIO;
	r.ns = wl_now_ns() - begin;
	r.status = c.status;
	return r;
}

static struct wl_rm_result on_group(const struct wl_rm_group *g, uint32_t cmd, void *params,
                                    uint32_t size)
{
	return wl_rm_control(g->fd, g->client, g->handle, cmd, params, size);
}

struct wl_rm_result wl_rm_set_timeslice(const struct wl_rm_group *g, uint64_t us)
{
	return on_group(g, REIN_RM_CMD_SET_TIMESLICE, &us, sizeof(us));
}

struct wl_rm_result wl_rm_get_timeslice(const struct wl_rm_group *g, uint64_t *us)
{
	return on_group(g, REIN_RM_CMD_GET_TIMESLICE, us, sizeof(*us));
}

struct wl_rm_result wl_rm_preempt(const struct wl_rm_group *g, uint32_t timeout_us)
{
	struct {
		uint8_t wait, manual, pad[2];
		uint32_t timeout_us;
	} p = {.wait = 1, .manual = 1, .timeout_us = timeout_us};
	_Static_assert(sizeof(p) == 8, "NVA06C_CTRL_PREEMPT_PARAMS");
	return on_group(g, REIN_RM_CMD_PREEMPT, &p, sizeof(p));
}

struct wl_rm_result wl_rm_channels(const struct wl_rm_group *g, bool disable, bool only_scheduling)
{
	struct rein_rm_disable p = {
	    .disable = disable,
	    .channels = g->channels,
	    .only_scheduling = only_scheduling,
	};
	for (uint32_t i = 0; i < g->channels; i++) {
		p.client[i] = g->client;
		p.channel[i] = g->channel[i];
	}
	return wl_rm_control(g->fd, g->client, g->subdevice, REIN_RM_CMD_DISABLE_CHANNELS, &p,
	                     sizeof(p));
}

/* The structure grew by a byte in 575; the size that libcuda itself passes is the right one. */
struct wl_rm_result wl_rm_schedule(struct wl_rm_group *g, bool enable)
{
	uint8_t p[4] = {enable};
	uint32_t size = g->schedule_size == 2 || g->schedule_size == 3 ? g->schedule_size : 3;
	struct wl_rm_result r = on_group(g, REIN_RM_CMD_SCHEDULE, p, size);
	if (g->schedule_size == 0 && r.error == 0 &&
	    (r.status == STATUS_INVALID_ARGUMENT || r.status == STATUS_INVALID_PARAM_STRUCT)) {
		r = on_group(g, REIN_RM_CMD_SCHEDULE, p, 2);
		if (wl_rm_ok(r))
			g->schedule_size = 2;
	}
	return r;
}

struct wl_rm_result wl_rm_info(const struct wl_rm_group *g, uint32_t *id)
{
	return on_group(g, WL_RM_CMD_GROUP_INFO, id, sizeof(*id));
}

struct wl_rm_result wl_rm_get_interleave(const struct wl_rm_group *g, uint32_t *level)
{
	return on_group(g, WL_RM_CMD_GET_INTERLEAVE, level, sizeof(*level));
}

struct wl_rm_result wl_rm_set_interleave(const struct wl_rm_group *g, uint32_t level)
{
	return on_group(g, WL_RM_CMD_SET_INTERLEAVE, &level, sizeof(level));
}

struct wl_rm_result wl_rm_modes(const struct wl_rm_group *g, uint32_t *compute, uint32_t *graphics)
{
	uint32_t p[6] = {g->compute_channel};
	struct wl_rm_result r =
	    wl_rm_control(g->fd, g->client, g->subdevice, WL_RM_CMD_GET_MODES, p, sizeof(p));
	*compute = p[4];
	*graphics = p[5];
	return r;
}
