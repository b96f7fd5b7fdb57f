// SPDX-License-Identifier: Apache-2.0
/*
 * ways.c: ways to use CUDA that a launcher, a plug-in host or a test runner has. Each prints lines
 * that end in what it found; the work's result is checked.
 *   work             finds the driver with dlopen and dlsym, works
 *   handles          the same with every kind of handle of the driver
 *   forever          the same, then says "ready" and stays until it is killed
 *   load LIB         works through a library (tests/preload/cuda_plugin.c), RTLD_LOCAL
 *   deepbind LIB     the same, RTLD_LOCAL | RTLD_DEEPBIND
 *   global LIB       the same, RTLD_GLOBAL | RTLD_LAZY
 *   unload LIB       loads, works, unloads, twenty times; then works itself
 *   fork LIB         a child loads the library; after that the parent does
 *   fork-after LIB   works first, then a child that leaves CUDA alone loads LIB and _exits
 *   threads          forty threads work one after another, each ends; then eight at once
 *   dies             CUDA is first used by a thread that ends; main goes on with its context
 *   at-exit          works in an atexit handler and in a destructor
 *   spawn            works, starts itself with vfork, posix_spawn, system and popen, works again
 *   execute ARG…     works, then becomes another program
 *   names            every name of cudaTypedefs.h at several versions and flags, from both forms of
 *                    cuGetProcAddress: result, status, and the symbol that was given
 *   name NAME VERSION   whose function one name means
 */
#include "resolve.h"

#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda_versions.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DEEPBIND 0 /* a sanitizer's runtime ends the process over it */
#else
#define DEEPBIND RTLD_DEEPBIND
#endif

extern char **environ;
static const char *self;

/* 0: right. */
static int work(int talk)
{
	struct driver d;
	void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!handle || !find_all(&d, handle))
		return 10;
	if (talk)
		print_owner("found", (void *)d.memset_d32);
	return run_work(&d);
}

static int handles(void)
{
	const int flags[] = {RTLD_LAZY | RTLD_LOCAL, RTLD_NOW | RTLD_LOCAL | DEEPBIND,
	                     RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE, RTLD_NOW | RTLD_NOLOAD,
	                     RTLD_NOW | RTLD_GLOBAL};
	int failed = 0;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && !failed; i++) {
		struct driver d;
		void *handle = dlopen("libcuda.so.1", flags[i]);
		failed = !handle || !find_all(&d, handle) ? 11 : run_work(&d);
		if (failed)
			break;
		print_owner("handle", (void *)d.memset_d32);
		dlclose(handle);
	}
	print_owner("global scope", dlsym(RTLD_DEFAULT, "cuMemsetD32_v2"));
	return failed;
}

static int report(const char *what, int failed)
{
	if (failed)
		printf("%s: failed in step %d\n", what, failed);
	else
		printf("%s: right\n", what);
	fflush(stdout);
	return failed;
}

static int through(const char *library, int flags, int talk, int unload)
{
	void *handle = dlopen(library, flags);
	int (*plugin_work)(int);
	if (!handle) {
		fprintf(stderr, "%s\n", dlerror());
		return 20;
	}
	*(void **)&plugin_work = dlsym(handle, "plugin_work");
	int failed = plugin_work ? plugin_work(talk) : 21;
	if (unload && dlclose(handle))
		return 22;
	return failed;
}

static int unload(const char *library)
{
	int failed = 0;
	for (int i = 0; i < 20 && !failed; i++)
		failed = through(library, RTLD_NOW | RTLD_LOCAL, i == 0, 1);
	return report("unloaded", failed) || report("after", work(1));
}

static int child_ended(pid_t pid)
{
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 30;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 31;
}

static int in_child(const char *library, int uses_cuda)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		int failed = uses_cuda ? through(library, RTLD_NOW, 1, 0)
		                       : !dlopen(library, RTLD_NOW | RTLD_LOCAL);
		fflush(stdout);
		_exit(failed);
	}
	return report("child", child_ended(pid));
}

/* Keeps the primary context: the threads that follow do not end it under each other. */
static int hold(void)
{
	struct driver d;
	CUdevice device;
	CUcontext context;
	void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	return !handle || !find_all(&d, handle) || d.init(0) || d.device_get(&device, 0) ||
	       d.retain(&context, device);
}

