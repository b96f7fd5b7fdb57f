// SPDX-License-Identifier: Apache-2.0
/*
 * rm_double.h: a stand-in for NVIDIA's resource manager (RM), for whoever steers channel groups by
 * its ioctls from inside a process: the same numbers and layouts as the real one (their source is
 * named in common/rm.h and workloads/gpu/lib/rm.h), answered by the software GPU.
 *
 * With SOFTGPU_RM=1 libcuda opens a memfd named "softgpu-nvidiactl" in the place of
 * /dev/nvidiactl when a device's first context is made, and issues by libc's ioctl() what shows a
 * process' groups, as many as on an H200: it allocates a client, device, subdevice, a group of
 *engine GR0 with eight channels and a compute object, three of copy engines with four each, and
 *schedules them. An ioctl() put in front of libc's sees all of it. As no kernel answers a memfd
 *(ENOTTY), it then asks the entry below, which answers as the driver would; so does libcuda itself
 *if nobody stands in front. Controls are issued in the same way:
 *
 *	int r = real_ioctl(fd, request, arg);
 *	if (r == -1 && errno == ENOTTY && entry)
 *		r = entry(fd, request, arg);
 *
 * with `entry` found by dlsym(handle of libcuda.so.1, SOFTGPU_RM_ENTRY).
 *
 * What the controls do: the GR group stands for all of the process' kernels on the device. Each
 * keeps its caller as long as the real one did (rm.c has the figures).
 *   A06C PREEMPT             takes the group off the SMs, SOFTGPU_PREEMPT after the call, which
 *                            waits for that if told to; it is in line again unless it is disabled
 *   2080 FIFO_DISABLE_CHANNELS   all channels of the group: it gets no further time slice; without
 *                            only_scheduling it is preempted too, 50 us later than by PREEMPT.
 *                            Enabled again, it is in line after SOFTGPU_RESUME. A part of the
 *                            channels: recorded, no effect.
 *   A06C GPFIFO_SCHEDULE     says OK, and off holds nothing
 *   A06C SET_TIMESLICE       the length of the group's slices, at least SG_RM_SLICE_MIN_NS in the
 *                            model; GET_TIMESLICE gives what was set
 *   A06C GET_INFO, SET_INTERLEAVE (needs CAP_SYS_NICE; no effect), 2080 GR_GET_CTXSW_MODES
 *   (compute: CILP), GR_SET_CTXSW_PREEMPTION_MODE (no effect)
 * Anything else: NV_ERR_NOT_SUPPORTED, GET_INTERLEAVE among it. A running kernel stands still with
 * what remains of it, in modelled time and in execution. Copies, and what streams do besides
 * kernels, go on.
 *
 * What is held ends with its process, however that ends. The descriptor is the right: over one that
 * was passed, any process and user may issue controls (rm_post.c); with another client's numbers
 * the answer is NV_ERR_INVALID_CLIENT. Where processes run together (SOFTGPU_MPS) and in fast mode
 * everything that would steer says NV_ERR_NOT_SUPPORTED, as a process' group is not its own there.
 *
 * Threads: any. Never called by libcuda with one of its locks held that a CUDA call might need,
 * but for the one of the calling thread: an ioctl() in front must not call CUDA.
 */
#ifndef SOFTGPU_RM_DOUBLE_H
#define SOFTGPU_RM_DOUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/rm.h"
#include "../common/util.h"

#define SOFTGPU_RM_FILE "softgpu-nvidiactl" /* /proc/self/fd/N: "/memfd:softgpu-nvidiactl (…" */
#define SOFTGPU_RM_ENTRY "softgpu_rm_ioctl"
#define SG_RM_SLICE_MIN_NS 1000ull

/* As ioctl(2): -1 and errno ENOTTY (not such a descriptor), EINVAL (not such a request), else 0
 * with the answer in the argument's status. */
int softgpu_rm_ioctl(int fd, unsigned long request, void *arg);

/* Announces a device of the process, once; errors are said on stderr. Without SOFTGPU_RM: no-op. */
void sg_rm_announce(int device);

/* Within libcuda. A control in the process that made the descriptor: status set, returns how long
 * it keeps its caller, 0: no time. root: the caller is privileged. */
uint64_t sg_rm_control(struct rein_rm_nvos54 *c, bool root);
/* The descriptor, with a thread that answers what comes over it from other processes; -1. */
int sg_rm_post_new(void);
/* From there. -ENOTTY: not such a descriptor; -EINVAL: parameters too long; -ETIMEDOUT: no answer.
 */
REIN_MUST_CHECK int sg_rm_post_ask(int fd, struct rein_rm_nvos54 *c, uint64_t *call_ns);

#endif
