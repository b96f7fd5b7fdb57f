// SPDX-License-Identifier: Apache-2.0
/*
 * api_library.c: libraries: code that belongs to no context. The PTX text is kept, and a module is
 * made from it in each context in which the library is first used.
 */
#include "api.h"

#include <string.h>

#include "api_module.h"
#include "image.h"

struct CUkern_st {
	CUlibrary library;
	const char *name; /* of the first module's function */
};

struct instance {
	CUcontext ctx;
	uint64_t ctx_id;
	CUmodule module;
};

struct CUlib_st {
	char *text; /* PTX */
	size_t len;
	struct instance *instances; /* under sg_lock() */
	size_t n_instances;
	unsigned n_kernels;
	struct CUkern_st *kernels;
	struct sg_managed *managed; /* under sg_lock() */
};

static void library_free(CUlibrary lib)
{
	for (unsigned i = 0; i < lib->n_kernels; i++) {
		sg_handle_remove(&lib->kernels[i], SG_KERNEL);
		free((char *)lib->kernels[i].name);
	}
	for (size_t i = 0; i < lib->n_instances; i++)
		if (sg_handle_remove(lib->instances[i].module, SG_MODULE))
			sg_module_drop(lib->instances[i].module);
	sg_managed_free(lib->managed);
	free(lib->instances);
	free(lib->kernels);
	free(lib->text);
	free(lib);
}

/* The library's module in ctx, loaded on first use. */
static CUresult instance_of(CUlibrary lib, CUcontext ctx, unsigned n, CUjit_option *options,
                            void **values, CUmodule *out)
{
	CUresult r = CUDA_SUCCESS;
	CUmodule m = NULL;
	sg_lock();
	for (size_t i = 0; i < lib->n_instances && !m; i++)
		if (lib->instances[i].ctx == ctx && lib->instances[i].ctx_id == ctx->id &&
		    sg_handle_is(lib->instances[i].module, SG_MODULE))
			m = lib->instances[i].module;
	if (!m) {
		struct instance *grown =
		    realloc(lib->instances, (lib->n_instances + 1) * sizeof(*grown));
		if (grown)
			lib->instances = grown;
		r = grown ? sg_module_build(ctx, lib->text, lib->len, n, options, values,
		                            &lib->managed, &m)
		          : CUDA_ERROR_OUT_OF_MEMORY;
		if (r == CUDA_SUCCESS) {
			r = sg_handle_add(m, SG_MODULE);
			if (r == CUDA_SUCCESS)
				grown[lib->n_instances++] = (struct instance){ctx, ctx->id, m};
			else
				sg_module_drop(m);
		}
	}
	sg_unlock();
	*out = m;
	return r;
}

/* The module handles of ctx are about to go; the instances must not outlive them. */
void sg_libraries_forget(CUcontext ctx)
{
	size_t n;
	void **list = sg_handle_list(SG_LIBRARY, &n);
	sg_lock();
	for (size_t i = 0; i < n; i++) {
		CUlibrary lib = list[i];
		for (size_t j = 0; j < lib->n_instances;) {
			if (lib->instances[j].ctx == ctx)
				lib->instances[j] = lib->instances[--lib->n_instances];
			else
				j++;
		}
	}
	sg_unlock();
	free(list);
}

static CUresult list_kernels(CUlibrary lib, const struct ptx_module *ptx)
{
	unsigned n = ptx_kernel_count(ptx);
	lib->kernels = calloc(n ? n : 1, sizeof(*lib->kernels));
	if (!lib->kernels)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (unsigned i = 0; i < n; i++) {
		lib->kernels[i].library = lib;
		lib->kernels[i].name = strdup(ptx_kernel_info(ptx_kernel_at(ptx, i))->name);
		if (!lib->kernels[i].name)
			return CUDA_ERROR_OUT_OF_MEMORY;
		lib->n_kernels = i + 1;
		if (sg_handle_add(&lib->kernels[i], SG_KERNEL) != CUDA_SUCCESS)
			return CUDA_ERROR_OUT_OF_MEMORY;
	}
	return CUDA_SUCCESS;
}

static void *plain_alloc(void *self, size_t size, size_t align)
{
	(void)self;
	align = align < 64 ? 64 : align;
	return aligned_alloc(align, (size + align - 1) / align * align);
}

static void plain_free(void *self, void *at)
{
	(void)self;
	free(at);
}

/* A library can be loaded where no context is current: for its errors and its kernels' names it is
 * then loaded into this one, in which nothing runs. */
