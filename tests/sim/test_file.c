// SPDX-License-Identifier: Apache-2.0
/* `rein sim`: the examples, its output, its traces, and what it says about mistakes. */
#include "tests/unit/cli_run.h"

static const char *const examples[] = {"mixed", "edf", "shares", "greedy", "functions"};

static const char *example(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "workloads/sim/%s.ini", name);
	return path;
}

static json_t *json_out(void)
{
	json_error_t e;
	json_t *o = json_loads(out, 0, &e);
	ck_assert_msg(o != NULL, "%s: %s", e.text, out);
	return o;
}

TEST(the_examples_run_under_every_policy)
{
	const char *dir = temp_dir();
	for (size_t i = 0; i < REIN_ARRAY_LEN(examples); i++) {
		int status =
		    REIN(dir, "sim", (char *)example(examples[i]), "--duration", "2s", "--json",
		         "--policy", "classes,prio,edf,cbs,fair,mlfq,fifo,rr,hpf,tokens,srpt");
		ck_assert_msg(status == 0, "%s: %s", examples[i], err);
		json_t *o = json_out();
		const json_t *policies = json_object_get(o, "policies");
		ck_assert_uint_eq(json_array_size(policies), 11);
		ck_assert(json_is_true(json_object_get(o, "simulated")));
		for (size_t p = 0; p < json_array_size(policies); p++) {
			double busy = rein_cli_real(json_array_get(policies, p), "busy");
			ck_assert(busy > 0.1 && busy <= 1);
		}
		json_decref(o);
	}
}
TEST_END

TEST(the_table_has_a_row_for_each_policy_and_client)
{
	const char *dir = temp_dir();
	ck_assert_int_eq(REIN(dir, "sim", (char *)example("edf"), "--duration", "5s"), 0);
	ck_assert(strncmp(out, "simulated: workloads/sim/edf.ini, 5.000 s, seed 1\n", 50) == 0);
	ck_assert_ptr_nonnull(strstr(out, "\nPOLICY  CLIENT   REQUESTS  GPU-%  P50-MS"));
	ck_assert_ptr_nonnull(strstr(out, "\nedf     camera "));
	/* heading, titles, 2 · 5 rows, a line between the policies and one after, 2 · 2 lines */
	ck_assert_int_eq(lines(out), 1 + 1 + 10 + 2 + 4);
	ck_assert_ptr_nonnull(strstr(out, "prio: camera could take"));
	ck_assert_ptr_nonnull(strstr(out, "edf: all deadlines can be kept"));
}
TEST_END

TEST(the_same_seed_gives_the_same_output)
{
	const char *dir = temp_dir();
	char first[sizeof(out)];
	char *file = (char *)example("mixed");
	ck_assert_int_eq(REIN(dir, "sim", file, "--duration", "3s", "--seed", "5", "--json"), 0);
	snprintf(first, sizeof(first), "%s", out);
	ck_assert_int_eq(REIN(dir, "sim", file, "--duration", "3s", "--seed", "5", "--json"), 0);
	ck_assert_str_eq(out, first);
	ck_assert_int_eq(REIN(dir, "sim", file, "--duration", "3s", "--seed", "6", "--json"), 0);
	ck_assert_str_ne(out, first);
	ck_assert_int_eq(REIN(dir, "sim", file, "--duration", "1s", "--seeds", "3"), 0);
	ck_assert_ptr_nonnull(strstr(out, "P99-RANGE"));
	ck_assert_ptr_nonnull(strstr(out, "seed 1 and the 2 after it"));
}
TEST_END

/* Spans of the SMs follow each other, and take as long as the table says. */
TEST(a_trace_tells_what_the_table_tells)
{
	const char *dir = temp_dir();
	char path[160];
	snprintf(path, sizeof(path), "%s/trace.json", dir);
	ck_assert_int_eq(REIN(dir, "sim", (char *)example("edf"), "--duration", "3s", "--policy",
	                      "edf", "--json", "--trace", path),
	                 0);
	json_t *told = json_out();
	double busy = rein_cli_real(json_array_get(json_object_get(told, "policies"), 0), "busy");
	json_error_t e;
	json_t *trace = json_load_file(path, 0, &e), *ev;
	ck_assert_msg(trace != NULL, "%s", e.text);
	double until = 0, ran = 0;
	size_t i, requests = 0;
	json_array_foreach(json_object_get(trace, "traceEvents"), i, ev)
	{
		const char *ph = rein_cli_str(ev, "ph");
		requests += strcmp(ph, "b") == 0;
		if (strcmp(ph, "X") != 0 || rein_cli_int(ev, "pid") != 1 ||
		    rein_cli_int(ev, "tid") != 1)
			continue;
		double ts = json_number_value(json_object_get(ev, "ts"));
		double dur = json_number_value(json_object_get(ev, "dur"));
		ck_assert(ts >= until - 1e-3);
		until = ts + dur;
		if (strncmp(rein_cli_str(ev, "name"), "switch", 6) != 0)
			ran += dur;
	}
	ck_assert(ran / 3e6 > busy - 1e-6 && ran / 3e6 < busy + 1e-6);
	ck_assert_uint_ge(requests, 150);
	json_decref(trace);
	json_decref(told);
	ck_assert_int_eq(REIN(dir, "sim", (char *)example("edf"), "--trace", "/nowhere/x"),
	                 CLI_FAILED);
	ck_assert_ptr_nonnull(strstr(err, "cannot write /nowhere/x"));
}
TEST_END

