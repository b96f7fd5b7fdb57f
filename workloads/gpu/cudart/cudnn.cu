// SPDX-License-Identifier: Apache-2.0
// LINK: -lcudnn
/*
 * cudnn.cu: a convolution, a ReLU and a max pooling by NVIDIA's closed library. All values are
 * small whole numbers, so the convolution is exact in any order and by a plain algorithm.
 *
 * WHAT IT ASKS of the GPU: does the library compute the same. HOW THE ANSWER IS READ: exit status 0
 * and the bytes of --dump.
 */
#include <cudnn.h>

#include "rt.h"

#define BATCH 4
#define IN 8   /* channels */
#define OUT 16 /* channels */
#define SIDE 32
#define K 3

static void dnn_check(cudnnStatus_t s, const char *call, int line)
{
	if (s != CUDNN_STATUS_SUCCESS)
		rt_fail("line %d: %s: %s", line, call, cudnnGetErrorString(s));
}
#define DNN(call) dnn_check((call), #call, __LINE__)

static std::vector<float> filled(size_t n, uint32_t seed)
{
	std::vector<uint32_t> v = rt_filled((unsigned)n, seed);
	std::vector<float> m(n);
	for (size_t i = 0; i < n; i++)
		m[i] = (float)((int)((v[i] >> 8) % 5) - 2);
	return m;
}

static float *on_device(const std::vector<float> &v)
{
	float *d;
	RT(cudaMalloc(&d, v.size() * sizeof(float)));
	RT(cudaMemcpy(d, v.data(), v.size() * sizeof(float), cudaMemcpyHostToDevice));
	return d;
}

static float at(const std::vector<float> &x, int n, int c, int row, int col)
{
	if (row < 0 || col < 0 || row >= SIDE || col >= SIDE)
		return 0;
	return x[(size_t)(((n * IN + c) * SIDE + row) * SIDE + col)];
}

/* padding 1, stride 1, cross-correlation; then max(0, ·) */
static std::vector<float> conv_cpu(const std::vector<float> &x, const std::vector<float> &w)
{
	std::vector<float> y;
	for (int n = 0; n < BATCH; n++)
		for (int o = 0; o < OUT; o++)
			for (int p = 0; p < SIDE * SIDE; p++) {
				float sum = 0;
				for (int i = 0; i < IN * K * K; i++) {
					int c = i / (K * K), r = i / K % K, q = i % K;
					sum += at(x, n, c, p / SIDE + r - 1, p % SIDE + q - 1) *
					       w[(size_t)(o * IN * K * K + i)];
				}
				y.push_back(sum > 0 ? sum : 0);
			}
	return y;
}

static void same(float *d, const std::vector<float> &want, const char *what)
{
	std::vector<float> got(want.size());
	RT(cudaDeviceSynchronize());
	RT(cudaMemcpy(got.data(), d, want.size() * sizeof(float), cudaMemcpyDeviceToHost));
	for (size_t i = 0; i < want.size(); i++)
		if (got[i] != want[i])
			rt_fail("%s: [%zu] is %g, not %g", what, i, (double)got[i],
			        (double)want[i]);
	rt_result(got.data(), got.size() * sizeof(float));
}

static void convolve(cudnnHandle_t h, cudnnTensorDescriptor_t xd, float *x, float *w,
                     cudnnTensorDescriptor_t yd, float *y)
{
	const cudnnConvolutionFwdAlgo_t algo = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
	const float one = 1, zero = 0;
	cudnnFilterDescriptor_t wd;
	cudnnConvolutionDescriptor_t conv;
	size_t room = 0;
	void *workspace = NULL;
	DNN(cudnnCreateFilterDescriptor(&wd));
	DNN(cudnnSetFilter4dDescriptor(wd, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, OUT, IN, K, K));
	DNN(cudnnCreateConvolutionDescriptor(&conv));
	DNN(cudnnSetConvolution2dDescriptor(conv, 1, 1, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION,
	                                    CUDNN_DATA_FLOAT));
	DNN(cudnnGetConvolutionForwardWorkspaceSize(h, xd, wd, conv, yd, algo, &room));
	if (room)
		RT(cudaMalloc(&workspace, room));
	for (unsigned i = 0; i < 50; i++)
		DNN(cudnnConvolutionForward(h, &one, xd, x, wd, w, conv, algo, workspace, room,
		                            &zero, yd, y));
	RT(cudaDeviceSynchronize());
	RT(cudaFree(workspace));
	DNN(cudnnDestroyConvolutionDescriptor(conv));
	DNN(cudnnDestroyFilterDescriptor(wd));
}

