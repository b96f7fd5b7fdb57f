// SPDX-License-Identifier: Apache-2.0
/* The figures of gpu-check's stage `sharing`: the Python that computes them, on records with known
 * answers; percentiles must be those of workloads/lib/stats.c. */
#include "tests/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/lib/stats.h"

static const char prelude[] = "import sys\n"
			      "sys.dont_write_bytecode = True\n"
			      "sys.path[:0] = ['workloads/gpu', 'workloads/gpu/stages']\n"
			      "import sharing_figures as f\n";

/* What a piece of Python prints; the test fails if it raises. */
static void python(const char *code, char *out, size_t len)
{
	char *whole = NULL;
	ck_assert_int_ge(asprintf(&whole, "%s%s", prelude, code), 0);
	char *argv[] = {"python3", "-c", whole, NULL};
	int status = proc_run(argv, NULL, out, len, 20000);
	free(whole);
	ck_assert_msg(status == 0, "%s", out);
}

TEST(percentiles_are_those_of_the_workloads)
{
	static const double p[] = {0.5, 1, 50, 95, 99, 99.9, 100};
	static const size_t sizes[] = {1, 2, 7, 99, 100, 101, 1000};
	char want[2048] = "", got[2048];
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		uint64_t v[1000];
		for (size_t i = 0; i < sizes[s]; i++)
			v[i] = i * i + 3;
		for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++)
			snprintf(want + strlen(want), sizeof(want) - strlen(want), "%llu\n",
			         (unsigned long long)wl_percentile(v, sizes[s], p[i]));
	}
	python("for n in 1, 2, 7, 99, 100, 101, 1000:\n"
	       "    for p in .5, 1, 50, 95, 99, 99.9, 100:\n"
	       "        print(f.percentile([i * i + 3 for i in range(n)], p))\n",
	       got, sizeof(got));
	ck_assert_str_eq(got, want);
	python("assert f.percentile([], 50) is None", got, sizeof(got));
}
TEST_END

TEST(a_cell_follows_from_its_records)
{
	char out[4096];
	python(
	    "ms = 1000000\n"
	    /* 4 requests in 100 ms, 10 ms each, the last two waited 10 ms and 20 ms */
	    "records = [(0, 0, 10), (20, 20, 30), (30, 40, 50), (30, 50, 60)]\n"
	    "window = {'begin_ns': 0, 'finish_ns': 100 * ms,\n"
	    "          'records': [[t * ms for t in r] for r in records]}\n"
	    /* a step each 5 ms from 5 on: those at 5 … 95 lie in the window, 100 and later not */
	    "steps = {'step_end_ns': [t * ms for t in range(5, 200, 5)]}\n"
	    "c = f.cell(window, steps, solo_p99_ms=15, solo_rate=200)\n"
	    "assert c['n'] == 4 and c['unserved'] == 0, c\n"
	    "assert c['p50_ms'] == 10 and c['p99_ms'] == 30, c\n"
	    "assert c['load'] == 0.4 and c['p99_over_solo'] == 2, c\n"
	    "assert c['steps_per_s'] == 190 and c['be_over_solo'] == 0.95, c\n"
	    "assert f.service_s(window) == 0.01\n",
	    out, sizeof(out));
}
TEST_END

TEST(what_cannot_be_said_is_said_so)
{
	char out[4096];
	python("c = f.cell({'begin_ns': 0, 'finish_ns': 10, 'records': [], 'unserved': 3},\n"
	       "           {'step_end_ns': []}, None, 0)\n"
	       "assert c['p99_ms'] is None and c['p99_over_solo'] is None, c\n"
	       "assert c['be_over_solo'] is None and c['unserved'] == 3, c\n"
	       "t = f.table([('a', 'b', 'native', c), ('a', None, 'solo', c)])\n"
	       "assert '| a | b | native | 0 (+3 unserved) | – | – | – | – |\\n' in t, t\n"
	       "assert '| a | – | solo |' in t, t\n",
	       out, sizeof(out));
}
TEST_END

TEST(the_summary_is_of_the_first_pair)
{
	char out[4096];
	python("import sharing\n"
	       "value = lambda v: {'value': v}\n"
	       "facts = {'sharing.a_b_native_p99_over_solo': value(4),\n"
	       "         'sharing.a_b_native_be_over_solo': value(.5),\n"
	       "         'sharing.a_b_rein_p99_over_solo': value(1.25),\n"
	       "         'sharing.c_d_rein_p99_over_solo': value(9)}\n"
	       "assert sharing.summary(facts) == ('a beside b: p99 over solo: '\n"
	       "                                  'native 4.00× (BE 0.50), rein 1.25×')\n"
	       "assert sharing.summary({}) == 'nothing was shared'\n",
	       out, sizeof(out));
}
TEST_END

/* Every cell with a partner comes after both programs were measured alone, in every plan. */
TEST(plans_measure_alone_first)
{
	char out[4096];
	python("import sharing, types\n"
	       "for simulated, torch in (True, None), (False, None), (False, '2'):\n"
	       "    machine = types.SimpleNamespace(simulated=simulated, torch=torch)\n"
	       "    alone, ids = set(), []\n"
	       "    for group in sharing.cells(machine):\n"
	       "        for lc, be, mode in group:\n"
	       "            ids.append(sharing.Table.id(lc, be, mode))\n"
	       "            if lc and be:\n"
	       "                assert lc in alone and be in alone, (lc, be)\n"
	       "            else:\n"
	       "                assert mode == 'native'\n"
	       "                alone.add(lc or be)\n"
	       "    assert len(set(ids)) == len(ids), ids\n",
	       out, sizeof(out));
}
TEST_END

TESTS("sharing_figures", percentiles_are_those_of_the_workloads, a_cell_follows_from_its_records,
      what_cannot_be_said_is_said_so, the_summary_is_of_the_first_pair, plans_measure_alone_first)
