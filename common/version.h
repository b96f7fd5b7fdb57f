// SPDX-License-Identifier: Apache-2.0
/* version.h: the version of the whole project, for --version and the status answer. */
#ifndef REIN_COMMON_VERSION_H
#define REIN_COMMON_VERSION_H

#define REIN_VERSION "0.1.0"

#endif
