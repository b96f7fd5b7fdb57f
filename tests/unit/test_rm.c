// SPDX-License-Identifier: Apache-2.0
/* test_rm.c: the decoder of the resource manager's ioctls, on buffers made here, and the runner of
 * holds on a load that is a counter. No CUDA, no ioctl. */
#include "tests/harness.h"

#include <errno.h>
#include <linux/ioctl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workloads/gpu/lib/ctx_hold.h"
#include "workloads/gpu/lib/rm.h"

#define CTL 5 /* the descriptor */
#define CLIENT 0xc1d00001u
#define HOPPER_CHANNEL 0xc86f
#define HOPPER_COMPUTE 0xcbc0

static struct wl_rm_table t;

static unsigned long number(unsigned nr, unsigned size)
{
	return _IOC(_IOC_READ | _IOC_WRITE, 'F', nr, size);
}

static void put32(void *p, size_t offset, uint32_t v)
{
	memcpy((char *)p + offset, &v, sizeof(v));
}

static void put64(void *p, size_t offset, uint64_t v)
{
	memcpy((char *)p + offset, &v, sizeof(v));
}

struct alloc {
	uint32_t client, parent, object, class_id, params_size, flags, status;
	const void *params;
	bool wide;
};

static struct wl_rm_event alloc(struct alloc a)
{
	unsigned char buf[48] = {0};
	put32(buf, 0, a.client);
	put32(buf, 4, a.parent);
	put32(buf, 8, a.object);
	put32(buf, 12, a.class_id);
	put64(buf, 16, (uintptr_t)a.params);
	put32(buf, a.wide ? 32 : 24, a.params_size);
	if (a.wide)
		put32(buf, 36, a.flags);
	put32(buf, a.wide ? 40 : 28, a.status);
	return wl_rm_observe(&t, CTL, number(0x2b, a.wide ? 48 : 32), buf, 0);
}

static struct wl_rm_event simple(uint32_t parent, uint32_t object, uint32_t class_id)
{
	return alloc((struct alloc){
	    .client = CLIENT, .parent = parent, .object = object, .class_id = class_id});
}

static struct wl_rm_event control(uint32_t object, uint32_t cmd, const void *params, uint32_t size,
                                  uint32_t status)
{
	unsigned char buf[32] = {0};
	put32(buf, 0, CLIENT);
	put32(buf, 4, object);
	put32(buf, 8, cmd);
	put64(buf, 16, (uintptr_t)params);
	put32(buf, 24, size);
	put32(buf, 28, status);
	return wl_rm_observe(&t, CTL, number(0x2a, 32), buf, 0);
}

static void free_object(uint32_t object)
{
	unsigned char buf[16] = {0};
	put32(buf, 0, CLIENT);
	put32(buf, 8, object);
	wl_rm_observe(&t, CTL, number(0x29, 16), buf, 0);
}

static void group(uint32_t handle, uint32_t engine)
{
	unsigned char params[20] = {0};
	put32(params, 12, engine);
	alloc((struct alloc){.client = CLIENT,
	                     .parent = 2,
	                     .object = handle,
	                     .class_id = REIN_RM_CLASS_GROUP,
	                     .params = params,
	                     .params_size = sizeof(params),
	                     .wide = true});
}

/* params_size 0 is what libcuda passes: the kernel knows how long the structure is */
static void channel(uint32_t parent, uint32_t handle, uint32_t flags)
{
	unsigned char params[368] = {0};
	put32(params, 20, flags);
	put32(params, 128, 1);
	alloc((struct alloc){.client = CLIENT,
	                     .parent = parent,
	                     .object = handle,
	                     .class_id = HOPPER_CHANNEL,
	                     .params = params,
	                     .wide = true});
}

/* A process like one of CUDA: a copy group (10) with a channel, a compute group (20) with two. */
static void cuda_like(void)
{
	memset(&t, 0, sizeof(t));
	alloc((struct alloc){.object = CLIENT, .class_id = 0x41});
	simple(CLIENT, 2, REIN_RM_CLASS_DEVICE);
	simple(2, 3, REIN_RM_CLASS_SUBDEVICE);
	group(10, 11);
	channel(10, 11, 0);
	simple(11, 12, 0xc8b5);
	group(20, 1);
	channel(20, 21, 0);
	channel(20, 22, WL_RM_CHANNEL_ACQUIRE_TIMEOUT);
	simple(21, 23, HOPPER_COMPUTE);
	simple(21, 24, 0xc8b5);
}

