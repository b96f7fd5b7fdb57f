// SPDX-License-Identifier: Apache-2.0
/*
 * test_dependent.c: an urgent program waits, with work on the GPU, for one that is held because of
 * it. Under every policy it goes on, and where the hold had to be opened for that it is reported.
 */
#include "tests/rig.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define WAIT_MS 20000
#define ROUNDS 3

static struct rig rig;

static void start_both(struct proc *server, struct proc *client, unsigned rounds)
{
	char ask[96], answer[96], args[256];
	snprintf(ask, sizeof(ask), "%s/ask", rig.dir);
	snprintf(answer, sizeof(answer), "%s/answer", rig.dir);
	ck_assert_int_eq(mkfifo(ask, 0600), 0);
	ck_assert_int_eq(mkfifo(answer, 0600), 0);
	snprintf(args, sizeof(args), "server %s %s", ask, answer);
	*server = rig_start(&rig, 0, "tests/clients/dependent", args);
	rig_expect_state(&rig, server->pid, "", WAIT_MS);
	snprintf(args, sizeof(args), "client %s %s %u", ask, answer, rounds);
	*client = rig_start(&rig, 50, "tests/clients/dependent", args);
	rig_expect_state(&rig, client->pid, "", WAIT_MS);
}

TEST(a_program_that_waits_for_a_held_one_goes_on)
{
	struct proc server, client;
	char out[8192], name[64];
	rig_init(&rig, NULL);
	rig_daemon(&rig);
	start_both(&server, &client, 10000);
	json_t *known = rig_rein(&rig, "policy"), *policy;
	size_t i;
	json_array_foreach(json_object_get(known, "available"), i, policy)
	{
		snprintf(name, sizeof(name), "policy %s",
		         json_string_value(json_object_get(policy, "name")));
		json_decref(rig_rein(&rig, name));
		int64_t before = rig_counter(&rig, client.pid, "requests");
		rig_expect_progress(&rig, client.pid, "requests", before + ROUNDS, WAIT_MS);
	}
	ck_assert_uint_ge(i, 2);
	json_decref(known);
	proc_kill(&client, SIGKILL);
	ck_assert_int_eq(proc_wait(&client, NULL, 0, WAIT_MS), 128 + SIGKILL);
	int status = proc_wait(&server, out, sizeof(out), WAIT_MS);
	ck_assert_msg(status == 0, "%s", out);
	rig_fini(&rig);
}
TEST_END

TEST(the_report_has_both_names)
{
	struct proc server, client;
	char out[8192], expected[128];
	rig_init(&rig, NULL);
	rig_daemon_with(&rig, (char *[]){"--policy", "prio", NULL});
	start_both(&server, &client, ROUNDS);
	int client_pid = client.pid, server_pid = server.pid;
	int status = proc_wait(&client, out, sizeof(out), WAIT_MS);
	ck_assert_msg(status == 0, "%s", out);
	ck_assert_int_eq(proc_wait(&server, NULL, 0, WAIT_MS), 0);
	proc_kill(&rig.daemon, SIGTERM);
	ck_assert_int_eq(proc_wait(&rig.daemon, out, sizeof(out), WAIT_MS), 0);
	snprintf(expected, sizeof(expected),
	         "opened the hold of dependent (pid %d) for dependent (pid %d)", server_pid,
	         client_pid);
	ck_assert_msg(strstr(out, expected) != NULL, "%s", out);
	rig_fini(&rig);
}
TEST_END

TESTS("waiting for a held program", a_program_that_waits_for_a_held_one_goes_on,
      the_report_has_both_names)
