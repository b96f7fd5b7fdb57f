// SPDX-License-Identifier: Apache-2.0
/*
 * The engine in fast mode (SOFTGPU_MODE is set before its first use): CUDA's order between
 * legacy, blocking and non-blocking streams, events, graphs, host functions, errors, freeing with
 * work pending. test_sg_time.c has the timed mode.
 *
 * A command appends its letter to a trace when it runs; "gates" hold a stream back without timing.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/atomic.h"
#include "softgpu/engine.h"
#include "tests/harness.h"

static struct {
	pthread_mutex_t lock;
	char text[4096];
	size_t len;
} trace = {.lock = PTHREAD_MUTEX_INITIALIZER};
static rein_a32 destroyed;

struct job {
	struct sg_cmd cmd;
	char letter;
	sem_t *gate; /* waits for it before anything else */
	CUresult result;
};

static CUresult run_job(struct sg_cmd *c)
{
	struct job *j = (struct job *)c;
	if (j->gate)
		while (sem_wait(j->gate) != 0)
			;
	pthread_mutex_lock(&trace.lock);
	if (trace.len + 1 < sizeof(trace.text))
		trace.text[trace.len++] = j->letter;
	pthread_mutex_unlock(&trace.lock);
	return j->result;
}

static void destroy_job(struct sg_cmd *c)
{
	rein_add_relaxed(&destroyed, 1);
	free(c);
}

static struct job *job(enum sg_cmd_kind kind, char letter)
{
	struct job *j = calloc(1, sizeof(*j));
	ck_assert_ptr_nonnull(j);
	j->cmd.kind = kind;
	j->cmd.run = run_job;
	j->cmd.destroy = destroy_job;
	j->cmd.name = "job";
	j->cmd.blocks = 1;
	j->cmd.block_threads = 32;
	j->letter = letter;
	return j;
}

static void put(struct sg_stream *s, struct job *j)
{
	ck_assert_int_eq(sg_submit(s, &j->cmd), CUDA_SUCCESS);
}

static void put_letter(struct sg_stream *s, char letter)
{
	put(s, job(SG_CMD_KERNEL, letter));
}

static void put_gate(struct sg_stream *s, char letter, sem_t *gate)
{
	struct job *j = job(SG_CMD_HOST, letter);
	sem_init(gate, 0, 0);
	j->gate = gate;
	put(s, j);
}

static struct sg_domain *domain(void)
{
	setenv("SOFTGPU_MODE", "fast", 1);
	struct sg_domain *d = NULL;
	ck_assert_int_eq(sg_domain_new(0, &d), CUDA_SUCCESS);
	trace.len = 0;
	return d;
}

static struct sg_stream *stream(struct sg_domain *d, enum sg_stream_kind kind)
{
	struct sg_stream *s = NULL;
	ck_assert_int_eq(sg_stream_new(d, kind, 0, &s), CUDA_SUCCESS);
	return s;
}

static const char *traced(void)
{
	pthread_mutex_lock(&trace.lock);
	trace.text[trace.len] = 0;
	pthread_mutex_unlock(&trace.lock);
	return trace.text;
}

static bool trace_is(void *expected)
{
	return strcmp(traced(), expected) == 0;
}

TEST(a_stream_is_in_order)
{
	struct sg_domain *d = domain();
	struct sg_stream *s = stream(d, SG_STREAM_NONBLOCKING);
	ck_assert_int_eq(sg_stream_query(s), CUDA_SUCCESS);
	static const enum sg_cmd_kind kinds[] = {SG_CMD_KERNEL, SG_CMD_COPY, SG_CMD_SET,
	                                         SG_CMD_HOST};
	for (int i = 0; i < 26; i++)
		put(s, job(kinds[i % 4], (char)('a' + i)));
	ck_assert_int_eq(sg_stream_sync(s), CUDA_SUCCESS);
	ck_assert_str_eq(traced(), "abcdefghijklmnopqrstuvwxyz");
	sg_domain_free(d);
}
TEST_END

