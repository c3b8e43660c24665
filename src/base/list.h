#ifndef SSE_BASE_LIST_H
#define SSE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* An intrusive, circular, doubly linked list. A head and its nodes are the same struct. A node that
 * is in no list points at itself, so list_remove may be called at any time after list_init. */
struct list {
    struct list *next;
    struct list *previous;
};

/* The struct of TYPE whose member MEMBER is at `node`. */
#define CONTAINER_OF(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

/* Puts `node`, which must be in no list, at the end. */
static inline void list_append(struct list *list, struct list *node)
{
    node->next = list;
    node->previous = list->previous;
    list->previous->next = node;
    list->previous = node;
}

static inline void list_remove(struct list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* Moves all of `from` to the end of `to`; `from` is empty afterwards. */
static inline void list_move(struct list *from, struct list *to)
{
    if (list_is_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

#endif
