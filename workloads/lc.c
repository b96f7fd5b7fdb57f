// SPDX-License-Identifier: Apache-2.0
/*
 * lc.c: a latency-critical CUDA program. A request is: input to the GPU, a chain of kernels on
 * one stream, output back, synchronise. Requests arrive in open loop (Poisson or periodic) or in
 * closed loop; one thread serves them in order, and a request's latency counts from when it was
 * meant to arrive, so that waiting behind an earlier one counts too. Every output is checked
 * against the CPU.
 *
 * An ordinary driver-API program: it knows nothing of schedulers and runs on any CUDA GPU.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/arrivals.h"
#include "lib/chain.h"
#include "lib/clock.h"
#include "lib/gpu.h"
#include "lib/jsonout.h"
#include "lib/options.h"
#include "lib/stats.h"

WL_EMBED(kernels_fatbin, FATBIN);

struct settings {
	enum wl_arrival_kind arrivals;
	double period_ms;
	double seconds;    /* 0: until `requests` */
	uint64_t requests; /* 0: until `seconds` */
	uint64_t seed;
	uint32_t kernels, elements, work;
	double kernel_us; /* > 0: calibrate work */
	bool hold;        /* let SIGUSR1 say when arrivals begin */
	const char *json;
};

struct run {
	struct wl_chain chain;
	struct wl_samples arrival, start, end; /* one of each per request */
	uint64_t begin_ns, finish_ns;
};

static volatile sig_atomic_t stopped, released;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		released = 1;
	else
		stopped = 1;
}

static const char usage[] =
    "usage: lc [options]\n"
    "  --seconds S          serve requests that arrive within S seconds (default 10)\n"
    "  --requests N         or: serve N requests\n"
    "  --period MS          mean time between arrivals (default 100)\n"
    "  --rate HZ            the same, as requests per second\n"
    "  --arrivals KIND      poisson (default), periodic or closed\n"
    "  --seed N             of arrivals and data (default 1)\n"
    "  --kernels N          kernels per request (default 12)\n"
    "  --work N             iterations per kernel (default 8)\n"
    "  --kernel-us US       or: find the work that makes a kernel last this long\n"
    "  --elements N         32-bit elements per request (default 1024)\n"
    "  --hold               get ready, then wait for SIGUSR1 before requests arrive\n"
    "  --json FILE          write all figures and a record per request; - is stdout\n"
    "Exit status: 0 all results right, 1 a CUDA error or a wrong result, 2 usage.\n";

