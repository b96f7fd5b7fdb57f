// SPDX-License-Identifier: Apache-2.0
/*
 * atomic.h: every atomic access of the project goes through these few names, so that a reader
 * can find each release and its acquire. Lock-free on every machine we build for, hence valid
 * between processes that map the same memory.
 */
#ifndef REIN_COMMON_ATOMIC_H
#define REIN_COMMON_ATOMIC_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint32_t rein_a32;
typedef _Atomic uint64_t rein_a64;
static_assert(sizeof(rein_a32) == 4 && sizeof(rein_a64) == 8, "atomics must have no lock");
static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "lock-free everywhere");

#define rein_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define rein_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
/* after one's own seqcst store or read-modify-write: the other half of "store mine, load yours" */
#define rein_load_seqcst(p) atomic_load_explicit((p), memory_order_seq_cst)
#define rein_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define rein_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define rein_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define rein_add_release(p, v) atomic_fetch_add_explicit((p), (v), memory_order_release)
#define rein_add_seqcst(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define rein_or_seqcst(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define rein_and_seqcst(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)
#define rein_swap_seqcst(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)
/* on failure *expected holds what was found; acquire on both outcomes, release on success */
#define rein_cas(p, expected, v)                                                                   \
	atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst,        \
	                                        memory_order_seq_cst)
#define rein_fence_seqcst() atomic_thread_fence(memory_order_seq_cst)
#define rein_fence_acquire() atomic_thread_fence(memory_order_acquire)
#define rein_fence_release() atomic_thread_fence(memory_order_release)

static inline void rein_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif
