#pragma once
/* io.mcpcred.Session.Serve: a socket of the sandbox's or its launcher's is looked at, kept and served. */
#include "session/session.h"

/* Answers the call, now or later. */
int serve_begin(SessionProcess *session, VarlinkRequest *request) NODISCARD NONNULL(1, 2);
