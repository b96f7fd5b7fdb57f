// SPDX-License-Identifier: Apache-2.0
/* The software GPU's figures: parsing, refusals, declared times, equations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "softgpu/model.h"
#include "tests/harness.h"

extern char **environ;

static struct sg_model m;
static char why[400];

static void fresh(void)
{
	for (char **e = environ; *e;) {
		char name[64];
		if (strncmp(*e, "SOFTGPU_", 8) == 0 && sscanf(*e, "%63[^=]", name) == 1) {
			unsetenv(name);
			e = environ;
		} else {
			e++;
		}
	}
}

static bool read_with(const char *name, const char *value)
{
	fresh();
	setenv(name, value, 1);
	return sg_model_read(&m, why, sizeof(why));
}

static uint64_t declared_ns(const char *kernel)
{
	const struct sg_declared *d = sg_model_declared(&m, kernel);
	return d ? d->solo_ns : 0;
}

TEST(durations)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {{"2ms", 2000000},   {"1.5 us", 1500}, {"300ns", 300},
	            {"1s", 1000000000}, {"0ns", 0},       {".5ms", 500000}};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint64_t ns = 1;
		ck_assert_msg(sg_parse_duration(good[i].text, &ns), "%s", good[i].text);
		ck_assert_uint_eq(ns, good[i].ns);
	}
	static const char *const bad[] = {"",     "2",     "ms",   "-1ms", "2 m",    "2msx", "nans",
	                                  "0x1s", "1e99s", "+1ms", " 1ms", "1..2ms", "infs"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t ns;
		ck_assert_msg(!sg_parse_duration(bad[i], &ns), "'%s'", bad[i]);
	}
}
TEST_END

TEST(defaults_are_the_small_gpu)
{
	fresh();
	ck_assert_msg(sg_model_read(&m, why, sizeof(why)), "%s", why);
	ck_assert_int_eq(m.mode, SG_MODE_WALL);
	ck_assert_uint_eq(m.sms, 8);
	ck_assert_uint_eq(m.sm_arch, 90);
	ck_assert_uint_eq(m.n_devices, 1);
	ck_assert(!m.measuring);
	ck_assert(read_with("SOFTGPU_GEOMETRY", "h200"));
	ck_assert_uint_eq(m.sms, 132);
	ck_assert_uint_eq(m.memory_bytes, 150109880320); /* as an H200 says */
}
TEST_END

TEST(single_figures_win_over_the_geometry)
{
	fresh();
	setenv("SOFTGPU_GEOMETRY", "h200", 1);
	setenv("SOFTGPU_SMS", "16", 1);
	setenv("SOFTGPU_MEMORY", "512M", 1);
	setenv("SOFTGPU_MEM_GBPS", "0.5", 1);
	setenv("SOFTGPU_TIMESLICE", "1ms", 1);
	setenv("SOFTGPU_MODE", "time", 1);
	ck_assert_msg(sg_model_read(&m, why, sizeof(why)), "%s", why);
	ck_assert_uint_eq(m.sms, 16);
	ck_assert_uint_eq(m.memory_bytes, 512u << 20);
	ck_assert(m.memory_gbps == 0.5);
	ck_assert_uint_eq(m.timeslice_ns, 1000000);
	ck_assert_int_eq(m.mode, SG_MODE_TIME);
	ck_assert_uint_eq(m.blocks_per_sm, 32);
	ck_assert(m.measuring);
}
TEST_END

