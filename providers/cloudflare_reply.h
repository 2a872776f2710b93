#pragma once
/* What Cloudflare answers about API tokens, from bytes to structs; pure. */
#include "providers/reply.h"
#include "wire/msg_provider.h"

#define CLOUDFLARE_NAME_MAX 120U
#define CLOUDFLARE_ID_SIZE  65U
/* Of one page of the list, and what is taken of it. */
#define CLOUDFLARE_PAGE 50U

typedef struct CloudflareToken {
        char id[CLOUDFLARE_ID_SIZE];
        char name[REPLY_TEXT_MAX]; /* empty where it is not said */
        bool active;
        uint64_t issued, expires; /* wall time; 0: not said, never */
        json_t *policies;         /* as a token may be made with; NULL where they are not said. The caller's */
        json_t *condition;        /* likewise; NULL where there is none */
        Secret *value;            /* of one that has just been made. The caller's */
} CloudflareToken;

/* `arena` is NULL where no value is expected. The reply of "verify" has no name and no policies. */
int cloudflare_read_token(Slice body, Arena *arena, CloudflareToken *ret) NODISCARD NONNULL(3);
void cloudflare_token_deinit(CloudflareToken *token) NONNULL(1);

/*
 * What the policies allow, an item for each permission and resource: "DNS Read: account.zone.0123". `ret_known` is
 * false where a list cannot say it: something is denied too, or there is more than a reply holds.
 */
int cloudflare_rights(const json_t *policies, Pool *pool, TextList *ret, bool *ret_known) NODISCARD
        NONNULL(1, 2, 3, 4);

/* The ids of the tokens of that name on a page of the list; `ret_last` when no page follows. */
typedef struct CloudflarePage {
        char ids[CLOUDFLARE_PAGE][CLOUDFLARE_ID_SIZE];
        size_t n;
        bool last;
} CloudflarePage;
int cloudflare_read_page(Slice body, const char *name, CloudflarePage *ret) NODISCARD NONNULL(2, 3);
