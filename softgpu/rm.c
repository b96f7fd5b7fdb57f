// SPDX-License-Identifier: Apache-2.0
/* rm.c: see rm_double.h. Numbers and layouts: common/rm.h and workloads/gpu/lib/rm.h name their
 * source. */
#include "rm_double.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/rm.h"
#include "api.h"

#define EXPORT __attribute__((visibility("default")))

enum status {
	OK = 0,
	ERR_PERMISSIONS = 0x1b,
	ERR_ARGUMENT = 0x1f,
	ERR_CLASS = 0x22,
	ERR_CLIENT = 0x23,
	ERR_OBJECT = 0x33,
	ERR_PARENT = 0x36,
	ERR_PARAMS = 0x3a,
	ERR_STATE = 0x40,
	ERR_NO_MEMORY = 0x51,
	ERR_NOT_SUPPORTED = 0x56,
	ERR_TIMEOUT = 0x65,
};

/*
 * How long a control keeps its caller, as measured (results/h200-580.159.04-2026-11-20:
 * context-gate, ioctls). What the kernel module answers itself is quick; what it asks the firmware
 * is not. That SET_INTERLEAVE asks it is assumed.
 */
#define CALL_KERNEL_NS 3600ull
#define CALL_FIRMWARE_NS (98 * REIN_US)
#define CALL_SCHEDULE_NS (227 * REIN_US)
#define CALL_TIMESLICE_NS (454 * REIN_US)
#define CALL_PREEMPT_NS (364 * REIN_US)
#define CALL_DISABLE_NS (460 * REIN_US) /* that preempts */
#define CALL_NO_MORE_NS (203 * REIN_US) /* that does not: of both calls, less PREEMPT's */
#define CALL_ENABLE_NS (265 * REIN_US)
#define DISABLE_STOP_NS (50 * REIN_US) /* before its preemption begins */

#define ESC_FREE _IOWR(REIN_RM_IOC_TYPE, REIN_RM_ESC_FREE, struct rein_rm_nvos00)
#define ESC_CONTROL _IOWR(REIN_RM_IOC_TYPE, REIN_RM_ESC_CONTROL, struct rein_rm_nvos54)
#define ESC_ALLOC _IOWR(REIN_RM_IOC_TYPE, REIN_RM_ESC_ALLOC, struct rein_rm_nvos64)

enum class {
	CLASS_CLIENT = 0x41,
	CLASS_DEVICE = REIN_RM_CLASS_DEVICE,
	CLASS_SUBDEVICE = REIN_RM_CLASS_SUBDEVICE,
	CLASS_CTXSHARE = 0x9067,
	CLASS_GROUP = REIN_RM_CLASS_GROUP,
	CLASS_CHANNEL = 0xc86f,
	CLASS_COPY = 0xc8b5,
	CLASS_COMPUTE = 0xcbc0,
};

#define ENGINE_GR0 REIN_RM_ENGINE_GR0
#define ENGINE_COPY2 11
#define COMPUTE_CHANNELS 8
#define COPY_GROUPS 3 /* CE2 to CE4 on an H200 */
#define COPY_CHANNELS 4
#define OBJECTS_MAX 512
#define DEFAULT_INTERLEAVE 1
#define COMPUTE_CILP 2
#define LOOK_NS (80 * REIN_US)

