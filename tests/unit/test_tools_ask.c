// SPDX-License-Identifier: Apache-2.0
/* test_tools_ask.c: the `rein` command against a daemon that answers what the test wants. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/sock.h"
#include "common/wire.h"
#include "tests/unit/cli_run.h"
#include "tools/start.h"

struct answers { /* NULL: hang up */
	const char *status, *clients, *set, *policy, *reload, *stop;
	struct rein_msg_welcome welcome;
	unsigned hang_ups; /* instead of so many welcomes, first */
};

#define OK "\"schema_version\":1,\"ok\":true"
#define CLIENT(id, pid, name, prio, state, held, declared)                                         \
	"{\"id\":" #id ",\"pid\":" #pid ",\"name\":\"" name                                        \
	"\",\"class\":\"default\",\"prio\":" #prio ",\"weight\":100,\"state\":\"" state            \
	"\",\"submissions\":12345,\"gate_waits\":3,\"backlog_waits\":4,"                           \
	"\"gate_wait_ms\":1.5,\"backlog_wait_ms\":1,\"share\":0.426,\"held_for\":" held            \
	",\"declared\":" declared "}"

#define HELD CLIENT(1, 501, "be", 0, "held", "{\"id\":2,\"pid\":502,\"name\":\"lc\"}", "null")
#define RUNNING CLIENT(2, 502, "lc", 50, "running", "null", "{\"open\":1,\"deadline_ms\":12.25}")
#define ODD CLIENT(3, 503, "be", 0, "idle\\u001b[5m\\n", "null", "{\"deadline_ms\":null}")

static const struct answers good = {
    .status =
	"{" OK ",\"pid\":77,\"version\":\"0.1.0\",\"uptime_s\":93784,\"policy\":\"prio\",\"mode\":"
	"\"adaptive\",\"run_dir\":\"/run/x\",\"config\":[\"/etc/a.conf\",\"/etc/b.conf\"],"
	"\"clients\":3,\"decisions\":42,\"devices\":[{\"uuid\":\"GPU-1\",\"clients\":3,"
	"\"active\":2,\"gates\":[\"launch\"],\"calibrated\":false}],\"gates\":[\"launch\","
	"\"queue\"],\"calibrated\":true}",
    .clients = "{" OK ",\"clients\":[" HELD "," RUNNING "," ODD "]}",
    .set = "{" OK ",\"pid\":502,\"name\":\"lc\",\"class\":\"rt\",\"prio\":70,\"weight\":9}",
    .policy =
	"{" OK ",\"policy\":\"prio\",\"available\":[{\"name\":\"prio\",\"summary\":\"by number\"},"
	"{\"name\":\"fifo\",\"summary\":\"as they come\"}]}",
    .reload = "{" OK ",\"config\":[]}",
    .stop = "{" OK "}",
};

static const char *choose(const struct answers *a, const char *request)
{
	CLI_AUTO_JSON json_t *r = json_loads(request, 0, NULL);
	const char *op = rein_cli_str(r, "op");
	if (strcmp(op, "status") == 0)
		return a->status;
	if (strcmp(op, "clients") == 0)
		return a->clients;
	if (strcmp(op, "policy") == 0)
		return a->policy;
	if (strcmp(op, "reload") == 0)
		return a->reload;
	if (strcmp(op, "stop") == 0)
		return a->stop;
	/* a set must name the client by its id, and say what to change */
	if (strcmp(op, "set") == 0 && rein_cli_int(r, "id") == 2 && rein_cli_int(r, "prio") == 70)
		return a->set;
	return "{\"schema_version\":1,\"ok\":false,\"code\":\"EINVAL\",\"error\":\"not what the "
	       "test expects\"}";
}

static void serve(const char *dir, const struct answers *a, int control, int client)
{
	unsigned hang_ups = a->hang_ups;
	for (;;) {
		struct pollfd p[2] = {{.fd = control, .events = POLLIN},
		                      {.fd = client, .events = POLLIN}};
		poll(p, 2, -1);
		int which = p[0].revents ? control : client;
		REIN_AUTO_CLOSE int fd = accept(which, NULL, NULL);
		char buf[4096];
		ssize_t n = rein_sock_recv(fd, buf, sizeof(buf) - 1, NULL, NULL, 2000);
		if (n <= 0 || (which == client && hang_ups && hang_ups--))
			continue;
		buf[n] = 0;
		const char *text = which == control ? choose(a, buf) : NULL;
		int failed = 0;
		if (which == client)
			failed = rein_sock_send(fd, &a->welcome, sizeof(a->welcome), NULL, 0);
		else if (text)
			failed = rein_sock_send(fd, text, strlen(text), NULL, 0);
		if (failed || (text == a->stop && text))
			_exit(failed != 0);
	}
}