static void *in_thread(void *failed)
{
	*(int *)failed = work(0);
	return NULL;
}

static int in_threads(int n, int at_once)
{
	pthread_t thread[64];
	int failed[64] = {0}, bad = 0;
	for (int i = 0; i < n; i++) {
		if (pthread_create(&thread[i], NULL, in_thread, &failed[i]))
			return 40;
		if (!at_once)
			pthread_join(thread[i], NULL);
	}
	for (int i = 0; at_once && i < n; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < n; i++)
		bad |= failed[i];
	return bad;
}

/* The context and what it holds outlive the thread that made them. */
struct made {
	struct driver d;
	CUcontext context;
	CUdeviceptr memory;
	int failed;
};

static void *make(void *arg)
{
	struct made *m = arg;
	CUdevice device;
	void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	m->failed = !handle || !find_all(&m->d, handle) || m->d.init(0) ||
	            m->d.device_get(&device, 0) || m->d.retain(&m->context, device) ||
	            m->d.set_current(m->context) || m->d.mem_alloc(&m->memory, 4096) ||
	            m->d.memset_d32(m->memory, 77, 1024);
	return NULL;
}

static int dies(void)
{
	struct made m;
	pthread_t thread;
	unsigned int host[1024] = {0};
	if (pthread_create(&thread, NULL, make, &m) || pthread_join(thread, NULL))
		return 50;
	int failed = m.failed || m.d.set_current(m.context) ||
	             m.d.memcpy_dtoh(host, m.memory, sizeof(host)) || host[1023] != 77 ||
	             m.d.mem_free(m.memory);
	return report("its context", failed) || report("after", work(1));
}

static int at_end;
static void in_handler(void)
{
	report("handler", work(0));
}

__attribute__((destructor)) static void in_destructor(void)
{
	if (at_end)
		report("destructor", work(0));
}

/* A vforked child shares our memory until it executes. */
static int vforked(void)
{
	char *argv[] = {(char *)self, (char *)"work", NULL};
	pid_t pid = vfork(); // NOLINT: what is tested
	if (pid == 0) {
		execv(self, argv);
		_exit(60);
	}
	return child_ended(pid);
}

static int spawned(void)
{
	char *argv[] = {(char *)self, (char *)"work", NULL};
	pid_t pid;
	return posix_spawn(&pid, self, NULL, NULL, argv, environ) ? 61 : child_ended(pid);
}

static int by_shell(void)
{
	char command[600], line[256];
	int right = 0;
	snprintf(command, sizeof(command), "'%s' work", self);
	if (system(command)) // NOLINT: what is tested
		return 62;
	FILE *out = popen(command, "r"); // NOLINT: what is tested
	while (out && fgets(line, sizeof(line), out))
		right |= !strcmp(line, "work: right\n");
	return !out || pclose(out) || !right ? 63 : 0;
}

static int spawn(void)
{
	return report("before", work(1)) || report("vfork", vforked()) ||
	       report("posix_spawn", spawned()) || report("system", by_shell()) ||
	       report("after", work(0));
}

/* ---------------------------------------------------------------- names */

static CUresult (*get_v1)(const char *, void **, int, cuuint64_t);
static CUresult (*get_v2)(const char *, void **, int, cuuint64_t, CUdriverProcAddressQueryResult *);
static unsigned hooked;

static void ask(const char *name, int version, cuuint64_t flags)
{
	CUdriverProcAddressQueryResult status = (CUdriverProcAddressQueryResult)-1;
	void *v1 = NULL, *v2 = NULL, *v3 = NULL;
	CUresult r1 = get_v1(name, &v1, version, flags);
	CUresult r2 = get_v2(name, &v2, version, flags, &status);
	CUresult r3 = get_v2(name, &v3, version, flags, NULL);
	Dl_info info;
	const char *symbol = "-";
	if (v2)
		symbol = dladdr(v2, &info) && info.dli_sname ? info.dli_sname : "?";
	hooked += v2 && strcmp(owner_of(v2), "libcuda.so.1") != 0;
	printf("%s %d %d: %d %d %d %s%s\n", name, version, (int)flags, (int)r1, (int)r2,
	       (int)status, symbol, v1 == v2 && v2 == v3 && r2 == r3 ? "" : " AND ANOTHER");
}

