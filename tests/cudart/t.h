// SPDX-License-Identifier: Apache-2.0
/* t.h: what the runtime-API programs of this folder share: checks that end the program with one
 * line. Their last line of output is "ok". */
#ifndef TESTS_CUDART_T_H
#define TESTS_CUDART_T_H

#include <cuda_runtime.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void t_is(cudaError_t e, cudaError_t want, const char *call, const char *file,
                        int line)
{
	if (e == want)
		return;
	fprintf(stderr, "%s:%d: %s: %s, not %s\n", file, line, call, cudaGetErrorName(e),
	        cudaGetErrorName(want));
	_exit(1);
}
#define IS(call, want) t_is((call), (want), #call, __FILE__, __LINE__)
#define OK(call) IS(call, cudaSuccess)
#define TRUE(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);  \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

#endif
