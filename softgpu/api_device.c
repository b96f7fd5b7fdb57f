// SPDX-License-Identifier: Apache-2.0
/*
 * api_device.c: devices: count, names, UUIDs, and every attribute of cuda.h, answered from the
 * model. An attribute whose feature this library lacks says so (0), so that programs that ask
 * before they use it take their other path.
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

/* Attributes that the model decides. */
static bool model_attribute(const struct sg_model *m, CUdevice_attribute a, CUdevice dev, int *v)
{
	switch (a) {
	case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
		*v = (int)(m->clock_mhz * 1000);
		return true;
	case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
		*v = (int)m->sms;
		return true;
	case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
		*v = dev + 1;
		return true;
	case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: /* kHz; 2 transfers of 64 bytes a cycle */
		*v = (int)(m->memory_gbps * 1e6 / 128);
		return true;
	case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
		*v = (int)m->threads_per_sm;
		return true;
	case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
		*v = (int)m->copy_engines;
		return true;
	case CU_DEVICE_ATTRIBUTE_GPU_OVERLAP:
		*v = m->copy_engines > 0;
		return true;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
		*v = (int)(m->sm_arch / 10);
		return true;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
		*v = (int)(m->sm_arch % 10);
		return true;
	case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
		*v = (int)m->shared_per_sm;
		return true;
	case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
		*v = (int)m->shared_per_block_max;
		return true;
	case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
		*v = m->shared_per_block_max < 49152 ? (int)m->shared_per_block_max : 49152;
		return true;
	case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
		*v = (int)m->registers_per_sm;
		return true;
	case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
		*v = m->registers_per_sm < 65536 ? (int)m->registers_per_sm : 65536;
		return true;
	case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR:
		*v = (int)m->blocks_per_sm;
		return true;
	default:
		return false;
	}
}

/* Attributes that are what they are. Everything else in cuda.h is 0: a size of textures, a
 * feature, or a handle type that the software GPU does not have. */
static const struct {
	CUdevice_attribute attribute;
	int value;
} fixed[] = {
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 0x7fffffff},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535},
    {CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536},
    {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
    {CU_DEVICE_ATTRIBUTE_MAX_PITCH, 0x7fffffff},
    {CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512},
    {CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT, 32},
    {CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT, 512},
    {CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, CU_COMPUTEMODE_DEFAULT},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 512},
    {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
    {CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1},
    {CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 1},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 1},
    {CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
    {CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST, 1},
    {CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_MEM_OPS_V1, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS_V1, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR_V1, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_FLUSH_REMOTE_WRITES, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR, 1},
    {CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT, 1},
    {CU_DEVICE_ATTRIBUTE_NUMA_CONFIG, CU_DEVICE_NUMA_CONFIG_NONE},
    {CU_DEVICE_ATTRIBUTE_NUMA_ID, -1},
    {CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, -1},
};

CUresult cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev)
{
	CUresult r = device_check(dev, pi);
	if (r != CUDA_SUCCESS)
		return r;
	if (attrib <= 0 || attrib >= CU_DEVICE_ATTRIBUTE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (model_attribute(sg_the_model(), attrib, dev, pi))
		return CUDA_SUCCESS;
	*pi = 0;
	for (size_t i = 0; i < REIN_ARRAY_LEN(fixed); i++)
		if (fixed[i].attribute == attrib)
			*pi = fixed[i].value;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetProperties(CUdevprop *prop, CUdevice dev)
{
	CUresult r = device_check(dev, prop);
	if (r != CUDA_SUCCESS)
		return r;
	const struct sg_model *m = sg_the_model();
	int shared = 0, registers = 0;
	model_attribute(m, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, dev, &shared);
	model_attribute(m, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, dev, &registers);
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
