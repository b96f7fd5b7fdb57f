// SPDX-License-Identifier: Apache-2.0
/* Joining a daemon (played here, over a real socket and real memfds), losing it, forking. */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/sock.h"
#include "common/wire.h"

static struct {
	int listener, client, fd[REIN_FD_N], bell; /* bell: the daemon's end */
	struct rein_board *board;
	struct rein_control *control;
	struct rein_status *status;
	struct rein_msg_hello hello;
} daemon_side = {.listener = -1, .client = -1};

static void *object(int i, size_t size)
{
	int fd = rein_memfd_new("rein-test", size);
	ck_assert_int_ge(fd, 0);
	struct rein_abi_header *h = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(h, MAP_FAILED);
	*h = (struct rein_abi_header){REIN_ABI_MAGIC, REIN_ABI_MAJOR, REIN_ABI_MINOR,
	                              (uint32_t)size, 0};
	if (i != REIN_FD_STATUS)
		ck_assert_int_eq(rein_memfd_freeze(fd), 0);
	daemon_side.fd[i] = fd;
	return h;
}

static void make_objects(void)
{
	daemon_side.board = object(REIN_FD_BOARD, sizeof(struct rein_board));
	daemon_side.control = object(REIN_FD_CONTROL, sizeof(struct rein_control));
	daemon_side.status = object(REIN_FD_STATUS, sizeof(struct rein_status));
	int bell[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bell), 0);
	daemon_side.bell = bell[0];
	daemon_side.fd[REIN_FD_DOORBELL] = bell[1];
}

static void daemon_listen(void)
{
	static char dir[256];
	if (!dir[0])
		strncpy(dir, temp_dir(), sizeof(dir) - 1);
	setenv("REIN_RUN_DIR", dir, 1);
	daemon_side.listener = rein_sock_listen(dir, REIN_CLIENT_SOCKET, 0600, 4);
	ck_assert_int_ge(daemon_side.listener, 0);
}

static void daemon_accept(const struct rein_msg_welcome *w)
{
	struct pollfd p = {.fd = daemon_side.listener, .events = POLLIN};
	unsigned none = 0;
	ck_assert_int_eq(poll(&p, 1, 20000), 1);
	int fd = accept4(daemon_side.listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
	    rein_sock_recv(fd, &daemon_side.hello, sizeof(daemon_side.hello), NULL, &none, 5000),
	    sizeof(daemon_side.hello));
	ck_assert_int_eq(
	    rein_sock_send(fd, w, sizeof(*w), daemon_side.fd, w->error ? 0 : REIN_FD_N), 0);
	daemon_side.client = fd;
}

static const struct rein_msg_welcome welcome = {.header = {REIN_ABI_MAGIC, REIN_MSG_WELCOME, 0,
                                                           sizeof(welcome), REIN_ABI_MAJOR,
                                                           REIN_ABI_MINOR},
                                                .client_id = 7};

static void *accept_main(void *w)
{
	daemon_accept(w);
	return NULL;
}

/* Starts the shim against our daemon: cuInit waits for the first attempt to join. */
static void join_daemon(const struct rein_msg_welcome *w)
{
	pthread_t t;
	make_objects();
	daemon_listen();
	fake_start();
	pthread_create(&t, NULL, accept_main, (void *)(uintptr_t)w);
	ck_assert_int_eq(hook_cuInit(0), CUDA_SUCCESS);
	pthread_join(t, NULL);
}

static bool attached(void *unused)
{
	return rein_attach_on();
}

static bool detached(void *unused)
{
	return !rein_attach_on();
}

static void hang_up(void)
{
	close(daemon_side.client);
	close(daemon_side.listener);
}

/* How often since the last look; a ring is a byte. */
static uint64_t rung(void)
{
	char bytes[64];
	ssize_t n = recv(daemon_side.bell, bytes, sizeof(bytes), MSG_DONTWAIT);
	return n > 0 ? (uint64_t)n : 0;
}

