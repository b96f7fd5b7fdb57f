// SPDX-License-Identifier: Apache-2.0
// NVCC: --default-stream per-thread
/*
 * rt_streams_ptds.cu: rt_streams.cu with per-thread default streams: the same promises of order,
 * through the _ptsz and _ptds entry points of the driver.
 */
#include "rt_streams.cu"
