// SPDX-License-Identifier: Apache-2.0
/*
 * test_proc.c: cuGetProcAddress: the driver is asked first, its answer is replaced by the hook of
 * exactly the ABI version that it chose, and by nothing where that cannot be known.
 */
#include "tests/harness.h"

#include "interpose/shim.h"

#include <string.h>

/* What the driver answers; `newer` beyond the header's version. */
static struct {
	CUresult result;
	void *known, *newer;
	unsigned calls;
} driver;

static CUresult fake_v2(const char *symbol, void **pfn, int version, cuuint64_t flags,
                        CUdriverProcAddressQueryResult *status)
{
	driver.calls++;
	if (status)
		*status = driver.result ? CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND
		                        : CU_GET_PROC_ADDRESS_SUCCESS;
	*pfn = version > CUDA_VERSION ? driver.newer : driver.known;
	return driver.result;
}

static CUresult fake_v1(const char *symbol, void **pfn, int version, cuuint64_t flags)
{
	return fake_v2(symbol, pfn, version, flags, NULL);
}

static char text[16]; /* addresses in here stand for functions of the driver */

/* A driver that has every function, at addresses of its own. */
static void fake_driver(void *known, void *newer)
{
	static char code[REIN_E_COUNT];
	for (int i = 0; i < REIN_E_COUNT; i++)
		((void **)&real)[i] = &code[i];
	real.cuGetProcAddress = fake_v1;
	real.cuGetProcAddress_v2 = fake_v2;
	memset(&driver, 0, sizeof(driver));
	driver.known = known;
	driver.newer = newer;
	rein_store_release(&rein_real_ready, 1);
}

static void *ask(const char *symbol, int version, cuuint64_t flags)
{
	void *v1 = NULL, *v2 = NULL;
	ck_assert_int_eq(hook_cuGetProcAddress(symbol, &v1, version, flags), driver.result);
	ck_assert_int_eq(hook_cuGetProcAddress_v2(symbol, &v2, version, flags, NULL),
	                 driver.result);
	ck_assert_ptr_eq(v1, v2);
	return v2;
}

static void *hook(const char *symbol)
{
	void *h = rein_hook_find(symbol);
	ck_assert_ptr_nonnull(h);
	return h;
}

TEST(the_address_says_which_version)
{
	fake_driver(NULL, NULL);
	driver.known = (void *)real.cuMemcpyHtoD_v2;
	ck_assert_ptr_eq(ask("cuMemcpyHtoD", 13000, 0), hook("cuMemcpyHtoD_v2"));
	/* the driver's choice, not ours */
	driver.known = (void *)real.cuMemcpyHtoD;
	ck_assert_ptr_eq(ask("cuMemcpyHtoD", 13000, 0), hook("cuMemcpyHtoD"));
	driver.known = (void *)real.cuMemGetInfo_v2;
	ck_assert_ptr_eq(ask("cuMemGetInfo", 13000, 0), driver.known);
}
TEST_END

TEST(other_addresses_go_by_name_version_and_flags)
{
	fake_driver(&text[0], NULL);
	ck_assert_ptr_eq(ask("cuMemcpyHtoD", 2000, 0), hook("cuMemcpyHtoD"));
	ck_assert_ptr_eq(ask("cuMemcpyHtoD", 3010, 0), hook("cuMemcpyHtoD"));
	ck_assert_ptr_eq(ask("cuMemcpyHtoD", 3020, 1), hook("cuMemcpyHtoD_v2"));
	ck_assert_ptr_eq(ask("cuMemcpyHtoD", 6050, 2), hook("cuMemcpyHtoD_v2"));
	ck_assert_ptr_eq(ask("cuMemcpyHtoD", 12000, 2), hook("cuMemcpyHtoD_v2_ptds"));
	ck_assert_ptr_eq(ask("cuLaunchKernel", 13000, 0), hook("cuLaunchKernel"));
	ck_assert_ptr_eq(ask("cuLaunchKernel", 13000, 2), hook("cuLaunchKernel_ptsz"));
	ck_assert_ptr_eq(ask("cuGetProcAddress", 11030, 0), hook("cuGetProcAddress"));
	ck_assert_ptr_eq(ask("cuGetProcAddress", 13000, 2), hook("cuGetProcAddress_v2"));
	/* a driver that takes names with their suffix */
	ck_assert_ptr_eq(ask("cuMemcpyHtoD_v2", 13000, 0), hook("cuMemcpyHtoD_v2"));
	/* not hooked, not known, older than the function: the driver's answer stays */
	ck_assert_ptr_eq(ask("cuMemGetInfo", 13000, 0), &text[0]);
	ck_assert_ptr_eq(ask("cuNoSuchFunction", 13000, 0), &text[0]);
	ck_assert_ptr_eq(ask("cuLaunchKernelEx", 11000, 0), &text[0]);
}
TEST_END

TEST(a_newer_version_only_if_it_is_the_same_function)
{
	fake_driver(&text[0], &text[0]);
	ck_assert_ptr_eq(ask("cuLaunchKernel", CUDA_VERSION + 10, 0), hook("cuLaunchKernel"));
	driver.newer = &text[1];
	ck_assert_ptr_eq(ask("cuLaunchKernel", CUDA_VERSION + 10, 0), &text[1]);
	/* only the old function to ask again with */
	fake_driver(&text[0], &text[0]);
	real.cuGetProcAddress_v2 = NULL;
	void *found = NULL;
	ck_assert_int_eq(hook_cuGetProcAddress("cuLaunchKernel", &found, CUDA_VERSION + 10, 0), 0);
	ck_assert_ptr_eq(found, hook("cuLaunchKernel"));
}
TEST_END

TEST(the_status_is_the_drivers)
{
	CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
	void *found = &text[5];
	fake_driver(&text[0], NULL);
	driver.result = CUDA_ERROR_NOT_FOUND;
	ck_assert_int_eq(hook_cuGetProcAddress_v2("cuLaunchKernel", &found, 13000, 0, &status),
	                 CUDA_ERROR_NOT_FOUND);
	ck_assert_int_eq(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
	ck_assert_ptr_eq(found, &text[0]); /* what the driver wrote, not what it should have */
	ck_assert_uint_eq(driver.calls, 1);

	fake_driver(NULL, NULL); /* "no such version" is a success with NULL */
	ck_assert_ptr_null(ask("cuLaunchKernel", 13000, 0));
}
TEST_END

/* A driver may have functions that it does not export. */
TEST(a_function_found_in_no_other_way_becomes_real)
{
	fake_driver(&text[3], NULL);
	real.cuLaunchKernel = NULL;
	ck_assert(!rein_real_has(REIN_E_cuLaunchKernel));
	ck_assert_ptr_eq(ask("cuLaunchKernel", 13000, 0), hook("cuLaunchKernel"));
	ck_assert(rein_real_has(REIN_E_cuLaunchKernel));
	ck_assert_ptr_eq((void *)real.cuLaunchKernel, &text[3]);
}
TEST_END

TESTS("proc", the_address_says_which_version, other_addresses_go_by_name_version_and_flags,
      a_newer_version_only_if_it_is_the_same_function, the_status_is_the_drivers,
      a_function_found_in_no_other_way_becomes_real)
