// SPDX-License-Identifier: Apache-2.0
/*
 * rm.h: what a process' user libraries and NVIDIA's resource manager (RM) say to each other by
 * ioctl on /dev/nvidiactl, as far as holding a channel group needs it. Data only: numbers and
 * layouts. The numbers, sizes and offsets are facts from NVIDIA's open-gpu-kernel-modules, releases
 * 560.28.03 (nvos.h) and 590.48.01 (alloc_channel.h, ctrla06c.h, ctrl2080fifo.h, nv_escape.h,
 * nv-ioctl-numbers.h), where those that could be compared agree. All integers are little-endian.
 *
 * Model. A client (a handle, valid only through the open file that made it) owns a tree of objects
 * named by handles: device → subdevice; device → channel group (0xa06c) → channels (0x??6f) →
 * engine objects (compute 0x??c0). A context's kernels run in the group that has a compute object
 * below it: the unit that the GPU time-slices and preempts.
 */
#ifndef REIN_COMMON_RM_H
#define REIN_COMMON_RM_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REIN_RM_DEVICE_MAJOR 195 /* of /dev/nvidiactl and /dev/nvidia<N>; Linux' devices.txt */

/* ---- ioctl numbers: _IOWR('F', number, argument) */
#define REIN_RM_IOC_TYPE 0x46u /* 'F'; the kernel's frame buffers have it too */
#define REIN_RM_ESC_FREE 0x29u
#define REIN_RM_ESC_CONTROL 0x2au
#define REIN_RM_ESC_ALLOC 0x2bu
#define REIN_RM_ESC_XFER 211u /* wraps another one */

struct rein_rm_nvos00 { /* free */
	uint32_t client, parent, object, status;
};
struct rein_rm_nvos54 { /* control; flags not 0: the parameters are serialized */
	uint32_t client, object, cmd, flags;
	uint64_t params;
	uint32_t params_size, status;
};
struct rein_rm_nvos21 { /* allocate, older */
	uint32_t client, parent, object, class_id;
	uint64_t params;
	uint32_t params_size, status;
};
struct rein_rm_nvos64 { /* allocate */
	uint32_t client, parent, object, class_id;
	uint64_t params, rights;
	uint32_t params_size, flags, status, pad;
};
struct rein_rm_xfer {
	uint32_t number, size;
	uint64_t arg;
};
static_assert(sizeof(struct rein_rm_nvos00) == 16, "NVOS00_PARAMETERS");
static_assert(sizeof(struct rein_rm_nvos54) == 32, "NVOS54_PARAMETERS");
static_assert(sizeof(struct rein_rm_nvos21) == 32, "NVOS21_PARAMETERS");
static_assert(sizeof(struct rein_rm_nvos64) == 48, "NVOS64_PARAMETERS");
static_assert(sizeof(struct rein_rm_xfer) == 16, "nv_ioctl_xfer_t");

/* ---- classes. Of channels, compute and copy objects each architecture has its own. */
#define REIN_RM_CLASS_DEVICE 0x0080u
#define REIN_RM_CLASS_SUBDEVICE 0x2080u
#define REIN_RM_CLASS_GROUP 0xa06cu
#define REIN_RM_GROUP_ENGINE 12 /* where in a group's parameters its engine is named */
#define REIN_RM_ENGINE_GR0 1u   /* NV2080_ENGINE_TYPE_*: GR0 to GR7 */
#define REIN_RM_ENGINE_GR7 8u

static inline bool rein_rm_is_client(uint32_t class_id)
{
	return class_id == 0 || class_id == 1 || class_id == 0x41;
}
static inline bool rein_rm_is_channel(uint32_t class_id)
{
	return class_id >= 0xa06f && class_id <= 0xffff && (class_id & 0xff) == 0x6f;
}
static inline bool rein_rm_is_compute(uint32_t class_id)
{
	return class_id >= 0xa0c0 && class_id <= 0xffff && (class_id & 0xff) == 0xc0;
}

/* ---- controls: on a group, the last on a subdevice */
#define REIN_RM_CMD_SCHEDULE 0xa06c0101u      /* 2 bytes (up to 570) or 3 (from 575): enable, … */
#define REIN_RM_CMD_SET_TIMESLICE 0xa06c0103u /* 8: microseconds */
#define REIN_RM_CMD_GET_TIMESLICE 0xa06c0104u
#define REIN_RM_CMD_PREEMPT 0xa06c0105u
#define REIN_RM_CMD_DISABLE_CHANNELS 0x2080110bu

struct rein_rm_preempt {
	uint8_t wait, manual_timeout, pad[2];
	uint32_t timeout_us; /* at most a second */
};
#define REIN_RM_DISABLE_MAX 64
struct rein_rm_disable {
	uint8_t disable, pad0[3]; /* 0: enable */
	uint32_t channels;
	uint8_t only_scheduling, rewind, pad1[6]; /* 1: leave running what runs */
	uint64_t preempt_event;                   /* for the kernel's own clients; 0 */
	uint32_t client[REIN_RM_DISABLE_MAX], channel[REIN_RM_DISABLE_MAX];
};
static_assert(sizeof(struct rein_rm_preempt) == 8, "NVA06C_CTRL_PREEMPT_PARAMS");
static_assert(sizeof(struct rein_rm_disable) == 536, "NV2080_CTRL_FIFO_DISABLE_CHANNELS_PARAMS");

/* ---- statuses */
#define REIN_RM_OK 0u

/* ---- ours: how a group is held off the GPU. Which one works is measured, per GPU and driver; the
 * daemon says which (rein_control.context_recipe). */
enum rein_rm_recipe {
	REIN_RM_RECIPE_OFF,
	REIN_RM_RECIPE_DISABLE_PREEMPT, /* disable scheduling of its channels, then preempt */
	REIN_RM_RECIPE_DISABLE,         /* disable its channels in the form that preempts too */
	REIN_RM_RECIPE_SCHEDULE,        /* take the group off the run list */
	REIN_RM_RECIPE_TIMESLICE,       /* none holds; only time slices can be shortened */
	REIN_RM_RECIPES
};

#endif
