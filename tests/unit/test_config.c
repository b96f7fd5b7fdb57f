// SPDX-License-Identifier: Apache-2.0
/* test_config.c: rein.conf: what is accepted, each error line word for word, rules, and who is
 * granted what. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/wire.h"
#include "daemon/config.h"
#include "daemon/identity.h"
#include "policy/policies.h"
#include "tests/harness.h"

#define WISH(class, p)                                                                             \
	(&(struct rein_wish){.class_name = (class), .prio = (p), .latency_nice = REIN_NICE_UNSET})

static char path[128];
static char err[REIN_CONFIG_ERROR_LEN];

static void write_conf(const void *text, size_t len)
{
	snprintf(path, sizeof(path), "%s/rein.conf", temp_dir());
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, len, f), len);
	fclose(f);
}

static struct rein_config *load(const char *text)
{
	struct rein_config *c = NULL;
	write_conf(text, strlen(text));
	int result = rein_config_load(&c, path, err, sizeof(err));
	ck_assert_msg(result == 0, "%s", err);
	ck_assert_str_eq(err, "");
	return c;
}

TEST(empty_gives_the_default_class)
{
	struct rein_config *c = load("");
	const struct rein_class *d = rein_config_class(c, "default");
	ck_assert_ptr_nonnull(d);
	ck_assert_int_eq(d->prio, 0);
	ck_assert_uint_eq(d->weight, 100);
	ck_assert_uint_eq(d->linger_us, 200);
	ck_assert_uint_eq(d->backlog_launches, 64);
	ck_assert(d->backlog_ns == 4000000 && d->patience_ns == 100000000);
	ck_assert_ptr_null(c->policy);
	ck_assert(!c->has_mode);
	ck_assert_ptr_eq(rein_config_match(c, "/bin/x", 7), d);
	rein_config_free(c);
}
TEST_END

TEST(everything_that_can_be_said)
{
	struct rein_config *c = load("# a comment\n"
	                             "; another\n"
	                             "[daemon]\n"
	                             "policy = fifo\n"
	                             "mode=sleep\n"
	                             "ageing = 10ms ; inline\n"
	                             "\n"
	                             "[class rt]\n"
	                             "priority = 99\n"
	                             "weight = 10000\n"
	                             "backlog = 200us\n"
	                             "backlog_launches = 3\n"
	                             "linger = 1 ms\n"
	                             "patience = 2s\n"
	                             "gate = implicit\n"
	                             "cupti = on\n"
	                             "[class empty]\n"
	                             "[class default]\n"
	                             "priority: 1\n"
	                             "[rule r]\n"
	                             "exe = /opt/*/serve\n"
	                             "user = root\n"
	                             "class = rt\n");
	ck_assert_ptr_eq(c->policy, &rein_policy_fifo);
	ck_assert(c->has_mode && c->mode == REIN_MODE_SLEEP);
	ck_assert(c->ageing_ns == 10000000);
	const struct rein_class *rt = rein_config_class(c, "rt");
	ck_assert_int_eq(rt->prio, 99);
	ck_assert_uint_eq(rt->weight, 10000);
	ck_assert(rt->backlog_ns == 200000 && rt->backlog_launches == 3);
	ck_assert(rt->linger_us == 1000 && rt->patience_ns == 2000000000);
	ck_assert(rt->gate_implicit && !rein_config_class(c, "empty")->gate_implicit);
	ck_assert(rt->cupti && !rein_config_class(c, "empty")->cupti);
	ck_assert_ptr_nonnull(rein_config_class(c, "empty"));
	ck_assert_int_eq(rein_config_class(c, "default")->prio, 1);
	ck_assert_uint_eq(c->n_files, 1);
	ck_assert_str_eq(c->file[0], path);
	rein_config_free(c);
}
TEST_END