TEST(bad_values_are_named)
{
	static const char *const bad[][3] = {
	    {"SOFTGPU_MODE", "quick", "wall, time, fast"},
	    {"SOFTGPU_GEOMETRY", "h100", "small, h200"},
	    {"SOFTGPU_SMS", "0", "from 1 to 1024"},
	    {"SOFTGPU_SMS", "8.5", "whole number"},
	    {"SOFTGPU_SMS", "", "whole number"},
	    {"SOFTGPU_SMS", "eight", "whole number"},
	    {"SOFTGPU_IPC", "-1", "a number from"},
	    {"SOFTGPU_MEMORY", "1X", "K, M, G or T"},
	    {"SOFTGPU_TIMESLICE", "2", "a duration"},
	    {"SOFTGPU_TIMESLICE", "1ns", "a duration from"},
	    {"SOFTGPU_SHM", "a/b", "without '/'"},
	    {"SOFTGPU_SHM", "", "a name"},
	    {"SOFTGPU_SHARED_PER_BLOCK", "1M", "at most SOFTGPU_SHARED_PER_SM"},
	    {"SOFTGPU_TIMES", "k=", "NAME=DURATION"},
	    {"SOFTGPU_TIMES", "=2ms", "NAME=DURATION"},
	    {"SOFTGPU_TIMES", "a*b=2ms", "NAME=DURATION"},
	    {"SOFTGPU_TIMES", "k=0ms", "NAME=DURATION"},
	    {"SOFTGPU_TIMES", "k", "NAME=DURATION"},
	    {"SOFTGPU_TIMES", "@/nonexistent/times", "No such file"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(!read_with(bad[i][0], bad[i][1]), "%s=%s", bad[i][0], bad[i][1]);
		ck_assert_msg(strstr(why, bad[i][0]) == why, "%s", why);
		ck_assert_msg(strstr(why, bad[i][2]), "'%s' does not say '%s'", why, bad[i][2]);
		ck_assert_ptr_null(strchr(why, '\n'));
	}
	char longest[200];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	ck_assert(!read_with("SOFTGPU_NAME", longest));
}
TEST_END

static void check_declared(void)
{
	ck_assert_uint_eq(declared_ns("lc_step"), 2000000);
	ck_assert_uint_eq(declared_ns("be_"), 1900000);
	ck_assert_uint_eq(declared_ns("be_any"), 1900000);
	ck_assert_uint_eq(declared_ns("be_long_one"), 5000000);
	ck_assert_uint_eq(declared_ns("be_long_exact"), 7);
	ck_assert_uint_eq(declared_ns("b"), 0);
	ck_assert_uint_eq(declared_ns("lc_step2"), 0);
	ck_assert_uint_eq(declared_ns(NULL), 0);
	sg_model_clear(&m);
}

TEST(declared_times)
{
	ck_assert_msg(
	    read_with("SOFTGPU_TIMES", "lc_step=2ms, be_*=1.9ms,be_long_*=5ms,be_long_exact=7ns"),
	    "%s", why);
	check_declared();
	char path[300], value[304];
	snprintf(path, sizeof(path), "%s/times", temp_dir());
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs("# kernels\nlc_step=2ms\n\nbe_*=1.9ms\r\nbe_long_*=5ms\n  be_long_exact=7ns", f);
	fclose(f);
	snprintf(value, sizeof(value), "@%s", path);
	ck_assert_msg(read_with("SOFTGPU_TIMES", value), "%s", why);
	check_declared();
}
TEST_END

TEST(equations)
{
	fresh();
	ck_assert(sg_model_read(&m, why, sizeof(why)));
	m.sms = 10;
	m.clock_mhz = 1000;
	m.warp_ipc_per_sm = 2;
	m.memory_gbps = 4;
	m.h2d_gbps = 2;
	m.d2h_gbps = 1;
	m.kernel_min_ns = 5000;
	m.copy_latency_ns = 1000;
	ck_assert_uint_eq(sg_model_kernel_ns(&m, 100, 0, 0), 5000);
	ck_assert_uint_eq(sg_model_kernel_ns(&m, 100, 20000000, 0), 5000 + 1000000);
	/* one block keeps one SM busy, whatever the device has */
	ck_assert_uint_eq(sg_model_kernel_ns(&m, 1, 20000000, 0), 5000 + 10000000);
	ck_assert_uint_eq(sg_model_kernel_ns(&m, 100, 20, 4000000), 5000 + 1000000);
	ck_assert_uint_eq(sg_model_set_ns(&m, 4000), 5000 + 1000);
	ck_assert_uint_eq(sg_model_copy_ns(&m, SG_COPY_H2D, 2000), 1000 + 1000);
	ck_assert_uint_eq(sg_model_copy_ns(&m, SG_COPY_D2H, 2000), 1000 + 2000);
	ck_assert_uint_eq(sg_model_copy_ns(&m, SG_COPY_D2D, 2000), 1000 + 1000);
	ck_assert_uint_eq(sg_model_copy_ns(&m, SG_COPY_H2H, 2000), 1000 + 3000);
}
TEST_END

TEST(times_may_say_how_much_memory_is_used)
{
	fresh();
	setenv("SOFTGPU_TIMES", "a=2ms@80,b*=1ms @ 12.5%,c=3ms", 1);
	ck_assert_msg(!sg_model_read(&m, why, sizeof(why)), "a space after the @");
	setenv("SOFTGPU_TIMES", "a=2ms@80,b*=1ms@12.5%,c=3ms", 1);
	ck_assert_msg(sg_model_read(&m, why, sizeof(why)), "%s", why);
	ck_assert_double_eq(sg_model_declared(&m, "a")->memory, 0.8);
	ck_assert_double_eq(sg_model_declared(&m, "b2")->memory, 0.125);
	ck_assert_double_eq(sg_model_declared(&m, "c")->memory, 0);
	ck_assert_uint_eq(declared_ns("a"), 2000000);
	sg_model_clear(&m);
	ck_assert(!read_with("SOFTGPU_TIMES", "a=2ms@101"));
	ck_assert(!read_with("SOFTGPU_TIMES", "a=2ms@"));
	ck_assert(!read_with("SOFTGPU_TIMES", "a=2ms@-1"));
}
TEST_END

static uint32_t channels_with(const char *cuda, const char *own)
{
	fresh();
	unsetenv("CUDA_DEVICE_MAX_CONNECTIONS");
	if (cuda)
		setenv("CUDA_DEVICE_MAX_CONNECTIONS", cuda, 1);
	if (own)
		setenv("SOFTGPU_CHANNELS", own, 1);
	ck_assert_msg(sg_model_read(&m, why, sizeof(why)), "%s", why);
	unsetenv("CUDA_DEVICE_MAX_CONNECTIONS");
	return m.channels;
}

TEST(one_connection_is_one_channel)
{
	ck_assert_uint_eq(channels_with(NULL, NULL), 128);
	ck_assert_uint_eq(channels_with("1", NULL), 1);
	ck_assert_uint_eq(channels_with("8", NULL), 128); /* measured: no more are held */
	ck_assert_uint_eq(channels_with("0", NULL), 128); /* a driver does not fail for these */
	ck_assert_uint_eq(channels_with("many", NULL), 128);
	ck_assert_uint_eq(channels_with("1", "16"), 16);
	ck_assert(!read_with("SOFTGPU_CHANNELS", "129"));
	ck_assert(!read_with("SOFTGPU_CHANNELS", "0"));
}
TEST_END

TEST(a_percentage_is_for_clients_of_mps)
{
	fresh();
	setenv("SOFTGPU_SMS", "10", 1);
	setenv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "25", 1);
	ck_assert_msg(sg_model_read(&m, why, sizeof(why)), "%s", why);
	ck_assert_uint_eq(m.sms, 10);
	setenv("SOFTGPU_MPS", "1", 1);
	ck_assert_msg(sg_model_read(&m, why, sizeof(why)), "%s", why);
	unsetenv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE");
	ck_assert_uint_eq(m.sms, 2);
	ck_assert_uint_eq(m.device_sms, 10);
	/* a declared time is that of the whole device */
	ck_assert_uint_eq(sg_model_confined_ns(&m, 100, 3000, m.sms), 15000);
	ck_assert(read_with("SOFTGPU_GEOMETRY", "h200"));
	ck_assert_uint_eq(sg_model_percent_sms(&m, 100), 132);
	ck_assert_uint_eq(sg_model_percent_sms(&m, 50), 66);
	ck_assert_uint_eq(sg_model_percent_sms(&m, 25), 32); /* of 33: measured */
	ck_assert_uint_eq(sg_model_percent_sms(&m, 0.1), 2);
	ck_assert(!read_with("SOFTGPU_MPS", "2"));
}
TEST_END

