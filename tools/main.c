// SPDX-License-Identifier: Apache-2.0
/* main.c: the `rein` command. Everything is in commands.c, where tests can link it. */
#include "cli.h"

int main(int argc, char **argv)
{
	return rein_cli_main(argc, argv);
}
