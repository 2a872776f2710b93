#include "vault/session_set.h"
#include <stdio.h>
#include <stdlib.h>

int session_set_add(SessionSet *set, const char *id)
{
        if (set->n == set->size) {
                size_t size = set->size ? set->size * 2 : 16;
                void *ids = realloc(set->ids, size * sizeof(*set->ids));

                if (!ids)
                        return -ENOMEM;
                set->ids = ids;
                set->size = size;
        }
        (void)snprintf(set->ids[set->n++], sizeof(*set->ids), "%s", id);
        return 0;
}

static int compare(const void *a, const void *b)
{
        return strcmp(a, b);
}

void session_set_sort(SessionSet *set)
{
        size_t kept = 0;

        if (set->n == 0)
                return;
        qsort(set->ids, set->n, sizeof(*set->ids), compare);
        for (size_t i = 1; i < set->n; i++)
                if (strcmp(set->ids[kept], set->ids[i]) != 0)
                        memmove(set->ids[++kept], set->ids[i], sizeof(*set->ids));
        set->n = kept + 1;
}

bool session_set_has(const SessionSet *set, const char *id)
{
        return set->n > 0 && bsearch(id, set->ids, set->n, sizeof(*set->ids), compare);
}

void session_set_deinit(SessionSet *set)
{
        free(set->ids);
        *set = SESSION_SET_NULL;
}
