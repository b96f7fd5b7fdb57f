// SPDX-License-Identifier: Apache-2.0
/*
 * test_queue_gate.c: the queue gate on the software GPU: how soon a deep queue stops (in the
 * model's time), that it costs nothing while nobody is urgent, that nobody is left waiting in the
 * GPU when the daemon dies or the program goes.
 *
 * REIN_GATE_DEATHS=N   how often the daemon dies or is stopped under eight programs (default 3; 25
 * are two hundred instants of a program, with CK_TIMEOUT_MULTIPLIER=4)
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/futex.h"
#include "common/ring.h"
#include "tests/process/hammer.h"

#define MODEL_NS (50 * REIN_US) /* its memory operations, gaps and latencies */
#define NONE_NS (600 * REIN_S)

/* ---------------------------------------------------------------- a daemon by hand */

static struct hand {
	char dir[64];
	int listener, sock, bell;
	struct rein_board *board;
	struct rein_control *control;
	struct rein_status *status;
	struct rein_points *points;
} hand;

static void *object(const char *name, size_t len, size_t size, int *fd)
{
	*fd = rein_memfd_new(name, len);
	ck_assert_int_ge(*fd, 0);
	struct rein_abi_header *h = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	ck_assert_ptr_ne(h, MAP_FAILED);
	*h = (struct rein_abi_header){REIN_ABI_MAGIC, REIN_ABI_MAJOR, REIN_ABI_MINOR,
	                              (uint32_t)size, 0};
	return h;
}

static void hand_set(uint32_t gate, uint64_t lease_ns)
{
	struct rein_verdict *v = &hand.control->verdict[0];
	rein_store_release(&v->lease_until_ns, rein_now_ns() + lease_ns);
	if (!(gate & REIN_GATE_CLOSED))
		rein_swap_seqcst(&hand.points->open, 1);
	rein_swap_seqcst(&v->gate, gate);
	if (gate & REIN_GATE_CLOSED)
		rein_swap_seqcst(&hand.points->open, 0);
	rein_futex_wake_all(&v->gate);
}

/* A metered client: somebody more urgent is there. */
static void hand_accept(uint64_t point_ns)
{
	struct rein_msg_welcome w = {.header = {REIN_ABI_MAGIC, REIN_MSG_WELCOME, 0, sizeof(w),
	                                        REIN_ABI_MAJOR, REIN_ABI_MINOR},
	                             .client_id = 1};
	struct rein_msg_hello hello;
	int fd[REIN_FD_MAX], bell[2];
	unsigned none = 0;
	struct pollfd p = {.fd = hand.listener, .events = POLLIN};
	ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
	hand.sock = accept4(hand.listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_eq(rein_sock_recv(hand.sock, &hello, sizeof(hello), NULL, &none, WAIT_MS),
	                 sizeof(hello));
	hand.board = object("board", REIN_AREA_ALIGN, sizeof(*hand.board), &fd[REIN_FD_BOARD]);
	hand.control =
	    object("control", REIN_AREA_ALIGN, sizeof(*hand.control), &fd[REIN_FD_CONTROL]);
	hand.status = object("status", REIN_AREA_ALIGN, sizeof(*hand.status), &fd[REIN_FD_STATUS]);
	(void)object("rings", REIN_RING_AREA_BYTES, sizeof(struct rein_ring_area),
	             &fd[REIN_FD_RINGS]);
	hand.points = object("points", REIN_AREA_ALIGN, sizeof(*hand.points), &fd[REIN_FD_POINTS]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bell), 0);
	hand.bell = bell[0];
	fd[REIN_FD_DOORBELL] = bell[1];
	hand.control->linger_us = 200;
	hand.control->verdict[0].backlog_ns = 4 * REIN_MS;
	hand.control->verdict[0].backlog_launches = 64;
	hand.control->verdict[0].point_ns = point_ns;
	hand_set(REIN_GATE_METERED, NONE_NS);
	ck_assert_int_eq(rein_sock_send(hand.sock, &w, sizeof(w), fd, REIN_FD_MAX), 0);
	for (unsigned i = 0; i < REIN_FD_MAX; i++)
		close(fd[i]);
}

