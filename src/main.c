#include <string.h>

#include <string.h>

#include "app/router.h"
#include "app/scaffold.h"
#include "script/guard.h"
#include "script/leash.h"

int main(int argc, char **argv)
{
    struct config config;
    int status;
    if (argc > 1 && strcmp(argv[1], "new") == 0)
        return scaffold_main(argv[0], argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], LEASH_OPTION) == 0)
        leash_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], GUARD_OPTION) == 0)
        guard_main();
    if (!config_parse(&config, argc, argv, &status))
        return status;
    return router_main(&config);
}
