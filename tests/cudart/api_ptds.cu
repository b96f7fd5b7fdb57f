// SPDX-License-Identifier: Apache-2.0
// NVCC: --default-stream per-thread
/* api_ptds.cu: api.cu with per-thread default streams: through the _ptsz and _ptds forms. */
#include "api.cu"
