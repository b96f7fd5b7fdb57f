// SPDX-License-Identifier: Apache-2.0
/* clock.h: CLOCK_MONOTONIC in ns. The workloads are ordinary programs and share no code with
 * the scheduler, hence their own four lines. */
#ifndef WORKLOADS_LIB_CLOCK_H
#define WORKLOADS_LIB_CLOCK_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t wl_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* Sleeps until the given time; returns early if a signal came. */
static inline void wl_sleep_until(uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000ull),
	                      .tv_nsec = (long)(ns % 1000000000ull)};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

#endif
