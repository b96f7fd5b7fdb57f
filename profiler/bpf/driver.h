// SPDX-License-Identifier: Apache-2.0
/*
 * driver.h: the driver library of another process: which file it has mapped, and where in it the
 * entry points are that tell of work. Both are that process' own doing, so nothing in them is
 * trusted: reads are bounded, and a file that makes no sense has no entry points.
 */
#ifndef REIN_BPF_DRIVER_H
#define REIN_BPF_DRIVER_H

#include <stdint.h>
#include <sys/types.h>

#include "../../common/util.h"

#define REIN_DRIVER_CALLS 24u

struct rein_driver_calls {
	unsigned n;
	uint64_t offset[REIN_DRIVER_CALLS]; /* in the file */
	uint64_t what[REIN_DRIVER_CALLS];   /* enum rein_bpf_what */
	uint8_t first[4]; /* bytes of the first one found: its first instruction */
};

/* The library that the process runs, open for reading: the very file, also in a container or when
 * it has been replaced since. -ENOENT: it has none mapped; other -errno. `proc`: "/proc". */
REIN_MUST_CHECK int rein_driver_open(const char *proc, pid_t pid);
/* Entry points of an ELF shared library. 0, or -errno: -ENOEXEC: it is none. */
REIN_MUST_CHECK int rein_driver_calls(int fd, struct rein_driver_calls *out);

#endif
