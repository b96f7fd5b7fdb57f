// SPDX-License-Identifier: Apache-2.0
/*
 * be.c: a best-effort CUDA program, like training: endless steps of kernels, queued as deep as
 * the driver takes. A step counts when the GPU has finished it, not when it was submitted: an
 * event follows each, and a second thread waits for the events in order and notes the time. At
 * the end the data is checked: it tells exactly how many iterations ran.
 *
 * An ordinary driver-API program: it knows nothing of schedulers and runs on any CUDA GPU.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/chain.h"
#include "lib/clock.h"
#include "lib/gpu.h"
#include "lib/jsonout.h"
#include "lib/options.h"
#include "lib/stats.h"

WL_EMBED(kernels_fatbin, FATBIN);

/* more than any driver queues, so that the driver's depth is the limit, not ours */
#define EVENTS 8192

struct settings {
	double seconds; /* 0: until a signal */
	uint64_t steps; /* 0: no limit */
	uint64_t seed;
	uint32_t kernels, elements, work;
	uint64_t sync_every; /* 0: never */
	double kernel_us;
	const char *json;
};

struct run {
	struct wl_chain chain;
	CUcontext context;
	CUevent event[EVENTS];
	sem_t recorded, room;   /* events waiting for completion; events free for use */
	atomic_bool last;       /* set before the final post of `recorded` */
	struct wl_samples done; /* completion time of each step; the waiter's until it is joined */
	uint64_t submitted;
	uint64_t begin_ns, finish_ns; /* first submission; when it stopped submitting */
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	stopped = 1;
}

static const char usage[] =
    "usage: be [options]\n"
    "  --seconds S          run for S seconds; 0 = until SIGINT or SIGTERM (default 10)\n"
    "  --steps N            or: run N steps\n"
    "  --kernels N          kernels per step (default 1)\n"
    "  --work N             iterations per kernel (default 8)\n"
    "  --kernel-us US       or: find the work that makes a kernel last this long\n"
    "  --elements N         32-bit elements of the data (default 1024)\n"
    "  --sync-every N       wait for the GPU after every N steps; 0 = never (default)\n"
    "  --seed N             of the data (default 1)\n"
    "  --json FILE          write all figures and each step's end; - is stdout\n"
    "Exit status: 0 result right, 1 a CUDA error or a wrong result, 2 usage.\n";

static struct settings parse(int argc, char **argv)
{
	enum { SECONDS = 256, STEPS, KERNELS, WORK, KERNEL_US, ELEMENTS, SYNC_EVERY, SEED, JSON };
	static const struct option options[] = {
	    {"seconds", 1, 0, SECONDS},
	    {"steps", 1, 0, STEPS},
	    {"kernels", 1, 0, KERNELS},
	    {"work", 1, 0, WORK},
	    {"kernel-us", 1, 0, KERNEL_US},
	    {"elements", 1, 0, ELEMENTS},
	    {"sync-every", 1, 0, SYNC_EVERY},
	    {"seed", 1, 0, SEED},
	    {"json", 1, 0, JSON},
	    {"help", 0, 0, 'h'},
	    {0},
	};
	struct settings s = {.seconds = 10, .seed = 1, .kernels = 1, .work = 8, .elements = 1024};
	int c;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case SECONDS:
			s.seconds = wl_option_number("--seconds", optarg, 0, 1e6);
			s.steps = 0;
			break;
		case STEPS:
			s.steps = wl_option_integer("--steps", optarg, 1, 1000000000);
			s.seconds = 0;
			break;
		case KERNELS:
			s.kernels = (uint32_t)wl_option_integer("--kernels", optarg, 1, 100000);
			break;
		case WORK:
			s.work = (uint32_t)wl_option_integer("--work", optarg, 1, WL_WORK_MAX);
			break;
		case KERNEL_US:
			s.kernel_us = wl_option_number("--kernel-us", optarg, 1, 1e7);
			break;
		case ELEMENTS:
			s.elements = (uint32_t)wl_option_integer("--elements", optarg, 1, 1u << 28);
			break;
		case SYNC_EVERY:
			s.sync_every = wl_option_integer("--sync-every", optarg, 0, 1000000000);
			break;
		case SEED:
			s.seed = wl_option_integer("--seed", optarg, 0, UINT32_MAX);
			break;
		case JSON:
			s.json = optarg;
			break;
		default:
			wl_option_usage(c, usage);
		}
	}
	wl_option_no_more(argc, argv, usage);
	return s;
}

static void down(sem_t *sem)
{
	while (sem_wait(sem) && errno == EINTR)
		;
}

/* The waiter: notes when each step ended. */
static void *note_ends(void *arg)
{
	struct run *r = arg;
	WL_CU(cuCtxSetCurrent, r->context);
	for (uint64_t i = 0;; i++) {
		down(&r->recorded);
		if (atomic_load(&r->last) && i == r->submitted)
			return NULL;
		WL_CU(cuEventSynchronize, r->event[i % EVENTS]);
		wl_samples_add(&r->done, wl_now_ns());
		sem_post(&r->room);
	}
}

static void step(struct run *r)
{
	down(&r->room);
	wl_chain_launch(&r->chain);
	WL_CU(cuEventRecord, r->event[r->submitted % EVENTS], r->chain.stream);
	r->submitted++;
	sem_post(&r->recorded);
}