static struct proc hand_start(struct rig *rig, const char *program, const char *args,
                              uint64_t point_ns)
{
	snprintf(hand.dir, sizeof(hand.dir), "%s", rig->dir);
	hand.listener = rein_sock_listen(hand.dir, REIN_CLIENT_SOCKET, 0600, 4);
	ck_assert_int_ge(hand.listener, 0);
	struct proc p = rig_start(rig, 0, program, args);
	hand_accept(point_ns);
	return p;
}

static void hand_end(void)
{
	close(hand.sock);
	close(hand.bell);
	close(hand.listener);
}

static bool has_points(void *n)
{
	return rein_load_relaxed(&hand.status->points) >= *(unsigned *)n;
}

/* ---------------------------------------------------------------- the order log */

struct kernel {
	uint64_t start, end;
};

/* All kernels of that name (pid 0: whoever's), in order of completion; the caller frees. */
static struct kernel *kernels_of(const char *path, pid_t pid, const char *name, size_t *n)
{
	size_t len, room = 1 << 20;
	char *log = rig_read(path, &len);
	struct kernel *k = calloc(room, sizeof(*k));
	ck_assert(log && k);
	*n = 0;
	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
		unsigned long long start, end;
		char kind[16], what[64];
		int of;
		if (sscanf(line, "%d %*u %15s %63s %llu %llu", &of, kind, what, &start, &end) != 5)
			ck_abort_msg("order log: %s", line);
		if (strcmp(kind, "kernel") || strcmp(what, name) || (pid && of != pid) ||
		    *n == room)
			continue;
		k[(*n)++] = (struct kernel){start, end};
	}
	free(log);
	return k;
}

static size_t count_of(const char *path, const char *kind)
{
	size_t len, n = 0;
	char *log = rig_read(path, &len), word[32];
	snprintf(word, sizeof(word), " %s ", kind);
	for (const char *at = log; at && (at = strstr(at, word)) != NULL; at++)
		n++;
	free(log);
	return n;
}

static char order_path[128];

static void log_order(const struct rig *rig)
{
	snprintf(order_path, sizeof(order_path), "%s/order", rig->dir);
	setenv("SOFTGPU_ORDER_LOG", order_path, 1);
}

/* ---------------------------------------------------------------- how soon a queue stops */

#define CLOSES 40
#define DEEP 100
#define ATTEMPTS 4

/* Closes and opens under a queue as deep as the driver takes: nothing ends later than the model
 * says, and everything is there in the end. The distance of points is large enough for a host whose
 * calls take 40 us: it grows with their cost. False: something ended later; a host that is too busy
 * does that now and then. */
static bool stops_in_time(const char *times, uint64_t longest_ns, uint64_t q_ns, unsigned per_point)
{
	struct rig rig;
	uint64_t at[CLOSES], until[CLOSES], given[CLOSES];
	char out[4096];
	unsigned warm = 64;
	size_t n;
	setenv("SOFTGPU_OVERRUN_SLACK", "10s", 1); /* a busy host is late, the model is not */
	rig_init(&rig, times);
	log_order(&rig);
	struct proc p = hand_start(&rig, "workloads/be", "--seconds 2 --work 1", q_ns);
	ck_assert(eventually(has_points, &warm, WAIT_MS));
	for (unsigned i = 0; i < CLOSES; i++) {
		sleep_us(20000 + i * 997 % 3000);
		given[i] = rein_load_relaxed(&hand.status->points) * per_point;
		hand_set(REIN_GATE_METERED | REIN_GATE_CLOSED, NONE_NS);
		at[i] = rein_now_ns();
		sleep_us(5000);
		until[i] = rein_now_ns();
		hand_set(REIN_GATE_METERED, NONE_NS);
	}
	int rc = proc_wait(&p, out, sizeof(out), WAIT_MS);
	ck_assert_msg(rc == 0, "%d: %s", rc, out);
	struct kernel *k = kernels_of(order_path, 0, "be_step", &n);
	uint64_t bound = (longest_ns > q_ns ? longest_ns : q_ns) + MODEL_NS, worst = 0;
	unsigned deep = 0;
	for (unsigned i = 0; i < CLOSES; i++) {
		uint64_t done = 0;
		for (size_t j = 0; j < n; j++) {
			done += k[j].end <= at[i];
			if (k[j].start >= until[i] || k[j].end <= at[i])
				continue;
			uint64_t late = k[j].end - at[i];
			worst = late > worst ? late : worst;
		}
		deep += given[i] >= done + DEEP;
	}
	ck_assert_uint_eq(deep, CLOSES);
	ck_assert_uint_gt(worst, 0);
	printf(
	    "kernels of %lu us, points every %lu us: the last one ended %lu us after the close\n",
	    (unsigned long)(longest_ns / REIN_US), (unsigned long)(q_ns / REIN_US),
	    (unsigned long)(worst / REIN_US));
	free(k);
	hand_end();
	rig_fini(&rig);
	unsetenv("SOFTGPU_ORDER_LOG");
	return worst <= bound;
}

