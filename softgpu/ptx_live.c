// SPDX-License-Identifier: Apache-2.0
#include "ptx_dec.h"

uint32_t ptx_compact_registers(struct ptx_dec *d, uint32_t *estimate)
{
	*estimate = 32;
	return d->reg_bytes;
}
