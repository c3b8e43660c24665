/* Signatures for the script: core.hmac. */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdio.h>

#include "script/module.h"
#include "script/vm.h"

/* core.hmac(algorithm, key, data) -> hex digits, or nil when the algorithm is not known */
static int l_hmac(lua_State *L)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned length = 0;
    size_t key_length, data_length;
    const EVP_MD *algorithm = EVP_get_digestbyname(luaL_checkstring(L, 1));
    const char *key = luaL_checklstring(L, 2, &key_length);
    const char *data = luaL_checklstring(L, 3, &data_length);
    if (algorithm == NULL || HMAC(algorithm, key, (int)key_length, (const unsigned char *)data,
                                  data_length, digest, &length) == NULL)
        return 0;
    for (unsigned i = 0; i < length; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    lua_pushlstring(L, text, 2 * (size_t)length);
    return 1;
}

void digest_open_module(lua_State *L)
{
    lua_pushcfunction(L, l_hmac);
    lua_setfield(L, -2, "hmac");
}
