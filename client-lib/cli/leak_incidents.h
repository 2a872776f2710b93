#pragma once
/* `leak list` and `leak close`: what leak signals have led to. */
#include "cli.h"

/* An exit status. */
int leak_incidents_list(Cli *cli, bool all);
int leak_incidents_close(Cli *cli, const char *incident);
