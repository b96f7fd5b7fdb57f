// SPDX-License-Identifier: Apache-2.0
/* fuzz_config.c: any bytes as rein.conf. Whatever is accepted must also match programs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char path[64], err[256] = "";
	struct rein_config *c = NULL;
	int fd = memfd_create("conf", 0);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (rein_config_load(&c, path, err, sizeof(err)) == 0) {
		if (!rein_config_match(c, "/usr/bin/python3", 0))
			abort(); /* never NULL */
		rein_config_free(c);
	} else if (!*err || strchr(err, '\n')) {
		abort(); /* an error is one line */
	}
	close(fd);
	return 0;
}
