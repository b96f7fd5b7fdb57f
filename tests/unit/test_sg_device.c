// SPDX-License-Identifier: Apache-2.0
/*
 * Several processes on one shared device: slices of two that saturate it, one at a time; owners
 * that are killed or stopped; leftovers of the dead; refusals. The children run in time-only mode:
 * nothing is executed.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include "softgpu/device.h"
#include "tests/harness.h"
#include "tests/unit/sg_child.h"

static char owner_log[128], owner_env[160];
static const char *const env[] = {"SOFTGPU_MODE=time",     "SOFTGPU_TIMES=k*=1ms", owner_env,
                                  "SOFTGPU_TIMESLICE=2ms", "SOFTGPU_SWITCH=100us", NULL};
static rein_a32 *flags; /* shared with the children: [0] go on, [1…] progress of each */
static int self;

static void setup(void)
{
	child_file(owner_log, sizeof(owner_log), "slices");
	snprintf(owner_env, sizeof(owner_env), "SOFTGPU_OWNER_LOG=%s", owner_log);
	flags = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(flags, MAP_FAILED);
	rein_store_relaxed(&flags[0], 1);
}

static void teardown(void)
{
	munmap(flags, 4096);
	unlink(owner_log);
	char path[128];
	shm_path(path, sizeof(path));
	ck_assert_msg(access(path, F_OK) != 0, "%s is left behind", path);
}

/* Keeps 8 kernels of 1 ms queued while told to go on. */
static void saturate(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	struct sg_event *e[8];
	for (int i = 0; i < 8; i++)
		e[i] = sg_event_new();
	for (unsigned i = 0; rein_load_relaxed(&flags[0]); i++) {
		CHILD_CHECK(sg_event_sync(e[i % 8]) == CUDA_SUCCESS);
		child_put(s, SG_CMD_KERNEL, "k");
		CHILD_CHECK(sg_event_record(e[i % 8], s) == CUDA_SUCCESS);
		struct sg_stats st;
		sg_engine_stats(&st);
		rein_store_release(&flags[self], (uint32_t)st.kernels);
	}
	for (int i = 0; i < 8; i++)
		sg_event_free(e[i]);
	sg_domain_free(d);
}

static void one_kernel(void)
{
	struct sg_domain *d = child_domain();
	child_put(sg_domain_legacy(d), SG_CMD_KERNEL, "k");
	CHILD_CHECK(sg_domain_sync(d) == CUDA_SUCCESS);
	sg_domain_free(d);
}

static pid_t start(void (*fn)(void), int number)
{
	self = number;
	return child_start(fn, env);
}

static void wait_for(int number, uint32_t kernels)
{
	for (int i = 0; i < 20000 && rein_load_acquire(&flags[number]) < kernels; i++)
		usleep(500);
	ck_assert_uint_ge(rein_load_acquire(&flags[number]), kernels);
}

struct slice {
	int pid;
	unsigned long long start, end;
};

