#include "net/admission.h"

#include <stdlib.h>

#include "base/memory.h"

struct visitor {
    struct admission_address address;
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

static struct slice key_of(const struct admission_address *address)
{
    return slice_of((const char *)address->bytes, sizeof address->bytes);
}

static bool enter_address(struct admission *admission, const struct admission_address *address)
{
    if (admission->limit_per_address == 0)
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

bool admission_enter(struct admission *admission, const struct admission_address *address)
{
    pthread_mutex_lock(&admission->mutex);
    bool admitted = admission->count < admission->limit && enter_address(admission, address);
    if (admitted)
        admission->count++;
    else
        admission->refused++;
    pthread_mutex_unlock(&admission->mutex);
    return admitted;
}

void admission_leave(struct admission *admission, const struct admission_address *address)
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
