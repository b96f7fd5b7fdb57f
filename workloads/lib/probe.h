// SPDX-License-Identifier: Apache-2.0
/*
 * probe.h: is there a real GPU? Asked in a child process, so that a broken driver that crashes or
 * hangs harms nobody: the running program executes itself again with WL_PROBE_FLAG, without the
 * software GPU in LD_LIBRARY_PATH and without a preload, and there calls wl_probe_child().
 */
#ifndef WORKLOADS_LIB_PROBE_H
#define WORKLOADS_LIB_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#define WL_PROBE_FLAG "--probe-gpu"

/* The build folder of the running program, BUILD/workloads/PROGRAM. 0, or -1 after one line. */
int wl_build_folder(char *build, size_t len);
/* True, and its name, if a driver with a device is there. */
bool wl_probe_gpu(const char *build, char *name, size_t len);
/* The environment entry LD_LIBRARY_PATH=… as it is, but for folders within `build`. */
void wl_real_library_path(const char *build, char *entry, size_t len);
/* The child's part: prints the device's name. Its exit status. */
int wl_probe_child(void);

#endif
