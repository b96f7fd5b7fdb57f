// SPDX-License-Identifier: Apache-2.0
/*
 * test_rmgate.c: the context gate with a resource manager and a daemon played here: what is held
 * and let go when, and that nothing ever stays held. Each test is a process of its own. Every wait
 * is for something to become true, none for a time.
 */
#include "tests/harness.h"
#include "tests/unit/fake_driver.h"
#include "tests/unit/rm_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/sock.h"
#include "common/wire.h"
#include "interpose/attach.h"
#include "interpose/rmgate.h"

#define WAIT_MS 20000
#define CALLS 4096
#define CHANNELS 0x1000

/* ---------------------------------------------------------------- the resource manager */

static rein_a64 calls[CALLS]; /* see packed() */
static rein_a32 n_calls;
static rein_a32 channel_off[CHANNELS], group_off, refused_cmd, refusals;
static rein_a64 slice_us = 2000, later_slice_us = 2000; /* of group 0x100; of another */
static int rm_fd = -1;

#define HARD 1u                  /* DISABLE_CHANNELS: disables and preempts */
#define SOFT (HARD | ONLY_SCHED) /* leaves running what runs */
#define ONLY_SCHED 2u

/* A command (0: a free), its object, the first byte of its parameters, and whether it is SOFT. */
static uint64_t packed(uint32_t cmd, uint32_t of, uint8_t first)
{
	return (uint64_t)cmd << 32 | (of & 0xffff) << 8 | first;
}

static uint32_t answer(uint32_t cmd, struct rein_rm_nvos54 *c)
{
	void *params = (void *)(uintptr_t)c->params;
	const struct rein_rm_disable *d = params;
	if (rein_load_relaxed(&refused_cmd) == cmd && rein_load_relaxed(&refusals)) {
		rein_add_relaxed(&refusals, (uint32_t)-1);
		return 0x56;
	}
	if (cmd == REIN_RM_CMD_DISABLE_CHANNELS)
		for (uint32_t i = 0; i < d->channels; i++)
			rein_store_release(&channel_off[d->channel[i] % CHANNELS], d->disable);
	if (cmd == REIN_RM_CMD_SCHEDULE && c->object == 0x100)
		rein_store_release(&group_off, !*(uint8_t *)params);
	rein_a64 *slice = c->object == 0x100 ? &slice_us : &later_slice_us;
	if (cmd == REIN_RM_CMD_GET_TIMESLICE) {
		uint64_t us = rein_load_relaxed(slice);
		memcpy(params, &us, sizeof(us));
	}
	if (cmd == REIN_RM_CMD_SET_TIMESLICE) {
		uint64_t us;
		memcpy(&us, params, sizeof(us));
		rein_store_release(slice, us);
	}
	return 0;
}

static int entry(int fd, unsigned long request, void *arg)
{
	struct rein_rm_nvos54 *c = arg;
	uint64_t now = 0;
	if (fd != rm_fd) {
		errno = ENOTTY;
		return -1;
	}
	if (request == RM_FREE)
		now = packed(0, ((struct rein_rm_nvos00 *)arg)->object, 0);
	if (request == RM_CONTROL) {
		const struct rein_rm_disable *d = (void *)(uintptr_t)c->params;
		bool soft = c->cmd == REIN_RM_CMD_DISABLE_CHANNELS && d->only_scheduling;
		now = packed(c->cmd, c->object, d->disable | (soft ? ONLY_SCHED : 0));
		c->status = answer(c->cmd, c);
	}
	if (request == RM_FREE || request == RM_CONTROL) {
		uint32_t n = rein_add_release(&n_calls, 1);
		if (n < CALLS)
			rein_store_release(&calls[n], now);
	}
	return 0;
}

static int issue(unsigned long request, void *arg)
{
	return ioctl(rm_fd, request, arg); /* as libcuda: whatever stands in front of libc's */
}

/* ---------------------------------------------------------------- the daemon */