static void pool(cudnnHandle_t h, cudnnTensorDescriptor_t yd, float *dy,
                 const std::vector<float> &y)
{
	const float one = 1, zero = 0;
	std::vector<float> want(y.size() / 4);
	cudnnTensorDescriptor_t zd;
	cudnnPoolingDescriptor_t how;
	for (size_t i = 0; i < want.size(); i++) {
		size_t half = SIDE / 2, plane = i / (half * half), row = i / half % half;
		size_t col = i % half, corner = (plane * SIDE + 2 * row) * SIDE + 2 * col;
		float top = fmaxf(y[corner], y[corner + 1]);
		want[i] = fmaxf(top, fmaxf(y[corner + SIDE], y[corner + SIDE + 1]));
	}
	float *dz = on_device(want); /* overwritten, for its size */
	RT(cudaMemset(dz, 0, want.size() * sizeof(float)));
	DNN(cudnnCreateTensorDescriptor(&zd));
	DNN(cudnnSetTensor4dDescriptor(zd, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, BATCH, OUT,
	                               SIDE / 2, SIDE / 2));
	DNN(cudnnCreatePoolingDescriptor(&how));
	DNN(cudnnSetPooling2dDescriptor(how, CUDNN_POOLING_MAX, CUDNN_NOT_PROPAGATE_NAN, 2, 2, 0, 0,
	                                2, 2));
	DNN(cudnnPoolingForward(h, how, &one, yd, dy, &zero, zd, dz));
	same(dz, want, "pooling");
	DNN(cudnnDestroyPoolingDescriptor(how));
	DNN(cudnnDestroyTensorDescriptor(zd));
	RT(cudaFree(dz));
}

int main(int argc, char **argv)
{
	const float one = 1, zero = 0;
	cudnnHandle_t h;
	cudnnTensorDescriptor_t xd, yd;
	cudnnActivationDescriptor_t relu;
	rt_begin("cudnn", argc, argv);
	rt_device();
	std::vector<float> x = filled(BATCH * IN * SIDE * SIDE, 1), w = filled(OUT * IN * K * K, 2);
	std::vector<float> y = conv_cpu(x, w);
	float *dx = on_device(x), *dw = on_device(w), *dy = on_device(y);
	RT(cudaMemset(dy, 0, y.size() * sizeof(float)));
	RT(cudaDeviceSynchronize());
	DNN(cudnnCreate(&h));
	DNN(cudnnCreateTensorDescriptor(&xd));
	DNN(cudnnCreateTensorDescriptor(&yd));
	DNN(cudnnSetTensor4dDescriptor(xd, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, BATCH, IN, SIDE,
	                               SIDE));
	DNN(cudnnSetTensor4dDescriptor(yd, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, BATCH, OUT, SIDE,
	                               SIDE));
	convolve(h, xd, dx, dw, yd, dy);
	DNN(cudnnCreateActivationDescriptor(&relu));
	DNN(cudnnSetActivationDescriptor(relu, CUDNN_ACTIVATION_RELU, CUDNN_NOT_PROPAGATE_NAN, 0));
	DNN(cudnnActivationForward(h, relu, &one, yd, dy, &zero, yd, dy));
	same(dy, y, "convolution");
	pool(h, yd, dy, y);
	DNN(cudnnDestroyActivationDescriptor(relu));
	DNN(cudnnDestroyTensorDescriptor(xd));
	DNN(cudnnDestroyTensorDescriptor(yd));
	DNN(cudnnDestroy(h));
	return rt_end();
}
