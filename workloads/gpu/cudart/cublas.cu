// SPDX-License-Identifier: Apache-2.0
// LINK: -lcublas -lcublasLt
/*
 * cublas.cu: matrix products by NVIDIA's closed library: SGEMM, strided-batched SGEMM, half
 * precision through cublasGemmEx, cublasLt with a workspace, and a product captured and replayed.
 * The matrices hold small whole numbers, so every sum is exact in any order.
 *
 * WHAT IT ASKS of the GPU: does the library, with its own cudart inside, compute the same. HOW THE
 * ANSWER IS READ: exit status 0 and the bytes of --dump.
 */
#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_fp16.h>

#include "rt.h"

#define N 256 /* rows, columns and depth */
#define BYTES (N * N * sizeof(float))

static void blas_check(cublasStatus_t s, const char *call, int line)
{
	if (s != CUBLAS_STATUS_SUCCESS)
		rt_fail("line %d: %s: %s", line, call, cublasGetStatusString(s));
}
#define BLAS(call) blas_check((call), #call, __LINE__)

/* column-major, values −2 … 2 */
static std::vector<float> matrix(uint32_t seed)
{
	std::vector<uint32_t> v = rt_filled(N * N, seed);
	std::vector<float> m(N * N);
	for (unsigned i = 0; i < N * N; i++)
		m[i] = (float)((int)((v[i] >> 8) % 5) - 2);
	return m;
}

static std::vector<float> product(const std::vector<float> &a, const std::vector<float> &b)
{
	std::vector<float> c(N * N, 0.0f);
	for (unsigned col = 0; col < N; col++)
		for (unsigned k = 0; k < N; k++)
			for (unsigned row = 0; row < N; row++)
				c[col * N + row] += a[k * N + row] * b[col * N + k];
	return c;
}

static std::vector<float> a, b, ab;
static float *da, *db, *dc;
static const float one = 1.0f, zero = 0.0f;

static void check(const char *what, float factor)
{
	std::vector<float> got(N * N);
	RT(cudaDeviceSynchronize());
	RT(cudaMemcpy(got.data(), dc, BYTES, cudaMemcpyDeviceToHost));
	for (unsigned i = 0; i < N * N; i++)
		if (got[i] != factor * ab[i])
			rt_fail("%s: [%u] is %g, not %g", what, i, (double)got[i],
			        (double)(factor * ab[i]));
	rt_result(got.data(), BYTES);
	RT(cudaMemset(dc, 0, BYTES));
}

static void single(cublasHandle_t h)
{
	for (unsigned i = 0; i < 50; i++)
		BLAS(cublasSgemm(h, CUBLAS_OP_N, CUBLAS_OP_N, N, N, N, &one, da, N, db, N,
		                 i ? &one : &zero, dc, N));
	check("sgemm", 50);
	BLAS(cublasSgemmStridedBatched(h, CUBLAS_OP_N, CUBLAS_OP_N, N, N / 4, N, &one, da, N, 0, db,
	                               N, N * N / 4, &zero, dc, N, N * N / 4, 4));
	check("strided batch", 1);
}

