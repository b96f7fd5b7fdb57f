// SPDX-License-Identifier: Apache-2.0
/* confread_none.c: instead of confread.c in builds without inih: the defaults stand, and a file
 * that was meant to count is an error, never passed over in silence. */
#include <errno.h>

#include "config_int.h"

int rein_config_read_file(struct rein_config *c, const char *path, char *err, size_t err_len)
{
	snprintf(err, err_len,
	         "cannot read the configuration %s: this reind was built without inih, which reads "
	         "such files; install libinih-dev and rebuild, or start it without that file",
	         path);
	return -ENOTSUP;
}
