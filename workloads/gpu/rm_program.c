// SPDX-License-Identifier: Apache-2.0
/*
 * rm_program.c: what does libcuda ask of the resource manager, and what can this process ask about
 * its own channel group? Runs under preload/rm_spy.so.
 *
 * Asks: which channel groups, classes and channel flags an ordinary program (a context, two
 * streams, launches) has; whether a semaphore acquire may time out (bit 27 of the channels' flags:
 * then a queue gate must not be held for 2 s); in which mode running kernels are preempted; the
 * time slice; how long a control takes that the kernel answers itself, and one that goes to the
 * GSP firmware. Read: the decoded ioctls of libcuda, and controls that only read. A status of the
 * resource manager other than NV_OK is an answer, not an error.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/ctx.h"

#define LIMIT_S 60
#define LAUNCHES 200
#define CONTROLS 200

WL_EMBED(gpu_kernels, GPU_FATBIN);

static struct wl_rm_table table;
static struct wl_load load;

static void say_capture(const struct wl_rm_group *g)
{
	char text[480], engine[24];
	unsigned groups = wl_rm_groups(&table, text, sizeof(text));
	wl_fact("ioctls.channel_groups", groups, "groups", "%s", text);
	wl_rm_engine_name(g->engine, engine, sizeof(engine));
	snprintf(text, sizeof(text), "%s 0x%x, engine %s, %u channels of class 0x%x %s",
	         wl_rm_class_name(g->compute_class), g->compute_class, engine, g->channels,
	         g->channel_class, wl_rm_class_name(g->channel_class));
	wl_fact_text("ioctls.compute_group", text,
	             "the group that runs kernels; %u group(s) have a compute object",
	             g->candidates);
	wl_fact("ioctls.compute_channels", g->channels, "channels",
	        "in the group that runs kernels: all of them must be disabled to hold it");
	if (g->flags_known)
		wl_fact_flag("ioctls.acquire_timeout_bit", g->timeouts > 0,
		             "bit 27 is set in %u of %u channels; set: a stream wait of more than "
		             "about 2 s ends in an error",
		             g->timeouts, g->flags_known);
	else
		wl_fact_skip("ioctls.acquire_timeout_bit", "no channel's flags were seen");
	if (g->schedule_size)
		wl_fact("ioctls.schedule_params_bytes", g->schedule_size, "bytes",
		        "of group schedule (0xa06c0101) as libcuda passes them");
}

static void say_counts(void)
{
	wl_fact("ioctls.calls", table.calls, "ioctls", "%u allocations, %u frees, %u controls",
	        table.allocs, table.frees, table.control_calls);
	wl_fact("ioctls.control_count", table.control_calls, "controls",
	        "%u different commands; start-up, a context, two streams, first launches",
	        table.controls);
	wl_fact("ioctls.unknown_layouts", table.unknown_layouts, "ioctls",
	        table.unknown_layouts ? "last: unknown layout, number 0x%x, %u bytes" : NULL,
	        table.last_unknown >> 16, table.last_unknown & 0xffff);
	if (table.objects_lost || table.controls_lost || table.classes_lost)
		fprintf(stderr, "the table was full: %u objects, %u controls, %u classes lost\n",
		        table.objects_lost, table.controls_lost, table.classes_lost);
	if (table.set_timeslices)
		wl_fact("ioctls.timeslice_set_by_libcuda_us", (double)table.set_timeslice_us, "us",
		        "set %u times, the last value", table.set_timeslices);
	else
		wl_fact_text("ioctls.timeslice_set_by_libcuda_us", "never set", NULL);
	wl_fact_text("ioctls.preemption_set_by_libcuda",
	             table.set_preemptions ? wl_rm_mode_name(table.set_preemption_cilp)
	                                   : "never set",
	             "SET_CTXSW_PREEMPTION_MODE: %u times, last flags 0x%x", table.set_preemptions,
	             table.set_preemption_flags);
}

/* Controls that only read. */
static void ask_group(struct wl_rm_group *g)
{
	uint64_t us = 0;
	uint32_t value = 0, graphics = 0;
	struct wl_rm_result r = wl_rm_get_timeslice(g, &us);
	wl_fact_text("ioctls.get_timeslice_status", wl_rm_result_text(r), NULL);
	if (wl_rm_ok(r))
		wl_fact("ioctls.timeslice_us", (double)us, "us",
		        "the kernel's record of the group's time slice");
	r = wl_rm_get_interleave(g, &value);
	wl_fact_text("ioctls.get_interleave_status", wl_rm_result_text(r), "level %u (medium is 1)",
	             value);
	r = wl_rm_info(g, &value);
	wl_fact_text("ioctls.group_info_status", wl_rm_result_text(r), "hardware group %u", value);
	if (!g->subdevice) {
		wl_fact_skip("ioctls.preemption_mode", "no subdevice object was seen");
		return;
	}
	r = wl_rm_modes(g, &value, &graphics);
	wl_fact_text("ioctls.get_modes_status", wl_rm_result_text(r), NULL);
	if (wl_rm_ok(r))
		wl_fact_text("ioctls.preemption_mode", wl_rm_mode_name(value),
		             "compute preemption mode %u, graphics %u, as the firmware says", value,
		             graphics);
	else
		wl_fact_skip("ioctls.preemption_mode", "the control answered %s",
		             wl_rm_result_text(r));
}

