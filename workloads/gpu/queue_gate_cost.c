// SPDX-License-Identifier: Apache-2.0
/*
 * queue_gate_cost.c: what does a preemption point [write progress; wait gate] cost while the gate
 * is open?
 *
 * Asks: how long the calls take on the host (one batch; two calls; wait or write alone; on a
 * stream of high priority and on the NULL stream); how long a row of points takes on the GPU; how
 * much a point adds between kernels of 5, 20 and 100 us, and to the gap between two kernels by
 * their own stamps, also with programmatic dependent launch; whether points work as graph nodes,
 * by cuGraphAddBatchMemOpNode and by capture, and what they cost there.
 * Read: host times are medians over calls with room in the queue. GPU times are differences of
 * events around work that was queued behind a long kernel, so that the host's pace does not count;
 * where the host was too slow for that the note says so.
 */
#include <stdio.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/gate.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define LIMIT_S 25
#define CALLS 2000
#define BETWEEN_SYNCS 50 /* far less than any queue holds */
#define POINTS 300
#define KERNELS 150
#define REPEATS 5
#define GRAPH_KERNELS 50

static struct wl_gate gate;

/* ---- the host's side */

static void host_cost(const char *id, CUstream s, enum wl_gate_point kind)
{
	struct wl_samples t = {0};
	CUresult r = CUDA_SUCCESS;
	for (int i = 0; i < CALLS && r == CUDA_SUCCESS; i++) {
		uint64_t start = wl_now_ns();
		if (kind == WL_POINT_NONE)
			r = wl_gate_spin(&gate, s, 1, WL_GATE_NO_STAMP);
		else
			r = wl_gate_point(&gate, s, kind, (uint32_t)i);
		wl_samples_add(&t, wl_now_ns() - start);
		if (r == CUDA_SUCCESS && i % BETWEEN_SYNCS == BETWEEN_SYNCS - 1)
			r = cuStreamSynchronize(s);
	}
	if (r == CUDA_SUCCESS)
		wl_fact_samples(id, "ns", &t, 1, NULL);
	else
		wl_fact_skip(id, "%s", wl_gate_error(r));
	wl_samples_fini(&t);
}

/* ---- the GPU's side */

struct row {
	unsigned n;
	double kernel_ns; /* 0: points only */
	enum wl_gate_point point;
	bool stamps, pdl;
};

static CUresult put_kernel(CUstream s, const struct row *w, unsigned rounds, unsigned slot)
{
	if (!w->stamps)
		slot = WL_GATE_NO_STAMP;
	if (!w->pdl)
		return wl_gate_spin(&gate, s, rounds, slot);
	CUdeviceptr stamps = gate.stamps_at;
	void *params[] = {&rounds, &stamps, &slot, &gate.count_at};
	CUlaunchAttribute overlap = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION};
	overlap.value.programmaticStreamSerializationAllowed = 1;
	CUlaunchConfig config = {.gridDimX = 1,
	                         .gridDimY = 1,
	                         .gridDimZ = 1,
	                         .blockDimX = 32,
	                         .blockDimY = 1,
	                         .blockDimZ = 1,
	                         .hStream = s,
	                         .attrs = &overlap,
	                         .numAttrs = 1};
	return cuLaunchKernelEx(&config, gate.spin, params, NULL);
}

static CUresult put_row(CUstream s, const struct row *w)
{
	unsigned rounds = w->kernel_ns > 0 ? wl_gate_rounds(&gate, w->kernel_ns) : 0;
	CUresult r = CUDA_SUCCESS;
	for (unsigned i = 0; i < w->n && r == CUDA_SUCCESS; i++) {
		if (rounds)
			r = put_kernel(s, w, rounds, i);
		if (r == CUDA_SUCCESS)
			r = wl_gate_point(&gate, s, w->point, i);
	}
	return r;
}

