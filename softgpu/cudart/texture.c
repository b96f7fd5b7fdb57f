// SPDX-License-Identifier: Apache-2.0
/*
 * texture.c: texture and surface objects: the runtime's descriptions turned into the driver's, and
 * back. Handles are the driver's.
 */
#include "cudart.h"

#include "cudart_calls.h"

static cudaError_t resource(CUDA_RESOURCE_DESC *out, const struct cudaResourceDesc *in)
{
	*out = (CUDA_RESOURCE_DESC){.flags = in->flags};
	switch (in->resType) {
	case cudaResourceTypeArray:
		out->resType = CU_RESOURCE_TYPE_ARRAY;
		out->res.array.hArray = (CUarray)in->res.array.array;
		return cudaSuccess;
	case cudaResourceTypeMipmappedArray:
		out->resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY;
		out->res.mipmap.hMipmappedArray = (CUmipmappedArray)in->res.mipmap.mipmap;
		return cudaSuccess;
	case cudaResourceTypeLinear:
		out->resType = CU_RESOURCE_TYPE_LINEAR;
		out->res.linear.devPtr = (CUdeviceptr)in->res.linear.devPtr;
		out->res.linear.sizeInBytes = in->res.linear.sizeInBytes;
		return cudart_format(&in->res.linear.desc, &out->res.linear.format,
		                     &out->res.linear.numChannels);
	case cudaResourceTypePitch2D:
		out->resType = CU_RESOURCE_TYPE_PITCH2D;
		out->res.pitch2D.devPtr = (CUdeviceptr)in->res.pitch2D.devPtr;
		out->res.pitch2D.width = in->res.pitch2D.width;
		out->res.pitch2D.height = in->res.pitch2D.height;
		out->res.pitch2D.pitchInBytes = in->res.pitch2D.pitchInBytes;
		return cudart_format(&in->res.pitch2D.desc, &out->res.pitch2D.format,
		                     &out->res.pitch2D.numChannels);
	}
	return cudaErrorInvalidValue;
}

static void resource_back(struct cudaResourceDesc *out, const CUDA_RESOURCE_DESC *in)
{
	*out = (struct cudaResourceDesc){.flags = in->flags};
	switch (in->resType) {
	case CU_RESOURCE_TYPE_ARRAY:
		out->resType = cudaResourceTypeArray;
		out->res.array.array = (cudaArray_t)in->res.array.hArray;
		break;
	case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
		out->resType = cudaResourceTypeMipmappedArray;
		out->res.mipmap.mipmap = (cudaMipmappedArray_t)in->res.mipmap.hMipmappedArray;
		break;
	case CU_RESOURCE_TYPE_LINEAR:
		out->resType = cudaResourceTypeLinear;
		out->res.linear.devPtr = (void *)in->res.linear.devPtr;
		out->res.linear.sizeInBytes = in->res.linear.sizeInBytes;
		out->res.linear.desc =
		    cudart_channel_desc(in->res.linear.format, in->res.linear.numChannels);
		break;
	case CU_RESOURCE_TYPE_PITCH2D:
		out->resType = cudaResourceTypePitch2D;
		out->res.pitch2D.devPtr = (void *)in->res.pitch2D.devPtr;
		out->res.pitch2D.width = in->res.pitch2D.width;
		out->res.pitch2D.height = in->res.pitch2D.height;
		out->res.pitch2D.pitchInBytes = in->res.pitch2D.pitchInBytes;
		out->res.pitch2D.desc =
		    cudart_channel_desc(in->res.pitch2D.format, in->res.pitch2D.numChannels);
		break;
	}
}

/* What a texture's texels are, for the checks that the runtime makes. */
static cudaError_t texels(const struct cudart_driver *cu, const struct cudaResourceDesc *p,
                          struct cudaChannelFormatDesc *out)
{
	cudaArray_t array = p->res.array.array;
	if (p->resType == cudaResourceTypeLinear || p->resType == cudaResourceTypePitch2D) {
		*out =
		    p->resType == cudaResourceTypeLinear ? p->res.linear.desc : p->res.pitch2D.desc;
		return cudaSuccess;
	}
	if (p->resType == cudaResourceTypeMipmappedArray) {
		CUresult r = cu->cuMipmappedArrayGetLevel(
		    (CUarray *)&array, (CUmipmappedArray)p->res.mipmap.mipmap, 0);
		if (r != CUDA_SUCCESS)
			return cudart_error(r);
	}
	return do_cudaGetChannelDesc(cu, out, array);
}

