#ifndef SSE_APP_CONFIG_H
#define SSE_APP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "core/hub.h"
#include "net/shard.h"
#include "script/vm.h"

/* What the command line says. */

enum { EXIT_SCRIPT = 1, EXIT_USAGE = 2, EXIT_RUN = 3, CONFIG_MAX_LISTEN = 64 };

struct config {
    const char *script; /* path, or "-" for standard input; NULL with code */
    const char *code;   /* of -e */
    const char *listen[CONFIG_MAX_LISTEN];
    unsigned listen_count;
    unsigned threads;
    bool check;
    bool repl;
    bool watch; /* the script's files, and reload when they change */
    unsigned max_connections;
    unsigned max_connections_per_address;
    unsigned grace; /* milliseconds that the end may take */
    struct hub_limits hub;
    struct shard_options shard;
    struct vm_options vm;
};

/* Reads the arguments, which are borrowed. Returns true when the program should go on; else *status
 * is its exit status, and --help, --version or a message about the mistake was printed. */
bool config_parse(struct config *config, int argc, char **argv, int *status);

#endif
