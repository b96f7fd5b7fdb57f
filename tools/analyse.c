// SPDX-License-Identifier: Apache-2.0
/* analyse.c: `rein policy analyse FILE`: admission control for a set of tasks on paper. No daemon
 * is asked. Exit status: 0 all deadlines are kept, 1 not, 2 usage. */
#include <string.h>

#include "cli.h"
#include "table.h"
#include "taskfile.h"

#define EXIT_NOT_SAFE 1

struct paper {
	struct rein_taskfile file;
	struct rein_admission answer;
	uint64_t backlog_ns[REIN_POLICY_TASKS_MAX], response_ns[REIN_POLICY_TASKS_MAX];
	double utilisation;
};

static uint64_t deadline(const struct rein_task *t)
{
	return t->deadline_ns ? t->deadline_ns : t->period_ns;
}

/* The bounds that go with the answer: what each keeps queued, and how late it can be. */
static void find_bounds(struct paper *p, const struct rein_policy_ops *ops)
{
	const struct rein_taskfile *f = &p->file;
	struct rein_bounds b = {.backlog_ns = p->backlog_ns, .response_ns = p->response_ns};
	uint64_t limit =
	    p->answer.backlog_ns ? p->answer.backlog_ns : REIN_ADMISSION_BACKLOG_MIN_NS;
	for (unsigned i = 0; i < f->n; i++) {
		const struct rein_task *t = &f->task[i];
		p->backlog_ns[i] = t->backlog_ns < limit ? t->backlog_ns : limit;
		p->response_ns[i] = UINT64_MAX;
		if (t->period_ns)
			p->utilisation += (double)t->cost_ns / (double)t->period_ns;
	}
	if (ops->admit)
		(void)ops->admit(&f->params, f->task, f->n, &b);
}

static const char *verdict(const struct paper *p, unsigned i)
{
	const struct rein_task *t = &p->file.task[i];
	if (!t->period_ns)
		return "no timing";
	if (p->response_ns[i] == UINT64_MAX)
		return "no bound";
	return p->response_ns[i] <= deadline(t) ? "safe" : "can miss";
}

/* ---------------------------------------------------------------- for people */

static void add_ms(struct rein_cli_table *t, bool known, double ns)
{
	if (known)
		(void)rein_cli_table_add(t, "%.2f", ns / 1e6);
	else
		(void)rein_cli_table_add(t, "-");
}

static void print_table(const struct paper *p, const char *policy)
{
	static const struct rein_cli_column columns[] = {
	    {"TASK", false},    {"PRIO", true},   {"PERIOD", true},
	    {"DEADLINE", true}, {"BUDGET", true}, {"QUEUE", true},
	    {"BOUND", true},    {"SLACK", true},  {"VERDICT", false},
	};
	struct rein_cli_table t;
	char line[256];
	rein_cli_table_init(&t, columns, REIN_ARRAY_LEN(columns));
	for (unsigned i = 0; i < p->file.n; i++) {
		const struct rein_task *task = &p->file.task[i];
		bool timed = task->period_ns, bound = p->response_ns[i] != UINT64_MAX;
		(void)rein_cli_table_add(&t, "%s", task->name);
		(void)rein_cli_table_add(&t, "%d", task->prio);
		add_ms(&t, timed, (double)task->period_ns);
		add_ms(&t, timed, (double)deadline(task));
		add_ms(&t, timed, (double)task->cost_ns);
		add_ms(&t, true, (double)p->backlog_ns[i]);
		add_ms(&t, bound, (double)p->response_ns[i]);
		add_ms(&t, bound, (double)deadline(task) - (double)p->response_ns[i]);
		(void)rein_cli_table_add(&t, "%s", verdict(p, i));
	}
	for (size_t i = 0; i <= rein_cli_table_rows(&t); i++) {
		rein_cli_table_line(&t, i, line, sizeof(line));
		puts(line);
	}
	rein_cli_table_free(&t);
	printf("policy %s, utilisation %.2f, times in ms\n%s\n", policy, p->utilisation,
	       p->answer.why);
}