TEST(joins_and_declares)
{
	setenv("REIN_PRIO", "42", 1);
	setenv("REIN_NAME", "tester", 1);
	setenv("REIN_CLASS", "gold", 1);
	setenv("REIN_DEADLINE", "20ms", 1);
	setenv("REIN_PERIOD", "33ms", 1);
	setenv("REIN_BUDGET", "6ms", 1);
	setenv("REIN_LATENCY_NICE", "-3", 1);
	setenv("REIN_JOB", "ranks", 1);
	setenv("REIN_WEIGHT", "10001", 1); /* said to be wrong, and left out */
	join_daemon(&welcome);
	ck_assert(eventually(attached, NULL, 10000));
	ck_assert(daemon_side.hello.timing.deadline_ns == 20000000 &&
	          daemon_side.hello.timing.period_ns == 33000000 &&
	          daemon_side.hello.timing.budget_ns == 6000000);
	ck_assert_int_eq(daemon_side.hello.latency_nice, -3);
	ck_assert_uint_eq(daemon_side.hello.weight, 0);
	ck_assert_str_eq(daemon_side.hello.job, "ranks");
	ck_assert_int_eq(daemon_side.hello.prio, 42);
	ck_assert_str_eq(daemon_side.hello.name, "tester");
	ck_assert_str_eq(daemon_side.hello.class_name, "gold");
	ck_assert_uint_ge(rung(), 1);
	ck_assert_uint_eq(daemon_side.status->demand & REIN_DEMAND_ACTIVE, 0);
	daemon_side.board->asleep = 1;
	launch(NULL);
	ck_assert_uint_ge(rung(), 1);
	ck_assert_uint_eq(daemon_side.status->demand & REIN_DEMAND_ACTIVE, REIN_DEMAND_ACTIVE);
	ck_assert_uint_eq(daemon_side.status->device[0].used, 1);
	hook_cuStreamSynchronize(NULL);
	ck_assert_uint_eq(daemon_side.status->demand & REIN_DEMAND_ACTIVE, 0);
	ck_assert_uint_eq(rung(), 0); /* idle is not rung for … */
	daemon_side.control->flags = REIN_CONTROL_NOTIFY_IDLE;
	launch(NULL);
	(void)rung();
	hook_cuStreamSynchronize(NULL);
	ck_assert_uint_eq(rung(), 1); /* … unless asked for */
	daemon_side.board->asleep = 0;
	launch(NULL);
	ck_assert_uint_eq(rung(), 0); /* an arbiter that is awake sees for itself */
}
TEST_END

static bool has_rung(void *unused)
{
	return rung() > 0;
}

static uint64_t rung_before;

static void look_at_bell(void)
{
	ck_assert(daemon_side.status->demand & REIN_DEMAND_ACTIVE);
	rung_before = rung();
}

/* Waking a daemon that sleeps is not on the way of a request's first kernel, but comes before what
 * may block. */
TEST(the_bell_rings_behind_a_launch_and_before_a_copy)
{
	char bytes[8];
	join_daemon(&welcome);
	ck_assert(eventually(has_rung, NULL, 10000)); /* it has joined */
	daemon_side.board->asleep = 1;
	launch(NULL); /* the first one tells of its device too */
	hook_cuStreamSynchronize(NULL);
	(void)rung();
	fake_during = look_at_bell;
	rung_before = 99;
	launch(NULL);
	ck_assert_uint_eq(rung_before, 0);
	ck_assert_uint_eq(rung(), 1);
	hook_cuStreamSynchronize(NULL);
	fake_launch_result = CUDA_ERROR_INVALID_VALUE;
	launch(NULL);
	ck_assert_uint_eq(rung(), 1); /* a refused one too: it had said that it is active */
	fake_launch_result = CUDA_SUCCESS;
	hook_cuMemcpyDtoH_v2(bytes, 4096, sizeof(bytes));
	ck_assert_uint_eq(rung_before, 1);
	ck_assert_uint_eq(rung(), 0);
}
TEST_END

