#ifndef SSE_SCRIPT_PAGE_H
#define SSE_SCRIPT_PAGE_H

#include "script/vm.h"

/* What a subscription's readers get of the events before those that memory has of all its channels:
 * from the store, and from memory for channels that are there whole. */

struct page {
    struct vm *vm;
    const struct subscription *subscription;
    struct frame **frames; /* in order, each with a reference */
    unsigned count;
    unsigned capacity;
    unsigned read; /* from the store */
    size_t bytes;
    uint64_t last; /* the sequence of the last one read, wanted or not */
    bool full;     /* there may be more behind the last one */
};

enum { PAGE_EVENTS = 256 /* read for one page, at most */ };

/* The cursor after which memory has every event of the subscription. */
uint64_t page_memory_begins(const struct subscription *subscription);

/* Reads the events in (after, until] until the page is full; page->last is then the cursor that it
 * leads to. Of channels without history only what is newer than `began`. 0, or a negative code when
 * the store cannot be read. The page is to be released in any case. */
int page_read(struct page *page, struct vm *vm, const struct subscription *subscription,
              uint64_t after, uint64_t until, uint64_t began);
/* The same from `until` backwards; page->last is then the cursor before its first event. */
int page_read_back(struct page *page, struct vm *vm, const struct subscription *subscription,
                   uint64_t until);

void page_deinit(struct page *page);

#endif
