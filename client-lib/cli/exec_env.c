#include "exec_env.h"
#include <string.h>
#include <unistd.h>

/* What a program needs to be at home, and what MCP clients pass to their servers (ecosystem notes).
 */
static const char *const kept[] = { "HOME", "LOGNAME", "PATH", "SHELL", "TERM",
                                    "USER", "LANG",    "TZ",   "TMPDIR" };

static bool is_kept(const char *variable, size_t length)
{
        if (length > 3 && strncmp(variable, "LC_", 3) == 0)
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
                if (strlen(kept[i]) == length && strncmp(kept[i], variable, length) == 0)
                        return true;
        return false;
}

static char *join(const char *name, size_t length, const char *value)
{
        char *item = malloc(length + strlen(value) + 2);

        if (item) {
                memcpy(item, name, length);
                item[length] = '=';
                memcpy(item + length + 1, value, strlen(value) + 1);
        }
        return item;
}

/* Later ones replace earlier ones of the same name. */
static bool put(ExecEnv *env, const char *name, size_t length, const char *value)
{
        char *item = join(name, length, value), **grown;

        if (!item)
                return false;
        for (size_t i = 0; i < env->n; i++)
                if (strncmp(env->items[i], item, length + 1) == 0) {
                        explicit_bzero(env->items[i], strlen(env->items[i]));
                        free(env->items[i]);
                        env->items[i] = item;
                        return true;
                }
        grown = reallocarray(env->items, env->n + 2, sizeof(*grown));
        if (!grown) {
                free(item);
                return false;
        }
        env->items = grown;
        env->items[env->n++] = item;
        env->items[env->n] = NULL;
        return true;
}

/* Another session's variables are not handed on. */
static bool is_ours(const char *variable)
{
        return strncmp(variable, "MCPCRED_", 8) == 0;
}

static bool put_inherited(ExecEnv *env, bool clean)
{
        for (char **at = environ; at && *at; at++) {
                const char *equals = strchr(*at, '=');

                if (!equals || is_ours(*at) || (clean && !is_kept(*at, (size_t)(equals - *at))))
                        continue;
                if (!put(env, *at, (size_t)(equals - *at), equals + 1))
                        return false;
        }
        return true;
}

static bool is_name(const char *text, size_t length)
{
        for (size_t i = 0; i < length; i++) {
                char c = text[i];
                bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

                if (!letter && (i == 0 || c < '0' || c > '9'))
                        return false;
        }
        return length > 0;
}

static bool put_wanted(ExecEnv *env, const Texts *wanted, const char **ret_bad)
{
        for (size_t i = 0; i < wanted->n; i++) {
                const char *text = wanted->items[i], *equals = strchr(text, '=');
                size_t length = equals ? (size_t)(equals - text) : strlen(text);
                const char *value = equals ? equals + 1 : getenv(text);

                *ret_bad = text;
                if (!is_name(text, length) || is_ours(text))
                        return false;
                *ret_bad = NULL;
                if (value && !put(env, text, length, value))
                        return false;
        }
        return true;
}

static bool put_session(ExecEnv *env, const mcpcred_session *session, int descriptor)
{
        char number[16];

        for (size_t i = 0; i < mcpcred_session_environment_count(session); i++) {
                const char *name = mcpcred_session_environment_name(session, i);

                if (!put(env, name, strlen(name), mcpcred_session_environment_value(session, i)))
                        return false;
        }
        (void)snprintf(number, sizeof(number), "%d", descriptor);
        return descriptor < 0 || put(env, "MCPCRED_FD", strlen("MCPCRED_FD"), number);
}

bool exec_env_build(ExecEnv *env, const mcpcred_session *session, const Texts *wanted, bool clean,
                    int descriptor, const char **ret_bad)
{
        *env = (ExecEnv){ .items = calloc(1, sizeof(*env->items)) };
        *ret_bad = NULL;
        return env->items && put_inherited(env, clean) && put_wanted(env, wanted, ret_bad) &&
               put_session(env, session, descriptor);
}

bool exec_env_set(ExecEnv *env, const char *name, const char *value)
{
        return put(env, name, strlen(name), value);
}

void exec_env_free(ExecEnv *env)
{
        for (size_t i = 0; i < env->n; i++) {
                explicit_bzero(env->items[i], strlen(env->items[i]));
                free(env->items[i]);
        }
        free(env->items);
        *env = (ExecEnv){ 0 };
}

const char *exec_env_get(const ExecEnv *env, const char *name)
{
        size_t length = strlen(name);

        for (size_t i = 0; i < env->n; i++)
                if (strncmp(env->items[i], name, length) == 0 && env->items[i][length] == '=')
                        return env->items[i] + length + 1;
        return NULL;
}
