// SPDX-License-Identifier: Apache-2.0
/*
 * device.c: which GPU is this?
 *
 * Asks: is there a usable device, and what are its name, driver, geometry and the attributes that
 * the gates and slices depend on. Read: attribute values as the driver gives them; -1 where this
 * driver does not know the attribute. Exit status 1 and one line if there is no usable GPU.
 */
#include <dlfcn.h>
#include <stdio.h>
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

int main(void)
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
	return 0;
}
