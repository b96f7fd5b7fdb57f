// SPDX-License-Identifier: Apache-2.0
/*
 * test_preempted.c: every enemy computes the same bits alone and while it is preempted at random,
 * with all gates and short time slices, by the real daemon for a client that comes and goes
 * (hammer.h). REIN_PREEMPTIONS: how many for each enemy, at least (default 60).
 */
#include <jansson.h>

#include "tests/process/hammer.h"

static const char *const enemies[][2] = {
    {"long", "--work 100 --batch 10 --elements 1024"},
    {"short", "--work 20 --batch 300 --elements 256"},
    {"persistent", "--work 150 --batch 10 --elements 2048"},
    {"graph", "--work 14 --elements 128"},
    {"bandwidth", "--work 100 --elements 8192"},
    {"copy", "--work 1000 --elements 4096"},
    {"cooperative", "--work 20 --batch 8 --elements 1024"},
    {"streams", "--work 100 --elements 1280"},
};
#define ENEMIES (sizeof(enemies) / sizeof(enemies[0]))
#define ROUNDS_MAX 400

static struct rig rig;

static void begin(void)
{
	char path[128];
	rig_init(&rig, NULL);
	snprintf(path, sizeof(path), "%s/profile", rig.dir);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs("{\"profile_version\": 1, \"gpu\": \"*\", \"driver\": \"software\",\n"
	      " \"queue\": {\"works\": true, \"point_ns\": 3000, \"gives_up_slice\": true,\n"
	      "            \"waits_for_ever\": true},\n"
	      " \"context\": {\"recipe\": \"disable\", \"timeslice_us\": 200}}\n",
	      f);
	ck_assert_int_eq(fclose(f), 0);
	setenv("REIN_PROFILE", path, 1);
	setenv("SOFTGPU_RM", "1", 1);
	setenv("SOFTGPU_DEVICES", "2", 1);         /* as the hammer has it */
	setenv("SOFTGPU_OVERRUN_SLACK", "10s", 1); /* no figure is taken */
	rig_daemon(&rig);
}

/* The digest of one run, checked by the program too; the caller frees it. */
static char *run(size_t i, int prio)
{
	static char out[16384];
	char args[256];
	snprintf(args, sizeof(args), "--kind %s --check --seed 1 --iterations 2 %s", enemies[i][0],
	         enemies[i][1]);
	struct proc p = rig_start(&rig, prio, "workloads/enemy", args);
	int rc = proc_wait(&p, out, sizeof(out), WAIT_MS);
	ck_assert_msg(rc == 0, "%s: exit %d: %.2000s", enemies[i][0], rc, out);
	const char *at = strstr(out, "{\n");
	json_t *o = at ? json_loads(at, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	ck_assert_msg(o && json_is_true(json_object_get(o, "checked")), "%s: %.2000s",
	              enemies[i][0], out);
	char *digest = strdup(json_string_value(json_object_get(o, "digest")));
	json_decref(o);
	return digest;
}

TEST(same_bits_alone_and_preempted)
{
	const char *wish = getenv("REIN_PREEMPTIONS");
	uint64_t least = wish ? strtoull(wish, NULL, 10) : 60, all = 0;
	begin();
	hammer_join(&rig);
	for (size_t i = 0; i < ENEMIES; i++) {
		char *alone = run(i, -1); /* not under the shim */
		uint64_t before = hammer.blows;
		unsigned rounds = 0;
		hammer_swing();
		while (hammer.blows - before < least && rounds++ < ROUNDS_MAX) {
			char *now = run(i, 0);
			ck_assert_msg(strcmp(now, alone) == 0, "%s: %s preempted, %s alone",
			              enemies[i][0], now, alone);
			free(now);
		}
		rein_store_release(&hammer.stop, 1);
		ck_assert_int_eq(pthread_join(hammer.thread, NULL), 0);
		printf("%s: preempted up to %llu times in %u runs\n", enemies[i][0],
		       (unsigned long long)(hammer.blows - before), rounds);
		ck_assert_uint_ge(hammer.blows - before, least);
		all += hammer.blows - before;
		free(alone);
	}
	printf("%llu in all\n", (unsigned long long)all);
	close(hammer.raw.sock);
	rig_fini(&rig);
}
TEST_END

TESTS("preempted", same_bits_alone_and_preempted)
