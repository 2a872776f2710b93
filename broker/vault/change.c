#include "vault/change.h"
#include <stdio.h>

Change *change_find(const Vault *vault, const char *name)
{
        LIST_FOREACH(node, &vault->changes) {
                Change *change = container_of(node, Change, link);

                if (strcmp(change->name, name) == 0)
                        return change;
        }
        return NULL;
}

bool change_begin(Vault *vault, Change *change, const char *name, Failure *failure)
{
        list_init(&change->link);
        if (change_find(vault, name)) {
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
