#pragma once
/*
 * Sessions that were opened for a client that was gone when the answer came: nobody knows of them, so
 * the gate closes them in that client's name, again when the vault is back if it is away.
 */
#include "gate/gate.h"

int orphan_close(Gate *gate, const char *session, const Caller *caller) NODISCARD NONNULL(1, 2, 3);
/* Those that are still open; after a new vault was attached. */
int orphan_close_all(Gate *gate) NODISCARD NONNULL(1);
void orphan_forget_all(Gate *gate) NONNULL(1);
