// SPDX-License-Identifier: Apache-2.0
/* ipc.cu: memory and an event of one process, used by another, which is this program again. */
#include <sys/wait.h>

#include "t.h"

#define N 64

struct message {
	cudaIpcMemHandle_t memory;
	cudaIpcEventHandle_t event;
};

static __global__ void add(int *p, int v)
{
	p[threadIdx.x] += v;
}

static int other(void)
{
	struct message m;
	int *d, host[N];
	cudaEvent_t event;
	TRUE(read(0, &m, sizeof(m)) == (ssize_t)sizeof(m));
	OK(cudaIpcOpenMemHandle((void **)&d, m.memory, cudaIpcMemLazyEnablePeerAccess));
	OK(cudaIpcOpenEventHandle(&event, m.event));
	OK(cudaStreamWaitEvent(0, event, 0));
	add<<<1, N>>>(d, 1000);
	OK(cudaGetLastError());
	OK(cudaMemcpy(host, d, sizeof(host), cudaMemcpyDeviceToHost));
	TRUE(host[5] == 1005);
	OK(cudaEventDestroy(event));
	OK(cudaIpcCloseMemHandle(d));
	return 0;
}

int main(int argc, char **argv)
{
	struct message m;
	int *d, host[N], fd[2], status;
	cudaEvent_t event;
	if (argc > 1)
		return other();
	TRUE(pipe(fd) == 0);
	pid_t pid = fork();
	TRUE(pid >= 0);
	if (pid == 0) {
		dup2(fd[0], 0);
		close(fd[0]);
		close(fd[1]);
		execl("/proc/self/exe", argv[0], "other", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < N; i++)
		host[i] = i;
	OK(cudaMalloc(&d, sizeof(host)));
	OK(cudaMemcpy(d, host, sizeof(host), cudaMemcpyHostToDevice));
	OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventInterprocess));
	OK(cudaEventRecord(event, 0));
	OK(cudaIpcGetMemHandle(&m.memory, d));
	OK(cudaIpcGetEventHandle(&m.event, event));
	TRUE(write(fd[1], &m, sizeof(m)) == (ssize_t)sizeof(m));
	TRUE(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	OK(cudaMemcpy(host, d, sizeof(host), cudaMemcpyDeviceToHost));
	TRUE(host[63] == 1063);
	OK(cudaEventDestroy(event));
	OK(cudaFree(d));
	puts("ok");
	return 0;
}
