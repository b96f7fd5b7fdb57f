// SPDX-License-Identifier: Apache-2.0
/* rm_names.c: names for the resource manager's numbers, for notes and reports; see rm.h. Source of
 * the numbers: NVIDIA's open-gpu-kernel-modules (nvstatuscodes.h 580.65.06, class/cl*.h). */
#include "rm.h"

#include <stdio.h>

struct name {
	uint32_t number;
	const char *text;
};

static const struct name statuses[] = {
    {0x00, "NV_OK"},
    {0x03, "NV_ERR_BUSY_RETRY"},
    {0x0f, "NV_ERR_GPU_IS_LOST"},
    {0x10, "NV_ERR_GPU_IN_FULLCHIP_RESET"},
    {0x16, "NV_ERR_ILLEGAL_ACTION"},
    {0x17, "NV_ERR_IN_USE"},
    {0x1a, "NV_ERR_INSUFFICIENT_RESOURCES"},
    {0x1b, "NV_ERR_INSUFFICIENT_PERMISSIONS"},
    {0x1d, "NV_ERR_INVALID_ACCESS_TYPE"},
    {0x1f, "NV_ERR_INVALID_ARGUMENT"},
    {0x21, "NV_ERR_INVALID_CHANNEL"},
    {0x22, "NV_ERR_INVALID_CLASS"},
    {0x23, "NV_ERR_INVALID_CLIENT"},
    {0x24, "NV_ERR_INVALID_COMMAND"},
    {0x26, "NV_ERR_INVALID_DEVICE"},
    {0x29, "NV_ERR_INVALID_FLAGS"},
    {0x2a, "NV_ERR_INVALID_FUNCTION"},
    {0x2f, "NV_ERR_INVALID_LOCK_STATE"},
    {0x31, "NV_ERR_INVALID_OBJECT"},
    {0x33, "NV_ERR_INVALID_OBJECT_HANDLE"},
    {0x36, "NV_ERR_INVALID_OBJECT_PARENT"},
    {0x38, "NV_ERR_INVALID_OPERATION"},
    {0x39, "NV_ERR_INVALID_OWNER"},
    {0x3a, "NV_ERR_INVALID_PARAM_STRUCT"},
    {0x3b, "NV_ERR_INVALID_PARAMETER"},
    {0x3d, "NV_ERR_INVALID_POINTER"},
    {0x3f, "NV_ERR_INVALID_REQUEST"},
    {0x40, "NV_ERR_INVALID_STATE"},
    {0x51, "NV_ERR_NO_MEMORY"},
    {0x55, "NV_ERR_NOT_READY"},
    {0x56, "NV_ERR_NOT_SUPPORTED"},
    {0x57, "NV_ERR_OBJECT_NOT_FOUND"},
    {0x58, "NV_ERR_OBJECT_TYPE_MISMATCH"},
    {0x59, "NV_ERR_OPERATING_SYSTEM"},
    {0x5b, "NV_ERR_OUT_OF_RANGE"},
    {0x5f, "NV_ERR_PROTECTION_FAULT"},
    {0x60, "NV_ERR_RC_ERROR"},
    {0x62, "NV_ERR_RESET_REQUIRED"},
    {0x63, "NV_ERR_STATE_IN_USE"},
    {0x65, "NV_ERR_TIMEOUT"},
    {0x66, "NV_ERR_TIMEOUT_RETRY"},
    {0x6b, "NV_ERR_PRIV_SEC_VIOLATION"},
    {0x6e, "NV_ERR_RESOURCE_LOST"},
    {0x7e, "NV_ERR_TEST_ONLY_CODE_NOT_ENABLED"},
    {0xffff, "NV_ERR_GENERIC"},
};

