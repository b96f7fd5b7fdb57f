// SPDX-License-Identifier: Apache-2.0
/*
 * Holding a process off the SMs by control: in the ledger, in virtual time; and with processes,
 * where a kernel's modelled time on the SMs stays what it was however often it is interrupted.
 * Nothing asserts on wall-clock time.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "softgpu/ledger.h"
#include "tests/harness.h"
#include "tests/unit/sg_child.h"

#define OPEN UINT64_MAX

/* ---- the ledger */

static struct sg_ledger l;

static void setup(void) /* slices of 1000, switches of 50 */
{
	static const struct sg_model m = {.timeslice_ns = 1000, .switch_ns = 50, .copy_engines = 2};
	sg_ledger_init(&l, &m);
}

static struct sg_grant last(uint32_t seat)
{
	ck_assert_uint_gt(l.seat[seat].grants, 0);
	return l.seat[seat].grant[(l.seat[seat].grants - 1) % SG_GRANTS];
}

static void check_owner(uint32_t seat, uint64_t start, uint64_t end)
{
	ck_assert_uint_eq(l.owner, seat);
	ck_assert_uint_eq(last(seat).start_ns, start);
	ck_assert_uint_eq(last(seat).end_ns, end);
}

TEST(an_evicted_owner_is_next_again)
{
	setup();
	sg_ledger_request(&l, 0, 100, 100);
	l.bells = 0;
	sg_ledger_evict(&l, 0, 700, 500);
	check_owner(0, 100, 700);
	ck_assert_uint_eq(l.bells, 1);
	sg_ledger_settle(&l, 800);
	check_owner(0, 750, OPEN); /* saved and restored, nobody else: no end */
	sg_ledger_request(&l, 1, 900, 900);
	check_owner(0, 750, 1750);
	sg_ledger_evict(&l, 0, 1000, 950);
	sg_ledger_settle(&l, 1000);
	check_owner(1, 1050, 2050);
	sg_ledger_evict(&l, 0, 1100, 1100); /* it has nothing to lose */
	check_owner(1, 1050, 2050);
}
TEST_END

TEST(who_is_held_gets_no_grant)
{
	setup();
	sg_ledger_request(&l, 0, 100, 100);
	sg_ledger_hold(&l, 0, true, 0, 200);
	check_owner(0, 100, OPEN); /* only its scheduling is disabled: it goes on */
	sg_ledger_evict(&l, 0, 300, 250);
	sg_ledger_settle(&l, 400);
	ck_assert_uint_eq(l.owner, SG_NOBODY);
	sg_ledger_request(&l, 1, 500, 500);
	check_owner(1, 550, OPEN); /* and does not count as somebody who waits */
	sg_ledger_give(&l, 1, 600, 600);
	ck_assert_uint_eq(l.owner, SG_NOBODY);
	sg_ledger_hold(&l, 0, false, 720, 700);
	check_owner(0, 770, OPEN); /* 20 to resume, 50 to switch */
}
TEST_END

TEST(a_release_waits_its_turn_and_death_releases)
{
	setup();
	sg_ledger_request(&l, 0, 0, 0);
	sg_ledger_hold(&l, 0, true, 0, 10);
	sg_ledger_evict(&l, 0, 20, 20);
	sg_ledger_request(&l, 1, 30, 30);
	check_owner(1, 80, OPEN);
	sg_ledger_hold(&l, 0, false, 500, 500);
	check_owner(1, 80, 1080);
	sg_ledger_settle(&l, 1080);
	check_owner(0, 1130, 2130);
	sg_ledger_hold(&l, 0, true, 0, 1200);
	sg_ledger_vacate(&l, 0, 1300);
	check_owner(1, 1350, OPEN);
	sg_ledger_request(&l, 0, 1400, 1400); /* whoever takes the seat next is not held */
	check_owner(1, 1350, 2350);
}
TEST_END

TEST(slices_of_its_own)
{
	setup();
	l.seat[0].slice_ns = 100;
	sg_ledger_request(&l, 0, 0, 0);
	sg_ledger_request(&l, 1, 0, 10);
	check_owner(0, 0, 100);
	sg_ledger_settle(&l, 100);
	check_owner(1, 150, 1150);
	sg_ledger_settle(&l, 1150);
	check_owner(0, 1200, 1300);
}
TEST_END

