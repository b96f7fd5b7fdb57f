// SPDX-License-Identifier: Apache-2.0
/*
 * registry.c: what nvcc's programs register before main(): fat binaries, and by the addresses of
 * their host stand-ins the kernels and variables in them. Nothing is loaded here: a fat binary
 * becomes a CUlibrary when one of its kernels or variables is first used, and the driver loads that
 * into each context that uses it.
 */
#include "cudart.h"

#include <pthread.h>

#define BUCKETS 4096

struct binary {
	const void *wrapper; /* in the program: a fat binary's wrapper, version 1 or 2 */
	struct binary *next;
	pthread_mutex_t lock; /* of loading */
	CUlibrary _Atomic library;
	cudaError_t failed;      /* will not load, whenever asked; under lock */
	struct managed *managed; /* its __managed__ variables, under lock */
	rein_a32 gone;           /* unregistered */
};

/* Never freed: generated code keeps pointers to functions until the process ends. */
struct cudart_function {
	struct cudart_function *next;
	struct binary *binary;
	const void *host;
	const char *name; /* in the program */
	CUkernel _Atomic kernel;
};

struct variable {
	struct variable *next;
	struct binary *binary;
	const void *host;
	const char *name;
};

/* The program has a pointer to each, and waits for __cudaInitModule() before it follows it. */
struct managed {
	struct managed *next;
	void **pointer;
	const char *name;
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct binary *binaries;
static struct cudart_function *functions[BUCKETS];
static struct variable *variables[BUCKETS];

void cudart_registry_forked(void)
{
	pthread_rwlock_init(&lock, NULL);
	for (struct binary *b = binaries; b; b = b->next)
		pthread_mutex_init(&b->lock, NULL);
}

static unsigned bucket(const void *host)
{
	return (unsigned)(((uintptr_t)host * 0x9e3779b97f4a7c15u) >> 52) % BUCKETS;
}

/* ---- the ABI of crt/host_runtime.h */

void **__cudaRegisterFatBinary(void *fatCubin);
void __cudaRegisterFatBinaryEnd(void **fatCubinHandle);
void __cudaUnregisterFatBinary(void **fatCubinHandle);
void __cudaRegisterFunction(void **fatCubinHandle, const char *hostFun, char *deviceFun,
                            const char *deviceName, int thread_limit, uint3 *tid, uint3 *bid,
                            dim3 *bDim, dim3 *gDim, int *wSize);
void __cudaRegisterVar(void **fatCubinHandle, char *hostVar, char *deviceAddress,
                       const char *deviceName, int ext, size_t size, int constant, int global);
void __cudaRegisterManagedVar(void **fatCubinHandle, void **hostVarPtrAddress, char *deviceAddress,
                              const char *deviceName, int ext, size_t size, int constant,
                              int global);
char __cudaInitModule(void **fatCubinHandle);

CUDART_EXPORT void **__cudaRegisterFatBinary(void *fatCubin)
{
	struct binary *b = calloc(1, sizeof(*b));
	if (!b) {
		cudart_say("no memory to register a fat binary");
		return NULL;
	}
	b->wrapper = fatCubin;
	pthread_mutex_init(&b->lock, NULL);
	pthread_rwlock_wrlock(&lock);
	b->next = binaries;
	binaries = b;
	pthread_rwlock_unlock(&lock);
	return (void **)b;
}

CUDART_EXPORT void __cudaRegisterFatBinaryEnd(void **fatCubinHandle)
{
	(void)fatCubinHandle; /* nothing is loaded before its first use */
}

CUDART_EXPORT void __cudaRegisterFunction(void **fatCubinHandle, const char *hostFun,
                                          char *deviceFun, const char *deviceName, int thread_limit,
                                          uint3 *tid, uint3 *bid, dim3 *bDim, dim3 *gDim,
                                          int *wSize)
{
	struct cudart_function *f = fatCubinHandle ? calloc(1, sizeof(*f)) : NULL;
	if (!f)
		return; /* a launch of it will say that it is no device function */
	f->binary = (struct binary *)fatCubinHandle;
	f->host = hostFun;
	f->name = deviceName;
	pthread_rwlock_wrlock(&lock);
	f->next = functions[bucket(hostFun)];
	functions[bucket(hostFun)] = f;
	pthread_rwlock_unlock(&lock);
}

CUDART_EXPORT void __cudaRegisterVar(void **fatCubinHandle, char *hostVar, char *deviceAddress,
                                     const char *deviceName, int ext, size_t size, int constant,
                                     int global)
{
	struct variable *v = fatCubinHandle ? calloc(1, sizeof(*v)) : NULL;
	if (!v)
		return;
	v->binary = (struct binary *)fatCubinHandle;
	v->host = hostVar;
	v->name = deviceName;
	pthread_rwlock_wrlock(&lock);
	v->next = variables[bucket(hostVar)];
	variables[bucket(hostVar)] = v;
	pthread_rwlock_unlock(&lock);
}

CUDART_EXPORT void __cudaRegisterManagedVar(void **fatCubinHandle, void **hostVarPtrAddress,
                                            char *deviceAddress, const char *deviceName, int ext,
                                            size_t size, int constant, int global)
{
	struct binary *b = (struct binary *)fatCubinHandle;
	struct managed *m = b ? calloc(1, sizeof(*m)) : NULL;
	if (!m)
		return;
	m->pointer = hostVarPtrAddress;
	m->name = deviceName;
	pthread_mutex_lock(&b->lock);
	m->next = b->managed;
	b->managed = m;
	pthread_mutex_unlock(&b->lock);
}

static cudaError_t load(struct binary *b, CUlibrary *out);

/* Called before host code touches a __managed__ variable. */
CUDART_EXPORT char __cudaInitModule(void **fatCubinHandle)
{
	CUlibrary library;
	cudaError_t e = fatCubinHandle ? cudart_need_context() : cudaErrorInvalidValue;
	if (e == cudaSuccess)
		e = load((struct binary *)fatCubinHandle, &library);
	if (e != cudaSuccess)
		(void)cudart_failed(e);
	return e == cudaSuccess;
}

static void forget_variables(struct binary *b)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct variable **at = &variables[i];
		while (*at) {
			struct variable *v = *at;
			if (v->binary != b) {
				at = &v->next;
				continue;
			}
			*at = v->next;
			free(v);
		}
	}
}

