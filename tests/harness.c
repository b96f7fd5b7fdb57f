// SPDX-License-Identifier: Apache-2.0
#include "tests/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* One folder a test program; every test's folders lie in it, and the parent of all removes it. */
static char temp_base[48];

static void temp_remove(void)
{
	char cmd[128];
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", temp_base);
	if (temp_base[0] && system(cmd) != 0)
		fprintf(stderr, "could not remove %s\n", temp_base);
}

const char *temp_dir(void)
{
	static char path[96];
	snprintf(path, sizeof(path), "%s/XXXXXX", temp_base);
	ck_assert_ptr_nonnull(mkdtemp(path));
	return path;
}

int harness_run(const char *suite, const TTest *const *tests, size_t n)
{
	Suite *s = suite_create(suite);
	strcpy(temp_base, "/tmp/rein-test-XXXXXX");
	if (!mkdtemp(temp_base) || chmod(temp_base, 0755) < 0) { /* some tests change their user */
		perror("no folder for temporary files in /tmp");
		return 1;
	}
	for (size_t i = 0; i < n; i++) {
		TCase *tc = tcase_create(tests[i]->name);
		tcase_set_timeout(tc, 120);
		tcase_add_test(tc, tests[i]);
		suite_add_tcase(s, tc);
	}
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	temp_remove();
	return failed ? 1 : 0;
}

struct proc proc_start(char *const argv[], char *const env[])
{
	int pipefd[2];
	ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0);
	fflush(NULL);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int null = open("/dev/null", O_RDONLY);
		dup2(null, 0);
		dup2(pipefd[1], 1);
		dup2(pipefd[1], 2);
		for (int i = 0; env && env[i]; i++)
			putenv(env[i]);
		execvp(argv[0], argv);
		fprintf(stderr, "exec %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(pipefd[1]);
	return (struct proc){.pid = pid, .out = pipefd[0]};
}

static long long now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

int proc_wait(struct proc *p, char *buf, size_t len, int timeout_ms)
{
	long long end = now_ms() + timeout_ms;
	size_t got = 0;
	bool open = true;
	int status;
	fcntl(p->out, F_SETFL, O_NONBLOCK);
	for (;;) {
		struct pollfd pfd = {.fd = open ? p->out : -1, .events = POLLIN};
		poll(&pfd, 1, 2);
		for (;;) {
			char drop[4096];
			bool room = buf && got + 1 < len;
			ssize_t n = open ? read(p->out, room ? buf + got : drop,
			                        room ? len - 1 - got : sizeof(drop))
			                 : 0;
			if (n <= 0) {
				if (n == 0)
					open = false;
				break;
			}
			if (room)
				got += (size_t)n;
		}
		pid_t w = waitpid(p->pid, &status, WNOHANG);
		if (w == p->pid)
			break;
		if (now_ms() > end) {
			kill(p->pid, SIGKILL);
			waitpid(p->pid, &status, 0);
			ck_abort_msg("pid %d still ran after %d ms", (int)p->pid, timeout_ms);
		}
	}
	if (open && buf) {
		ssize_t n;
		while (got + 1 < len && (n = read(p->out, buf + got, len - 1 - got)) > 0)
			got += (size_t)n;
	}
	close(p->out);
	if (buf)
		buf[got] = 0;
	p->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void proc_kill(struct proc *p, int signal)
{
	if (p->pid > 0)
		kill(p->pid, signal);
}

pid_t proc_child(pid_t pid)
{
	char path[64];
	int child = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	FILE *f = fopen(path, "r");
	if (f && fscanf(f, "%d", &child) != 1)
		child = 0;
	if (f)
		fclose(f);
	ck_assert_msg(child > 0, "pid %d has no child", (int)pid);
	return child;
}

int proc_run(char *const argv[], char *const env[], char *buf, size_t len, int timeout_ms)
{
	struct proc p = proc_start(argv, env);
	return proc_wait(&p, buf, len, timeout_ms);
}

bool eventually(bool (*fn)(void *), void *arg, int timeout_ms)
{
	long long end = now_ms() + timeout_ms;
	do {
		if (fn(arg))
			return true;
		usleep(1000);
	} while (now_ms() < end);
	return false;
}

const char *built(const char *file)
{
	static char ring[16][512];
	static unsigned next;
	char *buf = ring[next++ % 16];
	char cwd[256];
	ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
	snprintf(buf, sizeof(ring[0]), "%s%s%s/%s", BUILD_DIR[0] == '/' ? "" : cwd,
	         BUILD_DIR[0] == '/' ? "" : "/", BUILD_DIR, file);
	return buf;
}