static void run_steps(const struct settings *s, struct run *r)
{
	pthread_t waiter;
	uint64_t end = UINT64_MAX;
	r->begin_ns = wl_now_ns();
	if (s->seconds > 0)
		end = r->begin_ns + (uint64_t)(s->seconds * 1e9);
	int e = pthread_create(&waiter, NULL, note_ends, r);
	if (e) {
		fprintf(stderr, "be: pthread_create: %s\n", strerror(e));
		exit(1);
	}
	while (!stopped && wl_now_ns() < end && (!s->steps || r->submitted < s->steps)) {
		step(r);
		if (s->sync_every && r->submitted % s->sync_every == 0)
			WL_CU(cuStreamSynchronize, r->chain.stream);
	}
	r->finish_ns = wl_now_ns();
	atomic_store(&r->last, true);
	sem_post(&r->recorded);
	pthread_join(waiter, NULL);
	if (s->steps && !stopped) /* all that was asked for counts */
		r->finish_ns = wl_now_ns();
}

/* Whatever was submitted ran exactly once, or the data would differ. */
static int check(const struct settings *s, const struct run *r)
{
	const struct wl_chain *c = &r->chain;
	size_t bad;
	uint32_t want;
	WL_CU(cuMemcpyDtoHAsync, c->host, c->data, (size_t)c->elements * 4, c->stream);
	WL_CU(cuStreamSynchronize, c->stream);
	uint64_t iterations = r->submitted * c->kernels * c->work;
	if (wl_chain_check(c->host, c->elements, s->seed, iterations, &bad, &want))
		return 0;
	fprintf(stderr,
	        "be: wrong result after %" PRIu64 " steps: element %zu is %" PRIu32 ", not %" PRIu32
	        "\n",
	        r->submitted, bad, c->host[bad], want);
	return 1;
}

static int write_json(const struct settings *s, const struct wl_gpu *gpu, const struct run *r,
                      size_t counted, double rate)
{
	struct wl_out o;
	wl_out_file(&o, s->json);
	wl_out_object(&o, NULL);
	wl_out_int(&o, "schema_version", 1);
	wl_out_string(&o, "program", "be");
	wl_out_int(&o, "pid", getpid());
	wl_out_string(&o, "gpu", gpu->name);
	wl_out_uint(&o, "kernels", r->chain.kernels);
	wl_out_uint(&o, "work", r->chain.work);
	wl_out_uint(&o, "elements", s->elements);
	wl_out_uint(&o, "begin_ns", r->begin_ns);
	wl_out_uint(&o, "finish_ns", r->finish_ns);
	wl_out_uint(&o, "submitted", r->submitted);
	wl_out_uint(&o, "steps", counted);
	wl_out_double(&o, "steps_per_s", rate);
	wl_out_array(&o, "step_end_ns");
	for (size_t i = 0; i < r->done.n; i++)
		wl_out_uint(&o, NULL, r->done.v[i]);
	wl_out_end(&o);
	wl_out_end(&o);
	return wl_out_close(&o);
}

/* Steps that ended before submission stopped: what was still queued then is not counted. */
static int report(const struct settings *s, const struct wl_gpu *gpu, const struct run *r)
{
	size_t counted = r->done.n;
	while (counted && r->done.v[counted - 1] > r->finish_ns)
		counted--;
	double seconds = (double)(r->finish_ns - r->begin_ns) / 1e9;
	double rate = seconds > 0 ? (double)counted / seconds : 0;
	if (!s->json || strcmp(s->json, "-") != 0)
		printf("be: ok (%zu steps in %.1f s): %.1f steps/s\n", counted, seconds, rate);
	return s->json ? write_json(s, gpu, r, counted, rate) : 0;
}

static void open_all(const struct settings *s, struct run *r, struct wl_gpu *gpu)
{
	struct wl_chain *c = &r->chain;
	wl_gpu_open(gpu, kernels_fatbin);
	wl_chain_open(c, gpu, "be_step");
	r->context = gpu->context;
	if (s->kernel_us > 0)
		wl_chain_calibrate(c, s->kernel_us);
	for (unsigned i = 0; i < EVENTS; i++)
		WL_CU(cuEventCreate, &r->event[i],
		      CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING);
	sem_init(&r->recorded, 0, 0);
	sem_init(&r->room, 0, EVENTS);
	wl_chain_fill(c->host, c->elements, s->seed);
	WL_CU(cuMemcpyHtoDAsync, c->data, c->host, (size_t)c->elements * 4, c->stream);
	WL_CU(cuStreamSynchronize, c->stream);
}

int main(int argc, char **argv)
{
	static struct run r;
	struct settings s = parse(argc, argv);
	struct sigaction sa = {.sa_handler = on_signal};
	struct wl_gpu gpu;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	r.chain.elements = s.elements;
	r.chain.kernels = s.kernels;
	r.chain.work = s.work;
	open_all(&s, &r, &gpu);
	fprintf(stderr, "be: running on %s: %u kernels of work %u per step\n", gpu.name,
	        r.chain.kernels, r.chain.work);

	run_steps(&s, &r);
	int rc = check(&s, &r);
	if (!rc && report(&s, &gpu, &r))
		rc = 1;
	for (unsigned i = 0; i < EVENTS; i++)
		WL_CU(cuEventDestroy, r.event[i]);
	wl_chain_close(&r.chain);
	wl_gpu_close(&gpu);
	wl_samples_fini(&r.done);
	return rc;
}