struct object {
	uint64_t slice_us; /* groups: as set; 0: never */
	uint32_t client, handle, parent, class_id;
	int device;
	uint32_t engine;     /* groups */
	uint32_t interleave; /* groups */
	bool off;            /* channels: disabled */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct object objects[OBJECTS_MAX];
static unsigned n_objects;
static int file = -1;
static pid_t maker;

/* ---- objects, under the lock */

static struct object *find(uint32_t client, uint32_t handle)
{
	for (unsigned i = 0; i < n_objects; i++)
		if (objects[i].client == client && objects[i].handle == handle)
			return &objects[i];
	return NULL;
}

static bool is_below(uint32_t class_id, uint32_t parent)
{
	switch (class_id) {
	case CLASS_DEVICE:
		return parent == CLASS_CLIENT;
	case CLASS_SUBDEVICE:
	case CLASS_GROUP:
		return parent == CLASS_DEVICE;
	case CLASS_CTXSHARE:
	case CLASS_CHANNEL:
		return parent == CLASS_GROUP;
	case CLASS_COPY:
	case CLASS_COMPUTE:
		return parent == CLASS_CHANNEL;
	default:
		return false;
	}
}

static uint32_t u32_at(uint64_t params, uint32_t size, uint32_t offset)
{
	uint32_t v = 0;
	if (params && size >= offset + sizeof(v))
		memcpy(&v, (const char *)(uintptr_t)params + offset, sizeof(v));
	return v;
}

static enum status allocate(struct rein_rm_nvos64 *a)
{
	struct object o = {.client = a->client,
	                   .handle = a->object,
	                   .parent = a->parent,
	                   .class_id = a->class_id,
	                   .interleave = DEFAULT_INTERLEAVE};
	if (n_objects == OBJECTS_MAX)
		return ERR_NO_MEMORY;
	if (a->class_id == CLASS_CLIENT) {
		o.client = a->object;
	} else {
		const struct object *parent = find(a->client, a->parent);
		if (!find(a->client, a->client))
			return ERR_CLIENT;
		if (!parent || !is_below(a->class_id, parent->class_id))
			return parent ? ERR_CLASS : ERR_PARENT;
		/* a device's parameters begin with its number; what is below is on it too */
		o.device = a->class_id == CLASS_DEVICE ? (int)u32_at(a->params, a->params_size, 0)
		                                       : parent->device;
		if (o.device < 0 || !sg_device_ok(o.device))
			return ERR_ARGUMENT;
	}
	if (!a->object || find(o.client, o.handle))
		return ERR_OBJECT;
	if (a->class_id == CLASS_GROUP)
		o.engine = u32_at(a->params, a->params_size, 12);
	objects[n_objects++] = o;
	return OK;
}

/* ---- what controls do */

static enum status result_of(int error)
{
	return error == 0 ? OK : error == -ENOTSUP ? ERR_NOT_SUPPORTED : ERR_STATE;
}

static enum status deallocate(const struct rein_rm_nvos00 *f)
{
	int ignored = 0; /* where nothing can be held */
	if (!find(f->client, f->object))
		return ERR_OBJECT;
	for (unsigned i = 0; i < n_objects;) {
		struct object *o = &objects[i];
		bool gone = o->client == f->client &&
		            (o->handle == f->object || f->client == f->object ||
		             (o->class_id != CLASS_CLIENT && !find(o->client, o->parent)));
		if (!gone) {
			i++;
			continue;
		}
		if (o->class_id == CLASS_GROUP && o->engine == ENGINE_GR0)
			ignored = sg_hold((unsigned)o->device, false);
		objects[i] = objects[--n_objects];
		i = 0; /* what was below it, and wherever the last one is now */
	}
	(void)ignored;
	return OK;
}

static bool all_off(const struct object *group)
{
	unsigned channels = 0, off = 0;
	for (unsigned i = 0; i < n_objects; i++) {
		if (objects[i].client != group->client || objects[i].parent != group->handle ||
		    objects[i].class_id != CLASS_CHANNEL)
			continue;
		channels++;
		off += objects[i].off;
	}
	return channels && off == channels;
}

/* Tells the device whether the group may run; with `preempt` also takes it off. */
static enum status apply(const struct object *group, bool preempt)
{
	bool off = all_off(group);
	if (group->engine != ENGINE_GR0)
		return OK; /* of a copy engine: recorded */
	enum status s = result_of(sg_hold((unsigned)group->device, off));
	if (s == OK && off && preempt)
		s = result_of(sg_hold_preempt((unsigned)group->device, DISABLE_STOP_NS, false));
	return s;
}

static enum status disable_channels(const struct rein_rm_disable *p)
{
	struct object *groups[REIN_RM_DISABLE_MAX];
	unsigned n = 0;
	if (p->channels > REIN_RM_DISABLE_MAX || p->preempt_event)
		return ERR_ARGUMENT;
	for (uint32_t i = 0; i < p->channels; i++) {
		const struct object *c = find(p->client[i], p->channel[i]);
		if (!c || c->class_id != CLASS_CHANNEL)
			return ERR_ARGUMENT;
	}
	for (uint32_t i = 0; i < p->channels; i++) {
		struct object *c = find(p->client[i], p->channel[i]);
		struct object *g = find(c->client, c->parent);
		unsigned j = 0;
		c->off = p->disable;
		while (j < n && groups[j] != g)
			j++;
		if (j == n && g)
			groups[n++] = g;
	}
	enum status s = OK;
	for (unsigned i = 0; i < n && s == OK; i++)
		s = apply(groups[i], !p->only_scheduling);
	return s;
}

static enum status set_timeslice(struct object *g, uint64_t us)
{
	uint64_t ns = us * 1000;
	if (!us || us > 1000000)
		return ERR_ARGUMENT;
	enum status s =
	    g->engine == ENGINE_GR0
		? result_of(sg_hold_slice((unsigned)g->device,
	                                  ns < SG_RM_SLICE_MIN_NS ? SG_RM_SLICE_MIN_NS : ns))
		: OK;
	if (s == OK)
		g->slice_us = us;
	return s;
}

/* On a group. `p` has the size that the command has; root: the caller may do what needs
 * CAP_SYS_NICE. *preempt: to be done without the lock, since it waits. */
static enum status on_group(struct object *g, uint32_t cmd, uint8_t *p, bool root, int *preempt)
{
	uint64_t us;
	uint32_t v;
	switch (cmd) {
	case REIN_RM_CMD_SCHEDULE: /* says OK; off, what runs and what is launched goes on */
		return OK;
	case REIN_RM_CMD_SET_TIMESLICE:
		memcpy(&us, p, sizeof(us));
		return set_timeslice(g, us);
	case REIN_RM_CMD_GET_TIMESLICE:
		us = g->slice_us ? g->slice_us : sg_the_model()->timeslice_ns / 1000;
		memcpy(p, &us, sizeof(us));
		return OK;
	case REIN_RM_CMD_PREEMPT: /* wait 0, manual time-out 1, microseconds 4 */
		memcpy(&v, p + 4, sizeof(v));
		if (p[1] && v > 1000000)
			return ERR_ARGUMENT;
		*preempt = g->engine == ENGINE_GR0 ? g->device : -1;
		return OK;
	case 0xa06c0106: /* GET_INFO */
		v = (uint32_t)(g - objects);
		memcpy(p, &v, sizeof(v));
		return OK;
	case 0xa06c0107: /* SET_INTERLEAVE_LEVEL */
		memcpy(&v, p, sizeof(v));
		if (!root)
			return ERR_PERMISSIONS;
		g->interleave = v > 2 ? g->interleave : v;
		return v > 2 ? ERR_ARGUMENT : OK;
	default: /* GET_INTERLEAVE_LEVEL among them */
		return ERR_NOT_SUPPORTED;
	}
}

static const struct command {
	uint32_t cmd, size, other_size; /* drivers before 575 have another one */
	uint64_t call_ns;
} commands[] = {{REIN_RM_CMD_SCHEDULE, 3, 2, CALL_SCHEDULE_NS},
                {REIN_RM_CMD_SET_TIMESLICE, 8, 8, CALL_TIMESLICE_NS},
                {REIN_RM_CMD_GET_TIMESLICE, 8, 8, CALL_KERNEL_NS},
                {REIN_RM_CMD_PREEMPT, 8, 8, CALL_PREEMPT_NS},
                {0xa06c0106, 4, 4, CALL_KERNEL_NS},
                {0xa06c0107, 4, 4, CALL_FIRMWARE_NS},
                {0xa06c0108, 4, 4, CALL_KERNEL_NS},
                {REIN_RM_CMD_DISABLE_CHANNELS, 536, 536, CALL_DISABLE_NS},
                {0x20801210, 32, 32, CALL_FIRMWARE_NS},
                {0x20801235, 24, 24, CALL_FIRMWARE_NS}};

static uint64_t disable_ns(const struct rein_rm_disable *p)
{
	return !p->disable          ? CALL_ENABLE_NS
	       : p->only_scheduling ? CALL_NO_MORE_NS
	                            : CALL_DISABLE_NS;
}

/* Under the lock. *call_ns: how long it keeps its caller. */
static enum status control(const struct rein_rm_nvos54 *c, bool root, int *preempt, bool *wait,
                           uint64_t *call_ns)
{
	uint8_t *p = (uint8_t *)(uintptr_t)c->params;
	const struct command *k = commands;
	while (k < commands + REIN_ARRAY_LEN(commands) && k->cmd != c->cmd)
		k++;
	struct object *o = find(c->client, c->object);
	if (!find(c->client, c->client))
		return ERR_CLIENT;
	if (!o)
		return ERR_OBJECT;
	if (k == commands + REIN_ARRAY_LEN(commands) || c->cmd >> 16 != o->class_id)
		return ERR_NOT_SUPPORTED;
	if (!p || (c->params_size != k->size && c->params_size != k->other_size))
		return ERR_PARAMS;
	*call_ns = k->call_ns;
	if (o->class_id == CLASS_GROUP) {
		enum status s = on_group(o, c->cmd, p, root, preempt);
		*wait = *preempt >= 0 && p[0];
		return s;
	}
	if (c->cmd == REIN_RM_CMD_DISABLE_CHANNELS) {
		*call_ns = disable_ns((const struct rein_rm_disable *)p);
		return disable_channels((const struct rein_rm_disable *)p);
	}
	if (c->cmd == 0x20801235) { /* GR_GET_CTXSW_MODES: compute mode at 16 */
		const uint32_t mode = COMPUTE_CILP;
		memcpy(p + 16, &mode, sizeof(mode));
	}
	return OK;
}

uint64_t sg_rm_control(struct rein_rm_nvos54 *c, bool root)
{
	uint64_t call_ns = 0;
	int preempt = -1;
	bool wait = false;
	pthread_mutex_lock(&lock);
	enum status s = control(c, root, &preempt, &wait, &call_ns);
	pthread_mutex_unlock(&lock);
	if (preempt >= 0)
		s = result_of(sg_hold_preempt((unsigned)preempt, 0, wait));
	c->status = s;
	return s == OK && sg_the_model()->mode != SG_MODE_FAST ? call_ns : 0;
}

/* As the kernel's driver waits for the firmware: by looking, so a thread is not late. */
static void keep_caller(uint64_t until_ns)
{
	uint64_t now = rein_now_ns();
	if (now + LOOK_NS < until_ns) {
		struct timespec t = rein_timespec(until_ns - LOOK_NS);
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
			;
	}
	while (rein_now_ns() < until_ns)
		rein_cpu_relax();
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

static int by_the_maker(unsigned long request, void *arg, uint64_t *call_ns)
{
	int r = 0;
	if (!arg)
		return refuse(EFAULT);
	if (request == ESC_CONTROL) {
		*call_ns = sg_rm_control(arg, geteuid() == 0);
		return 0;
	}
	pthread_mutex_lock(&lock);
	if (request == ESC_ALLOC)
		((struct rein_rm_nvos64 *)arg)->status = allocate(arg);
	else if (request == ESC_FREE)
		((struct rein_rm_nvos00 *)arg)->status = deallocate(arg);
	else
		r = refuse(EINVAL);
	pthread_mutex_unlock(&lock);
	return r;
}

/* Over a passed descriptor: controls only. */
static int by_another(int fd, unsigned long request, struct rein_rm_nvos54 *c, uint64_t *call_ns)
{
	int e = c && request == ESC_CONTROL ? sg_rm_post_ask(fd, c, call_ns) : -ENOTTY;
	if (e == -ENOTTY)
		return refuse(ENOTTY);
	if (e)
		c->status = e == -EINVAL ? ERR_PARAMS : ERR_TIMEOUT;
	return 0;
}

EXPORT int softgpu_rm_ioctl(int fd, unsigned long request, void *arg)
{
	uint64_t begin_ns = rein_now_ns(), call_ns = 0;
	bool made = fd >= 0 && fd == file && getpid() == maker;
	int r =
	    made ? by_the_maker(request, arg, &call_ns) : by_another(fd, request, arg, &call_ns);
	if (call_ns)
		keep_caller(begin_ns + call_ns);
	return r;
}

/* ---- what libcuda asks when a device is first used */

static bool call(unsigned long request, void *arg, const uint32_t *status)
{
	int r = ioctl(file, request, arg); /* whoever stands in front of libc's */
	if (r != 0 && errno == ENOTTY)
		r = softgpu_rm_ioctl(file, request, arg);
	return r == 0 && *status == OK;
}

static bool make(uint32_t client, uint32_t parent, uint32_t handle, uint32_t class_id, void *params,
                 uint32_t size)
{
	struct rein_rm_nvos64 a = {.client = client,
	                           .parent = parent,
	                           .object = handle,
	                           .class_id = class_id,
	                           .params = (uintptr_t)params,
	                           .params_size = size};
	return call(ESC_ALLOC, &a, &a.status);
}

static bool make_group(uint32_t client, uint32_t parent, uint32_t handle, uint32_t engine,
                       unsigned channels, uint32_t class_id)
{
	uint32_t group[5] = {[3] = engine};     /* its type is at 12 of 20 bytes */
	uint32_t channel[92] = {[32] = engine}; /* flags at 20, engine at 128 */
	uint8_t on[3] = {1};
	bool ok = make(client, parent, handle, CLASS_GROUP, group, sizeof(group));
	if (ok && class_id == CLASS_COMPUTE)
		ok = make(client, handle, handle + 1, CLASS_CTXSHARE, NULL, 0);
	for (unsigned i = 0; ok && i < channels; i++)
		ok = make(client, handle, handle + 2 + i, CLASS_CHANNEL, channel, sizeof(channel));
	struct rein_rm_nvos54 c = {.client = client,
	                           .object = handle,
	                           .cmd = REIN_RM_CMD_SCHEDULE,
	                           .params = (uintptr_t)on,
	                           .params_size = sizeof(on)};
	return ok && make(client, handle + 2, handle + 2 + channels, class_id, NULL, 0) &&
	       call(ESC_CONTROL, &c, &c.status);
}

/* Each process' own: numbers of another one are refused over its descriptor. */
static uint32_t client_of(pid_t pid)
{
	return 0xc1d00000u | ((uint32_t)pid & 0xfffffu);
}

static bool open_file(void)
{
	if (file >= 0)
		return true;
	file = sg_rm_post_new();
	maker = getpid();
	return file >= 0 && make(0, 0, client_of(maker), CLASS_CLIENT, NULL, 0);
}

static bool make_groups(uint32_t client, uint32_t device)
{
	bool ok =
	    make_group(client, device, device + 0xf, ENGINE_GR0, COMPUTE_CHANNELS, CLASS_COMPUTE);
	for (unsigned i = 0; ok && i < COPY_GROUPS; i++)
		ok = make_group(client, device, device + 0x1f + i * 0x10, ENGINE_COPY2 + i,
		                COPY_CHANNELS, CLASS_COPY);
	return ok;
}

void sg_rm_announce(int device)
{
	static bool announced[SG_DEVICES_MAX];
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	uint32_t base = 0x5c000000u + (uint32_t)device * 0x100;
	uint32_t number[14] = {(uint32_t)device}; /* the device's, then what libcuda leaves 0 */
	if (!sg_the_model()->rm)
		return;
	pthread_mutex_lock(&once);
	if (!announced[device]) {
		announced[device] = true;
		bool ok = open_file();
		uint32_t client = client_of(maker);
		ok = ok && make(client, client, base + 1, CLASS_DEVICE, number, sizeof(number)) &&
		     make(client, base + 1, base + 2, CLASS_SUBDEVICE, NULL, 0) &&
		     make_groups(client, base + 1);
		if (!ok)
			sg_say("the resource manager of device %d could not be set up: %s", device,
			       file < 0 ? strerror(errno) : "what stands in front refuses");
	}
	pthread_mutex_unlock(&once);
}