static void time_controls(struct wl_rm_group *g)
{
	struct wl_samples kernel = {0}, firmware = {0};
	uint64_t us;
	uint32_t compute, graphics;
	for (int i = 0; i < CONTROLS; i++) {
		struct wl_rm_result r = wl_rm_get_timeslice(g, &us);
		if (wl_rm_ok(r))
			wl_samples_add(&kernel, r.ns);
		r = wl_rm_modes(g, &compute, &graphics);
		if (wl_rm_ok(r))
			wl_samples_add(&firmware, r.ns);
	}
	wl_fact_samples("ioctls.control_kernel_us", "us", &kernel, 1e3,
	                "GET_TIMESLICE, answered by the kernel module");
	wl_fact_samples("ioctls.control_firmware_us", "us", &firmware, 1e3,
	                "GR_GET_CTXSW_MODES, which goes to the GSP firmware");
	wl_samples_fini(&kernel);
	wl_samples_fini(&firmware);
}

int main(int argc, char **argv)
{
	struct wl_shape shape = WL_SHAPE_DEFAULT;
	struct wl_rm_group g;
	CUstream second;
	char why[160];
	shape.kernel_ms = 1;
	wl_shape_options(&shape, argc, argv);
	wl_fact_bound(LIMIT_S);
	wl_load_open(&load, gpu_kernels, &shape);
	WL_CU(cuStreamCreate, &second, CU_STREAM_NON_BLOCKING);
	if (!wl_load_once(&load, 1)) {
		fprintf(stderr, "rm_program: the kernel failed: CUDA error %d\n",
		        atomic_load(&load.failed));
		return 1;
	}
	int err = wl_rm_capture(&g, &table, why, sizeof(why));
	if (err == -ENOSYS) {
		wl_fact_skip("ioctls.compute_group", "%s", why);
		return WL_EXIT_SKIPPED;
	}
	if (table.calls == 0) {
		wl_fact_skip("ioctls.compute_group",
		             "no ioctl of the resource manager was seen: this driver has none, or "
		             "calls them past libc");
		return WL_EXIT_SKIPPED;
	}
	say_counts();
	if (err) {
		wl_fact_skip("ioctls.compute_group", "%s", why);
		return 0;
	}
	say_capture(&g);
	uint32_t before = table.calls;
	for (int i = 0; i < LAUNCHES; i++)
		wl_load_once(&load, 1);
	wl_rm_capture(&g, &table, why, sizeof(why));
	wl_fact("ioctls.per_launch", (table.calls - before) / (double)LAUNCHES, "ioctls",
	        "of the resource manager, for a launch and its synchronisation");
	ask_group(&g);
	time_controls(&g);
	wl_fact_flag("ioctls.result_intact", wl_load_intact(&load), NULL);
	return 0;
}