/* The functions stay, see above, but are found no more: another library may get their addresses. */
static void forget_functions(struct binary *b)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct cudart_function **at = &functions[i];
		while (*at) {
			if ((*at)->binary == b)
				*at = (*at)->next;
			else
				at = &(*at)->next;
		}
	}
}

CUDART_EXPORT void __cudaUnregisterFatBinary(void **fatCubinHandle)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	struct binary *b = (struct binary *)fatCubinHandle;
	if (!b)
		return;
	pthread_rwlock_wrlock(&lock);
	forget_variables(b);
	forget_functions(b);
	pthread_rwlock_unlock(&lock);
	pthread_mutex_lock(&b->lock);
	rein_store_release(&b->gone, 1);
	CUlibrary library = atomic_exchange(&b->library, NULL);
	pthread_mutex_unlock(&b->lock);
	/* When the process ends the driver may have gone first, and says so. */
	if (library)
		(void)cu->cuLibraryUnload(library);
}

/* ---- loading */

/* Errors of the code itself: another attempt would end the same. */
static bool lasting(cudaError_t e)
{
	switch ((int)e) {
	case cudaErrorInvalidKernelImage:
	case cudaErrorNoKernelImageForDevice:
	case cudaErrorInvalidPtx:
	case cudaErrorUnsupportedPtxVersion:
	case cudaErrorInvalidSource:
	case cudaErrorNotSupported:
		return true;
	default:
		return false;
	}
}

static cudaError_t load_locked(struct binary *b)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	CUlibrary library = NULL;
	if (rein_load_acquire(&b->gone))
		return cudaErrorCudartUnloading;
	if (b->failed != cudaSuccess)
		return b->failed;
	CUresult r = cu->cuLibraryLoadData(&library, b->wrapper, NULL, NULL, 0, NULL, NULL, 0);
	if (r != CUDA_SUCCESS) {
		if (lasting(cudart_error(r)))
			b->failed = cudart_error(r);
		return cudart_error(r);
	}
	for (struct managed *m = b->managed; m && r == CUDA_SUCCESS; m = m->next) {
		CUdeviceptr address = 0;
		r = cu->cuLibraryGetManaged(&address, NULL, library, m->name);
		*m->pointer = (void *)address;
	}
	if (r == CUDA_SUCCESS)
		atomic_store(&b->library, library);
	else
		(void)cu->cuLibraryUnload(library);
	return cudart_error(r);
}

