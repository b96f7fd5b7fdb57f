// SPDX-License-Identifier: Apache-2.0
/*
 * test_table.c: the table of entry points and what gen.py makes of it: classes, hooks, versions.
 * The last tests run gen.py on a small header of their own and see it refuse what it must refuse.
 */
#include "tests/harness.h"

#include "interpose/shim.h"

#include <cudaTypedefs.h>
#include <string.h>

#include "cuda_versions.h"

static bool submits(int class_id)
{
	return class_id <= REIN_CLASS_ORDER;
}

static bool hooked(int class_id)
{
	return class_id <= REIN_CLASS_IMPLICIT;
}

static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);
	return n >= m && !strcmp(name + n - m, end);
}

/* cuMemcpyHtoD_v2_ptds is a cuMemcpyHtoD. */
static bool is_variant_of(const char *name, const char *base)
{
	size_t n = strlen(base);
	return !strncmp(name, base, n) &&
	       (!name[n] || !strncmp(name + n, "_v", 2) || !strncmp(name + n, "_pt", 3));
}

TEST(rows_are_sorted_and_found)
{
	for (int i = 0; i < REIN_E_COUNT; i++) {
		ck_assert_int_eq(rein_entry_find(rein_entries[i].name), i);
		if (i)
			ck_assert_int_lt(strcmp(rein_entries[i - 1].name, rein_entries[i].name), 0);
	}
	ck_assert_int_eq(rein_entry_find("cuNoSuchFunction"), -1);
	ck_assert_int_eq(rein_entry_find(""), -1);
	ck_assert_int_eq(rein_entry_find("zz"), -1);
	ck_assert_ptr_null(rein_hook_of(-1));
	ck_assert_ptr_null(rein_hook_find("cuNoSuchFunction"));
}
TEST_END

TEST(hooks_follow_the_class)
{
	for (int i = 0; i < REIN_E_COUNT; i++) {
		const struct rein_entry *e = &rein_entries[i];
		bool per_thread = ends_in(e->name, "_ptsz") || ends_in(e->name, "_ptds");
		ck_assert_int_le(e->class_id, REIN_CLASS_PASS);
		ck_assert_msg((rein_hook_of(i) != NULL) == hooked(e->class_id), "%s", e->name);
		ck_assert_ptr_eq(rein_hook_find(e->name), rein_hook_of(i));
		if (!hooked(e->class_id) || e->class_id == REIN_CLASS_IMPLICIT)
			continue;
		ck_assert_msg(per_thread == !!(e->options & REIN_OPT_PER_THREAD), "%s", e->name);
		ck_assert_msg(!(e->options & REIN_OPT_BLOCKING) ||
		                  is_variant_of(e->name, "cuMemcpyDtoH") ||
		                  is_variant_of(e->name, "cuMemcpyAtoH"),
		              "%s does not complete on return", e->name);
		for (int k = 0; k < i; k++)
			ck_assert_msg(rein_hook_of(k) != rein_hook_of(i), "%s", e->name);
	}
}
TEST_END

TEST(real_is_in_the_order_of_the_table)
{
	void **slots = (void **)&real;
	ck_assert_uint_eq(sizeof(real), REIN_E_COUNT * sizeof(void *));
	ck_assert_ptr_eq(&slots[REIN_E_cuInit], &real.cuInit);
	ck_assert_ptr_eq(&slots[REIN_E_cuLaunchKernel], &real.cuLaunchKernel);
	ck_assert_ptr_eq(&slots[REIN_E_cuWaitExternalSemaphoresAsync_ptsz],
	                 &real.cuWaitExternalSemaphoresAsync_ptsz);
	ck_assert_str_eq(rein_entries[REIN_E_cuLaunchKernel].name, "cuLaunchKernel");
}
TEST_END

