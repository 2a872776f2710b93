#pragma once
/* Table meta: single values of the state, by key. */
#include "vault/db.h"

#define META_EPOCH            "epoch"            /* text: content of the epoch file of this run */
#define META_PREVIOUS_EPOCH   "previous_epoch"   /* text: the one before, while it is being ended */
#define META_BOOT_ID          "boot_id"          /* text, where the epoch is bound to the boot */
#define META_CONFIG_DIRECTORY "config_directory" /* text: the one that secrets were added under */
#define META_STORE_KIND       "store_kind"       /* number: StoreKind in use */
#define META_CREATED          "created"          /* number: wall time */
#define META_AUDIT_SEQUENCE   "audit_sequence"   /* number: of the last line; audit.c's own */
#define META_AUDIT_HEAD       "audit_head"       /* 32 bytes: its hash; audit.c's own */
#define META_AUDIT_BASE       "audit_base"       /* number: of the last line that was given up; audit.c's own */
#define META_AUDIT_BASE_HEAD  "audit_base_head"  /* 32 bytes: its hash; audit.c's own */
#define META_AUDIT_TAMPERED   "audit_tampered"   /* text: what a start found; audit.c's own */

#define META_TEXT_MAX         4096U

/* DB_E_NOT_FOUND when the key is not set. DB_E_DAMAGED when the value does not fit `size`. */
int rows_meta_get_text(Db *db, const char *key, char *out, size_t size) NODISCARD NONNULL(1, 2, 3);
int rows_meta_get_u64(Db *db, const char *key, uint64_t *ret) NODISCARD NONNULL(1, 2, 3);
int rows_meta_get_bytes(Db *db, const char *key, uint8_t *out, size_t size) NODISCARD
        NONNULL(1, 2, 3);
/* These replace. */
int rows_meta_set_text(Db *db, const char *key, const char *value) NODISCARD NONNULL(1, 2, 3);
int rows_meta_set_u64(Db *db, const char *key, uint64_t value) NODISCARD NONNULL(1, 2);
int rows_meta_set_bytes(Db *db, const char *key, Slice value) NODISCARD NONNULL(1, 2);
/* The same whether or not it was set. */
int rows_meta_unset(Db *db, const char *key) NODISCARD NONNULL(1, 2);
