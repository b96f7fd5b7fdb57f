// SPDX-License-Identifier: Apache-2.0
/* api_launch.c: kernel launches: validation, parameters, launch attributes; host functions. */
#include "api.h"

#include <string.h>

#include "trace.h"

/* ---- parameters */

static CUresult pack_extra(const struct ptx_kernel_info *info, void **extra, void *params)
{
	const void *buffer = NULL;
	size_t size = 0;
	bool sized = false;
	for (size_t i = 0; extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
		if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER) {
			buffer = extra[i + 1];
		} else if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE && extra[i + 1]) {
			size = *(size_t *)extra[i + 1];
			sized = true;
		} else {
			return CUDA_ERROR_INVALID_VALUE;
		}
	}
	if (!sized || (size && !buffer) || size < info->param_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	if (size > info->param_bytes) /* "too many arguments" in cuda.h; driver 580 says so */
		return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	if (info->param_bytes)
		memcpy(params, buffer, info->param_bytes);
	return CUDA_SUCCESS;
}

static CUresult pack(const struct ptx_kernel_info *info, void **kernel_params, void **extra,
                     void *params)
{
	if (kernel_params && extra)
		return CUDA_ERROR_INVALID_VALUE;
	if (extra)
		return pack_extra(info, extra, params);
	if (info->n_params && !kernel_params)
		return CUDA_ERROR_INVALID_VALUE;
	for (uint32_t i = 0; i < info->n_params; i++) {
		if (!kernel_params[i])
			return CUDA_ERROR_INVALID_VALUE;
		memcpy((char *)params + info->params[i].offset, kernel_params[i],
		       info->params[i].size);
	}
	return CUDA_SUCCESS;
}

/* ---- validation */

static CUresult check_geometry(const struct sg_kernel_op *k)
{
	const struct ptx_kernel_info *info = k->f->info;
	const uint32_t *b = k->block, *g = k->grid;
	if (!g[0] || !g[1] || !g[2] || g[0] > 0x7fffffff || g[1] > 65535 || g[2] > 65535)
		return CUDA_ERROR_INVALID_VALUE;
	if (!b[0] || !b[1] || !b[2] || b[0] > 1024 || b[1] > 1024 || b[2] > 64 ||
	    b[0] * b[1] * b[2] > 1024)
		return CUDA_ERROR_INVALID_VALUE;
	if (info->required[0] &&
	    (info->required[0] != b[0] || info->required[1] != b[1] || info->required[2] != b[2]))
		return CUDA_ERROR_INVALID_VALUE;
	if (b[0] * b[1] * b[2] > info->max_threads) /* .maxntid; driver 580 says so */
		return CUDA_ERROR_INVALID_VALUE;
	if (info->static_shared_bytes > sg_the_model()->shared_per_block_max)
		return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	if (k->shared_bytes > rein_load_relaxed(&k->f->max_dynamic_shared))
		return CUDA_ERROR_INVALID_VALUE;
	CUresult r = sg_cluster_check(k->f, k->cluster, g);
	if (r != CUDA_SUCCESS)
		return r;
	if (k->cooperative) {
		uint64_t room = (uint64_t)sg_the_model()->sms *
		                sg_blocks_per_sm(k->f, b[0] * b[1] * b[2], k->shared_bytes);
		if ((uint64_t)g[0] * g[1] * g[2] > room)
			return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
	}
	return CUDA_SUCCESS;
}