TEST(finds_the_compute_group)
{
	struct wl_rm_group g;
	char text[200];
	cuda_like();
	ck_assert_int_eq(wl_rm_compute_group(&t, &g), 0);
	ck_assert_uint_eq(g.client, CLIENT);
	ck_assert_uint_eq(g.handle, 20);
	ck_assert_uint_eq(g.device, 2);
	ck_assert_uint_eq(g.subdevice, 3);
	ck_assert_int_eq(g.fd, CTL);
	ck_assert_uint_eq(g.engine, 1);
	ck_assert_uint_eq(g.compute_class, HOPPER_COMPUTE);
	ck_assert_uint_eq(g.compute_channel, 21);
	ck_assert_uint_eq(g.channels, 2);
	ck_assert_uint_eq(g.channel[0], 21);
	ck_assert_uint_eq(g.channel[1], 22);
	ck_assert_uint_eq(g.flags_known, 2);
	ck_assert_uint_eq(g.timeouts, 1);
	ck_assert_uint_eq(g.candidates, 1);
	ck_assert_uint_eq(wl_rm_groups(&t, text, sizeof(text)), 2);
	ck_assert_str_eq(text, "CE2: 1 channel, GR0: 2 channels with compute");
}
TEST_END

TEST(takes_the_group_with_most_channels)
{
	struct wl_rm_group g;
	cuda_like();
	group(30, 1);
	for (uint32_t i = 31; i < 36; i++)
		channel(30, i, 0);
	simple(35, 36, HOPPER_COMPUTE);
	ck_assert_int_eq(wl_rm_compute_group(&t, &g), 0);
	ck_assert_uint_eq(g.handle, 30);
	ck_assert_uint_eq(g.channels, 5);
	ck_assert_uint_eq(g.candidates, 2);
}
TEST_END

TEST(frees_drop_what_is_below)
{
	struct wl_rm_group g;
	cuda_like();
	free_object(22);
	ck_assert_int_eq(wl_rm_compute_group(&t, &g), 0);
	ck_assert_uint_eq(g.channels, 1);
	free_object(20);
	ck_assert_int_eq(wl_rm_compute_group(&t, &g), -ENOENT);
	ck_assert_ptr_null(wl_rm_find(&t, CLIENT, 23));
	ck_assert_ptr_nonnull(wl_rm_find(&t, CLIENT, 11));
	free_object(CLIENT);
	ck_assert_uint_eq(t.objects, 0);
	ck_assert_uint_eq(t.frees, 3);
}
TEST_END

TEST(a_failed_free_drops_nothing)
{
	unsigned char buf[16] = {0};
	cuda_like();
	uint32_t before = t.objects;
	put32(buf, 0, CLIENT);
	put32(buf, 8, 20);
	put32(buf, 12, 0x1b);
	wl_rm_observe(&t, CTL, number(0x29, 16), buf, 0);
	ck_assert_uint_eq(t.objects, before);
}
TEST_END

TEST(handles_are_reused)
{
	struct wl_rm_group g;
	cuda_like();
	uint32_t before = t.objects;
	simple(2, 20, REIN_RM_CLASS_SUBDEVICE); /* 20 and what was below it are gone */
	ck_assert_uint_eq(t.objects, before - 4);
	ck_assert_int_eq(wl_rm_compute_group(&t, &g), -ENOENT);
	alloc((struct alloc){.object = CLIENT, .class_id = 0x41}); /* a new client of that number */
	ck_assert_uint_eq(t.objects, 1);
}
TEST_END

TEST(clients_are_apart)
{
	cuda_like();
	uint32_t before = t.objects;
	alloc((struct alloc){.object = 0xc1d00002, .class_id = 0x41});
	alloc((struct alloc){
	    .client = 0xc1d00002, .parent = 2, .object = 20, .class_id = REIN_RM_CLASS_GROUP});
	ck_assert_uint_eq(t.objects, before + 2);
	ck_assert_uint_eq(wl_rm_find(&t, CLIENT, 20)->engine, 1);
	ck_assert_uint_eq(wl_rm_find(&t, 0xc1d00002, 20)->engine, WL_RM_UNKNOWN);
}
TEST_END

