// SPDX-License-Identifier: Apache-2.0
/*
 * stamps.h: when kernels ran, as the kernels themselves noted it (kernels.cu): %globaltimer at the
 * begin of the first block and at the end of the last one, told as times of CLOCK_MONOTONIC. On the
 * software GPU these are times of execution, not of its model: its logs have those.
 *
 * The GPU's clock is compared with the host's in both calls; nobody else should use the GPU then.
 */
#ifndef WORKLOADS_ENEMIES_STAMPS_H
#define WORKLOADS_ENEMIES_STAMPS_H

#include "../lib/gpu.h"

/* From now on kernels that stamp do so. Ends the program if CUDA fails or the clock does not
 * answer. */
void enemy_stamps_begin(const struct wl_gpu *gpu);
/* After all kernels have ended: a line "pid begin_ns end_ns" for each, in their order, as the
 * software GPU's owner log has them. 0, or -1 after one line on stderr. */
int enemy_stamps_write(const struct wl_gpu *gpu, const char *path);

#endif
