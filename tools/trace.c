// SPDX-License-Identifier: Apache-2.0
/*
 * trace.c: `rein trace`: what the daemon recorded, as a file: for ui.perfetto.dev, as Chrome JSON,
 * or as CSV. It reads the recording's files itself, so that it also works after a daemon that is no
 * more.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "records.h"

#include "../common/clock.h"
#include "../profiler/export.h"
#include "../profiler/names.h"

#define PIDS_MAX 1024

struct trace {
	const char *file; /* "-": stdout */
	enum rein_export_format format;
	bool csv, cupti, uprobes;
	long pid;          /* 0: all */
	const char *class; /* NULL: all */
	size_t n_pids;
	uint32_t pids[PIDS_MAX];
	struct rein_cli_records records;
};

static int parse_option(struct rein_cli *cli, struct trace *t, int opt)
{
	switch (opt) {
	case 'l':
		return rein_cli_span(cli, "--last", optarg, &t->records.last_ns);
	case 'd':
		return rein_cli_span(cli, "--duration", optarg, &t->records.duration_ns);
	case 'p':
		if (rein_cli_number(optarg, 1, INT_MAX, &t->pid))
			return 0;
		return rein_cli_usage(cli, "--pid '%s' is no process", optarg);
	case 'c':
		t->class = optarg;
		return 0;
	case 'v':
		t->csv = true;
		return 0;
	case 'g':
		t->cupti = true;
		return 0;
	case 'u':
		t->uprobes = true;
		return 0;
	default:
		t->file = optarg;
		return 0;
	}
}

static bool ends_with(const char *text, const char *tail)
{
	size_t n = strlen(text), m = strlen(tail);
	return n >= m && strcmp(text + n - m, tail) == 0;
}

/* What was asked for must be one thing. */
static int check(struct rein_cli *cli, struct trace *t)
{
	if (!t->file || !*t->file)
		return rein_cli_usage(cli, "-o FILE is missing; '-' is stdout");
	bool to_stdout = strcmp(t->file, "-") == 0;
	if (cli->json && to_stdout)
		return rein_cli_usage(cli, "--json and -o - would both go to stdout");
	if (t->records.last_ns && t->records.duration_ns)
		return rein_cli_usage(cli, "--last is what was, --duration what comes: choose one");
	if (t->pid && t->class)
		return rein_cli_usage(cli, "--pid and --class: choose one");
	if ((t->cupti || t->uprobes) && !t->records.duration_ns)
		return rein_cli_usage(cli, "--%s needs --duration: it is on for so long",
		                      t->cupti ? "cupti" : "uprobes");
	t->format = t->csv || ends_with(t->file, ".csv") ? REIN_EXPORT_CSV
	            : ends_with(t->file, ".json")        ? REIN_EXPORT_CHROME
	                                                 : REIN_EXPORT_PERFETTO;
	if (to_stdout && t->format == REIN_EXPORT_PERFETTO && isatty(STDOUT_FILENO))
		return rein_cli_usage(cli, "a Perfetto trace is nothing for a terminal; name a "
		                           "file, or say --csv");
	return CLI_OPT_END;
}

static int parse(struct rein_cli *cli, int argc, char **argv, struct trace *t)
{
	static const struct option longs[] = {{"last", required_argument, NULL, 'l'},
	                                      {"duration", required_argument, NULL, 'd'},
	                                      {"pid", required_argument, NULL, 'p'},
	                                      {"class", required_argument, NULL, 'c'},
	                                      {"csv", no_argument, NULL, 'v'},
	                                      {"cupti", no_argument, NULL, 'g'},
	                                      {"uprobes", no_argument, NULL, 'u'},
	                                      {"output", required_argument, NULL, 'o'},
	                                      CLI_COMMON_OPTIONS};
	int opt, status = 0;
	while (!status && (opt = rein_cli_option(cli, argc, argv, longs, false)) >= 0)
		status = parse_option(cli, t, opt);
	if (status || opt != CLI_OPT_END)
		return status ? status : rein_cli_option_exit(opt);
	if (optind < argc)
		return rein_cli_usage(cli, "unexpected argument '%s'", argv[optind]);
	return check(cli, t);
}

/* ---------------------------------------------------------------- the daemon */

/* What it could not do of what was asked, and what it costs. */
static void say_bpf(const struct trace *t, const json_t *bpf)
{
	char why[200];
	long long probed = rein_cli_int(bpf, "uprobes"), ns = rein_cli_int(bpf, "uprobe_ns");
	rein_cli_clean(rein_cli_str(bpf, "why"), why, sizeof(why));
	if (t->uprobes && !json_is_true(json_object_get(bpf, "outsiders")))
		rein_cli_warn("processes without the shim are not watched; %s",
		              *why ? why : "the daemon does not say why");
	else if (*why)
		rein_cli_warn("%s", why);
	if (t->uprobes && probed)
		fprintf(stderr,
		        "rein: %lld process%s without the shim %s probed: each launch of theirs "
		        "costs %lld ns more\n",
		        probed, probed == 1 ? "" : "es", probed == 1 ? "is" : "are", ns);
}