TEST(legacy_waits_for_blocking_streams_and_they_for_it)
{
	struct sg_domain *d = domain();
	struct sg_stream *b1 = stream(d, SG_STREAM_BLOCKING), *b2 = stream(d, SG_STREAM_BLOCKING);
	struct sg_stream *legacy = sg_domain_legacy(d);
	sem_t gate;
	put_gate(b1, '1', &gate);
	put_letter(legacy, 'L'); /* waits for b1 */
	put_letter(b2, '2');     /* waits for L */
	ck_assert_int_eq(sg_stream_query(b2), CUDA_ERROR_NOT_READY);
	ck_assert_int_eq(sg_stream_query(legacy), CUDA_ERROR_NOT_READY);
	ck_assert_str_eq(traced(), "");
	sem_post(&gate);
	ck_assert_int_eq(sg_stream_sync(b2), CUDA_SUCCESS);
	ck_assert_str_eq(traced(), "1L2");
	sg_domain_free(d);
}
TEST_END

TEST(nonblocking_streams_and_other_domains_do_not_wait_for_legacy)
{
	struct sg_domain *d = domain(), *other = domain();
	struct sg_stream *n = stream(d, SG_STREAM_NONBLOCKING);
	sem_t gate;
	put_gate(sg_domain_legacy(d), 'L', &gate);
	put_letter(n, 'n');
	ck_assert_int_eq(sg_stream_sync(n), CUDA_SUCCESS);
	put_letter(sg_domain_legacy(other), 'o');
	ck_assert_int_eq(sg_domain_sync(other), CUDA_SUCCESS);
	ck_assert_str_eq(traced(), "no");
	ck_assert_int_eq(sg_stream_query(n), CUDA_SUCCESS);
	sem_post(&gate);
	ck_assert_int_eq(sg_domain_sync(d), CUDA_SUCCESS);
	ck_assert_str_eq(traced(), "noL");
	sg_domain_free(d);
	sg_domain_free(other);
}
TEST_END

TEST(a_legacy_sync_covers_blocking_streams_only)
{
	struct sg_domain *d = domain();
	struct sg_stream *b = stream(d, SG_STREAM_BLOCKING), *n = stream(d, SG_STREAM_NONBLOCKING);
	sem_t gate, other;
	put_gate(b, 'b', &gate);
	put_gate(n, 'n', &other);
	ck_assert_int_eq(sg_stream_query(sg_domain_legacy(d)), CUDA_ERROR_NOT_READY);
	sem_post(&gate);
	ck_assert_int_eq(sg_stream_sync(sg_domain_legacy(d)), CUDA_SUCCESS);
	ck_assert_str_eq(traced(), "b");
	sem_post(&other);
	sg_domain_free(d);
}
TEST_END

TEST(a_wait_refers_to_the_latest_record)
{
	struct sg_domain *d = domain();
	struct sg_stream *a = stream(d, SG_STREAM_NONBLOCKING),
			 *b = stream(d, SG_STREAM_NONBLOCKING);
	struct sg_event *e = sg_event_new();
	sem_t g1, g2;
	ck_assert_int_eq(sg_event_query(e), CUDA_SUCCESS);
	ck_assert_int_eq(sg_event_sync(e), CUDA_SUCCESS);
	ck_assert_int_eq(sg_stream_wait_event(b, e), CUDA_SUCCESS); /* never recorded: no wait */
	put_gate(a, '1', &g1);
	ck_assert_int_eq(sg_event_record(e, a), CUDA_SUCCESS);
	ck_assert_int_eq(sg_stream_wait_event(b, e), CUDA_SUCCESS);
	put_letter(b, 'b');
	put_gate(a, '2', &g2);
	ck_assert_int_eq(sg_event_record(e, a), CUDA_SUCCESS); /* does not move b's wait */
	ck_assert_int_eq(sg_stream_query(b), CUDA_ERROR_NOT_READY);
	sem_post(&g1);
	ck_assert_int_eq(sg_stream_sync(b), CUDA_SUCCESS);
	ck_assert_str_eq(traced(), "1b");
	ck_assert_int_eq(sg_event_query(e), CUDA_ERROR_NOT_READY);
	ck_assert_int_eq(sg_stream_wait_event(b, e), CUDA_SUCCESS);
	put_letter(b, 'c');
	sg_event_free(e); /* the wait stands */
	ck_assert_int_eq(sg_stream_query(b), CUDA_ERROR_NOT_READY);
	sem_post(&g2);
	ck_assert_int_eq(sg_stream_sync(b), CUDA_SUCCESS);
	ck_assert_str_eq(traced(), "1b2c");
	sg_domain_free(d);
}
TEST_END

