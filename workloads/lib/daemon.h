// SPDX-License-Identifier: Apache-2.0
/*
 * daemon.h: a private reind for the demo and the bench: its own run directory, its own small
 * configuration, a child of ours. Whatever daemon the machine runs is left alone.
 */
#ifndef WORKLOADS_LIB_DAEMON_H
#define WORKLOADS_LIB_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "child.h"

struct wl_daemon {
	const char *build, *run; /* folders: of the products; private, existing */
	const char *config;      /* more lines of rein.conf; NULL: none */
	struct wl_child child;   /* reind */
	struct wl_child tool;    /* the last `rein …`: its output */
	char why[256];           /* after a failure: one line */
};

/* All return 0, or -1 with `why` set; a signal that interrupts gives -1 with an empty `why`.
 * env: as wl_child_start's, REIN_RUN_DIR is added. */
int wl_daemon_start(struct wl_daemon *d, char *const env[]);
/* Runs `rein WORD1 [WORD2]` to its end. */
int wl_daemon_ask(struct wl_daemon *d, const char *word1, const char *word2);
/* Are all these processes its clients? */
int wl_daemon_has(struct wl_daemon *d, const pid_t *pid, size_t n);

/* Which gates may hold a program on this GPU, as `rein status --json` lists them. */
struct wl_gates {
	bool launch, queue, context;
};
int wl_daemon_gates(struct wl_daemon *d, struct wl_gates *gates);
/* What held one of its clients so far, as `rein ps --json` counts it. */
struct wl_held {
	uint64_t launch_waits;  /* launches that waited at the gate */
	uint64_t points;        /* put into the GPU's queue */
	uint64_t context_holds; /* times its contexts were taken off the GPU */
};
int wl_daemon_held(struct wl_daemon *d, pid_t pid, struct wl_held *held);
/* Ends it; it must end well. */
int wl_daemon_stop(struct wl_daemon *d);

/* A run directory in `out`, or, where its path would be too long for a socket, a fresh one in
 * /tmp, which wl_run_folder_remove() removes. 0, or -1 after one line on stderr. */
int wl_run_folder(const char *out, char *run, size_t len);
void wl_run_folder_remove(const char *out, const char *run);

/* mkdir -p. 0, or -1 after one line on stderr. */
int wl_make_folder(const char *path);

#endif
