// SPDX-License-Identifier: Apache-2.0
/*
 * rt_pulse.cu: an urgent neighbour: every 4 ms two short kernels and a synchronise, until SIGTERM
 * or until a minute is over. It is there so that others are held again and again.
 *
 * WHAT IT ASKS of the GPU: nothing. HOW THE ANSWER IS READ: it still checks its result: exit
 * status 0, or 1 with one line.
 */
#include "rt.h"

#include <signal.h>
#include <time.h>

#define N 65536u

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

int main(int argc, char **argv)
{
	struct timespec pause = {0, 4000000};
	std::vector<uint32_t> want = rt_filled(N, 1), got(N);
	uint64_t rounds = 0;
	uint32_t *d;
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	signal(SIGALRM, on_signal); /* the time limit is a normal end here */
	rt_begin("rt_pulse", argc, argv);
	rt_device();
	RT(cudaMalloc(&d, N * 4));
	RT(cudaMemcpy(d, want.data(), N * 4, cudaMemcpyHostToDevice));
	while (!stopped) {
		rt_affine<<<rt_blocks(N), 256>>>(d, N, 5, 3, 20000);
		rt_affine<<<rt_blocks(N), 256>>>(d, N, 5, 3, 20000);
		RT_LAUNCHED();
		RT(cudaDeviceSynchronize());
		rounds += 40000;
		nanosleep(&pause, NULL);
	}
	RT(cudaMemcpy(got.data(), d, N * 4, cudaMemcpyDeviceToHost));
	for (uint32_t &x : want)
		x = rt_affine_cpu(x, 5, 3, rounds);
	rt_same(got.data(), want.data(), N, "pulse");
	printf("rt_pulse: ok (%llu pulses)\n", (unsigned long long)(rounds / 40000));
	return 0;
}
