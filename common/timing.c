// SPDX-License-Identifier: Apache-2.0
#include "timing.h"

#include <errno.h>

#include "clock.h"

static bool within(uint64_t ns, uint64_t min_ns)
{
	return ns >= min_ns && ns <= REIN_TIMING_MAX_NS;
}

int rein_timing_check(const struct rein_timing *t, char *why, size_t why_len)
{
	const char *wrong = NULL;
	if (!rein_timing_any(t))
		return 0;
	if (!t->period_ns || !t->budget_ns)
		wrong =
		    !t->budget_ns && !t->period_ns
			? "a deadline needs a period and a budget: nothing can be promised about "
			  "requests of unknown number and length"
		    : t->budget_ns ? "a budget needs a period"
				   : "a period needs a budget: the GPU time that one request takes";
	else if (!within(t->period_ns, REIN_TIMING_MIN_NS))
		wrong = "the period is out of range; accepted: 100us to 3600s";
	else if (t->deadline_ns && !within(t->deadline_ns, REIN_TIMING_MIN_NS))
		wrong = "the deadline is out of range; accepted: 100us to 3600s";
	else if (!within(t->budget_ns, REIN_BUDGET_MIN_NS))
		wrong = "the budget is out of range; accepted: 10us to 3600s";
	else if (t->budget_ns > t->period_ns)
		wrong = "the budget is longer than the period";
	else if (t->deadline_ns && t->budget_ns > t->deadline_ns)
		wrong = "the budget is longer than the deadline";
	if (wrong) {
		snprintf(why, why_len, "%s", wrong);
		return -EINVAL;
	}
	return 0;
}

const char *rein_time_text(char buf[REIN_TIME_TEXT_LEN], uint64_t ns)
{
	static const struct {
		uint64_t ns;
		const char *unit;
	} units[] = {{REIN_S, "s"}, {REIN_MS, "ms"}, {REIN_US, "us"}, {1, "ns"}};
	unsigned i = 0;
	while (i + 1 < REIN_ARRAY_LEN(units) && ns < units[i].ns)
		i++;
	if (i == 0 && ns % REIN_S &&
	    ns < 10 * REIN_S) /* 1500 ms rather than 1.5 s: as it is said */
		i = 1;
	snprintf(buf, REIN_TIME_TEXT_LEN, "%.4g %s", (double)ns / (double)units[i].ns,
	         units[i].unit);
	return buf;
}