TEST(elapsed_needs_two_completed_records)
{
	struct sg_domain *d = domain();
	struct sg_stream *s = stream(d, SG_STREAM_BLOCKING);
	struct sg_event *a = sg_event_new(), *b = sg_event_new();
	double ms = -1;
	ck_assert_int_eq(sg_event_record(a, s), CUDA_SUCCESS);
	ck_assert_int_eq(sg_event_elapsed(a, b, &ms), CUDA_ERROR_INVALID_HANDLE);
	sem_t gate;
	put_gate(s, 'x', &gate);
	ck_assert_int_eq(sg_event_record(b, s), CUDA_SUCCESS);
	ck_assert_int_eq(sg_event_elapsed(a, b, &ms), CUDA_ERROR_NOT_READY);
	sem_post(&gate);
	ck_assert_int_eq(sg_event_sync(b), CUDA_SUCCESS);
	ck_assert_int_eq(sg_event_elapsed(a, b, &ms), CUDA_SUCCESS);
	ck_assert(ms >= 0);
	sg_event_free(a);
	sg_event_free(b);
	sg_domain_free(d);
}
TEST_END

TEST(a_graph_runs_by_its_edges)
{
	struct sg_domain *d = domain();
	struct sg_stream *s = stream(d, SG_STREAM_NONBLOCKING);
	/* given out of order: d waits for b and c, which wait for a */
	static const uint32_t on_a[] = {3}, on_bc[] = {1, 2};
	struct job *j[4] = {job(SG_CMD_KERNEL, 'd'), job(SG_CMD_KERNEL, 'b'),
	                    job(SG_CMD_KERNEL, 'c'), job(SG_CMD_COPY, 'a')};
	j[0]->cmd.deps = on_bc;
	j[0]->cmd.n_deps = 2;
	j[1]->cmd.deps = j[2]->cmd.deps = on_a;
	j[1]->cmd.n_deps = j[2]->cmd.n_deps = 1;
	struct sg_cmd *cmds[4] = {&j[0]->cmd, &j[1]->cmd, &j[2]->cmd, &j[3]->cmd};
	struct sg_stats before, after;
	sg_engine_stats(&before);
	put_letter(s, '<');
	ck_assert_int_eq(sg_submit_batch(s, cmds, 4), CUDA_SUCCESS);
	put_letter(s, '>');
	ck_assert_int_eq(sg_stream_sync(s), CUDA_SUCCESS);
	ck_assert_msg(trace_is("<abcd>") || trace_is("<acbd>"), "%s", traced());
	sg_engine_stats(&after);
	ck_assert_uint_eq(after.graphs - before.graphs, 1);
	ck_assert_uint_eq(after.kernels - before.kernels, 5);
	ck_assert_int_eq(sg_submit_batch(s, NULL, 0), CUDA_SUCCESS); /* an empty graph */
	sg_domain_free(d);
}
TEST_END

TEST(a_graph_with_a_cycle_is_refused)
{
	struct sg_domain *d = domain();
	static const uint32_t zero[] = {0}, one[] = {1}, nine[] = {9};
	struct job *a = job(SG_CMD_KERNEL, 'a'), *b = job(SG_CMD_KERNEL, 'b');
	a->cmd.deps = one;
	b->cmd.deps = zero;
	a->cmd.n_deps = b->cmd.n_deps = 1;
	struct sg_cmd *cycle[2] = {&a->cmd, &b->cmd};
	uint32_t gone = rein_load_relaxed(&destroyed);
	ck_assert_int_eq(sg_submit_batch(sg_domain_legacy(d), cycle, 2), CUDA_ERROR_INVALID_VALUE);
	ck_assert_uint_eq(rein_load_relaxed(&destroyed) - gone, 2);
	struct job *c = job(SG_CMD_KERNEL, 'c');
	c->cmd.deps = nine;
	c->cmd.n_deps = 1;
	struct sg_cmd *out_of_range = &c->cmd;
	ck_assert_int_eq(sg_submit_batch(sg_domain_legacy(d), &out_of_range, 1),
	                 CUDA_ERROR_INVALID_VALUE);
	ck_assert_int_eq(sg_domain_sync(d), CUDA_SUCCESS);
	ck_assert_str_eq(traced(), "");
	sg_domain_free(d);
}
TEST_END

