// SPDX-License-Identifier: Apache-2.0
/*
 * sim.c: `rein sim FILE`: runs a scenario in the simulator (policy/sim), under one policy or
 * several, with one seed or several, and prints a row per policy and client.
 */
#include <errno.h>
#include <string.h>

#include "cli.h"
#include "simfile.h"
#include "simtrace.h"
#include "table.h"

#include "../common/clock.h"
#include "../common/duration.h"
#include "../policy/sim/peers.h"
#include "../policy/sim/task.h"

#define POLICIES_MAX 16
#define SEEDS_MAX 99
#define NO_BOUND UINT64_MAX

struct job {
	struct rein_simfile file;
	const char *path, *trace;
	const struct rein_policy_ops *policy[POLICIES_MAX];
	unsigned n_policies;
	long seeds;
};

struct figures { /* of one client under one policy, over all seeds */
	uint64_t done, missed, waited_ns;
	double gpu; /* its part of the SMs' time */
	uint64_t p50_ns[SEEDS_MAX], p99_ns[SEEDS_MAX], max_ns;
	uint64_t bound_ns;
};

struct outcome { /* one policy */
	const struct rein_policy_ops *ops;
	struct rein_admission admission;
	double busy, switching, starved;
	uint64_t events, decisions;
	struct figures *client;
};

static void outcome_free(struct outcome *o)
{
	free(o->client);
}

/* ---------------------------------------------------------------- running */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void take(struct outcome *o, const struct rein_sim *s, const struct job *j, unsigned seed)
{
	const struct rein_sim_totals *t = rein_sim_totals(s);
	double all_ns = (double)j->file.setup.duration_ns;
	double part = 1.0 / (all_ns * (double)j->seeds);
	o->busy += (double)t->busy_ns * part;
	o->switching += (double)t->switch_ns * part;
	o->starved += (double)t->starved_ns * part;
	o->events += t->events;
	o->decisions += t->decisions;
	for (unsigned i = 0; i < j->file.setup.n; i++) {
		const struct rein_sim_result *r = rein_sim_result(s, i);
		struct figures *f = &o->client[i];
		f->done += r->done;
		f->missed += r->missed;
		f->waited_ns += r->waited_ns;
		f->gpu += (double)r->gpu_ns * part;
		f->p50_ns[seed] = rein_sim_response(r->response, 500);
		f->p99_ns[seed] = rein_sim_response(r->response, 990);
		if (r->response_max_ns > f->max_ns)
			f->max_ns = r->response_max_ns;
	}
}

static int run_seed(struct rein_cli *cli, const struct job *j, struct rein_sim_setup *setup,
                    const char *trace_path, struct rein_sim **out)
{
	REIN_AUTO_FREE struct rein_simtrace *trace = NULL;
	char why[200] = "";
	setup->observe = NULL;
	if (trace_path) {
		trace = malloc(sizeof(*trace));
		int err = trace ? rein_simtrace_open(trace, trace_path, setup) : -ENOMEM;
		if (err)
			return rein_cli_fail(cli, CLI_FAILED,
			                     "cannot write %s; %s; choose another file", trace_path,
			                     strerror(-err));
		setup->observe = rein_simtrace_event;
		setup->arg = trace;
	}
	int err = rein_sim_new(setup, out, why, sizeof(why));
	if (!err)
		rein_sim_run(*out);
	int lost = trace ? rein_simtrace_close(trace) : 0;
	if (err)
		return rein_cli_fail(cli, err == -EINVAL ? CLI_USAGE : CLI_FAILED, "%s: %s",
		                     j->path, why);
	if (lost)
		return rein_cli_fail(cli, CLI_FAILED, "cannot write %s; %s; free some space",
		                     trace_path, strerror(-lost));
	return CLI_OK;
}

