// SPDX-License-Identifier: Apache-2.0
// NVCC: -arch=sm_80
/*
 * groups.cu: cooperative groups within a block: tiles, labelled and binary partitions, coalesced
 * threads, reductions and scans over them; atomics of the C++ library. Against the CPU.
 */
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cuda/atomic>

#include "t.h"

namespace cg = cooperative_groups;

enum { N = 4096, THREADS = 256 };
struct result {
	int tile_sum, tile_max, scan, before, labelled, odd_first, filtered;
};

__global__ void groups(const int *in, result *out, int *kept, int *n_kept)
{
	cg::thread_block block = cg::this_thread_block();
	auto warp = cg::tiled_partition<32>(block);
	auto tile = cg::tiled_partition<8>(warp);
	int i = (int)cg::this_grid().thread_rank(), v = in[i];
	result r;
	r.tile_sum = cg::reduce(tile, v, cg::plus<int>());
	r.tile_max = cg::reduce(warp, v, cg::greater<int>());
	r.scan = cg::inclusive_scan(warp, v, cg::plus<int>());
	r.before = cg::exclusive_scan(tile, v, cg::bit_or<int>());
	auto same = cg::labeled_partition(warp, v & 3);
	r.labelled = cg::reduce(same, v, cg::plus<int>()) * 100 + (int)same.size();
	auto half = cg::binary_partition(tile, v & 1);
	r.odd_first = half.shfl(v, 0);
	r.filtered = -1;
	if (v % 3 == 0) { /* one atomic for all that come together */
		cg::coalesced_group active = cg::coalesced_threads();
		cuda::atomic_ref<int, cuda::thread_scope_device> count(*n_kept);
		int base = 0;
		if (active.thread_rank() == 0)
			base = count.fetch_add((int)active.size(), cuda::memory_order_relaxed);
		r.filtered = active.shfl(base, 0) + (int)active.thread_rank();
		kept[r.filtered] = v;
	}
	out[i] = r;
}

int main()
{
	static int host[N], got[N];
	static result results[N];
	int *in, *kept, *count, n = 0, want = 0;
	long long sum = 0, got_sum = 0;
	result *out;
	for (int i = 0; i < N; i++)
		host[i] = (int)((unsigned)i * 2654435761u >> 22);
	OK(cudaMalloc(&in, sizeof(host)));
	OK(cudaMalloc(&out, sizeof(results)));
	OK(cudaMalloc(&kept, sizeof(got)));
	OK(cudaMalloc(&count, sizeof(int)));
	OK(cudaMemset(count, 0, sizeof(int)));
	OK(cudaMemcpy(in, host, sizeof(host), cudaMemcpyHostToDevice));
	groups<<<N / THREADS, THREADS>>>(in, out, kept, count);
	OK(cudaGetLastError());
	OK(cudaMemcpy(results, out, sizeof(results), cudaMemcpyDeviceToHost));
	OK(cudaMemcpy(got, kept, sizeof(got), cudaMemcpyDeviceToHost));
	OK(cudaMemcpy(&n, count, sizeof(n), cudaMemcpyDeviceToHost));
	for (int i = 0; i < N; i++) {
		const int *warp = host + i / 32 * 32, *tile = host + i / 8 * 8;
		result w = {0, 0, 0, 0, 0, -1, 0};
		for (int k = 0; k < 8; k++) {
			w.tile_sum += tile[k];
			w.before |= k < i % 8 ? tile[k] : 0;
			if (w.odd_first < 0 && (tile[k] & 1) == (host[i] & 1))
				w.odd_first = tile[k];
		}
		for (int k = 0; k < 32; k++) {
			w.tile_max = warp[k] > w.tile_max ? warp[k] : w.tile_max;
			w.scan += k <= i % 32 ? warp[k] : 0;
			w.labelled += (warp[k] & 3) == (host[i] & 3) ? warp[k] * 100 + 1 : 0;
		}
		const result *r = &results[i];
		TRUE(r->tile_sum == w.tile_sum && r->tile_max == w.tile_max && r->scan == w.scan);
		TRUE(r->before == w.before && r->labelled == w.labelled);
		TRUE(r->odd_first == w.odd_first);
		TRUE((r->filtered >= 0) == (host[i] % 3 == 0));
		TRUE(r->filtered < 0 || got[r->filtered] == host[i]);
		want += host[i] % 3 == 0;
		sum += host[i] % 3 == 0 ? host[i] : 0;
	}
	TRUE(n == want);
	for (int i = 0; i < n; i++)
		got_sum += got[i];
	TRUE(got_sum == sum);
	OK(cudaFree(in));
	OK(cudaFree(out));
	OK(cudaFree(kept));
	OK(cudaFree(count));
	printf("ok\n");
	return 0;
}
