#include "vault/db_schema.h"

/*
 * Times are wall time in microseconds. Numbers of states are the enums of wire/msg_broker.h and of
 * the rows_*.h files; the partial indexes name them, and the queries that use those repeat their
 * conditions word by word.
 */
static const char version_1[] =
        "CREATE TABLE meta ("
        " key TEXT NOT NULL PRIMARY KEY,"
        " value ANY NOT NULL"
        ") STRICT, WITHOUT ROWID;"

        "CREATE TABLE secret ("
        " name TEXT NOT NULL PRIMARY KEY,"
        " provider TEXT NOT NULL,"
        " binding BLOB NOT NULL,"
        " generation INTEGER NOT NULL,"
        " added INTEGER NOT NULL,"
        " rotated INTEGER NOT NULL,"
        " step INTEGER NOT NULL,"
        " step_time INTEGER NOT NULL,"
        " next_generation INTEGER NOT NULL"
        ") STRICT;"

        "CREATE TABLE session ("
        " sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
        " id TEXT NOT NULL UNIQUE,"
        " uid INTEGER NOT NULL,"
        " label TEXT NOT NULL,"
        " state INTEGER NOT NULL,"
        " opened INTEGER NOT NULL,"
        " expires INTEGER NOT NULL,"
        " deadline INTEGER NOT NULL,"
        " ended INTEGER NOT NULL,"
        " end_reason TEXT NOT NULL,"
        " lifeline INTEGER NOT NULL,"
        " secret_hash BLOB NOT NULL,"
        " grants BLOB NOT NULL"
        ") STRICT;"
        "CREATE INDEX session_open ON session (uid) WHERE state <> 2;"
        "CREATE INDEX session_ended ON session (ended) WHERE state = 2;"

        "CREATE TABLE lease ("
        " sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
        " id TEXT NOT NULL UNIQUE,"
        " session TEXT NOT NULL,"
        " profile TEXT NOT NULL,"
        " secret TEXT NOT NULL,"
        " provider TEXT NOT NULL,"
        " generation INTEGER NOT NULL,"
        " state INTEGER NOT NULL,"
        " outcome INTEGER NOT NULL,"
        " on_end INTEGER NOT NULL,"
        " created INTEGER NOT NULL,"
        " expires INTEGER NOT NULL,"
        " ended INTEGER NOT NULL,"
        " upstream_id TEXT NOT NULL,"
        " attempts INTEGER NOT NULL,"
        " next_attempt INTEGER NOT NULL,"
        " reason TEXT NOT NULL,"
        " token_hash BLOB,"
        " token BLOB,"
        " upstream BLOB"
        ") STRICT;"
        "CREATE INDEX lease_session ON lease (session, sequence);"
        "CREATE INDEX lease_secret ON lease (secret, state, sequence);"
        "CREATE INDEX lease_state ON lease (state, sequence);"
        "CREATE INDEX lease_token ON lease (token_hash) WHERE token_hash IS NOT NULL;"
        "CREATE INDEX lease_due ON lease (next_attempt) WHERE state = 2;"
        "CREATE INDEX lease_expiry ON lease (expires) WHERE state IN (1, 2, 6);"
        "CREATE INDEX lease_over ON lease (ended) WHERE state IN (3, 4, 5);"

        "CREATE TABLE cutoff ("
        " id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " kind INTEGER NOT NULL,"
        " value TEXT NOT NULL,"
        " sequence INTEGER NOT NULL,"
        " time INTEGER NOT NULL,"
        " reason TEXT NOT NULL,"
        " applied INTEGER NOT NULL"
        ") STRICT;"
        "CREATE INDEX cutoff_of ON cutoff (kind, value, sequence);"
        "CREATE INDEX cutoff_next ON cutoff (id) WHERE applied = 0;"

        "CREATE TABLE audit_outbox ("
        " sequence INTEGER PRIMARY KEY,"
        " line TEXT NOT NULL"
        ") STRICT;";

/*
 * The proxy side. Grants that the version before has sealed are of another form. Their sessions do not
 * survive the supervisor that was of that version too: recovery ends them, with their leases, and does not
 * need to know what they were granted.
 */
static const char version_2[] = "ALTER TABLE session ADD COLUMN proxy BLOB;"
                                "UPDATE session SET grants = x'';"
                                "ALTER TABLE lease ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;";

/*
 * Who opened the session of a lease, for revocation by principal; whose upstream it is of, so that one does not hold up
 * the others; cutoffs by any combination of selectors. Those of
 * the version before have been worked off where they were written, and the intents that they were kept for have been
 * resolved before this version asks.
 */
