/* Files for the script's responses: core.file_open. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "script/file.h"
#include "script/module.h"
#include "script/vm.h"

int file_take(lua_State *L, int index)
{
    int *file = luaL_checkudata(L, index, "sse.file");
    int descriptor = *file;
    *file = -1;
    return descriptor;
}

static int fail(lua_State *L, int error)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {{ENOENT, "ENOENT"}, {EACCES, "EACCES"},       {EISDIR, "EISDIR"},
                 {EXDEV, "ENOENT"},  {ENOTDIR, "ENOENT"},      {ELOOP, "ENOENT"},
                 {EPERM, "EACCES"},  {ENAMETOOLONG, "ENOENT"}, {EMFILE, "EMFILE"}};
    const char *code = "EIO";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].number == error)
            code = names[i].name;
    }
    lua_pushnil(L);
    lua_pushstring(L, strerror(error));
    lua_pushstring(L, code);
    return 3;
}

/* Opens `path` strictly below the folder: no "..", no absolute path, no symbolic link leads out
 * (openat2, RESOLVE_BENEATH). */
static int open_below(const char *folder, const char *path)
{
    int root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -errno;
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int file = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    int error = -errno;
    close(root);
    return file < 0 ? error : file;
}

/* core.file_open(folder, path) -> file, size, mtime, its nanoseconds; or nil, message, code */
static int l_file_open(lua_State *L)
{
    const char *folder = luaL_checkstring(L, 1);
    const char *path = luaL_checkstring(L, 2);
    struct stat status;
    int *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = -1;
    luaL_setmetatable(L, "sse.file");
    int file = open_below(folder, path);
    if (file < 0)
        return fail(L, -file);
    *box = file;
    int error = fstat(file, &status) < 0   ? errno
                : S_ISDIR(status.st_mode)  ? EISDIR
                : !S_ISREG(status.st_mode) ? ENOENT
                                           : 0;
    if (error != 0) {
        /* Not left to the garbage collector, which does not know that descriptors are few. */
        *box = -1;
        close(file);
        return fail(L, error);
    }
    lua_pushinteger(L, (lua_Integer)status.st_size);
    lua_pushinteger(L, (lua_Integer)status.st_mtim.tv_sec);
    lua_pushinteger(L, (lua_Integer)status.st_mtim.tv_nsec);
    return 4;
}

/* file:close(), also when it is collected */
static int l_file_close(lua_State *L)
{
    int descriptor = file_take(L, 1);
    if (descriptor >= 0)
        close(descriptor);
    return 0;
}

void file_open_module(lua_State *L)
{
    static const luaL_Reg methods[] = {{"close", l_file_close}, {NULL, NULL}};
    lua_pushcfunction(L, l_file_open);
    lua_setfield(L, -2, "file_open");
    luaL_newmetatable(L, "sse.file");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_file_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, l_file_close);
    lua_setfield(L, -2, "__close");
    lua_pop(L, 1);
}