static void stops_within(const char *times, uint64_t longest_ns, uint64_t q_ns, unsigned per_point)
{
	bool in_time = false;
	for (unsigned i = 0; i < ATTEMPTS && !in_time; i++)
		in_time = stops_in_time(times, longest_ns, q_ns, per_point);
	ck_assert_msg(in_time, "later than the model allows in each of %d attempts", ATTEMPTS);
}

TEST(a_queue_of_long_kernels_stops_behind_the_one_that_runs)
{
	stops_within("be_step=2ms", 2 * REIN_MS, 100 * REIN_US, 1);
}
TEST_END

TEST(a_queue_of_short_kernels_stops_at_the_next_point)
{
	stops_within("be_step=400us", 400 * REIN_US, 2 * REIN_MS, 5);
}
TEST_END

/* ---------------------------------------------------------------- nobody is left waiting */

/* The program says when all is queued: from then on it passes no gate. */
static void expect_queued(struct proc *p)
{
	char line[8] = "";
	for (unsigned n = 0; n < 7; n++)
		ck_assert_int_eq(read(p->out, line + n, 1), 1);
	ck_assert_str_eq(line, "queued\n");
	ck_assert_uint_ge(rein_load_relaxed(&hand.status->points), 150);
}

/* Its queue is held, the lease is long: what it does next must end, and with the right result.
 * opens: it waits until the gate does. */
static void does(const char *mode, bool opens)
{
	struct rig rig;
	char args[200], go[128], out[4096] = "";
	rig_init(&rig, "add=2ms");
	setenv("SOFTGPU_OVERRUN_SLACK", "10s", 1);
	snprintf(go, sizeof(go), "%s/go", rig.dir);
	snprintf(args, sizeof(args), "%s %s", mode, go);
	struct proc p = hand_start(&rig, "tests/clients/queued", args, 100 * REIN_US);
	expect_queued(&p);
	hand_set(REIN_GATE_METERED | REIN_GATE_CLOSED, NONE_NS);
	close(open(go, O_WRONLY | O_CREAT, 0600));
	if (opens) {
		sleep_us(30000);
		ck_assert_int_eq(kill(p.pid, 0), 0);
		ck_assert_uint_eq(rein_load_relaxed(&hand.points->open), 0);
		hand_set(REIN_GATE_METERED, NONE_NS);
	}
	int rc = proc_wait(&p, out, sizeof(out), WAIT_MS);
	ck_assert_msg(rc == 0 && strstr(out, "done"), "%s: %d: %s", mode, rc, out);
	hand_end();
	rig_fini(&rig);
}

TEST(who_waits_goes_on_when_the_gate_opens)
{
	does("sync", true);
	does("query", true);
	does("stream", true);
	does("fork", true);
	does("load", true);
}
TEST_END

TEST(contexts_and_programs_end_while_their_queue_is_held)
{
	does("context", false);
	does("reset", false);
	does("return", false);
	does("exit", false);
}
TEST_END

/* The daemon is there, its lease has run out: it hangs. */
TEST(a_lease_that_lapses_opens_the_queue)
{
	struct rig rig;
	char go[128], args[200], out[4096];
	rig_init(&rig, "add=2ms");
	setenv("SOFTGPU_OVERRUN_SLACK", "10s", 1);
	snprintf(go, sizeof(go), "%s/go", rig.dir);
	snprintf(args, sizeof(args), "sync %s", go);
	struct proc p = hand_start(&rig, "tests/clients/queued", args, 100 * REIN_US);
	expect_queued(&p);
	hand_set(REIN_GATE_METERED | REIN_GATE_CLOSED, REIN_LEASE_NS);
	close(open(go, O_WRONLY | O_CREAT, 0600));
	int rc = proc_wait(&p, out, sizeof(out), WAIT_MS);
	ck_assert_msg(rc == 0 && strstr(out, "done"), "%d: %s", rc, out);
	ck_assert_uint_eq(rein_load_relaxed(&hand.points->open), 1);
	hand_end();
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- with the daemon */

static struct rig rig;

static void start_daemon(void)
{
	char conf[128];
	snprintf(conf, sizeof(conf), "%s/rein.conf", rig.dir);
	FILE *f = fopen(conf, "we");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "[daemon]\ngates = launch, queue\n");
	fclose(f);
	rig_daemon_with(&rig, (char *[]){"--config", conf, NULL});
}

