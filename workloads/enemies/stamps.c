// SPDX-License-Identifier: Apache-2.0
/* stamps.c: see stamps.h. */
#include "stamps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../gpu/lib/gpuclock.h"

#define ROOM (1u << 20) /* kernels: 16 MiB; a minute of 60 us */

WL_EMBED(gpu_kernels, GPU_FATBIN);

static struct wl_gpuclock gpuclock;
static CUdeviceptr stamps;

static CUdeviceptr global(const struct wl_gpu *gpu, const char *name)
{
	CUdeviceptr at;
	size_t bytes;
	WL_CU(cuModuleGetGlobal, &at, &bytes, gpu->module, name);
	return at;
}

static void compare_clocks(void)
{
	int e = wl_gpuclock_sync(&gpuclock);
	if (e == 0)
		return;
	fprintf(stderr, "%s: --stamps: the GPU's clock does not answer: %s\n",
	        program_invocation_short_name, strerror(-e));
	exit(1);
}

void enemy_stamps_begin(const struct wl_gpu *gpu)
{
	CUmodule module;
	CUfunction clock;
	uint32_t room = ROOM;
	WL_CU(cuModuleLoadData, &module, gpu_kernels);
	WL_CU(cuModuleGetFunction, &clock, module, "gate_clock");
	wl_gpuclock_init(&gpuclock, clock);
	compare_clocks();
	uint64_t *empty = malloc(ROOM * 2 * sizeof(uint64_t));
	for (uint32_t i = 0; empty && i < ROOM; i++) {
		empty[2 * i] = UINT64_MAX;
		empty[2 * i + 1] = 0;
	}
	if (!empty) {
		fprintf(stderr, "%s: no memory for stamps\n", program_invocation_short_name);
		exit(1);
	}
	WL_CU(cuMemAlloc, &stamps, ROOM * 2 * sizeof(uint64_t));
	WL_CU(cuMemcpyHtoD, stamps, empty, ROOM * 2 * sizeof(uint64_t));
	WL_CU(cuMemcpyHtoD, global(gpu, "stamps_at"), &stamps, sizeof(stamps));
	WL_CU(cuMemcpyHtoD, global(gpu, "stamps_room"), &room, sizeof(room));
	WL_CU(cuCtxSynchronize);
	free(empty);
}

int enemy_stamps_write(const struct wl_gpu *gpu, const char *path)
{
	uint32_t used;
	WL_CU(cuMemcpyDtoH, &used, global(gpu, "stamps_used"), sizeof(used));
	compare_clocks();
	if (used >= ROOM)
		fprintf(stderr, "%s: --stamps: only the first %u kernels are told\n",
		        program_invocation_short_name, ROOM);
	uint64_t *s = malloc(((size_t)used + 1) * 2 * sizeof(uint64_t));
	FILE *f = s ? fopen(path, "we") : NULL;
	bool good = f != NULL;
	if (good && used)
		WL_CU(cuMemcpyDtoH, s, stamps, (size_t)used * 2 * sizeof(uint64_t));
	for (uint32_t i = 0; good && i < used; i++)
		good = fprintf(f, "%d %" PRIu64 " %" PRIu64 "\n", (int)getpid(),
		               wl_gpuclock_host_ns(&gpuclock, s[2 * i]),
		               wl_gpuclock_host_ns(&gpuclock, s[2 * i + 1])) > 0;
	if (f && fclose(f))
		good = false;
	if (!good)
		fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path,
		        strerror(errno));
	free(s);
	return good ? 0 : -1;
}