TEST(what_classes_reserve)
{
	struct rein_config *c = load("[class video]\n"
	                             "deadline = 20ms\n"
	                             "period = 33ms\n"
	                             "budget = 6ms\n"
	                             "budget_mode = hard\n"
	                             "latency_nice = -5\n"
	                             "[class share]\n"
	                             "period = 100ms\n"
	                             "budget = 30ms\n"
	                             "budget_mode = soft\n"
	                             "[class back]\n"
	                             "band = idle\n"
	                             "priority = 3\n");
	const struct rein_class *v = rein_config_class(c, "video");
	ck_assert(v->timing.deadline_ns == 20000000 && v->timing.period_ns == 33000000);
	ck_assert(v->timing.budget_ns == 6000000 && v->budget_hard);
	ck_assert_int_eq(v->latency_nice, -5);
	const struct rein_class *share = rein_config_class(c, "share");
	ck_assert(share->timing.deadline_ns == 0 && !share->budget_hard);
	/* bands: as said, else by what is declared */
	static const struct rein_timing none;
	ck_assert_int_eq(rein_config_band(v, &v->timing, 0), REIN_BAND_REALTIME);
	ck_assert_int_eq(rein_config_band(v, &none, 0), REIN_BAND_BATCH);
	ck_assert_int_eq(rein_config_band(v, &none, 1), REIN_BAND_INTERACTIVE);
	ck_assert_int_eq(rein_config_band(rein_config_class(c, "back"), &none, 3), REIN_BAND_IDLE);
	rein_config_free(c);
}
TEST_END

TEST(what_policies_are_told)
{
	struct rein_config *c = load("[policy fair]\n"
	                             "quantum = 5ms\n"
	                             "switch_cost = 0\n"
	                             "[daemon]\n"
	                             "ageing = 70ms\n"
	                             "[policy classes]\n"
	                             "quantum = 7ms\n"
	                             "overload = degrade\n"
	                             "reclaim = no\n"
	                             "realtime = cbs\n"
	                             "batch = fair\n"
	                             "cap_realtime = 80% per 500ms\n"
	                             "cap_batch = 100%\n");
	const struct rein_policy_params *p = rein_config_params(c, rein_policy_find("fair"));
	ck_assert(p->quantum_ns == 5000000 && p->switch_ns == 0);
	ck_assert(p->reaction_ns == REIN_ADMISSION_REACTION_NS);
	p = rein_config_params(c, rein_policy_find("classes"));
	ck_assert(p->quantum_ns == 7000000 && p->overload == REIN_OVERLOAD_DEGRADE);
	ck_assert(p->no_reclaim && p->ageing_ns == 70000000);
	ck_assert_ptr_eq(p->inner[REIN_BAND_REALTIME], rein_policy_find("cbs"));
	ck_assert_ptr_eq(p->inner[REIN_BAND_BATCH], rein_policy_find("fair"));
	ck_assert_ptr_null(p->inner[REIN_BAND_IDLE]);
	ck_assert_uint_eq(p->cap_permille[REIN_BAND_REALTIME], 800);
	ck_assert_uint_eq(p->cap_permille[REIN_BAND_BATCH], 0);
	ck_assert(p->cap_period_ns == 500000000 && p->switch_ns == REIN_ADMISSION_SWITCH_NS);
	p = rein_config_params(c, rein_policy_find("prio"));
	ck_assert(p->ageing_ns == 70000000);
	/* not of the table: nothing is known of it */
	static const struct rein_policy_ops other = {.name = "other"};
	ck_assert(rein_config_params(c, &other)->switch_ns == 0);
	rein_config_free(c);
}
TEST_END

TEST(the_example_in_packaging_is_good)
{
	struct rein_config *c = NULL;
	int result = rein_config_load(&c, "packaging/rein.conf", err, sizeof(err));
	ck_assert_msg(result == 0, "%s", err);
	ck_assert_ptr_nonnull(rein_config_class(c, REIN_CLASS_DEFAULT));
	ck_assert_ptr_nonnull(c->classes->hh.next);
	rein_config_free(c);
}
TEST_END

