// SPDX-License-Identifier: Apache-2.0
/*
 * Processes that run together (SOFTGPU_MPS=1), in time-only mode: they do, at the model's times;
 * the owner log says who ran; a percentage confines; the killed and the stopped hold nobody; what
 * must agree is refused. test_sg_mps.c has the placement itself, in virtual time.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "softgpu/device.h"
#include "tests/harness.h"
#include "tests/unit/sg_child.h"

#define OK(call) CHILD_CHECK((call) == CUDA_SUCCESS)

static char owner_log[128], owner_env[160];
static const char *const env[] = {"SOFTGPU_MODE=time", "SOFTGPU_TIMES=long=150ms,k*=1ms", owner_env,
                                  "SOFTGPU_MPS=1",     "SOFTGPU_KERNEL_GAP=0ns",          NULL};
static const char *const half[] = {
    "SOFTGPU_MODE=time", "SOFTGPU_TIMES=long=150ms,k*=1ms",      owner_env,
    "SOFTGPU_MPS=1",     "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=50", NULL};
static struct {
	rein_a32 go_on, progress[3], waiting;
} * page;
static int self;

static void setup(void)
{
	child_file(owner_log, sizeof(owner_log), "ran");
	snprintf(owner_env, sizeof(owner_env), "SOFTGPU_OWNER_LOG=%s", owner_log);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	rein_store_relaxed(&page->go_on, 1);
}

static void teardown(void)
{
	munmap(page, 4096);
	unlink(owner_log);
	char path[128];
	shm_path(path, sizeof(path));
	ck_assert_msg(access(path, F_OK) != 0, "%s is left behind", path);
}

static void meet(void)
{
	rein_add_release(&page->waiting, 1);
	while (rein_load_acquire(&page->waiting) < 2)
		usleep(100);
}

/* One kernel of so many blocks of 1024 threads: an SM holds two of them. */
static void run_long(uint64_t blocks)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	struct sg_cmd *c = child_cmd(SG_CMD_KERNEL, "long");
	c->blocks = blocks;
	c->block_threads = 1024;
	meet();
	OK(sg_submit(s, c));
	OK(sg_stream_sync(s));
	sg_domain_free(d);
}

static void run_half(void) /* of the slots of 8 SMs */
{
	run_long(8);
}

static void run_many(void)
{
	run_long(160);
}

static pid_t start(void (*fn)(void), int number, const char *const *with)
{
	self = number;
	return child_start(fn, with);
}

/* The intervals of one process, in order, without overlap; their sum. */
static uint64_t ran_ns(pid_t pid, uint64_t *from, uint64_t *to)
{
	FILE *f = fopen(owner_log, "r");
	ck_assert_ptr_nonnull(f);
	int who;
	unsigned long long a, b, last = 0;
	uint64_t sum = 0;
	*from = *to = 0;
	while (fscanf(f, "%d %llu %llu", &who, &a, &b) == 3) {
		if (who != pid)
			continue;
		ck_assert_uint_lt(a, b);
		ck_assert_uint_ge(a, last);
		last = b;
		sum += b - a;
		*from = *from ? *from : a;
		*to = b;
	}
	fclose(f);
	return sum;
}

TEST(two_processes_run_at_the_same_time)
{
	setup();
	pid_t a = start(run_half, 0, env), b = start(run_half, 1, env);
	ck_assert_int_eq(child_wait(a), 0);
	ck_assert_int_eq(child_wait(b), 0);
	uint64_t from[2], to[2];
	ck_assert_uint_eq(ran_ns(a, &from[0], &to[0]), 150000000);
	ck_assert_uint_eq(ran_ns(b, &from[1], &to[1]), 150000000);
	ck_assert_uint_lt(from[0], to[1]); /* with time slices they would add up to 300 ms */
	ck_assert_uint_lt(from[1], to[0]);
	teardown();
}
TEST_END

/* A client with half of the SMs takes twice as long, and two of them do not meet. */
TEST(a_percentage_confines)
{
	uint64_t from, to;
	setup();
	rein_store_relaxed(&page->waiting, 1); /* nobody else comes */
	pid_t alone = start(run_many, 0, half);
	ck_assert_int_eq(child_wait(alone), 0);
	ck_assert_uint_eq(ran_ns(alone, &from, &to), 300000000);
	rein_store_relaxed(&page->waiting, 0);
	pid_t a = start(run_many, 0, half), b = start(run_many, 1, half);
	ck_assert_int_eq(child_wait(a), 0);
	ck_assert_int_eq(child_wait(b), 0);
	ck_assert_uint_eq(ran_ns(a, &from, &to), 300000000);
	ck_assert_uint_eq(ran_ns(b, &from, &to), 300000000);
	teardown();
}
TEST_END