static struct CUctx_st nameless = {.memory = {.alloc = plain_alloc, .free = plain_free}};

CUresult sg_module_try(const void *image, size_t len, unsigned n, CUjit_option *options,
                       void **values)
{
	CUmodule m;
	CUresult r = sg_module_build(&nameless, image, len, n, options, values, NULL, &m);
	if (r == CUDA_SUCCESS)
		sg_module_drop(m);
	return r;
}

/* Loading now finds errors now, not at first use. */
static CUresult load_now(CUlibrary lib, unsigned n, CUjit_option *options, void **values)
{
	CUcontext ctx;
	CUmodule m = NULL;
	CUresult r = sg_current(&ctx);
	if (r == CUDA_SUCCESS)
		r = instance_of(lib, ctx, n, options, values, &m);
	else if (r == CUDA_ERROR_INVALID_CONTEXT)
		r = sg_module_build(&nameless, lib->text, lib->len, n, options, values, NULL, &m);
	if (r != CUDA_SUCCESS)
		return r;
	r = list_kernels(lib, m->ptx);
	if (m->ctx == &nameless)
		sg_module_drop(m);
	return r;
}

static CUresult load(CUlibrary *out, const void *image, size_t len, unsigned n,
                     CUjit_option *options, void **values)
{
	struct ptx_error err = {0};
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!out || !image || (n && (!options || !values)))
		return CUDA_ERROR_INVALID_VALUE;
	CUlibrary lib = calloc(1, sizeof(*lib));
	if (!lib)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (sg_module_text(image, len, &lib->text, &lib->len, &err) != IMAGE_PTX) {
		/* the same path as modules take, for its messages */
		r = sg_module_try(image, len, n, options, values);
		free(lib);
		return r == CUDA_SUCCESS ? CUDA_ERROR_INVALID_IMAGE : r;
	}
	r = load_now(lib, n, options, values);
	if (r == CUDA_SUCCESS)
		r = sg_handle_add(lib, SG_LIBRARY);
	if (r != CUDA_SUCCESS) {
		library_free(lib);
		return r;
	}
	*out = lib;
	return CUDA_SUCCESS;
}

CUresult cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jitOptions,
                           void **jitOptionsValues, unsigned int numJitOptions,
                           CUlibraryOption *libraryOptions, void **libraryOptionValues,
                           unsigned int numLibraryOptions)
{
	(void)libraryOptions; /* who keeps the binary: we always copy */
	(void)libraryOptionValues;
	(void)numLibraryOptions;
	return load(library, code, SIZE_MAX, numJitOptions, jitOptions, jitOptionsValues);
}

CUresult cuLibraryLoadFromFile(CUlibrary *library, const char *fileName, CUjit_option *jitOptions,
                               void **jitOptionsValues, unsigned int numJitOptions,
                               CUlibraryOption *libraryOptions, void **libraryOptionValues,
                               unsigned int numLibraryOptions)
{
	REIN_AUTO_FREE char *bytes = NULL;
	size_t len;
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	(void)libraryOptions;
	(void)libraryOptionValues;
	(void)numLibraryOptions;
	if (!fileName)
		return CUDA_ERROR_INVALID_VALUE;
	r = sg_file_read(fileName, &bytes, &len);
	return r == CUDA_SUCCESS
	           ? load(library, bytes, len, numJitOptions, jitOptions, jitOptionsValues)
	           : r;
}

CUresult cuLibraryUnload(CUlibrary library)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_remove(library, SG_LIBRARY))
		return CUDA_ERROR_INVALID_HANDLE;
	library_free(library);
	return CUDA_SUCCESS;
}

static CUresult library_check(CUlibrary lib)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	return sg_handle_is(lib, SG_LIBRARY) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult kernel_check(CUkernel k)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	return sg_handle_is(k, SG_KERNEL) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuLibraryGetKernel(CUkernel *pKernel, CUlibrary library, const char *name)
{
	CUresult r = library_check(library);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pKernel || !name)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < library->n_kernels; i++) {
		if (strcmp(library->kernels[i].name, name) == 0) {
			*pKernel = &library->kernels[i];
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_NOT_FOUND;
}

CUresult cuLibraryGetKernelCount(unsigned int *count, CUlibrary lib)
{
	CUresult r = library_check(lib);
	if (r != CUDA_SUCCESS)
		return r;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = lib->n_kernels;
	return CUDA_SUCCESS;
}

CUresult cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int numKernels, CUlibrary lib)
{
	CUresult r = library_check(lib);
	if (r != CUDA_SUCCESS)
		return r;
	if (!kernels)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < numKernels && i < lib->n_kernels; i++)
		kernels[i] = &lib->kernels[i];
	return CUDA_SUCCESS;
}

