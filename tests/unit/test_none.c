// SPDX-License-Identifier: Apache-2.0
/* What stands in for inih and jansson in builds without them: a clear no, and nothing worse. */
#include "tests/harness.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* beside the real ones; the archive holds one kind only */
#define rein_config_read_file none_read_file
#define rein_control_answer none_answer
#include "daemon/confread_none.c" // NOLINT(bugprone-suspicious-include)
#include "daemon/control_none.c"  // NOLINT(bugprone-suspicious-include)

TEST(a_configuration_is_refused_by_name)
{
	char err[REIN_CONFIG_ERROR_LEN];
	struct rein_config c = {0};
	ck_assert_int_eq(none_read_file(&c, "/etc/rein/x.conf", err, sizeof(err)), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err, "/etc/rein/x.conf"));
	ck_assert_ptr_nonnull(strstr(err, "libinih-dev"));
	ck_assert_ptr_null(strchr(err, '\n'));
	ck_assert_uint_eq(c.n_files, 0);
}
TEST_END

TEST(requests_get_a_well_formed_no)
{
	static const char *const requests[] = {"{\"op\":\"status\"}", "", "nonsense"};
	for (unsigned i = 0; i < 3; i++) {
		char *answer = none_answer(NULL, NULL, requests[i], strlen(requests[i]));
		json_t *root = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);
		ck_assert_ptr_nonnull(root);
		ck_assert_int_eq(json_integer_value(json_object_get(root, "schema_version")), 1);
		ck_assert(json_is_false(json_object_get(root, "ok")));
		ck_assert_str_eq(json_string_value(json_object_get(root, "code")), "ENOTSUP");
		ck_assert_ptr_nonnull(
		    strstr(json_string_value(json_object_get(root, "error")), "jansson"));
		json_decref(root);
		free(answer);
	}
}
TEST_END

TESTS("none", a_configuration_is_refused_by_name, requests_get_a_well_formed_no)
