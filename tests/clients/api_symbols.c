// SPDX-License-Identifier: Apache-2.0
/*
 * api_symbols.c: the whole surface: every name of cudaTypedefs.h at each version that it has, with
 * and without per-thread streams, resolves to the symbol that the header means; every symbol that
 * the driver lacks says so, once by name, and returns CUDA_ERROR_NOT_SUPPORTED; every attribute of
 * cuda.h has an answer.
 */
#include "api_client.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include "cuda_versions.h"

static unsigned missing;

static void *resolve(const char *name, int version, cuuint64_t flags,
                     CUdriverProcAddressQueryResult *status)
{
	void *p = NULL;
	OK(cuGetProcAddress(name, &p, version, flags, status));
	return p;
}

static void names(void *driver)
{
	CUdriverProcAddressQueryResult status;
	unsigned n = sizeof(cuda_version_rows) / sizeof(cuda_version_rows[0]), checked = 0;
	for (unsigned i = 0; i < n; i++) {
		const struct cuda_version_row *r = &cuda_version_rows[i];
		void *want = dlsym(driver, r->symbol);
		cuuint64_t flags = r->per_thread ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM
		                                 : CU_GET_PROC_ADDRESS_LEGACY_STREAM;
		CHECK(want);
		void *got = resolve(r->base, r->version, flags, &status);
		if (got != want || status != CU_GET_PROC_ADDRESS_SUCCESS) {
			fprintf(stderr, "%s of %d, flags %llu: not %s\n", r->base, r->version,
			        (unsigned long long)flags, r->symbol);
			exit(1);
		}
		checked++;
		/* a name without a per-thread form is the same with that flag */
		if (!r->per_thread)
			CHECK(resolve(r->base, r->version,
			              CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &status));
	}
	CHECK(checked > 600);
	CHECK(!resolve("cuStreamBatchMemOp", 7000, 0, &status));
	CHECK(status == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
	CHECK(!resolve("cuNoSuchCall", 13000, 0, &status));
	CHECK(status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
}

/* The ones that nothing provides are weak. Their arguments do not matter. */
static void lacking(void *driver)
{
	typedef CUresult any_fn(size_t, size_t, size_t, size_t, size_t, size_t);
	for (unsigned i = 0; i < sizeof(cuda_version_rows) / sizeof(cuda_version_rows[0]); i++) {
		Dl_info info;
		const ElfW(Sym) *symbol = NULL;
		any_fn *call;
		void *p = dlsym(driver, cuda_version_rows[i].symbol);
		if (!dladdr1(p, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol)
			continue;
		if (ELF64_ST_BIND(symbol->st_info) != STB_WEAK)
			continue;
		memcpy(&call, &p, sizeof(call));
		for (int twice = 0; twice < 2; twice++) {
			CUresult r = call(0, 0, 0, 0, 0, 0);
			if (r != CUDA_ERROR_NOT_SUPPORTED) {
				fprintf(stderr, "%s: %d\n", cuda_version_rows[i].symbol, (int)r);
				exit(1);
			}
		}
		missing++;
	}
}

static int value_of(CUdevice_attribute a)
{
	int v = -12345;
	OK(cuDeviceGetAttribute(&v, a, 0));
	CHECK(v != -12345);
	return v;
}

static void attributes(void)
{
	int v;
	for (int a = 1; a < CU_DEVICE_ATTRIBUTE_MAX; a++)
		CHECK(value_of((CUdevice_attribute)a) >= -1);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute(&v, CU_DEVICE_ATTRIBUTE_MAX, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute(&v, (CUdevice_attribute)0, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute(&v, (CUdevice_attribute)-1, 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute(NULL, (CUdevice_attribute)1, 0));
	EXPECT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetAttribute(&v, (CUdevice_attribute)1, 99));
	/* the H200 geometry's, where the test asks for that; of its data sheet */
	if (value_of(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT) != 132)
		return;
	CHECK(value_of(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) == 9);
	CHECK(value_of(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR) == 2048);
	CHECK(value_of(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN) == 227 * 1024);
	CHECK(value_of(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR) == 228 * 1024);
	CHECK(value_of(CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH) == 6144);
	CHECK(value_of(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE) == 50 << 20);
	v = value_of(CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE); /* kHz, two transfers a clock */
	CHECK(2.0 * v * 1e3 * 6144 / 8 > 4.79e12 && 2.0 * v * 1e3 * 6144 / 8 < 4.81e12);
}

int main(void)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
	CHECK(driver);
	OK(cuInit(0));
	names(driver);
	attributes();
	lacking(driver);
	fprintf(stderr, "%u missing\n", missing);
	puts("ok");
	return 0;
}