/* text → the error line, without the directory */
static const struct {
	const char *text, *error;
} bad[] = {
    {"[class x]\nprioritty = 3\n",
     "rein.conf:2: unknown key 'prioritty' in [class x]; accepted: priority, weight, latency_nice, "
     "band, deadline, period, budget, budget_mode, backlog, backlog_launches, linger, patience, "
     "gate, sms, cupti"},
    {"[class x]\ncupti = maybe\n", "rein.conf:2: unknown cupti 'maybe'; accepted: on, off"},
    {"[class x]\nsms = 0\n", "rein.conf:2: bad sms '0'; accepted: all, 1 to 65535, 1% to 100%, "
                             "each with ' shared' or ' long' if wanted"},
    {"[daemon]\npolicyy=1\n", "rein.conf:2: unknown key 'policyy' in [daemon]; accepted: policy, "
                              "mode, events, gates, ageing, bpf, metrics"},
    {"[daemon]\nmetrics = 10.0.0.1:9464\n",
     "rein.conf:2: bad metrics: '10.0.0.1:9464' can be reached from other machines; accepted: off, "
     "unix:/path, 127.0.0.1:PORT, [::1]:PORT"},
    {"[daemon]\ngates = launch, quue\n",
     "rein.conf:2: unknown gate 'quue'; accepted: launch, queue, context"},
    {"[rule r]\n\nexec = /x\n",
     "rein.conf:3: unknown key 'exec' in [rule r]; accepted: exe, user, class"},
    {"[klass x]\n", "rein.conf:1: unknown section [klass x]; accepted: [daemon], [class NAME], "
                    "[rule NAME], [policy NAME]"},
    {"priority = 3\n", "rein.conf:1: 'priority' stands before any section; accepted: [daemon], "
                       "[class NAME], [rule NAME], [policy NAME]"},
    {"[class ]\n", "rein.conf:1: bad name in [class ]; accepted: 1 to 31 letters, digits, '_', "
                   "'.', '-'"},
    {"[class a b]\n", "rein.conf:1: bad name in [class a b]; accepted: 1 to 31 letters, digits, "
                      "'_', '.', '-'"},
    {"[class x]\npriority = 100\n", "rein.conf:2: bad priority '100'; accepted: a whole number "
                                    "from 0 to 99 (higher is more urgent)"},
    {"[class x]\npriority = -1\n", "rein.conf:2: bad priority '-1'; accepted: a whole number "
                                   "from 0 to 99 (higher is more urgent)"},
    {"[class x]\npriority = high\n", "rein.conf:2: bad priority 'high'; accepted: a whole number "
                                     "from 0 to 99 (higher is more urgent)"},
    {"[class x]\npriority = \n", "rein.conf:2: bad priority ''; accepted: a whole number from 0 "
                                 "to 99 (higher is more urgent)"},
    {"[class x]\nweight = 0\n",
     "rein.conf:2: bad weight '0'; accepted: a whole number from 1 to 10000"},
    {"[class x]\nbacklog = 4\n", "rein.conf:2: bad backlog '4'; accepted: a time with its unit "
                                 "(ns, us, ms, s), 1us to 10s"},
    {"[class x]\nbacklog = 11s\n", "rein.conf:2: bad backlog '11s'; accepted: a time with its "
                                   "unit (ns, us, ms, s), 1us to 10s"},
    {"[class x]\nlinger = 99999999999999999999s\n",
     "rein.conf:2: bad linger '99999999999999999999s'; accepted: a time with its unit (ns, us, "
     "ms, s), at most 1s"},
    {"[class x]\nlinger = 18446744073710s\n",
     "rein.conf:2: bad linger '18446744073710s'; accepted: a time with its unit (ns, us, ms, "
     "s), at most 1s"},
    {"[class x]\npatience = 1us\n", "rein.conf:2: bad patience '1us'; accepted: a time with its "
                                    "unit (ns, us, ms, s), 10ms to 60s"},
    {"[class x]\ngate = all\n", "rein.conf:2: unknown gate 'all'; accepted: work, implicit"},
    {"[class x]\nbacklog_launches = 0\n", "rein.conf:2: bad backlog_launches '0'; accepted: a "
                                          "whole number from 1 to 1000000"},
    {"[policy prio]\nquantum = 3ms\n",
     "rein.conf:2: unknown key 'quantum' in [policy prio]; accepted: ageing, switch_cost, "
     "reaction, timeslice"},
    {"[policy classes]\ncap_realtime = 80\n",
     "rein.conf:2: bad cap_realtime '80'; accepted: 1% to 100%, and if wanted its period, as in "
     "'80% per 1s' (10ms to 60s)"},
    {"[policy classes]\ncap_realtime = 80% per 1s\ncap_batch = 5% per 2s\n",
     "rein.conf:3: cap_batch: another cap has another period; all caps have one: say it once, or "
     "the same"},
    {"[policy edf]\noverload = panic\n",
     "rein.conf:2: unknown overload 'panic'; accepted: shed, degrade"},
    {"[policy cbs]\nreclaim = maybe\n", "rein.conf:2: bad reclaim 'maybe'; accepted: yes, no"},
    {"[policy fifo]\nswitch_cost = 1s\n", "rein.conf:2: bad switch_cost '1s'; accepted: a time "
                                          "with its unit (ns, us, ms, s), at most 100ms"},
    {"[class x]\nlatency_nice = 20\n", "rein.conf:2: bad latency_nice '20'; accepted: a whole "
                                       "number from -20 to 19 (lower is sooner)"},
    {"[class x]\nband = urgent\n", "rein.conf:2: unknown band 'urgent'; accepted: realtime, "
                                   "interactive, batch, idle"},
    {"[class x]\nbudget_mode = strict\n",
     "rein.conf:2: unknown budget_mode 'strict'; accepted: soft, hard"},
    {"[class x]\ndeadline = 0\n", "rein.conf:2: bad deadline '0'; accepted: a time with its unit "
                                  "(ns, us, ms, s), 100us to 3600s"},
    {"\n[class x]\ndeadline = 20ms\n",
     "rein.conf:2: [class x]: a deadline needs a period and a budget: nothing can be promised "
     "about requests of unknown number and length"},
    {"[class x]\nperiod = 20ms\n", "rein.conf:1: [class x]: a period needs a budget: the GPU time "
                                   "that one request takes"},
    {"[class x]\nperiod = 20ms\nbudget = 21ms\n",
     "rein.conf:1: [class x]: the budget is longer than the period"},
    {"[class x]\nperiod = 20ms\nbudget = 7ms\ndeadline=6ms\n",
     "rein.conf:1: [class x]: the budget is longer than the deadline"},
    {"[daemon]\nmode = fast\n",
     "rein.conf:2: unknown mode 'fast'; accepted: adaptive, spin, sleep"},
    {"[rule r]\nuser = nonesuch_user\nclass=default\n",
     "rein.conf:2: unknown user 'nonesuch_user'; accepted: a user name or a number"},
    {"[rule r]\nuser = 12x\nclass=default\n",
     "rein.conf:2: unknown user '12x'; accepted: a user name or a number"},
    {"\n[rule r]\nclass = default\n", "rein.conf:2: [rule r] needs exe, user or both"},
    {"[rule r]\nexe = x\n", "rein.conf:1: [rule r] needs class"},
    {"[rule r]\nexe = x\nclass = rt\n",
     "rein.conf:1: [rule r] names the unknown class 'rt'; add [class NAME] for it"},
    {"[rule r]\nexe =\nclass = default\n",
     "rein.conf:2: empty exe; accepted: a path or a file name, with * ? [] as in the shell"},
    {"[class x\n", "rein.conf:1: not understood; accepted: [section] or key = value"},
    {"[class x]\n\nfoo\n[bad]\n",
     "rein.conf:3: not understood; accepted: [section] or key = value"},
};

