// SPDX-License-Identifier: Apache-2.0
/*
 * test_enemies.c: every enemy computes the same bits bare and under the shim while its gate opens
 * and closes at random, with a meter and without. Each checks its data against the host's
 * arithmetic; here its digests are compared as well, so that an error in that check would show.
 */
#include "tests/process/puppet.h"

#include <jansson.h>

#define WAIT_MS 60000

/* Small amounts of work, but many submissions. */
static const char *const runs[][2] = {
    {"long", "--work 2000 --iterations 20 --elements 4096"},
    {"short", "--work 20 --batch 300 --iterations 2 --elements 256"},
    {"persistent", "--work 150 --batch 10 --iterations 20 --elements 2048"},
    {"graph", "--work 14 --iterations 1 --elements 128"},
    {"bandwidth", "--work 100 --elements 8192"},
    {"copy", "--work 1000 --elements 4096"},
    {"cooperative", "--work 20 --batch 8 --iterations 4 --elements 1024"},
    {"streams", "--work 100 --iterations 4 --elements 1280"},
};
#define RUNS ((int)(sizeof(runs) / sizeof(runs[0])))

static char out[16384];

/* What the program printed: its JSON object, behind a line or two on stderr. */
static json_t *figures_of(const char *what)
{
	const char *begin = strstr(out, "{\n");
	json_t *o = begin ? json_loads(begin, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	ck_assert_msg(o != NULL, "%s: no figures in: %.2000s", what, out);
	ck_assert_msg(json_is_true(json_object_get(o, "checked")), "%s was not checked", what);
	return o;
}

static void command_of(int i, unsigned seed, char line[256])
{
	snprintf(line, 256, "--kind %s --check --seed %u %s", runs[i][0], seed, runs[i][1]);
}

/* Runs it without the shim; its exit status. */
static int run_bare(const char *args)
{
	char line[256], library[600], shm[64];
	char *argv[24] = {(char *)built("workloads/enemy")};
	char *env[] = {library, shm, "SOFTGPU_MODE=fast", ENV_NO_LEAK_CHECK, NULL};
	int n = 1;
	snprintf(library, sizeof(library), "LD_LIBRARY_PATH=%s", built("softgpu"));
	snprintf(shm, sizeof(shm), "SOFTGPU_SHM=test-enemies-%d", (int)getpid());
	snprintf(line, sizeof(line), "%s", args);
	for (char *w = strtok(line, " "); w && n < 23; w = strtok(NULL, " "))
		argv[n++] = w;
	return proc_run(argv, env, out, sizeof(out), WAIT_MS);
}

/* The digest of a run without the shim; the caller frees it. */
static char *bare(int i, unsigned seed)
{
	char line[256];
	command_of(i, seed, line);
	int rc = run_bare(line);
	ck_assert_msg(rc == 0, "%s: exit %d: %.2000s", runs[i][0], rc, out);
	json_t *o = figures_of(runs[i][0]);
	char *digest = strdup(json_string_value(json_object_get(o, "digest")));
	ck_assert_int_eq(json_integer_value(json_object_get(o, "units")),
	                 json_integer_value(json_object_get(o, "submitted")));
	json_decref(o);
	return digest;
}

static void same_under_the_shim(int i)
{
	struct puppet p;
	char line[256];
	char *alone = bare(i, 1), *other = bare(i, 2);
	ck_assert_str_ne(alone, other); /* a digest of nothing would be the same */
	command_of(i, 1, line);
	puppet_start(&p, "workloads/enemy", line, NULL);
	p.random = true;
	int rc = puppet_run(&p, out, sizeof(out));
	ck_assert_msg(rc == 0, "%s: exit %d: %.2000s", runs[i][0], rc, out);
	ck_assert_msg(p.clients == 1, "%s never joined", runs[i][0]);
	json_t *o = figures_of(runs[i][0]);
	const char *digest = json_string_value(json_object_get(o, "digest"));
	ck_assert_msg(strcmp(digest, alone) == 0, "%s: %s under the shim, %s alone", runs[i][0],
	              digest, alone);
	ck_assert_msg(rein_load_relaxed(&p.client[0].status->total.gate_waits) > 0,
	              "%s never waited at its gate", runs[i][0]);
	json_decref(o);
	free(alone);
	free(other);
}

TEST(same_bits_bare_and_gated)
{
	for (int i = 0; i < RUNS; i++)
		same_under_the_shim(i);
}
TEST_END

/* Its blocks see the host's word at different steps; each is right for its own. */
#ifndef __SANITIZE_THREAD__ /* there one round of its blocks takes minutes */
TEST(a_persistent_kernel_ends_when_told)
{
	int rc = run_bare("--kind persistent --seconds 0.2 --batch 1000000 --iterations 5 "
	                  "--elements 512 --check");
	ck_assert_msg(rc == 0, "exit %d: %.2000s", rc, out);
	json_t *o = figures_of("persistent");
	ck_assert(json_is_true(json_object_get(o, "ended_early")));
	json_decref(o);
}
TEST_END
#endif

TEST(stamps_tell_of_each_kernel_in_its_turn)
{
	char args[256], path[128];
	unsigned long long begin, end, last = 0;
	int pid, n = 0;
	snprintf(path, sizeof(path), "%s/stamps", temp_dir());
	snprintf(args, sizeof(args),
	         "--kind long --work 30 --batch 2 --iterations 5 --elements 1024 --stamps %s",
	         path);
	ck_assert_msg(run_bare(args) == 0, "%.2000s", out);
	FILE *f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	for (; fscanf(f, "%d %llu %llu", &pid, &begin, &end) == 3; n++, last = end) {
		ck_assert_msg(begin >= last && end >= begin, "kernel %d: %llu to %llu after %llu",
		              n, begin, end, last);
	}
	fclose(f);
	unlink(path);
	ck_assert_int_eq(n, 60);
}
TEST_END

/* Bad usage is one line that names the option, and status 2. */
static void refused(const char *args, const char *why)
{
	ck_assert_int_eq(run_bare(args), 2);
	ck_assert_msg(strstr(out, why) != NULL, "'%s': no '%s' in: %.1000s", args, why, out);
}

TEST(bad_usage_is_refused)
{
	refused("--kind giant", "accepted: long short persistent");
	refused("--work 3", "--kind is missing");
	refused("--kind streams --stamps /dev/null", "take no stamps");
	refused("--kind long --depth 0", "--depth: '0' is not an integer from 1 to");
}
TEST_END

#ifdef __SANITIZE_THREAD__
#define ENDS_WHEN_TOLD bad_usage_is_refused
#else
#define ENDS_WHEN_TOLD bad_usage_is_refused, a_persistent_kernel_ends_when_told
#endif

TESTS("enemies", same_bits_bare_and_gated, stamps_tell_of_each_kernel_in_its_turn, ENDS_WHEN_TOLD)