CUresult cuLibraryGetModule(CUmodule *pMod, CUlibrary library)
{
	CUcontext ctx;
	CUresult r = library_check(library);
	if (r == CUDA_SUCCESS)
		r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	return pMod ? instance_of(library, ctx, 0, NULL, NULL, pMod) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name)
{
	CUmodule m;
	CUresult r = cuLibraryGetModule(&m, library);
	return r == CUDA_SUCCESS ? cuModuleGetGlobal_v2(dptr, bytes, m, name) : r;
}

CUresult cuLibraryGetManaged(CUdeviceptr *dptr, size_t *bytes, CUlibrary library, const char *name)
{
	CUmodule m;
	CUresult r = cuLibraryGetModule(&m, library); /* loading makes them */
	if (r != CUDA_SUCCESS)
		return r;
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	r = CUDA_ERROR_NOT_FOUND;
	sg_lock();
	for (const struct sg_managed *v = library->managed; v && r != CUDA_SUCCESS; v = v->next) {
		if (strcmp(v->name, name) != 0)
			continue;
		if (dptr)
			*dptr = v->address;
		if (bytes)
			*bytes = v->bytes;
		r = CUDA_SUCCESS;
	}
	sg_unlock();
	return r;
}

CUresult sg_kernel_function(CUkernel k, CUcontext ctx, CUfunction *out)
{
	CUmodule m;
	CUresult r = instance_of(k->library, ctx, 0, NULL, NULL, &m);
	return r == CUDA_SUCCESS ? sg_module_function(m, k->name, out) : r;
}

CUresult cuKernelGetFunction(CUfunction *pFunc, CUkernel kernel)
{
	CUcontext ctx;
	CUresult r = kernel_check(kernel);
	if (r == CUDA_SUCCESS)
		r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	return pFunc ? sg_kernel_function(kernel, ctx, pFunc) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuKernelGetLibrary(CUlibrary *pLib, CUkernel kernel)
{
	CUresult r = kernel_check(kernel);
	if (r != CUDA_SUCCESS)
		return r;
	if (!pLib)
		return CUDA_ERROR_INVALID_VALUE;
	*pLib = kernel->library;
	return CUDA_SUCCESS;
}

CUresult cuKernelGetName(const char **name, CUkernel hfunc)
{
	CUresult r = kernel_check(hfunc);
	if (r != CUDA_SUCCESS)
		return r;
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	*name = hfunc->name;
	return CUDA_SUCCESS;
}

/* Attributes of a kernel on a device are those of its function in that device's context. */
static CUresult function_on(CUkernel kernel, CUdevice dev, CUfunction *f)
{
	CUcontext ctx;
	CUresult r = kernel_check(kernel);
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_device_ok(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	r = sg_current(&ctx);
	if (r != CUDA_SUCCESS || ctx->device != dev) {
		sg_lock();
		ctx = sg_primary(dev);
		sg_unlock();
		if (!ctx || !rein_load_acquire(&ctx->alive))
			return CUDA_ERROR_INVALID_CONTEXT;
	}
	return sg_kernel_function(kernel, ctx, f);
}

CUresult cuKernelGetAttribute(int *pi, CUfunction_attribute attrib, CUkernel kernel, CUdevice dev)
{
	CUfunction f;
	CUresult r = function_on(kernel, dev, &f);
	return r == CUDA_SUCCESS ? cuFuncGetAttribute(pi, attrib, f) : r;
}

CUresult cuKernelSetAttribute(CUfunction_attribute attrib, int val, CUkernel kernel, CUdevice dev)
{
	CUfunction f;
	CUresult r = function_on(kernel, dev, &f);
	return r == CUDA_SUCCESS ? cuFuncSetAttribute(f, attrib, val) : r;
}

CUresult cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache config, CUdevice dev)
{
	CUfunction f;
	CUresult r = function_on(kernel, dev, &f);
	return r == CUDA_SUCCESS ? cuFuncSetCacheConfig(f, config) : r;
}

CUresult cuKernelGetParamInfo(CUkernel kernel, size_t paramIndex, size_t *paramOffset,
                              size_t *paramSize)
{
	CUfunction f;
	CUresult r = cuKernelGetFunction(&f, kernel);
	return r == CUDA_SUCCESS ? cuFuncGetParamInfo(f, paramIndex, paramOffset, paramSize) : r;
}
