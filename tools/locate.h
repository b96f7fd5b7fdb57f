// SPDX-License-Identifier: Apache-2.0
/*
 * locate.h: where things are on this machine: rein's own parts, beside the running binary (a
 * build folder) or in the folders of an installation, and programs, as execvp would find them.
 */
#ifndef REIN_TOOLS_LOCATE_H
#define REIN_TOOLS_LOCATE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "../common/util.h"

/* librein.so: $REIN_LIB, beside the binary, ../lib/rein. 0, or -ENOENT with the places that were
 * searched in `path`. */
REIN_MUST_CHECK int rein_cli_locate_library(char path[PATH_MAX]);

/* The stand-in libcuda.so.1: beside the binary, ../lib/rein/standin. Same results. */
REIN_MUST_CHECK int rein_cli_locate_standin(char path[PATH_MAX]);

/* The software GPU's folder: softgpu/ beside `library`. Same results. */
REIN_MUST_CHECK int rein_cli_locate_softgpu(const char *library, char path[PATH_MAX]);

/* reind: beside the binary, ../libexec/rein, ../sbin, $PATH. Same results. */
REIN_MUST_CHECK int rein_cli_locate_daemon(char path[PATH_MAX]);

/* The folder of the programs that ask a GPU something: gpu/ beside the binary, ../libexec/rein/gpu.
 * Same results. */
REIN_MUST_CHECK int rein_cli_locate_probes(char *path, size_t len);

/* The file that execvp(name) would run: 0, -ENOENT, -EACCES (found, but not executable), -EISDIR,
 * -ENAMETOOLONG. */
REIN_MUST_CHECK int rein_cli_locate_program(const char *name, char path[PATH_MAX]);

/* What /proc/PID/exe will say of whoever runs that file: the real path, of a script its
 * interpreter's. "" if it cannot be told. */
void rein_cli_locate_exe(const char *program, char *exe, size_t len);

/* Would running this file change the identity (set-uid, set-gid, file capabilities)? The loader
 * then ignores LD_PRELOAD. */
bool rein_cli_is_privileged(const char *path);

#endif