/* Only fractions and floats can be mixed; 32-bit integers are not read as fractions. */
static cudaError_t check(const struct cudart_driver *cu, const struct cudaResourceDesc *p,
                         const struct cudaTextureDesc *t, const struct cudaResourceViewDesc *view)
{
	struct cudaChannelFormatDesc d = {0};
	if (view && view->format != cudaResViewFormatNone)
		return cudaSuccess; /* the view says what they are: the driver knows */
	cudaError_t e = texels(cu, p, &d);
	bool integer = d.f == cudaChannelFormatKindSigned || d.f == cudaChannelFormatKindUnsigned;
	if (e != cudaSuccess || !integer)
		return e;
	if (t->readMode == cudaReadModeNormalizedFloat && d.x == 32)
		return cudaErrorInvalidNormSetting;
	if (t->readMode == cudaReadModeElementType && t->filterMode == cudaFilterModeLinear)
		return cudaErrorInvalidFilterSetting;
	return cudaSuccess;
}

/* The enumerations of the two descriptions have the same values. */
static CUDA_TEXTURE_DESC how(const struct cudaTextureDesc *in)
{
	CUDA_TEXTURE_DESC out = {
	    .filterMode = (CUfilter_mode)in->filterMode,
	    .maxAnisotropy = in->maxAnisotropy,
	    .mipmapFilterMode = (CUfilter_mode)in->mipmapFilterMode,
	    .mipmapLevelBias = in->mipmapLevelBias,
	    .minMipmapLevelClamp = in->minMipmapLevelClamp,
	    .maxMipmapLevelClamp = in->maxMipmapLevelClamp,
	};
	for (int i = 0; i < 3; i++)
		out.addressMode[i] = (CUaddress_mode)in->addressMode[i];
	memcpy(out.borderColor, in->borderColor, sizeof(out.borderColor));
	out.flags =
	    (in->readMode == cudaReadModeElementType ? CU_TRSF_READ_AS_INTEGER : 0) |
	    (in->normalizedCoords ? CU_TRSF_NORMALIZED_COORDINATES : 0) |
	    (in->sRGB ? CU_TRSF_SRGB : 0) |
	    (in->disableTrilinearOptimization ? CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION : 0) |
	    (in->seamlessCubemap ? CU_TRSF_SEAMLESS_CUBEMAP : 0);
	return out;
}

cudaError_t do_cudaCreateTextureObject(const struct cudart_driver *cu,
                                       cudaTextureObject_t *pTexObject,
                                       const struct cudaResourceDesc *pResDesc,
                                       const struct cudaTextureDesc *pTexDesc,
                                       const struct cudaResourceViewDesc *pResViewDesc)
{
	CUDA_RESOURCE_DESC r;
	CUDA_RESOURCE_VIEW_DESC v;
	if (!pTexObject || !pResDesc || !pTexDesc)
		return cudaErrorInvalidValue;
	cudaError_t e = resource(&r, pResDesc);
	if (e == cudaSuccess)
		e = check(cu, pResDesc, pTexDesc, pResViewDesc);
	if (e != cudaSuccess)
		return e;
	CUDA_TEXTURE_DESC t = how(pTexDesc);
	if (pResViewDesc)
		v = (CUDA_RESOURCE_VIEW_DESC){
		    .format = (CUresourceViewFormat)pResViewDesc->format,
		    .width = pResViewDesc->width,
		    .height = pResViewDesc->height,
		    .depth = pResViewDesc->depth,
		    .firstMipmapLevel = pResViewDesc->firstMipmapLevel,
		    .lastMipmapLevel = pResViewDesc->lastMipmapLevel,
		    .firstLayer = pResViewDesc->firstLayer,
		    .lastLayer = pResViewDesc->lastLayer,
		};
	CUtexObject handle;
	CUresult made = cu->cuTexObjectCreate(&handle, &r, &t, pResViewDesc ? &v : NULL);
	if (made == CUDA_SUCCESS)
		*pTexObject = handle;
	return cudart_error(made);
}

cudaError_t do_cudaCreateSurfaceObject(const struct cudart_driver *cu,
                                       cudaSurfaceObject_t *pSurfObject,
                                       const struct cudaResourceDesc *pResDesc)
{
	CUDA_RESOURCE_DESC r;
	CUsurfObject handle;
	if (!pSurfObject || !pResDesc)
		return cudaErrorInvalidValue;
	cudaError_t e = resource(&r, pResDesc);
	if (e != cudaSuccess)
		return e;
	CUresult made = cu->cuSurfObjectCreate(&handle, &r);
	if (made == CUDA_SUCCESS)
		*pSurfObject = handle;
	return cudart_error(made);
}

