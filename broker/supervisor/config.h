#pragma once
/*
 * The configuration: mcpcred.conf, then conf.d/ *.conf in the order of their names. One object owns
 * all its texts; a new one is loaded whole and then takes the old one's place, or does not.
 */
#include "base/pool.h"
#include "supervisor/problems.h"
#include "wire/msg_broker.h"
#include "wire/msg_keyring.h"
#include "wire/msg_supervisor.h"

#define CONFIG_FILE    "mcpcred.conf"
#define CONFIG_DROPINS "conf.d"

/* Profiles of one broker: each is a message to the vault and a row of its tables. */
#define CONFIG_PROFILES_MAX         256U
#define CONFIG_SECRETS_MAX          256U
#define CONFIG_FILES_MAX            64U
#define CONFIG_FILE_MAX             (256U * 1024U)

#define CONFIG_MAX_SESSIONS_DEFAULT 64U
#define CONFIG_MAX_SESSIONS_LIMIT   4096U /* what the supervisor's list of them holds */
#define CONFIG_MAX_LIFETIME_DEFAULT (UINT64_C(24) * 3600)
#define CONFIG_MAX_LIFETIME_LIMIT   (UINT64_C(30) * 24 * 3600)
#define CONFIG_TTL_DEFAULT          (UINT64_C(3600))
/* Rotating more often than this wears out what an upstream allows, and people. */
#define CONFIG_ROTATE_EVERY_MIN     (UINT64_C(3600))
#define CONFIG_MAX_AGE_MIN          (UINT64_C(3600))
#define CONFIG_AGE_LIMIT            (UINT64_C(3650) * 24 * 3600)
/* An old value that lives on for longer is none that was rotated. */
#define CONFIG_GRACE_LIMIT          (UINT64_C(30) * 24 * 3600)
#define CONFIG_AUDIT_MAX_SIZE_DEFAULT (UINT64_C(64) * 1024 * 1024)
#define CONFIG_AUDIT_MAX_SIZE_MIN   (UINT64_C(32) * 1024)
#define CONFIG_AUDIT_MAX_SIZE_LIMIT (UINT64_C(16) * 1024 * 1024 * 1024)
#define CONFIG_AUDIT_KEEP_DEFAULT   UINT64_C(16)
#define CONFIG_AUDIT_KEEP_LIMIT     UINT64_C(1000)

typedef struct Config {
        ConfigureRequest broker; /* what of [broker] concerns the vault */
        const char *group;   /* system mode: whose members may use the control socket; or NULL */
        const char *ca_file; /* for providers and egress, or NULL */
        const char *upstream_proxy; /* "http://host:port", which they go through; or NULL */
        bool require_landlock;
        ConfigProfile *profiles;
        size_t n_profiles;
        ConfigSecret *secrets; /* sections [secret NAME] */
        size_t n_secrets;
        TextList notify; /* argv of the command that hears of leaks, absolute; empty: none */
        unsigned n_files; /* that were read */
        Pool pool;        /* owns what is pointed at */
} Config;

typedef struct ConfigSource {
        const char *directory;
        bool system_mode; /* `group` has a meaning */
} ConfigSource;

enum {
        _CONFIG_E_SUCCESS,
        CONFIG_E_INVALID, /* `problems` says why; there is no Config */
};

/* A directory or file that is not there is an empty configuration. CONFIG_E_INVALID. */
int config_load(Config **ret, const ConfigSource *source, Problems *problems) NODISCARD
        NONNULL(1, 2, 3);
/* The same from bytes, for tests: one file of that name. */
int config_parse(Config **ret, const char *file, Slice bytes, Problems *problems) NODISCARD
        NONNULL(1, 2, 4);
Config *config_free(Config *config);

DEFINE_CLEANUP(Config *, config_free);
