// SPDX-License-Identifier: Apache-2.0
/*
 * rt_fork.cu: several processes: a child forked before CUDA starts, and its parent, both use the
 * GPU; a child forked later uses none (as a data loader's workers); a child forked later starts
 * this program anew by exec, which uses the GPU; another becomes /bin/true.
 *
 * WHAT IT ASKS of the GPU: does each process get its own right results, and does no child disturb
 * its parent. HOW THE ANSWER IS READ: exit status 0 and the bytes of --dump.
 */
#include "rt.h"

#include <errno.h>
#include <sys/wait.h>

#define N 4096u

/* some hundred launches; the result is right, or the process ends with status 1 */
static void compute(uint32_t seed, std::vector<uint32_t> *out)
{
	std::vector<uint32_t> want = rt_filled(N, seed);
	uint32_t *d;
	out->resize(N);
	RT(cudaMalloc(&d, N * 4));
	RT(cudaMemcpy(d, want.data(), N * 4, cudaMemcpyHostToDevice));
	for (unsigned i = 0; i < 400; i++) {
		rt_affine<<<rt_blocks(N), 256>>>(d, N, 2 * i + 3, i, 20);
		if (i % 20 == 0)
			RT(cudaDeviceSynchronize());
	}
	RT_LAUNCHED();
	RT(cudaMemcpy(out->data(), d, N * 4, cudaMemcpyDeviceToHost));
	for (uint32_t &x : want)
		for (unsigned i = 0; i < 400; i++)
			x = rt_affine_cpu(x, 2 * i + 3, i, 20);
	for (unsigned i = 0; i < N; i++)
		if ((*out)[i] != want[i])
			rt_fail("seed %u: [%u] is %u, not %u", seed, i, (*out)[i], want[i]);
	RT(cudaFree(d));
}

static bool write_all(int fd, const void *data, size_t len)
{
	const char *p = (const char *)data;
	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* What a child that computes says: the result's bytes on its standard output. */
static int child_main(uint32_t seed)
{
	std::vector<uint32_t> v;
	rt_device();
	compute(seed, &v);
	return write_all(1, v.data(), N * 4) ? 0 : 1;
}

enum how { FORKED, EXECED, IDLE, OTHER };

struct child {
	pid_t pid;
	int fd;
};

static struct child start(enum how how, uint32_t seed)
{
	int fd[2];
	char mode[32];
	RT_TRUE(pipe(fd) == 0);
	fflush(stdout);
	pid_t pid = fork();
	RT_TRUE(pid >= 0);
	if (pid) {
		close(fd[1]);
		return {pid, fd[0]};
	}
	alarm(RT_LIMIT_S);
	if (dup2(fd[1], 1) < 0)
		_exit(1);
	close(fd[0]);
	close(fd[1]);
	if (how == FORKED)
		_exit(child_main(seed));
	if (how == EXECED) {
		snprintf(mode, sizeof(mode), "child-%u", seed);
		execl("/proc/self/exe", rt_name, mode, (char *)NULL);
	}
	if (how == OTHER)
		execl("/bin/true", "true", (char *)NULL);
	_exit(how == IDLE ? 0 : 127);
}

static void finish(struct child c, bool computes, uint32_t seed)
{
	std::vector<uint32_t> got(N);
	size_t have = 0;
	int status;
	ssize_t n;
	while (have < N * 4 && (n = read(c.fd, (char *)got.data() + have, N * 4 - have)) != 0) {
		RT_TRUE(n > 0 || errno == EINTR);
		have += n > 0 ? (size_t)n : 0;
	}
	close(c.fd);
	while (waitpid(c.pid, &status, 0) < 0)
		RT_TRUE(errno == EINTR);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		rt_fail("the child of seed %u ended with wait status 0x%x", seed, status);
	RT_TRUE(have == (computes ? N * 4 : 0));
	rt_result(got.data(), have);
}

int main(int argc, char **argv)
{
	std::vector<uint32_t> v;
	unsigned seed;
	rt_begin("rt_fork", argc, argv);
	if (rt_mode && sscanf(rt_mode, "child-%u", &seed) == 1)
		return child_main(seed);
	struct child early = start(FORKED, 1); /* before any CUDA call of this process */
	rt_device();
	compute(2, &v);
	rt_result(v.data(), N * 4);
	finish(early, true, 1);
	struct child execed = start(EXECED, 3);
	for (uint32_t i = 0; i < 4; i++)
		finish(start(i % 2 ? IDLE : OTHER, i), false, i);
	compute(4, &v); /* beside the one that still computes */
	rt_result(v.data(), N * 4);
	finish(execed, true, 3);
	compute(5, &v);
	rt_result(v.data(), N * 4);
	return rt_end();
}