static const struct name classes[] = {
    {0x0000, "client"},
    {0x0001, "client"},
    {0x0041, "client"},
    {0x0005, "event"},
    {0x0040, "memory (local)"},
    {0x003e, "memory (system)"},
    {0x0070, "memory (virtual)"},
    {0x0080, "device"},
    {0x2080, "subdevice"},
    {0x503b, "peer"},
    {0x503c, "third-party peer"},
    {0x50a0, "memory (virtual)"},
    {0x83de, "debugger"},
    {0x9067, "context share"},
    {0x90f1, "address space"},
    {0xa06c, "channel group"},
    {0xc361, "user mode (Volta)"},
    {0xc461, "user mode (Turing)"},
    {0xc661, "user mode (Hopper)"},
    {0xc36f, "channel (Volta)"},
    {0xc46f, "channel (Turing)"},
    {0xc56f, "channel (Ampere)"},
    {0xc86f, "channel (Hopper)"},
    {0xc96f, "channel (Blackwell A)"},
    {0xca6f, "channel (Blackwell B)"},
    {0xc3c0, "compute (Volta)"},
    {0xc5c0, "compute (Turing)"},
    {0xc6c0, "compute (Ampere A)"},
    {0xc7c0, "compute (Ampere B)"},
    {0xc9c0, "compute (Ada)"},
    {0xcbc0, "compute (Hopper)"},
    {0xcdc0, "compute (Blackwell A)"},
    {0xcec0, "compute (Blackwell B)"},
    {0xc3b5, "copy (Volta)"},
    {0xc5b5, "copy (Turing)"},
    {0xc6b5, "copy (Ampere A)"},
    {0xc7b5, "copy (Ampere B)"},
    {0xc8b5, "copy (Hopper)"},
    {0xc9b5, "copy (Blackwell A)"},
    {0xcab5, "copy (Blackwell B)"},
};

static const struct name controls[] = {
    {REIN_RM_CMD_SCHEDULE, "group schedule"},
    {WL_RM_CMD_GROUP_BIND, "group bind"},
    {REIN_RM_CMD_SET_TIMESLICE, "set timeslice"},
    {REIN_RM_CMD_GET_TIMESLICE, "get timeslice"},
    {REIN_RM_CMD_PREEMPT, "preempt"},
    {WL_RM_CMD_GROUP_INFO, "group info"},
    {WL_RM_CMD_SET_INTERLEAVE, "set interleave level"},
    {WL_RM_CMD_GET_INTERLEAVE, "get interleave level"},
    {WL_RM_CMD_CHANNEL_SCHEDULE, "channel schedule"},
    {WL_RM_CMD_CHANNEL_BIND, "channel bind"},
    {REIN_RM_CMD_DISABLE_CHANNELS, "disable channels"},
    {WL_RM_CMD_SET_PREEMPTION, "set preemption mode"},
    {WL_RM_CMD_GET_MODES, "get context-switch modes"},
    {0xa06c0110, "make realtime"},
    {0xc36f0108, "get work-submit token"},
    {0x20801201, "GR info"},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *look_up(const struct name *names, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].number == number)
			return names[i].text;
	return "";
}

const char *wl_rm_status_name(uint32_t status)
{
	const char *name = look_up(statuses, COUNT(statuses), status);
	return name[0] ? name : "another status";
}

const char *wl_rm_class_name(uint32_t class_id)
{
	return look_up(classes, COUNT(classes), class_id);
}

const char *wl_rm_control_name(uint32_t cmd)
{
	return look_up(controls, COUNT(controls), cmd);
}

const char *wl_rm_mode_name(uint32_t compute_mode)
{
	switch (compute_mode) {
	case WL_RM_COMPUTE_WFI:
		return "WFI (wait for idle)";
	case WL_RM_COMPUTE_CTA:
		return "CTA (at block boundaries)";
	case WL_RM_COMPUTE_CILP:
		return "CILP (at any instruction)";
	default:
		return "an unknown mode";
	}
}

/* NV2080_ENGINE_TYPE_*: GR0–GR7 from 1, COPY0–9 from 9, COPY10–19 from 0x34 */
void wl_rm_engine_name(uint32_t engine, char *buf, size_t len)
{
	if (engine == WL_RM_UNKNOWN || engine == 0)
		snprintf(buf, len, "engine not named");
	else if (engine >= 1 && engine <= 8)
		snprintf(buf, len, "GR%u", engine - 1);
	else if (engine >= 9 && engine <= 0x12)
		snprintf(buf, len, "CE%u", engine - 9);
	else if (engine >= 0x34 && engine <= 0x3d)
		snprintf(buf, len, "CE%u", engine - 0x34 + 10);
	else
		snprintf(buf, len, "engine %u", engine);
}
