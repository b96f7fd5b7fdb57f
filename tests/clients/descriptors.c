// SPDX-License-Identifier: Apache-2.0
/*
 * descriptors.c: what a program may do to the descriptors of its process, and to what may be waited
 * for, while the shim has some of its own (puppet_client.h).
 *   stdio        started without stdin, stdout and stderr: those numbers stay free
 *   closes       closes all that it did not open: the shim joins again, with a doorbell
 *   no-files     allows itself no descriptors at all, and is stopped and continued: nothing spins
 */
#include "puppet_client.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define N 256

static int talk_fd(void)
{
	const char *text = getenv("PUPPET_FD");
	return text ? atoi(text) : -1;
}

/* The descriptors that the program is free to forget about: all but the way to its test. */
static void close_the_rest(void)
{
	for (int fd = 3; fd < 1024; fd++)
		if (fd != talk_fd())
			close(fd);
}

static int sockets(void)
{
	int n = 0;
	struct stat st;
	for (int fd = 0; fd < 1024; fd++)
		n += fd != talk_fd() && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	return n;
}

static void stdio(void)
{
	struct gpu g;
	struct stat st;
	close(0);
	close(1);
	g = gpu_open();
	(void)ask('o'); /* it has joined */
	CHECK(sockets() == 2);
	CHECK(fstat(0, &st) != 0 || !S_ISSOCK(st.st_mode));
	CHECK(fstat(1, &st) != 0 || !S_ISSOCK(st.st_mode));
	CUdeviceptr p;
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(cuMemsetD32(p, 7, N));
	OK(launch(g.add, p, 1, N, NULL));
	EXPECT_ALL(p, 8, N);
}

static void closes(void)
{
	struct gpu g = gpu_open();
	CUdeviceptr p;
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(cuMemsetD32(p, 7, N));
	(void)ask('o');
	CHECK(sockets() == 2);
	close_the_rest();
	CHECK(sockets() == 0);
	OK(launch(g.add, p, 1, N, NULL));
	/* twice in a row: joining takes and gives descriptors */
	for (int i = 0, same = 0; i < 300 && same < 2; i++) {
		usleep(50000);
		same = sockets() == 2 ? same + 1 : 0;
	}
	CHECK(sockets() == 2);
	EXPECT_ALL(p, 8, N);
}

static double cpu_s(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void no_files(void)
{
	struct rlimit none = {0, 0};
	struct gpu g = gpu_open();
	(void)ask('o');
	OK(cuCtxSynchronize());
	CHECK(g.ctx);
	pid_t pid = getpid(), child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		usleep(300000);
		kill(pid, SIGCONT);
		_exit(0);
	}
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	raise(SIGSTOP);
	CHECK(waitpid(child, NULL, 0) == child);
	double before = cpu_s();
	sleep(1);
	double used = cpu_s() - before;
	if (used > 0.3)
		fprintf(stderr, "%.2f s of CPU time in a second of sleep\n", used);
	CHECK(used < 0.3);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = {{"stdio", stdio}, {"closes", closes}, {"no-files", no_files}};
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(mode, modes[i].name) == 0) {
			modes[i].run();
			return 0;
		}
	fprintf(stderr, "usage: descriptors stdio|closes|no-files\n");
	return 2;
}