/* Time of a row by events, in ns; *late: the GPU had to wait for the host. */
static CUresult row_ns(CUstream s, const struct row *w, double *ns, bool *late)
{
	CUevent a, b;
	float ms = 0;
	WL_CU(cuEventCreate, &a, CU_EVENT_DEFAULT);
	WL_CU(cuEventCreate, &b, CU_EVENT_DEFAULT);
	/* a head start for the host: 8 us a command */
	WL_CU(wl_gate_spin, &gate, s, wl_gate_rounds(&gate, 1e6 + w->n * 2 * 8e3),
	      WL_GATE_NO_STAMP);
	WL_CU(cuEventRecord, a, s);
	CUresult r = put_row(s, w);
	*late = cuEventQuery(a) == CUDA_SUCCESS;
	WL_CU(cuEventRecord, b, s);
	WL_CU(cuStreamSynchronize, s);
	WL_CU(cuEventElapsedTime, &ms, a, b);
	*ns = (double)ms * 1e6;
	WL_CU(cuEventDestroy, a);
	WL_CU(cuEventDestroy, b);
	return r;
}

static void points_alone(const char *id, CUstream s, enum wl_gate_point kind)
{
	struct row w = {.n = POINTS, .point = kind};
	struct wl_samples t = {0};
	bool late = false, any = false;
	CUresult r = CUDA_SUCCESS;
	double ns;
	for (int i = 0; i < REPEATS && r == CUDA_SUCCESS; i++) {
		r = row_ns(s, &w, &ns, &late);
		wl_samples_add(&t, (uint64_t)(ns / POINTS));
		any |= late;
	}
	if (r == CUDA_SUCCESS)
		wl_fact_samples(id, "ns", &t, 1, "a point in a row of %d%s", POINTS,
		                any ? "; the host was too slow: an upper bound" : "");
	else
		wl_fact_skip(id, "%s", wl_gate_error(r));
	wl_samples_fini(&t);
}

/* What a point adds to each kernel: rows with and without, in turn. */
static void added(const char *id, CUstream s, double kernel_ns, enum wl_gate_point kind)
{
	struct row plain = {.n = KERNELS, .kernel_ns = kernel_ns}, with = plain;
	double without_ns[REPEATS] = {0}, with_ns[REPEATS] = {0}, delta[REPEATS];
	bool late = false, any = false;
	CUresult r = CUDA_SUCCESS;
	with.point = kind;
	for (int i = 0; i < REPEATS && r == CUDA_SUCCESS; i++) {
		r = row_ns(s, &plain, &without_ns[i], &late);
		any |= late;
		if (r == CUDA_SUCCESS)
			r = row_ns(s, &with, &with_ns[i], &late);
		any |= late;
		delta[i] = (with_ns[i] - without_ns[i]) / KERNELS;
	}
	if (r != CUDA_SUCCESS) {
		wl_fact_skip(id, "%s", wl_gate_error(r));
		return;
	}
	struct wl_spread d = wl_spread(delta, REPEATS), p = wl_spread(without_ns, REPEATS);
	wl_fact(id, d.median, "ns",
	        "added to each of %d kernels that take %.2f us without; quartiles %.0f and %.0f%s",
	        KERNELS, p.median / KERNELS / 1e3, d.q1, d.q3,
	        any ? "; the host was too slow: not reliable" : "");
}

/* From the end of a kernel to the begin of the next, by their stamps. */
static void gaps(const char *id, CUstream s, enum wl_gate_point kind, bool pdl)
{
	struct row w = {.n = KERNELS, .kernel_ns = 20e3, .point = kind, .stamps = true, .pdl = pdl};
	double ns, gap[KERNELS];
	bool late;
	CUresult r = row_ns(s, &w, &ns, &late);
	if (r != CUDA_SUCCESS) {
		wl_fact_skip(id, "%s", wl_gate_error(r));
		return;
	}
	double sum = 0; /* the mean is right even if the GPU's clock counts by microseconds */
	for (unsigned i = 1; i < KERNELS; i++) {
		gap[i - 1] = (double)(int64_t)(gate.stamps[2 * i] - gate.stamps[2 * i - 1]);
		sum += gap[i - 1];
	}
	struct wl_spread g = wl_spread(gap, KERNELS - 1);
	wl_fact(id, g.median, "ns",
	        "end of a 20 us kernel to begin of the next; quartiles %.0f and %.0f, mean %.0f%s",
	        g.q1, g.q3, sum / (KERNELS - 1),
	        late ? "; the host was too slow: not reliable" : "");
}

/* ---- graphs */