static void begin_with_the_daemon_asleep(void)
{
	join_daemon(&welcome);
	ck_assert(eventually(has_rung, NULL, 10000));
	daemon_side.board->asleep = 1;
	launch(NULL); /* tells of its device too */
	hook_cuStreamSynchronize(NULL);
	(void)rung();
	rung_before = 99;
}

/* What the driver blocks at the program's wish is no launch in that sense. */
TEST(the_bell_rings_before_a_launch_that_blocks)
{
	setenv("CUDA_LAUNCH_BLOCKING", "1", 1);
	begin_with_the_daemon_asleep();
	fake_during = look_at_bell;
	launch(NULL);
	ck_assert_uint_eq(rung_before, 1);
	ck_assert_uint_eq(rung(), 0);
}
TEST_END

static void *copy_main(void *unused)
{
	char bytes[8];
	hook_cuMemcpyDtoH_v2(bytes, 4096, sizeof(bytes));
	return NULL;
}

static void copy_meanwhile(void)
{
	pthread_t t;
	fake_during = look_at_bell;
	pthread_create(&t, NULL, copy_main, NULL);
	pthread_join(t, NULL);
}

/* A launch may take long after all, the first of a kernel: who blocks meanwhile rings for it. */
TEST(who_blocks_rings_for_another_launch)
{
	begin_with_the_daemon_asleep();
	fake_during = copy_meanwhile;
	launch(NULL);
	ck_assert_uint_eq(rung_before, 1);
	ck_assert_uint_eq(rung(), 0); /* once */
}
TEST_END

static uint32_t published(void)
{
	return rein_load_seqcst(&daemon_side.status->demand) / REIN_DEMAND_COUNT;
}

static bool told_idle(void *unused)
{
	return !(rein_load_seqcst(&daemon_side.status->demand) & REIN_DEMAND_ACTIVE);
}

/* Requests that follow each other are not told one by one, the last one's end is, and all of them
 * again once somebody is there whom it concerns. */
TEST(who_is_alone_tells_late_that_it_is_idle)
{
	join_daemon(&welcome);
	ck_assert(eventually(attached, NULL, 10000));
	rein_store_release(&daemon_side.control->linger_us, 10000);
	rein_store_release(&daemon_side.control->flags, REIN_CONTROL_IDLE_LATE);
	uint32_t before = published();
	for (int i = 0; i < 1000; i++) {
		launch(NULL);
		ck_assert(!told_idle(NULL));
		hook_cuStreamSynchronize(NULL);
	}
	ck_assert_uint_lt(published() - before, 1000); /* else it were 2000 */
	ck_assert(eventually(told_idle, NULL, 10000));
	launch(NULL);
	rein_store_release(&daemon_side.control->flags, 0);
	hook_cuStreamSynchronize(NULL);
	ck_assert(told_idle(NULL));
	rein_store_release(&daemon_side.control->flags, REIN_CONTROL_IDLE_LATE);
	rein_helper_stop(); /* the process ends: nobody would tell */
	launch(NULL);
	hook_cuStreamSynchronize(NULL);
	ck_assert(told_idle(NULL));
}
TEST_END

static void *launch_main(void *unused)
{
	launch(NULL);
	return NULL;
}

static bool held(void *unused)
{
	return daemon_side.status->demand & REIN_DEMAND_WAITING;
}

TEST(hang_up_frees_who_waits)
{
	pthread_t t;
	join_daemon(&welcome);
	ck_assert(eventually(attached, NULL, 10000));
	daemon_side.control->verdict[0].lease_until_ns = rein_now_ns() + 600 * REIN_S;
	daemon_side.control->verdict[0].gate = REIN_GATE_CLOSED;
	pthread_create(&t, NULL, launch_main, NULL);
	ck_assert(eventually(held, NULL, 10000));
	uint64_t before = rein_now_ns();
	hang_up();
	pthread_join(t, NULL); /* woken, not lapsed */
	ck_assert_uint_lt(rein_now_ns() - before, 100 * REIN_S);
	ck_assert_uint_eq(given(NULL), 1);
	ck_assert(eventually(detached, NULL, 10000));
	launch(NULL);
	ck_assert_uint_eq(given(NULL), 2);
}
TEST_END

