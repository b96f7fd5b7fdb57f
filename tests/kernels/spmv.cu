// SPDX-License-Identifier: Apache-2.0
// spmv.cu: a sparse matrix (rows compressed) times a vector in double precision, eight lanes a row.

extern "C" __global__ void spmv(const int *start, const int *column, const double *value,
                                const double *x, double *y, int rows)
{
	int row = (blockIdx.x * blockDim.x + threadIdx.x) / 8, lane = threadIdx.x % 8;
	double sum = 0;
	if (row < rows)
		for (int i = start[row] + lane; i < start[row + 1]; i += 8)
			sum += value[i] * x[column[i]];
	for (int step = 4; step; step >>= 1)
		sum += __shfl_down_sync(0xffffffffu, sum, step, 8);
	if (row < rows && lane == 0)
		y[row] = sum;
}