static CUresult add_kernel(CUgraph graph, CUgraphNode *last, unsigned rounds)
{
	CUdeviceptr none = 0;
	unsigned slot = 0;
	void *params[] = {&rounds, &none, &slot, &gate.count_at};
	CUDA_KERNEL_NODE_PARAMS k = {.func = gate.spin,
	                             .gridDimX = 1,
	                             .gridDimY = 1,
	                             .gridDimZ = 1,
	                             .blockDimX = 32,
	                             .blockDimY = 1,
	                             .blockDimZ = 1,
	                             .kernelParams = params};
	CUgraphNode after = *last;
	return cuGraphAddKernelNode(last, graph, after ? &after : NULL, after ? 1 : 0, &k);
}

static CUresult add_point(CUgraph graph, CUgraphNode *last)
{
	CUstreamBatchMemOpParams op[2];
	CUDA_BATCH_MEM_OP_NODE_PARAMS m = {.ctx = gate.gpu.context, .count = 2, .paramArray = op};
	CUgraphNode after = *last;
	wl_gate_params(&gate, op, 1);
	return cuGraphAddBatchMemOpNode(last, graph, &after, 1, &m);
}

/* A launch of a chain of kernels, each followed by a point or not; median of several. */
static CUresult graph_ns(CUstream s, bool points, double *ns)
{
	CUgraph graph;
	CUgraphExec exec = NULL;
	CUgraphNode last = NULL;
	CUevent a, b;
	double t[REPEATS];
	unsigned rounds = wl_gate_rounds(&gate, 20e3);
	WL_CU(cuEventCreate, &a, CU_EVENT_DEFAULT);
	WL_CU(cuEventCreate, &b, CU_EVENT_DEFAULT);
	CUresult r = cuGraphCreate(&graph, 0);
	if (r != CUDA_SUCCESS)
		return r;
	for (int i = 0; i < GRAPH_KERNELS && r == CUDA_SUCCESS; i++) {
		r = add_kernel(graph, &last, rounds);
		if (r == CUDA_SUCCESS && points)
			r = add_point(graph, &last);
	}
	if (r == CUDA_SUCCESS)
		r = cuGraphInstantiate(&exec, graph, 0);
	for (int i = -1; i < REPEATS && r == CUDA_SUCCESS; i++) { /* -1: the first one uploads */
		float ms = 0;
		WL_CU(wl_gate_spin, &gate, s, wl_gate_rounds(&gate, 1e6), WL_GATE_NO_STAMP);
		WL_CU(cuEventRecord, a, s);
		r = cuGraphLaunch(exec, s);
		WL_CU(cuEventRecord, b, s);
		WL_CU(cuStreamSynchronize, s);
		WL_CU(cuEventElapsedTime, &ms, a, b);
		if (i >= 0)
			t[i] = (double)ms * 1e6;
	}
	if (r == CUDA_SUCCESS)
		*ns = wl_spread(t, REPEATS).median;
	if (exec)
		cuGraphExecDestroy(exec);
	cuGraphDestroy(graph);
	cuEventDestroy(a);
	cuEventDestroy(b);
	return r;
}

static void graph_nodes(CUstream s)
{
	double plain = 0, with = 0;
	CUresult r = graph_ns(s, false, &plain);
	if (r == CUDA_SUCCESS)
		r = graph_ns(s, true, &with);
	wl_fact_flag("queue-gate.graph_node_works", r == CUDA_SUCCESS,
	             "cuGraphAddBatchMemOpNode between kernel nodes: %s", wl_gate_error(r));
	if (r == CUDA_SUCCESS)
		wl_fact("queue-gate.graph_node_added_ns", (with - plain) / GRAPH_KERNELS, "ns",
		        "a batch node after each of %d kernels of %.2f us", GRAPH_KERNELS,
		        plain / GRAPH_KERNELS / 1e3);
	else
		wl_fact_skip("queue-gate.graph_node_added_ns", "%s", wl_gate_error(r));
}

/* How many nodes of that type a capture of kernel, batch, kernel has; -1: the capture failed. */
static int captured_nodes(CUgraph graph)
{
	CUgraphNode nodes[8];
	CUgraphNodeType type;
	size_t n = 8;
	int found = 0;
	if (cuGraphGetNodes(graph, nodes, &n) != CUDA_SUCCESS)
		return -1;
	for (size_t i = 0; i < n && i < 8; i++)
		if (cuGraphNodeGetType(nodes[i], &type) == CUDA_SUCCESS)
			found += type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP;
	return found;
}

