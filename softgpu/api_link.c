// SPDX-License-Identifier: Apache-2.0
/*
 * api_link.c: the linker (cuLink*): several images made one. There is no code to generate: the
 * "cubin" that comes out is the PTX of all that was added, one text (image_link.c), which
 * cuModuleLoadData takes as it takes any other. What cannot be linked is refused when it is added,
 * as a compiler would: PTX with errors, machine code without PTX, NVVM and LTO code.
 */
#include "api.h"

#include <string.h>

#include "api_module.h"
#include "image.h"

struct CUlinkState_st {
	unsigned n_options; /* where the logs go: the application's, until the link is destroyed */
	CUjit_option *options;
	void **values;
	char **texts;
	unsigned n;
	char *linked; /* what cuLinkComplete gave out */
};

static void link_free(CUlinkState s)
{
	for (unsigned i = 0; i < s->n; i++)
		free(s->texts[i]);
	free(s->texts);
	free(s->options);
	free(s->linked);
	free(s);
}

CUresult cuLinkCreate_v2(unsigned int numOptions, CUjit_option *options, void **optionValues,
                         CUlinkState *stateOut)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	if (!stateOut || (numOptions && (!options || !optionValues)))
		return CUDA_ERROR_INVALID_VALUE;
	CUlinkState s = calloc(1, sizeof(*s));
	CUjit_option *copy = malloc((numOptions + 1) * sizeof(*copy));
	if (s && copy) {
		if (numOptions)
			memcpy(copy, options, numOptions * sizeof(*copy));
		s->options = copy;
		s->values = optionValues; /* "must remain valid for the life of the CUlinkState" */
		s->n_options = numOptions;
		r = sg_handle_add(s, SG_LINK);
	} else {
		r = CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (r == CUDA_SUCCESS) {
		*stateOut = s;
	} else {
		free(copy);
		free(s);
	}
	return r;
}

CUresult cuLinkCreate(unsigned int numOptions, CUjit_option *options, void **optionValues,
                      CUlinkState *stateOut)
{
	return cuLinkCreate_v2(numOptions, options, optionValues, stateOut);
}

static CUresult link_check(CUlinkState s)
{
	CUcontext ctx;
	CUresult r = sg_current(&ctx);
	if (r != CUDA_SUCCESS)
		return r;
	return sg_handle_is(s, SG_LINK) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

/* The PTX of an input; its errors go to stderr and the logs. */
static CUresult text_of(CUlinkState s, CUjitInputType type, const void *data, size_t size,
                        char **text)
{
	struct ptx_error err;
	size_t len;
	*text = NULL;
	switch (type) {
	case CU_JIT_INPUT_PTX:
	case CU_JIT_INPUT_CUBIN:
	case CU_JIT_INPUT_FATBINARY:
	case CU_JIT_INPUT_OBJECT: /* a host object with a fat binary in it */
		break;
	case CU_JIT_INPUT_LIBRARY:
		return sg_missing("cuLinkAddData of archives");
	case CU_JIT_INPUT_NVVM:
		return sg_missing("cuLinkAddData of NVVM code");
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	/* the same path as modules take, for its messages */
	CUresult r = sg_module_try(data, size, 0, NULL, NULL);
	if (r != CUDA_SUCCESS)
		return s->n_options ? sg_module_try(data, size, s->n_options, s->options, s->values)
		                    : r;
	return sg_module_text(data, size, text, &len, &err) == IMAGE_PTX ? CUDA_SUCCESS
	                                                                 : CUDA_ERROR_INVALID_IMAGE;
}

CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data, size_t size,
                          const char *name, unsigned int numOptions, CUjit_option *options,
                          void **optionValues)
{
	char *text;
	CUresult r = link_check(state);
	if (r != CUDA_SUCCESS)
		return r;
	(void)name;    /* messages name lines */
	(void)options; /* how to compile this input: there is no code generation to steer */
	(void)optionValues;
	(void)numOptions;
	if (!data || !size || state->linked)
		return CUDA_ERROR_INVALID_VALUE;
	r = text_of(state, type, data, size, &text);
	if (r != CUDA_SUCCESS)
		return r;
	char **grown = realloc(state->texts, (state->n + 1) * sizeof(*grown));
	if (!grown) {
		free(text);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	state->texts = grown;
	grown[state->n++] = text;
	return CUDA_SUCCESS;
}

CUresult cuLinkAddData(CUlinkState state, CUjitInputType type, void *data, size_t size,
                       const char *name, unsigned int numOptions, CUjit_option *options,
                       void **optionValues)
{
	return cuLinkAddData_v2(state, type, data, size, name, numOptions, options, optionValues);
}

CUresult cuLinkAddFile_v2(CUlinkState state, CUjitInputType type, const char *path,
                          unsigned int numOptions, CUjit_option *options, void **optionValues)
{
	REIN_AUTO_FREE char *bytes = NULL;
	size_t len;
	CUresult r = link_check(state);
	if (r != CUDA_SUCCESS)
		return r;
	if (!path)
		return CUDA_ERROR_INVALID_VALUE;
	r = sg_file_read(path, &bytes, &len);
	return r == CUDA_SUCCESS ? cuLinkAddData_v2(state, type, bytes, len, path, numOptions,
	                                            options, optionValues)
	                         : r;
}

CUresult cuLinkAddFile(CUlinkState state, CUjitInputType type, const char *path,
                       unsigned int numOptions, CUjit_option *options, void **optionValues)
{
	return cuLinkAddFile_v2(state, type, path, numOptions, options, optionValues);
}

CUresult cuLinkComplete(CUlinkState state, void **cubinOut, size_t *sizeOut)
{
	size_t len = 0;
	CUresult r = link_check(state);
	if (r != CUDA_SUCCESS)
		return r;
	if (!cubinOut || !state->n)
		return CUDA_ERROR_INVALID_VALUE;
	if (!state->linked) {
		char *text = image_link(state->texts, state->n, &len);
		if (!text)
			return CUDA_ERROR_OUT_OF_MEMORY;
		r = sg_module_try(text, len, state->n_options, state->options, state->values);
		if (r != CUDA_SUCCESS) {
			free(text);
			return r;
		}
		state->linked = text;
	}
	*cubinOut = state->linked;
	if (sizeOut)
		*sizeOut = strlen(state->linked) + 1;
	return CUDA_SUCCESS;
}

CUresult cuLinkDestroy(CUlinkState state)
{
	CUresult r = sg_ready();
	if (r != CUDA_SUCCESS)
		return r;
	if (!sg_handle_remove(state, SG_LINK))
		return CUDA_ERROR_INVALID_HANDLE;
	link_free(state);
	return CUDA_SUCCESS;
}
