// SPDX-License-Identifier: Apache-2.0
#include "ticks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "util.h"

#define CLOCKSOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define FIRST_PAIRS_NS (5 * REIN_MS)
#define PAIR_NS (100 * REIN_MS) /* pairs nearer than that say little of the rate */
#define READINGS 5              /* the closest of them makes the pair */

#if defined(__x86_64__)
#include <cpuid.h>

bool rein_ticks_invariant(void)
{
	unsigned a, b, c, d = 0;
	char name[8] = "";
	REIN_AUTO_CLOSE int fd = open(CLOCKSOURCE, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, name, sizeof(name) - 1) < 4 || strcmp(name, "tsc\n") != 0)
		return false;
	return __get_cpuid(0x80000007, &a, &b, &c, &d) && d & 1u << 8;
}

bool rein_ticks_allowed(void)
{
	int saved = errno, mode = PR_TSC_SIGSEGV;
	bool allowed = prctl(PR_GET_TSC, &mode) == 0 && mode == PR_TSC_ENABLE;
	errno = saved;
	return allowed;
}
#else
bool rein_ticks_invariant(void)
{
	return false;
}

bool rein_ticks_allowed(void)
{
	return false;
}
#endif

/* Both clocks at one moment: the reading of one between two of the other that were closest. */
static void read_pair(uint64_t *tick, uint64_t *ns)
{
	uint64_t best = UINT64_MAX;
	for (unsigned i = 0; i < READINGS; i++) {
		uint64_t before = rein_ticks(), now = rein_now_ns(), after = rein_ticks();
		if (after - before >= best)
			continue;
		best = after - before;
		*tick = before + best / 2;
		*ns = now;
	}
}

void rein_tick_clock_pair(struct rein_tick_clock *c, uint64_t tick, uint64_t ns)
{
	if (c->ns && (ns <= c->ns || tick <= c->tick))
		return;
	if (c->ns && (!c->ns_per_tick || ns - c->ns >= PAIR_NS))
		c->ns_per_tick = (double)(ns - c->ns) / (double)(tick - c->tick);
	else if (c->ns)
		return; /* the old rate carries as far as that */
	c->tick = tick;
	c->ns = ns;
}

void rein_tick_clock_adjust(struct rein_tick_clock *c)
{
	uint64_t tick = 0, ns = 0;
	read_pair(&tick, &ns);
	rein_tick_clock_pair(c, tick, ns);
}

void rein_tick_clock_init(struct rein_tick_clock *c)
{
	struct timespec wait = rein_timespec(FIRST_PAIRS_NS);
	memset(c, 0, sizeof(*c));
	rein_tick_clock_adjust(c);
	nanosleep(&wait, NULL);
	rein_tick_clock_adjust(c);
}