/* A run directory with somebody answering in it. */
static const char *daemon_with(const struct answers *a)
{
	static char base[64], dir[80];
	static unsigned n;
	if (!base[0])
		snprintf(base, sizeof(base), "%s", temp_dir());
	snprintf(dir, sizeof(dir), "%s/%u", base, n++);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	int control = rein_sock_listen(dir, REIN_CONTROL_SOCKET, 0600, 8);
	int client = rein_sock_listen(dir, REIN_CLIENT_SOCKET, 0600, 8);
	ck_assert_int_ge(control, 0);
	ck_assert_int_ge(client, 0);
	fflush(NULL);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(dir, a, control, client);
	}
	close(control);
	close(client);
	return dir;
}

TEST(ps)
{
	const char *dir = daemon_with(&good);
	ck_assert_int_eq(REIN(dir, "ps"), 0);
	ck_assert_str_eq(
	    out,
	    "PID  NAME  CLASS    PRIO  STATE      FOR     GPU  SUBMITTED  WAITS  WAIT-MS  DUE-MS\n"
	    "502  lc    default    50  running    -       43%      12345      7      2.5    12.2\n"
	    "501  be    default     0  held       lc:502  43%      12345      7      2.5       -\n"
	    "503  be    default     0  idle?[5m?  -       43%      12345      7      2.5       "
	    "-\n");
	ck_assert_int_eq(REIN(dir, "ps", "--json"), 0);
	CLI_AUTO_JSON json_t *o = json_loads(out, 0, NULL);
	ck_assert_int_eq(rein_cli_int(o, "schema_version"), 1);
	ck_assert_uint_eq(json_array_size(json_object_get(o, "clients")), 3);
}
TEST_END

TEST(ps_without_clients)
{
	struct answers a = good;
	a.clients = "{" OK ",\"clients\":[]}";
	ck_assert_int_eq(REIN(daemon_with(&a), "ps"), 0);
	ck_assert_ptr_nonnull(strstr(out, "no program has joined"));
}
TEST_END

#define IDLE "\"class\":\"c\",\"state\":\"idle\",\"prio\":0,\"share\":0.5,\"held_for\":null,"

#define BAND(pid, prio, band)                                                                      \
	"{\"id\":1,\"pid\":" #pid                                                                  \
	",\"name\":\"x\",\"class\":\"c\",\"state\":\"idle\",\"prio\":" #prio                       \
	",\"held_for\":null,\"band\":\"" band "\"}"
#define BANDS                                                                                      \
	"\"clients\":[" BAND(1, 0, "idle") "," BAND(2, 50, "interactive") "," BAND(                \
	    3, 0, "batch") "," BAND(4, 0, "realtime") "," BAND(5, 60, "interactive") "]"

/* The PIDs in the order of the table. */
static void order_of(const char *table, char pids[16])
{
	size_t n = 0;
	for (const char *line = strchr(table, '\n'); line && line[1]; line = strchr(line + 1, '\n'))
		if (n < 15)
			pids[n++] = line[1 + strspn(line + 1, " ")];
	pids[n] = 0;
}

/* The most urgent first: as the policy has it. */
TEST(ps_orders_by_band_where_the_policy_does)
{
	struct answers a = good;
	char pids[16];
	a.clients = "{" OK ",\"policy\":\"classes\"," BANDS "}";
	ck_assert_int_eq(REIN(daemon_with(&a), "ps"), 0);
	order_of(out, pids);
	ck_assert_str_eq(pids, "45231");
	a.clients =
	    "{" OK ",\"policy\":\"prio\",\"policy_why\":\"cbs crashed: SIGSEGV at 12:03\"," BANDS
	    "}";
	ck_assert_int_eq(REIN(daemon_with(&a), "ps"), 0);
	order_of(out, pids);
	ck_assert_str_eq(pids, "52134p");
	ck_assert_ptr_nonnull(strstr(out, "\npolicy: prio (cbs crashed: SIGSEGV at 12:03)\n"));
}
TEST_END