static char log_path[128];

static void log_to_file(void)
{
	snprintf(log_path, sizeof(log_path), "%s/log", temp_dir());
	ck_assert_ptr_nonnull(freopen(log_path, "w", stderr));
}

/* All that the shim said; how many lines. */
static unsigned logged(char *text, size_t len)
{
	unsigned lines = 0;
	FILE *f = fopen(log_path, "r");
	ck_assert_ptr_nonnull(f);
	text[fread(text, 1, len - 1, f)] = 0;
	fclose(f);
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	return lines;
}

static bool said_a_line(void *unused)
{
	char text[1024];
	return logged(text, sizeof(text)) == 1;
}

/* Without its deadline it would be another reservation: none is asked for, in one line. */
TEST(a_bad_time_asks_for_no_reservation)
{
	char text[1024];
	log_to_file();
	setenv("REIN_DEADLINE", "nonsense", 1);
	setenv("REIN_PERIOD", "33ms", 1);
	setenv("REIN_BUDGET", "6ms", 1);
	join_daemon(&welcome);
	ck_assert(eventually(attached, NULL, 10000));
	ck_assert(!rein_timing_any(&daemon_side.hello.timing));
	ck_assert_uint_eq(logged(text, sizeof(text)), 1);
	ck_assert_ptr_nonnull(
	    strstr(text, "no reservation is asked for: REIN_DEADLINE=nonsense is no time"));
}
TEST_END

TEST(what_was_not_granted_is_said)
{
	struct rein_msg_welcome answer = welcome;
	char text[1024];
	log_to_file();
	setenv("REIN_WEIGHT", "500", 1);
	strcpy(answer.text, "weight 500 needs root; granted 100");
	join_daemon(&answer);
	ck_assert(eventually(said_a_line, NULL, 10000));
	logged(text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "not all was granted: weight 500 needs root"));
}
TEST_END

/* The first daemon gave it, so that nothing was said; of the next one's no the user must hear. */
TEST(a_later_refusal_is_said_once)
{
	struct rein_msg_welcome answer = welcome;
	char text[1024];
	log_to_file();
	setenv("REIN_PERIOD", "33ms", 1);
	setenv("REIN_BUDGET", "6ms", 1);
	answer.promise = REIN_PROMISE_GIVEN;
	join_daemon(&answer);
	ck_assert(eventually(attached, NULL, 10000));
	ck_assert_uint_eq(logged(text, sizeof(text)), 0);
	answer.promise = REIN_PROMISE_REFUSED;
	strcpy(answer.promise_text, "no room");
	for (unsigned i = 0; i < 2; i++) {
		hang_up();
		ck_assert(eventually(detached, NULL, 10000));
		make_objects();
		daemon_listen();
		daemon_accept(&answer);
		ck_assert(eventually(attached, NULL, 10000));
		ck_assert(eventually(said_a_line, NULL, 10000));
	}
	ck_assert_uint_eq(logged(text, sizeof(text)), 1);
	ck_assert_ptr_nonnull(strstr(text, "refused, the program runs without: no room"));
}
TEST_END

static bool knows(void *key)
{
	return rein_kmodel_estimate(&REIN_STATUS->kmodel, *(uint64_t *)key) == 5000;
}

TEST(joins_the_next_daemon)
{
	join_daemon(&welcome);
	ck_assert(eventually(attached, NULL, 10000));
	launch(NULL);
	launch(NULL);
	uint64_t key = rein_kmodel_key(1, (uint32_t[]){1, 1, 1}, (uint32_t[]){1, 1, 1}, 0);
	for (int i = 0; i < 3; i++)
		rein_kmodel_sample(&REIN_STATUS->kmodel, key, 5000, NULL);
	hang_up();
	ck_assert(eventually(detached, NULL, 10000));
	ck_assert(eventually(knows, &key, 10000));
	make_objects();
	daemon_listen();
	daemon_accept(&welcome);
	ck_assert(eventually(attached, NULL, 10000));
	ck_assert_uint_ge(rung(), 1);
	/* what it must know anew: demand, devices, kernel times */
	ck_assert_uint_eq(daemon_side.status->demand & REIN_DEMAND_ACTIVE, REIN_DEMAND_ACTIVE);
	ck_assert_uint_eq(daemon_side.status->device[0].used, 1);
	ck_assert_uint_eq(rein_kmodel_estimate(&daemon_side.status->kmodel, key), 5000);
	hook_cuStreamSynchronize(NULL);
	ck_assert_uint_eq(daemon_side.status->demand & REIN_DEMAND_ACTIVE, 0);
	ck_assert_uint_eq(daemon_side.status->total.submissions, 0);
}
TEST_END