static cudaError_t load(struct binary *b, CUlibrary *out)
{
	cudaError_t e = cudaSuccess;
	CUlibrary library = atomic_load(&b->library);
	if (!library) {
		pthread_mutex_lock(&b->lock);
		library = atomic_load(&b->library);
		if (!library) {
			e = load_locked(b);
			library = atomic_load(&b->library);
		}
		pthread_mutex_unlock(&b->lock);
	}
	*out = library;
	return e;
}

struct cudart_function *cudart_function_find(const void *host)
{
	pthread_rwlock_rdlock(&lock);
	struct cudart_function *f = functions[bucket(host)];
	while (f && f->host != host)
		f = f->next;
	pthread_rwlock_unlock(&lock);
	return f;
}

cudaError_t cudart_function_kernel(struct cudart_function *f, CUkernel *out)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	CUlibrary library;
	CUkernel kernel = atomic_load(&f->kernel);
	if (kernel && !rein_load_acquire(&f->binary->gone)) {
		*out = kernel;
		return cudaSuccess;
	}
	cudaError_t e = load(f->binary, &library);
	if (e != cudaSuccess)
		return e;
	CUresult r = cu->cuLibraryGetKernel(&kernel, library, f->name);
	if (r == CUDA_SUCCESS)
		atomic_store(&f->kernel, kernel);
	*out = kernel;
	return r == CUDA_ERROR_NOT_FOUND ? cudaErrorInvalidDeviceFunction : cudart_error(r);
}

const void *cudart_function_host(CUkernel kernel, CUfunction function)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	const void *host = NULL;
	pthread_rwlock_rdlock(&lock);
	for (unsigned i = 0; i < BUCKETS && !host; i++) {
		for (struct cudart_function *f = functions[i]; f && !host; f = f->next) {
			CUkernel k = atomic_load(&f->kernel);
			CUfunction here = NULL;
			if (k && (k == kernel ||
			          (function && cu->cuKernelGetFunction(&here, k) == CUDA_SUCCESS &&
			           here == function)))
				host = f->host;
		}
	}
	pthread_rwlock_unlock(&lock);
	return host;
}

/* A __managed__ variable is named by its address, which it has by then. */
static cudaError_t managed_symbol(const void *host, CUdeviceptr *address, size_t *size)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	const struct managed *found = NULL;
	CUlibrary library = NULL;
	pthread_rwlock_rdlock(&lock);
	for (struct binary *b = binaries; b && !found; b = b->next) {
		library = atomic_load(&b->library);
		for (found = library ? b->managed : NULL; found && *found->pointer != host;)
			found = found->next;
	}
	pthread_rwlock_unlock(&lock);
	if (!found)
		return cudaErrorInvalidSymbol;
	return cudart_error(cu->cuLibraryGetManaged(address, size, library, found->name));
}

cudaError_t cudart_symbol(const void *host, CUdeviceptr *address, size_t *size)
{
	const struct cudart_driver *cu = &cudart_drivers[0];
	struct binary *binary = NULL;
	const char *name = NULL;
	CUlibrary library;
	pthread_rwlock_rdlock(&lock);
	for (struct variable *v = variables[bucket(host)]; v && !binary; v = v->next) {
		if (v->host == host) {
			binary = v->binary;
			name = v->name;
		}
	}
	pthread_rwlock_unlock(&lock);
	if (!binary)
		return managed_symbol(host, address, size);
	cudaError_t e = load(binary, &library);
	if (e != cudaSuccess)
		return e;
	CUresult r = cu->cuLibraryGetGlobal(address, size, library, name);
	return r == CUDA_ERROR_NOT_FOUND ? cudaErrorInvalidSymbol : cudart_error(r);
}
