// SPDX-License-Identifier: Apache-2.0
/* Who had the GPU open, as records: since when, until when, and by which name. */
#include "profiler/sights.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/harness.h"

static struct rein_sights sights;
static struct rein_trace_record got[16];
static char name[16][REIN_BPF_COMM];
static unsigned n_got;

static void keep(void *arg, const struct rein_trace_record *r,
                 const struct rein_bpf_named names[REIN_BPF_NAMES])
{
	ck_assert_uint_lt(n_got, 16);
	ck_assert_uint_eq(names[0].pid, r->thread);
	ck_assert_uint_eq(names[1].pid, 0);
	memcpy(name[n_got], names[0].comm, sizeof(name[0]));
	got[n_got++] = *r;
}

static void see(pid_t pid, uint64_t ns)
{
	struct rein_bystanders seen = {.n = pid != 0, .process[0].pid = pid};
	snprintf(seen.process[0].comm, sizeof(seen.process[0].comm), "a long name of a program");
	rein_sights_add(&sights, &seen, ns);
}

static void take(void)
{
	n_got = 0;
	rein_sights_take(&sights, &(struct rein_bpf_sink){keep, NULL});
}

static void expect(unsigned i, uint64_t begin, uint64_t end)
{
	ck_assert_uint_lt(i, n_got);
	ck_assert_uint_eq(got[i].kind, REIN_TRACE_OUTSIDER);
	ck_assert_uint_eq(got[i].result, REIN_OUTSIDER_OPEN);
	ck_assert_uint_eq(got[i].begin, begin);
	ck_assert_uint_eq(got[i].end, end);
}

/* Process 1 was there before. */
TEST(from_look_to_look)
{
	uint64_t t = rein_now_ns();
	rein_sights_init(&sights);
	rein_sights_begin(&sights, t);
	take();
	ck_assert_uint_eq(n_got, 0);
	see(1, t + 10);
	see(1, t + 20);
	take();
	ck_assert_uint_eq(n_got, 2);
	expect(0, t, t + 10);
	expect(1, t + 10, t + 20);
	ck_assert_str_eq(name[0], "a long name of ");
	see(0, t + 30); /* gone */
	see(1, t + 40); /* back, since after that look */
	take();
	ck_assert_uint_eq(n_got, 1);
	expect(0, t + 30, t + 40);
	/* what is recorded next has another beginning */
	see(1, t + 50);
	rein_sights_forget(&sights);
	rein_sights_begin(&sights, t + 60);
	see(1, t + 59); /* a look that was told of late */
	take();
	ck_assert_uint_eq(n_got, 0);
	ck_assert_ptr_null(sights.last);
	see(1, t + 70);
	take();
	ck_assert_uint_eq(n_got, 1);
	expect(0, t + 60, t + 70);
	rein_sights_fini(&sights);
}
TEST_END

/* One that started meanwhile was not there before. */
TEST(not_before_its_start)
{
	uint64_t tick = REIN_S / (uint64_t)sysconf(_SC_CLK_TCK), t = rein_now_ns();
	pid_t pid = fork();
	if (!pid)
		for (;;)
			pause();
	rein_sights_init(&sights);
	rein_sights_begin(&sights, t - REIN_S);
	see(pid, rein_now_ns());
	take();
	ck_assert_uint_eq(n_got, 1);
	ck_assert_uint_ge(got[0].begin + 2 * tick, t);
	ck_assert_uint_le(got[0].begin, got[0].end);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* and one that is gone: since the recording began */
	rein_sights_forget(&sights);
	rein_sights_begin(&sights, t);
	see(pid, t + 5);
	take();
	expect(0, t, t + 5);
	rein_sights_fini(&sights);
}
TEST_END

TESTS("sights", from_look_to_look, not_before_its_start)
