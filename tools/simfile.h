// SPDX-License-Identifier: Apache-2.0
/*
 * simfile.h: a scenario for the simulator, read from an INI file: [sim] and one [client NAME] per
 * client (docs/simulator.md lists the keys). Every mistake is one line that names file and line.
 * One thread. The file owns everything it points to.
 */
#ifndef REIN_TOOLS_SIMFILE_H
#define REIN_TOOLS_SIMFILE_H

#include "../policy/sim/sim.h"

#define REIN_SIMFILE_POLICIES 256

struct rein_simfile {
	struct rein_sim_setup setup; /* without ops, observer, and seed beyond the file's */
	char policies[REIN_SIMFILE_POLICIES]; /* as written: names with commas */
	struct rein_sim_client *client;       /* = setup.client */
};

/* 0, or -errno with one line in `err`. */
REIN_MUST_CHECK int rein_simfile_read(struct rein_simfile *f, const char *path, char *err,
                                      size_t err_len);
void rein_simfile_free(struct rein_simfile *f);

#endif