/* 0 is none, and none to destroy. */
cudaError_t do_cudaDestroyTextureObject(const struct cudart_driver *cu,
                                        cudaTextureObject_t texObject)
{
	return texObject ? cudart_error(cu->cuTexObjectDestroy(texObject)) : cudaSuccess;
}

cudaError_t do_cudaDestroySurfaceObject(const struct cudart_driver *cu,
                                        cudaSurfaceObject_t surfObject)
{
	return surfObject ? cudart_error(cu->cuSurfObjectDestroy(surfObject)) : cudaSuccess;
}

cudaError_t do_cudaGetTextureObjectResourceDesc(const struct cudart_driver *cu,
                                                struct cudaResourceDesc *pResDesc,
                                                cudaTextureObject_t texObject)
{
	CUDA_RESOURCE_DESC r;
	CUresult got =
	    pResDesc ? cu->cuTexObjectGetResourceDesc(&r, texObject) : CUDA_ERROR_INVALID_VALUE;
	if (got == CUDA_SUCCESS)
		resource_back(pResDesc, &r);
	return cudart_error(got);
}

cudaError_t do_cudaGetSurfaceObjectResourceDesc(const struct cudart_driver *cu,
                                                struct cudaResourceDesc *pResDesc,
                                                cudaSurfaceObject_t surfObject)
{
	CUDA_RESOURCE_DESC r;
	CUresult got =
	    pResDesc ? cu->cuSurfObjectGetResourceDesc(&r, surfObject) : CUDA_ERROR_INVALID_VALUE;
	if (got == CUDA_SUCCESS)
		resource_back(pResDesc, &r);
	return cudart_error(got);
}

cudaError_t do_cudaGetTextureObjectTextureDesc(const struct cudart_driver *cu,
                                               struct cudaTextureDesc *pTexDesc,
                                               cudaTextureObject_t texObject)
{
	CUDA_TEXTURE_DESC t;
	CUresult got =
	    pTexDesc ? cu->cuTexObjectGetTextureDesc(&t, texObject) : CUDA_ERROR_INVALID_VALUE;
	if (got != CUDA_SUCCESS)
		return cudart_error(got);
	*pTexDesc = (struct cudaTextureDesc){
	    .filterMode = (enum cudaTextureFilterMode)t.filterMode,
	    .readMode = t.flags & CU_TRSF_READ_AS_INTEGER ? cudaReadModeElementType
	                                                  : cudaReadModeNormalizedFloat,
	    .sRGB = (t.flags & CU_TRSF_SRGB) != 0,
	    .normalizedCoords = (t.flags & CU_TRSF_NORMALIZED_COORDINATES) != 0,
	    .maxAnisotropy = t.maxAnisotropy,
	    .mipmapFilterMode = (enum cudaTextureFilterMode)t.mipmapFilterMode,
	    .mipmapLevelBias = t.mipmapLevelBias,
	    .minMipmapLevelClamp = t.minMipmapLevelClamp,
	    .maxMipmapLevelClamp = t.maxMipmapLevelClamp,
	    .disableTrilinearOptimization = (t.flags & CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION) != 0,
	    .seamlessCubemap = (t.flags & CU_TRSF_SEAMLESS_CUBEMAP) != 0,
	};
	for (int i = 0; i < 3; i++)
		pTexDesc->addressMode[i] = (enum cudaTextureAddressMode)t.addressMode[i];
	memcpy(pTexDesc->borderColor, t.borderColor, sizeof(t.borderColor));
	return cudaSuccess;
}

cudaError_t do_cudaGetTextureObjectResourceViewDesc(const struct cudart_driver *cu,
                                                    struct cudaResourceViewDesc *pResViewDesc,
                                                    cudaTextureObject_t texObject)
{
	CUDA_RESOURCE_VIEW_DESC v;
	CUresult got = pResViewDesc ? cu->cuTexObjectGetResourceViewDesc(&v, texObject)
	                            : CUDA_ERROR_INVALID_VALUE;
	if (got == CUDA_SUCCESS)
		*pResViewDesc = (struct cudaResourceViewDesc){
		    .format = (enum cudaResourceViewFormat)v.format,
		    .width = v.width,
		    .height = v.height,
		    .depth = v.depth,
		    .firstMipmapLevel = v.firstMipmapLevel,
		    .lastMipmapLevel = v.lastMipmapLevel,
		    .firstLayer = v.firstLayer,
		    .lastLayer = v.lastLayer,
		};
	return cudart_error(got);
}
