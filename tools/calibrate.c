// SPDX-License-Identifier: Apache-2.0
/*
 * calibrate.c: `rein calibrate`: asks a GPU what the gates rest on, by the probes of gpu-check, and
 * writes its profile. The questions in order of risk: only the last two steer channel groups, each
 * in a child with a guard that lets go of what it holds.
 */
#include <ftw.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "calibration.h"
#include "cli.h"
#include "locate.h"
#include "probe.h"
#include "start.h"

#include "../common/bystander.h"
#include "../common/clock.h"
#include "../common/profile.h"
#include "../common/wire.h"

#define GPUS_MAX 64
#define OWN_END_NS (5 * REIN_S)
#define DEVICE_LIMIT_S 60 /* a driver's first start takes seconds on large machines */

enum { BARE, SHIM, SPY }; /* what is preloaded */

/* The software GPU interprets what it runs, so it is given less to run. */
#define SOFT_LOAD "--blocks", "2", "--threads", "32", "--kernel-ms", "2", "--quick"
static const struct question {
	const char *says, *probe;
	const char *args[5], *soft_args[8]; /* NULL-terminated */
	unsigned limit_s;
	int preload;
	bool steers; /* controls of the resource manager: not under MPS */
} questions[] = {
    {"what a launch costs",
     "launch_cost",
     {"--prefix", "launch.bare", "--bursts", "200"},
     {"--prefix", "launch.bare", "--bursts", "50"},
     20,
     BARE,
     false},
    {"what the launch gate adds",
     "launch_cost",
     {"--prefix", "launch.shim", "--bursts", "200"},
     {"--prefix", "launch.shim", "--bursts", "50"},
     20,
     SHIM,
     false},
    {"what a point in the queue costs", "queue_gate_cost", {NULL}, {NULL}, 25, BARE, false},
    {"how fast the queue gate closes", "queue_gate_latency", {NULL}, {"--quick"}, 20, BARE, false},
    {"whether a waiting program gives way",
     "queue_gate_slice",
     {"--quick"},
     {"--quick"},
     30,
     BARE,
     false},
    {"how long a wait may last", "queue_gate_hold", {"1", "3"}, {"1", "3"}, 25, BARE, false},
    {"into which slices it divides", "slices_split", {NULL}, {NULL}, 30, BARE, false},
    {"whether slices confine", "slices_confine", {"--quick"}, {"--quick"}, 35, BARE, false},
    {"whether time slices act", "ctx_timeslice", {NULL}, {SOFT_LOAD}, 65, SPY, true},
    {"whether contexts can be held", "ctx_hold", {NULL}, {SOFT_LOAD}, 75, SPY, true},
};

static const char *const uuids[] = {"--uuids", NULL};

struct calibrate { /* one run */
	struct rein_cli *cli;
	const char *out, *device;
	bool force, dry_run;
	bool soft; /* the software GPU */
	char probes[PATH_MAX - 64], library[PATH_MAX];
	char driver[REIN_PROFILE_DRIVER_LEN];
	struct rein_cli own; /* the daemon that the shim joins */
	unsigned n_gpus;
	char gpu[GPUS_MAX][48]; /* UUIDs */
	struct rein_bystanders others;
	char why[256]; /* what the last probe complained of */
};

/* ---------------------------------------------------------------- asking */

/* As rein_cli_probe_run(); `gpu`: only this one, NULL: all that the caller sees. */
static int ask(struct calibrate *c, const char *name, const char *const *args, unsigned limit_s,
               int preload, const char *gpu, json_t *facts)
{
	char spy[PATH_MAX];
	struct rein_cli_probe p = {.args = args, .limit_s = limit_s, .facts = facts};
	const char *const library[] = {[BARE] = NULL, [SHIM] = c->library, [SPY] = spy};
	unsigned n = 0;
	snprintf(p.path, sizeof(p.path), "%s/%s", c->probes, name);
	snprintf(spy, sizeof(spy), "%s/preload/rm_spy.so", c->probes);
	p.env[n++] = "LD_PRELOAD";
	p.env[n++] = library[preload];
	if (preload == SHIM) {
		p.env[n++] = "REIN_RUN_DIR";
		p.env[n++] = c->own.run_dir;
	}
	if (c->soft) {
		p.env[n++] = "SOFTGPU_RM";
		p.env[n++] = "1";
	}
	if (gpu && c->n_gpus > 1) {
		p.env[n++] = "CUDA_VISIBLE_DEVICES";
		p.env[n++] = gpu;
	}
	int result = rein_cli_probe_run(&p);
	memcpy(c->why, p.why, sizeof(c->why));
	return result;
}

static int interrupted(const struct calibrate *c)
{
	return rein_cli_fail(c->cli, CLI_FAILED, "calibrate: interrupted; nothing was written");
}

