// SPDX-License-Identifier: Apache-2.0
/* ctx_load.c: the load; see ctx.h. */
#include "ctx.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/affine.h"
#include "../../lib/clock.h"
#include "../../lib/options.h"
#include "warm.h"

#define SIDE_PAGE (WL_PAGE_GAPS + 2 * WL_GAPS_MAX) /* the page of the side kernel starts here */
#define PAGE_BYTES ((SIDE_PAGE + WL_PAGE_GAPS) * sizeof(uint64_t))
#define SIDE_THREADS 32
#define CALIBRATE_CHUNKS 50
#define CALIBRATE_CHUNKS_MAX 1600
#define CALIBRATE_MS 0.3f
#define CALIBRATE_CHUNK 500
#define CHUNK_MAX 50000000.0

void wl_shape_options(struct wl_shape *shape, int argc, char **argv)
{
	static const struct option options[] = {
	    {"blocks", required_argument, NULL, 'b'},
	    {"threads", required_argument, NULL, 't'},
	    {"kernel-ms", required_argument, NULL, 'k'},
	    {"quick", no_argument, NULL, 'q'},
	    {0},
	};
	int c;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'b')
			shape->blocks = (uint32_t)wl_option_integer("--blocks", optarg, 1, 65536);
		else if (c == 't')
			shape->threads = (uint32_t)wl_option_integer("--threads", optarg, 1, 1024);
		else if (c == 'k')
			shape->kernel_ms = wl_option_number("--kernel-ms", optarg, 0.1, 2000);
		else if (c == 'q')
			shape->quick = true;
		else
			exit(WL_EXIT_USAGE);
	}
	if (optind < argc) {
		fprintf(stderr, "%s: unknown argument '%s'\n", argv[0], argv[optind]);
		exit(WL_EXIT_USAGE);
	}
}

static CUresult launch(struct wl_load *l, uint32_t chunk, uint32_t chunks)
{
	uint32_t mul = WL_AFFINE_STEP.mul, add = WL_AFFINE_STEP.add;
	CUdeviceptr data = l->data, page = l->page_device;
	uint64_t base = l->base, gap_ns = WL_GAP_NS, room = WL_GAPS_MAX;
	void *params[] = {&data, &mul, &add, &chunk, &chunks, &page, &base, &gap_ns, &room};
	CUresult r = cuLaunchKernel(l->kernel, l->blocks, 1, 1, l->threads, 1, 1, 0, l->stream,
	                            params, NULL);
	if (r == CUDA_SUCCESS) {
		l->iterations += (uint64_t)chunk * chunks;
		l->base += chunks;
	}
	return r;
}

/* One chunk on one small block; its progress is a count of its launches. */
static CUresult launch_side(struct wl_load *l)
{
	uint32_t mul = WL_AFFINE_STEP.mul, add = WL_AFFINE_STEP.add, chunk = 100, chunks = 1;
	CUdeviceptr data = l->side_data, page = l->page_device + SIDE_PAGE * sizeof(uint64_t);
	uint64_t base = l->page[SIDE_PAGE], gap_ns = UINT64_MAX, room = 0;
	void *params[] = {&data, &mul, &add, &chunk, &chunks, &page, &base, &gap_ns, &room};
	return cuLaunchKernel(l->kernel, 1, 1, 1, SIDE_THREADS, 1, 1, 0, l->side_stream, params,
	                      NULL);
}

/* The length of an iteration with the whole load on the GPU decides what a chunk is: the shortest
 * of some kernels of about half a millisecond, less than a time slice, for another process may
 * calibrate at the same time; until the clocks are those of work. */
static void calibrate(struct wl_load *l, const struct wl_shape *shape)
{
	double ns = 0;
	uint32_t chunks = CALIBRATE_CHUNKS;
	uint64_t until = wl_now_ns() + wl_warm_ns(&l->gpu);
	for (int i = 0; i < 2 || wl_now_ns() < until; i++) {
		float ms = 0;
		WL_CU(cuEventRecord, l->done[0], l->stream);
		wl_gpu_check("cuLaunchKernel", launch(l, CALIBRATE_CHUNK, chunks));
		WL_CU(cuEventRecord, l->done[1], l->stream);
		WL_CU(cuStreamSynchronize, l->stream);
		WL_CU(cuEventElapsedTime, &ms, l->done[0], l->done[1]);
		double got = (double)ms * 1e6 / chunks / CALIBRATE_CHUNK;
		if (i > 0 && got > 0 && (ns <= 0 || got < ns)) /* the first one loads the code */
			ns = got;
		if (ms < CALIBRATE_MS && chunks < CALIBRATE_CHUNKS_MAX)
			chunks *= 2;
	}
	double chunk = ns > 0 ? shape->chunk_us * 1e3 / ns : 1000;
	l->chunk = chunk < 1 ? 1 : (uint32_t)(chunk > CHUNK_MAX ? CHUNK_MAX : chunk);
	l->chunk_ns = ns > 0 ? ns * l->chunk : shape->chunk_us * 1e3;
	double whole = shape->kernel_ms * 1e6 / l->chunk_ns;
	l->chunks = whole < 1 ? 1 : (uint32_t)(whole > CHUNK_MAX ? CHUNK_MAX : whole);
}

