// SPDX-License-Identifier: Apache-2.0
/*
 * commands.c: the table of subcommands, and how `rein` finds the one that is meant. A new
 * subcommand is one function and one row here.
 */
#include <errno.h>
#include <string.h>

#include "cli.h"

#include "../common/sock.h"

#define PRIO_HELP                                                                                  \
	"Priorities go from 0 to 99 and a HIGHER number is MORE urgent: 99 is the most urgent,\n"  \
	"0 is best effort.\n"

static int rein_cli_help(struct rein_cli *cli, int argc, char **argv);

const struct rein_cli_command rein_cli_commands[] = {
    {"run", rein_cli_run, "run a program under rein",
     "[--prio N] [--class C] [--name S] [--deadline T --period T --budget T [--accept-later]]\n"
     "         [--weight N] [--latency-nice N] [--job J] [--sms N] [--softgpu] [--stand-in]\n"
     "         [--no-start] [--dry-run] [--json] -- PROGRAM [ARG]...",
     "  --prio N     priority of the program's GPU work (default: its class')\n"
     "  --class C    a class of rein.conf (default: by the rules of rein.conf)\n"
     "  --name S     name shown by `rein ps` (default: the program's)\n"
     "  --deadline T, --period T, --budget T\n"
     "               reserve: a request at most every --period, of at most --budget GPU time,\n"
     "               done within --deadline of its arrival; without --deadline that much\n"
     "               GPU time in every period, and more only behind the others (budget_mode of\n"
     "               rein.conf). Times as 20ms. Refused with exit status 125 if that cannot be\n"
     "               kept\n"
     "  --accept-later  take the earliest deadline that can be kept instead\n"
     "  --weight N   1 to 10000: its part among equals\n"
     "  --latency-nice N  -20 (its turn comes sooner) to 19\n"
     "  --job J      programs of one job run together or not at all\n"
     "  --sms N      SMs that it is to have: 32, 25%, '75% shared' (only while somebody more\n"
     "               urgent is active), '75% long' (only while somebody more urgent is there,\n"
     "               and for kernels that no gate stops soon), all\n"
     "  --softgpu    use the software GPU instead of the machine's driver\n"
     "  --stand-in   put rein's libcuda.so.1 in the driver's place instead of preloading\n"
     "  --no-start   start no daemon; without one the program runs unscheduled and joins\n"
     "               when a daemon comes\n"
     "  --dry-run    say what would be done; start nothing\n"
     "  --json       failures and --dry-run as one JSON object on stdout\n"
     "Starts the daemon if none runs, then becomes the program: its PID is rein's own.\n"
     "Exit status: 2 usage, 125 rein failed, 126 the program cannot be invoked, 127 it was\n"
     "not found, otherwise the program's own.\n" PRIO_HELP},
    {"ps", rein_cli_ps, "list the programs that have joined", "[--json]",
     "STATE is idle, running (unfinished work, open gate), held (gate closed) or waiting\n"
     "(held, and a thread of it waits). FOR names whom it is held for. GPU is the share of\n"
     "the last second, an estimate. DUE-MS is the time left to the earliest deadline that the\n"
     "program declared (rein.h, NVTX). Most urgent first. Where somebody reserves: GUARANTEE,\n"
     "what is promised (a deadline, or GPU time every so often); MISSED, requests that ended\n"
     "late; P99-MS, the time from arrival to end that 99 % of its requests stay "
     "below.\n" PRIO_HELP},
    {"set", rein_cli_set, "change a running program's priority, class or timing",
     "PID|NAME [--prio N] [--weight N] [--class C] [--latency-nice N]\n"
     "         [--deadline T] [--period T] [--budget T] [--sms N] [--json]",
     "  --prio N     0 to 99\n"
     "  --weight N   1 to 10000: its part among programs of equal priority\n"
     "  --class C    a class of rein.conf; gives all that the class has\n"
     "  --latency-nice N  -20 (its turn comes sooner) to 19\n"
     "  --sms N      as with `rein run`\n"
     "  --deadline T, --period T, --budget T\n"
     "               reserve, as with `rein run`; what is left out stays. A 0 gives the\n"
     "               reservation up. One that cannot be kept is refused\n" PRIO_HELP},
    {"status", rein_cli_status, "show what the daemon does", "[--json]", ""},
    {"top", rein_cli_top, "watch the programs that have joined",
     "[--batch] [--once] [--interval S] [--count N] [--sort ORDER] [--csv] [--json]",
     "  --batch        plain tables, one after the other (implied when stdout is no terminal)\n"
     "  --once         one plain table\n"
     "  --interval S   seconds between two readings, 0.1 to 3600 (default 1)\n"
     "  --count N      end after N readings (default: go on)\n"
     "  --sort ORDER   prio (default), gpu, p99 or gate\n"
     "  --csv          one line a client and reading, the titles first\n"
     "  --json         one JSON object a reading, one a line\n"
     "P99-MS, GATE and CULPRIT are of the last 5 to 10 s: what 99 % of its requests took at\n"
     "most, its part of the time that it waited at its closed gate, and for whose sake most.\n"
     "CUT: how often its gate closed while it had work to do.\n"
     "Keys: q quits, s changes the order, p pauses, h explains, up and down scroll.\n" PRIO_HELP},
    {"trace", rein_cli_trace, "write what happened to a file for ui.perfetto.dev",
     "[--last T | --duration T] [--pid N | --class C] [--csv] [--cupti] [--uprobes]\n"
     "         -o FILE [--json]",
     "  --last T          of what is recorded already, the last T: 10s, 500ms ... (default: all)\n"
     "  --duration T      record from now on for T, whether `events` is on or not\n"
     "  --pid N           this process only, and whoever made it wait\n"
     "  --class C         the programs whose class this is, or was when they ended\n"
     "  -o, --output FILE a Perfetto trace; FILE.json: Chrome trace-event JSON; - is stdout\n"
     "  --csv             rows instead, as with FILE.csv\n"
     "  --cupti           with true GPU times, by CUPTI; needs --duration\n"
     "  --uprobes         watch processes without the shim too; needs --duration, and root\n"
     "  --json            a summary as one JSON object on stdout\n"
     "Shows calls that submit work and what the GPU did for them, waits at the gate and for\n"
     "whom, synchronisation, time off the CPU, requests; and counters.\n"
     "The daemon keeps at most 64 MiB; what an earlier one left is there too, after a crash\n"
     "as well.\n"},
    {"report", rein_cli_report, "write a page that shows who delayed whom",
     "[--last T | --duration T] [--worst N] -o FILE [--json]",
     "  --last T, --duration T  as with `rein trace`\n"
     "  --worst N         so many requests taken apart (default: 20)\n"
     "  -o, --output FILE one HTML page that needs no network; FILE.json: its figures;\n"
     "                    FILE.csv: a row a request; - is stdout\n"
     "  --json            a summary as one JSON object on stdout\n"
     "Latency curves, who delayed whom, the worst requests and their causes, counters.\n"},
    {"why", rein_cli_why, "say which requests were late, and who delayed them",
     "[PID|NAME] [--worst N] [--last T | --duration T] [--csv | --json]",
     "  PID, NAME     requests of this program only\n"
     "  --worst N     the N longest, late or not (default: the 5 latest)\n"
     "  --last T      of what is recorded already, the last T: 10s, 500ms ... (default: all)\n"
     "  --duration T  record from now on for T, whether `events` is on or not\n"
     "  --csv         one line a part of a request, the titles first\n"
     "  --json        one JSON object, with the matrix of victims and culprits\n"
     "Late is a request after its deadline; without one, over twice the median of its program's\n"
     "(of 5 at least). Its latency is split along its critical path by cause and culprit, and\n"
     "the parts add up to it. Estimates say so.\n"},
    {"policy", rein_cli_policy, "list the scheduling policies, choose one, or analyse a task set",
     "[NAME] [--json]\n       rein policy analyse FILE [--policy P] [--json]",
     "Without NAME: the policies, the one in use marked with *.\n"
     "analyse answers for a set of tasks on paper whether all deadlines can be kept, without a\n"
     "daemon; docs/admission.md describes the file. Exit status: 0 they can, 1 they cannot.\n"
     "  --policy P   instead of the file's\n"},
    {"sim", rein_cli_sim, "run a scenario under scheduling policies, in a simulator",
     "FILE [--policy P,P...] [--seed N] [--seeds N] [--duration T] [--trace FILE] [--json]",
     "  --policy P,P...  one or several; besides those of `rein policy` the peers' rr, hpf,\n"
     "                   tokens and srpt (default: the file's)\n"
     "  --seed N         of the random numbers (default: the file's)\n"
     "  --seeds N        so many runs, with seeds one apart: medians, and the range of p99\n"
     "  --duration T     simulated time, as 10s (default: the file's)\n"
     "  --trace FILE     what happened in the first run, for ui.perfetto.dev\n"
     "  --json           one JSON object\n"
     "Nothing is measured and no GPU or daemon is needed: policies, programs and device are\n"
     "simulated in virtual time. docs/simulator.md describes scenarios.\n"},
    {"calibrate", rein_cli_calibrate, "measure what this GPU and driver let the gates do",
     "[--device UUID] [--out FILE] [--force] [--dry-run] [--json]",
     "  --device UUID  only this GPU (default: each)\n"
     "  --out FILE     write the profile there (default: /var/lib/rein, where reind looks)\n"
     "  --force        also while other programs use the GPU\n"
     "  --dry-run      say what would be asked; start nothing\n"
     "  --json         the profiles as one JSON object\n"
     "Takes less than a minute a GPU, alone on it. Changes no setting of the card; what is\n"
     "stopped and held is its own. A running daemon goes by the result at once.\n"},
    {"reload", rein_cli_reload, "make the daemon read its configuration again", "[--json]",
     "A configuration with a mistake is refused whole and the old one stays in use.\n"},
    {"stop", rein_cli_stop, "end the daemon", "[--json]",
     "All gates are opened first: the programs run on, unscheduled.\n"},
    {"help", rein_cli_help, "show how a command is used", "[COMMAND]", ""},
    {0},
};

