// SPDX-License-Identifier: Apache-2.0
/* api_function.c: functions: attributes, parameters, and occupancy on the model's SMs. */
#include "api.h"

#include "api_module.h"

CUresult sg_function_get(CUfunction handle, CUcontext ctx, CUfunction *out)
{
	if (sg_handle_is(handle, SG_FUNCTION)) {
		*out = handle;
		return CUDA_SUCCESS;
	}
	/* the manual lets a CUkernel be cast and launched in any context */
	if (sg_handle_is(handle, SG_KERNEL))
		return sg_kernel_function((CUkernel)handle, ctx, out);
	return CUDA_ERROR_INVALID_HANDLE;
}

static CUresult function_check(CUfunction handle, CUfunction *f)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	return r == CUDA_SUCCESS ? sg_function_get(handle, ctx, f) : r;
}

CUresult cuFuncGetAttribute(int *pi, CUfunction_attribute attrib, CUfunction hfunc)
{
	CUfunction f;
	CUresult r = function_check(hfunc, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pi)
		return CUDA_ERROR_INVALID_VALUE;
	const struct ptx_kernel_info *info = f->info;
	switch (attrib) {
	case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
		*pi = (int)info->max_threads;
		break;
	case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
		*pi = (int)info->static_shared_bytes;
		break;
	case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
		*pi = (int)info->local_bytes;
		break;
	case CU_FUNC_ATTRIBUTE_NUM_REGS:
		*pi = (int)info->registers;
		break;
	case CU_FUNC_ATTRIBUTE_PTX_VERSION:
		*pi = (int)info->target_sm;
		break;
	case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
		*pi = (int)sg_the_model()->sm_arch;
		break;
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		*pi = (int)rein_load_relaxed(&f->max_dynamic_shared);
		break;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		*pi = (int)rein_load_relaxed(&f->carveout);
		break;
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
		*pi = (int)info->cluster[0];
		break;
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
		*pi = (int)info->cluster[1];
		break;
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
		*pi = (int)info->cluster[2];
		break;
	case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
		*pi = (int)rein_load_relaxed(&f->big_clusters);
		break;
	case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
	case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
	case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		*pi = 0;
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib, int value)
{
	CUfunction f;
	CUresult r = function_check(hfunc, &f);
	if (r != CUDA_SUCCESS)
		return r;
	switch (attrib) {
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
		if (value < 0 || (uint64_t)value + f->info->static_shared_bytes >
		                     sg_the_model()->shared_per_block_max)
			return CUDA_ERROR_INVALID_VALUE;
		rein_store_relaxed(&f->max_dynamic_shared, (uint32_t)value);
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		if (value < -1 || value > 100)
			return CUDA_ERROR_INVALID_VALUE;
		rein_store_relaxed(&f->carveout, (uint32_t)value);
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
		rein_store_relaxed(&f->big_clusters, value != 0);
		return CUDA_SUCCESS;
	case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
		return CUDA_SUCCESS; /* a preference */
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
	case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
		return sg_missing("cuFuncSetAttribute of a required cluster");
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult cuFuncSetCacheConfig(CUfunction hfunc, CUfunc_cache config)
{
	CUfunction f;
	CUresult r = function_check(hfunc, &f);
	if (r == CUDA_SUCCESS && (unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
		r = CUDA_ERROR_INVALID_VALUE;
	return r; /* a preference: the model has no cache split */
}

CUresult cuFuncSetSharedMemConfig(CUfunction hfunc, CUsharedconfig config)
{
	CUfunction f;
	CUresult r = function_check(hfunc, &f);
	if (r == CUDA_SUCCESS && (unsigned)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
		r = CUDA_ERROR_INVALID_VALUE;
	return r;
}

CUresult cuFuncGetModule(CUmodule *hmod, CUfunction hfunc)
{
	CUfunction f;
	CUresult r = function_check(hfunc, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!hmod)
		return CUDA_ERROR_INVALID_VALUE;
	*hmod = f->module;
	return CUDA_SUCCESS;
}

CUresult cuFuncGetName(const char **name, CUfunction hfunc)
{
	CUfunction f;
	CUresult r = function_check(hfunc, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	*name = f->info->name;
	return CUDA_SUCCESS;
}

CUresult cuFuncGetParamInfo(CUfunction func, size_t paramIndex, size_t *paramOffset,
                            size_t *paramSize)
{
	CUfunction f;
	CUresult r = function_check(func, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!paramOffset || paramIndex >= f->info->n_params)
		return CUDA_ERROR_INVALID_VALUE;
	*paramOffset = f->info->params[paramIndex].offset;
	if (paramSize)
		*paramSize = f->info->params[paramIndex].size;
	return CUDA_SUCCESS;
}

CUresult cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction function)
{
	CUfunction f;
	CUresult r = function_check(function, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!state)
		return CUDA_ERROR_INVALID_VALUE;
	*state = CU_FUNCTION_LOADING_STATE_LOADED;
	return CUDA_SUCCESS;
}

CUresult cuFuncLoad(CUfunction function)
{
	CUfunction f;
	return function_check(function, &f);
}

/* ---- occupancy */

unsigned sg_blocks_per_sm(CUfunction f, unsigned threads, size_t dynamic_shared)
{
	const struct sg_model *m = sg_the_model();
	unsigned whole = (threads + 31) & ~31u, n = m->blocks_per_sm;
	size_t shared = f->info->static_shared_bytes + dynamic_shared;
	uint64_t registers = (uint64_t)whole * f->info->registers;
	if (!whole || whole > m->threads_per_sm || shared > m->shared_per_block_max)
		return 0;
	if (m->threads_per_sm / whole < n)
		n = m->threads_per_sm / whole;
	if (shared && m->shared_per_sm / shared < n)
		n = (unsigned)(m->shared_per_sm / shared);
	/* the register count is an estimate from PTX, which a compiler would fit to the block */
	if (registers && m->registers_per_sm / registers < n)
		n = (unsigned)(m->registers_per_sm / registers);
	return n ? n : 1;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *numBlocks, CUfunction func,
                                                              int blockSize, size_t dynamicSMemSize,
                                                              unsigned int flags)
{
	CUfunction f;
	CUresult r = function_check(func, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!numBlocks || blockSize <= 0 ||
	    (flags & ~(unsigned)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE))
		return CUDA_ERROR_INVALID_VALUE;
	*numBlocks = blockSize > (int)f->info->max_threads
	                 ? 0
	                 : (int)sg_blocks_per_sm(f, (unsigned)blockSize, dynamicSMemSize);
	return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, CUfunction func, int blockSize,
                                                     size_t dynamicSMemSize)
{
	return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(numBlocks, func, blockSize,
	                                                            dynamicSMemSize, 0);
}

CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int *minGridSize, int *blockSize,
                                                   CUfunction func,
                                                   CUoccupancyB2DSize blockSizeToDynamicSMemSize,
                                                   size_t dynamicSMemSize, int blockSizeLimit,
                                                   unsigned int flags)
{
	CUfunction f;
	CUresult r = function_check(func, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!minGridSize || !blockSize || blockSizeLimit < 0 ||
	    (flags & ~(unsigned)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE))
		return CUDA_ERROR_INVALID_VALUE;
	int limit = (int)f->info->max_threads;
	if (blockSizeLimit && blockSizeLimit < limit)
		limit = blockSizeLimit;
	unsigned best_threads = 0, best_blocks = 0, best_size = 0;
	for (int size = limit; size > 0; size = size % 32 ? size - size % 32 : size - 32) {
		size_t shared =
		    blockSizeToDynamicSMemSize ? blockSizeToDynamicSMemSize(size) : dynamicSMemSize;
		unsigned blocks = sg_blocks_per_sm(f, (unsigned)size, shared);
		if (blocks * (unsigned)size > best_threads) {
			best_threads = blocks * (unsigned)size;
			best_blocks = blocks;
			best_size = (unsigned)size;
		}
	}
	*blockSize = (int)best_size;
	*minGridSize = (int)(best_blocks * sg_the_model()->sms);
	return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxPotentialBlockSize(int *minGridSize, int *blockSize, CUfunction func,
                                          CUoccupancyB2DSize blockSizeToDynamicSMemSize,
                                          size_t dynamicSMemSize, int blockSizeLimit)
{
	return cuOccupancyMaxPotentialBlockSizeWithFlags(minGridSize, blockSize, func,
	                                                 blockSizeToDynamicSMemSize,
	                                                 dynamicSMemSize, blockSizeLimit, 0);
}

CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamicSmemSize, CUfunction func,
                                                 int numBlocks, int blockSize)
{
	CUfunction f;
	CUresult r = function_check(func, &f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!dynamicSmemSize || numBlocks <= 0 || blockSize <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	const struct sg_model *m = sg_the_model();
	size_t each = m->shared_per_sm / (unsigned)numBlocks;
	if (each > m->shared_per_block_max)
		each = m->shared_per_block_max;
	*dynamicSmemSize =
	    each > f->info->static_shared_bytes ? each - f->info->static_shared_bytes : 0;
	return CUDA_SUCCESS;
}

/* ---- clusters */

#define PORTABLE_CLUSTER 8
#define LARGEST_CLUSTER 16

static unsigned largest_cluster(CUfunction f)
{
	return rein_load_relaxed(&f->big_clusters) ? LARGEST_CLUSTER : PORTABLE_CLUSTER;
}

CUresult sg_cluster_check(CUfunction f, const uint32_t cluster[3], const uint32_t grid[3])
{
	const uint32_t *own = f->info->cluster, *c = cluster[0] ? cluster : own;
	if (!c[0])
		return CUDA_SUCCESS; /* none */
	if (sg_the_model()->sm_arch < 90)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (own[0] && (c[0] != own[0] || c[1] != own[1] || c[2] != own[2]))
		return CUDA_ERROR_INVALID_VALUE;
	uint64_t size = 1;
	for (int i = 0; i < 3; i++) {
		if (c[i] > LARGEST_CLUSTER || grid[i] % c[i])
			return CUDA_ERROR_INVALID_CLUSTER_SIZE;
		size *= c[i];
	}
	return size <= largest_cluster(f) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CLUSTER_SIZE;
}

/* A cluster's blocks are on neighbouring SMs. The neighbourhoods of an H200's 132 SMs are deduced
 * from what its driver (580) says there is room for, at one block an SM: 132 clusters of 1 block,
 * 66 of 2, then 39 30 22 17 15 15 9, 7 of 10 to 16, 2 of 17 and of 18, none of 19. */
static uint64_t clusters_at_once(uint64_t blocks_per_sm, uint64_t size)
{
	static const uint8_t h200[] = {18, 18, 16, 16, 16, 16, 16, 8, 2, 2, 2, 2};
	uint64_t sms = sg_the_model()->sms, n = 0;
	if (sms != 132)
		return sms * blocks_per_sm / size; /* any are neighbours */
	for (size_t i = 0; i < REIN_ARRAY_LEN(h200); i++)
		n += h200[i] * blocks_per_sm / size;
	return n;
}

/* How many blocks of `config` fit on an SM, and make a cluster. */
static CUresult cluster_room(CUfunction func, const CUlaunchConfig *config, const int *out,
                             CUfunction *f, uint64_t *blocks_per_sm, uint64_t *size)
{
	uint32_t cluster[3] = {0}, grid[3];
	CUresult r = function_check(func, f);
	if (r != CUDA_SUCCESS)
		return r;
	if (!config || !out || (config->numAttrs && !config->attrs))
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < config->numAttrs; i++)
		if (config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
			cluster[0] = config->attrs[i].value.clusterDim.x;
			cluster[1] = config->attrs[i].value.clusterDim.y;
			cluster[2] = config->attrs[i].value.clusterDim.z;
		}
	const uint32_t *c = cluster[0] ? cluster : (*f)->info->cluster;
	for (int i = 0; i < 3; i++)
		grid[i] = c[i]; /* only the cluster is asked about */
	r = sg_cluster_check(*f, cluster, grid);
	uint64_t threads = (uint64_t)config->blockDimX * config->blockDimY * config->blockDimZ;
	if (!threads || threads > 1024)
		return CUDA_ERROR_INVALID_VALUE;
	*size = c[0] ? (uint64_t)c[0] * c[1] * c[2] : 1;
	*blocks_per_sm = sg_blocks_per_sm(*f, (unsigned)threads, config->sharedMemBytes);
	return r;
}

CUresult cuOccupancyMaxPotentialClusterSize(int *clusterSize, CUfunction func,
                                            const CUlaunchConfig *config)
{
	CUfunction f;
	uint64_t per_sm, size;
	CUresult r = cluster_room(func, config, clusterSize, &f, &per_sm, &size);
	if (r != CUDA_SUCCESS)
		return r;
	uint64_t room = sg_the_model()->sms * per_sm;
	*clusterSize = (int)(room < largest_cluster(f) ? room : largest_cluster(f));
	return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxActiveClusters(int *numClusters, CUfunction func,
                                      const CUlaunchConfig *config)
{
	CUfunction f;
	uint64_t per_sm = 0, size = 0;
	CUresult r = cluster_room(func, config, numClusters, &f, &per_sm, &size);
	/* cuBLAS asks for ever larger ones, and driver 580 answers how many there is room for */
	if (r == CUDA_ERROR_INVALID_CLUSTER_SIZE && size > LARGEST_CLUSTER &&
	    rein_load_relaxed(&f->big_clusters))
		r = CUDA_SUCCESS;
	if (r == CUDA_SUCCESS)
		*numClusters = (int)clusters_at_once(per_sm, size);
	return r;
}
