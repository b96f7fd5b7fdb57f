// SPDX-License-Identifier: Apache-2.0
/* calls.c: the calls that libcuda.so.1 tells, by CUPTI's numbers, and what their arguments say. */
#include "double.h"

const struct sg_cupti_call sg_cupti_calls[SG_CALLS] = {
#define CALL(n) [SG_CALL_##n] = {.cbid = CUPTI_DRIVER_TRACE_CBID_##n, .name = #n},
    SG_TRACED_CALLS(CALL)
#undef CALL
};

int sg_cupti_call_of(CUpti_CallbackId cbid)
{
	for (int i = 0; i < SG_CALLS; i++)
		if (sg_cupti_calls[i].cbid == cbid)
			return i;
	return -1;
}

CUfunction sg_cupti_launched(const struct sg_trace_call *c)
{
	switch ((int)c->id) {
	case SG_CALL_cuLaunchKernel:
	case SG_CALL_cuLaunchKernel_ptsz:
	case SG_CALL_cuLaunchCooperativeKernel:
	case SG_CALL_cuLaunchCooperativeKernel_ptsz: /* the first argument of all of them */
		return ((const cuLaunchKernel_params *)c->params)->f;
	case SG_CALL_cuLaunchKernelEx:
	case SG_CALL_cuLaunchKernelEx_ptsz:
		return ((const cuLaunchKernelEx_params *)c->params)->f;
	default:
		return NULL;
	}
}

struct sg_cupti_sync sg_cupti_sync_of(const struct sg_trace_call *c)
{
	const cuStreamSynchronize_params *stream = c->params;
	const cuStreamWaitEvent_params *wait = c->params;
	struct sg_cupti_sync s = {.type = CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_UNKNOWN};
	switch ((int)c->id) {
	case SG_CALL_cuCtxSynchronize:
	case SG_CALL_cuCtxSynchronize_v2:
		s.type = CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_CONTEXT_SYNCHRONIZE;
		break;
	case SG_CALL_cuEventSynchronize:
		s.type = CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_EVENT_SYNCHRONIZE;
		break;
	case SG_CALL_cuStreamSynchronize_ptsz:
		s.per_thread = true; /* fall through */
	case SG_CALL_cuStreamSynchronize:
		s.type = CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_SYNCHRONIZE;
		s.in_stream = true;
		s.stream = stream->hStream;
		break;
	case SG_CALL_cuStreamWaitEvent_ptsz:
		s.per_thread = true; /* fall through */
	case SG_CALL_cuStreamWaitEvent:
		s.type = CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_WAIT_EVENT;
		s.in_stream = true;
		s.stream = wait->hStream;
		break;
	default:
		break;
	}
	return s;
}
