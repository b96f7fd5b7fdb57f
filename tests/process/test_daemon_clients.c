// SPDX-License-Identifier: Apache-2.0
/* test_daemon_clients.c: the daemon and what clients do to it: joining, dying, hanging, lying,
 * flooding, not reading, passing descriptors, using up descriptors. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "tests/process/raw_client.h"

static unsigned daemon_fds(const struct daemon *d)
{
	char path[64];
	unsigned n = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)proc_child(d->p.pid));
	DIR *dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void serves(struct daemon *d)
{
	struct raw r;
	raw_join(&r, d->dir, "check", 0);
	close(r.sock);
}

struct fds {
	const struct daemon *d;
	unsigned n;
};

static bool fds_are_back(void *arg)
{
	const struct fds *f = arg;
	return daemon_fds(f->d) <= f->n;
}

/* Connections that the daemon is about to close do not count: the least of some looks, once its
 * threads have begun. */
static struct fds settled_fds(struct daemon *d)
{
	serves(d);
	ck_assert(eventually(raw_no_clients, d->dir, WAIT_MS));
	struct fds f = {d, daemon_fds(d)};
	for (unsigned i = 0; i < 50; i++) {
		usleep(2000);
		unsigned n = daemon_fds(d);
		f.n = n < f.n ? n : f.n;
	}
	return f;
}

static void ends_well(struct daemon *d)
{
	ck_assert(eventually(raw_no_clients, d->dir, WAIT_MS));
	ck_assert_int_eq(daemon_end(d, SIGTERM, NULL, 0), 0);
}

static void hang_up(struct raw *r)
{
	close(r->sock);
	for (unsigned i = 0; i < r->n_fds; i++)
		close(r->fd[i]);
}

/* ---------------------------------------------------------------- death */

/* A child that joins with a priority, is busy, and stays. Its process' death is all that counts:
 * a grandchild keeps the socket and all descriptors open. */
static pid_t holder(const char *dir, pid_t *heir)
{
	int ready[2];
	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct raw r;
		raw_join(&r, dir, "holder", 50);
		raw_demand(&r, REIN_DEMAND_ACTIVE);
		pid_t child = fork();
		if (child == 0)
			for (;;)
				pause();
		if (write(ready[1], &child, sizeof(child)) != sizeof(child))
			_exit(1);
		for (;;) { /* makes progress, else the hold would open by itself */
			rein_add_relaxed(&r.status->total.submissions, 1);
			usleep(5000);
		}
	}
	close(ready[1]); /* a child that fails must not leave us waiting */
	ck_assert_int_eq(read(ready[0], heir, sizeof(*heir)), sizeof(*heir));
	close(ready[0]);
	return pid;
}