static struct rein_control *control;
static struct rein_status *status;
static int fds[REIN_FD_N];

static void *object(int i, size_t size)
{
	fds[i] = rein_memfd_new("rein-test", size);
	ck_assert_int_ge(fds[i], 0);
	struct rein_abi_header *h = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
	ck_assert_ptr_ne(h, MAP_FAILED);
	*h = (struct rein_abi_header){REIN_ABI_MAGIC, REIN_ABI_MAJOR, REIN_ABI_MINOR,
	                              (uint32_t)size, 0};
	return h;
}

static void join_daemon(uint32_t recipe)
{
	int bell[2];
	(void)object(REIN_FD_BOARD, sizeof(struct rein_board));
	control = object(REIN_FD_CONTROL, sizeof(struct rein_control));
	status = object(REIN_FD_STATUS, sizeof(struct rein_status));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bell), 0);
	fds[REIN_FD_DOORBELL] = bell[1];
	rein_store_release(&control->context_recipe, recipe);
	ck_assert_int_eq(rein_attach_map(fds, REIN_FD_N), 0);
	for (unsigned i = 0; i < REIN_FD_N; i++)
		close(fds[i]);
}

static void wake(void)
{
	rein_futex_wake_all(&control->verdict[0].gate);
}

static void set_verdict(uint32_t gate, uint32_t mode, uint64_t lease_ns)
{
	struct rein_verdict *v = &control->verdict[0];
	rein_store_release(&v->lease_until_ns, rein_now_ns() + lease_ns);
	rein_store_release(&v->hold_mode, mode);
	rein_swap_seqcst(&v->gate, gate);
	wake();
}

static void close_gate(void)
{
	set_verdict(REIN_GATE_CLOSED, REIN_HOLD_CONTEXT, 600 * REIN_S);
}

static void open_gate(void)
{
	set_verdict(REIN_GATE_OPEN, REIN_HOLD_NONE, 0);
}

/* A process with a context that has joined, but not armed its gate. */
static void start(uint32_t recipe)
{
	rm_fd = memfd_create("softgpu-nvidiactl", MFD_CLOEXEC);
	fake_start();
	rein_rm_entry_set(entry);
	rm_process(issue);
	join_daemon(recipe);
	rein_store_release(&n_calls, 0);
}

static void start_armed(uint32_t recipe)
{
	start(recipe);
	rein_rmgate_arm();
	ck_assert(rein_rmgate_state().armed);
}

/* ---------------------------------------------------------------- what is waited for */

static bool is_held(void *unused)
{
	return rein_rmgate_state().held;
}

static bool is_free(void *unused)
{
	return !rein_rmgate_state().held;
}

static void expect_held(void)
{
	ck_assert(eventually(is_held, NULL, WAIT_MS));
	ck_assert_uint_eq(rein_load_acquire(&channel_off[0x101]), 1);
	ck_assert_uint_eq(rein_load_acquire(&channel_off[0x102]), 1);
	ck_assert_uint_eq(rein_load_acquire(&channel_off[0x201]), 0); /* of the copy engine */
}

static void expect_free(void)
{
	ck_assert(eventually(is_free, NULL, WAIT_MS));
	for (unsigned i = 0; i < CHANNELS; i++)
		ck_assert_msg(!rein_load_acquire(&channel_off[i]), "channel 0x%x is off", i);
}

/* For good: a hold that is about to begin, or has just begun, ends too. */
static bool all_free(void *unused)
{
	bool off = rein_rmgate_state().held;
	for (unsigned i = 0; i < CHANNELS; i++)
		off |= rein_load_acquire(&channel_off[i]);
	return !off;
}

static void expect_all_free(void)
{
	ck_assert(eventually(all_free, NULL, WAIT_MS));
}

static void expect_call(unsigned i, uint32_t cmd, uint32_t object_, uint8_t first)
{
	ck_assert_uint_lt(i, rein_load_acquire(&n_calls));
	ck_assert_uint_eq(rein_load_acquire(&calls[i]), packed(cmd, object_, first));
}

