// SPDX-License-Identifier: Apache-2.0
/*
 * rt_texture.cu: a CUDA array, filled by a copy and read through a texture object.
 *
 * WHAT IT ASKS of the GPU: are all results right. HOW THE ANSWER IS READ: exit status 0 and the
 * bytes of --dump, the same with and without the shim; 77 where there are no CUDA arrays.
 */
#include "rt.h"

static __global__ void from_texture(cudaTextureObject_t t, uint32_t *x, unsigned w, unsigned h)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < w * h)
		x[i] = tex2D<unsigned>(t, (float)(i % w), (float)(i / w));
}

static void texture(void)
{
	const unsigned w = 96, h = 64;
	std::vector<uint32_t> want = rt_filled(w * h, 6), got(w * h);
	cudaChannelFormatDesc format = cudaCreateChannelDesc<unsigned>();
	cudaResourceDesc resource = {};
	cudaTextureDesc how = {};
	cudaTextureObject_t t;
	cudaArray_t array;
	uint32_t *d;
	cudaError_t e = cudaMallocArray(&array, &format, w, h);
	if (e == cudaErrorNotSupported)
		rt_skip("there are no CUDA arrays here");
	RT(e);
	RT(cudaMemcpy2DToArray(array, 0, 0, want.data(), w * 4, w * 4, h, cudaMemcpyHostToDevice));
	RT(cudaMalloc(&d, w * h * 4));
	resource.resType = cudaResourceTypeArray;
	resource.res.array.array = array;
	how.readMode = cudaReadModeElementType;
	RT(cudaCreateTextureObject(&t, &resource, &how, NULL));
	from_texture<<<rt_blocks(w * h), 256>>>(t, d, w, h);
	RT_LAUNCHED();
	RT(cudaMemcpy(got.data(), d, w * h * 4, cudaMemcpyDeviceToHost));
	rt_same(got.data(), want.data(), w * h, "texture");
	RT(cudaDestroyTextureObject(t));
	RT(cudaFreeArray(array));
	RT(cudaFree(d));
}

int main(int argc, char **argv)
{
	rt_begin("rt_texture", argc, argv);
	rt_device();
	texture();
	return rt_end();
}
