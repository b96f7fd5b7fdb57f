// SPDX-License-Identifier: Apache-2.0
/*
 * rt_coop.cu: launches that are more than a grid of independent blocks: cooperative ones that
 * synchronise the whole grid, clusters with distributed shared memory, and programmatic dependent
 * launch, through cudaLaunchCooperativeKernel and cudaLaunchKernelEx.
 *
 * WHAT IT ASKS of the GPU: do they give the same results. HOW THE ANSWER IS READ: exit status 0 and
 * the bytes of --dump; what this GPU lacks is said on stdout.
 */
#include <cooperative_groups.h>

#include "rt.h"

namespace cg = cooperative_groups;

#define N 16384u
#define BLOCK 256u

/* Each step reads the element of another block: wrong unless the whole grid waits in between. */
static __global__ void grid_steps(uint32_t *x, uint32_t *y, unsigned n, unsigned steps)
{
	cg::grid_group grid = cg::this_grid();
	unsigned stride = gridDim.x * blockDim.x;
	for (unsigned s = 0; s < steps; s++) {
		for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride)
			y[i] = 3 * x[(i + n / 2 + 1) % n] + s;
		grid.sync();
		uint32_t *t = x;
		x = y;
		y = t;
	}
}

static void cooperative(void)
{
	std::vector<uint32_t> want = rt_filled(N, 1), next(N), got(N);
	int blocks = 0;
	unsigned n = N, steps = 20;
	uint32_t *x, *y;
	if (!rt_attribute(cudaDevAttrCooperativeLaunch)) {
		printf("no cooperative launch on this device\n");
		return;
	}
	RT(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, grid_steps, BLOCK, 0));
	blocks *= rt_attribute(cudaDevAttrMultiProcessorCount);
	if (blocks > (int)(N / BLOCK))
		blocks = N / BLOCK;
	RT(cudaMalloc(&x, N * 4));
	RT(cudaMalloc(&y, N * 4));
	RT(cudaMemcpy(x, want.data(), N * 4, cudaMemcpyHostToDevice));
	void *args[] = {&x, &y, &n, &steps};
	for (unsigned i = 0; i < 100; i++) /* an even number of steps each: the result is in x */
		RT(cudaLaunchCooperativeKernel((void *)grid_steps, dim3((unsigned)blocks),
		                               dim3(BLOCK), args, 0, 0));
	RT(cudaMemcpy(got.data(), x, N * 4, cudaMemcpyDeviceToHost));
	for (unsigned i = 0; i < 100; i++)
		for (unsigned s = 0; s < steps; s++) {
			for (unsigned k = 0; k < N; k++)
				next[k] = 3 * want[(k + N / 2 + 1) % N] + s;
			want.swap(next);
		}
	rt_same(got.data(), want.data(), N, "cooperative launch");
	RT(cudaFree(x));
	RT(cudaFree(y));
}

/* Each block adds what its neighbour in the cluster has in its shared memory. */
static __global__ void cluster_step(uint32_t *x)
{
#if __CUDA_ARCH__ >= 900
	__shared__ uint32_t mine[BLOCK];
	cg::cluster_group cluster = cg::this_cluster();
	unsigned i = blockIdx.x * BLOCK + threadIdx.x;
	mine[threadIdx.x] = x[i];
	cluster.sync();
	unsigned neighbour = (cluster.block_rank() + 1) % cluster.num_blocks();
	uint32_t v = *cluster.map_shared_rank(&mine[threadIdx.x], neighbour);
	x[i] = 5 * x[i] + v;
	cluster.sync(); /* nobody leaves while his shared memory is read */
#endif
}

static void clusters(unsigned size)
{
	std::vector<uint32_t> want = rt_filled(N, 2), next(N), got(N);
	cudaLaunchConfig_t config = {};
	cudaLaunchAttribute attribute = {};
	uint32_t *x;
	RT(cudaMalloc(&x, N * 4));
	RT(cudaMemcpy(x, want.data(), N * 4, cudaMemcpyHostToDevice));
	attribute.id = cudaLaunchAttributeClusterDimension;
	attribute.val.clusterDim.x = size;
	attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
	config.gridDim = dim3(N / BLOCK);
	config.blockDim = dim3(BLOCK);
	config.attrs = &attribute;
	config.numAttrs = 1;
	for (unsigned i = 0; i < 200; i++)
		RT(cudaLaunchKernelEx(&config, cluster_step, x));
	RT(cudaMemcpy(got.data(), x, N * 4, cudaMemcpyDeviceToHost));
	for (unsigned r = 0; r < 200; r++) {
		for (unsigned k = 0; k < N; k++) {
			unsigned block = k / BLOCK, rank = block % size;
			unsigned neighbour = block - rank + (rank + 1) % size;
			next[k] = 5 * want[k] + want[neighbour * BLOCK + k % BLOCK];
		}
		want.swap(next);
	}
	rt_same(got.data(), want.data(), N, "clusters");
	RT(cudaFree(x));
}

/* May start while its predecessor still runs; waits for it where the result is needed. */
static __global__ void early_starter(uint32_t *x, uint32_t a, uint32_t b)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
#if __CUDA_ARCH__ >= 900
	cudaTriggerProgrammaticLaunchCompletion();
	cudaGridDependencySynchronize();
#endif
	if (i < N)
		x[i] = a * x[i] + b;
}

static void dependent_launch(void)
{
	std::vector<uint32_t> want = rt_filled(N, 3), got(N);
	cudaLaunchConfig_t config = {};
	cudaLaunchAttribute attribute = {};
	cudaStream_t s;
	uint32_t *x;
	RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	RT(cudaMalloc(&x, N * 4));
	RT(cudaMemcpy(x, want.data(), N * 4, cudaMemcpyHostToDevice));
	RT(cudaDeviceSynchronize());
	attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
	attribute.val.programmaticStreamSerializationAllowed = 1;
	config.gridDim = dim3(N / BLOCK);
	config.blockDim = dim3(BLOCK);
	config.stream = s;
	config.attrs = &attribute;
	config.numAttrs = 1;
	for (uint32_t i = 0; i < 500; i++)
		RT(cudaLaunchKernelEx(&config, early_starter, x, 2 * i + 3, i));
	RT(cudaStreamSynchronize(s));
	RT(cudaMemcpy(got.data(), x, N * 4, cudaMemcpyDeviceToHost));
	for (uint32_t &v : want)
		for (uint32_t i = 0; i < 500; i++)
			v = (2 * i + 3) * v + i;
	rt_same(got.data(), want.data(), N, "programmatic dependent launch");
	RT(cudaFree(x));
	RT(cudaStreamDestroy(s));
}

/* Was the code that runs compiled for clusters? A newer GPU runs what was made for older ones. */
static bool has_cluster_code(void)
{
	cudaFuncAttributes a;
	RT(cudaFuncGetAttributes(&a, cluster_step));
	return a.ptxVersion >= 90;
}

int main(int argc, char **argv)
{
	rt_begin("rt_coop", argc, argv);
	rt_device();
	cooperative();
	if (rt_attribute(cudaDevAttrComputeCapabilityMajor) >= 9 &&
	    rt_attribute(cudaDevAttrClusterLaunch) && has_cluster_code()) {
		clusters(2);
		clusters(8);
		dependent_launch();
	} else {
		printf("no clusters and no dependent launch on this device, or no code for it\n");
	}
	return rt_end();
}
