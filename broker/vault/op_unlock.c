#include "base/fd.h"
#include "vault/value_reader.h"
#include "vault/vault.h"

#define PASSPHRASE_MAX 1024U
/* Of a new one. Whoever copies the file can try as many as their machines can hash: Argon2id makes that slow, and
 * does not save a short one. */
#define PASSPHRASE_MIN 8U

typedef struct UnlockOp {
        Vault *vault;
        Request *request;
        bool create;
} UnlockOp;

static int on_passphrase(void *userdata, Secret *value, const Failure *failure)
{
        UnlockOp *op = userdata;
        UnlockOp copy = *op;
        Failure mine = *failure;
        int r;

        free(op);
        if (!failed(&mine) && copy.create && secret_slice(value).size < PASSPHRASE_MIN)
                failure_set(&mine, FAULT_INVALID_PARAMETER,
                            "A new passphrase needs at least %u characters: the file can be copied and tried elsewhere.",
                            PASSPHRASE_MIN);
        r = failed(&mine) ? failure_answer(&mine, copy.request)
                          : vault_store_unlock(copy.vault, copy.request, value, copy.create);
        secret_free(value);
        return r;
}

int op_unlock(Vault *vault, Request *request)
{
        const UnlockRequest *body = request->body;
        ValueReader *reader;
        Failure failure;
        UnlockOp *op;
        int r;

        if (request->n_fds != 1)
                return request_fail(request, FAULT_INVALID_PARAMETER, "The passphrase comes as one descriptor.");
        op = calloc(1, sizeof(*op));
        if (!op)
                return -ENOMEM;
        *op = (UnlockOp){ .vault = vault, .request = request, .create = body->create };
        r = value_reader_new(&reader, vault->role.loop, vault->role.arena, take_fd(&request->fds[0]), PASSPHRASE_MAX,
                             on_passphrase, op);
        if (r) {
                free(op);
                value_reader_failure(&failure, r);
                return failure_answer(&failure, request);
        }
        return 0;
}

int op_lock(Vault *vault, Request *request)
{
        Failure failure;

        if (rotate_needs_store(vault, &failure))
                return failure_answer(&failure, request);
        return vault_store_lock(vault, request);
}
