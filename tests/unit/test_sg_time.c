// SPDX-License-Identifier: Apache-2.0
/*
 * The engine's modelled time, one process: durations seen by events are the model's, whatever
 * the host does; queue depth; logs; overruns. Nothing asserts on wall-clock time, but that it is
 * not less than the model's.
 */
#include <math.h>
#include <semaphore.h>

#include "tests/harness.h"
#include "tests/unit/sg_child.h"

static const char *const time_mode[] = {"SOFTGPU_MODE=time",
                                        "SOFTGPU_TIMES=ms_*=1ms,us_*=100us,long=20ms",
                                        "SOFTGPU_KERNEL_GAP=2us",
                                        "SOFTGPU_QUEUE_DEPTH=64",
                                        "SOFTGPU_H2D_GBPS=1",
                                        "SOFTGPU_COPY_LATENCY=10us",
                                        "SOFTGPU_MEM_GBPS=2",
                                        "SOFTGPU_KERNEL_MIN=5us",
                                        NULL};
static sem_t gate;

static CUresult pass_gate(struct sg_cmd *c)
{
	while (sem_wait(&gate) != 0)
		;
	return CUDA_SUCCESS;
}

/* What follows is submitted before it may start, so that its times do not depend on the host. */
static void close_gate(struct sg_stream *s)
{
	struct sg_cmd *c = child_cmd(SG_CMD_HOST, "gate");
	c->run = pass_gate;
	sem_init(&gate, 0, 0);
	CHILD_CHECK(sg_submit(s, c) == CUDA_SUCCESS);
}

static void open_gate(void)
{
	usleep(1000); /* longer than the launch latency of the last submission */
	sem_post(&gate);
}

static double span_ms(struct sg_event *a, struct sg_event *b)
{
	double ms = -1;
	CHILD_CHECK(sg_event_sync(b) == CUDA_SUCCESS);
	CHILD_CHECK(sg_event_elapsed(a, b, &ms) == CUDA_SUCCESS);
	return ms;
}

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-6;
}

static void chain(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	struct sg_event *a = sg_event_new(), *b = sg_event_new();
	close_gate(s);
	CHILD_CHECK(sg_event_record(a, s) == CUDA_SUCCESS);
	for (int i = 0; i < 50; i++)
		child_put(s, SG_CMD_KERNEL, "us_k");
	CHILD_CHECK(sg_event_record(b, s) == CUDA_SUCCESS);
	CHILD_CHECK(sg_event_query(b) == CUDA_ERROR_NOT_READY);
	open_gate();
	uint64_t start = rein_now_ns();
	double ms = span_ms(a, b);
	CHILD_CHECK(near(ms, 50 * 0.102)); /* late wake-ups of the host do not add up */
	CHILD_CHECK(rein_now_ns() - start >= 50 * 102000ull - 1000000);
	struct sg_stats st;
	sg_engine_stats(&st);
	CHILD_CHECK(st.kernels == 50 && st.busy_ns == 50 * 100000ull);
	sg_event_free(a);
	sg_event_free(b);
	sg_domain_free(d);
}

TEST(a_chain_takes_its_modelled_time)
{
	child_run(chain, time_mode);
}
TEST_END

static void copies_and_sets(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	struct sg_event *e[3];
	close_gate(s);
	for (int i = 0; i < 3; i++) {
		e[i] = sg_event_new();
		CHILD_CHECK(sg_event_record(e[i], s) == CUDA_SUCCESS);
		struct sg_cmd *c = child_cmd(i ? SG_CMD_SET : SG_CMD_COPY, NULL);
		c->bytes = 1000000;
		if (i < 2)
			CHILD_CHECK(sg_submit(s, c) == CUDA_SUCCESS);
		else
			free(c);
	}
	open_gate();
	CHILD_CHECK(near(span_ms(e[0], e[1]), 1.010));
	CHILD_CHECK(near(span_ms(e[1], e[2]), 0.002 + 0.005 + 0.5));
	for (int i = 0; i < 3; i++)
		sg_event_free(e[i]);
	sg_domain_free(d);
}

TEST(copies_and_sets_take_theirs)
{
	child_run(copies_and_sets, time_mode);
}
TEST_END

