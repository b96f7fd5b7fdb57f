// SPDX-License-Identifier: Apache-2.0
// NVCC: --default-stream per-thread
/* graphs_ptds.cu: graphs.cu with per-thread default streams. */
#include "graphs.cu"