static const struct {
	const char *text, *says;
} mistakes[] = {
    {"", "there are 0 clients"},
    {"a = 1\n", ":1: a key stands before any section; accepted: [sim], [client NAME]"},
    {"[simulation]\na = 1\n", ":2: unknown section [simulation]; accepted: [sim], [client NAME]"},
    {"[sim]\npolicies = prio\n", ":2: unknown key 'policies' in [sim]; accepted: policy,"},
    {"[sim]\nduration = 10\n", ":2: bad duration '10'; accepted: a time with its unit"},
    {"[sim]\nnoise = 2\n", ":2: bad noise '2'; accepted: a number from 0 to 1"},
    {"[sim]\nsharing = mig\n", ":2: bad sharing 'mig'; accepted: slices, mps"},
    {"[sim]\nnonsense\n", ":2: not understood; accepted: [section] or key = value"},
    {"[client a]\nkernel = 1ms\n", ":2: client 'a' has no arrivals"},
    {"[client a]\nkernel = 1ms\n[client b]\nkernel = 1ms\n[client a]\nkernel = 1ms\n",
     ":6: a second client 'a'; the first is at line 2"},
    {"[client a]\nkernel = 1ms\narrivals = after\nafter = b\n", ":4: there is no client 'b'"},
    {"[client a]\nkernel = 1ms\narrivals = times\ntimes = none.csv\n", ":4: cannot read "},
    {"[client a]\npriority = 100\n",
     ":2: bad priority '100'; accepted: a whole number from 0 to 99"},
    {"[client a]\narrivals = periodic\nkernel = 1ms\n", "client a: its arrivals need a distance"},
    {"[client a]\narrivals = endless\nkernel = 1ms\ndeadline = 1ms\nperiod = 10ms\nbudget = 5ms\n",
     "under "},
    {"[sim]\npolicy = best\n[client a]\narrivals = endless\nkernel = 1ms\n",
     "there is no policy 'best'; there are classes, prio"},
};

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

TEST(mistakes_name_their_line)
{
	const char *dir = temp_dir();
	char path[160];
	snprintf(path, sizeof(path), "%s/s.ini", dir);
	for (size_t i = 0; i < REIN_ARRAY_LEN(mistakes); i++) {
		write_file(path, mistakes[i].text);
		ck_assert_msg(REIN(dir, "sim", path) == CLI_USAGE, "%zu: %s", i, out);
		ck_assert_msg(strstr(err, mistakes[i].says) != NULL, "%zu: %s", i, err);
		ck_assert_msg(lines(err) == 1, "%s", err);
	}
	ck_assert_int_eq(REIN(dir, "sim"), CLI_USAGE);
	ck_assert_int_eq(REIN(dir, "sim", "/nowhere.ini"), CLI_USAGE);
	ck_assert_int_eq(REIN(dir, "sim", (char *)example("edf"), "--seeds", "0"), CLI_USAGE);
	ck_assert_int_eq(REIN(dir, "sim", (char *)example("edf"), "--duration", "1"), CLI_USAGE);
}
TEST_END

TEST(times_are_read_from_a_column)
{
	const char *dir = temp_dir();
	char path[160], csv[160];
	snprintf(path, sizeof(path), "%s/s.ini", dir);
	snprintf(csv, sizeof(csv), "%s/t.csv", dir);
	write_file(path, "[sim]\npolicy = fifo\nduration = 1s\n[client a]\narrivals = times\n"
	                 "times = t.csv\nscale = 0.5\nkernel = 1ms\n");
	write_file(csv, "# a comment\ntime,other\n100.0,x\n100.5,y\n101.9,z\n");
	ck_assert_int_eq(REIN(dir, "sim", path, "--json"), 0);
	json_t *o = json_out();
	const json_t *c = json_array_get(
	    json_object_get(json_array_get(json_object_get(o, "policies"), 0), "clients"), 0);
	ck_assert_int_eq(rein_cli_int(c, "requests"), 3); /* at 0, 0.25 and 0.95 s */
	json_decref(o);
	write_file(csv, "2\n1\n");
	ck_assert_int_eq(REIN(dir, "sim", path), CLI_USAGE);
	ck_assert_ptr_nonnull(strstr(err, "t.csv:2: not a time"));
}
TEST_END

TESTS("rein sim", the_examples_run_under_every_policy,
      the_table_has_a_row_for_each_policy_and_client, the_same_seed_gives_the_same_output,
      a_trace_tells_what_the_table_tells, mistakes_name_their_line, times_are_read_from_a_column)
