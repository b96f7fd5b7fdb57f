// SPDX-License-Identifier: Apache-2.0
/*
 * Hardware queues: streams of a channel are let go in the order of submission, so what one waits
 * for holds back the others behind it; other channels, priorities, the NULL stream and copies go
 * on. In time-only mode, by the model's clock; nothing asserts on the wall clock.
 */
#include <math.h>

#include "common/atomic.h"
#include "tests/harness.h"
#include "tests/unit/sg_child.h"

#define OK(call) CHILD_CHECK((call) == CUDA_SUCCESS)
#define CHANNELS 4

static const char *const env[] = {"SOFTGPU_MODE=time",
                                  "SOFTGPU_TIMES=ms=1ms,long=5ms,short=10us",
                                  "SOFTGPU_CHANNELS=4",
                                  "SOFTGPU_KERNEL_GAP=0ns",
                                  "SOFTGPU_MEMOP=0ns",
                                  "SOFTGPU_COPY_LATENCY=1us",
                                  NULL};
static rein_a32 word;

static CUresult wait_for_word(struct sg_cmd *c)
{
	return rein_load_acquire(&word) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

static void put_wait(struct sg_stream *s)
{
	struct sg_cmd *c = child_cmd(SG_CMD_MEMOP, NULL);
	c->step = wait_for_word;
	c->memops = 1;
	OK(sg_submit(s, c));
}

static struct sg_stream *stream(struct sg_domain *d, int priority)
{
	struct sg_stream *s;
	OK(sg_stream_new(d, SG_STREAM_NONBLOCKING, priority, &s));
	return s;
}

static bool held(struct sg_stream *s)
{
	for (int i = 0; i < 5; i++) {
		if (sg_stream_query(s) != CUDA_ERROR_NOT_READY)
			return false;
		usleep(1000);
	}
	return true;
}

static void waits(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s[2 * CHANNELS], *urgent = stream(d, -1);
	for (int i = 0; i < 2 * CHANNELS; i++)
		s[i] = stream(d, 0);
	put_wait(s[0]);
	for (int i = 1; i < 2 * CHANNELS; i++)
		child_put(s[i], SG_CMD_KERNEL, "short");
	child_put(urgent, SG_CMD_KERNEL, "short");
	child_put(sg_domain_legacy(d), SG_CMD_KERNEL, "short");
	OK(sg_stream_sync(urgent));
	for (int i = 1; i < 2 * CHANNELS; i++)
		if (i != CHANNELS)
			OK(sg_stream_sync(s[i]));
	CHILD_CHECK(held(s[0]) && held(s[CHANNELS]));
	/* copies of the same stream have a queue of their own, but not their place in the stream */
	struct sg_stream *same = s[CHANNELS];
	child_put(same, SG_CMD_COPY, NULL);
	CHILD_CHECK(held(same));
	rein_store_release(&word, 1);
	OK(sg_stream_sync(same));
	OK(sg_stream_sync(s[0]));
	OK(sg_domain_sync(d));
	sg_domain_free(d);
}

TEST(a_closed_wait_holds_its_channel_and_releases_it)
{
	child_run(waits, env);
}
TEST_END

static void copies_pass(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s[CHANNELS + 1];
	for (int i = 0; i <= CHANNELS; i++)
		s[i] = stream(d, 0);
	put_wait(s[0]);
	child_put(s[CHANNELS], SG_CMD_COPY, NULL);
	struct sg_cmd *c = child_cmd(SG_CMD_HOST, NULL);
	OK(sg_submit(s[CHANNELS], c));
	OK(sg_stream_sync(s[CHANNELS]));
	CHILD_CHECK(held(s[0]));
	rein_store_release(&word, 1);
	sg_domain_free(d);
}

TEST(copies_and_host_functions_pass_a_closed_wait)
{
	child_run(copies_pass, env);
}
TEST_END

/* A context that goes while a channel is held takes with it what waits behind. */
static void leave_held(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s[CHANNELS + 1];
	for (int i = 0; i <= CHANNELS; i++)
		s[i] = stream(d, 0);
	put_wait(s[0]);
	child_put(s[CHANNELS], SG_CMD_KERNEL, "short");
	sg_domain_free(d);
}

TEST(a_held_channel_does_not_hang_who_leaves)
{
	child_run(leave_held, env);
}
TEST_END

static double ended_ms(struct sg_event *from, struct sg_event *at)
{
	double ms;
	OK(sg_event_sync(at));
	OK(sg_event_elapsed(from, at, &ms));
	return ms;
}

static bool about(double a, double b)
{
	return fabs(a - b) < 1e-6;
}

/* K1 and K2 in one stream, K3 in one of the same channel, K4 in another channel: K3 comes behind
 * K2, which waits for K1; K4 does not. All is submitted before the first may start. */
static void false_dependency(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s[CHANNELS + 1];
	struct sg_event *from = sg_event_new(), *k3 = sg_event_new(), *k4 = sg_event_new();
	for (int i = 0; i <= CHANNELS; i++)
		s[i] = stream(d, 0);
	struct sg_stream *gate = stream(d, -1);
	put_wait(gate);
	OK(sg_event_record(from, gate));
	OK(sg_stream_wait_event(s[0], from));
	OK(sg_stream_wait_event(s[1], from));
	child_put(s[0], SG_CMD_KERNEL, "long");
	child_put(s[0], SG_CMD_KERNEL, "ms");
	child_put(s[CHANNELS], SG_CMD_KERNEL, "short");
	OK(sg_event_record(k3, s[CHANNELS]));
	child_put(s[1], SG_CMD_KERNEL, "short");
	OK(sg_event_record(k4, s[1]));
	usleep(1000); /* longer than the launch latency of the last submission */
	rein_store_release(&word, 1);
	CHILD_CHECK(about(ended_ms(from, k4), 0.01));
	CHILD_CHECK(about(ended_ms(from, k3), 5.01));
	OK(sg_domain_sync(d));
	sg_event_free(from);
	sg_event_free(k3);
	sg_event_free(k4);
	sg_domain_free(d);
}

TEST(a_channel_lets_go_in_order_of_submission)
{
	child_run(false_dependency, env);
}
TEST_END

/* With one channel (which programs ask for by CUDA_DEVICE_MAX_CONNECTIONS=1) kernels of all streams
 * start in the order of submission, and still run side by side. */
static void one_channel(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *a = stream(d, 0), *b = stream(d, 0);
	struct sg_event *from = sg_event_new(), *both = sg_event_new();
	put_wait(a);
	OK(sg_event_record(from, a));
	child_put(a, SG_CMD_KERNEL, "ms");
	child_put(b, SG_CMD_KERNEL, "ms");
	OK(sg_event_record(both, b));
	usleep(1000);
	CHILD_CHECK(held(b));
	rein_store_release(&word, 1);
	CHILD_CHECK(about(ended_ms(from, both), 1));
	OK(sg_domain_sync(d));
	sg_event_free(from);
	sg_event_free(both);
	sg_domain_free(d);
}

TEST(one_channel_holds_all_streams)
{
	const char *const one[] = {
	    "SOFTGPU_MODE=time",      "SOFTGPU_TIMES=ms=1ms", "CUDA_DEVICE_MAX_CONNECTIONS=1",
	    "SOFTGPU_KERNEL_GAP=0ns", "SOFTGPU_MEMOP=0ns",    NULL};
	child_run(one_channel, one);
}
TEST_END

TESTS("software GPU: channels", a_closed_wait_holds_its_channel_and_releases_it,
      copies_and_host_functions_pass_a_closed_wait, a_held_channel_does_not_hang_who_leaves,
      a_channel_lets_go_in_order_of_submission, one_channel_holds_all_streams)