TEST(a_killed_holder_frees_the_others_at_once)
{
	struct daemon d = {0};
	struct raw be;
	pid_t heir;
	daemon_start(&d, NULL);
	raw_join(&be, d.dir, "be", 0);
	raw_demand(&be, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
	pid_t pid = holder(d.dir, &heir);
	ck_assert(eventually(raw_closed, &be, WAIT_MS));
	usleep(300000); /* held longer than a lease: it is renewed */
	ck_assert(raw_closed(&be));
	ck_assert(rein_load_relaxed(&be.control->verdict[0].lease_until_ns) > rein_now_ns());
	kill(pid, SIGKILL); /* not reaped yet: a zombie is dead enough */
	ck_assert(eventually(raw_fully_open, &be, WAIT_MS));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(raw_count_clients(d.dir), 1);
	kill(heir, SIGKILL);
	hang_up(&be);
	ends_well(&d);
}
TEST_END

TEST(a_stopped_holder_lets_the_others_run)
{
	struct daemon d = {0};
	struct raw be;
	pid_t heir;
	char out[8192];
	daemon_start(&d, NULL);
	raw_join(&be, d.dir, "be", 0);
	pid_t pid = holder(d.dir, &heir);
	ck_assert(eventually(raw_closed, &be, WAIT_MS));
	kill(pid, SIGSTOP);
	ck_assert(eventually(raw_open, &be, WAIT_MS));
	ck_assert_int_eq(raw_count_clients(d.dir), 2);
	kill(pid, SIGCONT);
	ck_assert(eventually(raw_closed, &be, WAIT_MS)); /* it is back */
	kill(pid, SIGKILL);
	kill(heir, SIGKILL);
	waitpid(pid, NULL, 0);
	hang_up(&be);
	ck_assert(eventually(raw_no_clients, d.dir, WAIT_MS));
	ck_assert_int_eq(daemon_end(&d, SIGTERM, out, sizeof(out)), 0);
	ck_assert_msg(strstr(out, "opened the hold of be (pid ") != NULL, "%s", out);
	ck_assert_ptr_nonnull(strstr(out, " for holder (pid "));
}
TEST_END

TEST(a_hang_up_frees_too)
{
	struct daemon d = {0};
	struct raw be, lc;
	daemon_start(&d, NULL);
	raw_join(&be, d.dir, "be", 0);
	raw_join(&lc, d.dir, "lc", 50);
	raw_demand(&lc, REIN_DEMAND_ACTIVE);
	ck_assert(eventually(raw_closed, &be, WAIT_MS));
	close(lc.sock);
	ck_assert(eventually(raw_fully_open, &be, WAIT_MS));
	close(be.sock);
	ends_well(&d);
}
TEST_END

/* ---------------------------------------------------------------- what a client cannot do */

TEST(the_shared_memory_is_sealed)
{
	struct daemon d = {0};
	struct raw r;
	daemon_start(&d, NULL);
	raw_join(&r, d.dir, "x", 0);
	for (unsigned i = REIN_FD_BOARD; i <= REIN_FD_CONTROL; i++) {
		ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd[i], 0),
		                 MAP_FAILED);
		ck_assert_int_lt(pwrite(r.fd[i], "x", 1, 0), 0);
	}
	ck_assert_int_lt(mprotect((void *)r.control, 4096, PROT_READ | PROT_WRITE), 0);
	for (unsigned i = REIN_FD_BOARD; i <= REIN_FD_STATUS; i++)
		ck_assert_int_lt(ftruncate(r.fd[i], 0), 0);
	ck_assert_int_lt(fcntl(r.fd[REIN_FD_STATUS], F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	/* A hole in its own page and any garbage in it harm nobody. */
	ck_assert_int_eq(fallocate(r.fd[REIN_FD_STATUS], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	                           0, REIN_AREA_ALIGN),
	                 0);
	memset(r.status, 0xff, REIN_AREA_ALIGN);
	eventfd_write(r.fd[REIN_FD_DOORBELL], 1);
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++)
		rein_store_release(&r.status->device[i].used, 1);
	eventfd_write(r.fd[REIN_FD_DOORBELL], 1);
	serves(&d);
	/* What it does to its end of the doorbell does not make the daemon block on the other. */
	fcntl(r.fd[REIN_FD_DOORBELL], F_SETFL, 0);
	eventfd_write(r.fd[REIN_FD_DOORBELL], 1);
	shutdown(r.fd[REIN_FD_DOORBELL], SHUT_RDWR);
	serves(&d);
	hang_up(&r);
	ends_well(&d);
}
TEST_END