TEST(equations_of_sharing)
{
	fresh();
	setenv("SOFTGPU_MEM_GBPS", "2", 1);
	setenv("SOFTGPU_LAUNCH_LATENCY", "5us", 1);
	setenv("SOFTGPU_KERNEL_GAP", "1us", 1);
	ck_assert_msg(sg_model_read(&m, why, sizeof(why)), "%s", why);
	ck_assert_double_eq(sg_model_memory_share(&m, 1000, 1000), 0.5);
	ck_assert_double_eq(sg_model_memory_share(&m, 9000, 1000), 1);
	ck_assert_double_eq(sg_model_stretch(1, 0.9), 1);
	ck_assert_double_eq(sg_model_stretch(1, 2), 2);
	ck_assert_double_eq(sg_model_stretch(0.5, 3), 2);
	ck_assert_double_eq(sg_model_stretch(0, 5), 1);
	ck_assert_uint_eq(sg_model_start_ns(&m, 1000, 0, 0), 6000);
	ck_assert_uint_eq(sg_model_start_ns(&m, 1000, 7000, 0), 7000);
	ck_assert_uint_eq(sg_model_start_ns(&m, 1000, 0, 9000), 10000);
	ck_assert_uint_eq(sg_model_start_ns(&m, 1000, 0, 2000), 6000);
	ck_assert_uint_eq(sg_model_slice_end_ns(100, 1000, 1000), 1100);
	ck_assert_uint_eq(sg_model_slice_end_ns(100, 1000, 1100), 1100);
	ck_assert_uint_eq(sg_model_slice_end_ns(100, 1000, 1101), 1200);
	uint64_t sum = 0;
	for (uint64_t i = 0; i < 7; i++)
		sum += sg_model_waves_ns(1003, 7, i + 1) - sg_model_waves_ns(1003, 7, i);
	ck_assert_uint_eq(sum, 1003);
	ck_assert_uint_eq(sg_model_waves_ns(1003, 7, 8), 1003 + 143);
}
TEST_END

TESTS("software GPU: model", times_may_say_how_much_memory_is_used, one_connection_is_one_channel,
      a_percentage_is_for_clients_of_mps, equations_of_sharing, durations,
      defaults_are_the_small_gpu, single_figures_win_over_the_geometry, bad_values_are_named,
      declared_times, equations)
