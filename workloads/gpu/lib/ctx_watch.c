// SPDX-License-Identifier: Apache-2.0
/* ctx_watch.c: progress, seen from the host; see ctx.h. No CUDA. */
#include "ctx.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/clock.h"

bool wl_load_moves(const struct wl_load *l, uint64_t than, unsigned timeout_ms)
{
	uint64_t end = wl_now_ns() + timeout_ms * 1000000ull;
	while (wl_load_progress(l) == than) {
		if (wl_now_ns() > end)
			return false;
		sched_yield();
	}
	return true;
}

static void *watch(void *arg)
{
	struct wl_watch *w = arg;
	uint64_t seen = atomic_load_explicit(w->word, memory_order_relaxed);
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		uint64_t value = atomic_load_explicit(w->word, memory_order_relaxed);
		if (value == seen)
			continue;
		uint64_t now = wl_now_ns();
		seen = value;
		atomic_store(&w->last_ns, now);
		if (atomic_load(&w->armed) && atomic_load(&w->first_ns) == 0)
			atomic_store(&w->first_ns, now);
	}
	return NULL;
}

void wl_watch_start(struct wl_watch *w, _Atomic uint64_t *word)
{
	memset(w, 0, sizeof(*w));
	w->word = word;
	int err = pthread_create(&w->thread, NULL, watch, w);
	if (err) {
		fprintf(stderr, "cannot start a thread: %s\n", strerror(err));
		exit(1);
	}
}

void wl_watch_stop(struct wl_watch *w)
{
	atomic_store(&w->stop, true);
	pthread_join(w->thread, NULL);
}

void wl_watch_arm(struct wl_watch *w)
{
	atomic_store(&w->armed, false);
	atomic_store(&w->first_ns, 0);
	atomic_store(&w->armed, true);
}

uint64_t wl_watch_first(struct wl_watch *w, unsigned timeout_ms)
{
	uint64_t end = wl_now_ns() + timeout_ms * 1000000ull;
	while (atomic_load(&w->first_ns) == 0 && wl_now_ns() < end)
		sched_yield();
	atomic_store(&w->armed, false);
	return atomic_load(&w->first_ns);
}