TEST(each_mistake_has_one_clear_line)
{
	for (unsigned i = 0; i < REIN_ARRAY_LEN(bad); i++) {
		struct rein_config *c = NULL;
		write_conf(bad[i].text, strlen(bad[i].text));
		ck_assert_int_eq(rein_config_load(&c, path, err, sizeof(err)), -EINVAL);
		ck_assert_ptr_null(c);
		const char *line = strstr(err, "rein.conf");
		ck_assert_msg(line && strcmp(line, bad[i].error) == 0, "%u: %s", i, err);
		ck_assert(line == err + strlen(path) - strlen("rein.conf"));
	}
}
TEST_END

TEST(files_that_are_no_text)
{
	struct rein_config *c = NULL;
	char text[400];
	write_conf("[daemon]\n\0x", 11);
	ck_assert_int_eq(rein_config_load(&c, path, err, sizeof(err)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err, ":2: not a text file: it holds a NUL byte"));

	memset(text, 'x', sizeof(text));
	write_conf(text, sizeof(text));
	ck_assert_int_eq(rein_config_load(&c, path, err, sizeof(err)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err, ":1: line too long; accepted: at most 196 characters"));

	ck_assert_int_eq(rein_config_load(&c, "/dev/zero", err, sizeof(err)), -EINVAL);
	ck_assert_str_eq(err, "/dev/zero:1: not a text file: it holds a NUL byte");
	ck_assert_int_eq(rein_config_load(&c, "/nonesuch/x", err, sizeof(err)), -ENOENT);
	ck_assert_str_eq(err,
	                 "cannot read the configuration /nonesuch/x: No such file or directory");
	ck_assert_int_lt(rein_config_load(&c, "/", err, sizeof(err)), 0);
	ck_assert_str_eq(err, "cannot read the configuration /: Is a directory");
	ck_assert_ptr_null(c);
}
TEST_END

