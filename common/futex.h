// SPDX-License-Identifier: Apache-2.0
/*
 * futex.h: waiting on a word that another process stores to. Shared futexes (not PRIVATE): the
 * key is the page of the memfd, so a read-only mapping can wait and be woken.
 */
#ifndef REIN_COMMON_FUTEX_H
#define REIN_COMMON_FUTEX_H

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "clock.h"

/* Sleeps while *word == seen, until woken or `until_ns` (CLOCK_MONOTONIC, absolute). Spurious
 * returns are normal: the caller loads the word again. May set errno; callers inside an
 * application save it. */
static inline void rein_futex_wait(const rein_a32 *word, uint32_t seen, uint64_t until_ns)
{
	struct timespec ts = rein_timespec(until_ns);
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, &ts, NULL, FUTEX_BITSET_MATCH_ANY);
}

static inline void rein_futex_wake_all(const rein_a32 *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0);
}

#endif