static void take_pid(struct trace *t, uint32_t pid)
{
	for (size_t i = 0; i < t->n_pids; i++)
		if (t->pids[i] == pid)
			return;
	if (t->n_pids < PIDS_MAX)
		t->pids[t->n_pids++] = pid;
}

/* Recordings of older reins have no classes: of those only the daemon knows, while they run. */
static int ask_class(struct rein_cli *cli, struct trace *t)
{
	CLI_AUTO_JSON json_t *answer = NULL;
	json_t *c;
	size_t i;
	int status = rein_cli_ask(cli, json_pack("{s:s}", "op", "clients"), &answer);
	if (status)
		return status;
	json_array_foreach(json_object_get(answer, "clients"), i, c)
	{
		if (strcmp(rein_cli_str(c, "class"), t->class) == 0)
			take_pid(t, (uint32_t)rein_cli_int(c, "pid"));
	}
	return 0;
}

struct look {
	struct rein_names names;
	unsigned epoch;
	uint32_t pid; /* is it one without the shim that is in the recording? */
	bool seen;
};

static int note_names(void *arg, const struct rein_trace_record *r)
{
	struct look *l = arg;
	bool wanted = r->kind == REIN_TRACE_CLIENT || r->kind == REIN_TRACE_CLASS;
	if (r->kind == REIN_TRACE_OUTSIDER && r->thread == l->pid)
		l->seen = true;
	return wanted ? rein_names_note(&l->names, l->epoch, r) : 0;
}

/* Who is in the recording. */
static int look_over(struct rein_cli *cli, const struct trace *t, struct look *l)
{
	const struct rein_recording *r = &t->records.files;
	int err = 0;
	for (unsigned i = 0; !err && i < r->n; i++) {
		err = rein_recording_read(r, i, note_names, l);
		l->epoch += r->segment[i].last;
	}
	rein_names_settle(&l->names);
	if (!err)
		return 0;
	rein_names_free(&l->names);
	return rein_cli_fail(cli, CLI_FAILED,
	                     "no trace; the recording cannot be read: %s; try again",
	                     strerror(-err));
}

/* A wrong number would make a trace that looks as if nothing had happened. */
static int find_pid(struct rein_cli *cli, struct trace *t)
{
	struct look l = {.pid = (uint32_t)t->pid};
	int status = look_over(cli, t, &l);
	if (status)
		return status;
	for (size_t i = 0; i < l.names.clients.n; i++)
		l.seen |= l.names.clients.items[i].pid == l.pid;
	rein_names_free(&l.names);
	if (!l.seen)
		return rein_cli_fail(cli, CLI_FAILED,
		                     "no trace; no process with the PID %ld was recorded; `rein "
		                     "ps` lists the programs that run",
		                     t->pid);
	take_pid(t, l.pid);
	return 0;
}

/* The programs whose class it was last, those that have ended too. */
static int find_class(struct rein_cli *cli, struct trace *t)
{
	struct look l = {.epoch = 0};
	int status = look_over(cli, t, &l);
	if (status)
		return status;
	const struct rein_named *client = l.names.clients.items;
	for (size_t i = 0; i < l.names.clients.n; i++) {
		const char *class = rein_names_class(&l.names, client[i].who);
		if (class && strcmp(class, t->class) == 0)
			take_pid(t, client[i].pid);
	}
	bool old = l.names.clients.n && !l.names.classes.n;
	rein_names_free(&l.names);
	if (old)
		status = ask_class(cli, t);
	if (!status && !t->n_pids)
		status = rein_cli_fail(cli, CLI_FAILED,
		                       "no trace; no program of class '%s' was recorded; `rein ps "
		                       "--json` shows the classes of those that run",
		                       t->class);
	return status;
}

/* Whose GPU times will be missing, and why. */
static int say_cupti(struct rein_cli *cli, const struct trace *t)
{
	CLI_AUTO_JSON json_t *answer = NULL;
	json_t *c;
	size_t i;
	int status = rein_cli_ask(cli, json_pack("{s:s}", "op", "clients"), &answer);
	json_array_foreach(json_object_get(answer, "clients"), i, c)
	{
		char name[64];
		const char *state = rein_cli_str(c, "cupti");
		bool taken = strcmp(state, "taken") == 0, failed = strcmp(state, "failed") == 0;
		if ((t->pid && rein_cli_int(c, "pid") != t->pid) || strcmp(state, "on") == 0)
			continue;
		rein_cli_clean(rein_cli_str(c, "name"), name, sizeof(name));
		rein_cli_warn("no GPU times of %s (pid %lld): %s", name,
		              (long long)rein_cli_int(c, "pid"),
		              taken    ? "another profiler has CUPTI there"
		              : failed ? "CUPTI cannot be used there; its stderr says why"
		                       : "CUPTI had not begun there");
	}
	return status;
}