/* Whatever submits work, by name, in every variant that the header has. */
TEST(all_work_passes_the_gate)
{
	static const char *const bases[] = {
	    "cuLaunch",
	    "cuLaunchGrid",
	    "cuLaunchGridAsync",
	    "cuLaunchKernel",
	    "cuLaunchKernelEx",
	    "cuLaunchCooperativeKernel",
	    "cuLaunchCooperativeKernelMultiDevice",
	    "cuLaunchHostFunc",
	    "cuGraphLaunch",
	    "cuGraphUpload",
	    "cuGraphInstantiateWithParams",
	    "cuMemcpy",
	    "cuMemcpyHtoD",
	    "cuMemcpyDtoH",
	    "cuMemcpyDtoD",
	    "cuMemcpyAtoA",
	    "cuMemcpyAtoD",
	    "cuMemcpyDtoA",
	    "cuMemcpyAtoH",
	    "cuMemcpyHtoA",
	    "cuMemcpyPeer",
	    "cuMemcpy2D",
	    "cuMemcpy2DUnaligned",
	    "cuMemcpy3D",
	    "cuMemcpy3DPeer",
	    "cuMemcpyAsync",
	    "cuMemcpyHtoDAsync",
	    "cuMemcpyDtoHAsync",
	    "cuMemcpyDtoDAsync",
	    "cuMemcpyAtoHAsync",
	    "cuMemcpyHtoAAsync",
	    "cuMemcpyPeerAsync",
	    "cuMemcpy2DAsync",
	    "cuMemcpy3DAsync",
	    "cuMemcpy3DPeerAsync",
	    "cuMemcpyBatchAsync",
	    "cuMemcpy3DBatchAsync",
	    "cuMemsetD8",
	    "cuMemsetD16",
	    "cuMemsetD32",
	    "cuMemsetD2D8",
	    "cuMemsetD2D16",
	    "cuMemsetD2D32",
	    "cuMemsetD8Async",
	    "cuMemsetD16Async",
	    "cuMemsetD32Async",
	    "cuMemsetD2D8Async",
	    "cuMemsetD2D16Async",
	    "cuMemsetD2D32Async",
	    "cuMemPrefetchAsync",
	    "cuMemPrefetchBatchAsync",
	    "cuMemDiscardBatchAsync",
	    "cuMemDiscardAndPrefetchBatchAsync",
	    "cuMemBatchDecompressAsync",
	    "cuMemMapArrayAsync",
	    "cuMemAllocAsync",
	    "cuMemAllocFromPoolAsync",
	    "cuMemFreeAsync",
	    "cuStreamAttachMemAsync",
	    "cuStreamWaitValue32",
	    "cuStreamWaitValue64",
	    "cuStreamWriteValue32",
	    "cuStreamWriteValue64",
	    "cuStreamBatchMemOp",
	    "cuStreamAddCallback",
	    "cuSignalExternalSemaphoresAsync",
	    "cuWaitExternalSemaphoresAsync",
	    "cuGraphicsMapResources",
	    "cuGraphicsUnmapResources",
	};
	for (size_t b = 0; b < REIN_ARRAY_LEN(bases); b++)
		for (int i = 0; i < REIN_E_COUNT; i++)
			if (is_variant_of(rein_entries[i].name, bases[b]))
				ck_assert_msg(submits(rein_entries[i].class_id), "%s",
				              rein_entries[i].name);
	/* these pass it by hand, where the event is shared between processes */
	static const char *const events[] = {
	    "cuEventRecord",  "cuEventRecordWithFlags", "cuStreamWaitEvent",  "cuCtxRecordEvent",
	    "cuCtxWaitEvent", "cuGreenCtxRecordEvent",  "cuGreenCtxWaitEvent"};
	for (size_t b = 0; b < REIN_ARRAY_LEN(events); b++) {
		int i = rein_entry_find(events[b]);
		ck_assert_int_ge(i, 0);
		ck_assert_msg(rein_entries[i].class_id == REIN_CLASS_EVENT && rein_hook_of(i), "%s",
		              events[b]);
	}
	/* and nothing that looks like a submission is left out */
	for (int i = 0; i < REIN_E_COUNT; i++) {
		const char *name = rein_entries[i].name;
		if (!strncmp(name, "cuLaunch", 8) || !strncmp(name, "cuMemcpy", 8) ||
		    !strncmp(name, "cuMemset", 8) || strstr(name, "Async_ptsz"))
			ck_assert_msg(submits(rein_entries[i].class_id), "%s", name);
	}
}
TEST_END

