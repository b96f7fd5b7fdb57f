// SPDX-License-Identifier: Apache-2.0
/* api_module.h: what modules offer to libraries (api_library.c), functions (api_function.c) and the
 * linker (api_link.c). */
#ifndef SOFTGPU_API_MODULE_H
#define SOFTGPU_API_MODULE_H

#include "api.h"
#include "image.h"

/* __managed__ variables of a library: one memory for the modules of all contexts. */
struct sg_managed {
	struct sg_managed *next;
	uintptr_t address;
	size_t bytes;
	char name[];
};
void sg_managed_free(struct sg_managed *list);

/* A module of ctx with one reference, not in the registry. Errors go to stderr and the JIT logs.
 * `managed`: the list to which its __managed__ variables belong; NULL: they are its own. */
CUresult sg_module_build(CUcontext ctx, const void *image, size_t len, unsigned n_options,
                         CUjit_option *options, void **values, struct sg_managed **managed,
                         CUmodule *out);
/* Loads it where nothing runs, for its errors. */
CUresult sg_module_try(const void *image, size_t len, unsigned n_options, CUjit_option *options,
                       void **values);
/* The PTX of an image; with SOFTGPU_SASS=time, of machine code alone, what stands for it. */
enum image_kind sg_module_text(const void *image, size_t len, char **text, size_t *text_len,
                               struct ptx_error *err);
CUresult sg_module_function(CUmodule m, const char *name, CUfunction *out);
/* A whole file; *bytes is NUL-terminated and the caller's to free. */
CUresult sg_file_read(const char *path, char **bytes, size_t *len);
/* Takes a kernel of a library in ctx. */
CUresult sg_kernel_function(CUkernel k, CUcontext ctx, CUfunction *out);

#endif