TEST(greetings_that_are_none)
{
	struct daemon d = {0};
	struct raw r;
	daemon_start(&d, NULL);
	struct fds before = settled_fds(&d);
	char garbage[8192];
	memset(garbage, 0x5a, sizeof(garbage));
	static const size_t sizes[] = {1, 15, 16, 119, 120, 121, 8192};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(sizes); i++) {
		ck_assert_int_le(raw_greet(&r, d.dir, garbage, sizes[i]), 0); /* no answer */
		close(r.sock);
	}
	struct rein_msg_hello h;
	struct {
		const char *text;
		int error;
	} expected;
	for (unsigned i = 0; i < 10; i++) {
		h = raw_hello("x", REIN_PRIO_UNSET);
		switch (i) {
		case 0:
			h.header.abi_major = 2;
			expected.text = "speaks ABI 2, this daemon 1: install the same version";
			expected.error = EPROTONOSUPPORT;
			break;
		case 1:
			memset(h.name, 'n', sizeof(h.name));
			expected.text = "has no end";
			expected.error = EPROTO;
			break;
		case 2:
			memset(h.class_name, 'n', sizeof(h.class_name));
			expected.text = "has no end";
			expected.error = EPROTO;
			break;
		case 3:
			h.flags = 0x80;
			expected.text = "unknown flags 0x80";
			expected.error = EPROTO;
			break;
		case 4:
			h.prio = 100;
			expected.text = "accepted: 0 to 99, higher is more urgent";
			expected.error = EINVAL;
			break;
		case 5:
			strcpy(h.class_name, "nope");
			expected.text = "unknown class 'nope'; known: default";
			expected.error = EINVAL;
			break;
		case 6:
			h.weight = 10001;
			expected.text = "weight 10001 does not exist; accepted: 1 to 10000";
			expected.error = EINVAL;
			break;
		case 7:
			h.latency_nice = -21;
			expected.text = "latency_nice -21 does not exist; accepted: -20 to 19";
			expected.error = EINVAL;
			break;
		case 8:
			h.timing.deadline_ns = 20000000;
			expected.text = "a deadline needs a period and a budget";
			expected.error = EINVAL;
			break;
		case 9:
			memset(h.job, 'j', sizeof(h.job));
			expected.text = "has no end";
			expected.error = EPROTO;
			break;
		}
		ck_assert_int_eq(raw_greet(&r, d.dir, &h, sizeof(h)), REIN_WELCOME_SIZE_1);
		ck_assert_int_eq(r.w.error, expected.error);
		ck_assert_msg(strstr(r.w.text, expected.text) != NULL, "%u: %s", i, r.w.text);
		ck_assert_uint_eq(r.n_fds, 0);
		close(r.sock);
	}
	h = raw_hello("x", 30);
	h.flags = REIN_HELLO_CHECK;
	ck_assert_int_eq(raw_greet(&r, d.dir, &h, sizeof(h)), sizeof(r.w));
	ck_assert(r.w.error == 0 && r.w.client_id == 0 && r.n_fds == 0);
	ck_assert_int_eq(r.w.prio, geteuid() == 0 ? 30 : r.w.prio);
	close(r.sock);
	serves(&d);
	ck_assert(eventually(raw_no_clients, d.dir, WAIT_MS));
	ck_assert(eventually(fds_are_back, &before, WAIT_MS));
	ends_well(&d);
}
TEST_END

/* A greeting of minor 1 gets an answer of minor 1; a longer one than ours is read as far as we know
 * it, and answered in full. */
TEST(peers_of_other_minors_are_served)
{
	struct daemon d = {0};
	struct raw r;
	char longer[sizeof(struct rein_msg_hello) + 32] = {0};
	daemon_start(&d, NULL);
	struct rein_msg_hello h = raw_hello("old", 0);
	h.header.abi_minor = 1;
	h.header.size = REIN_HELLO_SIZE_1;
	ck_assert_int_eq(raw_greet(&r, d.dir, &h, REIN_HELLO_SIZE_1), REIN_WELCOME_SIZE_1);
	ck_assert_uint_eq(r.w.header.size, REIN_WELCOME_SIZE_1);
	ck_assert(r.w.error == 0 && r.w.client_id != 0);
	ck_assert_uint_eq(r.n_fds, 4);
	json_t *answer = raw_ask(d.dir, "{\"op\":\"clients\"}");
	const json_t *c = json_array_get(json_object_get(answer, "clients"), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(c, "latency_nice")), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(c, "weight")), 100);
	ck_assert(json_is_null(json_object_get(c, "reservation")));
	json_decref(answer);
	close(r.sock);

	h = raw_hello("new", 0);
	h.flags = REIN_HELLO_CHECK;
	h.header.abi_minor = 99;
	h.header.size = sizeof(longer);
	memcpy(longer, &h, sizeof(h));
	ck_assert_int_eq(raw_greet(&r, d.dir, longer, sizeof(longer)), sizeof(r.w));
	ck_assert_int_eq(r.w.error, 0);
	close(r.sock);
	ends_well(&d);
}
TEST_END