static int by_start(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

static size_t read_slices(struct slice *out, size_t room)
{
	size_t n = 0;
	FILE *f = fopen(owner_log, "r");
	ck_assert_ptr_nonnull(f);
	while (n < room && fscanf(f, "%d %llu %llu", &out[n].pid, &out[n].start, &out[n].end) == 3)
		n++;
	fclose(f);
	qsort(out, n, sizeof(*out), by_start);
	return n;
}

/* How the slices divide is test_sg_ledger.c's, in virtual time: here the host may wake one late. */
TEST(two_that_saturate_take_turns)
{
	setup();
	pid_t a = start(saturate, 1), b = start(saturate, 2);
	wait_for(1, 60);
	wait_for(2, 60);
	rein_store_relaxed(&flags[0], 0);
	ck_assert_int_eq(child_wait(a), 0);
	ck_assert_int_eq(child_wait(b), 0);
	static struct slice s[4096];
	size_t n = read_slices(s, 4096);
	unsigned turns = 0;
	for (size_t i = 1; i < n; i++) {
		bool other = s[i].pid != s[i - 1].pid;
		turns += other;
		ck_assert_uint_ge(s[i].start, s[i - 1].end + (other ? 100000 : 0)); /* the switch */
	}
	ck_assert_uint_ge(turns, 10);
	teardown();
}
TEST_END

TEST(a_killed_owner_does_not_hold_the_device)
{
	setup();
	pid_t a = start(saturate, 1);
	wait_for(1, 5);
	pid_t b = start(saturate, 2);
	wait_for(2, 5);
	kill(a, SIGKILL); /* and stays a zombie */
	uint32_t had = rein_load_acquire(&flags[2]);
	wait_for(2, had + 50);
	rein_store_relaxed(&flags[0], 0);
	ck_assert_int_eq(child_wait(b), 0);
	ck_assert_int_eq(child_wait(a), SIGKILL);
	teardown();
}
TEST_END

TEST(a_stopped_owner_does_not_hold_the_device)
{
	setup();
	pid_t a = start(saturate, 1);
	wait_for(1, 5);
	kill(a, SIGSTOP);
	pid_t b = start(saturate, 2);
	wait_for(2, 50);
	kill(a, SIGCONT);
	uint32_t had = rein_load_acquire(&flags[1]);
	wait_for(1, had + 20); /* it has its share again */
	rein_store_relaxed(&flags[0], 0);
	ck_assert_int_eq(child_wait(a), 0);
	ck_assert_int_eq(child_wait(b), 0);
	teardown();
}
TEST_END

TEST(leftovers_of_the_dead_are_reused)
{
	setup();
	char path[128];
	shm_path(path, sizeof(path));
	for (int i = 0; i < 3; i++) {
		pid_t a = start(saturate, 1);
		rein_store_relaxed(&flags[1], 0);
		wait_for(1, 3);
		kill(a, SIGKILL);
		ck_assert_int_eq(child_wait(a), SIGKILL); /* its file stays for the next one */
	}
	pid_t b = start(one_kernel, 2);
	ck_assert_int_eq(child_wait(b), 0);
	ck_assert_int_ne(access(path, F_OK), 0);
	teardown();
}
TEST_END

static void one_kernel_elsewhere(void)
{
	char shm[64];
	snprintf(shm, sizeof(shm), "test-%d-elsewhere", (int)getpid());
	setenv("SOFTGPU_SHM", shm, 1);
	one_kernel();
}

TEST(leftovers_of_the_dead_go_with_the_next_new_device)
{
	setup();
	char path[128];
	shm_path(path, sizeof(path));
	pid_t a = start(saturate, 1);
	wait_for(1, 3);
	child_run(one_kernel_elsewhere, env);
	ck_assert_int_eq(access(path, F_OK), 0); /* somebody lives there */
	kill(a, SIGKILL);
	ck_assert_int_eq(child_wait(a), SIGKILL);
	child_run(one_kernel_elsewhere, env);
	ck_assert_int_ne(access(path, F_OK), 0);
	teardown();
}
TEST_END

static void open_quietly(void)
{
	const char *why;
	const struct sg_model *m = sg_model(&why);
	char text[320] = "";
	struct sg_share *s;
	CHILD_CHECK(m);
	CHILD_CHECK(sg_share_open(m, &s, text, sizeof(text)) < 0);
	CHILD_CHECK(strstr(text, "/dev/shm/softgpu-") && !strchr(text, '\n'));
}

TEST(other_figures_are_refused_while_in_use)
{
	setup();
	static const char *const other[] = {"SOFTGPU_MODE=time", "SOFTGPU_TIMES=k=1ms",
	                                    "SOFTGPU_TIMESLICE=3ms", NULL};
	pid_t a = start(saturate, 1);
	wait_for(1, 3);
	child_run(open_quietly, other);
	kill(a, SIGKILL);
	ck_assert_int_eq(child_wait(a), SIGKILL);
	child_run(one_kernel, other); /* nobody is left that has the old ones */
	teardown();
}
TEST_END

TEST(a_foreign_file_is_refused)
{
	setup();
	char path[128];
	shm_path(path, sizeof(path));
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 64 << 20), 0);
	ck_assert_int_eq(pwrite(fd, "something else", 14, 0), 14);
	close(fd);
	child_run(open_quietly, env);
	unlink(path);
	teardown();
}
TEST_END

TESTS("software GPU: shared device", two_that_saturate_take_turns,
      a_killed_owner_does_not_hold_the_device, a_stopped_owner_does_not_hold_the_device,
      leftovers_of_the_dead_are_reused, leftovers_of_the_dead_go_with_the_next_new_device,
      other_figures_are_refused_while_in_use, a_foreign_file_is_refused)
