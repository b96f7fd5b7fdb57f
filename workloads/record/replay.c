// SPDX-License-Identifier: Apache-2.0
/*
 * replay.c: re-issues a trace's calls to the driver that this process finds, and compares what the
 * driver says to each.
 *
 *   replay [--limit SECONDS] TRACE[.gz]
 *
 * Calls go to what dlsym() gives for libcuda.so.1, as the CUDA runtime's do, so that a preloaded
 * shim is among them. Prints each difference on stderr and one JSON object on stdout; exit status:
 * 0 all the same, 1 differences or failure, 2 usage, 124 it took too long.
 *
 * Not a difference: a call that the driver does not support (the software GPU says so of what it
 * lacks): counted by name as unsupported. What cannot be re-issued is counted by reason: export
 * tables, refused images, and what depends on calls that could not be made.
 */
#include "replay.h"

#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTED_MAX 40
#define REASONS_MAX 64
#define THREADS_MAX 512

static const char other_function[] = "functions that cuda.h does not declare";

/* Counts by text. */
struct tally {
	struct {
		char text[96];
		int n;
	} rows[REASONS_MAX];
	int used;
};

static struct {
	struct rp_trace trace;
	void **functions;
	int replayed, different, threads, timing;
	struct tally unsupported, skipped;
} run;

static void count(struct tally *t, const char *text, size_t len)
{
	int i = 0;
	while (i < t->used && (strncmp(t->rows[i].text, text, len) || t->rows[i].text[len]))
		i++;
	if (i == REASONS_MAX)
		i--; /* the last row takes the rest */
	if (i == t->used) {
		snprintf(t->rows[i].text, sizeof(t->rows[i].text), "%.*s", (int)len, text);
		t->used++;
	}
	t->rows[i].n++;
}

/* ---------------------------------------------------------------- one call */

static const char *name_of(int status, char *buf, size_t len)
{
	const char *text = NULL;
	CUresult (*get)(CUresult, const char **) =
	    (CUresult(*)(CUresult, const char **))run.functions[rec_entry_find("cuGetErrorName")];
	if (status == CUDA_SUCCESS)
		return "success";
	if (get && get((CUresult)status, &text) == CUDA_SUCCESS && text)
		snprintf(buf, len, "%s", text);
	else
		snprintf(buf, len, "%d", status);
	return buf;
}

static void report(const struct rp_call *c, int got, const char *what)
{
	char a[64], b[64];
	if (++run.different > LISTED_MAX)
		return;
	fprintf(stderr, "replay: %s:%d: call %llu %.*s: ", run.trace.path, c->line,
	        (unsigned long long)c->seq, (int)c->name.len, c->name.at);
	if (what)
		fprintf(stderr, "%s\n", what);
	else
		fprintf(stderr, "recorded %s, got %s\n", name_of(c->status, a, sizeof(a)),
		        name_of(got, b, sizeof(b)));
}

/* Whether something has ended yet is a matter of time. */
static bool is_timing(const char *name, int a, int b)
{
	bool asks = strncmp(name, "cuEventQuery", 12) == 0 ||
	            strncmp(name, "cuStreamQuery", 13) == 0 ||
	            strncmp(name, "cuEventElapsedTime", 18) == 0;
	return asks && (a == CUDA_SUCCESS || a == CUDA_ERROR_NOT_READY) &&
	       (b == CUDA_SUCCESS || b == CUDA_ERROR_NOT_READY);
}

