// SPDX-License-Identifier: Apache-2.0
/*
 * api_module.c: modules: from an image to functions and variables. A module lives until it is
 * unloaded and nothing refers to it any more: graph nodes hold it.
 */
#include "api.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "api_module.h"
#include "image.h"

/* ---- JIT options: the logs and the values that are answered */

struct jit {
	char *error_log, *info_log;
	void **error_size, **info_size; /* in: the buffer's size; out: bytes written */
};

static void jit_read(struct jit *jit, unsigned n, const CUjit_option *options, void **values)
{
	memset(jit, 0, sizeof(*jit));
	for (unsigned i = 0; i < n; i++) {
		switch (options[i]) {
		case CU_JIT_ERROR_LOG_BUFFER:
			jit->error_log = values[i];
			break;
		case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
			jit->error_size = &values[i];
			break;
		case CU_JIT_INFO_LOG_BUFFER:
			jit->info_log = values[i];
			break;
		case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
			jit->info_size = &values[i];
			break;
		case CU_JIT_WALL_TIME: /* nothing is compiled: decoding time is not told apart */
			memset(&values[i], 0, sizeof(values[i]));
			break;
		default:
			break; /* how to compile: there is no code generation to steer */
		}
	}
}

static void jit_log(char *buffer, void **size, const char *text)
{
	if (!size)
		return;
	size_t room = (unsigned)(uintptr_t)*size, n = 0;
	if (buffer && room) {
		n = strlen(text) < room - 1 ? strlen(text) : room - 1;
		memcpy(buffer, text, n);
		buffer[n] = 0;
	}
	*size = (void *)(uintptr_t)n;
}

/* ---- from an image to a module */

static CUresult complain(const struct ptx_error *err, struct jit *jit, CUresult r)
{
	char line[320];
	if (err->line)
		snprintf(line, sizeof(line), "PTX line %d: %s", err->line, err->text);
	else
		snprintf(line, sizeof(line), "%s", err->text);
	jit_log(jit->error_log, jit->error_size, line);
	jit_log(jit->info_log, jit->info_size, "");
	sg_say("cannot load module: %s", line);
	return r;
}

struct managed_request {
	CUcontext ctx;
	struct sg_managed **list;
};

/* struct ptx_memory's managed() */
static void *managed(void *owner, const char *name, size_t name_len, size_t size, size_t align,
                     bool *fresh)
{
	struct managed_request *q = owner;
	struct sg_range t = {.kind = SG_MEMORY_MANAGED, .device = q->ctx->device, .module = true};
	*fresh = false;
	for (struct sg_managed *m = *q->list; m; m = m->next)
		if (strlen(m->name) == name_len && memcmp(m->name, name, name_len) == 0)
			return (void *)m->address;
	struct sg_managed *m = calloc(1, sizeof(*m) + name_len + 1);
	if (!m || sg_arena_alloc(&t, size, align, &m->address) != CUDA_SUCCESS) {
		free(m);
		return NULL;
	}
	memcpy(m->name, name, name_len);
	m->bytes = size;
	m->next = *q->list;
	*q->list = m;
	*fresh = true;
	return (void *)m->address;
}

void sg_managed_free(struct sg_managed *list)
{
	while (list) {
		struct sg_managed *next = list->next;
		sg_range_remove(list->address, NULL);
		free(list);
		list = next;
	}
}