/* reservations: a deadline, bandwidth, one withdrawn, none; and somebody without rein */
static const char timed[] =
    "{" OK ",\"clients\":["
    "{\"id\":1,\"pid\":1,\"name\":\"chat\"," IDLE "\"reservation\":{\"guarantee\":\"given\","
    "\"deadline_ms\":20.0,\"period_ms\":33.0,\"budget_ms\":6.0,\"why\":\"\"},"
    "\"measured\":{\"missed\":3,\"response_p99_ms\":17.25}},"
    "{\"id\":2,\"pid\":2,\"name\":\"share\"," IDLE "\"reservation\":{\"guarantee\":\"given\","
    "\"deadline_ms\":null,\"period_ms\":33.5,\"budget_ms\":6.0},\"measured\":{\"missed\":0}},"
    "{\"id\":3,\"pid\":3,\"name\":\"gone\"," IDLE "\"reservation\":{\"guarantee\":"
    "\"withdrawn\",\"deadline_ms\":9.0,\"why\":\"too long\\u001b[1m\",\"later_ms\":11.75},"
    "\"measured\":{\"missed\":0}},"
    "{\"id\":4,\"pid\":4,\"name\":\"train\"," IDLE
    "\"reservation\":null,\"measured\":{\"missed\":0}}"
    "],\"bystanders\":[{\"pid\":77,\"name\":\"python3\"}]}";

TEST(ps_shows_guarantees_where_somebody_reserves)
{
	struct answers a = good;
	a.clients = timed;
	const char *dir = daemon_with(&a);
	ck_assert_int_eq(REIN(dir, "ps"), 0);
	ck_assert_str_eq(
	    out, "PID  NAME   CLASS  PRIO  STATE  FOR  GPU  SUBMITTED  WAITS  WAIT-MS  DUE-MS  "
		 "GUARANTEE  MISSED  P99-MS\n"
		 "  1  chat   c         0  idle   -    50%          0      0      0.0       -  "
		 "20 ms           3    17.2\n"
		 "  2  share  c         0  idle   -    50%          0      0      0.0       -  "
		 "6/33.5 ms       0       -\n"
		 "  3  gone   c         0  idle   -    50%          0      0      0.0       -  "
		 "withdrawn       0       -\n"
		 "  4  train  c         0  idle   -    50%          0      0      0.0       -  "
		 "-               -       -\n"
		 "gone: guarantee withdrawn: too long?[1m; a deadline of 11.75 ms could be kept\n"
		 "unmanaged: process 77 (python3) uses the GPU; run it under `rein run`\n");
}
TEST_END

TEST(set)
{
	const char *dir = daemon_with(&good);
	ck_assert_int_eq(REIN(dir, "set", "lc", "--prio", "70"), 0);
	ck_assert_str_eq(out, "502 lc: class rt, priority 70, weight 9\n");
	ck_assert_int_eq(REIN(dir, "set", "--prio", "70", "502"), 0);
	ck_assert_int_eq(REIN(dir, "set", "be", "--prio", "70"), 125);
	ck_assert_ptr_nonnull(strstr(err, "2 programs are called 'be'; their PIDs: 501, 503"));
	ck_assert_int_eq(REIN(dir, "set", "999", "--prio", "70"), 125);
	ck_assert_ptr_nonnull(strstr(err, "no program with the PID '999'"));
	ck_assert_int_eq(REIN(dir, "set", "lc", "--prio", "71"), 125);
	ck_assert_ptr_nonnull(strstr(err, "set: the daemon refused; not what the test expects"));
	ck_assert_int_eq(lines(err), 1);
}
TEST_END

TEST(shows_status)
{
	const char *dir = daemon_with(&good);
	ck_assert_int_eq(REIN(dir, "status"), 0);
	ck_assert_str_eq(out,
	                 "daemon     reind 0.1.0, PID 77\n"
	                 "uptime     1d 02:03:04\n"
	                 "policy     prio\n"
	                 "mode       adaptive\n"
	                 "directory  /run/x\n"
	                 "config     /etc/a.conf\n"
	                 "           /etc/b.conf\n"
	                 "clients    3\n"
	                 "decisions  42\n"
	                 "gates      launch, queue\n"
	                 "devices    GPU-1: 3 clients, 2 active; gates: launch (not calibrated: "
	                 "run rein calibrate)\n");
}
TEST_END

