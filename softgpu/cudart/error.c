// SPDX-License-Identifier: Apache-2.0
/*
 * error.c: the last error of each thread, names and texts of errors.
 *
 * An error stays the thread's last one until it is asked for. One that has ruined the context
 * ("sticky") stays beyond that: every later call of that context gives it again, and so does
 * cudaGetLastError(), until the device is reset.
 */
#include "cudart.h"

static __thread cudaError_t last;
static __thread uint32_t last_age; /* of `resets` */
static rein_a32 resets;

static bool sticky(cudaError_t e)
{
	switch ((int)e) {
	case cudaErrorECCUncorrectable:
	case cudaErrorNvlinkUncorrectable:
	case cudaErrorIllegalAddress:
	case cudaErrorLaunchTimeout:
	case cudaErrorAssert:
	case cudaErrorHardwareStackError:
	case cudaErrorIllegalInstruction:
	case cudaErrorMisalignedAddress:
	case cudaErrorInvalidAddressSpace:
	case cudaErrorInvalidPc:
	case cudaErrorLaunchFailure:
	case cudaErrorTensorMemoryLeak:
		return true;
	default:
		return false;
	}
}

cudaError_t cudart_failed(cudaError_t e)
{
	last = e;
	last_age = rein_load_relaxed(&resets);
	return e;
}

void cudart_errors_forget(void)
{
	rein_add_relaxed(&resets, 1);
}

static bool stays(void)
{
	return sticky(last) && last_age == rein_load_relaxed(&resets);
}

CUDART_EXPORT cudaError_t cudaPeekAtLastError(void)
{
	return sticky(last) && !stays() ? cudaSuccess : last;
}

CUDART_EXPORT cudaError_t cudaGetLastError(void)
{
	cudaError_t e = cudaPeekAtLastError();
	if (!stays())
		last = cudaSuccess;
	return e;
}

CUDART_EXPORT const char *cudaGetErrorName(cudaError_t error)
{
	for (const struct cudart_error_name *n = cudart_error_names; n->name; n++)
		if (n->value == (int)error)
			return n->name;
	return "unrecognized error code";
}

/* Of errors that the driver does not know. */
static const struct cudart_error_name texts[] = {
    {cudaSuccess, "no error"},
    {cudaErrorInvalidValue, "invalid argument"},
    {cudaErrorMemoryAllocation, "out of memory"},
    {cudaErrorInitializationError, "initialization error"},
    {cudaErrorCudartUnloading, "driver shutting down"},
    {cudaErrorInvalidConfiguration, "invalid configuration argument"},
    {cudaErrorInvalidPitchValue, "invalid pitch argument"},
    {cudaErrorInvalidSymbol, "invalid device symbol"},
    {cudaErrorInvalidHostPointer, "invalid host pointer"},
    {cudaErrorInvalidDevicePointer, "invalid device pointer"},
    {cudaErrorInvalidTexture, "invalid texture reference"},
    {cudaErrorInvalidTextureBinding, "texture is not bound to a pointer"},
    {cudaErrorInvalidChannelDescriptor, "invalid channel descriptor"},
    {cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidSurface, "invalid surface reference"},
    {cudaErrorDuplicateVariableName, "duplicate global variable looked up by string name"},
    {cudaErrorIncompatibleDriverContext, "incompatible driver context"},
    {cudaErrorMissingConfiguration, "__global__ function call is not configured"},
    {cudaErrorPriorLaunchFailure, "unspecified launch failure in prior launch"},
    {cudaErrorInvalidDeviceFunction, "invalid device function"},
    {cudaErrorNoDevice, "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "invalid device ordinal"},
    {cudaErrorStartupFailure, "startup failure in cuda runtime"},
};

CUDART_EXPORT const char *cudaGetErrorString(cudaError_t error)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	const char *text = NULL;
	for (size_t i = 0; i < REIN_ARRAY_LEN(texts); i++)
		if (texts[i].value == (int)error)
			return texts[i].name;
	(void)cudart_need_driver();
	if (cu->cuGetErrorString && cu->cuGetErrorString((CUresult)error, &text) == CUDA_SUCCESS &&
	    text)
		return text;
	return cudaGetErrorName(error);
}
