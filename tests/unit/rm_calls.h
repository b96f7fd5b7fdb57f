// SPDX-License-Identifier: Apache-2.0
/* rm_calls.h: the resource manager's ioctls as a driver would issue them, for tests of what stands
 * in front of it: arguments filled in, and what a process with CUDA allocates. */
#ifndef REIN_TESTS_RM_CALLS_H
#define REIN_TESTS_RM_CALLS_H

#include <linux/ioctl.h>
#include <string.h>

#include "common/rm.h"

#define RM_UNUSED __attribute__((unused))
#define RM_REQUEST(number, size) _IOC(_IOC_READ | _IOC_WRITE, REIN_RM_IOC_TYPE, number, size)
#define RM_FREE RM_REQUEST(REIN_RM_ESC_FREE, sizeof(struct rein_rm_nvos00))
#define RM_CONTROL RM_REQUEST(REIN_RM_ESC_CONTROL, sizeof(struct rein_rm_nvos54))
#define RM_ALLOC RM_REQUEST(REIN_RM_ESC_ALLOC, sizeof(struct rein_rm_nvos64))
#define RM_ALLOC_OLD RM_REQUEST(REIN_RM_ESC_ALLOC, sizeof(struct rein_rm_nvos21))
#define RM_XFER RM_REQUEST(REIN_RM_ESC_XFER, sizeof(struct rein_rm_xfer))

#define RM_CLASS_CLIENT 0x41
#define RM_CLASS_CHANNEL 0xc86f
#define RM_CLASS_COMPUTE 0xcbc0
#define RM_CLASS_COPY 0xc8b5
#define RM_ENGINE_COPY0 9

#define RM_CLIENT 0xc1d00001u
#define RM_DEVICE 2u
#define RM_SUBDEVICE 3u

/* How a call gets to where it is seen; its status is the test's to set. */
typedef int rm_issue_fn(unsigned long request, void *arg);

RM_UNUSED static int rm_alloc(rm_issue_fn *issue, uint32_t client, uint32_t parent, uint32_t object,
                              uint32_t class_id, const void *params, uint32_t size)
{
	struct rein_rm_nvos64 a = {.client = client,
	                           .parent = parent,
	                           .object = object,
	                           .class_id = class_id,
	                           .params = (uintptr_t)params,
	                           .params_size = size};
	return issue(RM_ALLOC, &a);
}

RM_UNUSED static int rm_free(rm_issue_fn *issue, uint32_t client, uint32_t object)
{
	struct rein_rm_nvos00 f = {.client = client, .object = object};
	return issue(RM_FREE, &f);
}

RM_UNUSED static int rm_control(rm_issue_fn *issue, uint32_t object, uint32_t cmd, void *params,
                                uint32_t size)
{
	struct rein_rm_nvos54 c = {.client = RM_CLIENT,
	                           .object = object,
	                           .cmd = cmd,
	                           .params = (uintptr_t)params,
	                           .params_size = size};
	return issue(RM_CONTROL, &c);
}

/* A group, its channels from handle + 1 on, and an object of that class below the first. */
RM_UNUSED static void rm_group(rm_issue_fn *issue, uint32_t device, uint32_t handle,
                               uint32_t engine, uint32_t channels, uint32_t class_id)
{
	uint32_t params[5] = {[REIN_RM_GROUP_ENGINE / 4] = engine};
	rm_alloc(issue, RM_CLIENT, device, handle, REIN_RM_CLASS_GROUP, params, sizeof(params));
	for (uint32_t i = 1; i <= channels; i++)
		rm_alloc(issue, RM_CLIENT, handle, handle + i, RM_CLASS_CHANNEL, NULL, 0);
	rm_alloc(issue, RM_CLIENT, handle + 1, handle + 0x80, class_id, NULL, 0);
}

/* What libcuda makes for a context: a compute group (0x100) with two channels, a copy group. */
RM_UNUSED static void rm_process(rm_issue_fn *issue)
{
	uint8_t on[3] = {1};
	rm_alloc(issue, 0, 0, RM_CLIENT, RM_CLASS_CLIENT, NULL, 0);
	rm_alloc(issue, RM_CLIENT, RM_CLIENT, RM_DEVICE, REIN_RM_CLASS_DEVICE, NULL, 0);
	rm_alloc(issue, RM_CLIENT, RM_DEVICE, RM_SUBDEVICE, REIN_RM_CLASS_SUBDEVICE, NULL, 0);
	rm_group(issue, RM_DEVICE, 0x100, REIN_RM_ENGINE_GR0, 2, RM_CLASS_COMPUTE);
	rm_group(issue, RM_DEVICE, 0x200, RM_ENGINE_COPY0, 1, RM_CLASS_COPY);
	rm_control(issue, 0x100, REIN_RM_CMD_SCHEDULE, on, sizeof(on));
}

#endif
