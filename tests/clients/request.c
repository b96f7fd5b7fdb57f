// SPDX-License-Identifier: Apache-2.0
/*
 * request.c: a program that declares its requests, by include/rein.h or NVTX. Its arguments are
 * steps, done one after the other:
 *
 *   open            the first use of CUDA
 *   launch, sync    one kernel (`add`) on a stream; until the stream has finished
 *   begin[=MS]      begins a request, due in so many milliseconds; tbegin: in another thread
 *   end, tend       ends the oldest one that is open; in another thread
 *   push=NAME, pop  an NVTX range; dpush=NAME, dpop: in a domain, by a registered name
 *   background      starts a thread in the background that launches and waits, again and again
 *   joined          waits until the process has joined a daemon
 *   wait=FILE       waits until that file is there
 *   facts           what rein.h says, and what there is of rein in this process
 *
 * The end of each step but `launch` and `sync` is said on stdout.
 */
#include "../../include/rein.h"
#include "api_client.h"

#include <dirent.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_include) && __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define HAVE_NVTX 1
#endif

#define REQUESTS 16
#define PATIENCE_S 60

static struct gpu gpu;
static CUstream stream;
static CUdeviceptr memory;
static uint64_t request[REQUESTS];
static unsigned begun, ended;

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* ---------------------------------------------------------------- steps */

static void cuda_open(void)
{
	gpu = gpu_open();
	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc(&memory, 128 * sizeof(int)));
}

static void *begin_here(void *ms)
{
	CHECK(begun < REQUESTS);
	request[begun++] = rein_request_begin(0, strtoull(ms, NULL, 10) * 1000000);
	return NULL;
}

static void *end_here(void *unused)
{
	CHECK(ended < begun);
	rein_request_end(request[ended++]);
	return NULL;
}

static void in_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, run, arg) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void *background(void *unused)
{
	CUstream own;
	OK(cuCtxSetCurrent(gpu.ctx));
	OK(cuStreamCreate(&own, CU_STREAM_NON_BLOCKING));
	CHECK(rein_thread_background(1) == 0);
	CUresult r;
	do {
		r = launch(gpu.add, memory, 1, 128, own);
		if (r == CUDA_SUCCESS)
			r = cuStreamSynchronize(own);
	} while (r == CUDA_SUCCESS);
	EXPECT(CUDA_ERROR_DEINITIALIZED, r); /* main() has returned */
	return NULL;
}

static void start_background(void)
{
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, background, NULL) == 0);
}

static void wait_file(const char *path)
{
	for (int i = 0; access(path, F_OK) != 0; i++) {
		CHECK(i < PATIENCE_S * 1000);
		nap();
	}
}

static void wait_joined(void)
{
	for (int i = 0; !rein_joined(); i++) {
		CHECK(i < PATIENCE_S * 1000);
		nap();
	}
}

#ifdef HAVE_NVTX
static nvtxDomainHandle_t domain;
static void domain_push(const char *name)
{
	nvtxEventAttributes_t a = {0};
	if (!domain)
		domain = nvtxDomainCreateA("test");
	a.version = NVTX_VERSION;
	a.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
	a.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
	a.message.registered = nvtxDomainRegisterStringA(domain, name);
	nvtxDomainRangePushEx(domain, &a);
}

static int nvtx(const char *step, const char *value)
{
	if (strcmp(step, "push") == 0)
		nvtxRangePushA(value);
	else if (strcmp(step, "pop") == 0)
		nvtxRangePop();
	else if (strcmp(step, "dpush") == 0)
		domain_push(value);
	else if (strcmp(step, "dpop") == 0)
		nvtxDomainRangePop(domain);
	else
		return 0;
	return 1;
}
#else
static int nvtx(const char *step, const char *value)
{
	if (strcmp(step, "push") != 0 && strcmp(step, "dpush") != 0)
		return 0;
	puts("no NVTX");
	exit(77);
}
#endif

/* ---------------------------------------------------------------- facts */

static int count(const char *folder, const char *file, const char *prefix)
{
	DIR *dir = opendir(folder);
	int n = 0;
	CHECK(dir != NULL);
	for (const struct dirent *d; (d = readdir(dir)) != NULL;) {
		char path[400], text[200] = "";
		snprintf(path, sizeof(path), "%s/%s%s", folder, d->d_name, file);
		FILE *f = *file ? fopen(path, "r") : NULL;
		ssize_t len = f ? (ssize_t)fread(text, 1, sizeof(text) - 1, f)
		                : readlink(path, text, sizeof(text) - 1);
		n += len > 0 && strncmp(text, prefix, strlen(prefix)) == 0;
		if (f)
			fclose(f);
	}
	closedir(dir);
	return n;
}

/* The file that an address belongs to. */
static const char *home(const void *address)
{
	Dl_info info;
	CHECK(dladdr(address, &info) && info.dli_fname);
	const char *slash = strrchr(info.dli_fname, '/');
	return slash ? slash + 1 : info.dli_fname;
}

static void facts(void)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOW), *proc = NULL;
	CUdriverProcAddressQueryResult found;
	CUresult (*ask)(const char *, void **, int, cuuint64_t, CUdriverProcAddressQueryResult *);
	CHECK(driver != NULL);
	*(void **)&ask = dlsym(driver, "cuGetProcAddress_v2");
	OK(ask("cuLaunchKernel", &proc, CUDA_VERSION, 0, &found));
	printf("present=%d joined=%d priority=%d request=%d background=%d threads=%d sockets=%d "
	       "dlsym=%s proc=%s\n",
	       rein_present(), rein_joined(), rein_priority(), rein_request_begin(0, 0) != 0,
	       rein_thread_background(1) + rein_thread_background(0),
	       count("/proc/self/task", "/comm", "rein-"), count("/proc/self/fd", "", "socket:"),
	       home(dlsym(driver, "cuLaunchKernel")), home(proc));
}

/* ---------------------------------------------------------------- all of it */

static void run(const char *step, const char *value)
{
	if (strcmp(step, "open") == 0)
		cuda_open();
	else if (strcmp(step, "launch") == 0)
		OK(launch(gpu.add, memory, 1, 128, stream));
	else if (strcmp(step, "sync") == 0)
		OK(cuStreamSynchronize(stream));
	else if (strcmp(step, "begin") == 0)
		begin_here((void *)(uintptr_t)value);
	else if (strcmp(step, "tbegin") == 0)
		in_thread(begin_here, (void *)(uintptr_t)value);
	else if (strcmp(step, "end") == 0)
		end_here(NULL);
	else if (strcmp(step, "tend") == 0)
		in_thread(end_here, NULL);
	else if (strcmp(step, "background") == 0)
		start_background();
	else if (strcmp(step, "joined") == 0)
		wait_joined();
	else if (strcmp(step, "wait") == 0)
		wait_file(value);
	else if (strcmp(step, "facts") == 0)
		facts();
	else if (!nvtx(step, value)) {
		fprintf(stderr, "request: unknown step '%s'\n", step);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		char *value = strchr(argv[i], '=');
		if (value)
			*value++ = 0;
		run(argv[i], value ? value : "0");
		if (strcmp(argv[i], "launch") != 0 && strcmp(argv[i], "sync") != 0)
			printf("%s\n", argv[i]);
	}
	return 0;
}