static CUresult read_attribute(const CUlaunchAttribute *a, struct sg_kernel_op *k)
{
	switch ((int)a->id) {
	case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
		k->cooperative = a->value.cooperative != 0;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
		k->cluster[0] = a->value.clusterDim.x;
		k->cluster[1] = a->value.clusterDim.y;
		k->cluster[2] = a->value.clusterDim.z;
		return k->cluster[0] && k->cluster[1] && k->cluster[2] ? CUDA_SUCCESS
		                                                       : CUDA_ERROR_INVALID_VALUE;
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
	case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
		return sg_missing("cuLaunchKernelEx with events");
	case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
		return sg_missing("cuLaunchKernelEx with device-updatable nodes");
	/* Hints, or permissions that need not be used: to start early (serialisation), where data
	 * is cached, how memory is synchronised. Priority is the stream's. */
	case CU_LAUNCH_ATTRIBUTE_IGNORE:
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
	case CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* op->ctx is set; on success op holds what sg_op_fini() gives back. */
CUresult sg_kernel_op_init(struct sg_op *op, const CUlaunchConfig *config, CUfunction f,
                           void **params, void **extra)
{
	struct sg_kernel_op *k = &op->kernel;
	CUfunction function;
	CUresult r = sg_function_get(f, op->ctx, &function);
	if (r != CUDA_SUCCESS)
		return r;
	if (function->module->ctx != op->ctx)
		return CUDA_ERROR_INVALID_HANDLE;
	const struct ptx_error *refused = function->info->refused;
	if (refused) {
		sg_say("cannot launch: PTX line %d: %s", refused->line, refused->text);
		return CUDA_ERROR_NOT_SUPPORTED;
	}
	*k = (struct sg_kernel_op){
	    .f = function,
	    .grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
	    .block = {config->blockDimX, config->blockDimY, config->blockDimZ},
	    .shared_bytes = config->sharedMemBytes,
	};
	if (config->numAttrs && !config->attrs)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < config->numAttrs && r == CUDA_SUCCESS; i++)
		r = read_attribute(&config->attrs[i], k);
	if (r == CUDA_SUCCESS)
		r = check_geometry(k);
	if (r != CUDA_SUCCESS)
		return r;
	size_t bytes = function->info->param_bytes;
	k->params = calloc(1, bytes ? bytes : 1);
	if (!k->params)
		return CUDA_ERROR_OUT_OF_MEMORY;
	r = pack(function->info, params, extra, k->params);
	if (r != CUDA_SUCCESS) {
		free(k->params);
		return r;
	}
	op->kind = SG_OP_KERNEL;
	op->green = NULL;
	sg_module_hold(function->module);
	return CUDA_SUCCESS;
}

/* ---- the calls */

/* The blocks of a cooperative kernel must fit on the SMs of its stream all at once. */
static CUresult check_slice(CUstream s, const struct sg_kernel_op *k)
{
	if (!s->green || !k->cooperative)
		return CUDA_SUCCESS;
	const uint32_t *b = k->block, *g = k->grid;
	uint64_t room =
	    (uint64_t)s->green->sms.n * sg_blocks_per_sm(k->f, b[0] * b[1] * b[2], k->shared_bytes);
	return (uint64_t)g[0] * g[1] * g[2] <= room ? CUDA_SUCCESS
	                                            : CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
}

static CUresult launch(const CUlaunchConfig *config, CUfunction f, void **params, void **extra)
{
	CUstream s;
	CUresult r = sg_stream_get(config->hStream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	struct sg_op op = {.ctx = s->ctx};
	r = sg_kernel_op_init(&op, config, f, params, extra);
	if (r != CUDA_SUCCESS)
		return r;
	r = check_slice(s, &op.kernel);
	if (r == CUDA_SUCCESS)
		r = sg_issue(s, &op, false);
	sg_op_fini(&op);
	return r;
}

CUresult cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                        unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,
                        unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,
                        void **kernelParams, void **extra)
{
	CUlaunchConfig config = {gridDimX,  gridDimY,       gridDimZ, blockDimX, blockDimY,
	                         blockDimZ, sharedMemBytes, hStream,  NULL,      0};
	return SG_CALL(cuLaunchKernel, launch(&config, f, kernelParams, extra), f, gridDimX,
	               gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, hStream,
	               kernelParams, extra);
}

CUresult cuLaunchKernel_ptsz(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                             unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,
                             unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,
                             void **kernelParams, void **extra)
{
	CUlaunchConfig config = {gridDimX,  gridDimY,       gridDimZ,       blockDimX, blockDimY,
	                         blockDimZ, sharedMemBytes, SG_PT(hStream), NULL,      0};
	return SG_CALL(cuLaunchKernel_ptsz, launch(&config, f, kernelParams, extra), f, gridDimX,
	               gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, hStream,
	               kernelParams, extra);
}

static CUresult launch_ex(const CUlaunchConfig *config, CUfunction f, void **params, void **extra,
                          bool per_thread)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	CUlaunchConfig own = *config;
	if (per_thread)
		own.hStream = SG_PT(own.hStream);
	return launch(&own, f, params, extra);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **kernelParams,
                          void **extra)
{
	return SG_CALL(cuLaunchKernelEx, launch_ex(config, f, kernelParams, extra, false), config,
	               f, kernelParams, extra);
}

CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig *config, CUfunction f, void **kernelParams,
                               void **extra)
{
	return SG_CALL(cuLaunchKernelEx_ptsz, launch_ex(config, f, kernelParams, extra, true),
	               config, f, kernelParams, extra);
}

CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                                   unsigned int gridDimZ, unsigned int blockDimX,
                                   unsigned int blockDimY, unsigned int blockDimZ,
                                   unsigned int sharedMemBytes, CUstream hStream,
                                   void **kernelParams)
{
	CUlaunchAttribute cooperative = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE,
	                                 .value.cooperative = 1};
	CUlaunchConfig config = {gridDimX,  gridDimY,       gridDimZ, blockDimX,    blockDimY,
	                         blockDimZ, sharedMemBytes, hStream,  &cooperative, 1};
	return SG_CALL(cuLaunchCooperativeKernel, launch(&config, f, kernelParams, NULL), f,
	               gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ,
	               sharedMemBytes, hStream, kernelParams);
}

CUresult cuLaunchCooperativeKernel_ptsz(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                                        unsigned int gridDimZ, unsigned int blockDimX,
                                        unsigned int blockDimY, unsigned int blockDimZ,
                                        unsigned int sharedMemBytes, CUstream hStream,
                                        void **kernelParams)
{
	return SG_CALL(cuLaunchCooperativeKernel_ptsz,
	               cuLaunchCooperativeKernel(f, gridDimX, gridDimY, gridDimZ, blockDimX,
	                                         blockDimY, blockDimZ, sharedMemBytes,
	                                         SG_PT(hStream), kernelParams),
	               f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ,
	               sharedMemBytes, hStream, kernelParams);
}

static CUresult host_func(CUstream stream, CUhostFn fn, void *data)
{
	CUstream s;
	CUresult r = sg_stream_get(stream, &s);
	if (r != CUDA_SUCCESS)
		return r;
	if (!fn)
		return CUDA_ERROR_INVALID_VALUE;
	struct sg_op op = {.kind = SG_OP_HOST, .ctx = s->ctx, .host = {.fn = fn, .data = data}};
	return sg_issue(s, &op, false);
}

CUresult cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void *userData)
{
	return SG_CALL(cuLaunchHostFunc, host_func(hStream, fn, userData), hStream, fn, userData);
}

CUresult cuLaunchHostFunc_ptsz(CUstream hStream, CUhostFn fn, void *userData)
{
	return SG_CALL(cuLaunchHostFunc_ptsz, host_func(SG_PT(hStream), fn, userData), hStream, fn,
	               userData);
}