/* One policy, all seeds. Admission lowers backlogs, as the daemon does. */
static int run_policy(struct rein_cli *cli, const struct job *j, unsigned index, struct outcome *o)
{
	struct rein_sim_setup setup = j->file.setup;
	unsigned n = setup.n;
	REIN_AUTO_FREE struct rein_sim_client *client = malloc(n * sizeof(*client));
	REIN_AUTO_FREE uint64_t *bound_ns = malloc(n * sizeof(*bound_ns));
	*o = (struct outcome){.ops = j->policy[index], .client = calloc(n, sizeof(*o->client))};
	if (!client || !bound_ns || !o->client)
		return rein_cli_fail(cli, CLI_FAILED, "out of memory");
	memcpy(client, setup.client, n * sizeof(*client));
	setup.client = client;
	setup.ops = o->ops;
	int err = rein_sim_admit(&setup, client, bound_ns, &o->admission);
	if (err)
		return rein_cli_fail(cli, CLI_USAGE, "%s: under %s: %s", j->path, o->ops->name,
		                     *o->admission.why ? o->admission.why : strerror(-err));
	for (unsigned i = 0; i < n; i++)
		o->client[i].bound_ns = bound_ns[i];
	for (unsigned seed = 0; seed < (unsigned)j->seeds; seed++) {
		REIN_AUTO_SIM struct rein_sim *s = NULL;
		setup.seed = j->file.setup.seed + seed;
		const char *trace = index == 0 && seed == 0 ? j->trace : NULL;
		int status = run_seed(cli, j, &setup, trace, &s);
		if (status)
			return status;
		take(o, s, j, seed);
	}
	for (unsigned i = 0; i < n; i++) {
		qsort(o->client[i].p50_ns, (size_t)j->seeds, sizeof(uint64_t), by_value);
		qsort(o->client[i].p99_ns, (size_t)j->seeds, sizeof(uint64_t), by_value);
	}
	return CLI_OK;
}

/* ---------------------------------------------------------------- printing */

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

/* A time, or a dash where there is none to tell. */
static bool add_ms(struct rein_cli_table *t, bool told, uint64_t ns)
{
	return told ? rein_cli_table_add(t, "%.2f", ms(ns)) : rein_cli_table_add(t, "-");
}

static bool add_row(struct rein_cli_table *t, const struct job *j, const struct outcome *o,
                    unsigned i)
{
	const struct rein_sim_client *c = &j->file.client[i];
	const struct figures *f = &o->client[i];
	unsigned last = (unsigned)j->seeds - 1;
	bool waits = f->done && c->arrival != REIN_SIM_ENDLESS; /* for its results */
	char name[64];
	bool ok = rein_cli_table_add(t, "%s", o->ops->name) &&
	          rein_cli_table_add(t, "%s", rein_cli_clean(c->name, name, sizeof(name))) &&
	          rein_cli_table_add(t, "%llu", (unsigned long long)f->done) &&
	          rein_cli_table_add(t, "%.1f", 100 * f->gpu) &&
	          add_ms(t, waits, f->p50_ns[j->seeds / 2]) &&
	          add_ms(t, waits, f->p99_ns[j->seeds / 2]);
	if (ok && last)
		ok = waits
		         ? rein_cli_table_add(t, "%.2f-%.2f", ms(f->p99_ns[0]), ms(f->p99_ns[last]))
		         : rein_cli_table_add(t, "-");
	return ok && add_ms(t, waits, f->max_ns) &&
	       add_ms(t, f->bound_ns != NO_BOUND, f->bound_ns) &&
	       (c->policy.deadline_ns ? rein_cli_table_add(t, "%llu", (unsigned long long)f->missed)
	                              : rein_cli_table_add(t, "-"));
}