/* Which executable asks is believed for an answer, never for joining. */
TEST(what_a_greeting_says_of_itself_buys_an_answer_only)
{
	struct daemon d = {0};
	struct raw r;
	char conf[160];
	snprintf(conf, sizeof(conf), "%s/rein.conf", temp_dir());
	FILE *f = fopen(conf, "w");
	ck_assert_ptr_nonnull(f);
	fputs("[class up]\npriority = 50\n[rule r]\nexe = /opt/server\nclass = up\n", f);
	fclose(f);
	daemon_start(&d, (char *[]){"--config", conf, NULL});
	struct rein_msg_hello h = raw_hello("x", REIN_PRIO_UNSET);
	strcpy(h.exe, "/opt/server");
	h.flags = REIN_HELLO_CHECK;
	ck_assert_int_eq(raw_greet(&r, d.dir, &h, sizeof(h)), sizeof(r.w));
	ck_assert_str_eq(r.w.class_name, "up");
	ck_assert_int_eq(r.w.prio, 50);
	close(r.sock);
	h.flags = 0;
	ck_assert_int_eq(raw_greet(&r, d.dir, &h, sizeof(h)), sizeof(r.w));
	ck_assert_str_eq(r.w.class_name, "default");
	ck_assert_int_eq(r.w.prio, 0);
	close(r.sock);
	memset(h.exe, 'x', sizeof(h.exe)); /* without an end */
	ck_assert_int_eq(raw_greet(&r, d.dir, &h, sizeof(h)), REIN_WELCOME_SIZE_1);
	ck_assert_int_eq(r.w.error, EPROTO);
	close(r.sock);
	ends_well(&d);
}
TEST_END

static bool hung_up(void *arg)
{
	char drop[512];
	int n = (int)rein_sock_recv(*(int *)arg, drop, sizeof(drop), NULL, NULL, 0);
	return n == 0 || n == -ECONNRESET;
}

TEST(whoever_speaks_after_the_greeting_is_out)
{
	struct daemon d = {0};
	struct raw r;
	daemon_start(&d, NULL);
	raw_join(&r, d.dir, "x", 0);
	ck_assert_int_eq(rein_sock_send(r.sock, "more", 4, NULL, 0), 0);
	ck_assert(eventually(hung_up, &r.sock, WAIT_MS));
	ck_assert(eventually(raw_no_clients, d.dir, WAIT_MS));
	ends_well(&d);
}
TEST_END

TEST(descriptors_that_are_passed_in_are_closed)
{
	struct daemon d = {0};
	struct raw r;
	struct rein_msg_hello h = raw_hello("x", 0);
	daemon_start(&d, NULL);
	struct fds before = settled_fds(&d);
	int fds[REIN_SOCK_FDS];
	for (unsigned i = 0; i < REIN_SOCK_FDS; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i < 50; i++) {
		r.sock = raw_connect(d.dir);
		ck_assert_int_eq(
		    rein_sock_send(r.sock, &h, i % 2 ? sizeof(h) : 3, fds, REIN_SOCK_FDS), 0);
		close(r.sock);
	}
	int control = rein_sock_connect(d.dir, REIN_CONTROL_SOCKET);
	ck_assert_int_eq(rein_sock_send(control, "{}", 2, fds, REIN_SOCK_FDS), 0);
	char answer[512];
	ck_assert_int_gt(rein_sock_recv(control, answer, sizeof(answer), NULL, NULL, WAIT_MS), 0);
	close(control);
	ck_assert(eventually(raw_no_clients, d.dir, WAIT_MS));
	serves(&d);
	ck_assert(eventually(raw_no_clients, d.dir, WAIT_MS));
	ck_assert(eventually(fds_are_back, &before, WAIT_MS));
	ends_well(&d);
}
TEST_END

static bool ask_until_dropped(void *arg)
{
	int err = 0;
	while (!err)
		err = rein_sock_send(*(int *)arg, "{\"op\":\"status\"}", 15, NULL, 0);
	return err != -EAGAIN;
}

TEST(whoever_does_not_read_its_answers_is_dropped)
{
	struct daemon d = {0};
	daemon_start(&d, NULL);
	int fd = rein_sock_connect(d.dir, REIN_CONTROL_SOCKET);
	ck_assert(eventually(ask_until_dropped, &fd, WAIT_MS));
	close(fd);
	serves(&d);
	ends_well(&d);
}
TEST_END

