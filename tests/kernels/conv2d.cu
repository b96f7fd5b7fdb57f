// SPDX-License-Identifier: Apache-2.0
// conv2d.cu: a filter of up to 9 x 9 in constant memory over an image of bytes with four channels;
// what lies outside is taken from the edge.

__constant__ float filter[81];

extern "C" __global__ void conv2d(const uchar4 *in, uchar4 *out, int w, int h, int radius)
{
	int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
	if (x >= w || y >= h)
		return;
	float4 sum = {0, 0, 0, 0};
	for (int dy = -radius; dy <= radius; dy++)
		for (int dx = -radius; dx <= radius; dx++) {
			int sx = min(max(x + dx, 0), w - 1), sy = min(max(y + dy, 0), h - 1);
			float f = filter[(dy + radius) * (2 * radius + 1) + dx + radius];
			uchar4 p = in[sy * w + sx];
			sum.x += f * p.x;
			sum.y += f * p.y;
			sum.z += f * p.z;
			sum.w += f * p.w;
		}
	out[y * w + x] = make_uchar4((unsigned char)(__saturatef(sum.x / 255) * 255),
	                             (unsigned char)min(max(__float2int_rn(sum.y), 0), 255),
	                             (unsigned char)min(max((int)floorf(sum.z), 0), 255),
	                             (unsigned char)min(max(__float2int_ru(sum.w), 0), 255));
}
