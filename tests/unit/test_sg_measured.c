// SPDX-License-Identifier: Apache-2.0
/*
 * The model against what an H200 answered (results/h200-580.159.04-2026-11-20, context-gate): the
 * shares and latencies that time slices give, in virtual time; and the double of the resource
 * manager, from this process and over its descriptor from others. Nothing asserts on the wall clock
 * but that a control keeps its caller at least as long as there.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "softgpu/ledger.h"
#include "softgpu/rm_double.h"
#include "tests/harness.h"
#include "tests/unit/sg_child.h"

#define OK(call) CHILD_CHECK((call) == CUDA_SUCCESS)
#define US(ns) ((double)(ns) / 1e3)

/* ---- time slices, in virtual time: BE saturates the device, with slices of its own */

enum { BE, LC };
static struct sg_model model;
static struct sg_ledger l;

static const struct measured {
	uint64_t slice_us; /* 0: the default */
	double share_be, share_lc, latency_us;
} measured[] = {
    {0, 0.4601, 0.461, 1343},
    {1024, 0.3019, 0.597, 296.5},
    {200, 0.07134, 0.793, 269.9},
    {1, 0, 0.859, 182.4},
};

static void setup(uint64_t slice_us)
{
	char why[200];
	clearenv();
	setenv("SOFTGPU_GEOMETRY", "h200", 1);
	ck_assert_msg(sg_model_read(&model, why, sizeof(why)), "%s", why);
	sg_ledger_init(&l, &model);
	uint64_t ns = slice_us * REIN_US;
	l.seat[BE].slice_ns = ns && ns < SG_RM_SLICE_MIN_NS ? SG_RM_SLICE_MIN_NS : ns;
	sg_ledger_request(&l, BE, 0, 0);
}

static struct sg_grant last(uint32_t seat)
{
	return l.seat[seat].grant[(l.seat[seat].grants - 1) % SG_GRANTS];
}

/* To `ns`, seeing each hand-over as it comes; what BE and LC have had of the device is added up. */
static void pass(uint64_t *now_ns, uint64_t to_ns, uint64_t had_ns[2])
{
	while (*now_ns < to_ns) {
		uint32_t owner = l.owner;
		struct sg_grant g = last(owner);
		uint64_t next = g.end_ns < to_ns ? g.end_ns : to_ns;
		uint64_t from = g.start_ns > *now_ns ? g.start_ns : *now_ns;
		had_ns[owner] += next > from ? next - from : 0;
		*now_ns = next;
		for (uint32_t s = BE; s <= LC; s++)
			l.seat[s].taken = l.seat[s].grants;
		sg_ledger_settle(&l, next);
	}
}

TEST(shares_by_time_slices)
{
	for (size_t i = 0; i < sizeof(measured) / sizeof(measured[0]); i++) {
		const struct measured *m = &measured[i];
		const double all_ns = 2e9;
		uint64_t now = 0, had[2] = {0};
		setup(m->slice_us);
		sg_ledger_request(&l, LC, 0, 0);
		pass(&now, (uint64_t)all_ns, had);
		double be = (double)had[BE] / all_ns, lc = (double)had[LC] / all_ns;
		ck_assert_msg(fabs(be - m->share_be) < 0.015, "BE %.3f at %llu us", be,
		              (unsigned long long)m->slice_us);
		ck_assert_msg(fabs(lc - m->share_lc) < 0.02, "LC %.3f at %llu us", lc,
		              (unsigned long long)m->slice_us);
	}
}
TEST_END

/* As the probe asks: a kernel, launch to end, then a pause of 1 ms, as long as sleeping takes. */
TEST(latencies_by_time_slices)
{
	const uint64_t kernel_ns = 25700, pause_ns = 1060 * REIN_US; /* alone: 29.7 us */
	for (size_t i = 0; i < sizeof(measured) / sizeof(measured[0]); i++) {
		const struct measured *m = &measured[i];
		uint64_t now = 0, none[2] = {0}, sum = 0;
		const unsigned n = 100;
		setup(m->slice_us);
		for (unsigned k = 0; k < n; k++) {
			uint64_t launch = now + pause_ns, grants = l.seat[LC].grants;
			pass(&now, launch + model.launch_latency_ns, none);
			sg_ledger_request(&l, LC, now, now);
			while (l.seat[LC].grants == grants)
				pass(&now, now + 100, none);
			now = last(LC).start_ns + kernel_ns;
			sg_ledger_settle(&l, now);
			sg_ledger_give(&l, LC, now, now);
			sum += now - launch;
		}
		double us = US(sum) / n;
		ck_assert_msg(fabs(us / m->latency_us - 1) < 0.05, "%.0f us at %llu us", us,
		              (unsigned long long)m->slice_us);
	}
}
TEST_END