TEST(an_error_is_sticky_and_local_to_its_domain)
{
	struct sg_domain *d = domain(), *healthy = domain();
	struct sg_stream *s = stream(d, SG_STREAM_NONBLOCKING);
	sem_t gate;
	put_gate(s, '1', &gate);
	struct job *bad = job(SG_CMD_KERNEL, '!');
	bad->result = CUDA_ERROR_ILLEGAL_ADDRESS;
	put(s, bad);
	put_letter(s, 'x'); /* must not run */
	struct job *callback = job(SG_CMD_HOST, 'c');
	callback->cmd.always_run = true;
	put(s, callback);
	put(s, job(SG_CMD_HOST, 'h'));
	struct sg_event *e = sg_event_new();
	ck_assert_int_eq(sg_event_record(e, s), CUDA_SUCCESS);
	sem_post(&gate);
	ck_assert_int_eq(sg_stream_sync(s), CUDA_ERROR_ILLEGAL_ADDRESS);
	ck_assert_str_eq(traced(), "1!c");
	ck_assert_int_eq(sg_domain_error(d), CUDA_ERROR_ILLEGAL_ADDRESS);
	ck_assert_int_eq(sg_event_sync(e), CUDA_ERROR_ILLEGAL_ADDRESS);
	ck_assert_int_eq(sg_event_query(e), CUDA_ERROR_ILLEGAL_ADDRESS);
	uint32_t gone = rein_load_relaxed(&destroyed);
	struct job *later = job(SG_CMD_KERNEL, 'y');
	ck_assert_int_eq(sg_submit(s, &later->cmd), CUDA_ERROR_ILLEGAL_ADDRESS);
	ck_assert_uint_ge(rein_load_relaxed(&destroyed) - gone, 1);
	sg_domain_fail(d, CUDA_ERROR_LAUNCH_FAILED, "second");
	ck_assert_int_eq(sg_domain_sync(d), CUDA_ERROR_ILLEGAL_ADDRESS); /* the first one stays */
	put_letter(sg_domain_legacy(healthy), 'z');
	ck_assert_int_eq(sg_domain_sync(healthy), CUDA_SUCCESS);
	sg_event_free(e);
	sg_domain_free(d);
	sg_domain_free(healthy);
}
TEST_END

TEST(freeing_a_stream_leaves_its_work)
{
	struct sg_domain *d = domain();
	struct sg_stream *s = stream(d, SG_STREAM_BLOCKING);
	uint64_t id = sg_stream_id(s);
	sem_t gate;
	put_gate(s, '1', &gate);
	put_letter(s, '2');
	sg_stream_free(s);
	put_letter(sg_domain_legacy(d), 'L'); /* still ordered after the freed stream's work */
	ck_assert_str_eq(traced(), "");
	sem_post(&gate);
	ck_assert_int_eq(sg_domain_sync(d), CUDA_SUCCESS);
	ck_assert_str_eq(traced(), "12L");
	ck_assert_uint_ne(sg_stream_id(stream(d, SG_STREAM_BLOCKING)), id);
	sg_domain_free(d);
}
TEST_END

TEST(every_command_is_destroyed_once)
{
	struct sg_domain *d = domain();
	uint32_t gone = rein_load_relaxed(&destroyed);
	for (int i = 0; i < 3000; i++) /* more than the queue depth: submission blocks meanwhile */
		put_letter(sg_domain_legacy(d), '.');
	sg_domain_free(d);
	ck_assert_uint_eq(rein_load_relaxed(&destroyed) - gone, 3000);
}
TEST_END