/* Which GPUs there are. 0, or the exit status. */
static int find_gpus(struct calibrate *c)
{
	json_t *facts = json_object();
	int result = ask(c, "device", uuids, DEVICE_LIMIT_S, BARE, NULL, facts);
	double count = rein_cli_fact(facts, "value", "device.count");
	c->soft = strstr(rein_cli_fact_text(facts, "device.name"), "Software GPU") != NULL;
	if (c->soft) /* they are alike, and cannot be chosen among */
		count = 1;
	for (unsigned i = 0; result == 0 && i < count && i < GPUS_MAX; i++) {
		char id[32];
		snprintf(id, sizeof(id), "device.uuid_%u", i);
		snprintf(c->gpu[c->n_gpus++], sizeof(c->gpu[0]), "%s",
		         rein_cli_fact_text(facts, id));
	}
	json_decref(facts);
	if (result == -EINTR)
		return interrupted(c);
	if (result == CLI_NOT_FOUND)
		return rein_cli_fail(
		    c->cli, CLI_FAILED,
		    "calibrate: there is no libcuda.so.1 here; %s; install NVIDIA's "
		    "driver",
		    c->why);
	if (result == -ETIMEDOUT)
		return rein_cli_fail(c->cli, CLI_FAILED,
		                     "calibrate: the driver did not answer in %d s; look at the "
		                     "kernel's log",
		                     DEVICE_LIMIT_S);
	if (result != 0)
		return rein_cli_fail(c->cli, CLI_FAILED,
		                     "calibrate: %s; check with nvidia-smi that a GPU is there",
		                     *c->why ? c->why : "no usable GPU");
	return 0;
}

/* ---------------------------------------------------------------- who else is there */

static void look(pid_t pid, void *arg)
{
	struct calibrate *c = arg;
	/* with nobody to compare with it is the real device's users that are looked for */
	rein_bystander_scan("/proc", "/dev/shm", &pid, c->soft ? 1 : 0, &c->others);
}

static int refuse_company(struct calibrate *c)
{
	static const char *const stay[] = {"--stay", NULL};
	char who[256] = "";
	if (c->soft) {
		struct rein_cli_probe p = {.args = stay,
		                           .limit_s = DEVICE_LIMIT_S,
		                           .facts = json_object(),
		                           .stays = look,
		                           .arg = c,
		                           .env = {"LD_PRELOAD", NULL}};
		snprintf(p.path, sizeof(p.path), "%s/device", c->probes);
		int result = rein_cli_probe_run(&p);
		json_decref(p.facts);
		if (result == -EINTR)
			return interrupted(c);
	} else {
		look(0, c);
	}
	for (unsigned i = 0; i < c->others.n && i < REIN_BYSTANDERS_MAX; i++) {
		size_t n = strlen(who);
		snprintf(who + n, sizeof(who) - n, "%s%s (PID %d)", n ? ", " : "",
		         c->others.process[i].comm, (int)c->others.process[i].pid);
	}
	if (!c->others.n)
		return 0;
	if (!c->force)
		return rein_cli_fail(c->cli, CLI_FAILED,
		                     "calibrate: the GPU is in use by %u other%s: %s; end them, or "
		                     "use --force and get figures that they disturb",
		                     c->others.n, c->others.n > 1 ? "s" : "", who);
	rein_cli_warn("calibrate: others use the GPU: %s; the figures are not exact", who);
	return 0;
}

/* Only one at a time, whoever's: between two questions none of us uses the GPU. The name goes with
 * the process. */
static int refuse_another(const struct calibrate *c, const char *gpu)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "rein-calibrate-%s", gpu);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0); /* never closed */
	if (fd < 0 || bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0)
		return 0;
	if (!c->force)
		return rein_cli_fail(
		    c->cli, CLI_FAILED,
		    "calibrate: another rein calibrate asks this GPU; wait for its "
		    "end, or use --force and get figures that it disturbs");
	rein_cli_warn("calibrate: another rein calibrate asks this GPU; the figures are not exact");
	return 0;
}

/* ---------------------------------------------------------------- a daemon of our own */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)remove(path);
	return 0;
}