static void start_rig(const char *times)
{
	setenv("SOFTGPU_OVERRUN_SLACK", "10s", 1);
	rig_init(&rig, times);
	log_order(&rig);
	start_daemon();
}

static void stop(struct proc *p)
{
	char out[4096];
	proc_kill(p, SIGTERM);
	int rc = proc_wait(p, out, sizeof(out), WAIT_MS);
	ck_assert_msg(rc == 0, "%d: %s", rc, out);
}

TEST(no_memory_operation_while_nobody_is_urgent)
{
	start_rig("be_step=300us,lc_step=300us");
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 0 --work 1");
	struct proc peer = rig_start(&rig, 0, "workloads/be", "--seconds 0 --work 1");
	rig_expect_progress(&rig, be.pid, "submissions", 2000, WAIT_MS);
	ck_assert_int_eq(rig_counter(&rig, be.pid, "points"), 0);
	ck_assert_uint_eq(count_of(order_path, "memop"), 0);
	struct proc lc = rig_start(&rig, 50, "workloads/lc", "--seconds 600 --period 20 --work 1");
	rig_expect_progress(&rig, be.pid, "points", 100, WAIT_MS);
	ck_assert_int_eq(rig_counter(&rig, lc.pid, "points"), 0);
	stop(&lc);
	rig_expect_state(&rig, lc.pid, NULL, WAIT_MS);
	int64_t points = rig_counter(&rig, be.pid, "points");
	int64_t given = rig_counter(&rig, be.pid, "submissions");
	rig_expect_progress(&rig, be.pid, "submissions", given + 1000, WAIT_MS);
	ck_assert_int_le(rig_counter(&rig, be.pid, "points"), points + 1);
	stop(&be), stop(&peer);
	rig_fini(&rig);
	unsetenv("SOFTGPU_ORDER_LOG");
}
TEST_END

#define PROGRAMS 8
#define WITHIN_NS (REIN_LEASE_NS + 400 * REIN_MS) /* a lease, and a busy host */

/* An urgent client by hand, for as long as this daemon lives. */
static void urgent_joins(const char *uuid)
{
	struct raw *r = &hammer.raw;
	struct rein_msg_hello h = raw_hello("urgent", 90);
	ck_assert_int_eq(raw_greet(r, rig.dir, &h, sizeof(h)), sizeof(r->w));
	r->board = raw_map(r->fd[REIN_FD_BOARD], PROT_READ);
	r->control = raw_map(r->fd[REIN_FD_CONTROL], PROT_READ);
	r->status = (struct rein_status *)raw_map(r->fd[REIN_FD_STATUS], PROT_READ | PROT_WRITE);
	memcpy(r->status->device[0].uuid, uuid, UUID_BYTES);
	rein_store_release(&r->status->device[0].used, 1);
	ck_assert_int_eq(eventfd_write(r->fd[REIN_FD_DOORBELL], 1), 0);
}

static void read_uuid(char uuid[UUID_BYTES])
{
	char out[256] = "";
	struct proc p = rig_start(&rig, -1, "tests/clients/random_program", "--uuid");
	ck_assert_int_eq(proc_wait(&p, out, sizeof(out), WAIT_MS), 0);
	for (unsigned k = 0; k < UUID_BYTES; k++) {
		unsigned byte;
		ck_assert_int_eq(sscanf(out + 2 * k, "%2x", &byte), 1);
		uuid[k] = (char)byte;
	}
}

struct death {
	uint64_t at_ns;
	bool killed;
};

