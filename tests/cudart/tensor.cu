// SPDX-License-Identifier: Apache-2.0
// NVCC: -arch=sm_90
/*
 * tensor.cu: boxes of tensors copied by tensor maps, as libraries feed their matrix products:
 * loaded with a barrier that counts the bytes, beyond the edges too, with a swizzle; stored and
 * added to global memory; of one, two and three dimensions.
 */
#include <cuda.h>
#include <cuda/barrier>

#include "t.h"

using barrier = cuda::barrier<cuda::thread_scope_block>;

enum { W = 80, H = 24, D = 5, BW = 32, BH = 8 };

static CUresult (*encode)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *,
                          const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
                          const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                          CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

static CUtensorMap map_of(int *p, unsigned rank, CUtensorMapSwizzle swizzle)
{
	alignas(64) CUtensorMap m;
	const cuuint64_t dims[] = {W, H, D}, strides[] = {W * 4, W * H * 4};
	const cuuint32_t box[] = {BW, BH, 2}, steps[] = {1, 1, 1};
	TRUE(!encode(&m, CU_TENSOR_MAP_DATA_TYPE_INT32, rank, p, dims, strides, box, steps,
	             CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE,
	             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
	return m;
}

__device__ static unsigned shared_address(const void *p)
{
	return (unsigned)__cvta_generic_to_shared(p);
}

__device__ static void wait_for(barrier *b, unsigned bytes)
{
	barrier::arrival_token t;
	if (threadIdx.x == 0)
		t = cuda::device::barrier_arrive_tx(*b, 1, bytes);
	else
		t = b->arrive();
	b->wait(std::move(t));
}

/* A box from (x, y) on: as it lies in shared memory, and added back. */
__global__ void two(const __grid_constant__ CUtensorMap in, const __grid_constant__ CUtensorMap out,
                    int x, int y, int *seen)
{
	__shared__ alignas(1024) int s[BH * BW];
#pragma nv_diag_suppress static_var_with_dynamic_init
	__shared__ barrier b;
	if (threadIdx.x == 0) {
		init(&b, blockDim.x);
		asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
	}
	__syncthreads();
	if (threadIdx.x == 0)
		asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::"
		             "complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
				 shared_address(s)),
		             "l"(&in), "r"(x), "r"(y),
		             "r"(shared_address(cuda::device::barrier_native_handle(b)))
		             : "memory");
	wait_for(&b, sizeof(s));
	for (int i = threadIdx.x; i < BW * BH; i += blockDim.x)
		seen[i] = s[i];
	asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
	__syncthreads();
	if (threadIdx.x == 0) {
		asm volatile("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group "
		             "[%0, {%1, %2}], [%3];" ::"l"(&out),
		             "r"(x), "r"(y), "r"(shared_address(s))
		             : "memory");
		asm volatile("cp.async.bulk.commit_group;");
		asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
	}
}

__global__ void three(const __grid_constant__ CUtensorMap in, const __grid_constant__ CUtensorMap out)
{
	__shared__ alignas(128) int s[2 * BH * BW];
	__shared__ barrier b;
	if (threadIdx.x == 0)
		init(&b, blockDim.x);
	__syncthreads();
	if (threadIdx.x == 0)
		asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::"
		             "bytes [%0], [%1, {%2, %3, %4}], [%5];" ::"r"(shared_address(s)),
		             "l"(&in), "r"(8), "r"(4), "r"(1),
		             "r"(shared_address(cuda::device::barrier_native_handle(b)))
		             : "memory");
	wait_for(&b, sizeof(s));
	if (threadIdx.x == 0)
		asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group "
		             "[%0, {%1, %2, %3}], [%4];" ::"l"(&out),
		             "r"(40), "r"(20), "r"(4), "r"(shared_address(s))
		             : "memory");
}

static int *image, *target, *seen;

static int pixel(int x, int y)
{
	return x < 0 || x >= W || y < 0 || y >= H ? 0 : y * W + x + 1;
}

static void box(int x, int y, CUtensorMapSwizzle swizzle, int bits)
{
	memset(target, 0, W * H * D * 4);
	two<<<1, 64>>>(map_of(image, 2, swizzle), map_of(target, 2, swizzle), x, y, seen);
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < BW * BH; i++) {
		int at = i * 4 ^ ((i * 4 >> 7 & ((1 << bits) - 1)) << 4);
		TRUE(seen[at / 4] == pixel(x + i % BW, y + i / BW));
	}
	for (int v = 0; v < H; v++)
		for (int u = 0; u < W; u++) {
			bool inside = u >= x && u < x + BW && v >= y && v < y + BH;
			TRUE(target[v * W + u] == (inside ? pixel(u, v) : 0));
		}
}

int main()
{
	cudaDriverEntryPointQueryResult found;
	OK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", (void **)&encode, 12000,
	                                    cudaEnableDefault, &found));
	OK(cudaMallocManaged(&image, W * H * D * 4));
	OK(cudaMallocManaged(&target, W * H * D * 4));
	OK(cudaMallocManaged(&seen, BW * BH * 4));
	for (int i = 0; i < W * H * D; i++)
		image[i] = i + 1;
	box(0, 0, CU_TENSOR_MAP_SWIZZLE_NONE, 0);
	box(17, 3, CU_TENSOR_MAP_SWIZZLE_128B, 3);
	box(-5, 20, CU_TENSOR_MAP_SWIZZLE_NONE, 0);
	box(70, -3, CU_TENSOR_MAP_SWIZZLE_128B, 3);
	three<<<1, 32>>>(map_of(image, 3, CU_TENSOR_MAP_SWIZZLE_NONE),
	                 map_of(target, 3, CU_TENSOR_MAP_SWIZZLE_NONE));
	OK(cudaDeviceSynchronize());
	for (int v = 20; v < H; v++) /* the rest of the box is outside */
		for (int u = 40; u < 40 + BW; u++)
			TRUE(target[(4 * H + v) * W + u] == image[(1 * H + v - 16) * W + u - 32]);
	TRUE(target[(3 * H + 21) * W + 41] == 0);
	/* not a map */
	CUtensorMap none = {};
	two<<<1, 32>>>(none, none, 0, 0, seen);
	IS(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
	printf("ok\n");
	return 0;
}
