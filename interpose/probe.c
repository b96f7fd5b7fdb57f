// SPDX-License-Identifier: Apache-2.0
/* probe.c: see probe.h. */
#include "probe.h"

#include <stdbool.h>

__thread struct rein_doing rein_doing __attribute__((tls_model("initial-exec")));

#if __has_include(<sys/sdt.h>)
#define SEMAPHORE __attribute__((section(".probes")))
SEMAPHORE unsigned short rein_register_semaphore;
SEMAPHORE unsigned short rein_block_semaphore;
SEMAPHORE unsigned short rein_resume_semaphore;
SEMAPHORE unsigned short rein_preempt_semaphore;
#endif

intptr_t rein_doing_offset(void)
{
	return (intptr_t)&rein_doing - (intptr_t)__builtin_thread_pointer();
}

void rein_probe_register(void)
{
#if __has_include(<sys/sdt.h>)
	static __thread bool told __attribute__((tls_model("initial-exec")));
	if (REIN_LIKELY(!__atomic_load_n(&rein_register_semaphore, __ATOMIC_RELAXED)) || told)
		return;
	told = true;
	STAP_PROBE1(rein, register, (void *)&rein_doing);
#endif
}

void rein_block(enum rein_phase phase, uint32_t holder)
{
	rein_doing_begin(phase, holder);
	REIN_PROBE(2, block, (uint32_t)phase, holder);
}

void rein_resume(enum rein_phase phase, uint64_t waited_ns, int lapsed)
{
	rein_doing_end();
	REIN_PROBE(3, resume, (uint32_t)phase, waited_ns, lapsed);
}
