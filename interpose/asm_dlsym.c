// SPDX-License-Identifier: Apache-2.0
/*
 * asm_dlsym.c: what librein.so exports by version: dlsym and dlvsym, and three functions of CUPTI.
 *
 * dlsym and dlvsym. glibc reads its caller's address to know whose "next"
 * RTLD_NEXT means, so a wrapper that calls it would answer for ourselves. These entries ask
 * resolve.c with a call and then jump, with the caller's registers and return address as they were.
 *
 * The decision is a pair: where to jump, or 0 and the result.
 *
 * Both carry libc's own versions (GLIBC_2.2.5 or 2.17 of libdl, GLIBC_2.34 of libc), so that
 * dlvsym(…, "dlsym", "GLIBC_2.2.5") of another interposer finds them too.
 *
 * Those of CUPTI are for programs that are linked with it (agent.h). They are there by CUPTI's
 * versions only, and not by default: who asks dlsym(RTLD_DEFAULT) whether there is a CUPTI does not
 * find them.
 *
 * Kept out of the archives: a unit test must keep its own dlsym.
 */
#include "agent.h"

#if defined(__x86_64__)

#define OLD_VERSION "GLIBC_2.2.5"
/* The three pushes keep the arguments and align the stack for the call. */
#define ENTRY(name)                                                                                \
	__asm__(".text\n.p2align 4\n"                                                              \
	        ".globl rein_" name "_old, rein_" name "_new\n"                                    \
	        ".type rein_" name "_old, @function\n.type rein_" name "_new, @function\n"         \
	        "rein_" name "_old:\nrein_" name "_new:\n"                                         \
	        ".cfi_startproc\n"                                                                 \
	        "	endbr64\n"                                                                       \
	        "	push %rdi\n	.cfi_adjust_cfa_offset 8\n"                                          \
	        "	push %rsi\n	.cfi_adjust_cfa_offset 8\n"                                          \
	        "	push %rdx\n	.cfi_adjust_cfa_offset 8\n"                                          \
	        "	call rein_" name "_decide\n"                                               \
	        "	mov %rdx, %r11\n"                                                                \
	        "	pop %rdx\n	.cfi_adjust_cfa_offset -8\n"                                          \
	        "	pop %rsi\n	.cfi_adjust_cfa_offset -8\n"                                          \
	        "	pop %rdi\n	.cfi_adjust_cfa_offset -8\n"                                          \
	        "	test %rax, %rax\n"                                                               \
	        "	jz 1f\n"                                                                         \
	        "	jmp *%rax\n"                                                                     \
	        "1:	mov %r11, %rax\n"                                                              \
	        "	ret\n"                                                                           \
	        ".cfi_endproc\n"                                                                   \
	        ".size rein_" name "_old, . - rein_" name "_old\n"                                 \
	        ".size rein_" name "_new, . - rein_" name "_new\n"                                 \
	        ".symver rein_" name "_old, " name "@" OLD_VERSION "\n"                            \
	        ".symver rein_" name "_new, " name "@@GLIBC_2.34\n")

#elif defined(__aarch64__)

#define OLD_VERSION "GLIBC_2.17"
#define ENTRY(name)                                                                                \
	__asm__(".text\n.p2align 4\n"                                                              \
	        ".globl rein_" name "_old, rein_" name "_new\n"                                    \
	        ".type rein_" name "_old, %function\n.type rein_" name "_new, %function\n"         \
	        "rein_" name "_old:\nrein_" name "_new:\n"                                         \
	        ".cfi_startproc\n"                                                                 \
	        "	hint #34\n" /* bti c */                                                    \
	        "	stp x29, x30, [sp, #-48]!\n	.cfi_adjust_cfa_offset 48\n"                         \
	        "	.cfi_rel_offset x29, 0\n	.cfi_rel_offset x30, 8\n"                               \
	        "	mov x29, sp\n"                                                                   \
	        "	stp x0, x1, [sp, #16]\n"                                                         \
	        "	str x2, [sp, #32]\n"                                                             \
	        "	bl rein_" name "_decide\n"                                                 \
	        "	mov x16, x0\n"                                                                   \
	        "	mov x17, x1\n"                                                                   \
	        "	ldp x0, x1, [sp, #16]\n"                                                         \
	        "	ldr x2, [sp, #32]\n"                                                             \
	        "	ldp x29, x30, [sp], #48\n	.cfi_adjust_cfa_offset -48\n"                          \
	        "	.cfi_restore x29\n	.cfi_restore x30\n"                                           \
	        "	cbz x16, 1f\n"                                                                   \
	        "	br x16\n"                                                                        \
	        "1:	mov x0, x17\n"                                                                 \
	        "	ret\n"                                                                           \
	        ".cfi_endproc\n"                                                                   \
	        ".size rein_" name "_old, . - rein_" name "_old\n"                                 \
	        ".size rein_" name "_new, . - rein_" name "_new\n"                                 \
	        ".symver rein_" name "_old, " name "@" OLD_VERSION "\n"                            \
	        ".symver rein_" name "_new, " name "@@GLIBC_2.34\n")

#else
#error "librein.so is written for x86-64 and aarch64"
#endif

ENTRY("dlsym");
ENTRY("dlvsym");

#define CLAIM(n, which, name)                                                                      \
	int rein_##which##_##n(void *a, void *b, void *c, void *d);                                \
	__attribute__((visibility("default"))) int rein_##which##_##n(void *a, void *b, void *c,   \
	                                                              void *d)                     \
	{                                                                                          \
		return rein_agent_linked("libcupti.so." #n, REIN_AGENT_##which, a, b, c, d);       \
	}                                                                                          \
	__asm__(".symver rein_" #which "_" #n ", " name "@libcupti.so." #n)

CLAIM(12, SUBSCRIBE, "cuptiSubscribe");
CLAIM(12, SUBSCRIBE_2, "cuptiSubscribe_v2");
CLAIM(12, BUFFERS, "cuptiActivityRegisterCallbacks");
CLAIM(13, SUBSCRIBE, "cuptiSubscribe");
CLAIM(13, SUBSCRIBE_2, "cuptiSubscribe_v2");
CLAIM(13, BUFFERS, "cuptiActivityRegisterCallbacks");