static void half_precision(cublasHandle_t h)
{
	std::vector<__half> ha(N * N), hb(N * N);
	__half *dha, *dhb;
	for (unsigned i = 0; i < N * N; i++) {
		ha[i] = __float2half(a[i]);
		hb[i] = __float2half(b[i]);
	}
	RT(cudaMalloc(&dha, BYTES / 2));
	RT(cudaMalloc(&dhb, BYTES / 2));
	RT(cudaMemcpy(dha, ha.data(), BYTES / 2, cudaMemcpyHostToDevice));
	RT(cudaMemcpy(dhb, hb.data(), BYTES / 2, cudaMemcpyHostToDevice));
	for (unsigned i = 0; i < 20; i++)
		BLAS(cublasGemmEx(h, CUBLAS_OP_N, CUBLAS_OP_N, N, N, N, &one, dha, CUDA_R_16F, N,
		                  dhb, CUDA_R_16F, N, i ? &one : &zero, dc, CUDA_R_32F, N,
		                  CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
	check("half precision", 20);
	RT(cudaFree(dha));
	RT(cudaFree(dhb));
}

static void lt(void)
{
	const size_t room = 4 << 20;
	cublasLtHandle_t h;
	cublasLtMatmulDesc_t op;
	cublasLtMatrixLayout_t layout;
	cublasLtMatmulPreference_t wish;
	cublasLtMatmulHeuristicResult_t found;
	int n = 0;
	void *workspace;
	cudaStream_t s;
	RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	RT(cudaMalloc(&workspace, room));
	RT(cudaDeviceSynchronize());
	BLAS(cublasLtCreate(&h));
	BLAS(cublasLtMatmulDescCreate(&op, CUBLAS_COMPUTE_32F, CUDA_R_32F));
	BLAS(cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, N, N, N));
	BLAS(cublasLtMatmulPreferenceCreate(&wish));
	BLAS(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
	                                          &room, sizeof(room)));
	BLAS(cublasLtMatmulAlgoGetHeuristic(h, op, layout, layout, layout, layout, wish, 1, &found,
	                                    &n));
	RT_TRUE(n == 1);
	for (unsigned i = 0; i < 20; i++)
		BLAS(cublasLtMatmul(h, op, &one, da, layout, db, layout, i ? &one : &zero, dc,
		                    layout, dc, layout, &found.algo, workspace, room, s));
	check("cublasLt", 20);
	BLAS(cublasLtMatmulPreferenceDestroy(wish));
	BLAS(cublasLtMatrixLayoutDestroy(layout));
	BLAS(cublasLtMatmulDescDestroy(op));
	BLAS(cublasLtDestroy(h));
	RT(cudaFree(workspace));
	RT(cudaStreamDestroy(s));
}

static void captured(cublasHandle_t h)
{
	cudaStream_t s;
	cudaGraph_t graph;
	cudaGraphExec_t exec;
	RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	RT(cudaDeviceSynchronize()); /* the set of the last check */
	BLAS(cublasSetStream(h, s));
	/* once before, so that code and workspace are there when the capture begins */
	BLAS(cublasSgemm(h, CUBLAS_OP_N, CUBLAS_OP_N, N, N, N, &one, da, N, db, N, &one, dc, N));
	RT(cudaStreamSynchronize(s));
	RT(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
	BLAS(cublasSgemm(h, CUBLAS_OP_N, CUBLAS_OP_N, N, N, N, &one, da, N, db, N, &one, dc, N));
	RT(cudaStreamEndCapture(s, &graph));
	RT(cudaGraphInstantiate(&exec, graph, 0));
	for (unsigned i = 0; i < 200; i++)
		RT(cudaGraphLaunch(exec, s));
	check("captured", 201);
	BLAS(cublasSetStream(h, 0));
	RT(cudaGraphExecDestroy(exec));
	RT(cudaGraphDestroy(graph));
	RT(cudaStreamDestroy(s));
}

int main(int argc, char **argv)
{
	cublasHandle_t h;
	rt_begin("cublas", argc, argv);
	rt_device();
	a = matrix(1);
	b = matrix(2);
	ab = product(a, b);
	RT(cudaMalloc(&da, BYTES));
	RT(cudaMalloc(&db, BYTES));
	RT(cudaMalloc(&dc, BYTES));
	RT(cudaMemcpy(da, a.data(), BYTES, cudaMemcpyHostToDevice));
	RT(cudaMemcpy(db, b.data(), BYTES, cudaMemcpyHostToDevice));
	RT(cudaMemset(dc, 0, BYTES));
	BLAS(cublasCreate(&h));
	single(h);
	half_precision(h);
	lt();
	captured(h);
	BLAS(cublasDestroy(h));
	RT(cudaFree(da));
	RT(cudaFree(db));
	RT(cudaFree(dc));
	return rt_end();
}
