// SPDX-License-Identifier: Apache-2.0
#include "env.h"

#include <stdlib.h>
#include <string.h>

#include "atomic.h"

#define ROW(id, name, who, fallback, what) {name, who, fallback, what},
const struct rein_env_row rein_env_table[REIN_ENV_COUNT] = {REIN_ENV_TABLE(ROW)};
#undef ROW

const char *rein_env(enum rein_env_id id)
{
	return getenv(rein_env_table[id].name);
}

const char *rein_env_filled(enum rein_env_id id)
{
	const char *value = rein_env(id);
	return value && *value ? value : NULL;
}

bool rein_env_disabled(void)
{
	static rein_a32 known; /* 0: not yet, 1: no, 2: yes */
	uint32_t state = rein_load_relaxed(&known);
	if (!state) {
		const char *off = rein_env_filled(REIN_ENV_DISABLE);
		state = off && strcmp(off, "0") != 0 ? 2 : 1;
		rein_store_relaxed(&known, state);
	}
	return state == 2;
}
