// SPDX-License-Identifier: Apache-2.0
/* What a program does to the descriptors of its process, on the software GPU. */
#include "tests/process/puppet.h"

#define CLIENT "tests/clients/descriptors"

/* The program looks at, and closes, what other threads have opened: that is the point. */
static char *const races[] = {"TSAN_OPTIONS=report_bugs=0", NULL};

TEST(the_standard_ones_are_the_programs)
{
	puppet_expect_ok(CLIENT, "stdio", races);
}
TEST_END

TEST(a_program_that_closes_all)
{
	struct puppet p;
	char out[4096];
	puppet_start(&p, CLIENT, "closes", races);
	int status = puppet_run(&p, out, sizeof(out));
	ck_assert_msg(status == 0, "exit %d: %s", status, out);
	ck_assert_uint_eq(p.clients, 2); /* it has joined again */
}
TEST_END

TEST(a_program_that_may_open_nothing)
{
	puppet_expect_ok(CLIENT, "no-files", races);
}
TEST_END

TESTS("descriptors", the_standard_ones_are_the_programs, a_program_that_closes_all,
      a_program_that_may_open_nothing)