/* Recipe "timeslice" holds nobody: its turns are short. */
TEST(status_tells_time_slices_from_the_context_gate)
{
	struct answers a = good;
	a.status = "{" OK ",\"gates\":[\"launch\",\"timeslice\"],\"calibrated\":true,"
		   "\"metrics\":\"127.0.0.1:9464\"}";
	ck_assert_int_eq(REIN(daemon_with(&a), "status"), 0);
	ck_assert_ptr_nonnull(strstr(out, "gates      launch, time slices\n"));
	ck_assert_ptr_nonnull(strstr(out, "metrics    127.0.0.1:9464\n"));
}
TEST_END

#define LONG(name, kernel, ms, delays)                                                             \
	"{\"id\":1,\"pid\":1,\"name\":\"" name "\"," IDLE                                          \
	"\"backlog_us\":4000,\"delays_ms\":" delays ",\"longest_kernel_ms\":" ms                   \
	",\"longest_kernel\":\"" kernel "\"}"

TEST(ps_names_the_kernel_that_no_gate_stops)
{
	struct answers a = good;
	a.clients = "{" OK ",\"clients\":[" LONG("long", "gemm\\u001b_50", "50", "50") "," LONG(
	    "nameless", "", "9.5", "9.5") "," LONG("stopped", "gemm_50", "50", "0.7") "]}";
	ck_assert_int_eq(REIN(daemon_with(&a), "ps"), 0);
	ck_assert_ptr_nonnull(strstr(out, "\nlong: kernel gemm?_50 of 50.0 ms runs to its end, and "
	                                  "somebody more urgent waits: no gate here stops it"));
	ck_assert_ptr_nonnull(strstr(out, "\nnameless: kernel (unnamed) of 9.5 ms runs"));
	ck_assert_ptr_null(strstr(out, "\nstopped:"));
}
TEST_END

#define RECENT(pid, name, share, p99, gate, culprit)                                               \
	"{\"id\":1,\"pid\":" #pid ",\"name\":\"" name                                              \
	"\",\"class\":\"c\",\"state\":\"idle\",\"prio\":" #pid                                     \
	",\"submissions\":7,\"preemptions\":3,\"share\":" share ",\"recent\":{\"p99_ms\":" p99     \
	",\"gate_wait_share\":" gate ",\"culprit\":" culprit "}}"

TEST(top_shows_the_last_seconds)
{
	struct answers a = good;
	a.clients = "{" OK ",\"clients\":[" RECENT(
	    1, "a", "0.5", "null", "0.25",
	    "{\"pid\":9,\"name\":\"lc\\u0007\"}") "," RECENT(2, "b,\\\"c\\\"", "0.25", "12.5", "0",
	                                                     "null") "]}";
	const char *dir = daemon_with(&a);
	static const char first[] =
	    "  1  a      c         1  idle   50%       -   25%  lc?:9      3          7\n";
	static const char second[] =
	    "  2  b,\"c\"  c         2  idle   25%    12.5    0%  -          3          7\n";
	ck_assert_int_eq(REIN(dir, "top", "--once"), 0);
	const char *x = strstr(out, first), *y = strstr(out, second);
	ck_assert_msg(x && y && y < x, "%s", out);
	ck_assert_int_eq(REIN(dir, "top", "--once", "--sort", "gpu"), 0);
	x = strstr(out, first), y = strstr(out, second);
	ck_assert_msg(x && y && x < y, "%s", out);
	ck_assert_int_eq(REIN(dir, "top", "--once", "--sort", "p99"), 0);
	x = strstr(out, first), y = strstr(out, second);
	ck_assert_msg(x && y && y < x, "%s", out);
	ck_assert_int_eq(REIN(dir, "top", "--csv", "--once"), 0);
	ck_assert_ptr_nonnull(
	    strstr(out, ",2,\"b,\"\"c\"\"\",\"c\",2,\"idle\",0.25,12.5,0,,\"\",3,7,,,\n"));
	ck_assert_ptr_nonnull(
	    strstr(out, ",1,\"a\",\"c\",1,\"idle\",0.5,,0.25,9,\"lc?\",3,7,,,\n"));
}
TEST_END

