#include "client.h"
#include <string.h>

static const Field *find(const mcpcred_row *row, const char *name)
{
        for (size_t i = 0; row && i < row->schema->n_fields; i++)
                if (strcmp(row->schema->fields[i].name, name) == 0)
                        return &row->schema->fields[i];
        return NULL;
}

/* The member, or NULL if there is none of that name and kind. */
static const void *member(const mcpcred_row *row, const char *name, FieldKind kind)
{
        const Field *field = find(row, name);

        return field && field->kind == kind ? (const uint8_t *)row->body + field->offset : NULL;
}

int mcpcred_row_flag(const mcpcred_row *row, const char *field)
{
        const bool *at = member(row, field, FIELD_BOOL);

        return at && *at;
}

uint64_t mcpcred_row_number(const mcpcred_row *row, const char *field)
{
        const uint64_t *at = member(row, field, FIELD_U64);

        return at ? *at : 0;
}

uint64_t mcpcred_row_time(const mcpcred_row *row, const char *field)
{
        const uint64_t *at = member(row, field, FIELD_TIME);

        return at ? *at : 0;
}

const char *mcpcred_row_text(const mcpcred_row *row, const char *name)
{
        const Field *field = find(row, name);
        const void *at;

        if (!field)
                return NULL;
        at = (const uint8_t *)row->body + field->offset;
        if (field->kind == FIELD_TEXT)
                return *(const char *const *)at;
        return field->kind == FIELD_ENUM ? field->names[*(const uint32_t *)at] : NULL;
}

size_t mcpcred_row_count(const mcpcred_row *row, const char *name)
{
        const Field *field = find(row, name);
        const void *at;

        if (!field)
                return 0;
        at = (const uint8_t *)row->body + field->offset;
        switch (field->kind) {
        case FIELD_TEXTS:
                return ((const TextList *)at)->n;
        case FIELD_MAP:
                return ((const TextMap *)at)->n;
        case FIELD_RECORDS:
                return ((const RecordList *)at)->n;
        case FIELD_RECORD:
                return *(void *const *)at ? 1 : 0;
        default:
                return 0;
        }
}

const char *mcpcred_row_item(const mcpcred_row *row, const char *field, size_t index)
{
        const TextList *list = member(row, field, FIELD_TEXTS);
        const TextMap *map = member(row, field, FIELD_MAP);

        if (list)
                return index < list->n ? list->items[index] : NULL;
        return map && index < map->n ? map->items[index].value : NULL;
}

const char *mcpcred_row_key(const mcpcred_row *row, const char *field, size_t index)
{
        const TextMap *map = member(row, field, FIELD_MAP);

        return map && index < map->n ? map->items[index].key : NULL;
}

const mcpcred_row *mcpcred_row_record(const mcpcred_row *row, const char *name, size_t index)
{
        const Field *field = find(row, name);
        const uint8_t *at;
        void *memory;
        mcpcred_row *nested;

        if (!field || index >= mcpcred_row_count(row, name) ||
            (field->kind != FIELD_RECORD && field->kind != FIELD_RECORDS))
                return NULL;
        at = (const uint8_t *)row->body + field->offset;
        if (pool_alloc(row->pool, sizeof(*nested), &memory) < 0)
                return NULL;
        nested = memory;
        nested->schema = field->record;
        nested->pool = row->pool;
        if (field->kind == FIELD_RECORD)
                nested->body = *(void *const *)(const void *)at;
        else
                nested->body = (const uint8_t *)((const RecordList *)(const void *)at)->items +
                               index * field->record->size;
        return nested;
}

const char *mcpcred_row_field_name(const mcpcred_row *row, size_t index)
{
        return index < row->schema->n_fields ? row->schema->fields[index].name : NULL;
}

mcpcred_kind mcpcred_row_field_kind(const mcpcred_row *row, size_t index)
{
        static const mcpcred_kind kinds[] = {
                [FIELD_BOOL] = MCPCRED_KIND_FLAG,       [FIELD_U64] = MCPCRED_KIND_NUMBER,
                [FIELD_TIME] = MCPCRED_KIND_TIME,       [FIELD_ENUM] = MCPCRED_KIND_TEXT,
                [FIELD_TEXT] = MCPCRED_KIND_TEXT,       [FIELD_TEXTS] = MCPCRED_KIND_TEXTS,
                [FIELD_MAP] = MCPCRED_KIND_MAP,         [FIELD_RECORD] = MCPCRED_KIND_RECORD,
                [FIELD_RECORDS] = MCPCRED_KIND_RECORDS,
        };

        return index < row->schema->n_fields ? kinds[row->schema->fields[index].kind]
                                             : MCPCRED_KIND_TEXT;
}

/* ---- replies as rows ---- */

int row_give(mcpcred *client, mcpcred_row_fn row, void *userdata, const Schema *schema, const void *body, Pool *pool)
{
        const mcpcred_row one = { .schema = schema, .body = body, .pool = pool };

        return row && row(&one, userdata) ? client_fail(client, MCPCRED_E_STOPPED, "%s", "") : 0;
}

static int give(mcpcred *client, RowTarget *target, const Schema *schema, const void *body,
                Pool *pool)
{
        return row_give(client, target->row, target->userdata, schema, body, pool);
}

int row_target_whole(mcpcred *client, void *body, Pool *pool, bool more UNUSED, void *userdata)
{
        RowTarget *target = userdata;

        return give(client, target, target->schema, body, pool);
}

int row_target_list(mcpcred *client, void *body, Pool *pool, bool more UNUSED, void *userdata)
{
        RowTarget *target = userdata;
        const RecordList *list = body;
        int r = 0;

        for (size_t i = 0; r == 0 && i < list->n; i++)
                r = give(client, target, target->schema,
                         (const uint8_t *)list->items + i * target->schema->size, pool);
        return r;
}

int row_target_ended(mcpcred *client, void *body, Pool *pool, bool more UNUSED, void *userdata)
{
        RowTarget *target = userdata;
        const RevokeReply *reply = body;
        int r = 0;

        for (size_t i = 0; r == 0 && i < reply->credentials.n; i++)
                r = give(client, target, &schema_credential_outcome,
                         (const CredentialOutcome *)reply->credentials.items + i, pool);
        target->ended.leases += reply->credentials.n;
        target->ended.sessions = reply->sessions;
        target->ended.pending = target->ended.pending || reply->pending;
        if (reply->totals) {
                target->ended.n_none = reply->totals->none;
                target->ended.n_confirmed = reply->totals->confirmed;
                target->ended.n_pending = reply->totals->pending;
                target->ended.n_rotate = reply->totals->impossible_rotate;
                target->ended.leases = reply->totals->none + reply->totals->confirmed +
                                       reply->totals->pending + reply->totals->impossible_rotate;
        }
        return r;
}
