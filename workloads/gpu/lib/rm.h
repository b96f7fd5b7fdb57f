// SPDX-License-Identifier: Apache-2.0
/*
 * rm.h: what NVIDIA's resource manager (RM) and its user libraries say to each other by ioctl on
 * /dev/nvidiactl, as far as scheduling needs it: which channel groups a process owns, and the few
 * controls on them. Our own definitions; the numbers, sizes and offsets are facts from NVIDIA's
 * open-gpu-kernel-modules, releases 560.28.03 (nvos.h), 580.65.06 (nvstatuscodes.h) and 590.48.01
 * (alloc_channel.h, ctrl2080fifo.h, ctrl2080gr.h), ctrla06c.h and nv_escape.h, where those that
 * could be compared agree; checked, not copied. All integers are little-endian, as on every
 * machine that CUDA runs on.
 *
 * Model. A client (a handle, valid only through the open file that made it) owns a tree of objects
 * named by handles: device → subdevice; device → channel group (0xa06c) → channels (0x??6f) →
 * engine objects (compute 0x??c0, copy 0x??b5). The process' compute work runs in the group that
 * has a compute object below it: the unit that the GPU time-slices and preempts.
 *
 * Three parts: the decoder and its table (rm_table.c: pure, no system call), which the preload
 * library rm_spy.so feeds; names (rm_names.c); and controls issued by a program under rm_spy.so or
 * by another process that was given the open file (rm.c).
 */
#ifndef WORKLOADS_GPU_LIB_RM_H
#define WORKLOADS_GPU_LIB_RM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../common/rm.h"

/* What the shim needs too is in common/rm.h: the ioctls' layouts, the groups' classes, the controls
 * that hold. Here is the rest. */
#define WL_RM_ESC_DUP 0x34

/* ---- classes */
#define WL_RM_CLASS_CTXSHARE 0x9067
/* channels: alloc params have flags at 20 and engineType at 128 (NV_CHANNEL_ALLOC_PARAMS) */
#define WL_RM_CHANNEL_ACQUIRE_TIMEOUT (1u << 27) /* a semaphore acquire fails after about 2 s */

/* ---- controls. GET_TIMESLICE gives the kernel's record, not the hardware's. */
#define WL_RM_CMD_GROUP_BIND 0xa06c0102       /* 4: engineType */
#define WL_RM_CMD_GROUP_INFO 0xa06c0106       /* 4: hardware group id */
#define WL_RM_CMD_SET_INTERLEAVE 0xa06c0107   /* 4: low 0, medium 1, high 2; privileged */
#define WL_RM_CMD_GET_INTERLEAVE 0xa06c0108   /* 4 */
#define WL_RM_CMD_CHANNEL_SCHEDULE 0xa06f0103 /* as 0xa06c0101 */
#define WL_RM_CMD_CHANNEL_BIND 0xa06f0104     /* 4 */
#define WL_RM_CMD_SET_PREEMPTION 0x20801210   /* 32: flags 0, channel 4, gfxp 8, cilp 12, route */
#define WL_RM_CMD_GET_MODES 0x20801235        /* 24: channel 0, zcull, pm, smpc, cilp 16, gfxp 20 */
#define WL_RM_COMPUTE_WFI 0                   /* compute preemption: wait for idle, */
#define WL_RM_COMPUTE_CTA 1                   /* … at block boundaries, */
#define WL_RM_COMPUTE_CILP 2                  /* … at any instruction */

/* ---- the table */
#define WL_RM_OBJECTS 768
#define WL_RM_CONTROLS 192
#define WL_RM_CLASSES 96
#define WL_RM_UNKNOWN 0xffffffffu

struct wl_rm_object {
	uint32_t client, handle, parent, class_id;
	int fd;          /* through which it was made */
	uint32_t engine; /* groups, channels: engineType, or WL_RM_UNKNOWN */
	uint32_t flags;  /* channels: allocation flags, if flags_known */
	bool flags_known;
};
struct wl_rm_control_count {
	uint32_t cmd, params_size, count, failed, last_status;
};
struct wl_rm_class_count {
	uint32_t class_id, count;
};
struct wl_rm_table {
	struct wl_rm_object object[WL_RM_OBJECTS]; /* alive, of the classes above and below them */
	struct wl_rm_control_count control[WL_RM_CONTROLS];
	struct wl_rm_class_count class_count[WL_RM_CLASSES];
	uint32_t objects, controls, classes;
	uint32_t objects_lost, controls_lost, classes_lost; /* no room */
	uint32_t calls, allocs, frees, control_calls, unknown_layouts, dups;
	uint32_t last_unknown; /* number << 16 | size of the last unknown layout */
	/* what libcuda asked for, last */
	uint64_t set_timeslice_us;
	uint32_t set_timeslices;
	uint32_t set_preemption_flags, set_preemption_cilp, set_preemptions;
};