TEST(top)
{
	const char *dir = daemon_with(&good);
	ck_assert_int_eq(REIN(dir, "top", "--batch", "--count", "2", "--interval", "0.1"), 0);
	ck_assert_int_eq(lines(out), 2 * 6);
	ck_assert_ptr_nonnull(strstr(out, "policy prio  clients 3  decisions 42\n"));
	ck_assert_int_eq(REIN(dir, "top", "--json", "--count", "2", "--interval", "0.1"), 0);
	ck_assert_int_eq(lines(out), 2);
	CLI_AUTO_JSON json_t *o = json_loads(out, JSON_DISABLE_EOF_CHECK, NULL);
	ck_assert_int_eq(rein_cli_int(json_object_get(o, "daemon"), "decisions"), 42);
}
TEST_END

TEST(policy)
{
	const char *dir = daemon_with(&good);
	ck_assert_int_eq(REIN(dir, "policy"), 0);
	ck_assert_str_eq(out, "* prio     by number\n  fifo     as they come\n");
	ck_assert_int_eq(REIN(dir, "policy", "prio"), 0);
	ck_assert_str_eq(out, "policy     prio\n");
	ck_assert_int_eq(REIN(dir, "reload"), 0);
	ck_assert_str_eq(out, "config     none\n");
}
TEST_END

TEST(stop_waits_for_the_end)
{
	const char *dir = daemon_with(&good);
	ck_assert_int_eq(REIN(dir, "stop"), 0);
	ck_assert_int_eq(REIN(dir, "stop"), 125);
}
TEST_END

TEST(bad_answers)
{
	static const char *const text[] = {NULL,        "", "no JSON", "[]", "{}", "{\"ok\":false}",
	                                   "{\"ok\":1}"};
	for (size_t i = 0; i < REIN_ARRAY_LEN(text); i++) {
		struct answers a = {.status = text[i]};
		int status = REIN(daemon_with(&a), "status");
		ck_assert_msg(status == 125 && lines(err) == 1, "case %zu: %d: %s", i, status, err);
		ck_assert_str_eq(out, "");
	}
	/* right in form, wrong in every field: nothing to show, but no crash */
	struct answers odd = good;
	odd.status = "{" OK ",\"pid\":\"x\",\"devices\":7,\"config\":[1,{}],\"uptime_s\":1e300}";
	odd.clients = "{" OK ",\"clients\":[1,null,[],{\"held_for\":{}}]}";
	const char *dir = daemon_with(&odd);
	ck_assert_int_eq(REIN(dir, "status"), 0);
	ck_assert_int_eq(REIN(dir, "ps"), 0);
	ck_assert_int_eq(lines(out), 5);
}
TEST_END

TEST(no_permission)
{
	if (geteuid() != 0)
		return; /* only root can become somebody else; the way is the same */
	char dir[64];
	snprintf(dir, sizeof(dir), "%s", daemon_with(&good));
	char parent[80];
	snprintf(parent, sizeof(parent), "%s/..", dir);
	ck_assert_int_eq(chmod(dir, 0755), 0);
	ck_assert_int_eq(chmod(parent, 0755), 0);
	pid_t pid = fork();
	int status;
	if (pid == 0) {
		setenv("REIN_RUN_DIR", dir, 1);
		char *argv[] = {"rein", "ps", NULL}, path[128];
		snprintf(path, sizeof(path), "%s/err", dir);
		if (!freopen(path, "w", stderr) || setresuid(65534, 65534, 65534) < 0)
			_exit(99);
		status = rein_cli_main(2, argv);
		fflush(NULL);
		_exit(status);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 125);
	char path[128];
	snprintf(path, sizeof(path), "%s/err", dir);
	slurp(path, err, sizeof(err));
	ck_assert_int_eq(lines(err), 1);
	ck_assert_ptr_nonnull(strstr(err,
	                             "control.sock; permission denied; run as root or as a member "
	                             "of the `rein` group"));
}
TEST_END

static struct rein_msg_welcome welcome(int error, int prio, const char *text)
{
	struct rein_msg_welcome w = {.header = {.magic = REIN_ABI_MAGIC,
	                                        .type = REIN_MSG_WELCOME,
	                                        .size = sizeof(w),
	                                        .abi_major = REIN_ABI_MAJOR},
	                             .error = error,
	                             .prio = prio,
	                             .class_name = "default"};
	snprintf(w.text, sizeof(w.text), "%s", text);
	return w;
}

