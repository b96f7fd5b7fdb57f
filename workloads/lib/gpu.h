// SPDX-License-Identifier: Apache-2.0
/*
 * gpu.h: the few lines of CUDA driver API that every workload starts with. A failure ends the
 * program with exit status 1 and one line, "NAME: cuFunction: CUDA_ERROR_X (what it means)".
 */
#ifndef WORKLOADS_LIB_GPU_H
#define WORKLOADS_LIB_GPU_H

#include <cuda.h>

/* Embeds a file (a fat binary) as `const unsigned char symbol[]`. */
#define WL_EMBED(symbol, file)                                                                     \
	__asm__(".pushsection .rodata\n.balign 64\n" #symbol ":\n.incbin \"" file                  \
	        "\"\n.byte 0\n.popsection\n");                                                     \
	extern const unsigned char symbol[] __attribute__((visibility("hidden")))

struct wl_gpu {
	CUdevice device;
	CUcontext context; /* the primary context, current to the calling thread */
	CUmodule module;
	char name[96];
};

/* Device 0, its primary context, the module from a fat binary. Ends the program on failure. */
void wl_gpu_open(struct wl_gpu *g, const void *image);
void wl_gpu_close(struct wl_gpu *g);
CUfunction wl_gpu_function(const struct wl_gpu *g, const char *name);

/* WL_CU(cuStreamSynchronize, stream): calls it; ends the program if it fails. */
#define WL_CU(fn, ...) wl_gpu_check(#fn, fn(__VA_ARGS__))
void wl_gpu_check(const char *call, CUresult result);

#endif
