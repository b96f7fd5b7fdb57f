// SPDX-License-Identifier: Apache-2.0
/*
 * nvtx.c: NVTX ranges named "rein:*" as an interface for programs that cannot include rein.h, above
 * all Python programs (torch.cuda.nvtx.range_push):
 *
 *	rein:request                 a request is open while the range is
 *	rein:request?deadline=20ms   it is due that long after the range began
 *	rein:background              pushed: what the thread submits is background work
 *
 * in any domain, by push and pop or by start and end ("rein:background": push and pop only). All
 * other ranges are counted, so that each pop finds its push, and mean nothing.
 *
 * NVTX 3 is a set of headers inside the program. At its first use it loads the library named by
 * NVTX_INJECTION64_PATH and calls its InitializeInjectionNvtx2 with a function that gives export
 * tables; in the table of callbacks a tool finds the addresses of function pointers, by module and
 * number, and writes its own functions there. What is declared here of that is from CUDA
 * 13.0's nvtx3/nvtxDetail/nvtxTypes.h (export tables, callback numbers), nvToolsExt.h (attributes,
 * messages) and nvtxImplCore.h (signatures); these numbers and layouts are NVTX's ABI.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "../common/env.h"
#include "../common/log.h"
#include "request.h"
#include "resolve.h"

#define EXPORT __attribute__((visibility("default")))

/* ---------------------------------------------------------------- NVTX's ABI */

#define EXPORT_TABLE_CALLBACKS 1u
enum module { MODULE_CORE = 1, MODULE_CORE2 = 5 };
enum core {
	CORE_RANGE_START_EX = 4,
	CORE_RANGE_START_A = 5,
	CORE_RANGE_START_W = 6,
	CORE_RANGE_END = 7,
	CORE_RANGE_PUSH_EX = 8,
	CORE_RANGE_PUSH_A = 9,
	CORE_RANGE_PUSH_W = 10,
	CORE_RANGE_POP = 11,
};
enum core2 {
	CORE2_RANGE_START_EX = 2,
	CORE2_RANGE_END = 3,
	CORE2_RANGE_PUSH_EX = 4,
	CORE2_RANGE_POP = 5,
	CORE2_REGISTER_STRING_A = 10,
	CORE2_REGISTER_STRING_W = 11,
	CORE2_CREATE_A = 12,
	CORE2_CREATE_W = 13,
};
enum message { MESSAGE_ASCII = 1, MESSAGE_UNICODE = 2, MESSAGE_REGISTERED = 3 };

typedef void (*any_fn)(void);
struct callbacks {
	size_t struct_size;
	int (*get_table)(int module, any_fn ***table, unsigned *size);
};
struct attributes {
	uint16_t version, size;
	uint32_t category;
	int32_t color_type;
	uint32_t color;
	int32_t payload_type, reserved;
	uint64_t payload;
	int32_t message_type;
	const void *message;
};
static_assert(offsetof(struct attributes, message) == 40, "NVTX: nvtxEventAttributes_v2");

#define NOT_TRACKED (-2) /* NVTX_NO_PUSH_POP_TRACKING */

/* ---------------------------------------------------------------- names */

#define NAME_MAX_LEN 64
#define STRINGS 64
#define DOMAINS 64

/* Handles that we gave out: addresses in these. Others, and those beyond, are NULL. */
static struct {
	rein_a32 ready;
	char text[NAME_MAX_LEN];
} strings[STRINGS];
static rein_a32 strings_used, domains_used;
static char domains[DOMAINS];

static bool is_ours(const char *name)
{
	return name && strncmp(name, "rein:", 5) == 0;
}

