// SPDX-License-Identifier: Apache-2.0
/* fuzz_image.c: any bytes as a module image: fat binary, ELF or text; and their machine code. */
#include <stdint.h>
#include <stdlib.h>

#include "softgpu/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = NULL;
	size_t text_len = 0;
	struct ptx_error err = {0};
	if (image_find_ptx(data, len, 90, &text, &text_len, &err) == IMAGE_PTX)
		free(text);
	if (image_find_sass(data, len, 90, &text, &text_len, &err) == IMAGE_PTX)
		free(text);
	return 0;
}