/* A class' reservation is its members' right, and less of it. */
TEST(who_may_reserve)
{
	struct rein_config *c = load("[class v]\ndeadline=20ms\nperiod=33ms\nbudget=6ms\n"
	                             "[rule v]\nuser=1000\nclass=v\n");
	struct rein_identity member = {.uid = 1000}, other = {.uid = 7};
	struct rein_grant g;
	rein_grant(&g, c, &member, WISH("", REIN_PRIO_UNSET));
	ck_assert(g.timing.deadline_ns == 20000000 && g.band == REIN_BAND_REALTIME && g.declared);
	struct rein_wish less = *WISH("", REIN_PRIO_UNSET), more = less;
	less.timing = (struct rein_timing){25000000, 40000000, 6000000};
	more.timing = (struct rein_timing){20000000, 33000000, 6000001};
	rein_grant(&g, c, &member, &less);
	ck_assert(rein_timing_equal(&g.timing, &less.timing) && !g.text[0]);
	rein_grant(&g, c, &member, &more);
	ck_assert(g.timing.budget_ns == 6000000);
	ck_assert_ptr_nonnull(strstr(g.text, "a reservation needs root"));
	rein_grant(&g, c, &other, WISH("v", REIN_PRIO_UNSET));
	ck_assert_str_eq(g.class->name, "default");
	ck_assert(!rein_timing_any(&g.timing));
	rein_config_free(c);
}
TEST_END

TEST(a_line_of_the_longest_length_is_read)
{
	char text[300] = "[class x]\n#";
	size_t n = strlen(text);
	memset(text + n, 'c', 195);
	strcpy(text + n + 195, "\npriority = 7");
	struct rein_config *c = load(text);
	ck_assert_int_eq(rein_config_class(c, "x")->prio, 7);
	rein_config_free(c);
}
TEST_END