/* NULL: not one that could be ours. Wide names of ours are ASCII. */
static const char *narrow(const wchar_t *wide, char text[NAME_MAX_LEN])
{
	size_t n = 0;
	memset(text, 0, NAME_MAX_LEN);
	for (; wide && n + 1 < NAME_MAX_LEN && wide[n]; n++) {
		if ((uint32_t)wide[n] > 0x7e || (n < 5 && wide[n] != L"rein:"[n]))
			return NULL;
		text[n] = (char)wide[n];
	}
	return n && !wide[n] ? text : NULL;
}

static const char *message_of(const struct attributes *a, char text[NAME_MAX_LEN])
{
	if (!a || a->size < sizeof(*a) || !a->message)
		return NULL;
	switch (a->message_type) {
	case MESSAGE_ASCII:
		return a->message;
	case MESSAGE_UNICODE:
		return narrow(a->message, text);
	case MESSAGE_REGISTERED: {
		size_t at = (uintptr_t)a->message - (uintptr_t)strings;
		if (at >= sizeof(strings) || at % sizeof(strings[0]) ||
		    !rein_load_acquire(&strings[at / sizeof(strings[0])].ready))
			return NULL;
		return strings[at / sizeof(strings[0])].text;
	}
	default:
		return NULL;
	}
}

static void *register_string(void *domain, const char *text)
{
	if (!is_ours(text) || strlen(text) >= NAME_MAX_LEN)
		return NULL;
	uint32_t i = rein_load_relaxed(&strings_used);
	do {
		if (i >= STRINGS)
			return NULL;
	} while (!rein_cas(&strings_used, &i, i + 1));
	memcpy(strings[i].text, text, strlen(text) + 1);
	rein_store_release(&strings[i].ready, 1);
	return &strings[i];
}

static void *register_string_w(void *domain, const wchar_t *wide)
{
	char text[NAME_MAX_LEN];
	return register_string(domain, narrow(wide, text));
}

/* Without a handle of its own a domain shares the ranges of the default one. */
static void *create_domain(const void *name)
{
	uint32_t i = rein_load_relaxed(&domains_used);
	do {
		if (i >= DOMAINS)
			return NULL;
	} while (!rein_cas(&domains_used, &i, i + 1));
	return &domains[i];
}

/* A whole number and ns, us, ms or s, up to the end or the next '&'. False: it is none. */
static bool duration(const char *text, size_t len, uint64_t *ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {{"ns", 1}, {"us", REIN_US}, {"ms", REIN_MS}, {"s", REIN_S}};
	uint64_t n = 0;
	size_t i = 0;
	for (; i < len && text[i] >= '0' && text[i] <= '9' && n < 1000000000000ull; i++)
		n = n * 10 + (uint64_t)(text[i] - '0');
	for (size_t u = 0; i && u < REIN_ARRAY_LEN(units); u++)
		if (strlen(units[u].unit) == len - i && !memcmp(units[u].unit, text + i, len - i)) {
			*ns = n > UINT64_MAX / units[u].ns ? UINT64_MAX : n * units[u].ns;
			return *ns > 0;
		}
	return false;
}

enum meaning { NOTHING, REQUEST, BACKGROUND };

/* A name that was meant for us and is not understood is said once: else nobody would know. */
static enum meaning mistake(const char *name)
{
	static rein_a32 said;
	if (!rein_swap_seqcst(&said, 1))
		rein_error("NVTX range '%.60s' ignored; accepted: rein:request, "
		           "rein:request?deadline=20ms, rein:background",
		           name);
	return NOTHING;
}

static enum meaning understand(const char *name, uint64_t *deadline_ns)
{
	static const char request[] = "rein:request", deadline[] = "?deadline=";
	*deadline_ns = 0;
	if (!is_ours(name))
		return NOTHING;
	if (strcmp(name, "rein:background") == 0)
		return BACKGROUND;
	if (strncmp(name, request, sizeof(request) - 1) != 0)
		return mistake(name);
	name += sizeof(request) - 1;
	if (!*name)
		return REQUEST;
	if (strncmp(name, deadline, sizeof(deadline) - 1) != 0)
		return mistake(name - (sizeof(request) - 1));
	const char *value = name + sizeof(deadline) - 1;
	if (!duration(value, strlen(value), deadline_ns))
		return mistake(name - (sizeof(request) - 1));
	return REQUEST;
}

