// SPDX-License-Identifier: Apache-2.0
/*
 * api_expect.h: what the CUDA programs of this folder expect, and how they say that it is not so: a
 * line on stderr with file, line, call, what came and what was expected. A program that dies of a
 * signal says in which of its checks.
 *
 * Most programs end at the first wrong answer. Those that call api_run() take an option:
 *
 *   --driver  the driver is NVIDIA's: nothing is asked that only the software GPU promises: what it
 *             says to handles that are destroyed or never were, and what it lacks (BEYOND, OURS)
 *   --all     as --driver, and each wrong answer is a line and the program goes on. Each section
 *             runs in a process of its own, so that one leaves nothing behind for the next; one
 *             that dies or hangs is run again without the check in which it did, or up to it
 *
 * Exit status: 0 all as expected, 1 not.
 */
#ifndef API_EXPECT_H
#define API_EXPECT_H

#include <cuda.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define API_LIST_MAX 256
#define API_SECTION_S 10 /* with --all: a section may take that long … */
#define API_ALL_S 25     /* … and none is run again after that */

struct api_check {
	const char *file, *text; /* literals of the program: the same in its forks */
	int line;
};

struct api_list {
	struct api_check at[API_LIST_MAX];
	int n;
};

/* What a section in a process of its own leaves to the others. */
struct api_shared {
	struct api_list told; /* wrong answers: each once */
	struct api_list left; /* checks in which a process died */
	struct api_check died;
};

static struct api_shared *api_all; /* NULL: no --all */
static bool api_on_driver;
static _Thread_local struct api_check api_now;

static inline bool api_listed(const struct api_list *l, const struct api_check *c)
{
	for (int i = 0; i < l->n; i++)
		if (l->at[i].line == c->line && l->at[i].file == c->file)
			return true;
	return false;
}

static inline void api_list_add(struct api_list *l, const struct api_check *c)
{
	if (l->n < API_LIST_MAX)
		l->at[l->n++] = *c;
}

/* Whether the check is to be made. */
static inline bool api_begin(const char *text, const char *file, int line)
{
	api_now = (struct api_check){file, text, line};
	return !api_all || !api_listed(&api_all->left, &api_now);
}

static inline void api_wrong(const char *what, const char *wanted)
{
	if (api_all && api_listed(&api_all->told, &api_now))
		return;
	fprintf(stderr, "%s:%d: %s: %s%s%s\n", api_now.file, api_now.line, api_now.text, what,
	        wanted ? ", expected " : "", wanted ? wanted : "");
	if (!api_all)
		exit(1);
	api_list_add(&api_all->told, &api_now);
}

_Noreturn static inline void api_leave(void)
{
	fprintf(stderr, "%s:%d: %s: the rest of this section was not asked\n", api_now.file,
	        api_now.line, api_now.text);
	exit(0);
}

static inline void expect(CUresult want, CUresult got, const char *call, const char *file, int line)
{
	char number[16];
	const char *want_name = "?", *got_name = NULL;
	if (want == got)
		return;
	snprintf(number, sizeof(number), "%d", (int)got);
	cuGetErrorName(want, &want_name);
	if (cuGetErrorName(got, &got_name) != CUDA_SUCCESS || !got_name)
		got_name = number;
	api_begin(call, file, line); /* the call may have had checks of its own */
	api_wrong(got_name, want_name);
}

/* What must be true or must succeed. Where a process has died in it (--all) there is no going on.
 */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!api_begin(#condition, __FILE__, __LINE__))                                    \
			api_leave();                                                               \
		if (!(condition) && api_begin(#condition, __FILE__, __LINE__))                     \
			api_wrong("not true", NULL);                                               \
	} while (0)
#define OK(call)                                                                                   \
	do {                                                                                       \
		if (!api_begin(#call, __FILE__, __LINE__))                                         \
			api_leave();                                                               \
		expect(CUDA_SUCCESS, call, #call, __FILE__, __LINE__);                             \
	} while (0)
/* What must fail in one way: it can be left out. */
#define EXPECT(code, call)                                                                         \
	do {                                                                                       \
		if (api_begin(#call, __FILE__, __LINE__))                                          \
			expect(code, call, #call, __FILE__, __LINE__);                             \
	} while (0)
/* What CUDA leaves undefined and the software GPU does not. */
#define BEYOND(code, call)                                                                         \
	do {                                                                                       \
		if (!api_on_driver)                                                                \
			EXPECT(code, call);                                                        \
	} while (0)

/* ---- dying */

static inline void api_died(int sig)
{
	char line[400];
	const char *how = sig == SIGALRM ? "has not ended" : sigdescr_np(sig);
	struct api_check at = api_now;
	if (api_all)
		api_all->died = at;
	int n = snprintf(line, sizeof(line), "%s:%d: %s: %s\n", at.file ? at.file : "?", at.line,
	                 at.text ? at.text : "before the first check", how);
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		_exit(1);
	signal(sig, SIG_DFL); /* it ends as it would have */
	raise(sig);
}

/* A sanitizer has a report of its own. */
__attribute__((constructor)) static void api_watch(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM};
	struct sigaction a = {.sa_handler = api_died, .sa_flags = SA_NODEFER};
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &a, NULL);
#endif
}

/* ---- sections */

struct api_section {
	void (*run)(void);
	bool ours; /* only the software GPU promises that */
};
#define SECTION(function)                                                                          \
	{                                                                                          \
		function, false                                                                    \
	}
#define OURS(function)                                                                             \
	{                                                                                          \
		function, true                                                                     \
	}

static inline void api_run_alone(const struct api_section *s, time_t begin)
{
	bool again = true;
	while (again) {
		int status = 0;
		api_all->died = (struct api_check){0};
		pid_t pid = fork();
		if (pid == 0) {
			alarm(API_SECTION_S);
			s->run();
			api_now = (struct api_check){__FILE__, "the end of a section", __LINE__};
			exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid) {
			perror("a section");
			exit(1);
		}
		again = WIFSIGNALED(status) && time(NULL) - begin < API_ALL_S &&
		        api_all->died.line && !api_listed(&api_all->left, &api_all->died);
		if (WIFSIGNALED(status))
			api_list_add(&api_all->left, &api_all->died);
		else if (WEXITSTATUS(status) != 0) { /* a sanitizer's report, say */
			api_begin("a section", __FILE__, __LINE__);
			api_wrong("it ended in an unusual way", "exit status 0");
		}
	}
}

/* main() of a program of independent sections: each begins with what it needs. */
static inline int api_run(int argc, char **argv, const struct api_section *sections, int n)
{
	time_t begin = time(NULL);
	bool all = argc == 2 && strcmp(argv[1], "--all") == 0;
	api_on_driver = all || (argc == 2 && strcmp(argv[1], "--driver") == 0);
	if (argc > 1 && !api_on_driver) {
		fprintf(stderr, "usage: %s [--driver | --all]\n", argv[0]);
		return 2;
	}
	if (all)
		api_all = mmap(NULL, sizeof(*api_all), PROT_READ | PROT_WRITE,
		               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < n; i++) {
		if (sections[i].ours && api_on_driver)
			continue;
		if (all)
			api_run_alone(&sections[i], begin);
		else
			sections[i].run();
	}
	if (all && api_all->told.n + api_all->left.n) {
		fprintf(stderr, "%d answers are not as expected, %d checks were not survived\n",
		        api_all->told.n, api_all->left.n);
		return 1;
	}
	puts("ok");
	return 0;
}
#define API_RUN(argc, argv, list) api_run(argc, argv, list, (int)(sizeof(list) / sizeof((list)[0])))

#endif