static int print_table(struct rein_cli *cli, const struct job *j, const struct outcome *o)
{
	static const struct rein_cli_column one[] = {
	    {"POLICY", false}, {"CLIENT", false},  {"REQUESTS", true},
	    {"GPU-%", true},   {"P50-MS", true},   {"P99-MS", true},
	    {"MAX-MS", true},  {"BOUND-MS", true}, {"MISSED", true}};
	static const struct rein_cli_column several[] = {
	    {"POLICY", false},  {"CLIENT", false}, {"REQUESTS", true},  {"GPU-%", true},
	    {"P50-MS", true},   {"P99-MS", true},  {"P99-RANGE", true}, {"MAX-MS", true},
	    {"BOUND-MS", true}, {"MISSED", true}};
	struct rein_cli_table t;
	bool ok = true;
	if (j->seeds > 1)
		rein_cli_table_init(&t, several, REIN_ARRAY_LEN(several));
	else
		rein_cli_table_init(&t, one, REIN_ARRAY_LEN(one));
	for (unsigned p = 0; p < j->n_policies; p++)
		for (unsigned i = 0; ok && i < j->file.setup.n; i++)
			ok = add_row(&t, j, &o[p], i);
	for (size_t row = 0; ok && row <= rein_cli_table_rows(&t); row++) {
		char line[CLI_COLUMNS_MAX * CLI_CELL_LEN];
		if (row > 1 && (row - 1) % j->file.setup.n == 0)
			putchar('\n');
		rein_cli_table_line(&t, row, line, sizeof(line));
		puts(line);
	}
	rein_cli_table_free(&t);
	return ok ? CLI_OK : rein_cli_fail(cli, CLI_FAILED, "out of memory");
}

static void print_outcome(const struct outcome *o)
{
	printf("%s: SMs busy %.1f %%, changing contexts %.1f %%; idle though somebody was held "
	       "%.1f %%\n",
	       o->ops->name, 100 * o->busy, 100 * o->switching, 100 * o->starved);
	if (o->admission.verdict != REIN_ADMIT_NONE)
		printf("%s: %s\n", o->ops->name, o->admission.why);
	else
		printf("%s promises nothing\n", o->ops->name);
}

static int print_text(struct rein_cli *cli, const struct job *j, const struct outcome *o)
{
	printf("simulated: %s, %.3f s, seed %llu", j->path, (double)j->file.setup.duration_ns / 1e9,
	       (unsigned long long)j->file.setup.seed);
	if (j->seeds > 1)
		printf(" and the %ld after it: medians, and the range of p99", j->seeds - 1);
	puts("");
	int status = print_table(cli, j, o);
	puts("");
	for (unsigned p = 0; p < j->n_policies; p++)
		print_outcome(&o[p]);
	return status;
}

static json_t *client_json(const struct job *j, const struct outcome *o, unsigned i)
{
	const struct figures *f = &o->client[i];
	unsigned last = (unsigned)j->seeds - 1;
	json_t *c = json_pack(
	    "{s:s, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I}", "name", j->file.client[i].name,
	    "requests", (json_int_t)f->done, "missed", (json_int_t)f->missed, "gpu_share", f->gpu,
	    "response_p50_ns", (json_int_t)f->p50_ns[j->seeds / 2], "response_p99_ns",
	    (json_int_t)f->p99_ns[j->seeds / 2], "response_p99_least_ns", (json_int_t)f->p99_ns[0],
	    "response_p99_most_ns", (json_int_t)f->p99_ns[last], "response_max_ns",
	    (json_int_t)f->max_ns, "waited_ns", (json_int_t)f->waited_ns);
	if (c && f->bound_ns != NO_BOUND)
		json_object_set_new(c, "bound_ns", json_integer((json_int_t)f->bound_ns));
	return c;
}

static int print_json(struct rein_cli *cli, const struct job *j, const struct outcome *o)
{
	static const char *const verdicts[] = {"accepted", "later", "rejected", "none"};
	json_t *policies = json_array();
	for (unsigned p = 0; p < j->n_policies; p++) {
		json_t *clients = json_array();
		for (unsigned i = 0; i < j->file.setup.n; i++)
			json_array_append_new(clients, client_json(j, &o[p], i));
		json_array_append_new(
		    policies,
		    json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:I, s:I, s:o}", "policy",
		              o[p].ops->name, "admission", verdicts[o[p].admission.verdict], "why",
		              o[p].admission.why, "busy", o[p].busy, "switching", o[p].switching,
		              "starved", o[p].starved, "events", (json_int_t)o[p].events,
		              "decisions", (json_int_t)o[p].decisions, "clients", clients));
	}
	return rein_cli_print_json(
	    json_pack("{s:b, s:s, s:I, s:I, s:I, s:o}", "simulated", 1, "file", j->path, "seed",
	              (json_int_t)j->file.setup.seed, "seeds", (json_int_t)j->seeds, "duration_ns",
	              (json_int_t)j->file.setup.duration_ns, "policies", policies));
}