const struct rein_cli_command *rein_cli_command_find(const char *name)
{
	for (const struct rein_cli_command *c = rein_cli_commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static void print_overview(FILE *f)
{
	fprintf(f,
	        "rein %s: real-time scheduling of GPU time for unmodified CUDA programs\n"
	        "usage: rein COMMAND [OPTION]...\n\ncommands:\n",
	        REIN_VERSION);
	for (const struct rein_cli_command *c = rein_cli_commands; c->name; c++)
		fprintf(f, "  %-9s %s\n", c->name, c->summary);
	fputs("\n" PRIO_HELP "`rein help COMMAND` shows a command's options.\n", f);
}

static void print_command(const struct rein_cli_command *c)
{
	printf("rein %s: %s\nusage: rein %s %s\n%s", c->name, c->summary, c->name, c->usage,
	       c->help);
}

static int rein_cli_help(struct rein_cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {CLI_COMMON_OPTIONS};
	int opt = rein_cli_option(cli, argc, argv, longs, false);
	if (opt != CLI_OPT_END)
		return rein_cli_option_exit(opt);
	if (optind == argc) {
		print_overview(stdout);
		return CLI_OK;
	}
	const struct rein_cli_command *c = rein_cli_command_find(argv[optind]);
	if (!c) {
		cli->command = NULL; /* the hint is the list of commands */
		return rein_cli_usage(cli, "there is no command '%s'", argv[optind]);
	}
	print_command(c);
	return CLI_OK;
}

/* --json counts wherever it stands among the options, also after the one that is wrong. */
static void find_json(struct rein_cli *cli, int argc, char **argv, const char *shorts,
                      const struct option *longs)
{
	int opt;
	optind = 0;
	while ((opt = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
		if (opt == 'j')
			cli->json = true;
	optind = 0;
}

/* -o is the only one-letter option with a value, and only some commands have it. */
static const char *short_options(const struct option *longs, bool in_order)
{
	for (; longs->name; longs++)
		if (longs->val == 'o' && strcmp(longs->name, "output") == 0)
			return in_order ? "+:ho:" : ":ho:";
	return in_order ? "+:h" : ":h";
}

int rein_cli_option(struct rein_cli *cli, int argc, char **argv, const struct option *longs,
                    bool in_order)
{
	/* getopt's own state says whether this is the first call for argv: main sets it to 0 */
	const char *shorts = short_options(longs, in_order);
	opterr = 0;
	if (optind == 0)
		find_json(cli, argc, argv, shorts, longs);
	int opt = getopt_long(argc, argv, shorts, longs, NULL);
	switch (opt) {
	case -1:
		return CLI_OPT_END;
	case 'j':
		return rein_cli_option(cli, argc, argv, longs, in_order);
	case 'h':
		print_command(cli->command);
		return CLI_OPT_HELP;
	case ':':
		rein_cli_usage(cli, "option '%s' needs a value", argv[optind - 1]);
		return CLI_OPT_BAD;
	case '?':
		if (optopt && optopt < 128 && argv[optind - 1][1] != '-')
			rein_cli_usage(cli, "unknown option '-%c'", optopt);
		else
			rein_cli_usage(cli, "unknown or ambiguous option '%s'", argv[optind - 1]);
		return CLI_OPT_BAD;
	default:
		return opt;
	}
}

int rein_cli_main(int argc, char **argv)
{
	struct rein_cli cli = {0};
	const char *word = argc > 1 ? argv[1] : "";
	cli.command = rein_cli_command_find(word);
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		puts("rein " REIN_VERSION);
		return CLI_OK;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		print_overview(stdout);
		return CLI_OK;
	}
	if (!*word) {
		print_overview(stderr);
		return CLI_USAGE;
	}
	for (int i = 2; !cli.command && i < argc; i++)
		cli.json |= strcmp(argv[i], "--json") == 0;
	if (!cli.command)
		return rein_cli_usage(&cli, "there is no command '%s'", word);
	int err = rein_run_dir(cli.run_dir, sizeof(cli.run_dir));
	if (err)
		return rein_cli_fail(&cli, CLI_FAILED, "%s", rein_run_dir_why(err));
	optind = 0;
	int status = cli.command->main(&cli, argc - 1, argv + 1);
	/* a full disk or a closed pipe must not look like success, nor be told of twice */
	if ((fflush(stdout) != 0 || ferror(stdout)) && status != CLI_FAILED)
		return rein_cli_fail(&cli, CLI_FAILED,
		                     "cannot write to stdout; %s; free some space",
		                     strerror(errno));
	return status;
}
