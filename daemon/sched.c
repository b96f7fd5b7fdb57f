// SPDX-License-Identifier: Apache-2.0
#include "sched.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/log.h"

#define FIFO_PRIORITY 10
#define LOOK_NS REIN_MS

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static bool set_policy(int policy, int priority)
{
	const struct sched_param param = {.sched_priority = priority};
	return sched_setscheduler(0, policy | SCHED_RESET_ON_FORK, &param) == 0;
}

void rein_sched_init(struct rein_sched *s)
{
	cpu_set_t set;
	s->cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
	s->loadavg_fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	s->core_free = false;
	s->looked_ns = 0;
	/* nice holds for the thread; it counts while the thread is not FIFO */
	if (setpriority(PRIO_PROCESS, (id_t)gettid(), -20) < 0)
		rein_debug("no nice -20 for the arbiter: %s", strerror(errno));
	s->may_fifo = s->is_fifo = set_policy(SCHED_FIFO, FIFO_PRIORITY);
	if (!s->may_fifo)
		rein_debug("no SCHED_FIFO for the arbiter: %s", strerror(errno));
	/* Locking as pages are touched; a sanitizer's shadow memory must not be locked at all. */
	if (!SANITIZED && mlockall(MCL_CURRENT | MCL_ONFAULT) < 0)
		rein_debug("memory is not locked: %s", strerror(errno));
}

void rein_sched_fini(struct rein_sched *s)
{
	if (s->loadavg_fd >= 0)
		close(s->loadavg_fd);
}

void rein_sched_sleeping(struct rein_sched *s)
{
	if (s->may_fifo && !s->is_fifo)
		s->is_fifo = set_policy(SCHED_FIFO, FIFO_PRIORITY);
}

void rein_sched_spinning(struct rein_sched *s)
{
	if (s->is_fifo)
		s->is_fifo = !set_policy(SCHED_OTHER, 0);
}

bool rein_sched_core_is_free(struct rein_sched *s, uint64_t now_ns)
{
	if (s->cpus < 3 || s->loadavg_fd < 0)
		return false;
	if (s->looked_ns && now_ns - s->looked_ns < LOOK_NS)
		return s->core_free;
	/* "0.20 0.18 0.12 1/80 11206": the fourth field is the threads runnable now, with us */
	char text[64];
	ssize_t n = pread(s->loadavg_fd, text, sizeof(text) - 1, 0);
	s->looked_ns = now_ns;
	s->core_free = false;
	if (n <= 0)
		return false;
	text[n] = 0;
	const char *p = text;
	for (int field = 0; p && field < 3; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	s->core_free = p && atoi(p) <= s->cpus;
	return s->core_free;
}
