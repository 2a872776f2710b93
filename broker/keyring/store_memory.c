#include "base/list.h"
#include "keyring/store.h"
#include "wire/field.h"

/* Enough for any test; a runaway caller ends here and not at the arena's. */
#define ITEMS_MAX 256U

typedef struct MemoryItem {
        List link;
        char name[LIMIT_NAME + 1];
        Secret *value;
} MemoryItem;

typedef struct MemoryStore {
        Store store;
        Arena *arena;
        List items;
        size_t n_items;
} MemoryStore;

static MemoryStore *memory_of(Store *store)
{
        return container_of(store, MemoryStore, store);
}

static MemoryItem *item_free(MemoryItem *item)
{
        list_remove(&item->link);
        secret_free(item->value);
        free(item);
        return NULL;
}

static void memory_free(Store *store)
{
        MemoryStore *self = memory_of(store);

        while (!list_empty(&self->items))
                item_free(container_of(self->items.next, MemoryItem, link));
        free(self);
}

static MemoryItem *find(MemoryStore *self, const char *name)
{
        LIST_FOREACH(node, &self->items) {
                MemoryItem *item = container_of(node, MemoryItem, link);

                if (strcmp(item->name, name) == 0)
                        return item;
        }
        return NULL;
}

static int memory_open(UNUSED Store *store, UNUSED Report *report)
{
        return 0;
}

static int memory_unlock(UNUSED Store *store, UNUSED const UnlockHow *how, Secret **ret_key,
                         UNUSED Report *report)
{
        *ret_key = NULL;
        return 0;
}

/* The items stay: there is no other place that they could come back from. */
static void memory_lock(UNUSED Store *store)
{
}

static int memory_load(Store *store, const char *name, Secret **ret, Report *report)
{
        MemoryStore *self = memory_of(store);
        MemoryItem *item = find(self, name);
        int r;

        *ret = NULL;
        if (!item)
                return 0;
        r = secret_from_bytes(ret, self->arena, secret_slice(item->value));
        return r ? store_secret_fault(report, r) : 0;
}

static int add(MemoryStore *self, const char *name, Secret **value, Report *report)
{
        MemoryItem *item;

        if (self->n_items >= ITEMS_MAX)
                return store_fail(report, FAULT_BUSY, NULL, "The store holds %u items already.",
                                  ITEMS_MAX);
        if (strlen(name) >= sizeof(item->name))
                return -ENAMETOOLONG;
        item = calloc(1, sizeof(*item));
        if (!item)
                return -ENOMEM;
        memcpy(item->name, name, strlen(name));
        item->value = take_ptr(*value);
        list_append(&self->items, &item->link);
        self->n_items++;
        return 0;
}

static int memory_store(Store *store, const char *name, const Secret *value, Report *report)
{
        _cleanup_(secret_freep) Secret *copy = NULL;
        MemoryStore *self = memory_of(store);
        MemoryItem *item = find(self, name);
        int r;

        r = secret_from_bytes(&copy, self->arena, secret_slice(value));
        if (r)
                return store_secret_fault(report, r);
        if (!item)
                return add(self, name, &copy, report);
        secret_free(item->value);
        item->value = take_ptr(copy);
        return 0;
}

static int memory_remove(Store *store, const char *name, UNUSED Report *report)
{
        MemoryStore *self = memory_of(store);
        MemoryItem *item = find(self, name);

        if (item) {
                item_free(item);
                self->n_items--;
        }
        return 0;
}

static const StoreVtable memory_vtable = {
        .kind = STORE_MEMORY,
        .free = memory_free,
        .open = memory_open,
        .unlock = memory_unlock,
        .lock = memory_lock,
        .load = memory_load,
        .store = memory_store,
        .remove = memory_remove,
};

int store_memory_new(Store **ret, Arena *arena)
{
        MemoryStore *self = calloc(1, sizeof(*self));

        if (!self)
                return -ENOMEM;
        self->store.vtable = &memory_vtable;
        self->arena = arena;
        list_init(&self->items);
        *ret = &self->store;
        return 0;
}