TEST(helper_ends_a_quiet_request)
{
	join_daemon(&welcome);
	ck_assert(eventually(attached, NULL, 10000));
	daemon_side.control->linger_us = 200;
	launch(NULL);
	ck_assert(active());
	finish(NULL);
	for (int i = 0; i < 10000 && active(); i++)
		usleep(1000);
	ck_assert(!active()); /* nobody synchronised: the helper asked */
}
TEST_END

TEST(refusal_is_no_harm)
{
	struct rein_msg_welcome no = welcome;
	no.error = EPERM;
	strcpy(no.text, "go away");
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
	join_daemon(&no);
	launch(NULL);
	ck_assert(!rein_attach_on());
	ck_assert_uint_eq(given(NULL), 1);
}
TEST_END

/* A daemon of minor 1: drops a greeting that is longer than it knows, and knows a short welcome. */
static void *old_daemon_main(void *unused)
{
	struct rein_msg_welcome w = welcome;
	char hello[sizeof(struct rein_msg_hello)];
	unsigned none = 0;
	int fd;
	w.header.size = REIN_WELCOME_SIZE_1;
	do {
		fd = accept4(daemon_side.listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) {
			usleep(1000);
			continue;
		}
		if (rein_sock_recv(fd, hello, sizeof(hello), NULL, &none, 5000) ==
		    REIN_HELLO_SIZE_1)
			break;
		close(fd);
		fd = -1;
	} while (fd < 0);
	(void)!rein_sock_send(fd, &w, REIN_WELCOME_SIZE_1, daemon_side.fd, 4);
	daemon_side.client = fd;
	return NULL;
}

TEST(an_older_daemon_is_asked_for_less)
{
	pthread_t t;
	make_objects();
	daemon_listen();
	fake_start();
	pthread_create(&t, NULL, old_daemon_main, NULL);
	ck_assert_int_eq(hook_cuInit(0), CUDA_SUCCESS);
	ck_assert(eventually(attached, NULL, 10000));
	pthread_join(t, NULL);
}
TEST_END

TEST(wrong_version_is_refused)
{
	struct rein_msg_welcome other = welcome;
	other.header.abi_major = REIN_ABI_MAJOR + 1;
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
	join_daemon(&other);
	launch(NULL);
	ck_assert(!rein_attach_on());
}
TEST_END

TEST(objects_are_checked_before_they_are_mapped)
{
	int fds[REIN_FD_N];
	fake_start();
	make_objects();
	memcpy(fds, daemon_side.fd, sizeof(fds));
	fds[REIN_FD_STATUS] = memfd_create("unsealed", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fds[REIN_FD_STATUS], sizeof(struct rein_status)), 0);
	ck_assert_int_eq(rein_attach_map(fds, REIN_FD_N), -EPROTO);
	fds[REIN_FD_STATUS] = rein_memfd_new("small", 4096);
	ck_assert_int_eq(rein_attach_map(fds, REIN_FD_N), -EPROTO);
	fds[REIN_FD_STATUS] = daemon_side.fd[REIN_FD_DOORBELL];
	ck_assert_int_eq(rein_attach_map(fds, REIN_FD_N), -EPROTO);
	ck_assert(!rein_attach_on());
	ck_assert_int_eq(rein_attach_map(daemon_side.fd, REIN_FD_N), 0);
	ck_assert(rein_attach_on());
}
TEST_END

