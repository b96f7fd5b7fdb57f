// SPDX-License-Identifier: Apache-2.0
// LINK: -lcufft
/*
 * cufft.cu: Fourier transforms there and back by NVIDIA's closed library, of a length that is a
 * power of two and one that is not, in batches.
 *
 * WHAT IT ASKS of the GPU: does the library compute the same. HOW THE ANSWER IS READ: forward and
 * backward give the input again (within rounding): exit status 0; the bytes of --dump are compared.
 */
#include <cufft.h>

#include <math.h>

#include "rt.h"

static void fft_check(cufftResult r, const char *call, int line)
{
	if (r != CUFFT_SUCCESS)
		rt_fail("line %d: %s: cufftResult %d", line, call, (int)r);
}
#define FFT(call) fft_check((call), #call, __LINE__)

static void there_and_back(int n, int batch)
{
	size_t all = (size_t)n * (size_t)batch, bytes = all * sizeof(cufftComplex);
	std::vector<uint32_t> random = rt_filled((unsigned)all * 2, (uint32_t)n);
	std::vector<cufftComplex> in(all), spectrum(all), back(all);
	cufftComplex *d;
	cufftHandle plan;
	cudaStream_t s;
	double sum = 0;
	for (size_t i = 0; i < all; i++) {
		in[i].x = (float)(random[2 * i] >> 24) - 128.0f;
		in[i].y = (float)(random[2 * i + 1] >> 24) - 128.0f;
	}
	RT(cudaMalloc(&d, bytes));
	RT(cudaMemcpy(d, in.data(), bytes, cudaMemcpyHostToDevice));
	RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	RT(cudaDeviceSynchronize());
	FFT(cufftPlan1d(&plan, n, CUFFT_C2C, batch));
	FFT(cufftSetStream(plan, s));
	FFT(cufftExecC2C(plan, d, d, CUFFT_FORWARD));
	RT(cudaMemcpyAsync(spectrum.data(), d, bytes, cudaMemcpyDeviceToHost, s));
	FFT(cufftExecC2C(plan, d, d, CUFFT_INVERSE));
	RT(cudaMemcpyAsync(back.data(), d, bytes, cudaMemcpyDeviceToHost, s));
	RT(cudaStreamSynchronize(s));
	for (int i = 0; i < n; i++)
		sum += in[(size_t)i].x;
	if (fabs(spectrum[0].x - sum) > 1e-2 * n)
		rt_fail("length %d: the mean is %g, not %g", n, (double)spectrum[0].x, sum);
	for (size_t i = 0; i < all; i++)
		if (fabsf(back[i].x / (float)n - in[i].x) > 0.01f ||
		    fabsf(back[i].y / (float)n - in[i].y) > 0.01f)
			rt_fail("length %d: [%zu] is %g, not %g", n, i,
			        (double)(back[i].x / (float)n), (double)in[i].x);
	rt_result(spectrum.data(), bytes);
	rt_result(back.data(), bytes);
	FFT(cufftDestroy(plan));
	RT(cudaFree(d));
	RT(cudaStreamDestroy(s));
}

int main(int argc, char **argv)
{
	rt_begin("cufft", argc, argv);
	rt_device();
	there_and_back(1024, 16);
	there_and_back(1000, 16);
	there_and_back(1 << 16, 1);
	return rt_end();
}
