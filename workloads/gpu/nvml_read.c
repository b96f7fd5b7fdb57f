// SPDX-License-Identifier: Apache-2.0
/*
 * nvml_read.c: what does NVML tell about single processes here?
 *
 * Asks, only reading: per-process utilisation and memory, accounting, the whole GPU's utilisation,
 * while this process keeps the GPU busy; how long each question takes.
 * Read: "works" means that the call succeeded and that this process was among the answers; "not
 * named" that it was not (another pid namespace, or nothing sampled). The daemon could use what
 * works for processes without the shim.
 *
 * NVML is loaded at run time and declared here: its header is not on every machine. Layouts are
 * those of nvml.h of driver 580.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/telemetry.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define LIMIT_S 25
#define BUSY_NS 2500000000ull /* NVML samples utilisation several times a second */
#define KERNEL_US 1000.0
#define DEPTH 4u
#define PROCESSES 64u
#define TIMED 20

struct utilization { /* nvmlProcessUtilizationSample_t */
	unsigned pid;
	unsigned long long time_us;
	unsigned sm, memory, encoder, decoder;
};
struct process { /* nvmlProcessInfo_t of …_v3 */
	unsigned pid;
	unsigned long long bytes;
	unsigned gpu_instance, compute_instance;
};
struct rates { /* nvmlUtilization_t */
	unsigned gpu, memory;
};

static struct {
	int (*Init_v2)(void);
	const char *(*ErrorString)(int);
	int (*DeviceGetHandleByIndex_v2)(unsigned, void **);
	int (*DeviceGetProcessUtilization)(void *, struct utilization *, unsigned *,
	                                   unsigned long long);
	int (*DeviceGetComputeRunningProcesses_v3)(void *, unsigned *, struct process *);
	int (*DeviceGetUtilizationRates)(void *, struct rates *);
	int (*DeviceGetAccountingMode)(void *, int *);
} nvml;
static void *device;

static const struct {
	const char *name;
	void *to;
} functions[] = {
    {"nvmlInit_v2", &nvml.Init_v2},
    {"nvmlErrorString", &nvml.ErrorString},
    {"nvmlDeviceGetHandleByIndex_v2", &nvml.DeviceGetHandleByIndex_v2},
    {"nvmlDeviceGetProcessUtilization", &nvml.DeviceGetProcessUtilization},
    {"nvmlDeviceGetComputeRunningProcesses_v3", &nvml.DeviceGetComputeRunningProcesses_v3},
    {"nvmlDeviceGetUtilizationRates", &nvml.DeviceGetUtilizationRates},
    {"nvmlDeviceGetAccountingMode", &nvml.DeviceGetAccountingMode},
};

static const char *load(void)
{
	void *lib = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return "there is no libnvidia-ml.so.1 here";
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *f = dlsym(lib, functions[i].name);
		if (!f)
			return functions[i].name;
		memcpy(functions[i].to, &f, sizeof(f));
	}
	int r = nvml.Init_v2();
	if (r == 0)
		r = nvml.DeviceGetHandleByIndex_v2(0, &device);
	return r == 0 ? NULL : nvml.ErrorString(r);
}

static void keep_busy(const struct wl_work *w, uint32_t iterations, uint64_t ns)
{
	for (uint64_t end = wl_now_ns() + ns; wl_now_ns() < end;) {
		for (unsigned i = 0; i < DEPTH; i++)
			wl_work_launch(w, iterations);
		wl_work_sync(w);
	}
}

static void say_utilization(void)
{
	static struct utilization samples[PROCESSES];
	unsigned n = PROCESSES;
	uint64_t begin = wl_now_ns();
	int r = nvml.DeviceGetProcessUtilization(device, samples, &n, 0);
	uint64_t took_ns = wl_now_ns() - begin;
	const char *id = "telemetry.nvml_process_utilization";
	if (r != 0) {
		wl_fact_text(id, nvml.ErrorString(r), NULL);
		return;
	}
	for (unsigned i = 0; i < n && i < PROCESSES; i++)
		if (samples[i].pid == (unsigned)getpid()) {
			wl_fact_text(id, "works", "SM %u %%, %u processes named, %.0f us",
			             samples[i].sm, n, (double)took_ns / 1e3);
			return;
		}
	wl_fact_text(id, "not named", "%u processes are, %.0f us", n, (double)took_ns / 1e3);
}

static void say_processes(void)
{
	static struct process all[PROCESSES];
	unsigned n = PROCESSES;
	const char *id = "telemetry.nvml_process_memory";
	int r = nvml.DeviceGetComputeRunningProcesses_v3(device, &n, all);
	if (r != 0) {
		wl_fact_text(id, nvml.ErrorString(r), NULL);
		return;
	}
	for (unsigned i = 0; i < n && i < PROCESSES; i++)
		if (all[i].pid == (unsigned)getpid()) {
			wl_fact_text(id, "works", "%.0f MiB, %u processes named",
			             (double)all[i].bytes / (1 << 20), n);
			return;
		}
	wl_fact_text(id, "not named", "%u processes are", n);
}

static void say_whole(void)
{
	struct rates rates;
	int mode = 0, r = nvml.DeviceGetUtilizationRates(device, &rates);
	struct wl_samples took = {0};
	if (r == 0)
		wl_fact("telemetry.nvml_utilization", rates.gpu, "%",
		        "of the whole GPU, kept busy");
	else
		wl_fact_skip("telemetry.nvml_utilization", "%s", nvml.ErrorString(r));
	for (int i = 0; r == 0 && i < TIMED; i++) {
		uint64_t begin = wl_now_ns();
		r = nvml.DeviceGetUtilizationRates(device, &rates);
		wl_samples_add(&took, wl_now_ns() - begin);
	}
	wl_fact_samples("telemetry.nvml_read_us", "us", &took, 1e3, "reading the utilisation");
	wl_samples_fini(&took);
	r = nvml.DeviceGetAccountingMode(device, &mode);
	wl_fact_text("telemetry.nvml_accounting",
	             r != 0 ? nvml.ErrorString(r)
	             : mode ? "on"
	                    : "off",
	             "read, not set");
}

int main(void)
{
	struct wl_work w;
	wl_fact_bound(LIMIT_S);
	const char *why = load();
	if (why) {
		wl_fact_skip("telemetry.nvml", "NVML: %s", why);
		return WL_EXIT_SKIPPED;
	}
	wl_work_open(&w, gpu_kernels);
	uint32_t iterations = wl_work_calibrate(&w, KERNEL_US);
	keep_busy(&w, iterations, BUSY_NS);
	say_utilization();
	say_processes();
	say_whole();
	return 0;
}