/* ---- the resource manager, through the ioctls that libcuda makes */

static struct {
	int fd;
	uint32_t client, device, subdevice, group, groups, channels, all_channels;
	uint32_t channel[64];
} rm;

/* In front of libc's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	va_start(args, request);
	const struct rein_rm_nvos64 *a = va_arg(args, void *);
	va_end(args);
	if (request == _IOWR(REIN_RM_IOC_TYPE, REIN_RM_ESC_ALLOC, struct rein_rm_nvos64)) {
		const uint32_t *params = (const uint32_t *)(uintptr_t)a->params;
		rm.fd = fd;
		rm.groups += a->class_id == REIN_RM_CLASS_GROUP;
		rm.all_channels += rein_rm_is_channel(a->class_id);
		if (a->class_id == REIN_RM_CLASS_SUBDEVICE)
			rm.subdevice = a->object;
		if (a->class_id == REIN_RM_CLASS_GROUP &&
		    params[REIN_RM_GROUP_ENGINE / 4] == REIN_RM_ENGINE_GR0) {
			rm.client = a->client;
			rm.group = a->object;
		}
		if (rein_rm_is_channel(a->class_id) && a->parent == rm.group)
			rm.channel[rm.channels++] = a->object;
	}
	errno = ENOTTY;
	return -1;
}

/* As another process does over a descriptor: `client` may be somebody else's. The status. */
static uint32_t control(uint32_t client, uint32_t object, uint32_t cmd, void *params, uint32_t size)
{
	struct rein_rm_nvos54 c = {.client = client,
	                           .object = object,
	                           .cmd = cmd,
	                           .params = (uintptr_t)params,
	                           .params_size = size,
	                           .status = ~0u};
	unsigned long request = _IOWR(REIN_RM_IOC_TYPE, REIN_RM_ESC_CONTROL, struct rein_rm_nvos54);
	CHILD_CHECK(softgpu_rm_ioctl(rm.fd, request, &c) == 0);
	return c.status;
}

static uint32_t slice(uint64_t *us, bool set)
{
	return control(rm.client, rm.group,
	               set ? REIN_RM_CMD_SET_TIMESLICE : REIN_RM_CMD_GET_TIMESLICE, us,
	               sizeof(*us));
}

static uint32_t preempt(void)
{
	struct rein_rm_preempt p = {.wait = 1};
	return control(rm.client, rm.group, REIN_RM_CMD_PREEMPT, &p, sizeof(p));
}

static uint32_t schedule(uint8_t on)
{
	uint8_t p[3] = {on};
	return control(rm.client, rm.group, REIN_RM_CMD_SCHEDULE, p, sizeof(p));
}

static uint32_t disable(bool off, bool only_scheduling)
{
	struct rein_rm_disable p = {
	    .disable = off, .only_scheduling = only_scheduling, .channels = rm.channels};
	for (unsigned i = 0; i < rm.channels; i++) {
		p.client[i] = rm.client;
		p.channel[i] = rm.channel[i];
	}
	return control(rm.client, rm.subdevice, REIN_RM_CMD_DISABLE_CHANNELS, &p, sizeof(p));
}

static const char *const with_rm[] = {"SOFTGPU_MODE=time", "SOFTGPU_RM=1",
                                      "SOFTGPU_TIMES=long=20ms,short=1ms", NULL};
static struct sg_domain *d;
static struct sg_event *e;

static void begin(void)
{
	CUcontext ctx;
	OK(cuInit(0));
	OK(cuDevicePrimaryCtxRetain(&ctx, 0)); /* announces the device */
	d = child_domain();
	e = sg_event_new();
}

static void start(const char *kernel)
{
	child_put(sg_domain_legacy(d), SG_CMD_KERNEL, kernel);
	OK(sg_event_record(e, sg_domain_legacy(d)));
}

static void groups(void)
{
	uint64_t us = 0;
	begin();
	CHILD_CHECK(rm.groups == 4 && rm.channels == 8 && rm.all_channels == 20);
	CHILD_CHECK(slice(&us, false) == 0 && us == 2048);
	us = 100;
	CHILD_CHECK(slice(&us, true) == 0);
	us = 0;
	CHILD_CHECK(slice(&us, false) == 0 && us == 100);
}

