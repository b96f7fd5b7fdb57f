// SPDX-License-Identifier: Apache-2.0
/*
 * image.h: finds the PTX text inside whatever cuModuleLoadData is given: PTX text, a fat binary
 * (bare or behind a wrapper; entries plain, LZ4 or Zstd), or a cubin (ELF).
 *
 * Layout facts of the fat binary: the entry table documented in docs/softgpu.md. Every read is
 * bounds-checked where a length is known; a fat binary's own header gives its length.
 */
#ifndef SOFTGPU_IMAGE_H
#define SOFTGPU_IMAGE_H

#include <stddef.h>

#include "ptx.h"

enum image_kind { IMAGE_PTX, IMAGE_SASS_ONLY, IMAGE_BAD };

/*
 * `image`: as passed to cuModuleLoadData; `len`: its length, or SIZE_MAX if the API gave none.
 * IMAGE_PTX: *text (malloc'd, NUL-terminated, the caller frees) and *text_len are set: the PTX of
 * the highest architecture that is ≤ max_sm. IMAGE_SASS_ONLY: there is no PTX in it, err says
 * which architectures it has and how to build with PTX. IMAGE_BAD: malformed, err says where.
 */
enum image_kind image_find_ptx(const void *image, size_t len, unsigned max_sm, char **text,
                               size_t *text_len, struct ptx_error *err);

/*
 * For modules without PTX, which are to be timed without running (docs/softgpu.md, "Machine code"):
 * IMAGE_PTX with a text whose kernels and variables have the names, parameters and sizes of the
 * best machine code for the architecture, and empty bodies. Else as above.
 */
enum image_kind image_find_sass(const void *image, size_t len, unsigned sm, char **text,
                                size_t *text_len, struct ptx_error *err);
/* The same of one cubin. NULL: err says why. */
char *image_sass_text(const void *cubin, size_t len, unsigned sm, size_t *text_len,
                      struct ptx_error *err);

/* One text (malloc'd) out of several that refer to each other's functions and variables. NULL: no
 * memory. */
char *image_link(char *const *texts, unsigned n, size_t *len);

#endif