/* ---------------------------------------------------------------- tests */

TEST(holds_and_lets_go)
{
	start_armed(REIN_RM_RECIPE_DISABLE_PREEMPT);
	ck_assert_uint_eq(status->can & REIN_CAN_CONTEXT, REIN_CAN_CONTEXT);
	for (unsigned i = 0; i < 50; i++) {
		rein_store_release(&n_calls, 0);
		close_gate();
		expect_held();
		expect_call(0, REIN_RM_CMD_DISABLE_CHANNELS, RM_SUBDEVICE, SOFT);
		expect_call(1, REIN_RM_CMD_PREEMPT, 0x100, 1);
		open_gate();
		expect_free();
		expect_call(2, REIN_RM_CMD_DISABLE_CHANNELS, RM_SUBDEVICE, 0);
		ck_assert_uint_eq(rein_load_acquire(&n_calls), 3);
	}
	ck_assert_uint_eq(rein_rmgate_state().holds, 50);
}
TEST_END

TEST(no_reason_no_thread)
{
	start(REIN_RM_RECIPE_OFF);
	rein_rmgate_arm();
	ck_assert(!rein_rmgate_state().armed);
	rein_store_release(&control->context_recipe, REIN_RM_RECIPES); /* a later daemon's */
	rein_rmgate_arm();
	ck_assert(!rein_rmgate_state().armed);
	rm_free(issue, RM_CLIENT, 0x100);
	rein_store_release(&control->context_recipe, REIN_RM_RECIPE_SCHEDULE);
	rein_rmgate_arm();
	ck_assert(!rein_rmgate_state().armed);
	ck_assert_uint_eq(status->can & REIN_CAN_CONTEXT, 0);
	rm_group(issue, RM_DEVICE, 0x300, REIN_RM_ENGINE_GR0, 1, RM_CLASS_COMPUTE);
	rein_rmgate_arm();
	ck_assert(rein_rmgate_state().armed);
}
TEST_END

TEST(only_in_its_mode)
{
	start_armed(REIN_RM_RECIPE_DISABLE_PREEMPT);
	set_verdict(REIN_GATE_CLOSED, REIN_HOLD_LAUNCH, 600 * REIN_S);
	set_verdict(REIN_GATE_METERED, REIN_HOLD_CONTEXT, 600 * REIN_S);
	set_verdict(REIN_GATE_CLOSED, REIN_HOLD_CONTEXT, 0); /* lapsed already */
	usleep(20000);
	ck_assert_uint_eq(rein_load_acquire(&n_calls), 0);
	close_gate();
	expect_held();
	set_verdict(REIN_GATE_CLOSED, REIN_HOLD_QUEUE, 600 * REIN_S);
	expect_free();
}
TEST_END

TEST(a_lease_lapses)
{
	start_armed(REIN_RM_RECIPE_DISABLE_PREEMPT);
	set_verdict(REIN_GATE_CLOSED, REIN_HOLD_CONTEXT, 20 * REIN_MS);
	ck_assert(eventually(is_free, NULL, WAIT_MS));
	set_verdict(REIN_GATE_CLOSED | REIN_GATE_METERED, REIN_HOLD_CONTEXT, 300 * REIN_MS);
	expect_held();
	/* renewed, without a wake-up: held beyond the first end */
	rein_store_release(&control->verdict[0].lease_until_ns, rein_now_ns() + 600 * REIN_S);
	usleep(350000);
	expect_held();
	rein_store_release(&control->verdict[0].lease_until_ns, rein_now_ns());
	wake();
	expect_free();
}
TEST_END