/* ---------------------------------------------------------------- push and pop */

#define STACKS 8 /* domains in which one thread has ranges open at a time */
#define OPEN 16  /* ranges of ours that one thread has open at a time */

/* A thread's open ranges: how deep each domain is, and which of those are ours. On the heap, for a
 * program that opens the stand-in late has little static room for threads' data left. */
static __thread struct ranges {
	struct {
		const void *domain;
		uint32_t depth;
	} stack[STACKS];
	struct {
		const void *domain;
		uint32_t depth; /* before its push */
		uint64_t request;
		bool background, was_background;
	} open[OPEN];
	uint32_t n_open;
} * mine __attribute__((tls_model("initial-exec")));

static bool has_ranges(void)
{
	int saved = errno;
	if (!mine && (mine = calloc(1, sizeof(*mine))))
		rein_requests_watch_thread(); /* frees it */
	errno = saved;
	return mine;
}

/* How deep the domain is; one that is not in use has no place yet. NULL: the thread uses too many
 * domains at once; their ranges mean nothing. */
static uint32_t *depth_of(const void *domain)
{
	unsigned vacant = STACKS;
	for (unsigned i = STACKS; i-- > 0;) {
		if (mine->stack[i].depth && mine->stack[i].domain == domain)
			return &mine->stack[i].depth;
		if (!mine->stack[i].depth)
			vacant = i;
	}
	if (vacant == STACKS)
		return NULL;
	mine->stack[vacant].domain = domain;
	return &mine->stack[vacant].depth;
}

static int push(const void *domain, const char *name)
{
	uint64_t deadline_ns;
	uint32_t *depth = has_ranges() ? depth_of(domain) : NULL;
	enum meaning meaning = understand(name, &deadline_ns);
	if (!depth)
		return NOT_TRACKED;
	if (meaning != NOTHING && mine->n_open < OPEN) {
		unsigned i = mine->n_open++;
		mine->open[i].domain = domain;
		mine->open[i].depth = *depth;
		mine->open[i].background = meaning == BACKGROUND;
		mine->open[i].request = 0;
		if (meaning == BACKGROUND)
			mine->open[i].was_background = rein_requests_background(1);
		else
			mine->open[i].request = rein_requests_begin(0, deadline_ns);
	}
	return (int)(*depth)++;
}

static void end_range(unsigned i)
{
	if (mine->open[i].background)
		(void)rein_requests_background(mine->open[i].was_background);
	else
		rein_requests_end(mine->open[i].request);
	mine->n_open--;
	memmove(&mine->open[i], &mine->open[i + 1], (mine->n_open - i) * sizeof(mine->open[0]));
}

static int pop(const void *domain)
{
	uint32_t *depth = mine ? depth_of(domain) : NULL;
	if (!depth || !*depth)
		return NOT_TRACKED;
	(*depth)--;
	for (unsigned i = mine->n_open; i-- > 0;)
		if (mine->open[i].domain == domain && mine->open[i].depth == *depth) {
			end_range(i);
			break;
		}
	return (int)*depth;
}

void rein_nvtx_thread_ends(void)
{
	while (mine && mine->n_open)
		end_range(mine->n_open - 1);
	free(mine);
	mine = NULL;
}

/* ---------------------------------------------------------------- what NVTX calls */

static int range_push_a(const char *name)
{
	return push(NULL, name);
}

static int range_push_w(const wchar_t *name)
{
	char text[NAME_MAX_LEN];
	return push(NULL, narrow(name, text));
}

static int domain_range_push_ex(const void *domain, const struct attributes *a)
{
	char text[NAME_MAX_LEN];
	return push(domain, message_of(a, text));
}