static void side_by_side(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s[2], *legacy = sg_domain_legacy(d);
	struct sg_event *a = sg_event_new(), *b = sg_event_new();
	close_gate(legacy);
	CHILD_CHECK(sg_event_record(a, legacy) == CUDA_SUCCESS);
	for (int i = 0; i < 2; i++) {
		CHILD_CHECK(sg_stream_new(d, SG_STREAM_BLOCKING, 0, &s[i]) == CUDA_SUCCESS);
		child_put(s[i], SG_CMD_KERNEL, "ms_k");
	}
	CHILD_CHECK(sg_event_record(b, legacy) == CUDA_SUCCESS);
	open_gate();
	CHILD_CHECK(near(span_ms(a, b), 1.002));
	sg_event_free(a);
	sg_event_free(b);
	sg_domain_free(d);
}

TEST(streams_run_side_by_side)
{
	child_run(side_by_side, time_mode);
}
TEST_END

static int runs;

static CUresult count_run(struct sg_cmd *c)
{
	runs++;
	return CUDA_SUCCESS;
}

static void nothing_runs(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	for (int kind = SG_CMD_KERNEL; kind <= SG_CMD_HOST; kind++) {
		struct sg_cmd *c = child_cmd((enum sg_cmd_kind)kind, "ms_k");
		c->run = count_run;
		CHILD_CHECK(sg_submit(s, c) == CUDA_SUCCESS);
	}
	CHILD_CHECK(sg_stream_sync(s) == CUDA_SUCCESS);
	CHILD_CHECK(runs == 1); /* the host function */
	sg_domain_free(d);
}

TEST(time_mode_executes_host_functions_only)
{
	child_run(nothing_runs, time_mode);
}
TEST_END

static void full_queue(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	struct sg_stats st;
	for (int i = 0; i < 200; i++) {
		child_put(s, SG_CMD_KERNEL, "us_k");
		sg_engine_stats(&st);
		CHILD_CHECK(i + 1 - (int)st.kernels <= 64);
	}
	CHILD_CHECK(sg_stream_sync(s) == CUDA_SUCCESS);
	sg_domain_free(d);
}

TEST(submission_blocks_at_the_queue_depth)
{
	child_run(full_queue, time_mode);
}
TEST_END

static void logged(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	for (int i = 0; i < 3; i++)
		child_put(s, SG_CMD_KERNEL, "ms_k");
	child_put(s, SG_CMD_COPY, NULL);
	CHILD_CHECK(sg_stream_sync(s) == CUDA_SUCCESS);
	sg_domain_free(d);
}

TEST(logs_say_who_ran_when)
{
	char owner[300], order[300], owner_env[330], order_env[330];
	const char *env[REIN_ARRAY_LEN(time_mode) + 2];
	child_file(owner, sizeof(owner), "owner");
	child_file(order, sizeof(order), "order");
	snprintf(owner_env, sizeof(owner_env), "SOFTGPU_OWNER_LOG=%s", owner);
	snprintf(order_env, sizeof(order_env), "SOFTGPU_ORDER_LOG=%s", order);
	env[0] = owner_env;
	env[1] = order_env;
	memcpy(env + 2, time_mode, sizeof(time_mode));
	pid_t pid = child_start(logged, env);
	ck_assert_int_eq(child_wait(pid), 0);

	FILE *f = fopen(owner, "r");
	ck_assert_ptr_nonnull(f);
	int who;
	unsigned long long start, end, sum = 0, stream;
	while (fscanf(f, "%d %llu %llu", &who, &start, &end) == 3) {
		ck_assert_int_eq(who, pid);
		ck_assert_uint_lt(start, end);
		sum += end - start;
	}
	fclose(f);
	unlink(owner);
	ck_assert_uint_ge(sum, 3000000);
	ck_assert_uint_le(sum, 3000000 + 2 * 2000);
	f = fopen(order, "r");
	ck_assert_ptr_nonnull(f);
	char kind[16], name[64];
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(fscanf(f, "%d %llu %15s %63s %llu %llu", &who, &stream, kind, name,
		                        &start, &end),
		                 6);
		ck_assert_int_eq(who, pid);
		ck_assert_str_eq(kind, i < 3 ? "kernel" : "copy");
		ck_assert_str_eq(name, i < 3 ? "ms_k" : "-");
		if (i < 3)
			ck_assert_uint_eq(end - start, 1000000);
	}
	fclose(f);
	unlink(order);
}
TEST_END

/* ---- wall-clock mode: payloads run */

static const char *const wall_mode[] = {"SOFTGPU_MODE=wall",
                                        "SOFTGPU_TIMES=long=20ms,short=1ms",
                                        "SOFTGPU_OVERRUN_SLACK=0ns",
                                        "SOFTGPU_CLOCK_MHZ=1",
                                        "SOFTGPU_IPC=1",
                                        "SOFTGPU_KERNEL_MIN=5us",
                                        NULL};