TEST(the_daemon_goes_and_comes)
{
	start_armed(REIN_RM_RECIPE_DISABLE_PREEMPT);
	for (unsigned i = 0; i < 10; i++) {
		close_gate();
		expect_held();
		rein_attach_unmap();
		expect_free();
		ck_assert_uint_eq(REIN_STATUS->can, 0);
		join_daemon(REIN_RM_RECIPE_DISABLE_PREEMPT);
		ck_assert_uint_eq(status->can & REIN_CAN_CONTEXT, REIN_CAN_CONTEXT);
	}
	join_daemon(REIN_RM_RECIPE_OFF);
	close_gate();
	usleep(20000);
	ck_assert(is_free(NULL));
}
TEST_END

/* At any moment of a hold the daemon is gone, or hangs and renews no lease. */
TEST(at_any_instant)
{
	start_armed(REIN_RM_RECIPE_DISABLE_PREEMPT);
	for (unsigned i = 0; i < 200; i++) {
		bool hangs = i % 2;
		set_verdict(REIN_GATE_CLOSED, REIN_HOLD_CONTEXT,
		            hangs ? i * 20 * REIN_US : 600 * REIN_S);
		for (uint64_t end = rein_now_ns() + i * 997 % 400 * REIN_US; rein_now_ns() < end;)
			rein_cpu_relax();
		if (!hangs)
			rein_attach_unmap();
		expect_all_free();
		if (!hangs)
			join_daemon(REIN_RM_RECIPE_DISABLE_PREEMPT);
	}
	ck_assert_uint_gt(rein_rmgate_state().holds, 20);
}
TEST_END

TEST(freed_while_held)
{
	start_armed(REIN_RM_RECIPE_DISABLE_PREEMPT);
	close_gate();
	expect_held();
	rein_store_release(&n_calls, 0);
	rm_free(issue, RM_CLIENT, 0x4444); /* none of ours: no reason to let go */
	expect_call(0, 0, 0x4444, 0);
	rm_free(issue, RM_CLIENT, 0x102);
	expect_call(1, REIN_RM_CMD_DISABLE_CHANNELS, RM_SUBDEVICE, 0); /* before it is freed */
	expect_call(2, 0, 0x102, 0);
	ck_assert(eventually(is_held, NULL, WAIT_MS)); /* and what is left is held again */
	ck_assert_uint_eq(rein_load_acquire(&channel_off[0x101]), 1);
	ck_assert_uint_eq(rein_load_acquire(&channel_off[0x102]), 0);
	rm_free(issue, RM_CLIENT, RM_CLIENT);
	expect_free();
	open_gate();
	ck_assert_ptr_null(rein_rmgate_state().off);
}
TEST_END

static bool third_is_off(void *unused)
{
	return is_held(NULL) && rein_load_acquire(&channel_off[0x107]);
}

TEST(more_channels_while_held)
{
	start_armed(REIN_RM_RECIPE_DISABLE);
	close_gate();
	expect_held();
	expect_call(0, REIN_RM_CMD_DISABLE_CHANNELS, RM_SUBDEVICE, HARD);
	rm_alloc(issue, RM_CLIENT, 0x100, 0x107, RM_CLASS_CHANNEL, NULL, 0);
	ck_assert(eventually(third_is_off, NULL, WAIT_MS));
	expect_held();
	open_gate();
	expect_free();
}
TEST_END

TEST(refused)
{
	start_armed(REIN_RM_RECIPE_DISABLE_PREEMPT);
	rein_store_release(&refused_cmd, REIN_RM_CMD_PREEMPT);
	rein_store_release(&refusals, 1000);
	for (unsigned i = 0; i < 100 && !rein_rmgate_state().off; i++) {
		close_gate();
		usleep(2000);
		open_gate();
		expect_free();
	}
	ck_assert_ptr_nonnull(rein_rmgate_state().off);
	ck_assert_uint_eq(rein_rmgate_state().holds, 0);
	ck_assert_uint_eq(status->can & REIN_CAN_CONTEXT, 0);
	rein_store_release(&refusals, 0);
	rein_store_release(&n_calls, 0);
	close_gate();
	usleep(10000);
	ck_assert_uint_eq(rein_load_acquire(&n_calls), 0); /* for good */
}
TEST_END

