// SPDX-License-Identifier: Apache-2.0
/*
 * late.c: a program whose requests are late in a known way. It declares them (include/rein.h), one
 * every PERIOD ms: KERNELS kernels `add`, until they are done, then whatever is planted, then one
 * kernel more.
 *
 *	late REQUESTS PERIOD KERNELS [host=MS] [profiler=MS] [copy=KIB] [cpu=N] [wait=FILE]
 *
 *   host=MS      in every fourth request so much CPU time between the synchronisations
 *   profiler=MS  in every fourth a CUPTI callback that keeps each launch so long
 *   copy=KIB     each request copies so much to the GPU first
 *   cpu=N        runs on that CPU only
 *   wait=FILE    begins once the file is there
 *
 * Of each request a line, in ns of CLOCK_MONOTONIC: when it began and ended; what the CPU phase
 *took, and for how long of that its thread could have run and did not, by the kernel's scheduler;
 *what the launches took, and again for how long of that; and for how long in all; when the last
 *launch was made.
 */
#include "../../include/rein.h"
#include "api_client.h"

#include <sched.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<cupti.h>)
#include <cupti.h>
#define HAVE_CUPTI 1
#endif

#define MS 1000000ull

static struct {
	unsigned requests, period_ms, kernels, host_ms, profiler_ms, copy_kib;
	const char *wait;
} plan;
static struct gpu gpu;
static CUstream stream;
static CUdeviceptr memory;
static char *copied;
static bool planted; /* in this request */
static uint64_t calls_ns, calls_queued_ns;

static uint64_t now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000ull),
	                     .tv_nsec = (long)(ns % 1000000000ull)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

/* What its thread waited for a CPU so far. */
static uint64_t queued_ns(void)
{
	unsigned long long ran, waited = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "r");
	if (f) {
		CHECK(fscanf(f, "%llu %llu", &ran, &waited) == 2);
		fclose(f);
	}
	return waited;
}

/* ---------------------------------------------------------------- a profiler */

#ifdef HAVE_CUPTI
static void CUPTIAPI on_launch(void *unused, CUpti_CallbackDomain domain, CUpti_CallbackId id,
                               const void *data)
{
	const CUpti_CallbackData *d = data;
	if (planted && d->callbackSite == CUPTI_API_ENTER)
		sleep_until(now(CLOCK_MONOTONIC) + plan.profiler_ms * MS);
}

static void profile(void)
{
	void *lib = dlopen("libcupti.so.13", RTLD_NOW | RTLD_LOCAL);
	CHECK(lib);
	__typeof__(&cuptiSubscribe) subscribe =
	    (__typeof__(&cuptiSubscribe))dlsym(lib, "cuptiSubscribe");
	__typeof__(&cuptiEnableCallback) enable =
	    (__typeof__(&cuptiEnableCallback))dlsym(lib, "cuptiEnableCallback");
	CUpti_SubscriberHandle handle = NULL;
	CHECK(subscribe && subscribe(&handle, on_launch, NULL) == CUPTI_SUCCESS);
	CHECK(enable && enable(1, handle, CUPTI_CB_DOMAIN_DRIVER_API,
	                       CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel) == CUPTI_SUCCESS);
}
#else
static void profile(void)
{
	puts("skipped: no cupti.h");
	exit(77);
}
#endif

/* ---------------------------------------------------------------- a request */

static void launch_one(void)
{
	uint64_t before = queued_ns(), began = now(CLOCK_MONOTONIC);
	OK(launch(gpu.add, memory, 1, 128, stream));
	calls_ns += now(CLOCK_MONOTONIC) - began;
	calls_queued_ns += queued_ns() - before;
}

static void compute(void)
{
	uint64_t until = now(CLOCK_THREAD_CPUTIME_ID) + plan.host_ms * MS;
	while (now(CLOCK_THREAD_CPUTIME_ID) < until)
		;
}

static void serve(unsigned i)
{
	planted = i % 4 == 3;
	calls_ns = calls_queued_ns = 0;
	uint64_t queued = 0, host = 0, queued_before = queued_ns();
	uint64_t begin = now(CLOCK_MONOTONIC);
	uint64_t request = rein_request_begin(begin, 0);
	CHECK(request);
	if (plan.copy_kib)
		OK(cuMemcpyHtoDAsync(memory, copied, plan.copy_kib << 10, stream));
	for (unsigned k = 0; k < plan.kernels; k++)
		launch_one();
	OK(cuStreamSynchronize(stream));
	if (plan.host_ms && planted) {
		uint64_t began = now(CLOCK_MONOTONIC), before = queued_ns();
		compute();
		queued = queued_ns() - before;
		host = now(CLOCK_MONOTONIC) - began;
	}
	uint64_t last = now(CLOCK_MONOTONIC);
	launch_one();
	OK(cuStreamSynchronize(stream));
	uint64_t end = now(CLOCK_MONOTONIC);
	rein_request_end(request);
	const uint64_t told[] = {
	    begin, end, host, queued, calls_ns, calls_queued_ns, queued_ns() - queued_before, last};
	for (unsigned k = 0; k < sizeof(told) / sizeof(told[0]); k++)
		printf("%llu%s", (unsigned long long)told[k], k < 7 ? " " : "\n");
	fflush(stdout);
}

/* ---------------------------------------------------------------- the program */

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

static void run_on(unsigned cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static void parse(int argc, char **argv)
{
	CHECK(argc >= 4);
	plan.requests = number(argv[1]);
	plan.period_ms = number(argv[2]);
	plan.kernels = number(argv[3]);
	for (int i = 4; i < argc; i++) {
		char *value = argv[i];
		const char *name = strsep(&value, "=");
		CHECK(value);
		if (strcmp(name, "host") == 0)
			plan.host_ms = number(value);
		else if (strcmp(name, "profiler") == 0)
			plan.profiler_ms = number(value);
		else if (strcmp(name, "copy") == 0)
			plan.copy_kib = number(value);
		else if (strcmp(name, "cpu") == 0)
			run_on(number(value));
		else
			plan.wait = value;
	}
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	if (plan.profiler_ms)
		profile();
	gpu = gpu_open();
	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	size_t bytes = plan.copy_kib ? (size_t)plan.copy_kib << 10 : 4096;
	OK(cuMemAlloc(&memory, bytes));
	OK(cuMemHostAlloc((void **)&copied, bytes, 0));
	memset(copied, 0, bytes);
	OK(cuMemsetD32(memory, 0, 128));
	while (!rein_joined())
		sleep_until(now(CLOCK_MONOTONIC) + MS);
	for (int i = 0; plan.wait && access(plan.wait, F_OK) != 0; i++) {
		CHECK(i < 60000);
		sleep_until(now(CLOCK_MONOTONIC) + MS);
	}
	uint64_t next = now(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < plan.requests; i++, next += plan.period_ms * MS) {
		sleep_until(next);
		serve(i);
	}
	return 0;
}