TEST(durations)
{
	static const struct {
		const char *text;
		int result;
		uint64_t ns;
	} cases[] = {{"0", 0, 0},
	             {"0s", 0, 0},
	             {"7ns", 0, 7},
	             {"200us", 0, 200000},
	             {"4ms", 0, 4000000},
	             {"1s", 0, 1000000000},
	             {"5 ms", 0, 5000000},
	             {"5", -EINVAL, 0},
	             {"", -EINVAL, 0},
	             {"-1ms", -EINVAL, 0},
	             {"1m", -EINVAL, 0},
	             {"1msx", -EINVAL, 0},
	             {"1.5ms", 0, 1500000},
	             {"11.75 ms", 0, 11750000},
	             {"0.1us", 0, 100},
	             {"0.000000001s", 0, 1},
	             {"1.50s", 0, 1500000000},
	             {"1.0ns", 0, 1},
	             {"1.5ns", -EINVAL, 0},
	             {"0.00000000005s", -EINVAL, 0},
	             {"0.0000000001s", -EINVAL, 0},
	             {"1.ms", -EINVAL, 0},
	             {".5ms", -EINVAL, 0},
	             {"1.5", -EINVAL, 0},
	             {"0.0", -EINVAL, 0},
	             {"1.5.5ms", -EINVAL, 0},
	             {"1e3ms", -EINVAL, 0},
	             {"18446744073.8s", -EINVAL, 0},
	             {"18446744073709551615s", -EINVAL, 0}};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(cases); i++) {
		uint64_t ns = 0;
		ck_assert_int_eq(rein_duration_parse(cases[i].text, &ns), cases[i].result);
		if (!cases[i].result)
			ck_assert(ns == cases[i].ns);
	}
}
TEST_END

TEST(the_first_rule_that_matches_gives_the_class)
{
	struct rein_config *c = load("[class a]\n[class b]\n[class c]\n[class d]\n"
	                             "[rule 1]\nexe=/opt/*/serve\nuser=1000\nclass=a\n"
	                             "[rule 2]\nexe=serve\nclass=b\n"
	                             "[rule 3]\nuser=1001\nclass=c\n"
	                             "[rule 4]\nexe=s*\nclass=d\n");
	static const struct {
		const char *exe;
		uid_t uid;
		const char *class_name;
	} cases[] = {
	    {"/opt/x/serve", 1000, "a"}, {"/opt/x/serve", 5, "b"}, {"/bin/serve", 1000, "b"},
	    {"/bin/other", 1001, "c"},   {"/bin/sh", 3, "d"},      {"/serve/other", 3, "default"},
	    {"", 3, "default"},          {"", 1001, "c"},
	};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(cases); i++)
		ck_assert_str_eq(rein_config_match(c, cases[i].exe, cases[i].uid)->name,
		                 cases[i].class_name);
	rein_config_free(c);
}
TEST_END

