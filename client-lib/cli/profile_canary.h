#pragma once
/* `profile NAME --canary VARIABLE`: plants a canary in the user's own configuration file. */
#include "cli.h"

/* Writes the key behind the last one of the profile's section, atomically, and has the broker read the file again; if it
 * does not like it, the file is put back as it was. An exit status. */
int profile_canary_plant(Cli *cli, const char *profile, const char *variable);
