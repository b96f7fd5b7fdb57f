// SPDX-License-Identifier: Apache-2.0
/*
 * dependent.c: two programs, one of which waits for the other's GPU work in the middle of its own.
 *   server ASK ANSWER          does one step on the GPU for each byte that it reads from ASK
 *   client ASK ANSWER ROUNDS   puts a host function into its stream that asks for such a step and
 *                              returns when it is done, and waits for the stream; ROUNDS times
 * ASK and ANSWER are FIFOs. To a scheduler the client has unfinished work all the while.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api_client.h"

#define WORDS 1024

static int ask_fd, answer_fd;

static void pass_on(void *unused)
{
	char byte = 'x';
	CHECK(write(ask_fd, &byte, 1) == 1);
	CHECK(read(answer_fd, &byte, 1) == 1);
}

static int serve(CUdeviceptr p)
{
	unsigned value = 0, seen;
	char byte;
	while (read(ask_fd, &byte, 1) == 1) {
		OK(cuMemsetD32(p, ++value, WORDS));
		OK(cuMemcpyDtoH(&seen, p + 4 * (WORDS - 1), 4));
		CHECK(seen == value);
		CHECK(write(answer_fd, &byte, 1) == 1);
	}
	return 0;
}

static int ask(CUdeviceptr p, unsigned rounds)
{
	CUstream s;
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	for (unsigned i = 1; i <= rounds; i++) {
		unsigned seen;
		OK(cuMemsetD32Async(p, i, WORDS, s));
		OK(cuLaunchHostFunc(s, pass_on, NULL));
		OK(cuStreamSynchronize(s));
		OK(cuMemcpyDtoHAsync(&seen, p, 4, s));
		OK(cuStreamSynchronize(s));
		CHECK(seen == i);
		usleep(20000); /* idle, in between */
	}
	return 0;
}

int main(int argc, char **argv)
{
	CUdevice dev;
	CUcontext ctx;
	CUdeviceptr p;
	CHECK(argc >= 4);
	bool server = strcmp(argv[1], "server") == 0;
	OK(cuInit(0));
	OK(cuDeviceGet(&dev, 0));
	OK(cuDevicePrimaryCtxRetain(&ctx, dev));
	OK(cuCtxSetCurrent(ctx));
	OK(cuMemAlloc(&p, 4 * WORDS));
	ask_fd = open(argv[2], server ? O_RDONLY : O_WRONLY);
	answer_fd = open(argv[3], server ? O_WRONLY : O_RDONLY);
	CHECK(ask_fd >= 0 && answer_fd >= 0);
	return server ? serve(p) : ask(p, argc > 4 ? (unsigned)atol(argv[4]) : 1);
}