static CUresult take_3ms(struct sg_cmd *c)
{
	runs++;
	usleep(3000);
	return CUDA_SUCCESS;
}

static CUresult execute_counted(struct sg_cmd *c)
{
	runs++;
	c->instructions = 30000; /* 30 ms on one SM of 1 MHz */
	return CUDA_SUCCESS;
}

static struct sg_cmd *payload(const char *name, CUresult (*run)(struct sg_cmd *))
{
	struct sg_cmd *c = child_cmd(SG_CMD_KERNEL, name);
	c->run = run;
	return c;
}

static void payloads(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	struct sg_event *a = sg_event_new(), *b = sg_event_new();
	struct sg_stats st;
	uint64_t start = rein_now_ns();
	CHILD_CHECK(sg_submit_wait(s, payload("counted", execute_counted)) == CUDA_SUCCESS);
	CHILD_CHECK(runs == 1);
	CHILD_CHECK(rein_now_ns() - start >= 30000000);
	close_gate(s);
	CHILD_CHECK(sg_event_record(a, s) == CUDA_SUCCESS);
	CHILD_CHECK(sg_submit(s, payload("counted", execute_counted)) == CUDA_SUCCESS);
	CHILD_CHECK(sg_event_record(b, s) == CUDA_SUCCESS);
	open_gate();
	CHILD_CHECK(near(span_ms(a, b), 0.001 + 0.005 + 30));
	sg_engine_stats(&st);
	uint64_t overruns = st.overruns;
	start = rein_now_ns();
	CHILD_CHECK(sg_submit_wait(s, payload("short", take_3ms)) == CUDA_SUCCESS);
	CHILD_CHECK(rein_now_ns() - start >= 3000000); /* not complete before it has run */
	sg_engine_stats(&st);
	CHILD_CHECK(st.overruns == overruns + 1);
	CHILD_CHECK(st.worst_overrun_ns >= 2500000);
	sg_event_free(a);
	sg_event_free(b);
	sg_domain_free(d);
}

TEST(wall_mode_runs_payloads_and_counts_overruns)
{
	child_run(payloads, wall_mode);
}
TEST_END

static void one_overrun(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	CHILD_CHECK(sg_submit_wait(s, payload("long", count_run)) == CUDA_SUCCESS);
	CHILD_CHECK(sg_submit_wait(s, payload("short", take_3ms)) == CUDA_SUCCESS);
	sg_domain_free(d);
}

/* The line that the demo reads, and calls its result not valid for. */
TEST(overruns_are_told_at_the_end)
{
	char path[300], stats_env[330], line[400] = "";
	const char *env[REIN_ARRAY_LEN(wall_mode) + 1];
	child_file(path, sizeof(path), "stats");
	snprintf(stats_env, sizeof(stats_env), "SOFTGPU_STATS=%s", path);
	env[0] = stats_env;
	memcpy(env + 1, wall_mode, sizeof(wall_mode));
	child_run(one_overrun, env);
	FILE *f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	fclose(f);
	unlink(path);
	unsigned long count = 0, worst = 0;
	const char *at = strstr(line, " overruns=");
	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(sscanf(at, " overruns=%lu worst_overrun_ns=%lu", &count, &worst), 2);
	ck_assert_uint_ge(count, 1);
	ck_assert_uint_ge(worst, 2500000);
}
TEST_END

static void work_left_at_exit(void)
{
	static struct sg_domain *d;
	d = child_domain();
	struct sg_stream *s = sg_domain_legacy(d);
	for (int i = 0; i < 20; i++)
		CHILD_CHECK(sg_submit(s, payload("long", count_run)) == CUDA_SUCCESS);
}

TEST(a_process_may_end_with_work_pending)
{
	child_run(work_left_at_exit, wall_mode);
	char path[128];
	shm_path(path, sizeof(path));
	ck_assert_int_ne(access(path, F_OK), 0); /* the last one has removed the segment */
}
TEST_END

TESTS("software GPU: modelled time", a_chain_takes_its_modelled_time, copies_and_sets_take_theirs,
      streams_run_side_by_side, time_mode_executes_host_functions_only,
      submission_blocks_at_the_queue_depth, logs_say_who_ran_when,
      wall_mode_runs_payloads_and_counts_overruns, overruns_are_told_at_the_end,
      a_process_may_end_with_work_pending)
