// SPDX-License-Identifier: Apache-2.0
/* Work whose stream or context ends before it: the client becomes idle all the same. */
#include "tests/process/puppet.h"

#define CLIENT "tests/clients/ends"

TEST(streams_of_a_green_context)
{
	puppet_expect_ok(CLIENT, "green", NULL);
}
TEST_END

TEST(the_default_stream_of_a_green_context)
{
	puppet_expect_ok(CLIENT, "default", NULL);
}
TEST_END

TEST(primary_contexts)
{
	puppet_expect_ok(CLIENT, "primary", NULL);
}
TEST_END

TEST(contexts_one_after_the_other)
{
	puppet_expect_ok(CLIENT, "contexts", NULL);
}
TEST_END

TEST(streams_and_events_with_work_pending)
{
	puppet_expect_ok(CLIENT, "rings", NULL);
}
TEST_END

TESTS("ends", streams_of_a_green_context, the_default_stream_of_a_green_context, primary_contexts,
      contexts_one_after_the_other, streams_and_events_with_work_pending)