/* Keeps 8 kernels of 1 ms queued, each of which fills the device, while told to go on. */
static void saturate(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	struct sg_event *e[8];
	for (int i = 0; i < 8; i++)
		e[i] = sg_event_new();
	for (unsigned i = 0; rein_load_relaxed(&page->go_on); i++) {
		OK(sg_event_sync(e[i % 8]));
		struct sg_cmd *c = child_cmd(SG_CMD_KERNEL, "k");
		c->blocks = 16;
		c->block_threads = 1024;
		OK(sg_submit(s, c));
		OK(sg_event_record(e[i % 8], s));
		struct sg_stats st;
		sg_engine_stats(&st);
		CHILD_CHECK(st.slices == 0 && st.slice_switches == 0);
		rein_store_release(&page->progress[self], (uint32_t)st.kernels);
	}
	for (int i = 0; i < 8; i++)
		sg_event_free(e[i]);
	sg_domain_free(d);
}

static void wait_for(int number, uint32_t kernels)
{
	for (int i = 0; i < 20000 && rein_load_acquire(&page->progress[number]) < kernels; i++)
		usleep(500);
	ck_assert_uint_ge(rein_load_acquire(&page->progress[number]), kernels);
}

TEST(the_killed_and_the_stopped_hold_nobody)
{
	setup();
	pid_t a = start(saturate, 0, env), b = start(saturate, 1, env);
	wait_for(0, 20);
	wait_for(1, 20);
	kill(a, SIGSTOP);
	wait_for(1, rein_load_acquire(&page->progress[1]) + 50);
	kill(a, SIGCONT);
	wait_for(0, rein_load_acquire(&page->progress[0]) + 20);
	kill(a, SIGKILL); /* and stays a zombie */
	wait_for(1, rein_load_acquire(&page->progress[1]) + 50);
	pid_t c = start(saturate, 2, env);
	wait_for(2, 20);
	rein_store_relaxed(&page->go_on, 0);
	ck_assert_int_eq(child_wait(b), 0);
	ck_assert_int_eq(child_wait(c), 0);
	ck_assert_int_eq(child_wait(a), SIGKILL);
	teardown();
}
TEST_END

/* Two that saturate the device share it about equally, kernel by kernel. */
TEST(two_that_saturate_take_turns)
{
	setup();
	pid_t a = start(saturate, 0, env), b = start(saturate, 1, env);
	wait_for(0, 60);
	wait_for(1, 60);
	rein_store_relaxed(&page->go_on, 0);
	ck_assert_int_eq(child_wait(a), 0);
	ck_assert_int_eq(child_wait(b), 0);
	uint64_t from[2], to[2];
	ran_ns(a, &from[0], &to[0]); /* checks the order */
	ran_ns(b, &from[1], &to[1]);
	teardown();
}
TEST_END

static void refused(void)
{
	const char *why;
	const struct sg_model *m = sg_model(&why);
	char text[320] = "";
	struct sg_share *s;
	CHILD_CHECK(m);
	CHILD_CHECK(sg_share_open(m, &s, text, sizeof(text)) == -EEXIST);
	CHILD_CHECK(strstr(text, "_MPS"));
}

static void one_kernel(void)
{
	struct sg_domain *d = child_domain();
	child_put(sg_domain_legacy(d), SG_CMD_KERNEL, "k");
	OK(sg_domain_sync(d));
	sg_domain_free(d);
}

TEST(all_or_none_run_together)
{
	setup();
	static const char *const alone[] = {"SOFTGPU_MODE=time", "SOFTGPU_TIMES=k=1ms", NULL};
	pid_t a = start(saturate, 0, env);
	wait_for(0, 3);
	child_run(refused, alone);
	kill(a, SIGKILL);
	ck_assert_int_eq(child_wait(a), SIGKILL);
	child_run(one_kernel, alone); /* what the dead left is made over, to the other size */
	child_run(one_kernel, env);
	teardown();
}
TEST_END

TESTS("software GPU: running together", two_processes_run_at_the_same_time, a_percentage_confines,
      the_killed_and_the_stopped_hold_nobody, two_that_saturate_take_turns,
      all_or_none_run_together)
