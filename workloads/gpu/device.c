// SPDX-License-Identifier: Apache-2.0
/*
 * device.c: which GPU is this?
 *
 * Asks: is there a usable device, and what are its name, driver, geometry and the attributes that
 * the gates and slices depend on. Read: attribute values as the driver gives them; -1 where this
 * driver does not know the attribute. Exit status 1 and one line if there is no usable GPU. With
 * --uuids also which GPUs there are: not asked by gpu-check, whose results are published. With
 * --stay it keeps a context until its stdin ends, so that others can see what a process that uses
 * this GPU looks like.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cuda.h>

#include "../lib/fact.h"
#include "../lib/gpu.h"

#define LIMIT_S 80

static const struct {
	const char *name;
	CUdevice_attribute attribute;
} attributes[] = {
    {"device.sms", CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT},
    {"device.compute_major", CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR},
    {"device.compute_minor", CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR},
    {"device.clock_khz", CU_DEVICE_ATTRIBUTE_CLOCK_RATE},
    {"device.l2_bytes", CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE},
    {"device.copy_engines", CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT},
    {"device.compute_mode", CU_DEVICE_ATTRIBUTE_COMPUTE_MODE},
    {"device.compute_preemption", CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED},
    {"device.stream_priorities", CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED},
    {"device.stream_memops_64", CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS},
    {"device.stream_memops_nor", CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR},
    {"device.host_register", CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED},
    {"device.host_register_read_only", CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED},
    {"device.cooperative_launch", CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH},
    {"device.memory_pools", CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED},
    {"device.mps", CU_DEVICE_ATTRIBUTE_MPS_ENABLED},
};

/* All GPUs that this process may use, by their UUIDs. */
static void uuids(int count)
{
	for (int i = 0; i < count; i++) {
		char id[32], text[48] = "GPU-";
		CUdevice device;
		CUuuid uuid;
		WL_CU(cuDeviceGet, &device, i);
		WL_CU(cuDeviceGetUuid, &uuid, device);
		for (unsigned b = 0, n = 4; b < sizeof(uuid.bytes); b++)
			n += (unsigned)snprintf(text + n, sizeof(text) - n, "%s%02x",
			                        b == 4 || b == 6 || b == 8 || b == 10 ? "-" : "",
			                        (unsigned char)uuid.bytes[b]);
		snprintf(id, sizeof(id), "device.uuid_%d", i);
		wl_fact_text(id, text, NULL);
	}
}

int main(int argc, char **argv)
{
	char name[96];
	int count = 0, version = 0, value;
	size_t bytes = 0;
	CUdevice device;
	wl_fact_bound(LIMIT_S);
	CUresult r = cuInit(0);
	if (r == CUDA_SUCCESS)
		r = cuDeviceGetCount(&count);
	if (r != CUDA_SUCCESS || count == 0) {
		fprintf(stderr, "device: no usable GPU: CUDA error %d\n", (int)r);
		return 1;
	}
	WL_CU(cuDeviceGet, &device, 0);
	WL_CU(cuDeviceGetName, name, (int)sizeof(name), device);
	WL_CU(cuDriverGetVersion, &version);
	WL_CU(cuDeviceTotalMem, &bytes, device);
	wl_fact_text("device.name", name, NULL);
	wl_fact("device.count", count, NULL, NULL);
	wl_fact("device.cuda", version, NULL, NULL);
	wl_fact("device.memory_bytes", (double)bytes, "bytes", NULL);
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		r = cuDeviceGetAttribute(&value, attributes[i].attribute, device);
		wl_fact(attributes[i].name, r == CUDA_SUCCESS ? value : -1, NULL, NULL);
	}
	if (argc > 1 && strcmp(argv[1], "--uuids") == 0)
		uuids(count);
	if (argc > 1 && strcmp(argv[1], "--stay") == 0) {
		CUcontext context;
		WL_CU(cuDevicePrimaryCtxRetain, &context, device);
		wl_fact_flag("device.stays", true, NULL);
		while (read(STDIN_FILENO, name, sizeof(name)) > 0)
			;
	}
	return 0;
}
