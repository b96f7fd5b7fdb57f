// SPDX-License-Identifier: Apache-2.0
/*
 * queue_gate_memory.c: in what memory may the gate word lie?
 *
 * Asks, for each kind: can a stream wait for a word there, does a store by the host open it, does
 * a write by a stream arrive, and how long is a cycle of store → wait satisfied → write seen by
 * the host? Kinds: cuMemHostAlloc; a memfd mapped MAP_SHARED and registered; the same page, with
 * the words stored by another process; a file in /dev/shm; a mapping that this process may only
 * read, registered with and without CU_MEMHOSTREGISTER_READ_ONLY; device memory, written by
 * another stream.
 * Read: flags say whether it worked; the note has the error otherwise. Cycles are host to host.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/gate.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define LIMIT_S 15
#define PAGE 4096
#define CYCLES 200
#define ANSWER_LIMIT_NS 200000000ull

static struct wl_gate gate;

/* A page of the kind under test, as the host sees it: [0] the gate, [32] the answer, [64] what the
 * other process is asked to store. */
#define ANSWER 32
#define ASK 64

static bool wait_for(const uint32_t *word, uint32_t value)
{
	uint64_t limit = wl_now_ns() + ANSWER_LIMIT_NS;
	while (wl_gate_get(word) != value)
		if (wl_now_ns() > limit)
			return false;
	return true;
}

/* One cycle: the stream waits until the gate is i, then answers i. `store`: which word the host
 * stores to; the gate itself, or what makes the other process store it. */
static CUresult cycle(CUstream s, uint32_t *host, CUdeviceptr at, uint32_t i, unsigned store,
                      uint64_t *ns, bool *answered)
{
	CUresult r = cuStreamWaitValue32(s, at, i, CU_STREAM_WAIT_VALUE_EQ);
	if (r != CUDA_SUCCESS)
		return r;
	r = cuStreamWriteValue32(s, at + ANSWER * sizeof(uint32_t), i, 0);
	wl_gate_idle(20000); /* so that it waits already */
	uint64_t start = wl_now_ns();
	wl_gate_set(&host[store], i);
	*answered = r == CUDA_SUCCESS && wait_for(&host[ANSWER], i);
	*ns = wl_now_ns() - start;
	if (!*answered)
		wl_gate_set(&host[0], i); /* whoever should have: never leave the stream waiting */
	return r;
}

static void ask(const char *kind, uint32_t *host, CUdeviceptr at, unsigned store)
{
	char flag[64], time[64];
	struct wl_samples t = {0};
	bool answered = true;
	CUresult r = CUDA_SUCCESS;
	CUstream s = wl_gate_stream();
	snprintf(flag, sizeof(flag), "queue-gate.word_%s_works", kind);
	snprintf(time, sizeof(time), "queue-gate.word_%s_cycle_us", kind);
	for (uint32_t i = 1; i <= CYCLES && r == CUDA_SUCCESS && answered; i++) {
		uint64_t ns = 0;
		r = cycle(s, host, at, i, store, &ns, &answered);
		if (answered && i > 10)
			wl_samples_add(&t, ns);
	}
	CUresult end = r == CUDA_SUCCESS ? cuStreamSynchronize(s) : r;
	bool works = r == CUDA_SUCCESS && answered && end == CUDA_SUCCESS;
	wl_fact_flag(flag, works, "%s", answered ? wl_gate_error(end) : "no answer");
	if (works)
		wl_fact_samples(time, "us", &t, 1e3, "store, wait satisfied, write seen");
	wl_samples_fini(&t);
	cuStreamDestroy(s);
}

/* Registers a mapping and asks; says why not. */
static void ask_registered(const char *kind, void *page, unsigned flags, unsigned store)
{
	char id[64];
	CUdeviceptr at = 0;
	snprintf(id, sizeof(id), "queue-gate.word_%s_works", kind);
	if (page == MAP_FAILED) {
		wl_fact_skip(id, "mmap: %s", strerror(errno));
		return;
	}
	CUresult r = cuMemHostRegister(page, PAGE, flags);
	if (r == CUDA_SUCCESS) {
		r = cuMemHostGetDevicePointer(&at, page, 0);
		if (r == CUDA_SUCCESS)
			ask(kind, page, at, store);
		cuMemHostUnregister(page);
	}
	if (r != CUDA_SUCCESS)
		wl_fact_flag(id, false, "cuMemHostRegister: %s", wl_gate_error(r));
}

/* The other process: stores to the gate what it is asked to. It knows nothing of CUDA. */
static void store_for(uint32_t *page)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint32_t last = 0;;) {
		uint32_t asked = wl_gate_get(&page[ASK]);
		if (asked == UINT32_MAX)
			_exit(0);
		if (asked != last)
			wl_gate_set(&page[0], asked);
		last = asked;
	}
}

static void *map(int fd, int prot)
{
	return mmap(NULL, PAGE, prot, MAP_SHARED, fd, 0);
}

/* A mapping that may only be read: refused how, and does the flag help? The host opens through
 * another mapping of the same page. */