/* ---- processes */

struct scene { /* shared with the children */
	_Atomic int running, go, done, hold;
};
static struct scene *scene;

static void scene_new(void)
{
	scene =
	    mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(scene, MAP_FAILED);
}

static void until(_Atomic int *word, int value)
{
	for (int i = 0; i < 20000 && *word < value; i++)
		usleep(500);
	CHILD_CHECK(*word >= value);
}

static const char *const modelled[] = {"SOFTGPU_MODE=time", "SOFTGPU_TIMES=long=20ms,short=1ms",
                                       "SOFTGPU_TIMESLICE=500us", NULL};

static struct sg_domain *d;
static struct sg_event *e;

static void start_long(void)
{
	d = child_domain();
	e = sg_event_new();
	child_put(sg_domain_legacy(d), SG_CMD_KERNEL, "long");
	CHILD_CHECK(sg_event_record(e, sg_domain_legacy(d)) == CUDA_SUCCESS);
}

/* Its time on the SMs is to the nanosecond what it takes alone. */
static void end_long(void)
{
	struct sg_stats st;
	CHILD_CHECK(sg_event_sync(e) == CUDA_SUCCESS);
	sg_engine_stats(&st);
	CHILD_CHECK(st.kernels == 1 && st.busy_ns == 20 * REIN_MS);
	sg_event_free(e);
	sg_domain_free(d);
}

static void held_alone(void)
{
	start_long();
	usleep(3000);
	CHILD_CHECK(sg_hold(0, true) == 0 && sg_hold_preempt(0, 0, true) == 0);
	usleep(50000); /* it would have ended long ago */
	CHILD_CHECK(sg_event_query(e) == CUDA_ERROR_NOT_READY);
	CHILD_CHECK(sg_hold(0, false) == 0);
	for (int i = 0; i < 5; i++) /* interrupted, not held */
		CHILD_CHECK(sg_hold_preempt(0, 0, i % 2) == 0);
	end_long();
	CHILD_CHECK(sg_hold(0, true) == 0 && sg_hold_preempt(0, 0, true) == 0); /* idle */
	CHILD_CHECK(sg_hold(0, false) == 0);
}

static CUresult count_up(struct sg_cmd *c)
{
	scene->running++;
	return CUDA_SUCCESS;
}

/* Disabled, not preempted: what runs ends, what is launched then does not begin. */
static void held_between(void)
{
	d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	child_put(s, SG_CMD_KERNEL, "short");
	usleep(200);
	CHILD_CHECK(sg_hold(0, true) == 0);
	for (int i = 0; i < 20000 && sg_stream_query(s) != CUDA_SUCCESS; i++)
		usleep(500);
	CHILD_CHECK(sg_stream_query(s) == CUDA_SUCCESS);
	child_put(s, SG_CMD_KERNEL, "short");
	struct sg_cmd *c = child_cmd(SG_CMD_HOST, "after");
	c->run = count_up;
	CHILD_CHECK(sg_submit(s, c) == CUDA_SUCCESS);
	usleep(20000);
	CHILD_CHECK(scene->running == 0);
	CHILD_CHECK(sg_hold(0, false) == 0);
	CHILD_CHECK(sg_domain_sync(d) == CUDA_SUCCESS && scene->running == 1);
	sg_domain_free(d);
}

TEST(disabled_it_ends_what_it_runs)
{
	scene_new();
	child_run(held_between, modelled);
}
TEST_END

TEST(a_held_kernel_keeps_what_it_has_left)
{
	child_run(held_alone, modelled);
}
TEST_END

static void held_while_another_runs(void)
{
	start_long();
	scene->running = 1;
	for (int i = 1; i <= scene->hold; i++) {
		usleep(200);
		CHILD_CHECK(sg_hold(0, true) == 0 && sg_hold_preempt(0, 0, true) == 0);
		scene->go = i;
		until(&scene->done, i);
		CHILD_CHECK(i > 1 || sg_event_query(e) == CUDA_ERROR_NOT_READY);
		CHILD_CHECK(sg_hold(0, false) == 0);
	}
	end_long();
}

