/* Looking at files for the sources of the Lua half: core.stat, core.list, core.reader. Regular
 * files of a local disk are read on the script's thread, in small pieces. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "script/module.h"
#include "script/vm.h"

enum { LARGEST_READ = 65536 };

static const char metatable[] = "sse.reader";

static int fail(lua_State *L, int error)
{
    char code[32];
    lua_pushnil(L);
    lua_pushstring(L, uv_strerror(-error));
    lua_pushstring(L, uv_err_name_r(-error, code, sizeof code));
    return 3;
}

static const char *kind_of(const struct stat *status)
{
    return S_ISREG(status->st_mode) ? "file" : S_ISDIR(status->st_mode) ? "directory" : "other";
}

static void push_identity(lua_State *L, const struct stat *status)
{
    char text[64];
    snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)status->st_dev, (uintmax_t)status->st_ino);
    lua_pushstring(L, text);
}

/* core.stat(path) -> "file", "directory" or "other"; size; what tells it from every other file. Or
 * nil, message, code
 */
static int l_stat(lua_State *L)
{
    struct stat status;
    if (stat(luaL_checkstring(L, 1), &status) != 0)
        return fail(L, errno);
    lua_pushstring(L, kind_of(&status));
    lua_pushinteger(L, (lua_Integer)status.st_size);
    push_identity(L, &status);
    return 3;
}

/* Directories change with their entries, which have stamps of their own. */
static void push_stamp(lua_State *L, const struct stat *status)
{
    char text[128];
    if (S_ISDIR(status->st_mode))
        snprintf(text, sizeof text, "d:%ju", (uintmax_t)status->st_ino);
    else
        snprintf(text, sizeof text, "f:%ju:%jd:%jd.%09ld", (uintmax_t)status->st_ino,
                 (intmax_t)status->st_size, (intmax_t)status->st_mtim.tv_sec,
                 status->st_mtim.tv_nsec);
    lua_pushstring(L, text);
}

/* core.list(path) -> { name = stamp } of a directory's entries, or nil, message, code. A stamp is
 * another text when the entry has changed, and begins with "d" for a directory. */
static int l_list(lua_State *L)
{
    struct dirent *entry;
    struct stat status;
    const char *path = luaL_checkstring(L, 1);
    DIR **box = lua_newuserdatauv(L, sizeof(DIR *), 0);
    *box = NULL;
    luaL_setmetatable(L, "sse.directory");
    DIR *directory = *box = opendir(path);
    if (directory == NULL)
        return fail(L, errno);
    lua_newtable(L);
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        push_stamp(L, &status);
        lua_setfield(L, -2, entry->d_name);
    }
    *box = NULL;
    closedir(directory);
    return 1;
}

/* Of a list that was left by an error. */
static int l_directory_gc(lua_State *L)
{
    DIR **box = luaL_checkudata(L, 1, "sse.directory");
    if (*box != NULL)
        closedir(*box);
    return 0;
}

/* core.reader(path) -> reader of a regular file, or nil, message, code */
static int l_reader(lua_State *L)
{
    struct stat status;
    const char *path = luaL_checkstring(L, 1);
    int *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = -1;
    luaL_setmetatable(L, metatable);
    *box = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*box < 0 || fstat(*box, &status) != 0)
        return fail(L, errno);
    if (S_ISREG(status.st_mode))
        return 1;
    lua_pushnil(L);
    lua_pushliteral(L, "not a regular file");
    lua_pushliteral(L, "EINVAL");
    return 3;
}

static int check(lua_State *L)
{
    int descriptor = *(int *)luaL_checkudata(L, 1, metatable);
    if (descriptor < 0)
        luaL_error(L, "the reader is closed");
    return descriptor;
}

/* reader:stat() -> size, what tells it from every other file; or nil, message, code */
static int l_reader_stat(lua_State *L)
{
    struct stat status;
    if (fstat(check(L), &status) != 0)
        return fail(L, errno);
    lua_pushinteger(L, (lua_Integer)status.st_size);
    push_identity(L, &status);
    return 2;
}

/* reader:read(position, length) -> bytes, fewer at the end of the file, and "" there; or nil,
 * message, code */
static int l_reader_read(lua_State *L)
{
    char block[LARGEST_READ];
    int descriptor = check(L);
    lua_Integer position = luaL_checkinteger(L, 2);
    lua_Integer length = luaL_optinteger(L, 3, LARGEST_READ);
    luaL_argcheck(L, length >= 0 && length <= LARGEST_READ, 3, "too large");
    ssize_t count = pread(descriptor, block, (size_t)length, (off_t)position);
    if (count < 0)
        return fail(L, errno);
    lua_pushlstring(L, block, (size_t)count);
    return 1;
}

/* reader:close(), also when it is collected */
static int l_reader_close(lua_State *L)
{
    int *box = luaL_checkudata(L, 1, metatable);
    if (*box >= 0)
        close(*box);
    *box = -1;
    return 0;
}

void disk_open_module(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"stat", l_stat}, {"list", l_list}, {"reader", l_reader}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"stat", l_reader_stat}, {"read", l_reader_read}, {"close", l_reader_close}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    luaL_newmetatable(L, "sse.directory");
    lua_pushcfunction(L, l_directory_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    module_define_type(L, metatable, methods, l_reader_close);
}
