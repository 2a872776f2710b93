#pragma once
/* Asks the vault what this session may reach, and asks again when a way out or the vault was lost. */
#include "session/session.h"

/* For the egresses to be started, of all profiles at once. */
#define CONFIGURE_TIMEOUT_USEC (30U * USEC_PER_SEC)
/* Behind a failure; doubled with each further one, up to the second. */
#define CONFIGURE_RETRY_USEC     (100U * USEC_PER_MSEC)
#define CONFIGURE_RETRY_MAX_USEC (5U * USEC_PER_SEC)

int configure_init(SessionProcess *session) NODISCARD NONNULL(1);
void configure_deinit(SessionProcess *session) NONNULL(1);
/* Something is served that needs the grants: asks, unless they are there or asked for already. */
int configure_want(SessionProcess *session) NODISCARD NONNULL(1);
/* A way out was lost, or the vault: asks once more, a little later. */
int configure_again(SessionProcess *session) NODISCARD NONNULL(1);
