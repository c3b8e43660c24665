#include "net/admission.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log_line.h"
#include "base/memory.h"

enum { TELL_INTERVAL = 10 }; /* seconds between two log lines about a limit */

struct visitor {
    struct address address;
    uint32_t count;
};

void admission_init(struct admission *admission, uint32_t limit, uint32_t limit_per_address)
{
    *admission = (struct admission){.limit = limit, .limit_per_address = limit_per_address};
    pthread_mutex_init(&admission->mutex, NULL);
}

void admission_deinit(struct admission *admission)
{
    size_t position = 0;
    void *visitor;
    while (map_next(&admission->by_address, &position, &visitor))
        free(visitor);
    map_deinit(&admission->by_address);
    pthread_mutex_destroy(&admission->mutex);
}

static struct slice key_of(const struct address *address)
{
    return slice_of((const char *)address->bytes, sizeof address->bytes);
}

static bool enter_address(struct admission *admission, const struct address *address)
{
    if (admission->limit_per_address == 0 || address_is_local(address))
        return true;
    struct visitor *visitor = map_get(&admission->by_address, key_of(address));
    if (visitor == NULL) {
        visitor = memory_zero(1, sizeof *visitor);
        visitor->address = *address;
        map_put(&admission->by_address, key_of(&visitor->address), visitor);
    }
    if (visitor->count >= admission->limit_per_address)
        return false;
    visitor->count++;
    return true;
}

static bool is_time_to_tell(struct admission *admission)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (admission->told != 0 && now.tv_sec - admission->told < TELL_INTERVAL)
        return false;
    admission->told = now.tv_sec;
    return true;
}

static void tell(const struct admission *admission, const struct address *address, bool full,
                 uint64_t refused)
{
    char text[ADDRESS_TEXT];
    address_text(address, text, sizeof text);
    if (full)
        log_line(LOG_WARN,
                 "all %u connections are taken (--max-connections); %" PRIu64 " turned away so far",
                 admission->limit, refused);
    else
        log_line(LOG_WARN,
                 "all %u connections of %s are taken (--max-per-address); %" PRIu64
                 " turned away so far",
                 admission->limit_per_address, text, refused);
}

bool admission_enter(struct admission *admission, const struct address *address)
{
    pthread_mutex_lock(&admission->mutex);
    bool full = admission->count >= admission->limit;
    bool admitted = !full && enter_address(admission, address);
    if (admitted)
        admission->count++;
    else
        admission->refused++;
    uint64_t refused = admission->refused;
    bool telling = !admitted && is_time_to_tell(admission);
    pthread_mutex_unlock(&admission->mutex);
    if (telling)
        tell(admission, address, full, refused);
    return admitted;
}

void admission_leave(struct admission *admission, const struct address *address)
{
    pthread_mutex_lock(&admission->mutex);
    admission->count--;
    struct visitor *visitor = map_get(&admission->by_address, key_of(address));
    if (visitor != NULL && --visitor->count == 0) {
        map_remove(&admission->by_address, key_of(address));
        free(visitor);
    }
    pthread_mutex_unlock(&admission->mutex);
}

uint32_t admission_count(struct admission *admission)
{
    pthread_mutex_lock(&admission->mutex);
    uint32_t count = admission->count;
    pthread_mutex_unlock(&admission->mutex);
    return count;
}

uint64_t admission_refused(struct admission *admission)
{
    pthread_mutex_lock(&admission->mutex);
    uint64_t refused = admission->refused;
    pthread_mutex_unlock(&admission->mutex);
    return refused;
}
