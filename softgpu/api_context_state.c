// SPDX-License-Identifier: Apache-2.0
/*
 * api_context_state.c: what can be asked of and set on a context: device, flags, limits, cache
 * preferences, priorities, peers; and waiting for all its work.
 */
#include "api.h"
#include "trace.h"

/* A context argument where NULL means the current one. */
static CUresult named_or_current(CUcontext ctx, CUcontext *out)
{
	if (!ctx)
		return sg_current(out);
	CUresult r = sg_ready();
	if (r == CUDA_SUCCESS)
		r = sg_context_check(ctx);
	if (r == CUDA_SUCCESS)
		*out = sg_context_whole(ctx);
	return r;
}

/* `seen`: the context as the application named it, which may be a green one's face. */
static CUresult synchronize(CUcontext ctx, CUcontext seen)
{
	sg_lock();
	CUresult r = sg_capture_forbid_context(ctx);
	sg_unlock();
	if (r != CUDA_SUCCESS)
		return r;
	return seen->green ? sg_slice_sync(seen->legacy.engine) : sg_domain_sync(ctx->domain);
}

static CUresult synchronize_named(CUcontext named)
{
	CUcontext ctx, seen = named ? named : sg_top();
	CUresult r = named_or_current(named, &ctx);
	return r == CUDA_SUCCESS ? synchronize(ctx, seen) : r;
}

CUresult cuCtxSynchronize(void)
{
	return SG_CALL_NONE(cuCtxSynchronize, synchronize_named(NULL));
}

CUresult cuCtxSynchronize_v2(CUcontext ctx)
{
	return SG_CALL(cuCtxSynchronize_v2, synchronize_named(ctx), ctx);
}

CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext ctx)
{
	CUresult r = named_or_current(ctx, &ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = ctx->device;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
	return cuCtxGetDevice_v2(device, NULL);
}

CUresult cuCtxGetFlags(unsigned int *flags)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!flags)
		return CUDA_ERROR_INVALID_VALUE;
	*flags = ctx->flags;
	return CUDA_SUCCESS;
}

CUresult cuCtxSetFlags(unsigned int flags)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if ((flags & ~(unsigned)CU_CTX_FLAGS_MASK) ||
	    __builtin_popcount(flags & CU_CTX_SCHED_MASK) > 1)
		return CUDA_ERROR_INVALID_VALUE;
	ctx->flags = flags;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetId(CUcontext ctx, unsigned long long *ctxId)
{
	CUresult r = named_or_current(ctx, &ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!ctxId)
		return CUDA_ERROR_INVALID_VALUE;
	*ctxId = ctx->id;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
	CUresult r = named_or_current(ctx, &ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = ctx->api_version;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetStreamPriorityRange(int *leastPriority, int *greatestPriority)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (leastPriority)
		*leastPriority = SG_PRIORITY_LEAST;
	if (greatestPriority)
		*greatestPriority = SG_PRIORITY_GREATEST;
	return CUDA_SUCCESS;
}

static bool limit_known(CUlimit limit)
{
	return (unsigned)limit < CU_LIMIT_SHMEM_SIZE;
}

CUresult cuCtxGetLimit(size_t *pvalue, CUlimit limit)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pvalue || (unsigned)limit >= CU_LIMIT_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (limit == CU_LIMIT_CIG_ENABLED) { /* cuBLAS asks; no graphics are in here */
		*pvalue = 0;
		return CUDA_SUCCESS;
	}
	if (!limit_known(limit))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	*pvalue = ctx->limits[limit];
	return CUDA_SUCCESS;
}

CUresult cuCtxSetLimit(CUlimit limit, size_t value)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if ((unsigned)limit >= CU_LIMIT_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (!limit_known(limit))
		return CUDA_ERROR_UNSUPPORTED_LIMIT;
	if (limit == CU_LIMIT_MAX_L2_FETCH_GRANULARITY && value > 128)
		return CUDA_ERROR_INVALID_VALUE;
	ctx->limits[limit] = value;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetCacheConfig(CUfunc_cache *pconfig)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pconfig)
		return CUDA_ERROR_INVALID_VALUE;
	*pconfig = ctx->cache;
	return CUDA_SUCCESS;
}

CUresult cuCtxSetCacheConfig(CUfunc_cache config)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
		return CUDA_ERROR_INVALID_VALUE;
	ctx->cache = config; /* a preference: the model has no cache split */
	return CUDA_SUCCESS;
}

CUresult cuCtxGetSharedMemConfig(CUsharedconfig *pConfig)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pConfig)
		return CUDA_ERROR_INVALID_VALUE;
	*pConfig = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
	return CUDA_SUCCESS;
}

CUresult cuCtxSetSharedMemConfig(CUsharedconfig config)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	return (unsigned)config <= CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE
	           ? CUDA_SUCCESS /* without effect since compute capability 5.0 */
	           : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuCtxResetPersistingL2Cache(void)
{
	CUcontext ctx;
	return sg_current(&ctx); /* the model has no L2 cache to reset */
}

/* ---- peers */

CUresult cuDeviceCanAccessPeer(int *canAccessPeer, CUdevice dev, CUdevice peerDev)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!canAccessPeer)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device_ok(dev) || !sg_device_ok(peerDev))
		return CUDA_ERROR_INVALID_DEVICE;
	*canAccessPeer = dev != peerDev;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attrib, CUdevice srcDevice,
                                 CUdevice dstDevice)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!value || attrib < CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK ||
	    attrib > CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sg_device_ok(srcDevice) || !sg_device_ok(dstDevice) || srcDevice == dstDevice)
		return CUDA_ERROR_INVALID_DEVICE;
	*value = attrib == CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED ||
	         attrib == CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED;
	return CUDA_SUCCESS;
}

/* Checks a peer and gives its device's bit in ctx->peers. */
static CUresult peer_bit(CUcontext ctx, CUcontext peer, uint32_t *bit)
{
	if (!peer)
		return CUDA_ERROR_INVALID_CONTEXT;
	CUresult r = sg_context_check(peer);
	if (r != CUDA_SUCCESS)
		return r;
	peer = sg_context_whole(peer);
	if (peer->device == ctx->device)
		return CUDA_ERROR_INVALID_DEVICE;
	if (peer->device >= 32)
		return CUDA_ERROR_TOO_MANY_PEERS;
	*bit = 1u << peer->device;
	return CUDA_SUCCESS;
}

CUresult cuCtxEnablePeerAccess(CUcontext peerContext, unsigned int Flags)
{
	CUcontext ctx;
	uint32_t bit;
	CUresult r = sg_current(&ctx);
	if (r == CUDA_SUCCESS && Flags != 0)
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = peer_bit(ctx, peerContext, &bit);
	if (r != CUDA_SUCCESS)
		return r;
	return rein_or_seqcst(&ctx->peers, bit) & bit ? CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED
	                                              : CUDA_SUCCESS;
}

CUresult cuCtxDisablePeerAccess(CUcontext peerContext)
{
	CUcontext ctx;
	uint32_t bit;
	CUresult r = sg_current(&ctx);
	if (r == CUDA_SUCCESS)
		r = peer_bit(ctx, peerContext, &bit);
	if (r != CUDA_SUCCESS)
		return r;
	return rein_and_seqcst(&ctx->peers, ~bit) & bit ? CUDA_SUCCESS
	                                                : CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
}