/* Pointers that nobody followed with success are not followed by us either. */
TEST(follows_no_pointer_of_a_refused_call)
{
	const void *bad = (const void *)1;
	cuda_like();
	uint32_t before = t.objects;
	alloc((struct alloc){.client = CLIENT,
	                     .parent = 20,
	                     .object = 40,
	                     .class_id = HOPPER_CHANNEL,
	                     .params = bad,
	                     .params_size = 368,
	                     .status = 0x1f,
	                     .wide = true});
	ck_assert_uint_eq(t.objects, before);
	struct wl_rm_event e = control(20, REIN_RM_CMD_SET_TIMESLICE, bad, 8, 0x56);
	ck_assert_ptr_null(e.params);
	ck_assert_uint_eq(t.set_timeslices, 0);
	e = control(20, WL_RM_CMD_GROUP_BIND, NULL, 4, 0);
	ck_assert_ptr_null(e.params);
	ck_assert_uint_eq(wl_rm_find(&t, CLIENT, 20)->engine, 1);
}
TEST_END

TEST(decodes_no_serialized_or_short_parameters)
{
	unsigned char params[368];
	memset(params, 0xff, sizeof(params));
	cuda_like();
	struct alloc a = {.client = CLIENT,
	                  .parent = 20,
	                  .object = 40,
	                  .class_id = HOPPER_CHANNEL,
	                  .params = params,
	                  .params_size = 368,
	                  .flags = 1,
	                  .wide = true};
	alloc(a);
	ck_assert(!wl_rm_find(&t, CLIENT, 40)->flags_known);
	a.flags = 0;
	a.params_size = 16; /* ends before the flags */
	alloc(a);
	ck_assert(!wl_rm_find(&t, CLIENT, 40)->flags_known);
	a.params = NULL;
	a.params_size = 368;
	alloc(a);
	ck_assert(!wl_rm_find(&t, CLIENT, 40)->flags_known);
	a.params = params;
	a.params_size = 64; /* flags, but no engine */
	put32(params, 20, 0x40);
	alloc(a);
	ck_assert_uint_eq(wl_rm_find(&t, CLIENT, 40)->flags, 0x40);
	ck_assert_uint_eq(wl_rm_find(&t, CLIENT, 40)->engine, WL_RM_UNKNOWN);
}
TEST_END

TEST(knows_what_it_does_not_know)
{
	unsigned char buf[64] = {0};
	struct wl_rm_event e;
	memset(&t, 0, sizeof(t));
	e = wl_rm_observe(&t, CTL, number(0x2b, 40), buf, 0);
	ck_assert_int_eq(e.kind, WL_RM_EVENT_UNKNOWN);
	ck_assert_uint_eq(t.unknown_layouts, 1);
	ck_assert_uint_eq(t.last_unknown, 0x2b << 16 | 40);
	e = wl_rm_observe(&t, CTL, number(0x2a, 24), buf, 0);
	ck_assert_int_eq(e.kind, WL_RM_EVENT_UNKNOWN);
	e = wl_rm_observe(&t, CTL, number(0x4e, 56), buf, 0);
	ck_assert_int_eq(e.kind, WL_RM_EVENT_OTHER);
	ck_assert_uint_eq(t.calls, 3);
	/* another driver's ioctl, a failed one, one without argument */
	e = wl_rm_observe(&t, CTL, _IOC(_IOC_READ, 'd', 0x2b, 48), buf, 0);
	ck_assert_int_eq(e.kind, WL_RM_EVENT_NONE);
	e = wl_rm_observe(&t, CTL, number(0x2b, 48), buf, -1);
	ck_assert_int_eq(e.kind, WL_RM_EVENT_NONE);
	e = wl_rm_observe(&t, CTL, number(0x2b, 48), NULL, 0);
	ck_assert_int_eq(e.kind, WL_RM_EVENT_NONE);
	ck_assert_uint_eq(t.calls, 3);
}
TEST_END

TEST(unwraps_transferred_calls)
{
	unsigned char inner[48] = {0}, outer[16] = {0};
	memset(&t, 0, sizeof(t));
	put32(inner, 8, CLIENT);
	put32(inner, 12, 0x41);
	put32(outer, 0, 0x2b);
	put32(outer, 4, sizeof(inner));
	put64(outer, 8, (uintptr_t)inner);
	struct wl_rm_event e = wl_rm_observe(&t, CTL, number(211, 16), outer, 0);
	ck_assert_int_eq(e.kind, WL_RM_EVENT_ALLOC);
	ck_assert_uint_eq(e.object, CLIENT);
	ck_assert_uint_eq(t.objects, 1);
	put64(outer, 8, 0);
	e = wl_rm_observe(&t, CTL, number(211, 16), outer, 0);
	ck_assert_int_eq(e.kind, WL_RM_EVENT_NONE);
}
TEST_END

