// SPDX-License-Identifier: Apache-2.0
/* ctx_rival.c: a second process with a context of its own, told what to do through shared memory;
 * see ctx.h. */
#include "ctx.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/clock.h"

#define SHORT_CHUNKS 4
#define PAUSE_US 1000
#define START_MS 30000 /* a driver's first start takes seconds on large machines */

/* `wanted` is written by the parent: a serial number << 8 | mode; the rest by the rival. `served`
 * repeats `wanted` once the mode is in effect. */
struct wl_rival_shared {
	atomic_uint wanted, served;
	atomic_bool failed;
	_Atomic uint64_t progress, samples;
	double chunk_ns; /* before the first `served` */
	uint64_t latency_ns[WL_RIVAL_SAMPLES];
};

static void serve(struct wl_rival_shared *s, struct wl_load *l)
{
	unsigned served = 0;
	enum wl_rival_mode mode = WL_RIVAL_IDLE;
	while (mode != WL_RIVAL_QUIT && !atomic_load(&l->failed)) {
		unsigned wanted = atomic_load(&s->wanted);
		if (wanted != served) {
			mode = wanted & 0xff;
			uint64_t before = wl_load_progress(l);
			if (mode == WL_RIVAL_BUSY && !l->running)
				wl_load_start(l);
			else if (mode != WL_RIVAL_BUSY)
				wl_load_stop(l);
			if (mode == WL_RIVAL_BUSY)
				wl_load_moves(l, before, 5000);
			atomic_store(&s->samples, 0);
			served = wanted;
			atomic_store(&s->served, wanted);
		}
		if (mode == WL_RIVAL_SHORT) {
			uint64_t n = atomic_load(&s->samples);
			uint64_t ns = wl_load_once(l, SHORT_CHUNKS);
			if (n < WL_RIVAL_SAMPLES && ns) {
				s->latency_ns[n] = ns;
				atomic_store(&s->samples, n + 1);
			}
		}
		atomic_store(&s->progress, wl_load_progress(l));
		usleep(PAUSE_US);
	}
	wl_load_stop(l);
	atomic_store(&s->failed, atomic_load(&l->failed) != 0);
}

bool wl_rival_start(struct wl_rival *r, const void *image, const struct wl_shape *shape)
{
	static struct wl_load load;
	r->shared = mmap(NULL, sizeof(*r->shared), PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->shared == MAP_FAILED) {
		fprintf(stderr, "no memory for the rival: %s\n", strerror(errno));
		return false;
	}
	pid_t parent = getpid();
	r->pid = fork();
	if (r->pid < 0) {
		fprintf(stderr, "cannot fork: %s\n", strerror(errno));
		return false;
	}
	if (r->pid > 0)
		return true;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, SIG_DFL);
	if (getppid() != parent)
		_exit(1);
	/* a failing CUDA call exits within wl_load_open(); the parent then sees our end */
	wl_load_open(&load, image, shape);
	r->shared->chunk_ns = load.chunk_ns;
	serve(r->shared, &load);
	_exit(atomic_load(&r->shared->failed));
}

static bool alive(struct wl_rival *r)
{
	int status;
	if (r->pid > 0 && waitpid(r->pid, &status, WNOHANG) == r->pid) {
		fprintf(stderr, "the rival process has ended (status 0x%x)\n", (unsigned)status);
		r->pid = 0;
	}
	return r->pid > 0 && !atomic_load(&r->shared->failed);
}

bool wl_rival_set(struct wl_rival *r, enum wl_rival_mode mode, unsigned timeout_ms)
{
	unsigned before = atomic_load(&r->shared->wanted);
	unsigned wanted = ((before >> 8) + 1) << 8 | (unsigned)mode;
	uint64_t end = wl_now_ns() + (before ? timeout_ms : START_MS) * 1000000ull;
	atomic_store(&r->shared->wanted, wanted);
	while (atomic_load(&r->shared->served) != wanted) {
		if (!alive(r) || wl_now_ns() > end)
			return false;
		usleep(500);
	}
	return true;
}

uint64_t wl_rival_progress(const struct wl_rival *r)
{
	return atomic_load(&r->shared->progress);
}

double wl_rival_chunk_ns(const struct wl_rival *r)
{
	return r->shared->chunk_ns;
}

void wl_rival_samples(const struct wl_rival *r, struct wl_samples *s)
{
	uint64_t n = atomic_load(&r->shared->samples);
	for (uint64_t i = 0; i < n; i++)
		wl_samples_add(s, r->shared->latency_ns[i]);
}

void wl_rival_stop(struct wl_rival *r)
{
	if (r->pid > 0 && !wl_rival_set(r, WL_RIVAL_QUIT, 3000) && r->pid > 0)
		kill(r->pid, SIGKILL);
	if (r->pid > 0)
		waitpid(r->pid, NULL, 0);
	r->pid = 0;
	munmap(r->shared, sizeof(*r->shared));
}