static void ask_read_only(int fd, uint32_t *writable)
{
	CUdeviceptr at = 0;
	void *page = map(fd, PROT_READ);
	if (page == MAP_FAILED)
		return;
	CUresult r = cuMemHostRegister(page, PAGE, CU_MEMHOSTREGISTER_DEVICEMAP);
	wl_fact_flag("queue-gate.read_only_refused", r != CUDA_SUCCESS,
	             "a PROT_READ mapping without CU_MEMHOSTREGISTER_READ_ONLY: %s",
	             wl_gate_error(r));
	if (r == CUDA_SUCCESS)
		cuMemHostUnregister(page);
	r = cuMemHostRegister(page, PAGE,
	                      CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY);
	if (r == CUDA_SUCCESS)
		r = cuMemHostGetDevicePointer(&at, page, 0);
	wl_fact_flag("queue-gate.read_only_registers", r == CUDA_SUCCESS, "with that flag: %s",
	             wl_gate_error(r));
	if (r != CUDA_SUCCESS)
		return;
	CUstream s = wl_gate_stream();
	wl_gate_set(&writable[0], 0);
	r = cuStreamWaitValue32(s, at, 1, CU_STREAM_WAIT_VALUE_EQ);
	wl_gate_idle(1000000);
	CUresult held = r == CUDA_SUCCESS ? cuStreamQuery(s) : r;
	wl_gate_set(&writable[0], 1);
	if (r == CUDA_SUCCESS)
		r = cuStreamSynchronize(s);
	wl_fact_flag("queue-gate.read_only_wait_works",
	             r == CUDA_SUCCESS && held == CUDA_ERROR_NOT_READY, "wait: %s",
	             wl_gate_error(r));
	cuStreamDestroy(s);
	cuMemHostUnregister(page);
}

static void ask_device(void)
{
	CUdeviceptr word;
	CUstream a = wl_gate_stream(), b = wl_gate_stream();
	WL_CU(cuMemAlloc, &word, 256);
	WL_CU(cuMemsetD32, word, 0, 64);
	WL_CU(cuCtxSynchronize);
	CUresult r = cuStreamWaitValue32(a, word, 1, CU_STREAM_WAIT_VALUE_EQ);
	wl_gate_idle(1000000);
	CUresult held = r == CUDA_SUCCESS ? cuStreamQuery(a) : r;
	CUresult w = cuStreamWriteValue32(b, word, 1, 0);
	if (r == CUDA_SUCCESS && w == CUDA_SUCCESS)
		r = cuStreamSynchronize(a);
	wl_fact_flag("queue-gate.word_device_works",
	             r == CUDA_SUCCESS && w == CUDA_SUCCESS && held == CUDA_ERROR_NOT_READY,
	             "written by another stream: %s", wl_gate_error(r != CUDA_SUCCESS ? r : w));
}

int main(void)
{
	wl_fact_bound(LIMIT_S);
	/* before CUDA: the other process must not inherit anything of it */
	int fd = memfd_create("queue-gate", MFD_CLOEXEC);
	uint32_t *shared = MAP_FAILED;
	if (fd >= 0 && ftruncate(fd, PAGE) == 0)
		shared = map(fd, PROT_READ | PROT_WRITE);
	pid_t other = shared != MAP_FAILED ? fork() : -1;
	if (other == 0)
		store_for(shared);

	if (!wl_gate_init(&gate, gpu_kernels)) {
		wl_fact_skip("queue-gate.word_host_alloc_works",
		             "no stream memory operations here");
		if (other > 0)
			kill(other, SIGKILL);
		return WL_EXIT_SKIPPED;
	}
	void *p;
	CUdeviceptr at;
	WL_CU(cuMemHostAlloc, &p, PAGE, CU_MEMHOSTALLOC_DEVICEMAP);
	memset(p, 0, PAGE);
	WL_CU(cuMemHostGetDevicePointer, &at, p, 0);
	ask("host_alloc", p, at, 0);
	if (other > 0) {
		ask_registered("other_process", shared, CU_MEMHOSTREGISTER_DEVICEMAP, ASK);
		wl_gate_set(&shared[ASK], UINT32_MAX);
		waitpid(other, NULL, 0);
	} else {
		wl_fact_skip("queue-gate.word_other_process_works", "%s", strerror(errno));
	}
	if (shared != MAP_FAILED) {
		memset(shared, 0, PAGE);
		ask_registered("memfd", shared, CU_MEMHOSTREGISTER_DEVICEMAP, 0);
	}
	char path[64];
	snprintf(path, sizeof(path), "/queue-gate-%d", (int)getpid());
	int file = shm_open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	shm_unlink(path);
	if (file >= 0 && ftruncate(file, PAGE) == 0)
		ask_registered("dev_shm", map(file, PROT_READ | PROT_WRITE),
		               CU_MEMHOSTREGISTER_DEVICEMAP, 0);
	else
		wl_fact_skip("queue-gate.word_dev_shm_works", "/dev/shm: %s", strerror(errno));
	ask_device();
	if (shared != MAP_FAILED) /* last: a fault there would cost the context */
		ask_read_only(fd, shared);
	return 0;
}
