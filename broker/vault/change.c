#include "vault/change.h"
#include <stdio.h>

bool change_is_under_way(const Vault *vault, const char *name)
{
        LIST_FOREACH(node, &vault->changes)
                if (strcmp(container_of(node, Change, link)->name, name) == 0)
                        return true;
        return false;
}

bool change_begin(Vault *vault, Change *change, const char *name, Failure *failure)
{
        list_init(&change->link);
        if (change_is_under_way(vault, name)) {
                failure_set(failure, FAULT_BUSY, "Secret %s is being changed; try again when that is done.", name);
                return false;
        }
        (void)snprintf(change->name, sizeof(change->name), "%s", name);
        list_append(&vault->changes, &change->link);
        return true;
}

void change_end(Change *change)
{
        list_remove(&change->link);
}