TEST(silent_connections_and_too_many_of_them)
{
	if (geteuid() != 0)
		return;
	struct daemon d = {0};
	daemon_start(&d, NULL);
	ck_assert_int_eq(chmod(d.dir, 0755), 0);
	int go[2];
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) { /* an ordinary user opens as many as it may, and says nothing */
		struct rlimit r = {4096, 4096};
		setrlimit(RLIMIT_NOFILE, &r);
		if (setgid(65534) || setuid(65534))
			_exit(9);
		unsigned refused = 0;
		for (unsigned i = 0; i < 300; i++) {
			int fd = raw_connect(d.dir);
			struct rein_msg_welcome w;
			if (i < 256)
				continue;
			if (rein_sock_recv(fd, &w, sizeof(w), NULL, NULL, WAIT_MS) ==
			        REIN_WELCOME_SIZE_1 &&
			    w.error == EAGAIN && strstr(w.text, "too many programs"))
				refused++;
		}
		if (write(go[1], &refused, sizeof(refused)) != sizeof(refused))
			_exit(8);
		pause();
	}
	unsigned refused;
	close(go[1]); /* a child that fails must not leave us waiting */
	ck_assert_int_eq(read(go[0], &refused, sizeof(refused)), sizeof(refused));
	ck_assert_uint_eq(refused, 300 - 256);
	serves(&d); /* others are not concerned */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ends_well(&d);
}
TEST_END

/* Few descriptors for the daemon: it turns callers away, does not spin or end, and recovers. */
TEST(out_of_descriptors)
{
	struct daemon d = {0};
	struct rlimit old;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	snprintf(d.dir, sizeof(d.dir), "%s", temp_dir());
	char cmd[512];
	snprintf(cmd, sizeof(cmd), "ulimit -n 40; exec '%s' --run-dir '%s'", built("reind"), d.dir);
	char *argv[] = {"sh", "-c", cmd, NULL};
	d.p = proc_start(argv, NULL);
	ck_assert(eventually(raw_answers, d.dir, WAIT_MS));
	int fd[60];
	for (unsigned i = 0; i < 60; i++)
		fd[i] = raw_connect(d.dir);
	ck_assert(eventually(hung_up, &fd[59], WAIT_MS)); /* turned away, not left waiting */
	for (unsigned i = 0; i < 60; i++)
		close(fd[i]);
	struct raw r;
	struct rein_msg_hello h = raw_hello("x", 0);
	bool joined = false;
	for (unsigned i = 0; i < 1000 && !joined; i++) {
		joined = raw_greet(&r, d.dir, &h, sizeof(h)) == sizeof(r.w) && r.w.error == 0;
		close(r.sock);
		usleep(1000);
	}
	ck_assert(joined);
	ends_well(&d);
}
TEST_END

TEST(many_clients_come_and_go)
{
	struct daemon d = {0};
	static struct raw r[120];
	daemon_start(&d, NULL);
	struct fds before = settled_fds(&d);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 120; i++) {
			raw_join(&r[i], d.dir,
			         "a name of some length, so that the list is long too",
			         (int)(i % 3));
			raw_demand(&r[i], REIN_DEMAND_ACTIVE);
		}
		ck_assert_int_eq(raw_count_clients(d.dir), 120);
		/* More than a packet holds: in parts, each client once. */
		unsigned seen = 0, parts = 0;
		long long after = 0;
		do {
			char request[64];
			snprintf(request, sizeof(request), "{\"op\":\"clients\",\"after\":%lld}",
			         after);
			json_t *answer = raw_ask(d.dir, request);
			seen += (unsigned)json_array_size(json_object_get(answer, "clients"));
			after = json_integer_value(json_object_get(answer, "next"));
			json_decref(answer);
			parts++;
		} while (after);
		ck_assert_uint_eq(seen, 120);
		ck_assert_uint_ge(parts, 1);
		for (unsigned i = 0; i < 120; i++) {
			hang_up(&r[i]);
			munmap((void *)r[i].board, REIN_AREA_ALIGN);
			munmap((void *)r[i].control, REIN_AREA_ALIGN);
			munmap(r[i].status, REIN_AREA_ALIGN);
		}
		ck_assert(eventually(raw_no_clients, d.dir, WAIT_MS));
	}
	ck_assert(eventually(fds_are_back, &before, WAIT_MS));
	ends_well(&d);
}
TEST_END

TESTS("daemon and clients", a_killed_holder_frees_the_others_at_once,
      a_stopped_holder_lets_the_others_run, a_hang_up_frees_too, the_shared_memory_is_sealed,
      greetings_that_are_none, peers_of_other_minors_are_served,
      what_a_greeting_says_of_itself_buys_an_answer_only, whoever_speaks_after_the_greeting_is_out,
      descriptors_that_are_passed_in_are_closed, whoever_does_not_read_its_answers_is_dropped,
      silent_connections_and_too_many_of_them, out_of_descriptors, many_clients_come_and_go)