TEST(groups_and_channels)
{
	child_run(groups, with_rm);
}
TEST_END

static uint64_t since(uint64_t *ns)
{
	uint64_t now = rein_now_ns(), took = now - *ns;
	*ns = now;
	return took;
}

static void lengths(void)
{
	uint64_t us = 500, at = rein_now_ns();
	begin();
	start("long");
	since(&at);
	CHILD_CHECK(preempt() == 0 && since(&at) >= 364 * REIN_US);
	OK(sg_event_sync(e));
	since(&at); /* with nothing to stop, too */
	CHILD_CHECK(preempt() == 0 && since(&at) >= 364 * REIN_US);
	start("long");
	since(&at);
	CHILD_CHECK(disable(true, false) == 0 && since(&at) >= 460 * REIN_US);
	CHILD_CHECK(disable(false, false) == 0 && since(&at) >= 265 * REIN_US);
	CHILD_CHECK(disable(true, true) == 0 && since(&at) >= 203 * REIN_US);
	CHILD_CHECK(disable(false, false) == 0);
	since(&at);
	CHILD_CHECK(slice(&us, true) == 0 && since(&at) >= 454 * REIN_US);
	OK(sg_event_sync(e));
}

TEST(controls_keep_their_caller)
{
	child_run(lengths, with_rm);
}
TEST_END

static void scheduled_off(void)
{
	begin();
	CHILD_CHECK(schedule(0) == 0);
	start("short");
	OK(sg_event_sync(e)); /* it runs, and would have for ever been held otherwise */
	CHILD_CHECK(schedule(1) == 0);
}

TEST(the_run_list_holds_nothing)
{
	child_run(scheduled_off, with_rm);
}
TEST_END

/* ---- from another process: a fork that inherited the descriptor has no GPU, like a daemon */

static void others_hold(int go)
{
	uint64_t us = 0;
	char byte;
	CHILD_CHECK(slice(&us, false) == 0 && us == 2048);
	CHILD_CHECK(control(rm.client + 1, rm.group, REIN_RM_CMD_GET_TIMESLICE, &us, sizeof(us)) ==
	            0x23);
	if (geteuid() == 0)
		CHILD_CHECK(setuid(65534) == 0); /* the descriptor is the right */
	CHILD_CHECK(preempt() == 0);
	CHILD_CHECK(disable(true, false) == 0);
	CHILD_CHECK(write(go, "x", 1) == 1 && read(go, &byte, 1) == 1);
	CHILD_CHECK(disable(false, false) == 0);
	_exit(0);
}

static void held_by_another(void)
{
	int pair[2];
	char byte;
	begin();
	CHILD_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	start("long");
	pid_t other = fork();
	if (!other)
		others_hold(pair[1]);
	CHILD_CHECK(read(pair[0], &byte, 1) == 1);
	usleep(40000); /* it would have ended twice */
	CHILD_CHECK(sg_event_query(e) == CUDA_ERROR_NOT_READY);
	CHILD_CHECK(write(pair[0], "x", 1) == 1);
	OK(sg_event_sync(e));
	CHILD_CHECK(child_wait(other) == 0);
}

TEST(whoever_has_the_descriptor_may_hold)
{
	child_run(held_by_another, with_rm);
}
TEST_END

/* A process' own descriptor, and the numbers of another one that has the same objects. */
static void foreign(void)
{
	uint64_t us = 0;
	uint32_t client;
	int tell[2], go[2];
	CHILD_CHECK(pipe(tell) == 0 && pipe(go) == 0);
	pid_t other = fork();
	begin();
	if (!other) {
		close(go[1]);
		CHILD_CHECK(write(tell[1], &rm.client, sizeof(rm.client)) == sizeof(rm.client));
		exit(read(go[0], &us, 1) != 0); /* until we are done */
	}
	CHILD_CHECK(read(tell[0], &client, sizeof(client)) == sizeof(client));
	CHILD_CHECK(control(client, rm.group, REIN_RM_CMD_GET_TIMESLICE, &us, sizeof(us)) == 0x23);
	close(go[1]);
	CHILD_CHECK(child_wait(other) == 0);
}

TEST(numbers_of_another_client_are_refused)
{
	child_run(foreign, with_rm);
}
TEST_END

TESTS("software GPU: as measured", shares_by_time_slices, latencies_by_time_slices,
      groups_and_channels, controls_keep_their_caller, the_run_list_holds_nothing,
      whoever_has_the_descriptor_may_hold, numbers_of_another_client_are_refused)
