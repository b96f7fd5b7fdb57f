// SPDX-License-Identifier: Apache-2.0
/*
 * double.c: libnvrtc.so.13 for programs that run on the software GPU: NVIDIA's compiler, called
 * through, but what is handed out as machine code (nvrtcGetCUBIN) is the PTX that it was made from.
 * A program that compiles for the GPU it finds (sm_90) thereby gets code that the software GPU can
 * run; the compiler and all else are the real library's. It keeps that PTX for real architectures
 * too ("nvrtcGetPTX" in the NVRTC documentation).
 *
 * The real library is the first libnvrtc.so.13, other than this file, where any object of the
 * process looks for libraries (RUNPATH, LD_LIBRARY_PATH, the defaults), then in the toolkit of the
 * build, then wherever the loader finds libnvrtc.so. Without one every call fails with one line.
 */
#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <nvrtc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifndef SOFTGPU_TOOLKIT /* the Makefile names the toolkit of the build */
#define SOFTGPU_TOOLKIT "/usr/local/cuda"
#endif
#define EXPORT __attribute__((visibility("default")))
#define SONAME "libnvrtc.so.13"

/* what is called through: name, parameters, arguments */
#define CALLS(X)                                                                                   \
	X(nvrtcVersion, (int *major, int *minor), (major, minor))                                  \
	X(nvrtcGetNumSupportedArchs, (int *n), (n))                                                \
	X(nvrtcGetSupportedArchs, (int *archs), (archs))                                           \
	X(nvrtcCreateProgram,                                                                      \
	  (nvrtcProgram * p, const char *src, const char *name, int n, const char *const *headers, \
	   const char *const *names),                                                              \
	  (p, src, name, n, headers, names))                                                       \
	X(nvrtcDestroyProgram, (nvrtcProgram * p), (p))                                            \
	X(nvrtcCompileProgram, (nvrtcProgram p, int n, const char *const *options),                \
	  (p, n, options))                                                                         \
	X(nvrtcGetPTXSize, (nvrtcProgram p, size_t * size), (p, size))                             \
	X(nvrtcGetPTX, (nvrtcProgram p, char *ptx), (p, ptx))                                      \
	X(nvrtcGetLTOIRSize, (nvrtcProgram p, size_t * size), (p, size))                           \
	X(nvrtcGetLTOIR, (nvrtcProgram p, char *ir), (p, ir))                                      \
	X(nvrtcGetOptiXIRSize, (nvrtcProgram p, size_t * size), (p, size))                         \
	X(nvrtcGetOptiXIR, (nvrtcProgram p, char *ir), (p, ir))                                    \
	X(nvrtcGetProgramLogSize, (nvrtcProgram p, size_t * size), (p, size))                      \
	X(nvrtcGetProgramLog, (nvrtcProgram p, char *log), (p, log))                               \
	X(nvrtcAddNameExpression, (nvrtcProgram p, const char *name), (p, name))                   \
	X(nvrtcGetLoweredName, (nvrtcProgram p, const char *name, const char **lowered),           \
	  (p, name, lowered))                                                                      \
	X(nvrtcGetPCHHeapSize, (size_t * size), (size))                                            \
	X(nvrtcSetPCHHeapSize, (size_t size), (size))                                              \
	X(nvrtcGetPCHCreateStatus, (nvrtcProgram p), (p))                                          \
	X(nvrtcGetPCHHeapSizeRequired, (nvrtcProgram p, size_t * size), (p, size))                 \
	X(nvrtcSetFlowCallback, (nvrtcProgram p, int (*callback)(void *, void *), void *payload),  \
	  (p, callback, payload))

#define FIELD(name, params, arguments) nvrtcResult(*name) params;
static struct {
	CALLS(FIELD)
	nvrtcResult (*nvrtcGetCUBINSize)(nvrtcProgram p, size_t *size);
	nvrtcResult (*nvrtcGetCUBIN)(nvrtcProgram p, char *cubin);
	const char *(*nvrtcGetErrorString)(nvrtcResult result);
} real;

/* ---- finding the real one */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct stat own; /* this file */

static void *open_in(const char *dir)
{
	char path[PATH_MAX];
	struct stat st;
	if (snprintf(path, sizeof(path), "%s/" SONAME, dir) >= (int)sizeof(path) ||
	    stat(path, &st) != 0 || (st.st_dev == own.st_dev && st.st_ino == own.st_ino))
		return NULL;
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* Where the object with this handle looks for libraries. */
static void *open_where_it_looks(void *object)
{
	Dl_serinfo head, *info;
	void *library = NULL;
	if (dlinfo(object, RTLD_DI_SERINFOSIZE, &head) != 0)
		return NULL;
	info = malloc(head.dls_size);
	if (info && dlinfo(object, RTLD_DI_SERINFOSIZE, info) == 0 &&
	    dlinfo(object, RTLD_DI_SERINFO, info) == 0)
		for (unsigned i = 0; i < info->dls_cnt && !library; i++)
			library = open_in(info->dls_serpath[i].dls_name);
	free(info);
	return library;
}

struct objects {
	char **names;
	size_t n;
};

static int add_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct objects *o = arg;
	(void)size;
	char **grown = realloc(o->names, (o->n + 1) * sizeof(*grown));
	if (!grown)
		return 1;
	o->names = grown;
	grown[o->n] = strdup(info->dlpi_name);
	o->n += grown[o->n] != NULL;
	return 0;
}