enum wl_rm_event_kind {
	WL_RM_EVENT_NONE, /* not an ioctl of the resource manager */
	WL_RM_EVENT_ALLOC,
	WL_RM_EVENT_FREE,
	WL_RM_EVENT_CONTROL,
	WL_RM_EVENT_OTHER,
	WL_RM_EVENT_UNKNOWN, /* a layout we do not know: nothing was decoded */
};
struct wl_rm_event {
	enum wl_rm_event_kind kind;
	uint32_t number, size; /* of the ioctl */
	uint32_t client, object, parent, class_id, cmd, params_size, status;
	uint32_t engine, flags; /* of an allocation, or WL_RM_UNKNOWN */
	const void *params;     /* of a control that succeeded, params_size bytes; else NULL */
};

/* Takes in one ioctl after it returned `result`. Follows pointers inside the argument only where
 * the resource manager itself has just read them with success. */
struct wl_rm_event wl_rm_observe(struct wl_rm_table *t, int fd, unsigned long request,
                                 const void *arg, int result);
const struct wl_rm_object *wl_rm_find(const struct wl_rm_table *t, uint32_t client,
                                      uint32_t handle);
bool wl_rm_class_is_copy(uint32_t class_id);

/* The group that runs the process' kernels: of those with a compute object below them the one with
 * the most channels. */
struct wl_rm_group {
	int fd;
	uint32_t client, handle, device, subdevice; /* subdevice 0: not seen */
	uint32_t engine, compute_class, channel_class, compute_channel;
	uint32_t channels, channel[REIN_RM_DISABLE_MAX];
	uint32_t timeouts;      /* channels with WL_RM_CHANNEL_ACQUIRE_TIMEOUT */
	uint32_t flags_known;   /* channels whose flags were seen */
	uint32_t candidates;    /* groups with a compute object */
	uint32_t schedule_size; /* bytes of GROUP_SCHEDULE as libcuda passes them; 0: not seen */
};
/* 0, -ENOENT: no such group, -E2BIG: more channels than one control can name. */
int wl_rm_compute_group(const struct wl_rm_table *t, struct wl_rm_group *g);
/* How many groups are alive, and their engines: "GR0 8 channels, CE2 1 channel". */
unsigned wl_rm_groups(const struct wl_rm_table *t, char *text, size_t len);

/* ---- names; never NULL */
const char *wl_rm_status_name(uint32_t status);
const char *wl_rm_class_name(uint32_t class_id); /* "" if not known */
const char *wl_rm_control_name(uint32_t cmd);    /* "" if not known */
const char *wl_rm_mode_name(uint32_t compute_mode);
/* "GR0", "CE3", "engine 19", "engine not named" */
void wl_rm_engine_name(uint32_t engine, char *buf, size_t len);

/* ---- what rm_spy.so exports; programs find it with dlsym, and do without if it is not there */
#define WL_RM_SPY_SNAPSHOT "wl_rm_spy_snapshot"
typedef void wl_rm_spy_snapshot_fn(struct wl_rm_table *out);
#define WL_RM_SPY_IOCTL "wl_rm_spy_ioctl" /* the real one: not recorded */
typedef int wl_rm_spy_ioctl_fn(int fd, unsigned long request, void *arg);

/* ---- controls (rm.c) */
struct wl_rm_result {
	int error;       /* errno of the ioctl, or 0 */
	uint32_t status; /* of the resource manager, if error is 0 */
	uint64_t ns;     /* how long the call took */
};
static inline bool wl_rm_ok(struct wl_rm_result r)
{
	return r.error == 0 && r.status == 0;
}
/* "NV_OK", "NV_ERR_INVALID_CLIENT (0x23)", "ioctl: EPERM"; one of 8 rotating buffers */
const char *wl_rm_result_text(struct wl_rm_result r);

/* The process' compute group as rm_spy.so saw it. 0, or -errno after `why` was filled: -ENOSYS not
 * under rm_spy.so, or as wl_rm_compute_group(). `table` may be NULL. */
int wl_rm_capture(struct wl_rm_group *g, struct wl_rm_table *table, char *why, size_t len);

struct wl_rm_result wl_rm_control(int fd, uint32_t client, uint32_t object, uint32_t cmd,
                                  void *params, uint32_t size);
struct wl_rm_result wl_rm_set_timeslice(const struct wl_rm_group *g, uint64_t us);
struct wl_rm_result wl_rm_get_timeslice(const struct wl_rm_group *g, uint64_t *us);
/* Waits until the group has left the GPU, at most timeout_us. */
struct wl_rm_result wl_rm_preempt(const struct wl_rm_group *g, uint32_t timeout_us);
struct wl_rm_result wl_rm_channels(const struct wl_rm_group *g, bool disable, bool only_scheduling);
struct wl_rm_result wl_rm_schedule(struct wl_rm_group *g, bool enable);
struct wl_rm_result wl_rm_info(const struct wl_rm_group *g, uint32_t *id);
struct wl_rm_result wl_rm_modes(const struct wl_rm_group *g, uint32_t *compute, uint32_t *graphics);
struct wl_rm_result wl_rm_get_interleave(const struct wl_rm_group *g, uint32_t *level);
struct wl_rm_result wl_rm_set_interleave(const struct wl_rm_group *g, uint32_t level);

#endif