TEST(who_is_granted_what)
{
	struct rein_config *c = load("[class low]\npriority=5\n[class mid]\npriority=20\n"
	                             "[class top]\npriority=80\n[class heavy]\nweight=500\n"
	                             "[rule m]\nuser=1000\nclass=mid\n");
	// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
	static const struct {
		uid_t uid;
		bool privileged;
		const char *class_name;
		int prio, granted;
		const char *granted_class;
		bool told;
	} cases[] = {
	    /* nobody special */
	    {7, false, "", REIN_PRIO_UNSET, 0, "default", false},
	    {7, false, "", 0, 0, "default", false},
	    {7, false, "", 1, 0, "default", true},
	    {7, false, "", 99, 0, "default", true},
	    {7, false, "low", REIN_PRIO_UNSET, 0, "default", true},
	    {7, false, "heavy", REIN_PRIO_UNSET, 0, "default", true},
	    /* a rule grants mid: lowering is free, raising is not */
	    {1000, false, "", REIN_PRIO_UNSET, 20, "mid", false},
	    {1000, false, "", 3, 3, "mid", false},
	    {1000, false, "", 21, 20, "mid", true},
	    {1000, false, "low", REIN_PRIO_UNSET, 5, "low", false},
	    {1000, false, "low", 20, 20, "low", false},
	    {1000, false, "top", REIN_PRIO_UNSET, 20, "mid", true},
	    {1000, false, "top", 10, 10, "mid", true},
	    /* root, the daemon's user, the group */
	    {7, true, "", 99, 99, "default", false},
	    {7, true, "top", REIN_PRIO_UNSET, 80, "top", false},
	    {7, true, "top", 90, 90, "top", false},
	    {7, true, "heavy", 0, 0, "heavy", false},
	};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(cases); i++) {
		struct rein_identity who = {.uid = cases[i].uid, .privileged = cases[i].privileged};
		struct rein_grant g;
		rein_grant(&g, c, &who, WISH(cases[i].class_name, cases[i].prio));
		ck_assert_int_eq(g.err, 0);
		ck_assert_msg(g.prio == cases[i].granted, "%u: %d", i, g.prio);
		ck_assert_str_eq(g.class->name, cases[i].granted_class);
		ck_assert_int_eq(g.text[0] != 0, cases[i].told);
	}
	struct rein_identity nobody = {.uid = 7};
	struct rein_grant g;
	/* timing, weight, latency_nice: the same rule */
	struct rein_wish wish = {.class_name = "",
	                         .prio = REIN_PRIO_UNSET,
	                         .weight = 100,
	                         .latency_nice = 5,
	                         .timing = {.period_ns = 9000000, .budget_ns = 1000000}};
	rein_grant(&g, c, &nobody, &wish);
	ck_assert(g.weight == 100 && g.latency_nice == 5 && !rein_timing_any(&g.timing));
	ck_assert_str_eq(g.text, "a reservation needs root, the daemon's user, group rein or a "
	                         "rule; granted none");
	ck_assert(!g.declared && g.band == REIN_BAND_BATCH);
	wish.latency_nice = -1;
	wish.weight = 101;
	rein_grant(&g, c, &nobody, &wish);
	ck_assert(g.weight == 100 && g.latency_nice == 0);
	ck_assert_ptr_nonnull(strstr(g.text, "weight 101 needs root"));
	struct rein_identity root = {.uid = 7, .privileged = true};
	rein_grant(&g, c, &root, &wish);
	ck_assert(g.weight == 101 && g.latency_nice == -1 && g.timing.budget_ns == 1000000);
	ck_assert(g.declared && g.band == REIN_BAND_REALTIME && !g.text[0]);
	rein_grant(&g, c, &nobody, WISH("", 50));
	ck_assert_str_eq(g.text, "priority 50 needs root, the daemon's user, group rein or a rule; "
	                         "granted 0");
	rein_grant(&g, c, &nobody, WISH("", 100));
	ck_assert_int_eq(g.err, -EINVAL);
	ck_assert_str_eq(g.text,
	                 "priority 100 does not exist; accepted: 0 to 99, higher is more urgent");
	rein_grant(&g, c, &nobody, WISH("nope", REIN_PRIO_UNSET));
	ck_assert_int_eq(g.err, -EINVAL);
	ck_assert_str_eq(g.text, "unknown class 'nope'; known: default, low, mid, top, heavy");
	rein_config_free(c);
}
TEST_END

TESTS("config", empty_gives_the_default_class, everything_that_can_be_said, what_classes_reserve,
      what_policies_are_told, the_example_in_packaging_is_good, each_mistake_has_one_clear_line,
      files_that_are_no_text, a_line_of_the_longest_length_is_read, durations, who_may_reserve,
      the_first_rule_that_matches_gives_the_class, who_is_granted_what)