static CUresult build(CUcontext ctx, const char *text, size_t len, struct jit *jit,
                      struct sg_managed **list, CUmodule *out)
{
	struct ptx_error err = {0};
	struct ptx_module *ptx = NULL;
	struct managed_request request = {ctx, list};
	struct ptx_memory memory = ctx->memory;
	memory.managed = list ? managed : NULL;
	memory.managed_owner = &request;
	enum ptx_status status = ptx_module_load(text, len, &memory, &ptx, &err);
	if (status != PTX_OK)
		return complain(&err, jit, sg_ptx_result(status));
	unsigned n = ptx_kernel_count(ptx);
	CUmodule m = calloc(1, sizeof(*m) + n * sizeof(m->functions[0]));
	if (!m) {
		ptx_module_free(ptx);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	rein_store_relaxed(&m->refs, 1);
	m->ctx = ctx;
	m->ptx = ptx;
	for (unsigned i = 0; i < n; i++) {
		CUfunction f = &m->functions[i];
		f->module = m;
		f->kernel = ptx_kernel_at(ptx, i);
		f->info = ptx_kernel_info(f->kernel);
		uint32_t fixed = f->info->static_shared_bytes;
		rein_store_relaxed(&f->max_dynamic_shared, fixed < 49152 ? 49152 - fixed : 0);
		rein_store_relaxed(&f->carveout, (uint32_t)-1);
		if (sg_handle_add(f, SG_FUNCTION) != CUDA_SUCCESS) {
			sg_module_drop(m);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
		m->n_functions = i + 1;
	}
	jit_log(jit->error_log, jit->error_size, "");
	jit_log(jit->info_log, jit->info_size, "");
	*out = m;
	return CUDA_SUCCESS;
}

enum image_kind sg_module_text(const void *image, size_t len, char **text, size_t *text_len,
                               struct ptx_error *err)
{
	const struct sg_model *m = sg_the_model();
	enum image_kind kind = image_find_ptx(image, len, m->sm_arch, text, text_len, err);
	if (kind != IMAGE_SASS_ONLY || !m->sass_time)
		return kind;
	kind = image_find_sass(image, len, m->sm_arch, text, text_len, err);
	if (kind == IMAGE_PTX)
		sg_say("a module has machine code only: by SOFTGPU_SASS=time its kernels take "
		       "their time and do NOT run; what they would write stays as it was");
	return kind;
}

CUresult sg_module_build(CUcontext ctx, const void *image, size_t len, unsigned n_options,
                         CUjit_option *options, void **values, struct sg_managed **managed_list,
                         CUmodule *out)
{
	struct jit jit;
	struct ptx_error err = {0};
	char *text = NULL;
	size_t text_len = 0;
	jit_read(&jit, n_options, options, values);
	switch (sg_module_text(image, len, &text, &text_len, &err)) {
	case IMAGE_PTX:
		break;
	case IMAGE_SASS_ONLY:
		return complain(&err, &jit, CUDA_ERROR_NO_BINARY_FOR_GPU);
	default:
		return complain(&err, &jit, CUDA_ERROR_INVALID_IMAGE);
	}
	CUresult r = build(ctx, text, text_len, &jit, managed_list, out);
	free(text);
	return r;
}

/* ---- lifetime */

void sg_module_hold(CUmodule m)
{
	rein_add_relaxed(&m->refs, 1);
}

static void retire_functions(CUmodule m)
{
	for (unsigned i = 0; i < m->n_functions; i++)
		sg_handle_remove(&m->functions[i], SG_FUNCTION);
}

void sg_module_drop(CUmodule m)
{
	if (rein_add_seqcst(&m->refs, (uint32_t)-1) != 1)
		return;
	retire_functions(m);
	ptx_module_free(m->ptx);
	free(m);
}

static CUresult enter(CUmodule m, CUmodule *out)
{
	CUresult r = sg_handle_add(m, SG_MODULE);
	if (r != CUDA_SUCCESS) {
		sg_module_drop(m);
		return r;
	}
	*out = m;
	return CUDA_SUCCESS;
}

static CUresult load(CUmodule *module, const void *image, size_t len, unsigned n,
                     CUjit_option *options, void **values)
{
	CUcontext ctx;
	CUmodule m = NULL;
	CUresult r = sg_current(&ctx);
	if (r == CUDA_SUCCESS && (!module || !image || (n && (!options || !values))))
		r = CUDA_ERROR_INVALID_VALUE;
	if (r == CUDA_SUCCESS)
		r = sg_unsafe();
	if (r == CUDA_SUCCESS)
		r = sg_module_build(ctx, image, len, n, options, values, NULL, &m);
	return m ? enter(m, module) : r;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int numOptions,
                            CUjit_option *options, void **optionValues)
{
	return load(module, image, SIZE_MAX, numOptions, options, optionValues);
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	return load(module, image, SIZE_MAX, 0, NULL, NULL);
}

CUresult cuModuleLoadFatBinary(CUmodule *module, const void *fatCubin)
{
	return load(module, fatCubin, SIZE_MAX, 0, NULL, NULL);
}

CUresult sg_file_read(const char *path, char **bytes, size_t *len)
{
	REIN_AUTO_FCLOSE FILE *f = fopen(path, "rbe");
	struct stat st;
	if (!f)
		return errno == ENOENT ? CUDA_ERROR_FILE_NOT_FOUND : CUDA_ERROR_OPERATING_SYSTEM;
	if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode))
		return CUDA_ERROR_OPERATING_SYSTEM;
	char *p = malloc((size_t)st.st_size + 1);
	if (!p)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*len = fread(p, 1, (size_t)st.st_size, f);
	p[*len] = 0; /* PTX text ends with a NUL */
	*bytes = p;
	return CUDA_SUCCESS;
}

