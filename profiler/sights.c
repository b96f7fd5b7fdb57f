// SPDX-License-Identifier: Apache-2.0
/* sights.c: see sights.h. */
#include "sights.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/util.h"

struct rein_sight {
	struct rein_sight *next;
	uint64_t ns;
	struct rein_bystanders seen;
};

void rein_sights_init(struct rein_sights *s)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
}

void rein_sights_add(struct rein_sights *s, const struct rein_bystanders *seen, uint64_t now_ns)
{
	struct rein_sight *look = malloc(sizeof(*look));
	if (!look)
		return;
	look->ns = now_ns;
	look->seen = *seen;
	pthread_mutex_lock(&s->lock);
	look->next = s->fresh;
	s->fresh = look;
	pthread_mutex_unlock(&s->lock);
}

void rein_sights_begin(struct rein_sights *s, uint64_t now_ns)
{
	s->begun_ns = now_ns;
}

/* ---------------------------------------------------------------- since when */

/* When a process started, by CLOCK_MONOTONIC, to a tick; 0: it has gone, or this is not told. */
static uint64_t started_ns(pid_t pid)
{
	char path[32], line[1024];
	unsigned long long ticks = 0;
	struct timespec boot;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	REIN_AUTO_FCLOSE FILE *f = fopen(path, "re");
	const char *after = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	if (!after || sscanf(after + 1,
	                     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
	                     "%*d %*d %llu",
	                     &ticks) < 1)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	uint64_t boot_ns = (uint64_t)boot.tv_sec * REIN_S + (uint64_t)boot.tv_nsec;
	uint64_t at_ns = ticks * (REIN_S / (uint64_t)sysconf(_SC_CLK_TCK)), now_ns = rein_now_ns();
	uint64_t ago_ns = boot_ns > at_ns ? boot_ns - at_ns : 0;
	return now_ns > ago_ns ? now_ns - ago_ns : 0;
}

static bool was_seen(const struct rein_sight *s, pid_t pid)
{
	for (unsigned i = 0; s && i < s->seen.n && i < REIN_BYSTANDERS_MAX; i++)
		if (s->seen.process[i].pid == pid)
			return true;
	return false;
}

static uint64_t since_ns(const struct rein_sights *s, pid_t pid, uint64_t now_ns)
{
	uint64_t ns = s->last ? s->last->ns : s->begun_ns;
	uint64_t started = was_seen(s->last, pid) ? 0 : started_ns(pid);
	ns = started > ns ? started : ns;
	return ns < now_ns ? ns : now_ns;
}

/* ---------------------------------------------------------------- as records */

static void put(const struct rein_sights *s, const struct rein_sight *look,
                const struct rein_bpf_sink *sink)
{
	for (unsigned i = 0; i < look->seen.n && i < REIN_BYSTANDERS_MAX; i++) {
		pid_t pid = look->seen.process[i].pid;
		struct rein_bpf_named names[REIN_BPF_NAMES] = {{.pid = (uint32_t)pid}};
		const struct rein_trace_record r = {.thread = (uint32_t)pid,
		                                    .kind = REIN_TRACE_OUTSIDER,
		                                    .result = REIN_OUTSIDER_OPEN,
		                                    .begin = since_ns(s, pid, look->ns),
		                                    .end = look->ns,
		                                    .a = 1};
		snprintf(names[0].comm, sizeof(names[0].comm), "%.15s", look->seen.process[i].comm);
		sink->record(sink->arg, &r, names);
	}
}

/* The oldest one; NULL: none. */
static struct rein_sight *next_of(struct rein_sights *s)
{
	pthread_mutex_lock(&s->lock);
	struct rein_sight **at = &s->fresh;
	while (*at && (*at)->next)
		at = &(*at)->next;
	struct rein_sight *look = *at;
	*at = NULL;
	pthread_mutex_unlock(&s->lock);
	return look;
}

void rein_sights_take(struct rein_sights *s, const struct rein_bpf_sink *sink)
{
	for (struct rein_sight *look; (look = next_of(s)) != NULL;) {
		if (look->ns < s->begun_ns) { /* told late: it says nothing of this recording */
			free(look);
			continue;
		}
		put(s, look, sink);
		free(s->last);
		s->last = look;
	}
}

void rein_sights_forget(struct rein_sights *s)
{
	for (struct rein_sight *look; (look = next_of(s)) != NULL;)
		free(look);
	free(s->last);
	s->last = NULL;
}

void rein_sights_fini(struct rein_sights *s)
{
	rein_sights_forget(s);
	pthread_mutex_destroy(&s->lock);
}
