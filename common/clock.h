// SPDX-License-Identifier: Apache-2.0
/* clock.h: one clock for everything, CLOCK_MONOTONIC in nanoseconds. */
#ifndef REIN_COMMON_CLOCK_H
#define REIN_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#define REIN_US 1000ull
#define REIN_MS 1000000ull
#define REIN_S 1000000000ull

static inline uint64_t rein_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * REIN_S + (uint64_t)ts.tv_nsec;
}

static inline struct timespec rein_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / REIN_S), .tv_nsec = (long)(ns % REIN_S)};
}

#endif
