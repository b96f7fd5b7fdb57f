// SPDX-License-Identifier: Apache-2.0
/* tls_hog.c: a library that takes most of the room which the loader has for the threads' data of
 * libraries that come late, as allocators and OpenMP runtimes do. */

#include <string.h>

static __thread char data[1200] __attribute__((tls_model("initial-exec")));

char *tls_hog_data(void);
char *tls_hog_data(void)
{
	memset(data, 1, sizeof(data));
	return data;
}