/* Nothing may be opened while the objects are walked. */
static void *open_where_anybody_looks(void)
{
	struct objects o = {0};
	void *library = NULL;
	dl_iterate_phdr(add_object, &o);
	for (size_t i = 0; i < o.n; i++) {
		/* "" is the program */
		void *object = dlopen(*o.names[i] ? o.names[i] : NULL, RTLD_LAZY | RTLD_NOLOAD);
		if (object && !library)
			library = open_where_it_looks(object);
		if (object)
			dlclose(object);
		free(o.names[i]);
	}
	free(o.names);
	return library;
}

/* What the loader finds under the name that programs are linked with, if it is not this file. */
static void *open_by_cache(void)
{
	void *library = dlopen("libnvrtc.so", RTLD_NOW | RTLD_LOCAL);
	void *version = library ? dlsym(library, "nvrtcVersion") : NULL;
	if (version != (void *)nvrtcVersion)
		return library;
	dlclose(library);
	return NULL;
}

static void find(void)
{
	Dl_info here;
	if (!dladdr(&own, &here) || stat(here.dli_fname, &own) != 0)
		memset(&own, 0, sizeof(own));
	void *library = open_where_anybody_looks();
	if (!library)
		library = open_in(SOFTGPU_TOOLKIT "/lib64");
	if (!library)
		library = open_by_cache();
	if (!library) {
		fputs("softgpu: NVRTC: no " SONAME " of a CUDA toolkit was found: add its "
		      "directory to LD_LIBRARY_PATH, behind the software GPU's\n",
		      stderr);
		return;
	}
#define LOOK_UP(name, params, arguments) real.name = dlsym(library, #name);
	CALLS(LOOK_UP)
	LOOK_UP(nvrtcGetCUBINSize, , )
	LOOK_UP(nvrtcGetCUBIN, , )
	LOOK_UP(nvrtcGetErrorString, , )
}

/* ---- what is exported */

#define FORWARD(name, params, arguments)                                                           \
	EXPORT nvrtcResult name params                                                             \
	{                                                                                          \
		pthread_once(&once, find);                                                         \
		return real.name ? real.name arguments : NVRTC_ERROR_INTERNAL_ERROR;               \
	}
CALLS(FORWARD)

/* Is there PTX behind this program's machine code? Its size. */
static nvrtcResult size_of(nvrtcProgram p, size_t *cubin, size_t *ptx)
{
	*cubin = *ptx = 0;
	pthread_once(&once, find);
	if (!real.nvrtcGetCUBINSize || !real.nvrtcGetCUBIN || !real.nvrtcGetPTXSize)
		return NVRTC_ERROR_INTERNAL_ERROR;
	nvrtcResult r = real.nvrtcGetCUBINSize(p, cubin);
	if (r == NVRTC_SUCCESS && *cubin && real.nvrtcGetPTXSize(p, ptx) != NVRTC_SUCCESS)
		*ptx = 0;
	return r;
}

EXPORT nvrtcResult nvrtcGetCUBINSize(nvrtcProgram prog, size_t *cubinSizeRet)
{
	size_t cubin, ptx;
	nvrtcResult r = size_of(prog, &cubin, &ptx);
	if (r == NVRTC_SUCCESS && !cubinSizeRet)
		return NVRTC_ERROR_INVALID_INPUT;
	if (r == NVRTC_SUCCESS)
		*cubinSizeRet = ptx ? ptx : cubin;
	return r;
}

EXPORT nvrtcResult nvrtcGetCUBIN(nvrtcProgram prog, char *cubin)
{
	size_t cubin_size, ptx;
	nvrtcResult r = size_of(prog, &cubin_size, &ptx);
	if (r != NVRTC_SUCCESS)
		return r;
	return ptx ? nvrtcGetPTX(prog, cubin) : real.nvrtcGetCUBIN(prog, cubin);
}

EXPORT const char *nvrtcGetErrorString(nvrtcResult result)
{
	pthread_once(&once, find);
	return real.nvrtcGetErrorString ? real.nvrtcGetErrorString(result)
	                                : "NVRTC's library was not found";
}
