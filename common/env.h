// SPDX-License-Identifier: Apache-2.0
/*
 * env.h: every environment variable that the shim, the daemon and the tools read: the one table.
 * getenv() is called in env.c only; tests compare the table with the man page
 * (tools/man/rein-environment.7.scd) and look for getenv() elsewhere. The software GPU's variables
 * are its own (docs/softgpu.md).
 *
 * A row: id, name, who reads it, default, what it is.
 */
#ifndef REIN_COMMON_ENV_H
#define REIN_COMMON_ENV_H

#include <stdbool.h>

#define REIN_ENV_TABLE(X)                                                                          \
	X(BUDGET, "REIN_BUDGET", "librein.so, rein run", "the class'",                             \
	  "the GPU time that one request takes at most, as 6ms; with REIN_PERIOD")                 \
	X(CLASS, "REIN_CLASS", "librein.so, rein run", "by the rules of rein.conf",                \
	  "the class that the program asks for")                                                   \
	X(CUPTI, "REIN_CUPTI", "librein.so", "the program's, else found by the loader",            \
	  "CUPTI's library, for GPU times (cupti = on, rein trace --cupti)")                       \
	X(DEADLINE, "REIN_DEADLINE", "librein.so, rein run", "none",                               \
	  "how long after its arrival a request is due; with REIN_PERIOD and REIN_BUDGET")         \
	X(DISABLE, "REIN_DISABLE", "librein.so", "0",                                              \
	  "anything but 0: the preloaded library does nothing at all")                             \
	X(DRIVER, "REIN_DRIVER", "the stand-in libcuda.so.1", "found by the loader",               \
	  "the driver's library behind the stand-in")                                              \
	X(JOB, "REIN_JOB", "librein.so, rein run", "none",                                         \
	  "programs of one user that name the same job run together or not at all")                \
	X(LATENCY_NICE, "REIN_LATENCY_NICE", "librein.so, rein run", "the class'",                 \
	  "how soon its turn comes, -20 (soonest) to 19, under the policy fair")                   \
	X(LIB, "REIN_LIB", "rein run", "beside rein, then ../lib/rein",                            \
	  "the librein.so to preload")                                                             \
	X(LOG, "REIN_LOG", "librein.so, reind, rein", "error; reind: info",                        \
	  "how much is said on stderr: error, warn, info or debug")                                \
	X(NAME, "REIN_NAME", "librein.so, rein run", "the program's",                              \
	  "the name that rein ps shows")                                                           \
	X(PERIOD, "REIN_PERIOD", "librein.so, rein run", "the class'",                             \
	  "the least time between two requests, as 33ms; with REIN_BUDGET")                        \
	X(PRIO, "REIN_PRIO", "librein.so, rein run", "the class'",                                 \
	  "the priority that the program asks for, 0 (best effort) to 99 (most urgent)")           \
	X(PROFILE, "REIN_PROFILE", "reind", "by GPU and driver, in /var/lib/rein",                 \
	  "the one profile to read, as rein calibrate writes it")                                  \
	X(RUN_DIR, "REIN_RUN_DIR", "librein.so, reind, rein",                                      \
	  "/run/rein for root, else $XDG_RUNTIME_DIR/rein, else /tmp/rein-UID",                    \
	  "where the sockets are")                                                                 \
	X(SMS, "REIN_SMS", "librein.so, rein run", "the class'",                                   \
	  "how many of the GPU's SMs it is to have, as 32, 25% or '75% shared'")                   \
	X(WEIGHT, "REIN_WEIGHT", "librein.so, rein run", "the class'",                             \
	  "its part among equals, 1 to 10000")                                                     \
	X(LAUNCH_BLOCKING, "CUDA_LAUNCH_BLOCKING", "librein.so", "not set",                        \
	  "CUDA's: unless 0, launches wait for their kernels; the daemon is woken before")         \
	X(MPS_PERCENTAGE, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "rein run", "not set",              \
	  "MPS's: the part of the SMs that a program may use; set for --sms where MPS runs")       \
	X(MPS_PIPES, "CUDA_MPS_PIPE_DIRECTORY", "rein run", "/tmp/nvidia-mps",                     \
	  "MPS's: where its control daemon listens")                                               \
	X(JOURNAL_STREAM, "JOURNAL_STREAM", "reind", "not set",                                    \
	  "set by systemd: the log's lines begin with their priority")                             \
	X(LD_LIBRARY_PATH, "LD_LIBRARY_PATH", "rein run, the stand-in libcuda.so.1", "not set",    \
	  "where libraries are looked for; with --softgpu or --stand-in its folder is put first")  \
	X(LD_PRELOAD, "LD_PRELOAD", "rein run", "not set",                                         \
	  "librein.so is put first, but for --stand-in")                                           \
	X(NO_COLOR, "NO_COLOR", "rein", "not set", "if not empty, no colours")                     \
	X(NOTIFY_SOCKET, "NOTIFY_SOCKET", "reind", "not set",                                      \
	  "set by systemd: where readiness is told")                                               \
	X(NVTX_INJECTION, "NVTX_INJECTION64_PATH", "rein run", "not set",                          \
	  "the library that gets the program's NVTX ranges: librein.so, unless it is set")         \
	X(PATH, "PATH", "rein", "/bin:/usr/bin", "where programs, and reind, are looked for")      \
	X(TERM, "TERM", "rein", "not set", "the terminal, for colours and rein top")               \
	X(WATCHDOG_PID, "WATCHDOG_PID", "reind", "not set",                                        \
	  "set by systemd: the process that is watched")                                           \
	X(WATCHDOG_USEC, "WATCHDOG_USEC", "reind", "not set",                                      \
	  "set by systemd: how often reind must give a sign of life")                              \
	X(XDG_RUNTIME_DIR, "XDG_RUNTIME_DIR", "librein.so, reind, rein", "not set",                \
	  "the user's run directory, for REIN_RUN_DIR's default")

#define REIN_ENV_ID(id, name, who, fallback, what) REIN_ENV_##id,
enum rein_env_id { REIN_ENV_TABLE(REIN_ENV_ID) REIN_ENV_COUNT };
#undef REIN_ENV_ID

struct rein_env_row {
	const char *name, *who, *fallback, *what;
};
extern const struct rein_env_row rein_env_table[REIN_ENV_COUNT];

/* Its value, as getenv() gives it; NULL: not set. */
const char *rein_env(enum rein_env_id id);
/* The same, but NULL if it is empty too. */
const char *rein_env_filled(enum rein_env_id id);

/* The kill switch. Read once in a process; errno kept. */
bool rein_env_disabled(void);

#endif
