#pragma once
/* One call of a client on its way: attested, handed to the vault, answered. */
#include "gate/gate.h"

/* VarlinkHandler of the control socket; `userdata` is the Gate. */
int operation_begin(void *userdata, VarlinkRequest *request) NODISCARD;