TEST(letting_go_is_tried_again)
{
	start_armed(REIN_RM_RECIPE_DISABLE_PREEMPT);
	close_gate();
	expect_held();
	rein_store_release(&refused_cmd, REIN_RM_CMD_DISABLE_CHANNELS);
	rein_store_release(&refusals, 4);
	open_gate();
	expect_free();
	ck_assert_uint_eq(rein_load_acquire(&refusals), 0);
}
TEST_END

static bool scheduled_off(void *unused)
{
	return rein_load_acquire(&group_off);
}

static bool scheduled(void *unused)
{
	return !rein_load_acquire(&group_off);
}

TEST(by_the_run_list)
{
	start_armed(REIN_RM_RECIPE_SCHEDULE);
	close_gate();
	ck_assert(eventually(scheduled_off, NULL, WAIT_MS));
	open_gate();
	ck_assert(eventually(scheduled, NULL, WAIT_MS));
	ck_assert_uint_eq(rein_load_acquire(&n_calls), 2);
}
TEST_END

static bool slice_is(void *us)
{
	return rein_load_acquire(&slice_us) == *(uint64_t *)us;
}

TEST(by_time_slices)
{
	uint64_t shorter = 200, other = 100, before = 2000;
	start_armed(REIN_RM_RECIPE_TIMESLICE);
	rein_store_release(&control->verdict[0].timeslice_us, (uint32_t)shorter);
	set_verdict(REIN_GATE_METERED, REIN_HOLD_NONE, 0);
	ck_assert(eventually(slice_is, &shorter, WAIT_MS));
	set_verdict(REIN_GATE_METERED | REIN_GATE_CLOSED, REIN_HOLD_CONTEXT, 600 * REIN_S);
	rein_store_release(&control->verdict[0].timeslice_us, (uint32_t)other);
	wake();
	ck_assert(eventually(slice_is, &other, WAIT_MS));
	ck_assert(!rein_rmgate_state().held); /* that recipe holds nothing */
	rein_store_release(&control->verdict[0].timeslice_us, 0);
	wake();
	ck_assert(eventually(slice_is, &before, WAIT_MS));
	rein_store_release(&control->verdict[0].timeslice_us, (uint32_t)other);
	wake();
	ck_assert(eventually(slice_is, &other, WAIT_MS));
	rein_attach_unmap();
	ck_assert(eventually(slice_is, &before, WAIT_MS));
}
TEST_END

static bool later_slice_is(void *us)
{
	return rein_load_acquire(&later_slice_us) == *(uint64_t *)us;
}

/* Slices stand while groups are held and let go, and come to groups that are made later. */
TEST(time_slices_beside_holds)
{
	uint64_t shorter = 200, before = 2000;
	start_armed(REIN_RM_RECIPE_DISABLE);
	rein_store_release(&control->verdict[0].timeslice_us, (uint32_t)shorter);
	close_gate();
	expect_held();
	open_gate();
	expect_free();
	ck_assert(eventually(slice_is, &shorter, WAIT_MS));
	close_gate();
	expect_held();
	rm_free(issue, RM_CLIENT, 0x102); /* waits for the hold, not for the slice */
	open_gate();
	expect_free();
	ck_assert(slice_is(&shorter));
	rm_group(issue, RM_DEVICE, 0x300, REIN_RM_ENGINE_GR0, 1, RM_CLASS_COMPUTE);
	wake();
	ck_assert(eventually(later_slice_is, &shorter, WAIT_MS));
	rein_store_release(&control->verdict[0].timeslice_us, 0);
	wake();
	ck_assert(eventually(slice_is, &before, WAIT_MS));
	ck_assert(eventually(later_slice_is, &before, WAIT_MS));
	ck_assert_ptr_null(rein_rmgate_state().off);
}
TEST_END

