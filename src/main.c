#include "app/router.h"

int main(int argc, char **argv)
{
    struct config config;
    int status;
    if (!config_parse(&config, argc, argv, &status))
        return status;
    return router_main(&config);
}