static void capture(CUstream s)
{
	CUgraph graph = NULL;
	CUgraphExec exec = NULL;
	CUresult r = cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
	if (r == CUDA_SUCCESS)
		r = wl_gate_spin(&gate, s, 1, WL_GATE_NO_STAMP);
	CUresult point = r == CUDA_SUCCESS ? wl_gate_point(&gate, s, WL_POINT_BATCH, 1) : r;
	if (point == CUDA_SUCCESS)
		point = wl_gate_spin(&gate, s, 1, WL_GATE_NO_STAMP);
	CUresult end = cuStreamEndCapture(s, &graph);
	int nodes = end == CUDA_SUCCESS && graph ? captured_nodes(graph) : -1;
	CUresult run = end;
	if (nodes >= 0)
		run = cuGraphInstantiate(&exec, graph, 0);
	if (run == CUDA_SUCCESS)
		run = cuGraphLaunch(exec, s);
	if (run == CUDA_SUCCESS)
		run = cuStreamSynchronize(s);
	wl_fact_flag("queue-gate.capture_becomes_node",
	             nodes == 1 && point == CUDA_SUCCESS && run == CUDA_SUCCESS,
	             "call while capturing: %s; end of capture: %s; batch nodes: %d; launch: %s",
	             wl_gate_error(point), wl_gate_error(end), nodes, wl_gate_error(run));
	if (exec)
		cuGraphExecDestroy(exec);
	if (graph)
		cuGraphDestroy(graph);
}

int main(void)
{
	int least = 0, greatest = 0;
	CUstream high;
	wl_fact_bound(LIMIT_S);
	if (!wl_gate_init(&gate, gpu_kernels)) {
		wl_fact_skip("queue-gate.point_host_ns", "no stream memory operations here");
		return WL_EXIT_SKIPPED;
	}
	CUstream s = wl_gate_stream();
	wl_fact("queue-gate.round_ns", gate.round_ns, "ns", "a round of the probes' kernel");
	host_cost("queue-gate.launch_host_ns", s, WL_POINT_NONE);
	host_cost("queue-gate.point_host_ns", s, WL_POINT_BATCH);
	host_cost("queue-gate.point_two_calls_host_ns", s, WL_POINT_SEPARATE);
	host_cost("queue-gate.wait_host_ns", s, WL_POINT_WAIT);
	host_cost("queue-gate.write_host_ns", s, WL_POINT_WRITE);
	host_cost("queue-gate.point_null_stream_host_ns", NULL, WL_POINT_BATCH);
	WL_CU(cuCtxGetStreamPriorityRange, &least, &greatest);
	WL_CU(cuStreamCreateWithPriority, &high, CU_STREAM_NON_BLOCKING, greatest);
	host_cost("queue-gate.point_high_priority_host_ns", high, WL_POINT_BATCH);

	points_alone("queue-gate.point_gpu_ns", s, WL_POINT_BATCH);
	points_alone("queue-gate.point_two_calls_gpu_ns", s, WL_POINT_SEPARATE);
	points_alone("queue-gate.wait_gpu_ns", s, WL_POINT_WAIT);
	points_alone("queue-gate.write_gpu_ns", s, WL_POINT_WRITE);

	added("queue-gate.added_5us_ns", s, 5e3, WL_POINT_BATCH);
	added("queue-gate.added_20us_ns", s, 20e3, WL_POINT_BATCH);
	added("queue-gate.added_100us_ns", s, 100e3, WL_POINT_BATCH);
	added("queue-gate.added_two_calls_20us_ns", s, 20e3, WL_POINT_SEPARATE);
	added("queue-gate.added_wait_20us_ns", s, 20e3, WL_POINT_WAIT);
	added("queue-gate.added_high_priority_20us_ns", high, 20e3, WL_POINT_BATCH);
	added("queue-gate.added_null_stream_20us_ns", NULL, 20e3, WL_POINT_BATCH);

	gaps("queue-gate.gap_plain_ns", s, WL_POINT_NONE, false);
	gaps("queue-gate.gap_point_ns", s, WL_POINT_BATCH, false);
	gaps("queue-gate.gap_wait_ns", s, WL_POINT_WAIT, false);
	gaps("queue-gate.gap_pdl_ns", s, WL_POINT_NONE, true);
	gaps("queue-gate.gap_pdl_point_ns", s, WL_POINT_BATCH, true);
	graph_nodes(s);
	capture(s);
	return 0;
}