CUresult cuModuleLoad(CUmodule *module, const char *fname)
{
	CUcontext ctx;
	REIN_AUTO_FREE char *bytes = NULL;
	size_t len;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!module || !fname)
		return CUDA_ERROR_INVALID_VALUE;
	r = sg_file_read(fname, &bytes, &len);
	return r == CUDA_SUCCESS ? load(module, bytes, len, 0, NULL, NULL) : r;
}

CUresult cuModuleUnload(CUmodule hmod)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_remove(hmod, SG_MODULE))
		return CUDA_ERROR_INVALID_HANDLE;
	r = sg_domain_sync(hmod->ctx->domain); /* driver 580 waits for a launch that is held up */
	retire_functions(hmod);
	sg_module_drop(hmod);
	return r;
}

/* ---- what is in a module */

static CUresult module_check(CUmodule m)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	return sg_handle_is(m, SG_MODULE) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult sg_module_function(CUmodule m, const char *name, CUfunction *out)
{
	for (unsigned i = 0; i < m->n_functions; i++) {
		if (strcmp(m->functions[i].info->name, name) == 0) {
			*out = &m->functions[i];
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_NOT_FOUND;
}

CUresult cuModuleGetFunction(CUfunction *hfunc, CUmodule hmod, const char *name)
{
	CUresult r = module_check(hmod);
	if (r != CUDA_SUCCESS)
		return r;
	return hfunc && name ? sg_module_function(hmod, name, hfunc) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule hmod, const char *name)
{
	void *addr;
	size_t size;
	CUresult r = module_check(hmod);
	if (r != CUDA_SUCCESS)
		return r;
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	if (!ptx_global_find(hmod->ptx, name, &addr, &size))
		return CUDA_ERROR_NOT_FOUND;
	if (dptr)
		*dptr = (uintptr_t)addr;
	if (bytes)
		*bytes = size;
	return CUDA_SUCCESS;
}

CUresult cuModuleGetFunctionCount(unsigned int *count, CUmodule mod)
{
	CUresult r = module_check(mod);
	if (r != CUDA_SUCCESS)
		return r;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = mod->n_functions;
	return CUDA_SUCCESS;
}

CUresult cuModuleEnumerateFunctions(CUfunction *functions, unsigned int numFunctions, CUmodule mod)
{
	CUresult r = module_check(mod);
	if (r != CUDA_SUCCESS)
		return r;
	if (!functions)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned i = 0; i < numFunctions && i < mod->n_functions; i++)
		functions[i] = &mod->functions[i];
	return CUDA_SUCCESS;
}

CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!mode)
		return CUDA_ERROR_INVALID_VALUE;
	*mode = CU_MODULE_EAGER_LOADING; /* the only one: a module is decoded when it is loaded */
	return CUDA_SUCCESS;
}
