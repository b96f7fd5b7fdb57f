// SPDX-License-Identifier: Apache-2.0
/*
 * kernels.c: what is known of each function and kernel handle: its name, from the call that gave
 * it, and the sizes of its parameters, asked of the driver at the first launch (asking earlier
 * would load kernels that the program leaves unloaded). Handles that no recorded call gave are
 * never asked about: the driver takes CUfunction and CUkernel alike for a launch, not for
 * questions.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

struct kernel {
	uint64_t handle;
	char *name;
	uint16_t *sizes;
	int n; /* parameters; -1: not asked yet */
	bool is_kernel;
	struct kernel *next;
};

#define BUCKETS 4096
static struct kernel *buckets[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct kernel *find(uint64_t handle)
{
	struct kernel *k = buckets[(handle >> 4) % BUCKETS];
	while (k && k->handle != handle)
		k = k->next;
	return k;
}

/* A handle that the driver gave, perhaps again for another kernel. */
static void learn(uint64_t handle, const char *name, bool is_kernel)
{
	pthread_mutex_lock(&lock);
	struct kernel *k = find(handle);
	if (k && name && k->name && strcmp(k->name, name) == 0 && k->is_kernel == is_kernel) {
		pthread_mutex_unlock(&lock);
		return;
	}
	if (!k && (k = calloc(1, sizeof(*k)))) {
		k->handle = handle;
		k->next = buckets[(handle >> 4) % BUCKETS];
		buckets[(handle >> 4) % BUCKETS] = k;
	}
	if (k) {
		free(k->name);
		free(k->sizes);
		k->name = name ? strdup(name) : NULL;
		k->sizes = NULL;
		k->n = -1;
		k->is_kernel = is_kernel;
	}
	pthread_mutex_unlock(&lock);
}

const char *rec_kernel_name(uint64_t handle, char *buf, size_t len)
{
	buf[0] = 0;
	pthread_mutex_lock(&lock);
	struct kernel *k = find(handle);
	if (k && k->name)
		strncat(buf, k->name, len - 1);
	pthread_mutex_unlock(&lock);
	return buf;
}

void rec_kernel_learn(const struct rec_call *c, CUresult r)
{
	const char *name = rec_entries[c->entry].name;
	char source[4096];
	uint64_t *out = (uint64_t *)(uintptr_t)c->args[0].u;
	if (r != CUDA_SUCCESS || !out)
		return;
	if (strcmp(name, "cuModuleGetFunction") == 0) {
		learn(*out, (const char *)(uintptr_t)c->args[2].u, false);
	} else if (strcmp(name, "cuLibraryGetKernel") == 0) {
		learn(*out, (const char *)(uintptr_t)c->args[2].u, true);
	} else if (strcmp(name, "cuKernelGetFunction") == 0) {
		learn(*out, rec_kernel_name(c->args[1].u, source, sizeof(source)), false);
	} else if (strcmp(name, "cuModuleEnumerateFunctions") == 0 ||
	           strcmp(name, "cuLibraryEnumerateKernels") == 0) {
		for (unsigned i = 0; i < (unsigned)c->args[1].u && out[i]; i++)
			learn(out[i], NULL, name[2] == 'L');
	}
}

/* Asks the driver; no lock is held. */
static int ask_sizes(uint64_t handle, bool is_kernel, uint16_t *sizes, int max)
{
	CUresult (*get)(uint64_t, size_t, size_t *, size_t *) =
	    (CUresult(*)(uint64_t, size_t, size_t *, size_t *))rec_real_function(
		is_kernel ? "cuKernelGetParamInfo" : "cuFuncGetParamInfo");
	size_t offset, size;
	int n = 0;
	while (get && n < max && get(handle, (size_t)n, &offset, &size) == CUDA_SUCCESS)
		sizes[n++] = (uint16_t)size;
	return get ? n : -1;
}

static void ask_name(uint64_t handle, bool is_kernel, char *name, size_t len)
{
	CUresult (*get)(const char **, uint64_t) =
	    (CUresult(*)(const char **, uint64_t))rec_real_function(is_kernel ? "cuKernelGetName"
	                                                                      : "cuFuncGetName");
	const char *text = NULL;
	if (get && get(&text, handle) == CUDA_SUCCESS && text)
		strncat(name, text, len - 1);
}

int rec_kernel_params(uint64_t handle, uint16_t *sizes, int max, bool *fresh)
{
	char name[4096] = "";
	*fresh = false;
	pthread_mutex_lock(&lock);
	struct kernel *k = find(handle);
	int n = k ? k->n : -1;
	bool is_kernel = k && k->is_kernel, named = k && k->name;
	if (n > 0)
		memcpy(sizes, k->sizes, (size_t)n * sizeof(*sizes));
	pthread_mutex_unlock(&lock);
	if (!k || n >= 0)
		return n;

	n = ask_sizes(handle, is_kernel, sizes, max);
	if (!named)
		ask_name(handle, is_kernel, name, sizeof(name));
	pthread_mutex_lock(&lock);
	if (n >= 0 && k->n < 0) { /* entries are never freed */
		k->sizes = malloc((size_t)n * sizeof(*sizes) + 1);
		if (k->sizes) {
			memcpy(k->sizes, sizes, (size_t)n * sizeof(*sizes));
			k->n = n;
			*fresh = true;
		}
	}
	if (!k->name && name[0])
		k->name = strdup(name);
	pthread_mutex_unlock(&lock);
	return n;
}

void rec_kernels_fork(int stage)
{
	if (stage < 0)
		pthread_mutex_lock(&lock);
	else
		pthread_mutex_unlock(&lock);
}