static int find_get(void)
{
	void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return 0;
	*(void **)&get_v1 = dlsym(handle, "cuGetProcAddress");
	*(void **)&get_v2 = dlsym(handle, "cuGetProcAddress_v2");
	return get_v1 && get_v2;
}

static int one_name(const char *name, int version)
{
	CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
	void *p = NULL;
	Dl_info info;
	if (!find_get() || get_v2(name, &p, version, 0, &status))
		return 1;
	printf("%s %d: %s %s\n", name, version, owner_of(p),
	       p && dladdr(p, &info) && info.dli_sname ? info.dli_sname : "?");
	return 0;
}

static int names(void)
{
	void *p;
	if (!find_get())
		return 10;
	for (size_t i = 0; i < sizeof(cuda_version_rows) / sizeof(cuda_version_rows[0]); i++) {
		const struct cuda_version_row *row = &cuda_version_rows[i];
		const int versions[] = {row->version, row->version - 1, 3000, CUDA_VERSION};
		for (int v = 0; v < 4; v++)
			for (cuuint64_t flags = 0; flags < 3; flags++)
				ask(row->base, versions[v], flags);
	}
	ask("cuNoSuchFunction", CUDA_VERSION, 0);
	ask("cuLaunchKernel", CUDA_VERSION + 1000, 0);
	ask("cuLaunchKernel", CUDA_VERSION, 8);
	ask("cuLaunchKernel", 0, 0);
	ask("", CUDA_VERSION, 0);
	ask("cuMemsetD32_v2", CUDA_VERSION, 0);
	printf("no name: %d %d\n", (int)get_v1(NULL, &p, CUDA_VERSION, 0),
	       (int)get_v2(NULL, &p, CUDA_VERSION, 0, NULL));
	printf("nowhere: %d %d\n", (int)get_v1("cuLaunchKernel", NULL, CUDA_VERSION, 0),
	       (int)get_v2("cuLaunchKernel", NULL, CUDA_VERSION, 0, NULL));
	printf("hooked: %u\n", hooked);
	return 0;
}

static int with_library(const char *mode, const char *library)
{
	if (!strcmp(mode, "load"))
		return report("plugin", through(library, RTLD_NOW | RTLD_LOCAL, 1, 0));
	if (!strcmp(mode, "deepbind"))
		return report("plugin", through(library, RTLD_NOW | RTLD_LOCAL | DEEPBIND, 1, 0));
	if (!strcmp(mode, "global"))
		return report("plugin", through(library, RTLD_LAZY | RTLD_GLOBAL, 1, 0));
	if (!strcmp(mode, "unload"))
		return unload(library);
	if (!strcmp(mode, "fork"))
		return in_child(library, 1) || report("parent", through(library, RTLD_NOW, 1, 0));
	if (!strcmp(mode, "fork-after"))
		return report("before", work(1)) || in_child(library, 0) ||
		       report("after", work(0));
	return 2;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	self = argv[0];
	if (!strcmp(mode, "work"))
		return report("work", work(1));
	if (!strcmp(mode, "handles"))
		return report("work", handles());
	if (!strcmp(mode, "forever")) {
		int failed = work(1);
		puts(failed ? "failed" : "ready");
		fflush(stdout);
		for (;;)
			pause();
	}
	if (!strcmp(mode, "threads"))
		return report("in turn", in_threads(40, 0)) || report("held", hold()) ||
		       report("at once", in_threads(8, 1)) || report("after", work(1));
	if (!strcmp(mode, "dies"))
		return dies();
	if (!strcmp(mode, "at-exit")) {
		at_end = 1;
		return atexit(in_handler) || report("main", work(1));
	}
	if (!strcmp(mode, "spawn"))
		return spawn();
	if (!strcmp(mode, "execute") && argc > 2) {
		if (report("before", work(1)))
			return 1;
		execv(argv[2], argv + 2);
		perror(argv[2]);
		return 1;
	}
	if (!strcmp(mode, "names"))
		return names();
	if (!strcmp(mode, "name") && argc == 4)
		return one_name(argv[2], atoi(argv[3]));
	if (argc == 3)
		return with_library(mode, argv[2]);
	fprintf(stderr, "usage: %s MODE [LIB | ARG…]: read the source\n", argv[0]);
	return 2;
}
