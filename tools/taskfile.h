// SPDX-License-Identifier: Apache-2.0
/*
 * taskfile.h: a set of tasks on paper, read from an INI file: [policy] and one [task NAME] per task
 * (docs/admission.md lists the keys). Every mistake is one line that names file and line. One
 * thread. The names belong to the file.
 */
#ifndef REIN_TOOLS_TASKFILE_H
#define REIN_TOOLS_TASKFILE_H

#include "../policy/policy.h"

#define CLI_TASK_NAME_LEN 32

struct rein_taskfile {
	const struct rein_policy_ops *ops; /* NULL: not said */
	struct rein_policy_params params;
	struct rein_task task[REIN_POLICY_TASKS_MAX];
	char name[REIN_POLICY_TASKS_MAX][CLI_TASK_NAME_LEN];
	unsigned n;
};

/* Into *f, which is some 100 KiB. 0, or -errno with one line in `err`. */
REIN_MUST_CHECK int rein_taskfile_read(struct rein_taskfile *f, const char *path, char *err,
                                       size_t err_len);
/* "prio, edf, …": the names of all policies. */
void rein_taskfile_policies(char *list, size_t len);

#endif