void wl_load_open(struct wl_load *l, const void *image, const struct wl_shape *shape)
{
	int sms = 1;
	memset(l, 0, sizeof(*l));
	wl_gpu_open(&l->gpu, image);
	l->kernel = wl_gpu_function(&l->gpu, "ctx_work");
	WL_CU(cuDeviceGetAttribute, &sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, l->gpu.device);
	l->blocks = shape->blocks ? shape->blocks : 2 * (uint32_t)sms;
	l->threads = shape->threads;
	size_t bytes = (size_t)l->blocks * l->threads * sizeof(uint32_t);
	void *page = NULL;
	WL_CU(cuStreamCreate, &l->stream, CU_STREAM_NON_BLOCKING);
	WL_CU(cuEventCreate, &l->done[0], CU_EVENT_DEFAULT);
	WL_CU(cuEventCreate, &l->done[1], CU_EVENT_DEFAULT);
	WL_CU(cuMemAlloc, &l->data, bytes);
	WL_CU(cuMemsetD8, l->data, 0, bytes);
	WL_CU(cuMemHostAlloc, &page, PAGE_BYTES,
	      CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE);
	memset(page, 0, PAGE_BYTES);
	l->page = page;
	WL_CU(cuMemHostGetDevicePointer, &l->page_device, page, 0);
	WL_CU(cuStreamCreate, &l->side_stream, CU_STREAM_NON_BLOCKING);
	WL_CU(cuMemAlloc, &l->side_data, SIDE_THREADS * sizeof(uint32_t));
	WL_CU(cuMemsetD8, l->side_data, 0, SIDE_THREADS * sizeof(uint32_t));
	WL_CU(cuCtxSynchronize);
	wl_gpu_check("cuLaunchKernel", launch_side(l)); /* what a stream does at its first use */
	WL_CU(cuCtxSynchronize);
	calibrate(l, shape);
}

/* Two kernels in the queue: the GPU never waits for this thread. */
static void *keep_busy(void *arg)
{
	struct wl_load *l = arg;
	CUresult r = cuCtxSetCurrent(l->gpu.context);
	for (unsigned n = 0; r == CUDA_SUCCESS && !atomic_load(&l->stop); n++) {
		CUevent done = l->done[n % 2];
		if (n >= 2)
			r = cuEventSynchronize(done);
		if (r == CUDA_SUCCESS && !atomic_load(&l->stop))
			r = launch(l, l->chunk, l->chunks);
		if (r == CUDA_SUCCESS)
			r = cuEventRecord(done, l->stream);
	}
	if (r == CUDA_SUCCESS)
		r = cuStreamSynchronize(l->stream);
	if (r != CUDA_SUCCESS)
		atomic_store(&l->failed, (int)r);
	return NULL;
}

void wl_load_start(struct wl_load *l)
{
	atomic_store(&l->stop, false);
	int err = pthread_create(&l->thread, NULL, keep_busy, l);
	if (err) {
		fprintf(stderr, "cannot start a thread: %s\n", strerror(err));
		exit(1);
	}
	l->running = true;
}

void wl_load_stop(struct wl_load *l)
{
	if (!l->running)
		return;
	atomic_store(&l->stop, true);
	pthread_join(l->thread, NULL);
	l->running = false;
}

uint64_t wl_load_once(struct wl_load *l, uint32_t chunks)
{
	uint64_t begin = wl_now_ns();
	CUresult r = launch(l, l->chunk, chunks);
	if (r == CUDA_SUCCESS)
		r = cuStreamSynchronize(l->stream);
	uint64_t ns = wl_now_ns() - begin;
	if (r == CUDA_SUCCESS)
		return ns;
	atomic_store(&l->failed, (int)r);
	return 0;
}

static void *side(void *arg)
{
	struct wl_side *s = arg;
	uint64_t begin = wl_now_ns();
	CUresult r = cuCtxSetCurrent(s->load->gpu.context);
	if (r == CUDA_SUCCESS)
		r = launch_side(s->load);
	if (r == CUDA_SUCCESS)
		atomic_store(&s->ns, wl_now_ns() - begin);
	else
		atomic_store(&s->load->failed, (int)r);
	return NULL;
}

bool wl_side_begin(struct wl_side *s, struct wl_load *l)
{
	memset(s, 0, sizeof(*s));
	s->load = l;
	s->before = l->page[SIDE_PAGE];
	return pthread_create(&s->thread, NULL, side, s) == 0;
}

bool wl_side_end(struct wl_side *s, unsigned timeout_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000 + 1;
	if (pthread_timedjoin_np(s->thread, NULL, &until) != 0)
		return false;
	uint64_t end = wl_now_ns() + timeout_ms * 1000000ull;
	while (s->load->page[SIDE_PAGE] == s->before && wl_now_ns() < end)
		usleep(100);
	return s->load->page[SIDE_PAGE] != s->before;
}

bool wl_load_intact(struct wl_load *l)
{
	size_t n = (size_t)l->blocks * l->threads;
	uint32_t *x = malloc(n * sizeof(*x));
	uint32_t want = wl_affine_apply(wl_affine_power(WL_AFFINE_STEP, l->iterations), 0);
	bool intact = x && !atomic_load(&l->failed) &&
	              cuStreamSynchronize(l->stream) == CUDA_SUCCESS &&
	              cuMemcpyDtoH(x, l->data, n * sizeof(*x)) == CUDA_SUCCESS;
	for (size_t i = 0; intact && i < n; i++)
		intact = x[i] == want;
	free(x);
	return intact;
}

void wl_load_clear_gaps(struct wl_load *l)
{
	atomic_store(&l->page[2], 0);
}

uint64_t wl_load_gaps(const struct wl_load *l, struct wl_samples *s)
{
	uint64_t n = l->page[2];
	for (uint64_t i = 0; i < n && i < WL_GAPS_MAX; i++) {
		uint64_t from = l->page[WL_PAGE_GAPS + 2 * i];
		uint64_t to = l->page[WL_PAGE_GAPS + 2 * i + 1];
		if (to > from)
			wl_samples_add(s, to - from);
	}
	return n;
}