static const char *symbol_of(const char *base, int version, int per_thread)
{
	for (size_t i = 0; i < REIN_ARRAY_LEN(cuda_version_rows); i++) {
		const struct cuda_version_row *r = &cuda_version_rows[i];
		if (!strcmp(r->base, base) && r->version == version && r->per_thread == per_thread)
			return r->symbol;
	}
	return "";
}

/* The row, and, by the compiler, that the PFN_ typedef of that version has the symbol's type. */
#define VERSION_IS(base, version, per_thread, pfn, name)                                           \
	do {                                                                                       \
		_Static_assert(__builtin_types_compatible_p(__typeof__(&name), pfn), #name);       \
		ck_assert_str_eq(symbol_of(base, version, per_thread), #name);                     \
	} while (0)

TEST(versions_lead_to_symbols)
{
	VERSION_IS("cuInit", 2000, 0, PFN_cuInit_v2000, cuInit);
	VERSION_IS("cuMemAlloc", 2000, 0, PFN_cuMemAlloc_v2000, cuMemAlloc);
	VERSION_IS("cuMemAlloc", 3020, 0, PFN_cuMemAlloc_v3020, cuMemAlloc_v2);
	VERSION_IS("cuMemcpyHtoD", 7000, 1, PFN_cuMemcpyHtoD_v7000_ptds, cuMemcpyHtoD_v2_ptds);
	VERSION_IS("cuLaunchKernel", 4000, 0, PFN_cuLaunchKernel_v4000, cuLaunchKernel);
	VERSION_IS("cuLaunchKernel", 7000, 1, PFN_cuLaunchKernel_v7000_ptsz, cuLaunchKernel_ptsz);
	VERSION_IS("cuCtxCreate", 11040, 0, PFN_cuCtxCreate_v11040, cuCtxCreate_v3);
	VERSION_IS("cuCtxCreate", 12050, 0, PFN_cuCtxCreate_v12050, cuCtxCreate_v4);
	VERSION_IS("cuGetProcAddress", 11030, 0, PFN_cuGetProcAddress_v11030, cuGetProcAddress);
	VERSION_IS("cuGetProcAddress", 12000, 0, PFN_cuGetProcAddress_v12000, cuGetProcAddress_v2);
	VERSION_IS("cuStreamBeginCapture", 10010, 1, PFN_cuStreamBeginCapture_v10010_ptsz,
	           cuStreamBeginCapture_v2_ptsz);
	VERSION_IS("cuMemcpyBatchAsync", 12080, 0, PFN_cuMemcpyBatchAsync_v12080,
	           cuMemcpyBatchAsync);
	VERSION_IS("cuMemcpyBatchAsync", 13000, 1, PFN_cuMemcpyBatchAsync_v13000_ptsz,
	           cuMemcpyBatchAsync_v2_ptsz);
}
TEST_END

TEST(versions_are_sorted_and_complete)
{
	ck_assert_uint_eq(REIN_ARRAY_LEN(cuda_version_rows), REIN_E_COUNT);
	bool seen[REIN_E_COUNT] = {false};
	for (size_t i = 0; i < REIN_ARRAY_LEN(cuda_version_rows); i++) {
		const struct cuda_version_row *r = &cuda_version_rows[i];
		int entry = rein_entry_find(r->symbol);
		ck_assert_int_ge(entry, 0);
		ck_assert_msg(!seen[entry], "%s has two rows", r->symbol);
		seen[entry] = true;
		if (i) {
			int order = strcmp(r[-1].base, r->base);
			ck_assert(order < 0 || (order == 0 && r[-1].version <= r->version));
		}
	}
}
TEST_END

/* ---- gen.py on a header of our own */

static char output[8192];

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

/* Exit status of gen.py for a table, on a header with cuInit and cuFoo(CUstream). */
static int generate(const char *table, const char *pfn_version, bool check)
{
	char dir[256], tbl[300], typedefs[512];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	snprintf(tbl, sizeof(tbl), "%s/t.tbl", dir);
	snprintf(typedefs, sizeof(typedefs),
	         "#include <cuda.h>\ntypedef CUresult (*PFN_cuInit_v2000)(unsigned int Flags);\n"
	         "typedef CUresult (*PFN_cuFoo_v%s)(CUstream hStream);\n",
	         pfn_version);
	write_file(dir, "cuda.h",
	           "#pragma once\n#define CUDA_VERSION 13000\n"
	           "typedef int CUresult;\ntypedef struct CUstream_st *CUstream;\n"
	           "CUresult cuInit(unsigned int Flags);\nCUresult cuFoo(CUstream hStream);\n");
	write_file(dir, "cudaProfiler.h", "#include <cuda.h>\n");
	write_file(dir, "cudaTypedefs.h", typedefs);
	write_file(dir, "t.tbl", table);
	char *argv[] = {
	    "python3", "interpose/gen.py",       "--include", dir, "--out", dir, "--table",
	    tbl,       check ? "--check" : NULL, NULL};
	return proc_run(argv, NULL, output, sizeof(output), 20000);
}

static void refused(const char *table, const char *why)
{
	ck_assert_int_eq(generate(table, "2000", false), 1);
	ck_assert_msg(strstr(output, why) != NULL, "want '%s' in: %s", why, output);
	ck_assert_msg(!strstr(output, "Traceback"), "%s", output);
}

#define INIT "cuInit init hand\n"

TEST(gen_needs_a_row_for_each_symbol)
{
	ck_assert_int_eq(generate(INIT "cuFoo launch stream=hStream\n", "2000", true), 0);
	ck_assert_str_eq(output, "");
	ck_assert_int_eq(generate(INIT, "2000", true), 1);
	ck_assert_ptr_nonnull(strstr(output, "cuFoo has no row"));
	/* a build against a newer header passes it through, a row of a newer table is no harm */
	ck_assert_int_eq(generate(INIT "cuBar pass\n", "2000", false), 0);
	ck_assert_ptr_nonnull(strstr(output, "cuFoo has no row"));
}
TEST_END

TEST(gen_refuses_bad_rows)
{
	refused(INIT "cuFoo\n", "t.tbl:2: want 'symbol class options'");
	refused(INIT "cuFoo kernel\n", "t.tbl:2: want 'symbol class options'");
	refused(INIT "cuFoo launch stream=hStream fast\n", "t.tbl:2: unknown option 'fast'");
	refused(INIT "cuFoo pass\ncuFoo pass\n", "t.tbl:3: cuFoo has a row already");
	refused("cuInit init\ncuFoo pass\n", "t.tbl:1: 'hand' goes with");
	refused(INIT "cuFoo sync\n", "t.tbl:2: 'sync=' goes with");
}
TEST_END

/* With a header of another age the build goes on without what does not fit; the check does not. */
static void left_to_the_driver(const char *table, const char *pfn_version, const char *why)
{
	for (int check = 0; check < 2; check++) {
		ck_assert_int_eq(generate(table, pfn_version, check), check);
		ck_assert_msg(strstr(output, why) != NULL, "want '%s' in: %s", why, output);
		ck_assert_msg(!strstr(output, "Traceback"), "%s", output);
	}
}

TEST(gen_leaves_out_what_does_not_fit_the_header)
{
	left_to_the_driver(INIT "cuFoo launch\n", "2000",
	                   "cuFoo: it has a CUstream argument but no option 'stream='");
	left_to_the_driver(INIT "cuFoo launch stream=hStream ptsz\n", "2000",
	                   "'ptsz' goes with the suffix");
	left_to_the_driver(INIT "cuFoo launch stream=hStream func=f\n", "2000",
	                   "func=f: no such argument");
}
TEST_END

TEST(versions_that_disagree_go_by_address)
{
	left_to_the_driver(INIT "cuFoo pass\n",
	                   "2000)(CUstream);\ntypedef CUresult (*PFN_cuFoo_v3000",
	                   "cuda.h disagree on cuFoo");
	left_to_the_driver(INIT "cuFoo pass\n", "2000)(int);\ntypedef int (*unused",
	                   "cuFoo is not of type PFN_cuFoo_v2000");
}
TEST_END

TESTS("table", rows_are_sorted_and_found, hooks_follow_the_class, real_is_in_the_order_of_the_table,
      all_work_passes_the_gate, versions_lead_to_symbols, versions_are_sorted_and_complete,
      gen_needs_a_row_for_each_symbol, gen_refuses_bad_rows,
      gen_leaves_out_what_does_not_fit_the_header, versions_that_disagree_go_by_address)
