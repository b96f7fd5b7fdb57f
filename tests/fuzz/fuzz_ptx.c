// SPDX-License-Identifier: Apache-2.0
/* fuzz_ptx.c: any bytes as PTX text: load, and run each kernel that loads on one small block. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "softgpu/ptx.h"
#include "softgpu/ptx_texture.h"

static char arena[1 << 16] __attribute__((aligned(64)));

static bool check(void *self, uint64_t addr, uint64_t size, uint64_t *lo, uint64_t *hi)
{
	*lo = (uint64_t)(uintptr_t)arena;
	*hi = *lo + sizeof(arena);
	return addr >= *lo && addr < *hi && size <= *hi - addr;
}

static void *take(void *self, size_t size, size_t align)
{
	return size > (1 << 20) ? NULL : aligned_alloc(64, (size + 63) / 64 * 64);
}

static void give(void *self, void *ptr)
{
	free(ptr);
}

/* Any handle but 0 is an image, of a kind that its bits say; parameters are one by their address.
 */
static bool image(void *self, uint64_t handle, bool surface, struct ptx_image *out)
{
	*out = (struct ptx_image){.channels = (uint8_t)(1u << (handle >> 4) % 3),
	                          .bytes = (uint8_t)(1u << (handle >> 6) % 3),
	                          .texel = (enum ptx_texel)((handle >> 8) % 3),
	                          .n_levels = 1 + (handle >> 10) % 3,
	                          .rows = handle >> 12 & 1,
	                          .cube = handle >> 13 & 1,
	                          .layered = handle >> 14 & 1,
	                          .linear = handle >> 15 & 1,
	                          .normalized = handle & 1,
	                          .mip_linear = handle >> 1 & 1,
	                          .seamless = handle >> 2 & 1,
	                          .promoted = handle >> 3 & 1,
	                          .max_lod = 9};
	if (out->texel == PTX_TEXEL_FLOAT && out->bytes == 1)
		out->bytes = 4;
	for (unsigned i = 0; i < 3; i++)
		out->border[i] = (enum ptx_border)((handle >> (2 * i)) % 4);
	for (unsigned i = 0; i < out->n_levels; i++)
		out->level[i] =
		    (struct ptx_level){(uint64_t)(uintptr_t)arena, 8u >> i, 8u >> i, 6, 256, 2048};
	return handle != 0;
}

/* A kernel with an endless loop is legal: give its launch no thread that could enter one, by
 * running only kernels whose text has no backward branch. */
static bool may_loop(const char *text, size_t len)
{
	return memmem(text, len, "bra", 3) || memmem(text, len, "call", 4) ||
	       memmem(text, len, "brx", 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ptx_memory mem = {.check = check, .alloc = take, .free = give, .image = image};
	struct ptx_module *m = NULL;
	struct ptx_error err = {0};
	if (ptx_module_load((const char *)data, len, &mem, &m, &err) != PTX_OK)
		return 0;
	for (unsigned i = 0; i < ptx_kernel_count(m) && !may_loop((const char *)data, len); i++) {
		struct ptx_kernel *k = ptx_kernel_at(m, i);
		uint32_t bytes = ptx_kernel_info(k)->param_bytes;
		void *params = calloc(1, bytes ? bytes : 1);
		struct ptx_launch l = {.grid = {2, 1, 1},
		                       .block = {40, 1, 1},
		                       .params = params,
		                       .n_sms = 4,
		                       .max_workers = 1};
		struct ptx_result res;
		for (uint32_t at = 0; params && at + 8 <= bytes; at += 8)
			memcpy((char *)params + at, &(uint64_t){(uintptr_t)arena}, 8);
		if (params)
			(void)ptx_run(k, &l, &mem, &res, &err);
		free(params);
	}
	ptx_module_free(m);
	return 0;
}