static const char version_3[] = "ALTER TABLE lease ADD COLUMN principal INTEGER NOT NULL DEFAULT -1;"
                                "ALTER TABLE lease ADD COLUMN side INTEGER NOT NULL DEFAULT 0;"
                                "DROP INDEX lease_due;"
                                "CREATE INDEX lease_due ON lease (provider, side, next_attempt) WHERE state = 2;"
                                "DROP TABLE cutoff;"
                                "CREATE TABLE cutoff ("
                                " id INTEGER PRIMARY KEY AUTOINCREMENT,"
                                " session TEXT," /* NULL: any, as with the next four */
                                " profile TEXT,"
                                " secret TEXT,"
                                " provider TEXT,"
                                " principal INTEGER,"
                                " since INTEGER NOT NULL,"
                                " sequence INTEGER NOT NULL,"
                                " session_sequence INTEGER NOT NULL,"
                                " time INTEGER NOT NULL,"
                                " reason TEXT NOT NULL,"
                                " progress INTEGER NOT NULL,"
                                " step INTEGER NOT NULL"
                                ") STRICT;"
                                "CREATE INDEX cutoff_sequence ON cutoff (sequence);"
                                "CREATE INDEX cutoff_next ON cutoff (id) WHERE step <> 2;";

/*
 * Rotations by the provider itself: their journal beyond the step, and what the upstream says of a secret. A step in
 * between the old ones moves those behind it.
 */
static const char version_4[] = "CREATE TABLE rotation ("
                                " secret TEXT NOT NULL PRIMARY KEY,"
                                " kind INTEGER NOT NULL,"
                                " label TEXT NOT NULL,"
                                " cause TEXT NOT NULL,"
                                " began INTEGER NOT NULL,"
                                " grace INTEGER NOT NULL,"
                                " options INTEGER NOT NULL,"
                                " secret_id TEXT NOT NULL,"
                                " old_secret_id TEXT NOT NULL,"
                                " expires INTEGER NOT NULL,"
                                " attempts INTEGER NOT NULL,"
                                " next_attempt INTEGER NOT NULL,"
                                " problem TEXT NOT NULL,"
                                " value BLOB"
                                ") STRICT, WITHOUT ROWID;"
                                "UPDATE secret SET step = step + 1 WHERE step >= 2;"
                                "ALTER TABLE secret ADD COLUMN secret_id TEXT NOT NULL DEFAULT '';"
                                "ALTER TABLE secret ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;"
                                "ALTER TABLE secret ADD COLUMN rights BLOB;"
                                "ALTER TABLE secret ADD COLUMN schedule_failures INTEGER NOT NULL DEFAULT 0;"
                                "ALTER TABLE secret ADD COLUMN schedule_next INTEGER NOT NULL DEFAULT 0;"
                                "ALTER TABLE secret ADD COLUMN reminded INTEGER NOT NULL DEFAULT 0;";

/* Values that are or were stored, by their keyed hash; and what was done about leaks. */
static const char version_5[] = "CREATE TABLE secret_value ("
                                " hash BLOB NOT NULL,"
                                " secret TEXT NOT NULL,"
                                " generation INTEGER NOT NULL,"
                                " noted INTEGER NOT NULL,"
                                " removed INTEGER NOT NULL,"
                                " PRIMARY KEY (hash, secret)"
                                ") STRICT, WITHOUT ROWID;"
                                "CREATE INDEX secret_value_of ON secret_value (secret, generation);"
                                "CREATE INDEX secret_value_removed ON secret_value (removed) WHERE removed > 0;"

                                "CREATE TABLE incident ("
                                " sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
                                " id TEXT NOT NULL UNIQUE,"
                                " key TEXT NOT NULL,"
                                " time INTEGER NOT NULL,"
                                " signal INTEGER NOT NULL,"
                                " session TEXT NOT NULL,"
                                " profile TEXT NOT NULL,"
                                " secret TEXT NOT NULL,"
                                " lease TEXT NOT NULL,"
                                " generation INTEGER NOT NULL,"
                                " source TEXT NOT NULL,"
                                " count INTEGER NOT NULL,"
                                " closed INTEGER NOT NULL,"
                                " state_0 INTEGER NOT NULL, reason_0 TEXT NOT NULL,"
                                " state_1 INTEGER NOT NULL, reason_1 TEXT NOT NULL,"
                                " state_2 INTEGER NOT NULL, reason_2 TEXT NOT NULL,"
                                " state_3 INTEGER NOT NULL, reason_3 TEXT NOT NULL,"
                                " state_4 INTEGER NOT NULL, reason_4 TEXT NOT NULL"
                                ") STRICT;"
                                "CREATE INDEX incident_of ON incident (key, sequence);"
                                "CREATE INDEX incident_secret ON incident (secret, sequence);"
                                "CREATE INDEX incident_open ON incident (sequence) WHERE closed = 0;"
                                "CREATE INDEX incident_closed ON incident (closed) WHERE closed > 0;";

const char *const db_migrations[] = { version_1, version_2, version_3, version_4, version_5 };
const size_t db_n_migrations = ARRAY_SIZE(db_migrations);