TEST(counts_controls)
{
	uint64_t us = 2048;
	uint32_t engine = 9, preemption[8] = {1, 21, 0, WL_RM_COMPUTE_CILP};
	unsigned char schedule[3] = {1};
	struct wl_rm_group g;
	cuda_like();
	control(20, REIN_RM_CMD_SET_TIMESLICE, &us, 8, 0);
	control(20, REIN_RM_CMD_SET_TIMESLICE, &us, 8, 0x56);
	control(20, REIN_RM_CMD_SCHEDULE, schedule, 2, 0x1f);
	control(20, REIN_RM_CMD_SCHEDULE, schedule, 3, 0);
	control(10, WL_RM_CMD_GROUP_BIND, &engine, 4, 0);
	control(3, WL_RM_CMD_SET_PREEMPTION, preemption, sizeof(preemption), 0);
	ck_assert_uint_eq(t.control_calls, 6);
	ck_assert_uint_eq(t.controls, 5);
	ck_assert_uint_eq(t.control[0].count, 2);
	ck_assert_uint_eq(t.control[0].failed, 1);
	ck_assert_uint_eq(t.control[0].last_status, 0x56);
	ck_assert_uint_eq(t.set_timeslice_us, 2048);
	ck_assert_uint_eq(t.set_timeslices, 1);
	ck_assert_uint_eq(t.set_preemption_cilp, WL_RM_COMPUTE_CILP);
	ck_assert_uint_eq(wl_rm_find(&t, CLIENT, 10)->engine, 9);
	ck_assert_int_eq(wl_rm_compute_group(&t, &g), 0);
	ck_assert_uint_eq(g.schedule_size, 3);
}
TEST_END

TEST(is_bounded)
{
	struct wl_rm_group g;
	cuda_like();
	uint32_t before = t.objects;
	for (uint32_t i = 0; i < 5000; i++)
		simple(2, 1000 + i, 0x40); /* memory: counted, not kept */
	ck_assert_uint_eq(t.objects, before);
	for (uint32_t i = 0; i < WL_RM_OBJECTS + 10; i++)
		channel(20, 1000 + i, 0);
	ck_assert_uint_eq(t.objects, WL_RM_OBJECTS);
	ck_assert_uint_eq(t.objects_lost, before + 10);
	ck_assert_int_eq(wl_rm_compute_group(&t, &g), -E2BIG);
	ck_assert_uint_eq(g.channels, REIN_RM_DISABLE_MAX);
	for (uint32_t i = 0; i < WL_RM_CONTROLS + 5; i++)
		control(2, 0x800000 + i, NULL, 0, 0);
	ck_assert_uint_eq(t.controls, WL_RM_CONTROLS);
	ck_assert_uint_eq(t.controls_lost, 5);
	for (uint32_t i = 0; i < WL_RM_CLASSES + 5; i++)
		simple(2, 1, 0x10000 + i);
	ck_assert_uint_eq(t.classes, WL_RM_CLASSES);
	free_object(CLIENT);
	ck_assert_uint_eq(t.objects, 0);
}
TEST_END

TEST(names)
{
	char engine[24];
	ck_assert_str_eq(wl_rm_status_name(0x1b), "NV_ERR_INSUFFICIENT_PERMISSIONS");
	ck_assert_str_eq(wl_rm_status_name(0x12345), "another status");
	ck_assert_str_eq(wl_rm_class_name(HOPPER_COMPUTE), "compute (Hopper)");
	ck_assert_str_eq(wl_rm_class_name(0x12345), "");
	ck_assert_str_eq(wl_rm_control_name(REIN_RM_CMD_PREEMPT), "preempt");
	wl_rm_engine_name(1, engine, sizeof(engine));
	ck_assert_str_eq(engine, "GR0");
	wl_rm_engine_name(0x34, engine, sizeof(engine));
	ck_assert_str_eq(engine, "CE10");
	ck_assert(rein_rm_is_channel(0xa06f) && rein_rm_is_channel(0xca6f));
	ck_assert(!rein_rm_is_channel(REIN_RM_CLASS_GROUP) && !rein_rm_is_channel(0x006f));
	ck_assert(rein_rm_is_compute(0xcec0) && !rein_rm_is_compute(0xcb97));
	ck_assert_str_eq(wl_rm_result_text((struct wl_rm_result){.status = 0x23}),
	                 "NV_ERR_INVALID_CLIENT (0x23)");
}
TEST_END