static int range_push_ex(const struct attributes *a)
{
	return domain_range_push_ex(NULL, a);
}

static int domain_range_pop(const void *domain)
{
	return pop(domain);
}

static int range_pop(void)
{
	return pop(NULL);
}

/* The range's id is the request's own; 0, as without a tool, for all other ranges. */
static uint64_t range_start_a(const char *name)
{
	uint64_t deadline_ns;
	enum meaning meaning = understand(name, &deadline_ns);
	if (meaning == BACKGROUND)
		(void)mistake("rein:background by start and end");
	return meaning == REQUEST ? rein_requests_begin(0, deadline_ns) : 0;
}

static uint64_t range_start_w(const wchar_t *name)
{
	char text[NAME_MAX_LEN];
	return range_start_a(narrow(name, text));
}

static uint64_t range_start_ex(const struct attributes *a)
{
	char text[NAME_MAX_LEN];
	return range_start_a(message_of(a, text));
}

static uint64_t domain_range_start_ex(const void *domain, const struct attributes *a)
{
	return range_start_ex(a);
}

static void range_end(uint64_t id)
{
	rein_requests_end(id);
}

static void domain_range_end(const void *domain, uint64_t id)
{
	rein_requests_end(id);
}

/* ---------------------------------------------------------------- attaching */

struct hook {
	unsigned number;
	any_fn function;
};

#define HOOK(number, function)                                                                     \
	{                                                                                          \
		number, (any_fn)(function)                                                         \
	}
static const struct hook core_hooks[] = {
    HOOK(CORE_RANGE_START_EX, range_start_ex), HOOK(CORE_RANGE_START_A, range_start_a),
    HOOK(CORE_RANGE_START_W, range_start_w),   HOOK(CORE_RANGE_END, range_end),
    HOOK(CORE_RANGE_PUSH_EX, range_push_ex),   HOOK(CORE_RANGE_PUSH_A, range_push_a),
    HOOK(CORE_RANGE_PUSH_W, range_push_w),     HOOK(CORE_RANGE_POP, range_pop),
};
static const struct hook core2_hooks[] = {
    HOOK(CORE2_RANGE_START_EX, domain_range_start_ex),
    HOOK(CORE2_RANGE_END, domain_range_end),
    HOOK(CORE2_RANGE_PUSH_EX, domain_range_push_ex),
    HOOK(CORE2_RANGE_POP, domain_range_pop),
    HOOK(CORE2_REGISTER_STRING_A, register_string),
    HOOK(CORE2_REGISTER_STRING_W, register_string_w),
    HOOK(CORE2_CREATE_A, create_domain),
    HOOK(CORE2_CREATE_W, create_domain),
};

/* False: this NVTX lacks the module. */
static bool attach(const struct callbacks *callbacks, enum module module, const struct hook *hooks,
                   size_t n)
{
	any_fn **table = NULL;
	unsigned size = 0;
	if (!callbacks->get_table((int)module, &table, &size) || !table)
		return false;
	for (size_t i = 0; i < n; i++)
		if (hooks[i].number <= size && table[hooks[i].number])
			*table[hooks[i].number] = hooks[i].function;
	return true;
}

EXPORT int InitializeInjectionNvtx2(const void *(*get_export_table)(uint32_t id))
{
	const struct callbacks *callbacks;
	if (rein_env_disabled() || !get_export_table)
		return 0;
	callbacks = get_export_table(EXPORT_TABLE_CALLBACKS);
	if (!callbacks || callbacks->struct_size < sizeof(*callbacks) || !callbacks->get_table)
		return 0;
	bool ranges = attach(callbacks, MODULE_CORE, core_hooks, REIN_ARRAY_LEN(core_hooks));
	bool domain_ranges =
	    attach(callbacks, MODULE_CORE2, core2_hooks, REIN_ARRAY_LEN(core2_hooks));
	rein_driver_meet();
	return ranges || domain_ranges;
}
