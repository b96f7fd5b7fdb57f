// SPDX-License-Identifier: Apache-2.0
#include "trace.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

#include "stream.h"

#define LOOK_AGAIN 1024u /* records in the shared ring before a thread looks for one of its own */

rein_a32 rein_trace_clock;

static rein_a64 owner[REIN_RING_SHARED]; /* thread | number of the claim << 32; 0: free */
static rein_a32 claims;

static bool has_ended(uint32_t thread)
{
	return syscall(SYS_tgkill, getpid(), (pid_t)thread, 0) < 0 && errno == ESRCH;
}

/* Each claim has a number: so of two that find the same thread gone, or gone and come back, only
 * one gets its ring. */
static bool claim(unsigned ring, uint64_t seen, uint32_t thread)
{
	uint64_t mine = (uint64_t)(rein_add_relaxed(&claims, 1) + 1) << 32 | thread;
	if (!rein_cas(&owner[ring], &seen, mine))
		return false;
	rein_tls.ring = ring + 1;
	return true;
}

/* First a free one, or that of a thread that had our ID; then one whose thread has ended. */
static void find_ring(uint32_t thread)
{
	for (unsigned i = 0; i < REIN_RING_SHARED; i++) {
		uint64_t seen = rein_load_relaxed(&owner[i]);
		if ((!seen || (uint32_t)seen == thread) && claim(i, seen, thread))
			return;
	}
	for (unsigned i = 0; i < REIN_RING_SHARED; i++) {
		uint64_t seen = rein_load_relaxed(&owner[i]);
		if (has_ended((uint32_t)seen) && claim(i, seen, thread))
			return;
	}
	rein_tls.ring = REIN_RING_SHARED + 1;
}

static __attribute__((noinline, cold)) void first_record(void)
{
	int saved = errno;
	if (!rein_tls.kernel_thread)
		rein_tls.kernel_thread = (uint32_t)syscall(SYS_gettid);
	find_ring(rein_tls.kernel_thread);
	errno = saved;
}

void rein_trace_write(uint64_t what, uint64_t begin, uint64_t end, uint64_t where, uint64_t func,
                      uint64_t a, uint64_t b)
{
	if (REIN_UNLIKELY(!rein_tls.ring))
		first_record();
	const uint64_t word[8] = {rein_tls.kernel_thread, what, begin, end, where, func, a, b};
	if (REIN_LIKELY(rein_tls.ring <= REIN_RING_SHARED)) {
		rein_ring_put(REIN_RINGS, rein_tls.ring - 1, word);
		return;
	}
	rein_ring_put_shared(REIN_RINGS, word);
	if (++rein_tls.ring % LOOK_AGAIN == 0)
		rein_tls.ring = 0;
}

/* In the shared ring a number without a record would be waited for. */
void rein_trace_lose(uint64_t records)
{
	if (REIN_UNLIKELY(!rein_tls.ring))
		first_record();
	if (rein_tls.ring <= REIN_RING_SHARED) {
		rein_ring_skip(REIN_RINGS, rein_tls.ring - 1, records);
		return;
	}
	uint64_t none = rein_trace_what(REIN_TRACE_NONE, 0, 0, 0);
	for (uint64_t i = 0; i < records && i < REIN_RING_CELLS; i++)
		rein_trace_write(none, 0, 0, 0, 0, 0, 0);
}

void rein_trace_wait(enum rein_trace_kind kind, unsigned flags, uint64_t since_ns, uint32_t stream,
                     uint32_t holder)
{
	if (rein_trace_on())
		rein_trace_write(rein_trace_what(kind, flags, 0, 0), since_ns, rein_now_ns(),
		                 stream | (uint64_t)holder << 32, 0, 0, 0);
}

void rein_trace_mark(enum rein_trace_kind kind, uint64_t since_ns, uint64_t request,
                     uint64_t deadline_ns)
{
	if (!rein_trace_on())
		return;
	uint64_t now = rein_now_ns();
	unsigned flags = deadline_ns ? REIN_TRACE_DEADLINE : 0;
	rein_trace_write(rein_trace_what(kind, flags, 0, 0), since_ns ? since_ns : now, now,
	                 REIN_TRACE_NO_STREAM, request, deadline_ns, 0);
}
