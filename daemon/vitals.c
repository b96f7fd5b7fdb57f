// SPDX-License-Identifier: Apache-2.0
#include "vitals.h"

#include <signal.h>
#include <time.h>

static struct rein_vitals own;
struct rein_vitals *rein_vitals = &own;

/* CPU time of this thread: while the process is stopped, or gets no processor, nothing hangs. */
void rein_vitals_admits(bool begins)
{
	static enum { UNMADE, MADE, FAILED } state;
	static timer_t timer;
	struct sigevent alarm = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	const struct itimerspec end = {.it_value.tv_sec = begins ? REIN_ADMIT_HANG_S : 0};
	if (state == UNMADE)
		state = timer_create(CLOCK_THREAD_CPUTIME_ID, &alarm, &timer) ? FAILED : MADE;
	rein_store_relaxed(&rein_vitals->admits, begins);
	if (state == MADE)
		timer_settime(timer, 0, &end, NULL);
}

const struct rein_policy_ops *rein_vitals_policy(const struct rein_vitals *v)
{
	uint64_t address = rein_load_acquire(&v->policy);
	for (unsigned i = 0; rein_policies[i]; i++)
		if ((uint64_t)(uintptr_t)rein_policies[i] == address)
			return rein_policies[i];
	return NULL;
}
