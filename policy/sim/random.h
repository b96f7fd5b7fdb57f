// SPDX-License-Identifier: Apache-2.0
/*
 * random.h: random numbers that are the same on every machine: a state of 64 bits that the caller
 * owns, started with any seed.
 *
 * Sources: splitmix64, Steele, Lea & Flood, "Fast splittable pseudorandom number generators",
 * OOPSLA 2014; UUniFast, Bini & Buttazzo, "Measuring the performance of schedulability tests",
 * Real-Time Systems 30, 2005.
 */
#ifndef REIN_SIM_RANDOM_H
#define REIN_SIM_RANDOM_H

#include <stdint.h>

uint64_t rein_sim_random(uint64_t *state);
/* Evenly in [0, 1). */
double rein_sim_uniform(uint64_t *state);
/* Evenly in [lo, hi], both included. */
uint64_t rein_sim_between(uint64_t *state, uint64_t lo, uint64_t hi);
/* Exponential with this mean; at most 64 times the mean. */
uint64_t rein_sim_exponential(uint64_t *state, uint64_t mean_ns);
/* So that the logarithm is even in [lo, hi]. */
uint64_t rein_sim_log_uniform(uint64_t *state, uint64_t lo, uint64_t hi);
/* n utilisations that add up to `total`, evenly among all such sets. */
void rein_sim_uunifast(uint64_t *state, unsigned n, double total, double *u);

#endif
