// SPDX-License-Identifier: Apache-2.0
// NVCC: -arch=sm_90
/*
 * cluster.cu: clusters of blocks with cooperative groups: a sum over a cluster through the shared
 * memory of its first block, a histogram whose bins are spread over the blocks of a cluster, and
 * what the runtime says of clusters. Against the CPU.
 */
#include <cooperative_groups.h>

#include "t.h"

namespace cg = cooperative_groups;

enum { N = 1 << 14, THREADS = 128, BINS = 256 };

/* A cluster size of its own. */
__global__ void __cluster_dims__(4, 1, 1) cluster_sums(const int *in, int *out, int *odd)
{
	__shared__ int sum;
	cg::cluster_group cluster = cg::this_cluster();
	if (!threadIdx.x)
		sum = 0;
	cluster.sync();
	int *first = cluster.map_shared_rank(&sum, 0);
	atomicAdd(first, in[blockIdx.x * THREADS + threadIdx.x]);
	if (cluster.query_shared_rank(first) != 0 || cluster.num_blocks() != 4 ||
	    cluster.block_rank() != blockIdx.x % 4 || cluster.dim_blocks().x != 4)
		atomicAdd(odd, 1);
	cluster.sync();
	if (!cluster.thread_rank())
		out[blockIdx.x / 4] = sum;
}

/* Each block of the cluster has a part of the bins; its size is given at the launch. */
__global__ void histogram(const int *in, int *bins)
{
	extern __shared__ int mine[];
	cg::cluster_group cluster = cg::this_cluster();
	int size = (int)cluster.num_blocks(), part = BINS / size;
	for (int i = threadIdx.x; i < part; i += THREADS)
		mine[i] = 0;
	cluster.sync();
	for (int i = cg::this_grid().thread_rank(); i < N; i += cg::this_grid().num_threads()) {
		int bin = in[i] & (BINS - 1);
		atomicAdd(cluster.map_shared_rank(mine, bin / part) + bin % part, 1);
	}
	cluster.sync();
	for (int i = threadIdx.x; i < part; i += THREADS)
		atomicAdd(&bins[cluster.block_rank() * part + i], mine[i]);
}

static void sums(const int *in, const int *host)
{
	int *out, *odd;
	OK(cudaMallocManaged(&out, sizeof(int) * N / THREADS / 4));
	OK(cudaMallocManaged(&odd, sizeof(int)));
	*odd = 0;
	cluster_sums<<<N / THREADS, THREADS>>>(in, out, odd);
	OK(cudaGetLastError());
	OK(cudaDeviceSynchronize());
	TRUE(*odd == 0);
	for (int c = 0; c < N / THREADS / 4; c++) {
		int want = 0;
		for (int i = 0; i < THREADS * 4; i++)
			want += host[c * THREADS * 4 + i];
		TRUE(out[c] == want);
	}
	OK(cudaFree(out));
	OK(cudaFree(odd));
}

static void bins(const int *in, const int *host, int size)
{
	int *out, fit = 0, want[BINS] = {};
	cudaLaunchAttribute a = {};
	cudaLaunchConfig_t config = {};
	OK(cudaMallocManaged(&out, sizeof(int) * BINS));
	memset(out, 0, sizeof(int) * BINS);
	a.id = cudaLaunchAttributeClusterDimension;
	a.val.clusterDim.x = size;
	a.val.clusterDim.y = a.val.clusterDim.z = 1;
	config.gridDim = 16;
	config.blockDim = THREADS;
	config.dynamicSmemBytes = BINS / size * sizeof(int);
	config.attrs = &a;
	config.numAttrs = 1;
	OK(cudaOccupancyMaxActiveClusters(&fit, histogram, &config));
	TRUE(fit >= 1);
	OK(cudaLaunchKernelEx(&config, histogram, in, out));
	OK(cudaDeviceSynchronize());
	for (int i = 0; i < N; i++)
		want[host[i] & (BINS - 1)]++;
	TRUE(!memcmp(out, want, sizeof(want)));
	a.val.clusterDim.x = 3; /* of a grid of 16 */
	IS(cudaLaunchKernelEx(&config, histogram, in, out), cudaErrorInvalidClusterSize);
	IS(cudaGetLastError(), cudaErrorInvalidClusterSize);
	OK(cudaFree(out));
}

int main()
{
	static int host[N];
	int *in, has = 0;
	cudaFuncAttributes attributes;
	OK(cudaDeviceGetAttribute(&has, cudaDevAttrClusterLaunch, 0));
	TRUE(has == 1);
	OK(cudaFuncGetAttributes(&attributes, cluster_sums));
	TRUE(attributes.requiredClusterWidth == 4);
	for (int i = 0; i < N; i++)
		host[i] = (int)((unsigned)i * 2654435761u >> 18);
	OK(cudaMalloc(&in, sizeof(host)));
	OK(cudaMemcpy(in, host, sizeof(host), cudaMemcpyHostToDevice));
	sums(in, host);
	for (int size = 1; size <= 8; size *= 2)
		bins(in, host, size);
	IS(cudaFuncSetAttribute(histogram, cudaFuncAttributeNonPortableClusterSizeAllowed, 1),
	   cudaSuccess);
	bins(in, host, 16);
	OK(cudaFree(in));
	printf("ok\n");
	return 0;
}
