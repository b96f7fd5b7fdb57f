// SPDX-License-Identifier: Apache-2.0
/*
 * api_device.c: devices: count, names, UUIDs, memory. Their attributes are in api_attribute.c.
 */
#include "api.h"

#include <string.h>

static CUresult device_check(CUdevice dev, const void *out)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	return sg_device_ok(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetCount(int *count)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = (int)sg_the_model()->n_devices;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	CUresult r = device_check(ordinal, device);
	if (r == CUDA_SUCCESS)
		*device = ordinal;
	return r;
}

CUresult cuDeviceGetName(char *name, int len, CUdevice dev)
{
	CUresult r = device_check(dev, name);
	if (r != CUDA_SUCCESS)
		return r;
	if (len <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	snprintf(name, (size_t)len, "%s", sg_the_model()->device_name);
	return CUDA_SUCCESS;
}

/* The processes that share a device see one UUID: it is made from what they share. */
CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
	CUresult r = device_check(dev, uuid);
	if (r != CUDA_SUCCESS)
		return r;
	uint64_t half[2] = {0xcbf29ce484222325ull, 0x9e3779b97f4a7c15ull ^ (uint64_t)dev};
	for (int i = 0; i < 2; i++) {
		for (const char *c = sg_the_model()->shm_name; *c; c++)
			half[i] = (half[i] ^ (uint8_t)*c) * 0x100000001b3ull;
		half[i] = (half[i] ^ (uint64_t)(dev + 1)) * 0x100000001b3ull;
	}
	memcpy(uuid->bytes, half, sizeof(uuid->bytes));
	return CUDA_SUCCESS;
}

uint64_t sg_device_half_uuid(CUdevice dev)
{
	CUuuid uuid;
	uint64_t half = 0;
	if (cuDeviceGetUuid_v2(&uuid, dev) == CUDA_SUCCESS)
		memcpy(&half, uuid.bytes, sizeof(half));
	return half;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice dev)
{
	return cuDeviceGetUuid_v2(uuid, dev);
}

CUresult cuDeviceGetLuid(char *luid, unsigned int *deviceNodeMask, CUdevice dev)
{
	CUresult r = device_check(dev, luid);
	if (r == CUDA_SUCCESS && !deviceNodeMask)
		r = CUDA_ERROR_INVALID_VALUE;
	return r == CUDA_SUCCESS ? CUDA_ERROR_NOT_SUPPORTED : r; /* Windows only */
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
	CUresult r = device_check(dev, bytes);
	if (r == CUDA_SUCCESS)
		*bytes = sg_the_model()->memory_bytes;
	return r;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
	CUresult r = device_check(dev, major);
	if (r == CUDA_SUCCESS && !minor)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r != CUDA_SUCCESS)
		return r;
	*major = (int)(sg_the_model()->sm_arch / 10);
	*minor = (int)(sg_the_model()->sm_arch % 10);
	return CUDA_SUCCESS;
}

/* The device's place on an imaginary bus: domain 0, bus = ordinal + 1, slot 0. */
CUresult cuDeviceGetPCIBusId(char *pciBusId, int len, CUdevice dev)
{
	CUresult r = device_check(dev, pciBusId);
	if (r != CUDA_SUCCESS)
		return r;
	char text[16];
	int n = snprintf(text, sizeof(text), "0000:%02x:00.0", (unsigned)(dev + 1) & 0xff);
	if (len <= n)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(pciBusId, text, (size_t)n + 1);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetByPCIBusId(CUdevice *dev, const char *pciBusId)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	unsigned domain = 0, bus = 0, slot = 0, function = 0;
	if (!dev || !pciBusId)
		return CUDA_ERROR_INVALID_VALUE;
	if (sscanf(pciBusId, "%x:%x:%x.%x", &domain, &bus, &slot, &function) < 3 &&
	    (domain = 0, sscanf(pciBusId, "%x:%x", &bus, &slot) < 2))
		return CUDA_ERROR_INVALID_VALUE;
	if (domain || slot || function || bus == 0 || !sg_device_ok((int)bus - 1))
		return CUDA_ERROR_INVALID_DEVICE;
	*dev = (int)bus - 1;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetProperties(CUdevprop *prop, CUdevice dev)
{
	CUresult r = device_check(dev, prop);
	if (r != CUDA_SUCCESS)
		return r;
	const struct sg_model *m = sg_the_model();
	int shared = 0, registers = 0;
	r = cuDeviceGetAttribute(&shared, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, dev);
	if (r == CUDA_SUCCESS)
		r = cuDeviceGetAttribute(&registers, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK,
		                         dev);
	if (r != CUDA_SUCCESS)
		return r;
	*prop = (CUdevprop){
	    .maxThreadsPerBlock = 1024,
	    .maxThreadsDim = {1024, 1024, 64},
	    .maxGridSize = {0x7fffffff, 65535, 65535},
	    .sharedMemPerBlock = shared,
	    .totalConstantMemory = 65536,
	    .SIMDWidth = 32,
	    .memPitch = 0x7fffffff,
	    .regsPerBlock = registers,
	    .clockRate = (int)(m->clock_mhz * 1000),
	    .textureAlign = 512,
	};
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetExecAffinitySupport(int *pi, CUexecAffinityType type, CUdevice dev)
{
	CUresult r = device_check(dev, pi);
	if (r != CUDA_SUCCESS)
		return r;
	if ((unsigned)type >= CU_EXEC_AFFINITY_TYPE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	*pi = 0;
	return CUDA_SUCCESS;
}