/* `rein run`: what the daemon's answer to the check makes of it */
TEST(run_asks_first)
{
	char library[128];
	struct answers a = good;
	a.welcome = welcome(0, 10, "");
	const char *dir = daemon_with(&a);
	snprintf(library, sizeof(library), "%s/librein.so", dir);
	fclose(fopen(library, "w"));
	setenv("REIN_LIB", library, 1);
	setenv("LD_PRELOAD", "", 1);
	ck_assert_int_eq(REIN(dir, "run", "--prio", "10", "--name", "x", "--dry-run", "true"), 0);
	ck_assert_ptr_nonnull(
	    strstr(out, "priority  10 (0 best effort, 99 most urgent), class default"));
	ck_assert_ptr_nonnull(strstr(out, "REIN_PRIO=10\n"));
	ck_assert_ptr_nonnull(strstr(out, "REIN_NAME=x\n"));
	setenv("LD_PRELOAD", "/other.so", 1);
	unsetenv("NVTX_INJECTION64_PATH");
	ck_assert_int_eq(REIN(dir, "run", "--dry-run", "--json", "true", "--x"), 0);
	CLI_AUTO_JSON json_t *o = json_loads(out, 0, NULL);
	const json_t *env = json_object_get(o, "env");
	char want[256];
	snprintf(want, sizeof(want), "%s:/other.so", library);
	ck_assert_str_eq(rein_cli_str(env, "LD_PRELOAD"), want);
	ck_assert_str_eq(rein_cli_str(env, "REIN_RUN_DIR"), dir);
	ck_assert_ptr_null(json_object_get(env, "REIN_PRIO"));
	ck_assert_str_eq(rein_cli_str(env, "NVTX_INJECTION64_PATH"), library);
	ck_assert_str_eq(rein_cli_str(o, "daemon"), "answers");
	ck_assert_uint_eq(json_array_size(json_object_get(o, "argv")), 2);
	/* somebody else's NVTX tool stays */
	setenv("NVTX_INJECTION64_PATH", "/profiler.so", 1);
	ck_assert_int_eq(REIN(dir, "run", "--dry-run", "true"), 0);
	ck_assert_ptr_nonnull(strstr(out, "NVTX_INJECTION64_PATH=/profiler.so\n"));
	unsetenv("NVTX_INJECTION64_PATH");
	/* more than granted */
	ck_assert_int_eq(REIN(dir, "run", "--prio", "11", "false"), 125);
	ck_assert_ptr_nonnull(strstr(err, "priority 11 was not granted, only 10"));
	ck_assert_int_eq(lines(err), 1);
	/* the same by the environment */
	setenv("REIN_PRIO", "11", 1);
	ck_assert_int_eq(REIN(dir, "run", "false"), 125);
	setenv("REIN_PRIO", "eleven", 1);
	ck_assert_int_eq(REIN(dir, "run", "false"), 2);
	ck_assert_ptr_nonnull(strstr(err, "REIN_PRIO"));
	unsetenv("REIN_PRIO");
	unsetenv("LD_PRELOAD");
	/* less of something else */
	a.welcome = welcome(0, 0, "weight 500 needs root; granted 100");
	ck_assert_int_eq(REIN(daemon_with(&a), "run", "--weight", "500", "false"), 125);
	ck_assert_str_eq(err, "rein: not all was granted; weight 500 needs root; granted 100\n");
	/* a daemon that knows no reservations */
	ck_assert_int_eq(REIN(dir, "run", "--period", "33ms", "--budget", "6ms", "false"), 125);
	ck_assert_ptr_nonnull(strstr(err, "is older and knows no reservations; restart it"));
	/* the software GPU is not there */
	ck_assert_int_eq(REIN(dir, "run", "--softgpu", "false"), 125);
	ck_assert_ptr_nonnull(strstr(err, "software GPU was not found"));
}
TEST_END

