// SPDX-License-Identifier: Apache-2.0
/* wrap_libc_o2.c: wrap_libc.c as a release build makes it: its last calls are jumps, so who asks
 * dlsym for "the next one" may look like its caller. */
#ifndef __clang__
#pragma GCC optimize("O2")
#endif
#include "wrap_libc.c" // NOLINT(bugprone-suspicious-include)
