// SPDX-License-Identifier: Apache-2.0
/*
 * bench_sim.c: how many events a second the simulator (policy/sim) goes through on this machine's
 * CPU, under the policies, with few clients and with many. The fastest of some rounds: what the
 * machine takes from us makes one slower only. CPU time.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../common/clock.h"
#include "../policy/sim/sim.h"
#include "lib/jsonout.h"
#include "lib/benchout.h"
#include "lib/table.h"

#define ROUNDS 5
#define CLIENTS_MAX 256
#define WANTED 1e6 /* events a second, with 16 clients or fewer */

static double cpu_seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* One endless client in four; requests of 8 kernels of 100 µs, at a load of about 0.7 in all. */
static struct rein_sim_client client(unsigned i, unsigned n)
{
	struct rein_sim_client c = {.name = "c",
	                            .policy = {.prio = (int)(i % 100),
	                                       .weight = 100 * (1 + i % 8),
	                                       .band = REIN_BAND_INTERACTIVE,
	                                       .linger_us = REIN_POLICY_LINGER_US,
	                                       .backlog_ns = REIN_POLICY_BACKLOG_NS,
	                                       .backlog_launches = REIN_POLICY_BACKLOG_LAUNCHES},
	                            .arrival = REIN_SIM_POISSON,
	                            .period_ns = n * REIN_MS,
	                            .kernels = 8,
	                            .kernel_ns = 100 * REIN_US};
	if (i % 4 == 0) {
		c.policy.prio = 0;
		c.policy.band = REIN_BAND_BATCH;
		c.arrival = REIN_SIM_ENDLESS;
	}
	return c;
}

/* Millions of events a second; negative after one line. */
static double rate(const struct rein_policy_ops *ops, unsigned n)
{
	struct rein_sim_client c[CLIENTS_MAX];
	double best = 0;
	for (unsigned i = 0; i < n; i++)
		c[i] = client(i, n);
	const struct rein_sim_setup setup = {.ops = ops,
	                                     .seed = 1,
	                                     .duration_ns = 5 * REIN_S,
	                                     .timeslice_ns = 2 * REIN_MS,
	                                     .switch_ns = 50 * REIN_US,
	                                     .reaction_ns = 5 * REIN_US,
	                                     .client = c,
	                                     .n = n};
	for (int round = 0; round < ROUNDS; round++) {
		REIN_AUTO_SIM struct rein_sim *s = NULL;
		char why[200];
		if (rein_sim_new(&setup, &s, why, sizeof(why))) {
			fprintf(stderr, "bench_sim: %s\n", why);
			return -1;
		}
		double t0 = cpu_seconds();
		rein_sim_run(s);
		double now = (double)rein_sim_totals(s)->events / (cpu_seconds() - t0) / 1e6;
		best = now > best ? now : best;
	}
	return best;
}

static int run(const char *out)
{
	static const unsigned clients[] = {4, 16, 256};
	struct wl_table t = {.columns = 4};
	struct wl_out o;
	char path[PATH_MAX], cell[3][32];
	snprintf(path, sizeof(path), "%s/sim.json", out);
	wl_out_file(&o, path);
	wl_out_object(&o, NULL);
	wl_out_uint(&o, "schema_version", 1);
	wl_out_array(&o, "rows");
	wl_table_row(&t, "simulator, M events/s", "4 clients", "16", "256");
	for (unsigned p = 0; rein_policies[p]; p++) {
		for (unsigned i = 0; i < REIN_ARRAY_LEN(clients); i++) {
			double r = rate(rein_policies[p], clients[i]);
			if (r < 0)
				return 1;
			snprintf(cell[i], sizeof(cell[i]), "%.2f%s", r,
			         i < 2 && r * 1e6 < WANTED ? " (NOT 1)" : "");
			wl_out_object(&o, NULL);
			wl_out_string(&o, "policy", rein_policies[p]->name);
			wl_out_uint(&o, "clients", clients[i]);
			wl_out_double(&o, "events_per_s", r * 1e6);
			wl_out_end(&o);
		}
		wl_table_row(&t, rein_policies[p]->name, cell[0], cell[1], cell[2]);
	}
	wl_out_end(&o);
	wl_out_end(&o);
	printf(
	    "\nThe simulator on this machine's CPU, the fastest of %d rounds; wanted: 1 with up to "
	    "16 clients.\n\n",
	    ROUNDS);
	wl_table_markdown(&t, stdout);
	if (wl_out_close(&o))
		return 1;
	printf("\n%s\n", path);
	return 0;
}

static const char usage[] = "usage: bench_sim [--out DIR]\n"
			    "  --out DIR      where sim.json goes (default: bench/ in the build "
			    "folder)\n"
			    "Exit status: 0 done, 1 a measurement failed, 2 usage.\n";

int main(int argc, char **argv)
{
	char out[PATH_MAX / 2];
	return wl_bench_out(argc, argv, usage, out, sizeof(out)) ? 1 : run(out);
}
