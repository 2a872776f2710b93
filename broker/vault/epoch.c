#include "vault/epoch.h"
#include "base/text.h"
#include "vault/rows_meta.h"
#include <sodium.h>
#include <stdio.h>

#define EPOCH_BYTES 16U
#define WRITE_USEC (5 * USEC_PER_SEC)

typedef struct Waiter {
        List link;
        EpochDone done;
        void *userdata;
} Waiter;

struct Epoch {
        Vault *vault;
        char in_file[65]; /* what the file is known to hold */
        char moving_to[65];
        bool moving;
        bool written;     /* moving_to is in the state already, */
        uint64_t changes; /* which had so many changes then */
        List this_move; /* Waiter: served when the move under way ends */
        List next_move; /* Waiter: asked for meanwhile */
};

int epoch_new(Epoch **ret, Vault *vault)
{
        Epoch *epoch = calloc(1, sizeof(*epoch));

        if (!epoch)
                return -ENOMEM;
        epoch->vault = vault;
        list_init(&epoch->this_move);
        list_init(&epoch->next_move);
        *ret = epoch;
        return 0;
}

static void drop(List *waiters)
{
        LIST_FOREACH(node, waiters) {
                list_remove(node);
                free(container_of(node, Waiter, link));
        }
}

Epoch *epoch_free(Epoch *epoch)
{
        if (!epoch)
                return NULL;
        drop(&epoch->this_move);
        drop(&epoch->next_move);
        free(epoch);
        return NULL;
}

/* An absent key reads as "". */
static int get_text(Vault *vault, const char *key, char out[65])
{
        int r = rows_meta_get_text(vault->db, key, out, 65);

        if (r == DB_E_NOT_FOUND) {
                out[0] = '\0';
                return 0;
        }
        return r;
}

int epoch_matches(Epoch *epoch, bool *ret)
{
        const VaultStart *start = &epoch->vault->start;
        char current[65], previous[65], boot_id[65];
        int r;

        (void)snprintf(epoch->in_file, sizeof(epoch->in_file), "%s", start->epoch);
        r = get_text(epoch->vault, META_EPOCH, current);
        if (r == 0)
                r = get_text(epoch->vault, META_PREVIOUS_EPOCH, previous);
        if (r == 0)
                r = get_text(epoch->vault, META_BOOT_ID, boot_id);
        if (r)
                return r;
        *ret = start->epoch[0] && (strcmp(start->epoch, current) == 0 || strcmp(start->epoch, previous) == 0) &&
               strcmp(start->boot_id, boot_id) == 0;
        return 0;
}

static int begin(Epoch *epoch);

static int on_written(void *userdata, const Reply *reply)
{
        Epoch *epoch = userdata;
        List served;
        int r = 0;

        epoch->moving = false;
        if (reply->fault == FAULT_NONE)
                (void)snprintf(epoch->in_file, sizeof(epoch->in_file), "%s", epoch->moving_to);
        else
                role_log(&epoch->vault->role, LOG_LEVEL_ERROR, "epoch: the runtime directory cannot be written");
        list_init(&served);
        LIST_FOREACH(node, &epoch->this_move) {
                list_remove(node);
                list_append(&served, node);
        }
        if (!list_empty(&epoch->next_move))
                r = begin(epoch);
        while (r >= 0 && !list_empty(&served)) {
                Waiter *waiter = container_of(served.next, Waiter, link);
                Waiter copy = *waiter;

                list_remove(&waiter->link);
                free(waiter);
                r = copy.done(copy.userdata);
        }
        drop(&served);
        return r;
}

/* The state's part, in a transaction that is open. */
static int write_rows(Epoch *epoch)
{
        Vault *vault = epoch->vault;
        uint8_t random[EPOCH_BYTES];
        int r;

        randombytes_buf(random, sizeof(random));
        text_hex(slice(random, sizeof(random)), epoch->moving_to);
        r = rows_meta_set_text(vault->db, META_EPOCH, epoch->moving_to);
        if (r == 0)
                r = rows_meta_set_text(vault->db, META_PREVIOUS_EPOCH, epoch->in_file);
        return r == 0 ? rows_meta_set_text(vault->db, META_BOOT_ID, vault->start.boot_id) : r;
}

/* A word that is older than something in the state would not tell a copy without it. */
static int write_state(Epoch *epoch)
{
        Db *db = epoch->vault->db;
        int r;

        if (epoch->written && db_changes(db) == epoch->changes)
                return 0;
        r = db_begin(db);
        if (r == 0)
                r = write_rows(epoch);
        return r == 0 ? db_commit(db) : r;
}

/* Writes the state and asks the supervisor to write the file. */
static int begin(Epoch *epoch)
{
        Vault *vault = epoch->vault;
        SetEpochRequest request = { .epoch = epoch->moving_to };
        int r;

        LIST_FOREACH(node, &epoch->next_move) {
                list_remove(node);
                list_append(&epoch->this_move, node);
        }
        epoch->moving = true;
        r = write_state(epoch);
        epoch->written = false;
        if (r) {
                /* The disk is full: revocation goes on, and only a restored copy would show. */
                Failure failure;
                Reply reply = { .fault = FAULT_INTERNAL };

                (void)vault_db_failed(vault, r, &failure);
                return on_written(epoch, &reply);
        }
        return channel_call(vault->role.supervisor, VAULT_SET_EPOCH, &request, NULL, 0, WRITE_USEC, on_written, epoch,
                            NULL);
}

int epoch_commit(Epoch *epoch)
{
        Vault *vault = epoch->vault;
        int r;

        if (epoch->moving) /* the next one has a word of its own */
                return vault_commit(vault);
        epoch->written = false;
        r = write_rows(epoch);
        if (r == 0)
                r = vault_commit(vault);
        epoch->written = r == 0;
        epoch->changes = db_changes(vault->db);
        return r;
}

int epoch_move(Epoch *epoch, EpochDone done, void *userdata)
{
        Waiter *waiter = NULL;

        if (done) {
                waiter = calloc(1, sizeof(*waiter));
                if (!waiter)
                        return -ENOMEM;
                waiter->done = done;
                waiter->userdata = userdata;
                list_append(&epoch->next_move, &waiter->link);
        }
        return epoch->moving ? 0 : begin(epoch);
}