TEST(forked_child_holds_nothing)
{
	join_daemon(&welcome);
	ck_assert(eventually(attached, NULL, 10000));
	launch(NULL);
	hook_cuStreamSynchronize(NULL);
	daemon_side.control->verdict[0].lease_until_ns = rein_now_ns() + 600 * REIN_S;
	daemon_side.control->verdict[0].gate = REIN_GATE_CLOSED;
	uint32_t before = daemon_side.status->demand;
	pid_t pid = fork();
	if (pid == 0) {
		launch(NULL); /* passed through: not held, and not told of */
		REIN_STATUS->demand = 99;
		_exit(rein_attach_on() || given(NULL) != 2);
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(daemon_side.status->demand, before);
	/* the child is gone, the parent still has its connection */
	struct pollfd p = {.fd = daemon_side.client, .events = POLLIN};
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ck_assert(rein_attach_on());
}
TEST_END

TEST(child_lets_go_of_the_socket)
{
	join_daemon(&welcome);
	ck_assert(eventually(attached, NULL, 10000));
	pid_t pid = fork();
	if (pid == 0) {
		for (int fd = 3; fd < 64; fd++) {
			struct sockaddr_un peer;
			socklen_t len = sizeof(peer);
			memset(&peer, 0, sizeof(peer));
			if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
			    strstr(peer.sun_path, REIN_CLIENT_SOCKET))
				_exit(1); /* it would keep the client alive */
		}
		_exit(0);
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
TEST_END

/* A program that closes what it does not know gets the doorbell's number for a file of its own: we
 * neither write there nor replace it. */
TEST(doorbell_number_that_became_somebody_elses)
{
	int first[2], second[2], kind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	uint64_t value;
	ck_assert_int_eq(socketpair(AF_UNIX, kind, 0, first), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, kind, 0, second), 0);
	int number = dup(0); /* the lowest free one, which the doorbell will get */
	close(number);
	ck_assert_int_eq(rein_attach_bell(first[1]), 0);
	rein_attach_ring();
	ck_assert_int_eq(read(first[0], &value, sizeof(value)), 1);
	ck_assert_int_eq(rein_attach_bell(second[1]), 0); /* the next daemon's, same number */
	rein_attach_ring();
	ck_assert_int_eq(read(first[0], &value, sizeof(value)), -1);
	ck_assert_int_eq(read(second[0], &value, sizeof(value)), 1);

	close(number);
	ck_assert_int_eq(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), number);
	rein_attach_ring();
	ck_assert_int_eq(read(number, &value, sizeof(value)), -1); /* nobody wrote */
	ck_assert_int_eq(rein_attach_bell(first[1]), 0);
	rein_attach_ring();
	ck_assert_int_eq(read(number, &value, sizeof(value)), -1);
	ck_assert_int_eq(eventfd_write(number, 1), 0); /* still an eventfd */
	ck_assert_int_eq(read(first[0], &value, sizeof(value)), 1);
}
TEST_END

TEST(ringing_a_dead_daemon_raises_no_signal)
{
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(rein_attach_bell(ends[1]), 0);
	close(ends[0]);
	rein_attach_ring(); /* SIGPIPE would end the program */
}
TEST_END

TESTS("attaching", the_bell_rings_behind_a_launch_and_before_a_copy,
      the_bell_rings_before_a_launch_that_blocks, who_blocks_rings_for_another_launch,
      who_is_alone_tells_late_that_it_is_idle, ringing_a_dead_daemon_raises_no_signal,
      doorbell_number_that_became_somebody_elses, joins_and_declares,
      a_bad_time_asks_for_no_reservation, what_was_not_granted_is_said,
      a_later_refusal_is_said_once, hang_up_frees_who_waits, joins_the_next_daemon,
      helper_ends_a_quiet_request, refusal_is_no_harm, an_older_daemon_is_asked_for_less,
      wrong_version_is_refused, objects_are_checked_before_they_are_mapped,
      forked_child_holds_nothing, child_lets_go_of_the_socket)
