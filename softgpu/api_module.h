// SPDX-License-Identifier: Apache-2.0
/* api_module.h: what modules offer to libraries (api_library.c) and functions (api_function.c). */
#ifndef SOFTGPU_API_MODULE_H
#define SOFTGPU_API_MODULE_H

#include "api.h"

/* A module of ctx with one reference, not in the registry. Errors go to stderr and the JIT logs. */
CUresult sg_module_build(CUcontext ctx, const void *image, size_t len, unsigned n_options,
                         CUjit_option *options, void **values, CUmodule *out);
CUresult sg_module_function(CUmodule m, const char *name, CUfunction *out);
/* A whole file; *bytes is NUL-terminated and the caller's to free. */
CUresult sg_file_read(const char *path, char **bytes, size_t *len);
/* Takes a kernel of a library in ctx. */
CUresult sg_kernel_function(CUkernel k, CUcontext ctx, CUfunction *out);

#endif
