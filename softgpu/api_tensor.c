// SPDX-License-Identifier: Apache-2.0
/*
 * api_tensor.c: tensor maps in tile mode, for cp.async.bulk.tensor. No handles: a map is 128 bytes
 * of the application's own (ptx_tensor.h).
 */
#include "api.h"
#include "ptx_tensor.h"

#include <string.h>

static const struct {
	uint8_t bytes;
	enum ptx_scalar scalar;
} types[] = {
    [CU_TENSOR_MAP_DATA_TYPE_UINT8] = {1, PTX_T_U},
    [CU_TENSOR_MAP_DATA_TYPE_UINT16] = {2, PTX_T_U},
    [CU_TENSOR_MAP_DATA_TYPE_UINT32] = {4, PTX_T_U},
    [CU_TENSOR_MAP_DATA_TYPE_INT32] = {4, PTX_T_S},
    [CU_TENSOR_MAP_DATA_TYPE_UINT64] = {8, PTX_T_U},
    [CU_TENSOR_MAP_DATA_TYPE_INT64] = {8, PTX_T_S},
    [CU_TENSOR_MAP_DATA_TYPE_FLOAT16] = {2, PTX_T_F16},
    [CU_TENSOR_MAP_DATA_TYPE_FLOAT32] = {4, PTX_T_F},
    [CU_TENSOR_MAP_DATA_TYPE_FLOAT64] = {8, PTX_T_F},
    [CU_TENSOR_MAP_DATA_TYPE_BFLOAT16] = {2, PTX_T_BF16},
};

static CUresult check_sizes(const struct ptx_tensor_map *m, const cuuint64_t *dims,
                            const cuuint64_t *strides, const cuuint32_t *box,
                            const cuuint32_t *steps, unsigned swizzle)
{
	for (unsigned i = 0; i < m->rank; i++) {
		if (!dims[i] || dims[i] > UINT32_MAX || !box[i] || box[i] > 256 || !steps[i] ||
		    steps[i] > 8)
			return CUDA_ERROR_INVALID_VALUE;
		if (i && (strides[i - 1] % 16 || strides[i - 1] >= 1ull << 40))
			return CUDA_ERROR_INVALID_VALUE;
		if (steps[i] != 1)
			return sg_missing("a tensor map with element strides other than 1");
	}
	unsigned row = box[0] * m->bytes;
	return row % 16 || (swizzle && row > 16u << swizzle) ? CUDA_ERROR_INVALID_VALUE
	                                                     : CUDA_SUCCESS;
}

CUresult cuTensorMapEncodeTiled(CUtensorMap *tensorMap, CUtensorMapDataType tensorDataType,
                                cuuint32_t tensorRank, void *globalAddress,
                                const cuuint64_t *globalDim, const cuuint64_t *globalStrides,
                                const cuuint32_t *boxDim, const cuuint32_t *elementStrides,
                                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion l2Promotion, CUtensorMapFloatOOBfill oobFill)
{
	struct ptx_tensor_map m = {.magic = PTX_TENSOR_MAGIC};
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!tensorMap || (uintptr_t)tensorMap % 64 || !tensorRank ||
	    tensorRank > PTX_TENSOR_RANK || !globalAddress || (uintptr_t)globalAddress % 16 ||
	    !globalDim || !boxDim || !elementStrides || (tensorRank > 1 && !globalStrides) ||
	    (unsigned)l2Promotion > CU_TENSOR_MAP_L2_PROMOTION_L2_256B ||
	    (unsigned)oobFill > CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA)
		return CUDA_ERROR_INVALID_VALUE;
	if ((unsigned)tensorDataType >= REIN_ARRAY_LEN(types))
		return sg_missing("a tensor map of TF32, flushed or packed elements");
	if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE ||
	    (unsigned)swizzle > CU_TENSOR_MAP_SWIZZLE_128B)
		return sg_missing("a tensor map that interleaves, or swizzles in larger units");
	m.rank = (uint8_t)tensorRank;
	m.bytes = types[tensorDataType].bytes;
	m.scalar = (uint8_t)types[tensorDataType].scalar;
	m.swizzle = (uint8_t)swizzle; /* 32, 64, 128 bytes: 1, 2, 3 bits */
	m.nans = oobFill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA;
	r = check_sizes(&m, globalDim, globalStrides, boxDim, elementStrides, swizzle);
	if (r != CUDA_SUCCESS)
		return r;
	m.address = (uintptr_t)globalAddress;
	for (unsigned i = 0; i < PTX_TENSOR_RANK; i++) {
		m.dim[i] = i < tensorRank ? (uint32_t)globalDim[i] : 1;
		m.box[i] = i < tensorRank ? (uint16_t)boxDim[i] : 1;
		if (i && i < tensorRank)
			m.stride[i - 1] = globalStrides[i - 1];
	}
	memset(tensorMap, 0, sizeof(*tensorMap));
	memcpy(tensorMap, &m, sizeof(m));
	return CUDA_SUCCESS;
}

CUresult cuTensorMapReplaceAddress(CUtensorMap *tensorMap, void *globalAddress)
{
	struct ptx_tensor_map m;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!tensorMap || !globalAddress || (uintptr_t)globalAddress % 16)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&m, tensorMap, sizeof(m));
	if (m.magic != PTX_TENSOR_MAGIC)
		return CUDA_ERROR_INVALID_VALUE;
	m.address = (uintptr_t)globalAddress;
	memcpy(tensorMap, &m, sizeof(m));
	return CUDA_SUCCESS;
}