TEST(a_sync_leaves_nothing_to_destroy)
{
	struct sg_domain *d = domain();
	struct sg_stream *s = stream(d, SG_STREAM_NONBLOCKING);
	for (int i = 0; i < 100; i++) {
		uint32_t gone = rein_load_relaxed(&destroyed);
		put_letter(s, '.');
		struct job *freeing = job(SG_CMD_MARK, 0);
		freeing->cmd.run = NULL;
		put(s, freeing);
		ck_assert_int_eq(sg_stream_sync(s), CUDA_SUCCESS);
		ck_assert_uint_eq(rein_load_relaxed(&destroyed) - gone, 2);
	}
	sg_domain_free(d);
}
TEST_END

TEST(submit_wait_returns_after_the_run)
{
	struct sg_domain *d = domain();
	ck_assert_int_eq(sg_submit_wait(sg_domain_legacy(d), &job(SG_CMD_COPY, 'c')->cmd),
	                 CUDA_SUCCESS);
	ck_assert_str_eq(traced(), "c");
	struct job *bad = job(SG_CMD_COPY, '!');
	bad->result = CUDA_ERROR_INVALID_VALUE;
	ck_assert_int_eq(sg_submit_wait(sg_domain_legacy(d), &bad->cmd), CUDA_ERROR_INVALID_VALUE);
	sg_domain_free(d);
}
TEST_END

static void *hammer(void *arg)
{
	struct sg_domain *d = arg;
	struct sg_stream *s = stream(d, SG_STREAM_BLOCKING);
	struct sg_event *e = sg_event_new();
	for (int i = 0; i < 200; i++) {
		put_letter(i % 7 ? s : sg_domain_legacy(d), 'k');
		ck_assert_int_eq(sg_event_record(e, s), CUDA_SUCCESS);
		if (i % 5 == 0)
			ck_assert_int_eq(sg_stream_wait_event(sg_domain_legacy(d), e),
			                 CUDA_SUCCESS);
		if (i % 11 == 0)
			ck_assert_int_eq(sg_event_sync(e), CUDA_SUCCESS);
	}
	ck_assert_int_eq(sg_stream_sync(s), CUDA_SUCCESS);
	sg_event_free(e);
	sg_stream_free(s);
	return NULL;
}

TEST(many_threads)
{
	struct sg_domain *d = domain();
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, hammer, d);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(sg_domain_sync(d), CUDA_SUCCESS);
	ck_assert_uint_eq(strlen(traced()), 800);
	sg_domain_free(d);
}
TEST_END

TEST(a_forked_child_has_no_engine)
{
	struct sg_domain *d = domain();
	put_letter(sg_domain_legacy(d), 'p');
	pid_t pid = fork();
	if (pid == 0) {
		struct sg_domain *mine;
		bool ok = sg_domain_new(0, &mine) == CUDA_ERROR_NOT_INITIALIZED &&
		          sg_submit(sg_domain_legacy(d), &job(SG_CMD_KERNEL, 'c')->cmd) ==
		              CUDA_ERROR_NOT_INITIALIZED &&
		          sg_domain_sync(d) == CUDA_ERROR_NOT_INITIALIZED;
		_exit(ok ? 0 : 1);
	}
	int status = -1;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(sg_domain_sync(d), CUDA_SUCCESS);
	ck_assert_str_eq(traced(), "p");
	sg_domain_free(d);
}
TEST_END

TESTS("software GPU: engine", a_stream_is_in_order,
      legacy_waits_for_blocking_streams_and_they_for_it,
      nonblocking_streams_and_other_domains_do_not_wait_for_legacy,
      a_legacy_sync_covers_blocking_streams_only, a_wait_refers_to_the_latest_record,
      elapsed_needs_two_completed_records, a_graph_runs_by_its_edges,
      a_graph_with_a_cycle_is_refused, an_error_is_sticky_and_local_to_its_domain,
      freeing_a_stream_leaves_its_work, every_command_is_destroyed_once,
      a_sync_leaves_nothing_to_destroy, submit_wait_returns_after_the_run, many_threads,
      a_forked_child_has_no_engine)
