#include "base/error.h"

#include <stddef.h>

const char *error_text(int code)
{
    switch (code) {
#define X(name, text)                                                                              \
    case name:                                                                                     \
        return text;
        ERROR_LIST(X)
#undef X
    default:
        return NULL;
    }
}