TEST(refused_time_slices_cost_no_holds)
{
	start_armed(REIN_RM_RECIPE_DISABLE);
	rein_store_release(&refused_cmd, REIN_RM_CMD_SET_TIMESLICE);
	rein_store_release(&refusals, 1);
	rein_store_release(&control->verdict[0].timeslice_us, 200);
	for (unsigned i = 0; i < 5; i++) {
		close_gate();
		expect_held();
		open_gate();
		expect_free();
	}
	ck_assert_uint_eq(rein_load_acquire(&refusals), 0);
	ck_assert_uint_eq(rein_load_acquire(&slice_us), 2000);
	ck_assert_ptr_null(rein_rmgate_state().off);
}
TEST_END

TEST(ends_and_forks)
{
	int wstatus;
	start_armed(REIN_RM_RECIPE_DISABLE_PREEMPT);
	close_gate();
	expect_held();
	rein_store_release(&n_calls, 0);
	pid_t pid = fork();
	if (pid == 0) {
		rein_rmgate_child(); /* as the shim's handler does */
		rm_free(issue, RM_CLIENT, 0x102);
		rein_rmgate_stop();
		/* only its own call went out: the hold is the parent's */
		_exit(rein_load_acquire(&n_calls) == 1 && rein_load_acquire(&channel_off[0x101])
		          ? 0
		          : 1);
	}
	ck_assert_int_eq(waitpid(pid, &wstatus, 0), pid);
	ck_assert_int_eq(wstatus, 0);
	expect_held();
	rein_rmgate_stop();
	ck_assert(is_free(NULL)); /* already, when it returns */
	expect_free();
	close_gate();
	usleep(10000);
	ck_assert(is_free(NULL));
}
TEST_END

TEST(a_layout_that_is_not_known)
{
	unsigned char arg[128] = {0};
	start_armed(REIN_RM_RECIPE_DISABLE_PREEMPT);
	close_gate();
	expect_held();
	int other = open("/dev/null", O_RDWR | O_CLOEXEC); /* says ENOTTY: not the driver's */
	ck_assert_int_eq(ioctl(other, RM_REQUEST(REIN_RM_ESC_ALLOC, 56), arg), -1);
	ck_assert_int_eq(errno, ENOTTY);
	ck_assert_ptr_null(rein_rmgate_state().off);
	ck_assert_int_eq(ioctl(rm_fd, RM_REQUEST(REIN_RM_ESC_ALLOC, 56), arg), 0);
	ck_assert_ptr_nonnull(rein_rmgate_state().off);
	wake();
	expect_free();
}
TEST_END

static void *frees_main(void *unused)
{
	for (uint32_t i = 0; i < 300; i++) {
		rm_alloc(issue, RM_CLIENT, 0x100, 0x400 + i, RM_CLASS_CHANNEL, NULL, 0);
		rm_free(issue, RM_CLIENT, 0x400 + i);
	}
	return NULL;
}

/* Holds and channels that come and go, all at once. */
TEST(everything_at_once)
{
	pthread_t thread;
	start_armed(REIN_RM_RECIPE_DISABLE);
	pthread_create(&thread, NULL, frees_main, NULL);
	for (unsigned i = 0; i < 300; i++) {
		close_gate();
		usleep(i % 7 * 30);
		open_gate();
		usleep(i % 5 * 20);
	}
	pthread_join(thread, NULL);
	open_gate();
	expect_free();
	ck_assert_ptr_null(rein_rmgate_state().off);
	ck_assert_uint_gt(rein_rmgate_state().holds, 0);
}
TEST_END

TESTS("rmgate", holds_and_lets_go, no_reason_no_thread, only_in_its_mode, a_lease_lapses,
      the_daemon_goes_and_comes, at_any_instant, freed_while_held, more_channels_while_held,
      refused, letting_go_is_tried_again, by_the_run_list, by_time_slices, time_slices_beside_holds,
      refused_time_slices_cost_no_holds, ends_and_forks, a_layout_that_is_not_known,
      everything_at_once)
