// SPDX-License-Identifier: Apache-2.0
/*
 * resolve_odd.c: unusual ways to the driver.
 *   none        there is no driver; a preloaded library's cuInit is called all the same
 *   two A B     two drivers loaded by path: the second must not be mixed up with the first
 *   threads     many threads find and use the driver for the first time at once
 */
#include <cuda.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "resolve.h"

#define THREADS 16

static int none(void)
{
	CUresult (*init)(unsigned int);
	void *rein = dlopen("librein.so", RTLD_NOW | RTLD_NOLOAD); /* else: the stand-in */
	*(void **)&init = dlsym(rein ? rein : RTLD_DEFAULT, "cuInit");
	for (int i = 0; init && i < 3; i++)
		printf("cuInit: %d\n", init(0));
	return 0;
}

static int two(const char *first, const char *second)
{
	void *a = dlopen(first, RTLD_NOW | RTLD_LOCAL), *b = dlopen(second, RTLD_NOW | RTLD_LOCAL);
	if (!a || !b)
		return 10;
	print_owner("first cuInit", dlsym(a, "cuInit"));
	print_owner("second cuInit", dlsym(b, "cuInit"));
	print_owner("first cuInit again", dlsym(a, "cuInit"));
	return 0;
}

static pthread_barrier_t barrier;
static void *handle;

static void *first_use(void *found)
{
	CUresult (*init)(unsigned int);
	pthread_barrier_wait(&barrier);
	*(void **)&init = *(void **)found = dlsym(handle, "cuInit");
	return init && !init(0) ? found : NULL;
}

static int threads(void)
{
	pthread_t thread[THREADS];
	void *found[THREADS], *result;
	int wrong = 0;
	handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return 10;
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, first_use, &found[i]))
			return 11;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], &result);
		wrong += !result || found[i] != found[0];
	}
	print_owner("threads cuInit", found[0]);
	printf("wrong: %d\n", wrong);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "none"))
		return none();
	if (argc == 4 && !strcmp(argv[1], "two"))
		return two(argv[2], argv[3]);
	if (argc == 2 && !strcmp(argv[1], "threads"))
		return threads();
	fprintf(stderr, "usage: %s none | two A B | threads\n", argv[0]);
	return 2;
}