/* ---------------------------------------------------------------- for programs */

static json_t *ms_or_null(bool known, double ns)
{
	return known ? json_real(ns / 1e6) : json_null();
}

static int print_json(const struct paper *p, const char *policy, bool safe)
{
	const struct rein_taskfile *f = &p->file;
	const struct rein_admission *a = &p->answer;
	json_t *tasks = json_array();
	for (unsigned i = 0; i < f->n; i++) {
		const struct rein_task *t = &f->task[i];
		bool timed = t->period_ns, bound = p->response_ns[i] != UINT64_MAX;
		json_array_append_new(
		    tasks,
		    json_pack("{s:s, s:i, s:o, s:o, s:o, s:f, s:o, s:o, s:s}", "name", t->name,
		              "prio", t->prio, "period_ms", ms_or_null(timed, (double)t->period_ns),
		              "deadline_ms", ms_or_null(timed, (double)deadline(t)), "budget_ms",
		              ms_or_null(timed, (double)t->cost_ns), "backlog_ms",
		              (double)p->backlog_ns[i] / 1e6, "bound_ms",
		              ms_or_null(bound, (double)p->response_ns[i]), "slack_ms",
		              ms_or_null(bound, (double)deadline(t) - (double)p->response_ns[i]),
		              "verdict", verdict(p, i)));
	}
	json_t *binding = a->binding < f->n ? json_string(f->task[a->binding].name) : json_null();
	rein_cli_print_json(json_pack(
	    "{s:s, s:b, s:f, s:o, s:o, s:s, s:o}", "policy", policy, "safe", safe, "utilisation",
	    p->utilisation, "binding", binding, "backlog_ms",
	    ms_or_null(a->backlog_ns != UINT64_MAX && a->backlog_ns, (double)a->backlog_ns), "why",
	    a->why, "tasks", tasks));
	return safe ? CLI_OK : EXIT_NOT_SAFE;
}

/* ---------------------------------------------------------------- the command */

static int analyse(const struct rein_cli *cli, struct paper *p, const char *path,
                   const struct rein_policy_ops *ops)
{
	char err[512];
	if (rein_taskfile_read(&p->file, path, err, sizeof(err)))
		return rein_cli_usage(cli, "%s", err);
	ops = ops ? ops : p->file.ops ? p->file.ops : rein_policies[0];
	if (rein_admission_ask(ops, &p->file.params, p->file.task, p->file.n, p->file.n,
	                       &p->answer))
		return rein_cli_usage(cli, "%s: %s", path, p->answer.why);
	find_bounds(p, ops);
	bool safe = p->answer.verdict == REIN_ADMIT_ACCEPT;
	if (cli->json)
		return print_json(p, ops->name, safe);
	print_table(p, ops->name);
	return safe ? CLI_OK : EXIT_NOT_SAFE;
}

int rein_cli_policy_analyse(struct rein_cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {{"policy", required_argument, NULL, 'p'},
	                                      CLI_COMMON_OPTIONS};
	const struct rein_policy_ops *ops = NULL;
	int opt;
	while ((opt = rein_cli_option(cli, argc, argv, longs, false)) >= 0) {
		char known[256];
		rein_taskfile_policies(known, sizeof(known));
		ops = rein_policy_find(optarg);
		if (!ops)
			return rein_cli_usage(cli, "unknown policy '%s'; accepted: %s", optarg,
			                      known);
	}
	if (opt != CLI_OPT_END)
		return rein_cli_option_exit(opt);
	if (optind + 1 != argc)
		return rein_cli_usage(cli, "analyse takes one file with [task NAME] sections");
	REIN_AUTO_FREE struct paper *p = calloc(1, sizeof(*p));
	if (!p)
		return rein_cli_fail(cli, CLI_FAILED, "out of memory");
	return analyse(cli, p, argv[optind], ops);
}
