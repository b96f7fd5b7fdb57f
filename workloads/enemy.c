// SPDX-License-Identifier: Apache-2.0
/*
 * enemy.c: programs that are hard to share a GPU with, one --kind each, in enemies/. Whatever
 * holds, delays or preempts it, it computes what it computes alone: at the end the data is
 * compared, bit for bit, with what the host says it must be after so many units, and a digest of it
 * is printed, which depends on seed, units, --elements, --iterations and --batch only.
 *
 * An ordinary driver-API program: it knows nothing of schedulers and runs on any CUDA GPU.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "enemies/enemy.h"
#include "enemies/stamps.h"
#include "lib/clock.h"
#include "lib/jsonout.h"
#include "lib/options.h"
#include "lib/stats.h"

WL_EMBED(enemy_fatbin, ENEMY_FATBIN);

#define DEPTH_MAX 4096
#define WORK_MAX 1000000000

static const struct enemy_kind *const kinds[] = {
    &enemy_long,      &enemy_short, &enemy_persistent,  &enemy_graph,
    &enemy_bandwidth, &enemy_copy,  &enemy_cooperative, &enemy_streams,
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct settings {
	const struct enemy_kind *kind;
	double seconds; /* 0: until a signal */
	uint64_t work;  /* units; 0: no limit */
	uint32_t depth;
	bool check;
	const char *json, *stamps;
};

struct run {
	CUevent event[DEPTH_MAX];
	uint64_t submitted, done; /* done: as far as events were seen to */
	uint64_t counted;         /* done when submission stopped */
	uint64_t begin_ns, finish_ns;
	struct wl_samples queued; /* unfinished units after each submission, since it was full */
	uint64_t digest;
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	stopped = 1;
}

static void usage(FILE *f)
{
	fputs("usage: enemy --kind KIND [options]\n", f);
	for (size_t i = 0; i < KINDS; i++)
		fprintf(f, "  %-20s %s\n", kinds[i]->name, kinds[i]->summary);
	fputs("  --work N             run N units and end\n"
	      "  --seconds S          or: run for S seconds; 0 = until SIGINT or SIGTERM "
	      "(default 10)\n"
	      "  --depth N            units queued at once (default: by kind)\n"
	      "  --kernel-us US       length of a kernel, for long, short, persistent, "
	      "cooperative\n"
	      "  --iterations N       or: iterations of the arithmetic, whatever time they take\n"
	      "  --batch N            kernels, steps, nodes, passes or rounds of a unit\n"
	      "  --elements N         32-bit elements of the data\n"
	      "  --seed N             of the data (default 1)\n"
	      "  --check              end with status 1 if one bit of the result is not what a "
	      "run alone gives\n"
	      "  --stamps FILE        write when each kernel ran, where kernels do not overlap\n"
	      "  --json FILE          where the figures go (default -: stdout)\n"
	      "Exit status: 0 done, 1 a CUDA error or a wrong result, 2 usage.\n",
	      f);
}

