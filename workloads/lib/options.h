// SPDX-License-Identifier: Apache-2.0
/*
 * options.h: command lines. What is wrong ends the program with exit status 2 and one line that
 * says which option, what was given and what is accepted.
 */
#ifndef WORKLOADS_LIB_OPTIONS_H
#define WORKLOADS_LIB_OPTIONS_H

#include <stdint.h>

#define WL_EXIT_USAGE 2

uint64_t wl_option_integer(const char *option, const char *text, uint64_t min, uint64_t max);
double wl_option_number(const char *option, const char *text, double min, double max);
/* getopt's answer was no option: ends the program, well if it was 'h', with its usage. */
__attribute__((noreturn)) void wl_option_usage(int c, const char *usage);
/* Ends the program if there is something behind the options. */
void wl_option_no_more(int argc, char **argv, const char *usage);

#endif
