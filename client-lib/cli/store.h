#pragma once
#include "cli.h"

/* A mcpcred_row_fn for what Lock and Unlock answer; `userdata` is the Cli. */
int store_print(const mcpcred_row *row, void *userdata);