static const struct enemy_kind *kind_find(const char *name)
{
	for (size_t i = 0; i < KINDS; i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	fprintf(stderr, "enemy: --kind: there is no '%s'; accepted:", name);
	for (size_t i = 0; i < KINDS; i++)
		fprintf(stderr, " %s", kinds[i]->name);
	fputc('\n', stderr);
	exit(WL_EXIT_USAGE);
}

static void parse(struct settings *s, struct enemy *e, int argc, char **argv)
{
	enum {
		KIND = 256,
		WORK,
		SECONDS,
		DEPTH,
		KERNEL_US,
		ITERATIONS,
		BATCH,
		ELEMENTS,
		SEED,
		CHECK,
		STAMPS,
		JSON
	};
	static const struct option options[] = {
	    {"kind", 1, 0, KIND},
	    {"work", 1, 0, WORK},
	    {"seconds", 1, 0, SECONDS},
	    {"depth", 1, 0, DEPTH},
	    {"kernel-us", 1, 0, KERNEL_US},
	    {"iterations", 1, 0, ITERATIONS},
	    {"batch", 1, 0, BATCH},
	    {"elements", 1, 0, ELEMENTS},
	    {"seed", 1, 0, SEED},
	    {"check", 0, 0, CHECK},
	    {"stamps", 1, 0, STAMPS},
	    {"json", 1, 0, JSON},
	    {"help", 0, 0, 'h'},
	    {0},
	};
	int c;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case KIND:
			s->kind = kind_find(optarg);
			break;
		case WORK:
			s->work = wl_option_integer("--work", optarg, 1, WORK_MAX);
			break;
		case SECONDS:
			s->seconds = wl_option_number("--seconds", optarg, 0, 1e6);
			break;
		case DEPTH:
			s->depth = (uint32_t)wl_option_integer("--depth", optarg, 1, DEPTH_MAX);
			break;
		case KERNEL_US:
			e->kernel_us = wl_option_number("--kernel-us", optarg, 1, 1e7);
			break;
		case ITERATIONS:
			e->iterations =
			    (uint32_t)wl_option_integer("--iterations", optarg, 1, 4000000000ull);
			break;
		case BATCH:
			e->batch = (uint32_t)wl_option_integer("--batch", optarg, 1, 1000000);
			break;
		case ELEMENTS:
			e->elements =
			    (uint32_t)wl_option_integer("--elements", optarg, 1, 1u << 28);
			break;
		case SEED:
			e->seed = wl_option_integer("--seed", optarg, 0, UINT32_MAX);
			break;
		case CHECK:
			s->check = true;
			break;
		case STAMPS:
			s->stamps = optarg;
			break;
		case JSON:
			s->json = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(WL_EXIT_USAGE);
		}
	}
	if (optind < argc || !s->kind) {
		if (optind < argc)
			fprintf(stderr, "enemy: unexpected argument '%s'\n", argv[optind]);
		else
			fputs("enemy: --kind is missing\n", stderr);
		usage(stderr);
		exit(WL_EXIT_USAGE);
	}
}

/* What the command line left open is the kind's. */
static void complete(struct settings *s, struct enemy *e)
{
	const struct enemy_kind *k = s->kind;
	if (s->stamps && !k->stamps) {
		fprintf(stderr, "enemy: --stamps: kernels of '%s' overlap and take no stamps\n",
		        k->name);
		exit(WL_EXIT_USAGE);
	}
	if (!e->batch)
		e->batch = k->batch;
	if (!e->kernel_us)
		e->kernel_us = k->kernel_us;
	if (!e->iterations)
		e->iterations = k->iterations;
	if (!s->depth)
		s->depth = k->depth;
}

/* ---- the run */

/* How far units have ended; waits for unit `least` - 1. */
static void see_ends(const struct settings *s, struct run *r, uint64_t least)
{
	while (r->done < r->submitted) {
		CUevent next = r->event[r->done % DEPTH_MAX];
		if (r->done < least) {
			WL_CU(cuEventSynchronize, next);
		} else {
			CUresult q = cuEventQuery(next);
			if (q == CUDA_ERROR_NOT_READY)
				return;
			wl_gpu_check("cuEventQuery", q);
		}
		r->done++;
	}
}

static bool more(const struct settings *s, const struct run *r, uint64_t end)
{
	return !stopped && (s->work ? r->submitted < s->work : wl_now_ns() < end);
}

static void run_units(const struct settings *s, struct enemy *e, struct run *r)
{
	uint64_t end = UINT64_MAX;
	r->begin_ns = wl_now_ns();
	if (s->seconds > 0)
		end = r->begin_ns + (uint64_t)(s->seconds * 1e9);
	while (more(s, r, end)) {
		see_ends(s, r, r->submitted < s->depth ? 0 : r->submitted - s->depth + 1);
		s->kind->submit(e, r->submitted);
		WL_CU(cuEventRecord, r->event[r->submitted % DEPTH_MAX], e->stream);
		r->submitted++;
		if (r->submitted == s->depth)
			r->queued.n = 0; /* the queue is full for the first time */
		wl_samples_add(&r->queued, r->submitted - r->done);
	}
	see_ends(s, r, s->work && !stopped ? r->submitted : 0); /* all that was asked for counts */
	r->finish_ns = wl_now_ns();
	r->counted = r->done;
	if (r->done < r->submitted && s->kind->stop) {
		e->stopped = true;
		s->kind->stop(e);
	}
	WL_CU(cuCtxSynchronize);
}

/* FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t digest_of(const uint32_t *v, size_t n)
{
	uint64_t h = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < n; i++)
		for (unsigned b = 0; b < 32; b += 8)
			h = (h ^ (v[i] >> b & 0xff)) * 0x100000001b3ull;
	return h;
}

static uint32_t *words_new(size_t n)
{
	uint32_t *v = malloc(n * sizeof(*v));
	if (!v) {
		fprintf(stderr, "enemy: no memory for %zu words\n", n);
		exit(1);
	}
	return v;
}

/* The result and its digest; with --check, 1 if it is wrong. */
static int look_at_result(const struct settings *s, struct enemy *e, struct run *r)
{
	size_t i = 0;
	e->result = words_new(e->words);
	s->kind->collect(e);
	r->digest = digest_of(e->result, e->words);
	if (!s->check)
		return 0;
	uint32_t *want = words_new(e->words);
	s->kind->expect(e, r->submitted, want);
	while (i < e->words && e->result[i] == want[i])
		i++;
	if (i < e->words)
		fprintf(stderr,
		        "enemy: wrong result of '%s' after %" PRIu64 " units: word %zu is %" PRIu32
		        ", not %" PRIu32 "\n",
		        s->kind->name, r->submitted, i, e->result[i], want[i]);
	free(want);
	return i < e->words;
}

static int report(const struct settings *s, const struct enemy *e, struct run *r)
{
	struct wl_out o;
	char digest[20];
	double seconds = (double)(r->finish_ns - r->begin_ns) / 1e9;
	snprintf(digest, sizeof(digest), "%016" PRIx64, r->digest);
	wl_sort(r->queued.v, r->queued.n);
	wl_out_file(&o, s->json);
	wl_out_object(&o, NULL);
	wl_out_int(&o, "schema_version", 1);
	wl_out_string(&o, "program", "enemy");
	wl_out_string(&o, "kind", s->kind->name);
	wl_out_int(&o, "pid", getpid());
	wl_out_string(&o, "gpu", e->gpu.name);
	wl_out_uint(&o, "seed", e->seed);
	wl_out_uint(&o, "elements", e->elements);
	wl_out_uint(&o, "iterations", e->iterations);
	wl_out_uint(&o, "batch", e->batch);
	wl_out_uint(&o, "depth", s->depth);
	wl_out_uint(&o, "queued_p50", wl_percentile(r->queued.v, r->queued.n, 50));
	wl_out_uint(&o, "begin_ns", r->begin_ns);
	wl_out_uint(&o, "finish_ns", r->finish_ns);
	wl_out_uint(&o, "submitted", r->submitted);
	wl_out_uint(&o, "units", r->counted);
	wl_out_double(&o, "units_per_s", seconds > 0 ? (double)r->counted / seconds : 0);
	wl_out_bool(&o, "checked", s->check);
	wl_out_bool(&o, "ended_early", e->stopped);
	wl_out_string(&o, "digest", digest);
	wl_out_end(&o);
	return wl_out_close(&o);
}

int main(int argc, char **argv)
{
	static struct run r;
	struct settings s = {.seconds = 10, .json = "-"};
	struct enemy e = {.seed = 1};
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	parse(&s, &e, argc, argv);
	complete(&s, &e);
	wl_gpu_open(&e.gpu, enemy_fatbin);
	s.kind->open(&e);
	for (unsigned i = 0; i < DEPTH_MAX; i++)
		WL_CU(cuEventCreate, &r.event[i], CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING);
	if (s.stamps)
		enemy_stamps_begin(&e.gpu);
	fprintf(stderr, "enemy: running '%s' on %s: %u elements, %u iterations, batch %u\n",
	        s.kind->name, e.gpu.name, e.elements, e.iterations, e.batch);

	run_units(&s, &e, &r);
	int rc = look_at_result(&s, &e, &r);
	if (!rc)
		rc = report(&s, &e, &r);
	if (!rc && s.stamps)
		rc = enemy_stamps_write(&e.gpu, s.stamps);
	for (unsigned i = 0; i < DEPTH_MAX; i++)
		WL_CU(cuEventDestroy, r.event[i]);
	s.kind->close(&e);
	wl_gpu_close(&e.gpu);
	wl_samples_fini(&r.queued);
	free(e.result);
	return rc ? 1 : 0;
}