/* ---- holds, on a load that is a counter */
static struct wl_load load;
static struct wl_watch watch;
static _Atomic uint64_t page[64];
static atomic_bool paused, ended;
static pthread_t counter;
enum manner { OBEYS, IGNORES, REFUSES_PREEMPT, NEVER_RELEASES };
static enum manner manner;
static unsigned holds, releases;

static void *count(void *arg)
{
	_Atomic uint64_t *word = arg;
	for (; !atomic_load(&ended); usleep(50))
		if (!atomic_load(&paused))
			atomic_fetch_add(&word[0], 1);
	return NULL;
}

static struct wl_hold_result obey(void *arg, struct wl_rm_group *g, enum wl_recipe recipe,
                                  bool hold)
{
	struct wl_hold_result r = {.first.ns = 1000};
	if (hold)
		holds++;
	else
		releases++;
	if (hold && manner == REFUSES_PREEMPT)
		r.second.status = 0x56;
	if (!hold && manner == NEVER_RELEASES)
		r.first.status = 0x40;
	else if (manner != IGNORES)
		atomic_store(&paused, hold && manner != REFUSES_PREEMPT);
	return r;
}

static struct wl_hold_tally hold(enum manner how)
{
	struct wl_hold_plan p = {
	    .prefix = "",
	    .recipe = WL_HOLD_DISABLE_PREEMPT,
	    .cycles = 3,
	    /* long enough for the counting thread to get a CPU where it is to be seen counting */
	    .hold_ms = how == IGNORES ? 100 : 5,
	    .by = obey};
	struct wl_rm_group g = {.fd = -1};
	manner = how;
	holds = releases = 0;
	load.page = page;
	load.chunk_ns = 100000;
	atomic_store(&paused, false);
	atomic_store(&ended, false);
	ck_assert_int_eq(pthread_create(&counter, NULL, count, page), 0);
	wl_watch_start(&watch, &load.page[0]);
	struct wl_hold_tally tally = wl_hold_run(&p, &load, &watch, &g);
	wl_watch_stop(&watch);
	atomic_store(&ended, true);
	pthread_join(counter, NULL);
	return tally;
}

TEST(a_hold_that_holds)
{
	struct wl_hold_tally tally = hold(OBEYS);
	ck_assert_uint_eq(tally.cycles, 3);
	ck_assert_uint_eq(tally.still, 3);
	ck_assert(!tally.refused && !tally.stuck);
	ck_assert_uint_eq(holds, releases);
}
TEST_END

TEST(a_hold_that_does_not)
{
	struct wl_hold_tally tally = hold(IGNORES);
	ck_assert_uint_eq(tally.cycles, 3);
	ck_assert_uint_eq(tally.still, 0);
	ck_assert(!tally.refused && !tally.stuck);
}
TEST_END

TEST(a_refused_hold_is_undone)
{
	struct wl_hold_tally tally = hold(REFUSES_PREEMPT);
	ck_assert_uint_eq(tally.cycles, 0);
	ck_assert(tally.refused && !tally.stuck);
	ck_assert_uint_eq(releases, 1);
}
TEST_END

TEST(a_hold_that_cannot_be_released)
{
	struct wl_hold_tally tally = hold(NEVER_RELEASES);
	ck_assert_uint_eq(tally.cycles, 1);
	ck_assert(tally.stuck);
	ck_assert_uint_eq(releases, 5);
}
TEST_END

TESTS("rm", finds_the_compute_group, takes_the_group_with_most_channels, frees_drop_what_is_below,
      a_failed_free_drops_nothing, handles_are_reused, clients_are_apart,
      follows_no_pointer_of_a_refused_call, decodes_no_serialized_or_short_parameters,
      knows_what_it_does_not_know, unwraps_transferred_calls, counts_controls, is_bounded, names,
      a_hold_that_holds, a_hold_that_does_not, a_refused_hold_is_undone,
      a_hold_that_cannot_be_released)