static struct settings parse(int argc, char **argv)
{
	enum {
		SECONDS = 256,
		REQUESTS,
		PERIOD,
		RATE,
		ARRIVALS,
		SEED,
		KERNELS,
		WORK,
		KERNEL_US,
		ELEMENTS,
		HOLD,
		JSON
	};
	static const struct option options[] = {
	    {"seconds", 1, 0, SECONDS},
	    {"requests", 1, 0, REQUESTS},
	    {"period", 1, 0, PERIOD},
	    {"rate", 1, 0, RATE},
	    {"arrivals", 1, 0, ARRIVALS},
	    {"seed", 1, 0, SEED},
	    {"kernels", 1, 0, KERNELS},
	    {"work", 1, 0, WORK},
	    {"kernel-us", 1, 0, KERNEL_US},
	    {"elements", 1, 0, ELEMENTS},
	    {"hold", 0, 0, HOLD},
	    {"json", 1, 0, JSON},
	    {"help", 0, 0, 'h'},
	    {0},
	};
	struct settings s = {
	    .period_ms = 100, .seconds = 10, .seed = 1, .kernels = 12, .work = 8, .elements = 1024};
	int c;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case SECONDS:
			s.seconds = wl_option_number("--seconds", optarg, 0.001, 1e6);
			s.requests = 0;
			break;
		case REQUESTS:
			s.requests = wl_option_integer("--requests", optarg, 1, 1000000000);
			s.seconds = 0;
			break;
		case PERIOD:
			s.period_ms = wl_option_number("--period", optarg, 0.001, 1e6);
			break;
		case RATE:
			s.period_ms = 1000 / wl_option_number("--rate", optarg, 0.001, 1e6);
			break;
		case ARRIVALS:
			if (!wl_arrival_parse(optarg, &s.arrivals)) {
				fprintf(stderr,
				        "lc: --arrivals: '%s' is not poisson, periodic or closed\n",
				        optarg);
				exit(WL_EXIT_USAGE);
			}
			break;
		case SEED:
			s.seed = wl_option_integer("--seed", optarg, 0, UINT32_MAX);
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
		case HOLD:
			s.hold = true;
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

/* One request, from its input on the host to its output there. Returns the time it ended. */
static uint64_t serve(struct wl_chain *c, uint64_t data_seed)
{
	size_t bytes = (size_t)c->elements * sizeof(uint32_t);
	wl_chain_fill(c->host, c->elements, data_seed);
	WL_CU(cuMemcpyHtoDAsync, c->data, c->host, bytes, c->stream);
	wl_chain_launch(c);
	WL_CU(cuMemcpyDtoHAsync, c->host, c->data, bytes, c->stream);
	WL_CU(cuStreamSynchronize, c->stream);
	uint64_t end = wl_now_ns();

	size_t bad;
	uint32_t want;
	if (!wl_chain_check(c->host, c->elements, data_seed, (uint64_t)c->work * c->kernels, &bad,
	                    &want)) {
		fprintf(stderr, "lc: wrong result: element %zu is %" PRIu32 ", not %" PRIu32 "\n",
		        bad, c->host[bad], want);
		exit(1);
	}
	return end;
}

static bool more(const struct settings *s, const struct run *r, uint64_t arrival_ns)
{
	if (stopped)
		return false;
	if (s->requests)
		return r->end.n < s->requests;
	return (double)(arrival_ns - r->begin_ns) < s->seconds * 1e9;
}

static void serve_all(const struct settings *s, struct run *r)
{
	struct wl_arrivals arrivals = {
	    .kind = s->arrivals, .period_ns = (uint64_t)(s->period_ms * 1e6), .random = s->seed};
	bool closed = s->arrivals == WL_ARRIVAL_CLOSED;
	r->begin_ns = wl_now_ns();
	for (;;) {
		uint64_t arrival = closed ? wl_now_ns() : r->begin_ns + wl_arrival_next(&arrivals);
		if (!more(s, r, arrival))
			break;
		while (!stopped && wl_now_ns() < arrival)
			wl_sleep_until(arrival);
		if (stopped)
			break;
		wl_samples_add(&r->arrival, arrival);
		wl_samples_add(&r->start, wl_now_ns());
		wl_samples_add(&r->end, serve(&r->chain, s->seed + r->end.n));
	}
	/* the window of measurement is the asked one, even if nothing arrived near its end */
	r->finish_ns = wl_now_ns();
	uint64_t asked = r->begin_ns + (uint64_t)(s->seconds * 1e9);
	if (!s->requests && !stopped && r->finish_ns < asked) {
		wl_sleep_until(asked);
		r->finish_ns = asked;
	}
}

static void write_records(struct wl_out *o, const struct run *r)
{
	wl_out_array(o, "records");
	for (size_t i = 0; i < r->end.n; i++) {
		wl_out_array(o, NULL);
		wl_out_uint(o, NULL, r->arrival.v[i]);
		wl_out_uint(o, NULL, r->start.v[i]);
		wl_out_uint(o, NULL, r->end.v[i]);
		wl_out_end(o);
	}
	wl_out_end(o);
}

static int write_json(const struct settings *s, const struct wl_gpu *gpu, const struct run *r,
                      const uint64_t *sorted, const struct wl_histogram *h)
{
	struct wl_out o;
	wl_out_file(&o, s->json);
	wl_out_object(&o, NULL);
	wl_out_int(&o, "schema_version", 1);
	wl_out_string(&o, "program", "lc");
	wl_out_int(&o, "pid", getpid());
	wl_out_string(&o, "gpu", gpu->name);
	wl_out_string(&o, "arrivals", wl_arrival_name(s->arrivals));
	wl_out_double(&o, "period_ms", s->period_ms);
	wl_out_uint(&o, "seed", s->seed);
	wl_out_uint(&o, "kernels", r->chain.kernels);
	wl_out_uint(&o, "work", r->chain.work);
	wl_out_uint(&o, "elements", s->elements);
	wl_out_uint(&o, "begin_ns", r->begin_ns);
	wl_out_uint(&o, "finish_ns", r->finish_ns);
	wl_out_uint(&o, "count", r->end.n);
	wl_out_percentiles(&o, "latency", sorted, r->end.n);
	wl_out_histogram(&o, "histogram", h);
	write_records(&o, r);
	wl_out_end(&o);
	return wl_out_close(&o);
}

static int report(const struct settings *s, const struct wl_gpu *gpu, const struct run *r)
{
	struct wl_samples latency = {0};
	struct wl_histogram h = {0};
	for (size_t i = 0; i < r->end.n; i++) {
		wl_samples_add(&latency, r->end.v[i] - r->arrival.v[i]);
		wl_histogram_add(&h, latency.v[i]);
	}
	wl_sort(latency.v, latency.n);
	bool quiet = s->json && strcmp(s->json, "-") == 0;
	if (!quiet)
		printf("lc: ok (%zu requests in %.1f s): p50 %.3f ms, p95 %.3f ms, p99 %.3f ms, "
		       "p99.9 %.3f ms\n",
		       latency.n, (double)(r->finish_ns - r->begin_ns) / 1e9,
		       (double)wl_percentile(latency.v, latency.n, 50) / 1e6,
		       (double)wl_percentile(latency.v, latency.n, 95) / 1e6,
		       (double)wl_percentile(latency.v, latency.n, 99) / 1e6,
		       (double)wl_percentile(latency.v, latency.n, 99.9) / 1e6);
	int rc = s->json ? write_json(s, gpu, r, latency.v, &h) : 0;
	wl_samples_fini(&latency);
	return rc;
}

int main(int argc, char **argv)
{
	struct settings s = parse(argc, argv);
	struct run r = {.chain = {.elements = s.elements, .kernels = s.kernels, .work = s.work}};
	struct sigaction sa = {.sa_handler = on_signal};
	struct wl_gpu gpu;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* arrivals on time to the microsecond */
	wl_gpu_open(&gpu, kernels_fatbin);
	wl_chain_open(&r.chain, &gpu, "lc_step");
	if (s.kernel_us > 0)
		wl_chain_calibrate(&r.chain, s.kernel_us);
	serve(&r.chain, s.seed); /* warm-up: first use of everything, not counted */
	fprintf(stderr, "lc: running on %s: %u kernels of work %u per request\n", gpu.name,
	        r.chain.kernels, r.chain.work);
	while (s.hold && !released &&
	       !stopped) /* any thread may get the signal: so no sigsuspend */
		usleep(1000);

	serve_all(&s, &r);
	int rc = report(&s, &gpu, &r);
	wl_chain_close(&r.chain);
	wl_gpu_close(&gpu);
	wl_samples_fini(&r.arrival);
	wl_samples_fini(&r.start);
	wl_samples_fini(&r.end);
	return rc ? 1 : 0;
}