/* Ends each round only if the other one is out of its way. */
static void another(void)
{
	d = child_domain();
	for (int i = 1; i <= scene->hold; i++) {
		until(&scene->go, i);
		for (int j = 0; j < (scene->hold == 1 ? 60 : 1); j++)
			child_put(sg_domain_legacy(d), SG_CMD_KERNEL, "short");
		CHILD_CHECK(sg_domain_sync(d) == CUDA_SUCCESS);
		scene->done = i;
	}
	sg_domain_free(d);
}

static void two(int holds)
{
	scene_new();
	scene->hold = holds;
	pid_t a = child_start(held_while_another_runs, modelled);
	pid_t b = child_start(another, modelled);
	ck_assert_int_eq(child_wait(a), 0);
	ck_assert_int_eq(child_wait(b), 0);
}

TEST(another_process_has_the_device_meanwhile)
{
	two(1); /* 60 ms of its kernels, three times what the held one has left */
}
TEST_END

TEST(fifty_times)
{
	two(50);
}
TEST_END

static void hold_and_stay(void)
{
	start_long();
	usleep(1000);
	CHILD_CHECK(sg_hold(0, true) == 0 && sg_hold_preempt(0, 0, true) == 0);
	scene->go = 1;
	pause();
}

static void hold_until_told(void)
{
	start_long();
	usleep(1000);
	CHILD_CHECK(sg_hold(0, true) == 0 && sg_hold_preempt(0, 0, true) == 0);
	scene->go = 1;
	until(&scene->done, 1);
	CHILD_CHECK(sg_hold(0, false) == 0);
	end_long();
}

static void run_on(void)
{
	until(&scene->go, 1);
	d = child_domain();
	scene->running = 1;
	for (;;) {
		child_put(sg_domain_legacy(d), SG_CMD_KERNEL, "long");
		CHILD_CHECK(sg_domain_sync(d) == CUDA_SUCCESS);
	}
}

static void wait_running(void)
{
	for (int i = 0; i < 20000 && !scene->running; i++)
		usleep(500);
	ck_assert_int_eq(scene->running, 1);
}

TEST(the_held_one_is_killed)
{
	scene_new();
	scene->hold = 1;
	pid_t a = child_start(hold_and_stay, modelled);
	for (int i = 0; i < 20000 && !scene->go; i++)
		usleep(500);
	kill(a, SIGKILL);
	ck_assert_int_eq(child_wait(a), SIGKILL);
	/* its seat is free, and whoever takes it is not held: all seats are tried */
	pid_t b = child_start(another, modelled);
	ck_assert_int_eq(child_wait(b), 0);
	char path[64];
	shm_path(path, sizeof(path));
	ck_assert_int_eq(access(path, F_OK), -1);
}
TEST_END

TEST(the_one_it_is_held_for_is_killed)
{
	scene_new();
	pid_t a = child_start(hold_until_told, modelled);
	pid_t b = child_start(run_on, modelled);
	wait_running();
	usleep(3000);
	kill(b, SIGKILL);
	ck_assert_int_eq(child_wait(b), SIGKILL);
	scene->done = 1;
	ck_assert_int_eq(child_wait(a), 0);
}
TEST_END

static void refused(void)
{
	d = child_domain();
	CHILD_CHECK(sg_hold(0, true) == -ENOTSUP);
	CHILD_CHECK(sg_hold_preempt(0, 0, true) == -ENOTSUP);
	CHILD_CHECK(sg_hold_slice(0, 1000000) == -ENOTSUP);
	sg_domain_free(d);
}

static void too_early(void)
{
	CHILD_CHECK(sg_hold(0, true) == -ENODEV);
}

TEST(where_nothing_can_be_held)
{
	static const char *const fast[] = {"SOFTGPU_MODE=fast", NULL};
	static const char *const mps[] = {"SOFTGPU_MODE=time", "SOFTGPU_MPS=1", NULL};
	child_run(refused, fast);
	child_run(refused, mps);
	child_run(too_early, fast);
}
TEST_END

TESTS("software GPU: held by control", an_evicted_owner_is_next_again, who_is_held_gets_no_grant,
      a_release_waits_its_turn_and_death_releases, slices_of_its_own,
      a_held_kernel_keeps_what_it_has_left, disabled_it_ends_what_it_runs,
      another_process_has_the_device_meanwhile, fifty_times, the_held_one_is_killed,
      the_one_it_is_held_for_is_killed, where_nothing_can_be_held)
