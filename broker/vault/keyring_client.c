#include "vault/keyring_client.h"
#include "base/list.h"

/* Longer than the role's own limit on the Secret Service, so that it can say what was wrong. */
#define DEADLINE_USEC (12 * USEC_PER_SEC)

struct KeyringClient {
        Loop *loop;
        Arena *arena;
        Channel **supervisor;
        Channel *channel;
        List asked; /* Asked */
        void (*closed)(void *userdata); /* may be NULL */
        void *userdata;
};

/* One call under way. */
typedef struct Asked {
        List link;
        KeyringClient *client;
        KeyringMethod method;
        KeyringItemDone item_done;
        KeyringOpenDone open_done;
        void *userdata;
} Asked;

int keyring_client_new(KeyringClient **ret, Loop *loop, Arena *arena, Channel **supervisor)
{
        KeyringClient *client = calloc(1, sizeof(*client));

        if (!client)
                return -ENOMEM;
        client->loop = loop;
        client->arena = arena;
        client->supervisor = supervisor;
        list_init(&client->asked);
        *ret = client;
        return 0;
}

static void asked_free(Asked *asked)
{
        list_remove(&asked->link);
        free(asked);
}

KeyringClient *keyring_client_free(KeyringClient *client)
{
        if (!client)
                return NULL;
        channel_free(client->channel);
        while (!list_empty(&client->asked))
                asked_free(container_of(client->asked.next, Asked, link));
        free(client);
        return NULL;
}

static int on_closed(void *userdata, Channel *channel, UNUSED const char *reason)
{
        KeyringClient *client = userdata;

        if (client->channel == channel) {
                client->channel = NULL;
                if (client->closed)
                        client->closed(client->userdata);
        }
        channel_free(channel);
        return 0;
}

void keyring_client_watch(KeyringClient *client, void (*closed)(void *userdata), void *userdata)
{
        client->closed = closed;
        client->userdata = userdata;
}

int keyring_client_attach(KeyringClient *client, int fd)
{
        ChannelConfig config = {
                .loop = client->loop,
                .arena = client->arena,
                .fd = fd,
                .out = &interface_keyring,
                .closed = on_closed,
                .userdata = client,
        };

        client->channel = channel_free(client->channel);
        return channel_new(&client->channel, &config);
}

bool keyring_client_is_attached(const KeyringClient *client)
{
        return client->channel != NULL;
}

static int finish(Asked *asked, Secret *value, StoreKind kind, const Failure *failure)
{
        Asked copy = *asked;

        asked_free(asked);
        return copy.open_done ? copy.open_done(copy.userdata, kind, value, failure)
                              : copy.item_done(copy.userdata, value, failure);
}

static int on_reply(void *userdata, const Reply *reply)
{
        Asked *asked = userdata;
        KeyringClient *client = asked->client;
        Failure failure = { 0 };
        Secret *value = NULL;
        StoreKind kind = STORE_AUTO;
        Empty nothing = { 0 };
        int r = 0;

        if (reply->fault == FAULT_TIMEOUT) {
                failure_set(&failure, FAULT_KEYRING_HUNG, "The keyring did not answer within %u seconds.",
                            (unsigned)(DEADLINE_USEC / USEC_PER_SEC));
                r = channel_notify(*client->supervisor, VAULT_RESTART_KEYRING, &nothing);
                if (r < 0)
                        return r;
        } else if (reply->fault != FAULT_NONE) {
                failure_from_reply(&failure, reply);
        } else if (asked->method == KEYRING_LOAD) {
                value = take_ptr(((KeyringLoadReply *)reply->body)->value);
        } else if (asked->method == KEYRING_UNLOCK) {
                value = take_ptr(((KeyringUnlockReply *)reply->body)->key);
        } else if (asked->method == KEYRING_OPEN) {
                kind = ((KeyringOpenReply *)reply->body)->kind;
                value = take_ptr(((KeyringOpenReply *)reply->body)->key);
        }
        return finish(asked, value, kind, &failure);
}

static int ask(KeyringClient *client, KeyringMethod method, const void *body, Asked how)
{
        Asked *asked = malloc(sizeof(*asked));
        Failure failure;

        if (!asked)
                return -ENOMEM;
        *asked = how;
        asked->client = client;
        asked->method = method;
        list_init(&asked->link);
        list_append(&client->asked, &asked->link);
        if (!client->channel) {
                failure_set(&failure, FAULT_UNAVAILABLE, "The keyring role is restarting.");
                return finish(asked, NULL, STORE_AUTO, &failure);
        }
        /* An error may be of the call or of the callback; only in the first case is it still on the list. */
        return channel_call(client->channel, method, body, NULL, 0, DEADLINE_USEC, on_reply, asked, NULL);
}

int keyring_client_open(KeyringClient *client, StoreKind kind, StoreKind resume, KeyringOpenDone done, void *userdata)
{
        KeyringOpenRequest request = { .kind = kind, .resume = resume };

        return ask(client, KEYRING_OPEN, &request, (Asked){ .open_done = done, .userdata = userdata });
}

int keyring_client_unlock(KeyringClient *client, Secret *passphrase, Secret *key, bool create, KeyringItemDone done,
                          void *userdata)
{
        KeyringUnlockRequest request = { .passphrase = passphrase, .key = key, .create = create };

        return ask(client, KEYRING_UNLOCK, &request, (Asked){ .item_done = done, .userdata = userdata });
}

int keyring_client_lock(KeyringClient *client, KeyringItemDone done, void *userdata)
{
        Empty request = { 0 };

        return ask(client, KEYRING_LOCK, &request, (Asked){ .item_done = done, .userdata = userdata });
}

int keyring_client_load(KeyringClient *client, const char *name, KeyringItemDone done, void *userdata)
{
        KeyringItemRequest request = { .name = name };

        return ask(client, KEYRING_LOAD, &request, (Asked){ .item_done = done, .userdata = userdata });
}

int keyring_client_store(KeyringClient *client, const char *name, Secret *value, KeyringItemDone done, void *userdata)
{
        KeyringStoreRequest request = { .name = name, .value = value };

        return ask(client, KEYRING_STORE, &request, (Asked){ .item_done = done, .userdata = userdata });
}

int keyring_client_remove(KeyringClient *client, const char *name, KeyringItemDone done, void *userdata)
{
        KeyringItemRequest request = { .name = name };

        return ask(client, KEYRING_REMOVE, &request, (Asked){ .item_done = done, .userdata = userdata });
}