/* What a kernel of the program did or needed: the made-up ones do and need nothing. */
static bool is_fault(int status)
{
	return status == CUDA_ERROR_ILLEGAL_ADDRESS || status == CUDA_ERROR_LAUNCH_TIMEOUT ||
	       status == CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES ||
	       (status >= CUDA_ERROR_ASSERT && status <= CUDA_ERROR_LAUNCH_FAILED &&
	        status != CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED &&
	        status != CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

static void skip(const char *why)
{
	count(&run.skipped, why, strlen(why));
}

/* Another status that is no difference, and is counted. */
static bool excused(const char *name, int recorded, int got)
{
	if (is_timing(name, got, recorded))
		run.timing++;
	else if (is_fault(recorded))
		skip("what the program's own kernels did or needed");
	else if (got == CUDA_ERROR_NOT_SUPPORTED)
		count(&run.unsupported, name, strlen(name));
	else
		return false;
	return true;
}

static void compare(const struct rp_call *c, const struct rp_built *b, int got)
{
	const char *name = rec_entries[c->entry].name;
	bool unsupported;
	const char *what = got == c->status ? rp_differs(c, b, &unsupported) : NULL;
	if (what && unsupported)
		count(&run.unsupported, other_function, sizeof(other_function) - 1);
	else if (what || (got != c->status && !excused(name, c->status, got)))
		report(c, got, what);
}

/* The CUDA runtime makes a primary context current before it retains it: its handle comes from an
 * export table. Ours comes from retaining it for a moment. */
static void give_primary(const struct rp_call *c)
{
	struct rp_arg arg;
	struct rp_value v;
	uint64_t known;
	int device;
	CUcontext ctx = NULL;
	if (rp_args(c, &arg, 1) != 1 || !rp_value(rec_entries[c->entry].params, arg.value, &v))
		return;
	known = v.number;
	if (rp_look_up(&known) != RP_UNKNOWN || !rp_primary(v.number, &device))
		return;
	CUresult (*retain)(CUcontext *, CUdevice) = (CUresult(*)(
	    CUcontext *, CUdevice))run.functions[rec_entry_find("cuDevicePrimaryCtxRetain")];
	CUresult (*release)(CUdevice) =
	    (CUresult(*)(CUdevice))run.functions[rec_entry_find("cuDevicePrimaryCtxRelease_v2")];
	if (retain && release && retain(&ctx, device) == CUDA_SUCCESS) {
		rp_handle_put(v.number, (uintptr_t)ctx);
		release(device);
	}
}

static void replay_call(const struct rp_call *c)
{
	struct rp_built b;
	if (c->entry < 0) {
		skip("a call that this cuda.h does not declare");
		return;
	}
	const char *name = rec_entries[c->entry].name;
	if (!run.functions[c->entry]) {
		count(&run.unsupported, name, strlen(name));
		rp_lose(c);
		return;
	}
	if (c->status == CUDA_SUCCESS && strcmp(name, "cuCtxSetCurrent") == 0)
		give_primary(c);
	if (!rp_build(c, &b)) {
		skip(b.why ? b.why : "arguments that cannot be read");
		rp_lose(c);
		return;
	}
	int got = (int)rec_invoke(c->entry, run.functions[c->entry], b.args);
	run.replayed++;
	if (got == CUDA_SUCCESS && c->status == CUDA_SUCCESS)
		rp_learn(c, &b);
	else if (c->status == CUDA_SUCCESS)
		rp_lose(c);
	compare(c, &b, got);
}

/* ---------------------------------------------------------------- a thread for each recorded one
 */

struct worker {
	long tid;
	pthread_t thread;
	const struct rp_call *todo;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct worker workers[THREADS_MAX];
static bool over;

static void *work(void *arg)
{
	struct worker *w = arg;
	pthread_mutex_lock(&lock);
	while (!over) {
		if (w->todo) {
			const struct rp_call *c = w->todo;
			pthread_mutex_unlock(&lock);
			replay_call(c);
			pthread_mutex_lock(&lock);
			w->todo = NULL;
			pthread_cond_broadcast(&changed);
		} else {
			pthread_cond_wait(&changed, &lock);
		}
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static struct worker *worker_of(long tid)
{
	int i = 0;
	while (i < run.threads && workers[i].tid != tid)
		i++;
	if (i < run.threads || i == THREADS_MAX)
		return i == THREADS_MAX ? &workers[0] : &workers[i];
	workers[i].tid = tid;
	int failed = i ? pthread_create(&workers[i].thread, NULL, work, &workers[i]) : 0;
	if (failed) {
		fprintf(stderr, "replay: no thread: %s\n", strerror(failed));
		return &workers[0];
	}
	run.threads++;
	return &workers[i];
}

/* The first thread's calls are made by this one: it is the process' main thread. */
static void replay_all(void)
{
	for (int i = 0; run.trace.calls && i < run.trace.n_calls; i++) {
		struct worker *w = worker_of(run.trace.calls[i].tid);
		if (w == &workers[0]) {
			replay_call(&run.trace.calls[i]);
			continue;
		}
		pthread_mutex_lock(&lock);
		w->todo = &run.trace.calls[i];
		pthread_cond_broadcast(&changed);
		while (w->todo)
			pthread_cond_wait(&changed, &lock);
		pthread_mutex_unlock(&lock);
	}
	pthread_mutex_lock(&lock);
	over = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	for (int i = 1; i < run.threads; i++)
		pthread_join(workers[i].thread, NULL);
}

/* ---------------------------------------------------------------- main */

static bool find_functions(void)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOW);
	if (!driver) {
		fprintf(stderr, "replay: no CUDA driver: %s\n", dlerror());
		return false;
	}
	run.functions = calloc((size_t)rec_entry_count, sizeof(void *));
	for (int i = 0; run.functions && i < rec_entry_count; i++)
		run.functions[i] = dlsym(driver, rec_entries[i].name);
	return run.functions != NULL;
}

static void print_tally(const char *name, const struct tally *t)
{
	printf(", \"%s\": {", name);
	for (int i = 0; i < t->used; i++)
		printf("%s\"%s\": %d", i ? ", " : "", t->rows[i].text, t->rows[i].n);
	printf("}");
}

static int results(void)
{
	const char *base = strrchr(run.trace.path, '/');
	if (run.different > LISTED_MAX)
		fprintf(stderr, "replay: and %d more differences\n", run.different - LISTED_MAX);
	printf("{\"trace\": \"%s\", \"program\": \"%s\", \"calls\": %d, \"replayed\": %d, "
	       "\"different\": %d, \"timing\": %d, \"threads\": %d, \"cut\": %s",
	       base ? base + 1 : run.trace.path, run.trace.program, run.trace.n_calls, run.replayed,
	       run.different, run.timing, run.threads, run.trace.cut ? "true" : "false");
	print_tally("unsupported", &run.unsupported);
	print_tally("skipped", &run.skipped);
	printf("}\n");
	fflush(stdout);
	return run.different ? 1 : 0;
}

static int replay(void)
{
	if (!find_functions() || !rp_modules_plan(&run.trace))
		return 1;
	replay_all();
	int status = results();
	rp_modules_free();
	rp_free(&run.trace);
	return status;
}

/* The trace of a forked child, whose parent had called cuInit: so it is here. */
static int replay_forked(void)
{
	int status;
	if (!find_functions())
		return 1;
	CUresult (*init)(unsigned) = (CUresult(*)(unsigned))run.functions[rec_entry_find("cuInit")];
	if (init)
		init(0);
	pid_t pid = fork();
	if (pid == 0) {
		int failed = replay();
		fflush(NULL);
		_exit(failed);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("replay: fork");
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void too_long(int sig)
{
	static const char text[] = "replay: it took too long (--limit)\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(n < 0 ? 1 : 124);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"limit", required_argument, NULL, 'l'}, {0}};
	unsigned limit_s = 60;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) == 'l')
		limit_s = (unsigned)atoi(optarg);
	if (option != -1 || optind != argc - 1) {
		fprintf(stderr, "usage: replay [--limit SECONDS] TRACE[.gz]\n");
		return 2;
	}
	if (!rp_read(&run.trace, argv[optind])) {
		rp_free(&run.trace);
		return 1;
	}
	signal(SIGALRM, too_long);
	alarm(limit_s);
	return run.trace.forked ? replay_forked() : replay();
}
