#pragma once
/* The environment of exec's child: a small clean one, what was asked for, and the session's. */
#include "cli.h"

typedef struct ExecEnv {
        char **items; /* NULL-terminated, as execve() takes it */
        size_t n;
} ExecEnv;

/*
 * `wanted` are NAME or NAME=VALUE. `descriptor`: the value of MCPCRED_FD, -1: none. False: a name
 * is not one (*ret_bad), or there is no memory (NULL).
 */
bool exec_env_build(ExecEnv *env, const mcpcred_session *session, const Texts *wanted, bool clean,
                    int descriptor, const char **ret_bad);
/* Sets one more variable. False: there is no memory. */
bool exec_env_set(ExecEnv *env, const char *name, const char *value);
/* Wipes, since it holds what the session's variables hold. */
void exec_env_free(ExecEnv *env);
/* The value of a variable in it, or NULL. */
const char *exec_env_get(const ExecEnv *env, const char *name);
