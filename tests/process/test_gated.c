// SPDX-License-Identifier: Apache-2.0
/* Every way to submit waits at the closed gate, on the software GPU, on every kind of stream. */
#include "tests/process/puppet.h"

#include "interpose/shim.h"

TEST(real_work_on_every_kind_of_stream)
{
	puppet_expect_ok("tests/clients/gated", "calls", NULL);
}
TEST_END

/* All rows of the table that submit, by name. */
TEST(every_submitting_symbol)
{
	char path[200], args[256];
	snprintf(path, sizeof(path), "%s/names", temp_dir());
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	unsigned n = 0;
	for (int e = 0; e < REIN_E_COUNT; e++) {
		if (rein_entries[e].class_id > REIN_CLASS_ORDER)
			continue;
		fprintf(f, "%s\n", rein_entries[e].name);
		n++;
	}
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_uint_gt(n, 150);
	snprintf(args, sizeof(args), "names %s", path);
	puppet_expect_ok("tests/clients/gated", args, NULL);
	unlink(path);
}
TEST_END

TESTS("gated", real_work_on_every_kind_of_stream, every_submitting_symbol)