/* `rein run`: what it makes of each answer to a reservation */
TEST(run_reserves)
{
	struct answers a = good;
	setenv("REIN_LIB", "/proc/self/exe", 1);
	a.welcome = welcome(0, 0, "");
	a.welcome.promise = REIN_PROMISE_LATER;
	a.welcome.timing = (struct rein_timing){27500000, 33000000, 6000000};
	strcpy(a.welcome.promise_text, "too tight");
	const char *dir = daemon_with(&a);
	ck_assert_int_eq(
	    REIN(dir, "run", "--deadline", "20ms", "--period", "33ms", "--budget", "6ms", "false"),
	    125);
	ck_assert_str_eq(err, "rein: the deadline of 20 ms cannot be kept, 27.5 ms could; too "
	                      "tight; ask for that, or use --accept-later\n");
	/* this daemon says so each time: asked twice, not for ever */
	ck_assert_int_eq(REIN(dir, "run", "--accept-later", "--deadline", "20ms", "--period",
	                      "33ms", "--budget", "6ms", "false"),
	                 125);
	ck_assert_ptr_nonnull(strstr(err, "the deadline of 27.51 ms cannot be kept"));
	a.welcome.promise = REIN_PROMISE_REFUSED;
	ck_assert_int_eq(
	    REIN(daemon_with(&a), "run", "--period", "33ms", "--budget", "6ms", "false"), 125);
	ck_assert_str_eq(err, "rein: the reservation was refused; too tight\n");
	/* of the class, not asked for: said, and the program runs */
	ck_assert_int_eq(REIN(daemon_with(&a), "run", "--dry-run", "true"), 0);
	ck_assert_str_eq(err, "rein: no guarantee for the reservation of class 'default': too "
	                      "tight\n");
	a.welcome.promise = REIN_PROMISE_NONE;
	strcpy(a.welcome.promise_text, "none while it rains");
	ck_assert_int_eq(REIN(daemon_with(&a), "run", "--dry-run", "--json", "--period", "33ms",
	                      "--budget", "6ms", "true"),
	                 0);
	ck_assert_str_eq(err, "rein: guarantee: none while it rains\n");
	CLI_AUTO_JSON json_t *o = json_loads(out, 0, NULL);
	ck_assert_str_eq(rein_cli_str(json_object_get(o, "reservation"), "guarantee"), "none");
	ck_assert_str_eq(rein_cli_str(json_object_get(o, "env"), "REIN_PERIOD"), "33ms");
	unsetenv("REIN_PERIOD");
	unsetenv("REIN_BUDGET");
	ck_assert_int_eq(
	    REIN(dir, "run", "--accept-later", "--period", "33ms", "--budget", "6ms", "false"), 2);
	ck_assert_ptr_nonnull(strstr(err, "--accept-later needs --deadline"));
	/* by the environment */
	setenv("REIN_BUDGET", "x", 1);
	ck_assert_int_eq(REIN(dir, "run", "false"), 2);
	ck_assert_ptr_nonnull(strstr(err, "REIN_BUDGET: budget 'x' is not accepted"));
	unsetenv("REIN_BUDGET");
}
TEST_END

/* a daemon that ends while it is asked: its supervisor starts another */
TEST(run_asks_again)
{
	struct answers a = good;
	setenv("REIN_LIB", "/proc/self/exe", 1);
	a.welcome = welcome(0, 0, "");
	a.hang_ups = 2;
	ck_assert_int_eq(REIN(daemon_with(&a), "run", "--dry-run", "true"), 0);
	a.hang_ups = 1000;
	ck_assert_int_eq(REIN(daemon_with(&a), "run", "--dry-run", "true"), 125);
	ck_assert_ptr_nonnull(strstr(err, "gave no usable answer; Connection reset by peer"));
	ck_assert_int_eq(lines(err), 1);
}
TEST_END

TEST(run_refused)
{
	struct answers a = good;
	a.welcome = welcome(EINVAL, 0, "there is no class 'x'");
	const char *dir = daemon_with(&a);
	setenv("REIN_LIB", "/proc/self/exe", 1);
	ck_assert_int_eq(REIN(dir, "run", "--class", "x", "true"), 125);
	ck_assert_str_eq(err, "rein: the daemon refused; there is no class 'x'\n");
	a.welcome.header.abi_major = REIN_ABI_MAJOR + 1;
	ck_assert_int_eq(REIN(daemon_with(&a), "run", "true"), 125);
	ck_assert_ptr_nonnull(strstr(err, "different versions"));
	a.welcome.header.magic = 0;
	ck_assert_int_eq(REIN(daemon_with(&a), "run", "true"), 125);
	ck_assert_ptr_nonnull(strstr(err, "no usable answer"));
}
TEST_END

TESTS("tools against a daemon", ps, ps_orders_by_band_where_the_policy_does,
      ps_shows_guarantees_where_somebody_reserves, run_reserves, ps_without_clients, set,
      shows_status, status_tells_time_slices_from_the_context_gate,
      ps_names_the_kernel_that_no_gate_stops, top_shows_the_last_seconds, top, policy,
      stop_waits_for_the_end, bad_answers, no_permission, run_asks_first, run_asks_again,
      run_refused)
