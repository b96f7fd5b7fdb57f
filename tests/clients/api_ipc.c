// SPDX-License-Identifier: Apache-2.0
/*
 * api_ipc.c: two processes of one program: memory and events of one opened in the other, by
 * cuIpc*, by mapped allocations and by pools; and what happens when either is killed. The parts
 * talk over a socket. The child forks off before any CUDA call.
 */
#include "api_client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define N 1000

static int line;   /* to the other process */
static pid_t peer; /* the child, in the parent */

static void say(const void *data, size_t n)
{
	CHECK(send(line, data, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static void hear(void *data, size_t n)
{
	struct pollfd p = {.fd = line, .events = POLLIN};
	CHECK(poll(&p, 1, 20000) == 1);
	CHECK(recv(line, data, n, MSG_WAITALL) == (ssize_t)n);
}

static void step(char c)
{
	say(&c, 1);
}

static void await(char c)
{
	char got;
	hear(&got, 1);
	CHECK(got == c);
}

static void say_fd(int fd)
{
	char c = 'f', control[CMSG_SPACE(sizeof(fd))] = {0};
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v,
	                   .msg_iovlen = 1,
	                   .msg_control = control,
	                   .msg_controllen = sizeof(control)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	CHECK(sendmsg(line, &m, MSG_NOSIGNAL) == 1);
	close(fd);
}

static int hear_fd(void)
{
	char c, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v,
	                   .msg_iovlen = 1,
	                   .msg_control = control,
	                   .msg_controllen = sizeof(control)};
	struct pollfd p = {.fd = line, .events = POLLIN};
	int fd;
	CHECK(poll(&p, 1, 20000) == 1);
	CHECK(recvmsg(line, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m));
	if (!CMSG_FIRSTHDR(&m))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* Runs both parts; the child's ends it. */
static void both(void (*parent)(void), void (*child)(void))
{
	int ends[2], status;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	fflush(NULL);
	peer = fork();
	CHECK(peer >= 0);
	if (peer ==
	    0) { /* each pair of parts in processes of its own: CUDA does not survive a fork */
		close(ends[0]);
		line = ends[1];
		child();
		exit(0);
	}
	pid_t child_pid = peer;
	pid_t parent_pid = fork();
	CHECK(parent_pid >= 0);
	if (parent_pid == 0) {
		close(ends[1]);
		line = ends[0];
		parent();
		exit(0);
	}
	close(ends[0]);
	close(ends[1]);
	CHECK(waitpid(parent_pid, &status, 0) == parent_pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(waitpid(child_pid, &status, 0) == child_pid);
	CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
}

/* ---- memory */

static void memory_exporter(void)
{
	struct gpu g = gpu_open();
	CUdeviceptr before, p, pool;
	CUipcMemHandle h, again;
	CUdeviceptr mine;
	unsigned capable;
	OK(cuMemAlloc(&before, 700)); /* shares a page with p */
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(cuMemsetD32(p, 5, N));
	OK(cuMemsetD8(before, 0, 700));
	OK(cuCtxSynchronize());
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&h, 12345));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(NULL, p));
	OK(cuMemAllocAsync(&pool, 64, NULL));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&h, pool));
	OK(cuIpcGetMemHandle(&h, p));
	OK(cuPointerGetAttribute(&capable, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, p));
	CHECK(capable == 1);
	OK(cuPointerGetAttribute(&capable, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, pool));
	CHECK(capable == 0);
	OK(cuIpcGetMemHandle(&again, p + 8));
	CHECK(memcmp(&h, &again, sizeof(h)) == 0);
	EXPECT(CUDA_ERROR_INVALID_CONTEXT,
	       cuIpcOpenMemHandle(&mine, h, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	say(&h, sizeof(h));
	await('w'); /* it has added 2 by a kernel */
	EXPECT_ALL(p, 7, N);
	OK(launch(g.mul, p, 3, N, NULL));
	OK(cuCtxSynchronize());
	step('m');
	await('c');
	EXPECT_ALL(before, 0, 175);
	OK(cuMemFree(p));
	OK(cuMemAlloc(&p, N * sizeof(int))); /* the same address: another allocation */
	OK(cuIpcGetMemHandle(&again, p));
	CHECK(memcmp(&h, &again, sizeof(h)) != 0);
	step('f');
	await('e');
}

static void memory_importer(void)
{
	CUipcMemHandle h, bad;
	CUdeviceptr p, again;
	CUcontext other;
	struct gpu g = gpu_open();
	hear(&h, sizeof(h));
	OK(cuIpcOpenMemHandle(&p, h, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	OK(cuIpcOpenMemHandle(&again, h, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	CHECK(p == again);
	EXPECT_ALL(p, 5, N);
	OK(launch(g.add, p, 2, N, NULL));
	OK(cuCtxSynchronize());
	step('w');
	await('m');
	EXPECT_ALL(p, 21, N);
	/* what is not a handle, or no longer one */
	memset(&bad, 0, sizeof(bad));
	EXPECT(CUDA_ERROR_INVALID_HANDLE,
	       cuIpcOpenMemHandle(&again, bad, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	memset(&bad, 0x5a, sizeof(bad));
	EXPECT(CUDA_ERROR_INVALID_HANDLE,
	       cuIpcOpenMemHandle(&again, bad, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcOpenMemHandle(&again, h, 0));
	for (size_t i = 16; i < 48; i++) { /* the numbers that only the exporter knows */
		bad = h;
		((unsigned char *)&bad)[i] ^= 1;
		CHECK(cuIpcOpenMemHandle(&again, bad, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) !=
		      CUDA_SUCCESS);
	}
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree(p + 4));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree(p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&bad, p));
	OK(cuIpcCloseMemHandle(p));
	EXPECT_ALL(p, 21, N); /* opened twice */
	OK(cuIpcCloseMemHandle(p));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcCloseMemHandle(p));
	/* a context that goes takes what it has open with it */
	OK(cuCtxCreate(&other, NULL, 0, 0));
	OK(cuIpcOpenMemHandle(&p, h, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	OK(cuCtxDestroy(other));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuIpcCloseMemHandle(p));
	step('c');
	await('f');
	EXPECT(CUDA_ERROR_MAP_FAILED,
	       cuIpcOpenMemHandle(&again, h, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	step('e');
}

/* ---- events */

#define ROUNDS 50

static void event_exporter(void)
{
	struct gpu g = gpu_open();
	CUdeviceptr p;
	CUipcMemHandle h;
	CUipcEventHandle eh[2];
	CUevent e[2], local;
	CUstream s;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuEventCreate(&e[0], CU_EVENT_INTERPROCESS));
	OK(cuEventCreate(&local, CU_EVENT_DISABLE_TIMING));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuIpcGetEventHandle(&eh[0], local));
	for (int i = 0; i < 2; i++) {
		OK(cuEventCreate(&e[i], CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
		OK(cuEventQuery(e[i])); /* never recorded */
		OK(cuIpcGetEventHandle(&eh[i], e[i]));
	}
	EXPECT(CUDA_ERROR_INVALID_CONTEXT, cuIpcOpenEventHandle(&local, eh[0]));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(cuMemsetD32(p, 1, N));
	OK(cuCtxSynchronize());
	OK(cuIpcGetMemHandle(&h, p));
	say(&h, sizeof(h));
	say(eh, sizeof(eh));
	/* each adds, then multiplies, in turn, ordered by events alone: the hosts only hand over */
	for (int i = 0; i < ROUNDS; i++) {
		OK(launch(g.add, p, 3, N, s));
		OK(cuEventRecord(e[0], s));
		step('r');
		await('r');
		OK(cuStreamWaitEvent(s, e[1], 0));
	}
	OK(cuEventSynchronize(e[1]));
	OK(cuStreamSynchronize(s));
	int want = 1;
	for (int i = 0; i < ROUNDS; i++)
		want = (int)((unsigned)(want + 3) * 5u);
	EXPECT_ALL(p, want, N);
	step('d');
	await('d');
	OK(cuEventDestroy(e[0]));
	step('x');
	await('x');
}

static void event_importer(void)
{
	struct gpu g = gpu_open();
	CUdeviceptr p;
	CUipcMemHandle h;
	CUipcEventHandle eh[2];
	CUevent e[2], again;
	CUstream s;
	float ms;
	hear(&h, sizeof(h));
	hear(eh, sizeof(eh));
	OK(cuIpcOpenMemHandle(&p, h, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	for (int i = 0; i < 2; i++)
		OK(cuIpcOpenEventHandle(&e[i], eh[i]));
	OK(cuIpcOpenEventHandle(&again, eh[0]));
	OK(cuEventDestroy(again));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	for (int i = 0; i < ROUNDS; i++) {
		await('r');
		OK(cuStreamWaitEvent(s, e[0], 0));
		OK(launch(g.mul, p, 5, N, s));
		OK(cuEventRecord(e[1], s));
		step('r');
	}
	OK(cuEventSynchronize(e[1]));
	OK(cuEventQuery(e[0]));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, e[0], e[1]));
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuIpcGetEventHandle(&eh[0], e[0]));
	await('d');
	step('d');
	await('x');
	OK(cuEventSynchronize(e[0])); /* destroyed where it was made: nothing hangs */
	EXPECT(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(e[0], s));
	EXPECT(CUDA_ERROR_MAP_FAILED, cuIpcOpenEventHandle(&again, eh[0]));
	OK(cuEventDestroy(e[0]));
	step('x');
}

/* ---- killed: a recorder whose record is not complete, and the owner of memory */

static void victim(void)
{
	gpu_open();
	CUdeviceptr p, word;
	CUipcMemHandle h;
	CUipcEventHandle eh;
	CUevent e;
	CUstream s;
	OK(cuEventCreate(&e, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
	OK(cuIpcGetEventHandle(&eh, e));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(cuMemsetD32(p, 77, N));
	OK(cuMemAlloc(&word, 4));
	OK(cuMemsetD32(word, 0, 1));
	OK(cuCtxSynchronize());
	OK(cuIpcGetMemHandle(&h, p));
	OK(cuStreamWaitValue32(s, word, 1, CU_STREAM_WAIT_VALUE_EQ)); /* for ever */
	OK(cuEventRecord(e, s));
	say(&h, sizeof(h));
	say(&eh, sizeof(eh));
	pause();
}

static void survivor(void)
{
	struct gpu g = gpu_open();
	CUdeviceptr p, again;
	CUipcMemHandle h;
	CUipcEventHandle eh;
	CUevent e, e2;
	CUstream s;
	hear(&h, sizeof(h));
	hear(&eh, sizeof(eh));
	OK(cuIpcOpenMemHandle(&p, h, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	OK(cuIpcOpenEventHandle(&e, eh));
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	EXPECT(CUDA_ERROR_NOT_READY, cuEventQuery(e));
	OK(cuStreamWaitEvent(s, e, 0));
	OK(launch(g.add, p, 1, N, s));
	usleep(20000);
	EXPECT(CUDA_ERROR_NOT_READY, cuStreamQuery(s));
	kill(peer, SIGKILL);
	OK(cuEventSynchronize(e));
	OK(cuStreamSynchronize(s));
	EXPECT_ALL(p, 78, N); /* the memory is there as long as somebody has it open */
	EXPECT(CUDA_ERROR_MAP_FAILED, cuIpcOpenEventHandle(&e2, eh));
	OK(cuEventRecord(e, s)); /* and so is the event */
	OK(cuEventSynchronize(e));
	OK(cuIpcCloseMemHandle(p));
	EXPECT(CUDA_ERROR_MAP_FAILED,
	       cuIpcOpenMemHandle(&again, h, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
}

/* ---- mapped allocations, and pools: passed as descriptors */

static const CUmemAllocationProp prop = {
    .type = CU_MEM_ALLOCATION_TYPE_PINNED,
    .requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
    .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
static const CUmemAccessDesc access_desc = {
    .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};

static void physical_exporter(void)
{
	struct gpu g = gpu_open();
	CUmemGenericAllocationHandle h[2], same;
	CUdeviceptr p;
	CUmemAllocationProp got;
	CUmemoryPool pool;
	CUmemPoolPtrExportData data;
	size_t granule, free_before, free_now, total;
	unsigned long long flags;
	int fd;
	OK(cuMemGetInfo(&free_before, &total));
	OK(cuMemGetAllocationGranularity(&granule, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&h[0], granule + 1, &prop, 0));
	EXPECT(CUDA_ERROR_OUT_OF_MEMORY,
	       cuMemCreate(&h[0], granule * (total / granule + 1), &prop, 0));
	CUmemAllocationProp how = prop;
	how.allocFlags.compressionType = CU_MEM_ALLOCATION_COMP_GENERIC + 1;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&h[0], granule, &how, 0));
	OK(cuDeviceGetAttribute(&fd, CU_DEVICE_ATTRIBUTE_GENERIC_COMPRESSION_SUPPORTED, 0));
	CHECK(fd == 1);
	how.allocFlags.compressionType = CU_MEM_ALLOCATION_COMP_GENERIC;
	OK(cuMemCreate(&h[0], granule, &how, 0));
	OK(cuMemGetAllocationPropertiesFromHandle(&got, h[0]));
	CHECK(got.allocFlags.compressionType == CU_MEM_ALLOCATION_COMP_GENERIC);
	OK(cuMemRelease(h[0]));
	for (int i = 0; i < 2; i++)
		OK(cuMemCreate(&h[i], granule, &prop, 0));
	OK(cuMemGetInfo(&free_now, &total));
	CHECK(free_before - free_now == 2 * granule);
	OK(cuMemAddressReserve(&p, 4 * granule, 0, 0, 0));
	CHECK(p % granule == 0);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemMap(p + 4096, granule, 0, h[0], 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemMap(p + 4 * granule, granule, 0, h[0], 0));
	OK(cuMemMap(p, granule, 0, h[0], 0));
	OK(cuMemMap(p + granule, granule, 0, h[1], 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemMap(p + granule, granule, 0, h[1], 0));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD32(p, 1, 1)); /* nobody may access it yet */
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemSetAccess(p, 3 * granule, &access_desc, 1));
	OK(cuMemSetAccess(p, 2 * granule, &access_desc, 1));
	OK(cuMemGetAccess(&flags, &access_desc.location, p + granule));
	CHECK(flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	OK(cuMemGetAllocationPropertiesFromHandle(&got, h[1]));
	CHECK(got.location.id == 0 && got.type == CU_MEM_ALLOCATION_TYPE_PINNED);
	CHECK(got.allocFlags.compressionType == CU_MEM_ALLOCATION_COMP_NONE);
	/* one range for copies and kernels, across the seam */
	OK(cuMemsetD32(p, 4, 2 * granule / 4));
	OK(launch(g.add, p + granule - 400, 1, 200, NULL));
	EXPECT_ALL(p + granule - 400, 5, 200);
	OK(cuMemExportToShareableHandle(&fd, h[1], CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	say_fd(fd);
	await('i');
	EXPECT_ALL(p + granule + 400, 40, 100);
	OK(cuMemRetainAllocationHandle(&same, (void *)(uintptr_t)(p + granule + 5)));
	CHECK(same == h[1]);
	OK(cuMemRelease(same));
	OK(cuMemRelease(h[0]));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(p, 4 * granule));
	OK(cuMemUnmap(p, granule));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemUnmap(p, granule));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemsetD32(p, 1, 1));
	OK(cuMemsetD32(p + granule, 1, 1));
	OK(cuMemUnmap(p + granule, granule));
	OK(cuMemAddressFree(p, 4 * granule));
	OK(cuMemRelease(h[1]));
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemRelease(h[1]));
	OK(cuMemGetInfo(&free_now, &total));
	CHECK(free_before == free_now);

	CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
	                        .handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
	                        .location = prop.location};
	OK(cuMemPoolCreate(&pool, &props));
	OK(cuMemAllocFromPoolAsync(&p, N * sizeof(int), pool, NULL));
	OK(cuMemsetD32Async(p, 9, N, NULL));
	OK(cuCtxSynchronize());
	OK(cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
	                                    0));
	OK(cuMemPoolExportPointer(&data, p));
	say_fd(fd);
	say(&data, sizeof(data));
	await('p');
	EXPECT_ALL(p, 10, N);
	OK(cuMemFreeAsync(p, NULL));
	OK(cuCtxSynchronize());
	OK(cuMemPoolDestroy(pool));
}

static void physical_importer(void)
{
	struct gpu g = gpu_open();
	CUmemGenericAllocationHandle h;
	CUmemoryPool pool;
	CUmemPoolPtrExportData data;
	CUdeviceptr p, none;
	size_t granule;
	int ends[2], fd = hear_fd();
	CHECK(pipe(ends) == 0);
	EXPECT(CUDA_ERROR_INVALID_VALUE,
	       cuMemImportFromShareableHandle(&h, (void *)(intptr_t)ends[0],
	                                      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
	OK(cuMemImportFromShareableHandle(&h, (void *)(intptr_t)fd,
	                                  CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
	close(fd);
	OK(cuMemGetAllocationGranularity(&granule, &prop, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED));
	OK(cuMemAddressReserve(&p, granule, 0, 0, 0));
	OK(cuMemMap(p, granule, 0, h, 0));
	OK(cuMemSetAccess(p, granule, &access_desc, 1));
	OK(cuMemRelease(h));
	EXPECT_ALL(p, 5, 100);
	EXPECT_ALL(p + 400, 4, 100);
	OK(launch(g.mul, p + 400, 10, 100, NULL));
	OK(cuCtxSynchronize());
	step('i');
	OK(cuMemUnmap(p, granule));
	OK(cuMemAddressFree(p, granule));

	fd = hear_fd();
	hear(&data, sizeof(data));
	OK(cuMemPoolImportFromShareableHandle(&pool, (void *)(intptr_t)fd,
	                                      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	close(fd);
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemAllocFromPoolAsync(&none, 64, pool, NULL));
	OK(cuMemPoolImportPointer(&p, pool, &data));
	data.reserved[9] ^= 1;
	EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemPoolImportPointer(&none, pool, &data));
	OK(launch(g.add, p, 1, N, NULL));
	OK(cuMemFreeAsync(p, NULL));
	OK(cuCtxSynchronize());
	OK(cuMemPoolDestroy(pool));
	step('p');
}

/* ---- memory of one device opened in a context of another */

static void other_exporter(void)
{
	CUcontext ctx;
	CUdeviceptr p;
	CUipcMemHandle h;
	int n;
	OK(cuInit(0));
	OK(cuDeviceGetCount(&n));
	if (n < 2)
		return;
	OK(cuDevicePrimaryCtxRetain(&ctx, 1));
	OK(cuCtxSetCurrent(ctx));
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(cuMemsetD32(p, 30, N));
	OK(cuCtxSynchronize());
	OK(cuIpcGetMemHandle(&h, p));
	say(&h, sizeof(h));
	await('o');
	EXPECT_ALL(p, 33, N);
}

static void other_importer(void)
{
	struct gpu g = gpu_open(); /* device 0 */
	CUdeviceptr p;
	CUipcMemHandle h;
	int n, device;
	OK(cuDeviceGetCount(&n));
	if (n < 2)
		return;
	hear(&h, sizeof(h));
	OK(cuIpcOpenMemHandle(&p, h, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	OK(cuPointerGetAttribute(&device, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, p));
	CHECK(device == 1);
	OK(launch(g.add, p, 3, N, NULL)); /* as a peer */
	EXPECT_ALL(p, 33, N);
	step('o');
	OK(cuIpcCloseMemHandle(p));
}

int main(void)
{
	both(other_importer, other_exporter);
	both(memory_importer, memory_exporter);
	both(memory_exporter, memory_importer);
	both(event_exporter, event_importer);
	both(survivor, victim);
	both(physical_exporter, physical_importer);
	puts("ok");
	return 0;
}
