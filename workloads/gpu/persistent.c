// SPDX-License-Identifier: Apache-2.0
/*
 * persistent.c: a best-effort program that never lets go: a kernel that fills every SM and stays
 * until its time is over, then the same again, as persistent megakernels and polling servers do.
 *
 * Asks: what is left of a neighbour's latency beside such a kernel, natively, under MPS (its blocks
 * never leave room) and under each gate of rein (none but preemption can interrupt it)? Read: by
 * the stage `sharing`, from the neighbour's latency, and from the steps here: a step is a fixed
 * amount of arithmetic by every block, about --step-ms alone, that the kernel counts in host
 * memory. Each process finds that amount itself: what is compared is steps × "rounds".
 *
 * Commands on stdin, a line each, as the PyTorch programs take them (torch/peer.py): `start`;
 * `stop`, answered by {"steps": {"begin_ns", "finish_ns", "step_end_ns": […]}}; `quit`. The line
 * `ready` on stderr says that commands are taken. Every kernel ends by itself after --kernel-ms, at
 * most two seconds, whatever becomes of this program; the program ends after --limit seconds.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "../lib/gpu.h"
#include "../lib/jsonout.h"
#include "../lib/options.h"
#include "lib/warm.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define KERNEL_MS_MAX 2000
#define ROUNDS_MAX (1u << 28)
#define LOOK_US 100 /* how often the host looks at the kernel's progress */

struct persistent {
	double kernel_ms, step_ms;
	unsigned blocks, threads, limit_s;
	struct wl_gpu gpu;
	CUfunction kernel;
	CUstream stream;
	CUdeviceptr sink;
	volatile uint32_t *stop;     /* host memory that the kernel reads */
	volatile uint64_t *progress; /* host memory that the kernel writes */
	uint32_t rounds;             /* of arithmetic in a step */
	char line[64];               /* of stdin, so far */
	size_t line_len;
};

static const char usage[] = "usage: persistent [options], then start, stop, quit on stdin\n"
			    "  --kernel-ms MS   of one kernel, at most 2000 (default 500)\n"
			    "  --step-ms MS     of one step, alone (default 1)\n"
			    "  --blocks N       default: all that fit at once\n"
			    "  --threads N      per block (default 1024)\n"
			    "  --limit S        end after S seconds (default 300)\n";

static void parse(struct persistent *p, int argc, char **argv)
{
	static const struct option options[] = {{"kernel-ms", 1, 0, 'k'},
	                                        {"step-ms", 1, 0, 's'},
	                                        {"blocks", 1, 0, 'b'},
	                                        {"threads", 1, 0, 't'},
	                                        {"limit", 1, 0, 'l'},
	                                        {"help", 0, 0, 'h'},
	                                        {0}};
	int c;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'k')
			p->kernel_ms = wl_option_number("--kernel-ms", optarg, 1, KERNEL_MS_MAX);
		else if (c == 's')
			p->step_ms = wl_option_number("--step-ms", optarg, 0.01, 100);
		else if (c == 'b')
			p->blocks = (unsigned)wl_option_integer("--blocks", optarg, 1, 1 << 16);
		else if (c == 't')
			p->threads = (unsigned)wl_option_integer("--threads", optarg, 1, 1024);
		else if (c == 'l')
			p->limit_s = (unsigned)wl_option_integer("--limit", optarg, 1, 3600);
		else {
			wl_option_usage(c, usage);
		}
	}
	wl_option_no_more(argc, argv, usage);
}

static void launch(struct persistent *p, uint32_t steps_max)
{
	CUdeviceptr stop, progress;
	unsigned long long bound_ns = (unsigned long long)(p->kernel_ms * 1e6);
	WL_CU(cuMemHostGetDevicePointer, &stop, (void *)p->stop, 0);
	WL_CU(cuMemHostGetDevicePointer, &progress, (void *)p->progress, 0);
	void *args[] = {&stop, &progress, &p->sink, &p->rounds, &steps_max, &bound_ns};
	WL_CU(cuLaunchKernel, p->kernel, p->blocks, 1, 1, p->threads, 1, 1, 0, p->stream, args,
	      NULL);
}

/* ms of a step, the shorter of two kernels of a few steps; the first also loads the code */
static double measure(struct persistent *p, uint32_t steps)
{
	double best = 0;
	for (int i = 0; i < 2; i++) {
		uint64_t begin = wl_now_ns();
		launch(p, steps);
		WL_CU(cuStreamSynchronize, p->stream);
		double ms = (double)(wl_now_ns() - begin) / 1e6 / steps;
		if (i == 0 || ms < best)
			best = ms;
	}
	return best;
}

/* How much arithmetic lasts a step. */
static void calibrate(struct persistent *p)
{
	p->rounds = 4;
	double ms = measure(p, 4);
	for (uint64_t until = wl_now_ns() + wl_warm_ns(&p->gpu); wl_now_ns() < until;)
		measure(p, 1000);
	while (ms < p->step_ms / 2 && p->rounds < ROUNDS_MAX / 4) {
		p->rounds *= 4;
		ms = measure(p, 4);
	}
	double rounds = p->rounds * p->step_ms / (ms > 0 ? ms : p->step_ms);
	p->rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : (uint32_t)rounds;
}

