#pragma once
/* An intrusive doubly linked ring. A node that is not linked points at itself. */
#include "base/macros.h"

typedef struct List {
        struct List *next, *prev;
} List;

static inline void list_init(List *node)
{
        node->next = node->prev = node;
}

static inline bool list_empty(const List *head)
{
        return head->next == head;
}

static inline void list_append(List *head, List *node)
{
        node->prev = head->prev;
        node->next = head;
        head->prev->next = node;
        head->prev = node;
}

/* Harmless on a node that is not linked. */
static inline void list_remove(List *node)
{
        if (!node->next)
                return;
        node->prev->next = node->next;
        node->next->prev = node->prev;
        list_init(node);
}

/* `node` may be removed inside the loop; others may not. */
#define LIST_FOREACH(node, head) \
        for (List *node = (head)->next, *node##_next = node->next; node != (head); \
             node = node##_next, node##_next = node->next)
