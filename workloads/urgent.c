// SPDX-License-Identifier: Apache-2.0
/*
 * urgent.c: short urgent requests, for measuring how soon others make room for them: a request is
 * --kernels kernels on one stream and nothing else, no copy that could delay the first one. The
 * next is drawn when the last has ended (mean --gap, at least half of it), so that requests never
 * queue behind each other and the GPU fills again in between. The result is checked at the end.
 *
 * A record is when the request was to begin, when its first launch was called, and when its
 * synchronise returned. What happened on the GPU is in --stamps, or in the software GPU's logs.
 *
 * An ordinary driver-API program: it knows nothing of schedulers and runs on any CUDA GPU.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "enemies/stamps.h"
#include "lib/arrivals.h"
#include "lib/chain.h"
#include "lib/clock.h"
#include "lib/jsonout.h"
#include "lib/options.h"
#include "lib/stats.h"

WL_EMBED(enemy_fatbin, ENEMY_FATBIN);

#define SPIN_NS 100000 /* sleeps end late, so the last moment is waited for awake */

struct settings {
	uint64_t requests, seed;
	double gap_ms, kernel_us;
	bool hold;
	const char *json, *stamps;
};

struct run {
	struct wl_chain chain;
	struct wl_samples intended, submitted, end;
};

static volatile sig_atomic_t stopped, released;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		released = released + 1;
	else
		stopped = 1;
}

static const char usage[] =
    "usage: urgent [options]\n"
    "  --requests N         (default 100)\n"
    "  --gap MS             mean time from the end of a request to the next (default 20)\n"
    "  --kernels N          of a request (default 3)\n"
    "  --iterations N       of each kernel (default 8)\n"
    "  --kernel-us US       or: find the iterations that make a kernel last this long\n"
    "  --elements N         32-bit elements of the data (default 1024)\n"
    "  --seed N             of gaps and data (default 1)\n"
    "  --hold               get ready, then wait for SIGUSR1; and again before the end\n"
    "  --stamps FILE        write when each kernel ran\n"
    "  --json FILE          a record per request (default -: stdout)\n"
    "Exit status: 0 all results right, 1 a CUDA error or a wrong result, 2 usage.\n";

static struct settings parse(struct wl_chain *c, int argc, char **argv)
{
	static const struct option options[] = {
	    {"requests", 1, 0, 'r'},   {"gap", 1, 0, 'g'},       {"kernels", 1, 0, 'k'},
	    {"iterations", 1, 0, 'i'}, {"kernel-us", 1, 0, 'u'}, {"elements", 1, 0, 'e'},
	    {"seed", 1, 0, 's'},       {"hold", 0, 0, 'H'},      {"stamps", 1, 0, 't'},
	    {"json", 1, 0, 'j'},       {"help", 0, 0, 'h'},      {0},
	};
	struct settings s = {.requests = 100, .gap_ms = 20, .seed = 1, .json = "-"};
	int o;
	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'r')
			s.requests = wl_option_integer("--requests", optarg, 1, 1000000);
		else if (o == 'g')
			s.gap_ms = wl_option_number("--gap", optarg, 0.001, 1e6);
		else if (o == 'k')
			c->kernels = (uint32_t)wl_option_integer("--kernels", optarg, 1, 10000);
		else if (o == 'i')
			c->work =
			    (uint32_t)wl_option_integer("--iterations", optarg, 1, WL_WORK_MAX);
		else if (o == 'u')
			s.kernel_us = wl_option_number("--kernel-us", optarg, 1, 1e7);
		else if (o == 'e')
			c->elements =
			    (uint32_t)wl_option_integer("--elements", optarg, 1, 1u << 28);
		else if (o == 's')
			s.seed = wl_option_integer("--seed", optarg, 0, UINT32_MAX);
		else if (o == 'H')
			s.hold = true;
		else if (o == 't')
			s.stamps = optarg;
		else if (o == 'j')
			s.json = optarg;
		else {
			wl_option_usage(o, usage);
		}
	}
	wl_option_no_more(argc, argv, usage);
	return s;
}

static void wait_until(uint64_t ns)
{
	while (!stopped && wl_now_ns() + SPIN_NS < ns)
		wl_sleep_until(ns - SPIN_NS);
	while (!stopped && wl_now_ns() < ns)
		;
}

static void wait_for_release(sig_atomic_t times)
{
	while (released < times && !stopped) /* any thread may get the signal: so no sigsuspend */
		usleep(1000);
}