/* The recording, and which processes of it. */
static int gather(struct rein_cli *cli, struct trace *t)
{
	CLI_AUTO_JSON json_t *more = json_object();
	if (t->cupti)
		json_object_set_new(more, "cupti", json_true());
	if (t->cupti && t->pid)
		json_object_set_new(more, "pid", json_integer(t->pid));
	if (t->uprobes)
		json_object_set_new(more, "uprobes", json_true());
	t->records.more = more;
	int status = rein_cli_records(cli, &t->records);
	t->records.more = NULL;
	if (t->records.answer)
		say_bpf(t, json_object_get(t->records.answer, "bpf"));
	json_decref(t->records.answer);
	if (!status && t->cupti)
		status = say_cupti(cli, t);
	if (!status && (t->class || t->pid))
		status = t->class ? find_class(cli, t) : find_pid(cli, t);
	return status;
}

static int summarise(const struct rein_cli *cli, const struct trace *t,
                     const struct rein_export_result *r)
{
	double seconds = (double)(r->until_ns - r->from_ns) / 1e9;
	if (cli->json)
		return rein_cli_print_json(json_pack(
		    "{s:s, s:I, s:I, s:I, s:i, s:i, s:f, s:I}", "file", t->file, "events",
		    (json_int_t)r->events, "lost", (json_int_t)r->lost, "left_out",
		    (json_int_t)r->left_out, "clients", (int)r->clients, "cuts", (int)r->cuts,
		    "seconds", seconds, "clock_error_ns", (json_int_t)r->clock_ns));
	fprintf(stderr, "rein: %llu event%s of %u program%s over %.3f s in %s",
	        (unsigned long long)r->events, r->events == 1 ? "" : "s", r->clients,
	        r->clients == 1 ? "" : "s", seconds, t->file);
	if (r->lost)
		fprintf(stderr, "; %llu %s lost: the observer was too slow, or CUPTI spoiled them",
		        (unsigned long long)r->lost, r->lost == 1 ? "was" : "were");
	if (r->left_out)
		fprintf(stderr, "; %llu did not fit on %u tracks", (unsigned long long)r->left_out,
		        REIN_EXPORT_TRACKS);
	if (r->cuts)
		fprintf(stderr, "; cut where a daemon ended without closing it");
	fputs("\n", stderr);
	if (!r->until_ns)
		rein_cli_warn("nothing happened in that time; the trace is empty");
	return CLI_OK;
}

/* For long ones, while somebody watches. */
static bool shown;

static void show_progress(uint64_t done, uint64_t all)
{
	static uint64_t began_ns;
	uint64_t now_ns = rein_now_ns();
	if (!began_ns)
		began_ns = now_ns;
	if (now_ns - began_ns < REIN_S / 2 || !all)
		return;
	fprintf(stderr, "\rrein: writing, %3.0f %%", 100.0 * (double)done / (double)all);
	shown = true;
}

static int write_file(struct rein_cli *cli, struct trace *t, const struct rein_export_wish *wish)
{
	bool to_stdout = strcmp(t->file, "-") == 0;
	struct rein_export_result result;
	FILE *out = to_stdout ? stdout : fopen(t->file, "we");
	if (!out)
		return rein_cli_fail(cli, CLI_FAILED,
		                     "cannot write %s; %s; name a file in a folder of your own",
		                     t->file, strerror(errno));
	setvbuf(out, NULL, _IOFBF, 1 << 20);
	int err = rein_export_write(out, t->format, &t->records.files, wish, &result);
	int saved = errno;
	if (shown)
		fputs("\r\033[K", stderr);
	if ((to_stdout ? fflush(out) : fclose(out)) != 0 && (!err || err == -EIO)) {
		saved = errno;
		err = -EIO;
	}
	if (err)
		return rein_cli_not_written(cli, "trace", t->file, err == -EIO ? saved : -err);
	return summarise(cli, t, &result);
}

int rein_cli_trace(struct rein_cli *cli, int argc, char **argv)
{
	static struct trace t;
	memset(&t, 0, sizeof(t));
	int status = parse(cli, argc, argv, &t);
	if (status != CLI_OPT_END)
		return status;
	status = gather(cli, &t);
	if (status)
		return status;
	const struct rein_export_wish wish = {
	    .from_ns = t.records.from_ns,
	    .last_ns = t.records.alive ? 0 : t.records.last_ns,
	    .alive = t.records.alive,
	    .pids = t.n_pids ? t.pids : NULL,
	    .n_pids = t.n_pids,
	    .progress = !cli->json && isatty(STDERR_FILENO) ? show_progress : NULL};
	return write_file(cli, &t, &wish);
}
