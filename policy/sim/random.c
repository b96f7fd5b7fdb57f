// SPDX-License-Identifier: Apache-2.0
#include "random.h"

#include <math.h>

uint64_t rein_sim_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

double rein_sim_uniform(uint64_t *state)
{
	return (double)(rein_sim_random(state) >> 11) * 0x1p-53;
}

uint64_t rein_sim_between(uint64_t *state, uint64_t lo, uint64_t hi)
{
	if (hi <= lo)
		return lo;
	return lo + (uint64_t)(rein_sim_uniform(state) * (double)(hi - lo + 1));
}

uint64_t rein_sim_exponential(uint64_t *state, uint64_t mean_ns)
{
	double x = -log1p(-rein_sim_uniform(state));
	return (uint64_t)((x < 64 ? x : 64) * (double)mean_ns);
}

uint64_t rein_sim_log_uniform(uint64_t *state, uint64_t lo, uint64_t hi)
{
	double x = exp(log((double)lo) + rein_sim_uniform(state) * log((double)hi / (double)lo));
	uint64_t n = (uint64_t)x;
	return n < lo ? lo : n > hi ? hi : n;
}

void rein_sim_uunifast(uint64_t *state, unsigned n, double total, double *u)
{
	double left = total;
	for (unsigned i = 0; i + 1 < n; i++) {
		double next = left * pow(rein_sim_uniform(state), 1.0 / (double)(n - 1 - i));
		u[i] = left - next;
		left = next;
	}
	if (n)
		u[n - 1] = left;
}
