// SPDX-License-Identifier: Apache-2.0
/*
 * rig.h: one daemon, one software GPU and any number of CUDA programs, private to one test: own
 * run directory, own shared device. Everything it started is gone at the test's end.
 */
#ifndef REIN_TESTS_RIG_H
#define REIN_TESTS_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "tests/harness.h"

struct rig {
	char dir[64];     /* run directory and scratch */
	char env[8][600]; /* REIN_RUN_DIR, SOFTGPU_SHM, LD_LIBRARY_PATH, SOFTGPU_TIMES … */
	struct proc daemon;
};

/* `times`: SOFTGPU_TIMES for the programs; NULL: executed and timed by instruction count. */
void rig_init(struct rig *r, const char *times);
void rig_fini(struct rig *r);
/* A foreground daemon; returns when it listens. With: `more` options, NULL-terminated. */
void rig_daemon(struct rig *r);
void rig_daemon_with(struct rig *r, char *const more[]);
/* A program of workloads/ or tests/clients/ with its arguments, under the shim with this
 * priority (-1: without the shim). `name` is both the file below build/ and REIN_NAME's tail. */
struct proc rig_start(struct rig *r, int prio, const char *program, const char *args);
/* `rein CMD… --json` parsed; NULL if it failed. The caller decrefs. */
json_t *rig_rein(struct rig *r, const char *args);
/* Waits until the client with this pid is in the wanted state ("running", "waiting", …; "" = is
 * a client at all; NULL = is no client); fails the test after timeout_ms. */
void rig_expect_state(struct rig *r, pid_t pid, const char *state, int timeout_ms);
/* A counter of a client from `rein ps`; -1 if it is none. */
int64_t rig_counter(struct rig *r, pid_t pid, const char *field);
/* Waits until the counter exceeds `above`. */
void rig_expect_progress(struct rig *r, pid_t pid, const char *field, int64_t above,
                         int timeout_ms);
/* Reads a whole file; length out; the caller frees. NULL if it cannot be read. */
char *rig_read(const char *path, size_t *len);

#endif