static void serve_all(const struct settings *s, struct run *r)
{
	struct wl_arrivals gaps = {.kind = WL_ARRIVAL_POISSON,
	                           .period_ns = (uint64_t)(s->gap_ms * 5e5),
	                           .random = s->seed};
	uint64_t last = wl_arrival_next(&gaps);
	while (!stopped && r->end.n < s->requests) {
		uint64_t next = wl_arrival_next(&gaps), gap = next - last;
		uint64_t at = wl_now_ns() + gaps.period_ns + gap;
		last = next;
		wait_until(at);
		if (stopped)
			return;
		wl_samples_add(&r->intended, at);
		wl_samples_add(&r->submitted, wl_now_ns());
		wl_chain_launch(&r->chain);
		WL_CU(cuStreamSynchronize, r->chain.stream);
		wl_samples_add(&r->end, wl_now_ns());
	}
}

static int check(const struct settings *s, const struct run *r)
{
	const struct wl_chain *c = &r->chain;
	size_t bad;
	uint32_t want;
	WL_CU(cuMemcpyDtoHAsync, c->host, c->data, (size_t)c->elements * 4, c->stream);
	WL_CU(cuStreamSynchronize, c->stream);
	if (wl_chain_check(c->host, c->elements, s->seed, (uint64_t)r->end.n * c->kernels * c->work,
	                   &bad, &want))
		return 0;
	fprintf(stderr, "urgent: wrong result: element %zu is %" PRIu32 ", not %" PRIu32 "\n", bad,
	        c->host[bad], want);
	return 1;
}

static int report(const struct settings *s, const struct wl_gpu *gpu, const struct run *r)
{
	struct wl_out o;
	wl_out_file(&o, s->json);
	wl_out_object(&o, NULL);
	wl_out_int(&o, "schema_version", 1);
	wl_out_string(&o, "program", "urgent");
	wl_out_int(&o, "pid", getpid());
	wl_out_string(&o, "gpu", gpu->name);
	wl_out_uint(&o, "seed", s->seed);
	wl_out_uint(&o, "kernels", r->chain.kernels);
	wl_out_uint(&o, "iterations", r->chain.work);
	wl_out_array(&o, "records");
	for (size_t i = 0; i < r->end.n; i++) {
		wl_out_array(&o, NULL);
		wl_out_uint(&o, NULL, r->intended.v[i]);
		wl_out_uint(&o, NULL, r->submitted.v[i]);
		wl_out_uint(&o, NULL, r->end.v[i]);
		wl_out_end(&o);
	}
	wl_out_end(&o);
	wl_out_end(&o);
	return wl_out_close(&o);
}

int main(int argc, char **argv)
{
	struct run r = {.chain = {.elements = 1024, .kernels = 3, .work = 8}};
	struct settings s = parse(&r.chain, argc, argv);
	struct wl_chain *c = &r.chain;
	struct sigaction sa = {.sa_handler = on_signal};
	struct wl_gpu gpu;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* on time to the microsecond */
	wl_gpu_open(&gpu, enemy_fatbin);
	wl_chain_open(c, &gpu, "urgent_step");
	if (s.kernel_us > 0)
		wl_chain_calibrate(c, s.kernel_us);
	wl_chain_launch(c); /* the first use of everything: its result is overwritten */
	wl_chain_fill(c->host, c->elements, s.seed);
	WL_CU(cuMemcpyHtoDAsync, c->data, c->host, (size_t)c->elements * 4, c->stream);
	WL_CU(cuStreamSynchronize, c->stream);
	if (s.stamps)
		enemy_stamps_begin(&gpu);
	fprintf(stderr, "urgent: running on %s: %u kernels of %u iterations per request\n",
	        gpu.name, c->kernels, c->work);
	if (s.hold)
		wait_for_release(1);
	serve_all(&s, &r);
	if (s.hold) {
		fputs("urgent: served\n", stderr);
		wait_for_release(2);
	}
	int rc = check(&s, &r);
	if (!rc)
		rc = report(&s, &gpu, &r);
	if (!rc && s.stamps)
		rc = enemy_stamps_write(&gpu, s.stamps);
	wl_chain_close(c);
	wl_gpu_close(&gpu);
	wl_samples_fini(&r.intended);
	wl_samples_fini(&r.submitted);
	wl_samples_fini(&r.end);
	return rc ? 1 : 0;
}