/* They are held at their points, and then it dies, or stops for longer than a lease. */
static struct death one_death(struct proc be[PROGRAMS], const char *uuid, unsigned i)
{
	struct death d = {.killed = i % 4 != 3};
	urgent_joins(uuid);
	for (unsigned k = 0; k < PROGRAMS; k++)
		rig_expect_progress(&rig, be[k].pid, "points",
		                    rig_counter(&rig, be[k].pid, "points") + 20, WAIT_MS);
	raw_demand(&hammer.raw, REIN_DEMAND_ACTIVE);
	sleep_us(i * 7919 % 20000);
	pid_t worker = proc_child(rig.daemon.pid);
	d.at_ns = rein_now_ns();
	kill(d.killed ? rig.daemon.pid : worker, d.killed ? SIGKILL : SIGSTOP);
	sleep_us((unsigned)(WITHIN_NS / 1000));
	if (d.killed) { /* its worker has ended with it */
		proc_wait(&rig.daemon, NULL, 0, WAIT_MS);
		start_daemon();
	} else {
		kill(worker, SIGCONT);
	}
	close(hammer.raw.sock);
	for (unsigned k = 0; k < REIN_FD_N; k++)
		close(hammer.raw.fd[k]);
	for (unsigned k = 0; k < PROGRAMS; k++)
		rig_expect_state(&rig, be[k].pid, "", WAIT_MS); /* joined again */
	return d;
}

/* What one set of programs goes through: each new daemon's word takes a place in their contexts, of
 * which there are 32 (interpose/point.c); after that the launch gate holds them. */
#define DEATHS_MAX 24

static uint64_t some_deaths(unsigned first, unsigned deaths, const char *uuid)
{
	struct proc be[PROGRAMS];
	struct death d[DEATHS_MAX];
	uint64_t worst = 0;
	for (unsigned k = 0; k < PROGRAMS; k++)
		be[k] = rig_start(&rig, 0, "workloads/be", "--seconds 0 --work 1");
	for (unsigned k = 0; k < PROGRAMS; k++)
		rig_expect_state(&rig, be[k].pid, "", WAIT_MS);
	for (unsigned i = 0; i < deaths; i++)
		d[i] = one_death(be, uuid, first + i);
	for (unsigned k = 0; k < PROGRAMS; k++) {
		size_t n;
		pid_t pid = be[k].pid;
		stop(&be[k]);
		struct kernel *all = kernels_of(order_path, pid, "be_step", &n);
		for (unsigned i = 0; i < deaths; i++) {
			size_t j = 0;
			while (j < n && all[j].end <= d[i].at_ns + 20 * REIN_MS)
				j++; /* what ran then is no proof */
			ck_assert_uint_lt(j, n);
			uint64_t took = all[j].end - d[i].at_ns;
			worst = took > worst ? took : worst;
			ck_assert_msg(took <= WITHIN_NS,
			              "death %u (%s): program %u ran %lu ms later", first + i,
			              d[i].killed ? "killed" : "stopped", k,
			              (unsigned long)(took / REIN_MS));
		}
		free(all);
	}
	return worst;
}

TEST(the_daemon_dies_or_stops_while_queues_are_held)
{
	const char *wish = getenv("REIN_GATE_DEATHS");
	unsigned deaths = wish ? (unsigned)atoi(wish) : 3;
	uint64_t worst = 0;
	char uuid[UUID_BYTES];
	signal(SIGPIPE, SIG_IGN);
	setenv("SOFTGPU_TIMESLICE", "1ms", 1);
	start_rig("be_step=2ms");
	read_uuid(uuid);
	for (unsigned i = 0; i < deaths; i += DEATHS_MAX) {
		unsigned n = deaths - i < DEATHS_MAX ? deaths - i : DEATHS_MAX;
		uint64_t took = some_deaths(i, n, uuid);
		worst = took > worst ? took : worst;
	}
	printf("%u deaths under %u programs: all ran within %lu ms\n", deaths, PROGRAMS,
	       (unsigned long)(worst / REIN_MS));
	rig_fini(&rig);
	unsetenv("SOFTGPU_ORDER_LOG");
	unsetenv("SOFTGPU_TIMESLICE");
}
TEST_END

TESTS("queue gate", a_queue_of_long_kernels_stops_behind_the_one_that_runs,
      a_queue_of_short_kernels_stops_at_the_next_point, who_waits_goes_on_when_the_gate_opens,
      contexts_and_programs_end_while_their_queue_is_held, a_lease_that_lapses_opens_the_queue,
      no_memory_operation_while_nobody_is_urgent, the_daemon_dies_or_stops_while_queues_are_held)