/* ---------------------------------------------------------------- the command */

static int find_policies(struct rein_cli *cli, struct job *j, const char *names)
{
	char copy[REIN_SIMFILE_POLICIES], *rest = copy, *name;
	if ((size_t)snprintf(copy, sizeof(copy), "%s", names) >= sizeof(copy))
		return rein_cli_usage(cli, "the list of policies is too long");
	while ((name = strsep(&rest, ", ")) != NULL) {
		char list[400] = "";
		if (!*name)
			continue;
		const struct rein_policy_ops *ops = rein_peer_find(name);
		for (unsigned i = 0; rein_policies[i]; i++)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s, ",
			         rein_policies[i]->name);
		for (unsigned i = 0; rein_peers[i]; i++)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
			         rein_peers[i]->name, rein_peers[i + 1] ? ", " : "");
		if (!ops)
			return rein_cli_usage(cli, "there is no policy '%s'; there are %s", name,
			                      list);
		if (j->n_policies == POLICIES_MAX)
			return rein_cli_usage(cli, "at most %d policies at once", POLICIES_MAX);
		j->policy[j->n_policies++] = ops;
	}
	return j->n_policies ? CLI_OK : rein_cli_usage(cli, "no policy is named");
}

static int run(struct rein_cli *cli, struct job *j)
{
	struct outcome all[POLICIES_MAX] = {0};
	int status = CLI_OK;
	for (unsigned p = 0; !status && p < j->n_policies; p++)
		status = run_policy(cli, j, p, &all[p]);
	if (!status)
		status = cli->json ? print_json(cli, j, all) : print_text(cli, j, all);
	for (unsigned p = 0; p < j->n_policies; p++)
		outcome_free(&all[p]);
	return status;
}

static int read_file(struct rein_cli *cli, struct job *j, const char *policies, const char *seed,
                     const char *duration)
{
	char err[800];
	int got = rein_simfile_read(&j->file, j->path, err, sizeof(err));
	if (got)
		return rein_cli_fail(cli, CLI_USAGE, "%s", err);
	long first;
	if (seed && !rein_cli_number(seed, 0, INT32_MAX, &first))
		return rein_cli_usage(cli, "bad --seed '%s'; accepted: 0 to %d", seed, INT32_MAX);
	if (seed)
		j->file.setup.seed = (uint64_t)first;
	if (duration && (rein_duration_parse(duration, &j->file.setup.duration_ns) ||
	                 !j->file.setup.duration_ns))
		return rein_cli_usage(cli, "bad --duration '%s'; accepted: a time with its unit",
		                      duration);
	return find_policies(cli, j, policies ? policies : j->file.policies);
}

int rein_cli_sim(struct rein_cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"policy", required_argument, NULL, 'p'}, {"seeds", required_argument, NULL, 'n'},
	    {"seed", required_argument, NULL, 's'},   {"duration", required_argument, NULL, 'd'},
	    {"trace", required_argument, NULL, 't'},  CLI_COMMON_OPTIONS};
	struct job j = {.seeds = 1};
	const char *policies = NULL, *seed = NULL, *duration = NULL;
	int opt;
	while ((opt = rein_cli_option(cli, argc, argv, longs, false)) >= 0) {
		if (opt == 'p')
			policies = optarg;
		else if (opt == 's')
			seed = optarg;
		else if (opt == 'd')
			duration = optarg;
		else if (opt == 't')
			j.trace = optarg;
		else if (!rein_cli_number(optarg, 1, SEEDS_MAX, &j.seeds))
			return rein_cli_usage(cli, "bad --seeds '%s'; accepted: 1 to %d", optarg,
			                      SEEDS_MAX);
	}
	if (opt != CLI_OPT_END)
		return rein_cli_option_exit(opt);
	if (argc - optind != 1)
		return rein_cli_usage(cli, "name one scenario file");
	j.path = argv[optind];
	int status = read_file(cli, &j, policies, seed, duration);
	if (!status)
		status = run(cli, &j);
	rein_simfile_free(&j.file);
	return status;
}
