#include "wire/edge.h"
#include <stddef.h>

const char *const role_names[] = { "supervisor", "gate", "session", "vault", "keyring", "provider", "egress", NULL };