static void open_all(struct persistent *p)
{
	int sms = 1, fit = 1;
	void *host;
	wl_gpu_open(&p->gpu, gpu_kernels);
	p->kernel = wl_gpu_function(&p->gpu, "sharing_persistent");
	WL_CU(cuStreamCreate, &p->stream, CU_STREAM_NON_BLOCKING);
	if (!p->blocks) {
		WL_CU(cuDeviceGetAttribute, &sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
		      p->gpu.device);
		WL_CU(cuOccupancyMaxActiveBlocksPerMultiprocessor, &fit, p->kernel, (int)p->threads,
		      0);
		p->blocks = (unsigned)sms * (unsigned)(fit > 0 ? fit : 1);
	}
	WL_CU(cuMemAlloc, &p->sink, (size_t)p->blocks * p->threads * sizeof(unsigned));
	WL_CU(cuMemHostAlloc, &host, 4096, CU_MEMHOSTALLOC_DEVICEMAP);
	memset(host, 0, 4096);
	p->stop = host;
	p->progress = (volatile uint64_t *)((char *)host + 2048);
	calibrate(p);
}

/* ---------------------------------------------------------------- commands */

/* The next line of stdin: false if there is none within timeout_ms (-1: no bound). The end of stdin
 * is `quit`. */
static bool command(struct persistent *p, int timeout_ms, char *out, size_t room)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	for (;;) {
		char *end = memchr(p->line, '\n', p->line_len);
		if (end) {
			size_t n = (size_t)(end - p->line);
			snprintf(out, room, "%.*s", (int)n, p->line);
			p->line_len -= n + 1;
			memmove(p->line, end + 1, p->line_len);
			return true;
		}
		if (p->line_len == sizeof(p->line))
			p->line_len = 0; /* no command of ours is so long */
		if (poll(&in, 1, timeout_ms) <= 0)
			return false;
		ssize_t n =
		    read(STDIN_FILENO, p->line + p->line_len, sizeof(p->line) - p->line_len);
		if (n <= 0) {
			snprintf(out, room, "quit");
			return true;
		}
		p->line_len += (size_t)n;
	}
}

static int answer(const struct wl_samples *ends, const struct persistent *p, uint64_t begin_ns,
                  uint64_t finish_ns)
{
	struct wl_out o;
	wl_out_line(&o, stdout);
	wl_out_object(&o, NULL);
	wl_out_object(&o, "steps");
	wl_out_uint(&o, "begin_ns", begin_ns);
	wl_out_uint(&o, "finish_ns", finish_ns);
	wl_out_uint(&o, "blocks", p->blocks);
	wl_out_uint(&o, "threads", p->threads);
	wl_out_uint(&o, "rounds", p->rounds);
	wl_out_array(&o, "step_end_ns");
	for (size_t i = 0; i < ends->n; i++)
		wl_out_uint(&o, NULL, ends->v[i]);
	wl_out_end(&o);
	wl_out_end(&o);
	wl_out_end(&o);
	return wl_out_close(&o);
}

/* Works until the next command, which goes to `line`. */
static int work(struct persistent *p, char *line, size_t room)
{
	struct wl_samples ends = {0};
	uint64_t begin_ns = wl_now_ns(), seen = 0;
	*p->progress = 0;
	*p->stop = 0;
	while (!command(p, 0, line, room)) {
		CUresult r = cuStreamQuery(p->stream);
		if (r == CUDA_SUCCESS)
			launch(p, UINT32_MAX);
		else if (r != CUDA_ERROR_NOT_READY)
			wl_gpu_check("cuStreamQuery", r);
		for (uint64_t now = wl_now_ns(), n = *p->progress; seen < n; seen++)
			wl_samples_add(&ends, now);
		usleep(LOOK_US);
	}
	*p->stop = 1;
	WL_CU(cuStreamSynchronize, p->stream);
	*p->stop = 0;
	int rc = strcmp(line, "stop") == 0 ? answer(&ends, p, begin_ns, wl_now_ns()) : 0;
	wl_samples_fini(&ends);
	return rc;
}

int main(int argc, char **argv)
{
	struct persistent p = {.kernel_ms = 500, .step_ms = 1, .threads = 1024, .limit_s = 300};
	char line[64] = "";
	int rc = 0;
	parse(&p, argc, argv);
	wl_fact_bound(p.limit_s);
	open_all(&p);
	fprintf(stderr, "persistent: %u blocks of %u threads, %u rounds a step\nready\n", p.blocks,
	        p.threads, p.rounds);
	while (!rc && strcmp(line, "quit") != 0 && command(&p, -1, line, sizeof(line))) {
		if (strcmp(line, "start") == 0)
			rc = work(&p, line, sizeof(line));
		else if (strcmp(line, "quit") != 0)
			fprintf(stderr, "persistent: '%s' is none of start, stop, quit\n", line);
	}
	WL_CU(cuMemFreeHost, (void *)p.stop);
	WL_CU(cuMemFree, p.sink);
	WL_CU(cuStreamDestroy, p.stream);
	wl_gpu_close(&p.gpu);
	return rc ? 1 : 0;
}