/* So that the launch gate is measured joined, and no running daemon hears of it. */
static bool start_own(struct calibrate *c)
{
	char daemon[PATH_MAX];
	c->own = *c->cli;
	c->own.json = false;
	snprintf(c->own.run_dir, sizeof(c->own.run_dir), "/tmp/rein-calibrate-XXXXXX");
	if (rein_cli_locate_library(c->library) || rein_cli_locate_daemon(daemon) ||
	    !mkdtemp(c->own.run_dir))
		return false;
	if (rein_cli_start_daemon(&c->own, daemon) == 0)
		return true;
	nftw(c->own.run_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return false;
}

static void end_own(struct calibrate *c)
{
	uint64_t until = rein_now_ns() + OWN_END_NS;
	rein_cli_undo_start(&c->own);
	while (!rein_cli_is_nobody(rein_cli_probe(&c->own, REIN_CONTROL_SOCKET)) &&
	       rein_now_ns() < until)
		usleep(5000);
	nftw(c->own.run_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---------------------------------------------------------------- one GPU */

static void progress(const struct calibrate *c, unsigned i, const char *answer, uint64_t began_ns)
{
	if (c->cli->json || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "[%2u/%zu] %-38s %5.1f s%s%s\n", i + 1, REIN_ARRAY_LEN(questions),
	        questions[i].says, (double)(rein_now_ns() - began_ns) / 1e9, *answer ? "  " : "",
	        answer);
}

/* Asks question i. 0, or the exit status: only an interruption, or a GPU that is lost, ends it. */
static int put(struct calibrate *c, unsigned i, const char *gpu, json_t *facts)
{
	const struct question *q = &questions[i];
	uint64_t began_ns = rein_now_ns();
	if (q->steers && rein_cli_fact(facts, "value", "device.mps") > 0) {
		progress(c, i, "not under MPS", began_ns);
		return 0;
	}
	if (q->preload == SHIM && !start_own(c)) {
		progress(c, i, "no daemon to be had", began_ns);
		return 0;
	}
	int result =
	    ask(c, q->probe, c->soft ? q->soft_args : q->args, q->limit_s, q->preload, gpu, facts);
	if (q->preload == SHIM)
		end_own(c);
	if (result == -EINTR || rein_cli_probe_interrupted())
		return interrupted(c);
	progress(c, i, result == CLI_PROBE_SKIPPED ? "cannot be asked here" : "", began_ns);
	if (result == 0 || result == CLI_PROBE_SKIPPED)
		return 0;
	char how[32] = "took too long";
	if (result != -ETIMEDOUT)
		snprintf(how, sizeof(how), "ended with status %d", result);
	rein_cli_warn("calibrate: %s: %s %s%s%s; what it did not find counts as not proven",
	              q->says, q->probe, how, *c->why ? ": " : "", c->why);
	json_t *again = json_object();
	result = ask(c, "device", NULL, DEVICE_LIMIT_S, BARE, gpu, again);
	json_decref(again);
	if (result == 0)
		return 0;
	return rein_cli_fail(c->cli, CLI_FAILED,
	                     "calibrate: after %s the GPU no longer answers; nothing was written; "
	                     "look at the kernel's log",
	                     q->probe);
}

static void path_of(const struct calibrate *c, const char *gpu, char path[PATH_MAX])
{
	if (c->out)
		snprintf(path, PATH_MAX, "%s", c->out);
	else
		snprintf(path, PATH_MAX, REIN_PROFILE_DIR "/profile-%s-%s.json", gpu, c->driver);
}

static int cannot_write(const struct calibrate *c, const char *path, int err)
{
	return rein_cli_fail(c->cli, CLI_FAILED,
	                     "calibrate: cannot write %s; %s; run it as root, or choose a place "
	                     "with --out",
	                     path, strerror(-err));
}

/* Asks and writes; *done is what was written. */
static int calibrate(struct calibrate *c, const char *gpu, json_t **done)
{
	char path[PATH_MAX], date[32];
	CLI_AUTO_JSON json_t *facts = json_object();
	time_t now = time(NULL);
	struct tm tm;
	path_of(c, gpu, path);
	int err = rein_cli_profile_try(path);
	if (err)
		return cannot_write(c, path, err);
	int refused = refuse_another(c, gpu);
	if (refused)
		return refused;
	err = ask(c, "device", uuids, DEVICE_LIMIT_S, BARE, gpu, facts);
	if (err == -EINTR)
		return interrupted(c);
	if (err || strcmp(rein_cli_fact_text(facts, "device.uuid_0"), gpu) != 0)
		return rein_cli_fail(
		    c->cli, CLI_FAILED,
		    "calibrate: cannot choose %s; CUDA_VISIBLE_DEVICES with its UUID "
		    "gives another GPU or none",
		    gpu);
	for (unsigned i = 0; i < REIN_ARRAY_LEN(questions); i++) {
		int status = put(c, i, gpu, facts);
		if (status)
			return status;
	}
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	struct rein_cli_calibrated of = {.uuid = gpu,
	                                 .name = rein_cli_fact_text(facts, "device.name"),
	                                 .driver = c->driver,
	                                 .date = date};
	json_t *profile = rein_cli_profile_make(facts, &of);
	err = rein_cli_profile_write(path, profile);
	*done = json_pack("{s:s, s:o}", "path", path, "profile", profile);
	return err ? cannot_write(c, path, err) : 0;
}

/* ---------------------------------------------------------------- the command */

/* A daemon that runs goes by it from now on, if it is where that looks. */
static void tell_daemon(const struct calibrate *c)
{
	if (c->out && !rein_cli_profile_found(REIN_PROFILE_DIR, c->out) && !c->cli->json)
		printf("reind looks in " REIN_PROFILE_DIR "; it goes by this one only where it was "
		       "started with REIN_PROFILE=%s\n",
		       c->out);
	struct rein_cli quiet = *c->cli;
	CLI_AUTO_JSON json_t *answer = NULL;
	quiet.json = false;
	if (rein_cli_probe(c->cli, REIN_CONTROL_SOCKET) == 0 &&
	    rein_cli_ask(&quiet, json_pack("{s:s}", "op", "reload"), &answer) == 0 && !c->cli->json)
		puts("the running daemon has read its profiles again");
}

static int say_plan(const struct calibrate *c)
{
	char path[PATH_MAX];
	path_of(c, c->device ? c->device : "UUID", path);
	if (c->cli->json) {
		json_t *ask_list = json_array();
		for (unsigned i = 0; i < REIN_ARRAY_LEN(questions); i++)
			json_array_append_new(ask_list, json_string(questions[i].says));
		return rein_cli_print_json(json_pack("{s:b, s:o, s:s}", "dry_run", 1, "questions",
		                                     ask_list, "path", path));
	}
	printf("would ask %s:\n", c->device ? c->device : "each GPU");
	for (unsigned i = 0; i < REIN_ARRAY_LEN(questions); i++)
		printf("  %s\n", questions[i].says);
	printf("and write %s\n", path);
	return CLI_OK;
}

static int run_all(struct calibrate *c)
{
	CLI_AUTO_JSON json_t *all = json_array();
	uint64_t began_ns = rein_now_ns();
	unsigned asked = 0;
	int status = find_gpus(c);
	if (!status && c->out && !c->device && c->n_gpus > 1)
		status = rein_cli_usage(c->cli, "--out takes one GPU; there are %u: add --device",
		                        c->n_gpus);
	if (!status)
		status = refuse_company(c);
	for (unsigned i = 0; !status && i < c->n_gpus; i++) {
		json_t *done = NULL;
		if (c->device && strcmp(c->device, c->gpu[i]) != 0)
			continue;
		asked++;
		status = calibrate(c, c->gpu[i], &done);
		if (done)
			json_array_append_new(all, done);
		if (!status && !c->cli->json)
			rein_cli_profile_print(rein_cli_str(done, "path"),
			                       json_object_get(done, "profile"));
	}
	if (!status && !asked)
		return rein_cli_fail(c->cli, CLI_FAILED,
		                     "calibrate: there is no GPU %s; the first of %u is %s",
		                     c->device, c->n_gpus, c->gpu[0]);
	if (json_array_size(all))
		tell_daemon(c);
	if (status || !c->cli->json)
		return status;
	return rein_cli_print_json(json_pack(
	    "{s:O, s:f, s:b}", "profiles", all, "seconds", (double)(rein_now_ns() - began_ns) / 1e9,
	    "reind_looks_there", !c->out || rein_cli_profile_found(REIN_PROFILE_DIR, c->out)));
}

int rein_cli_calibrate(struct rein_cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {{"out", required_argument, NULL, 'o'},
	                                      {"device", required_argument, NULL, 'd'},
	                                      {"force", no_argument, NULL, 'f'},
	                                      {"dry-run", no_argument, NULL, 'n'},
	                                      CLI_COMMON_OPTIONS};
	static struct calibrate c;
	int opt;
	c = (struct calibrate){.cli = cli};
	while ((opt = rein_cli_option(cli, argc, argv, longs, false)) >= 0) {
		if (opt == 'o')
			c.out = optarg;
		else if (opt == 'd')
			c.device = optarg;
		else if (opt == 'f')
			c.force = true;
		else if (opt == 'n')
			c.dry_run = true;
	}
	if (opt != CLI_OPT_END)
		return rein_cli_option_exit(opt);
	if (optind < argc)
		return rein_cli_usage(cli, "unexpected argument '%s'", argv[optind]);
	rein_profile_driver(c.driver);
	if (c.dry_run)
		return say_plan(&c);
	if (rein_cli_locate_probes(c.probes, sizeof(c.probes)))
		return rein_cli_fail(cli, CLI_FAILED,
		                     "calibrate: its probes are missing (%s); this rein was built "
		                     "without nvcc; build it again with nvcc",
		                     c.probes);
	if (strpbrk(c.probes, " :"))
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "calibrate: cannot preload from '%s'; LD_PRELOAD takes no path "
		    "with a space or a colon; move it",
		    c.probes);
	rein_cli_probe_signals();
	return run_all(&c);
}
