// SPDX-License-Identifier: Apache-2.0
/*
 * room.c: a program with little room to spare, or none at all, for CUDA.
 *   tls LIBRARY   loads the library, which fills the static room for threads' data, then the driver
 *   stack KIB     uses CUDA for the first time on a thread with so little stack
 *   urgent N      uses CUDA for the first time on a real-time thread with a core of its own: the
 * shim's N threads take neither absent -      has no CUDA until it loads it, and finds that out as
 * programs do
 */
#include <cuda.h>
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N 256

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "line %d: not true: %s\n", __LINE__, #condition);          \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* No call of the linked driver, which would be loaded with the program: all by hand. */
#define GET(name)                                                                                  \
	__typeof__(name) *my_##name;                                                               \
	do {                                                                                       \
		void *symbol = dlsym(driver, #name);                                               \
		CHECK(symbol);                                                                     \
		memcpy(&my_##name, &symbol, sizeof(symbol));                                       \
	} while (0)

static int tls(const char *library)
{
	void *hog = dlopen(library, RTLD_NOW), *driver = dlopen("libcuda.so.1", RTLD_NOW);
	if (!hog || !driver) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	GET(cuInit);
	CHECK(my_cuInit(0) == CUDA_SUCCESS);
	return 0;
}

static void *work(void *unused)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOW);
	CUcontext ctx;
	CUdeviceptr p;
	CUstream s;
	CUevent e;
	int host[N];
	CHECK(driver);
	GET(cuInit);
	GET(cuDevicePrimaryCtxRetain);
	GET(cuCtxSetCurrent);
	GET(cuMemAlloc_v2);
	GET(cuStreamCreate);
	GET(cuEventCreate);
	GET(cuMemsetD32Async);
	GET(cuEventRecord);
	GET(cuEventSynchronize);
	GET(cuMemcpyDtoH_v2);
	GET(cuStreamDestroy_v2);
	CHECK(!my_cuInit(0) && !my_cuDevicePrimaryCtxRetain(&ctx, 0) && !my_cuCtxSetCurrent(ctx));
	CHECK(!my_cuMemAlloc_v2(&p, sizeof(host)) && !my_cuStreamCreate(&s, 0));
	CHECK(!my_cuEventCreate(&e, 0));
	for (unsigned i = 1; i <= 50; i++)
		CHECK(!my_cuMemsetD32Async(p, i, N, s));
	CHECK(!my_cuEventRecord(e, s) && !my_cuEventSynchronize(e));
	CHECK(!my_cuMemcpyDtoH_v2(host, p, sizeof(host)));
	CHECK(host[0] == 50 && host[N - 1] == 50);
	CHECK(!my_cuStreamDestroy_v2(s));
	return NULL;
}

static int stack(const char *kib)
{
	pthread_attr_t attr;
	pthread_t t;
	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, (size_t)atoi(kib) << 10) == 0);
	CHECK(pthread_create(&t, &attr, work, NULL) == 0);
	pthread_join(t, NULL);
	return 0;
}

static void *urgent_thread(void *unused)
{
	struct sched_param one = {.sched_priority = 1};
	cpu_set_t first;
	CPU_ZERO(&first);
	CPU_SET(sched_getcpu(), &first);
	CHECK(pthread_setaffinity_np(pthread_self(), sizeof(first), &first) == 0);
	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &one))
		fprintf(stderr, "not permitted to be real-time\n");
	return work(unused);
}

/* How many threads are called rein-…; each must be as the main thread is. */
static int ours(void)
{
	DIR *tasks = opendir("/proc/self/task");
	cpu_set_t mine, its;
	int n = 0;
	CHECK(tasks && sched_getaffinity(0, sizeof(mine), &mine) == 0);
	for (struct dirent *e; (e = readdir(tasks));) {
		char path[300], name[32] = "";
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		FILE *f = fopen(path, "r");
		if (!f || !fgets(name, sizeof(name), f) || strncmp(name, "rein-", 5) != 0)
			name[0] = '\0';
		if (f)
			fclose(f);
		if (!name[0])
			continue;
		CHECK(sched_getscheduler(atoi(e->d_name)) == SCHED_OTHER);
		CHECK(sched_getaffinity(atoi(e->d_name), sizeof(its), &its) == 0);
		CHECK(CPU_EQUAL(&mine, &its));
		n++;
	}
	closedir(tasks);
	return n;
}

static int urgent(const char *want)
{
	pthread_t t;
	CHECK(pthread_create(&t, NULL, urgent_thread, NULL) == 0);
	pthread_join(t, NULL);
	for (int i = 0; i < 10000 && ours() != atoi(want); i++)
		usleep(1000);
	CHECK(ours() == atoi(want));
	return 0;
}

static int absent(void)
{
	CHECK(!dlerror());
	CHECK(!dlsym(RTLD_DEFAULT, "cuInit"));
	CHECK(dlerror());
	CHECK(!dlsym(RTLD_DEFAULT, "cuLaunchKernel"));
	CHECK(dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL));
	void *symbol = dlsym(RTLD_DEFAULT, "cuInit");
	CUresult (*init)(unsigned int);
	CHECK(symbol);
	memcpy(&init, &symbol, sizeof(init));
	CHECK(init(0) == CUDA_SUCCESS);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "tls") == 0)
		return tls(argv[2]);
	if (argc == 3 && strcmp(argv[1], "stack") == 0)
		return stack(argv[2]);
	if (argc == 3 && strcmp(argv[1], "absent") == 0)
		return absent();
	if (argc == 3 && strcmp(argv[1], "urgent") == 0)
		return urgent(argv[2]);
	fprintf(stderr, "usage: room tls LIBRARY|stack KIB|urgent N|absent -\n");
	return 2;
}
