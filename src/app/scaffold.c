#include "app/scaffold.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/config.h"
#include "script/library.h"

static const char folder[] = "templates/";
static const char mark[] = "@NAME@"; /* in templates: the name without its folder */

struct scaffold {
    const char *template;
    char path[PATH_MAX]; /* of the script, without ".lua" */
    const char *name;    /* the last part of path */
};

static int refuse(const char *format, const char *text)
{
    fprintf(stderr, "sse-router: ");
    fprintf(stderr, format, text);
    fprintf(stderr, "\nusage: sse-router new NAME [--from TEMPLATE], with one of the templates");
    for (const struct library_file *file = library_files; file->name != NULL; file++) {
        const char *end = strstr(file->name, ".lua");
        if (strncmp(file->name, folder, sizeof folder - 1) == 0 && end != NULL)
            fprintf(stderr, " %.*s", (int)(end - file->name) - (int)(sizeof folder - 1),
                    file->name + sizeof folder - 1);
    }
    fprintf(stderr, "\n");
    return EXIT_USAGE;
}

static bool fail(const char *what, const char *path, const char *why)
{
    fprintf(stderr, "sse-router: %s '%s': %s\n", what, path, why);
    return false;
}

/* A name becomes part of texts in Lua, HTML and shell commands. */
static bool is_name(const char *name)
{
    static const char characters[] = "_-0123456789"
                                     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t length = strlen(name);
    return length > 0 && length <= 100 && strspn(name, characters) == length &&
           strspn(name, characters + sizeof "_-0123456789" - 1) > 0;
}

/* "news", "news.lua" and "feeds/news" are fine. */
static bool set_name(struct scaffold *scaffold, const char *given)
{
    size_t length = strlen(given);
    if (length > 4 && strcmp(given + length - 4, ".lua") == 0)
        length -= 4;
    if (length + sizeof ".html" > sizeof scaffold->path)
        return false;
    snprintf(scaffold->path, sizeof scaffold->path, "%.*s", (int)length, given);
    const char *slash = strrchr(scaffold->path, '/');
    scaffold->name = slash == NULL ? scaffold->path : slash + 1;
    return is_name(scaffold->name);
}

static const struct library_file *find_template(const char *template, const char *extension)
{
    char name[64];
    int length = snprintf(name, sizeof name, "%s%s%s", folder, template, extension);
    return length < (int)sizeof name ? library_find(name) : NULL;
}

static void write_text(FILE *out, const struct library_file *text, const char *name)
{
    const char *at = text->text, *next;
    while ((next = strstr(at, mark)) != NULL) {
        fwrite(at, 1, (size_t)(next - at), out);
        fputs(name, out);
        at = next + sizeof mark - 1;
    }
    fputs(at, out);
}

static bool write_file(const struct scaffold *scaffold, const char *extension)
{
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s%s", scaffold->path, extension);
    FILE *out = fopen(path, "wx");
    if (out == NULL)
        return fail(errno == EEXIST ? "will not overwrite" : "cannot write", path, strerror(errno));
    write_text(out, find_template(scaffold->template, extension), scaffold->name);
    bool ok = !ferror(out);
    if (fclose(out) != 0 || !ok) {
        fail("cannot write", path, strerror(errno));
        unlink(path);
        return false;
    }
    return true;
}

static int write_both(const struct scaffold *scaffold, const char *program)
{
    char script[PATH_MAX + 8];
    snprintf(script, sizeof script, "%s.lua", scaffold->path);
    if (!write_file(scaffold, ".lua"))
        return EXIT_RUN;
    if (!write_file(scaffold, ".html")) {
        unlink(script);
        return EXIT_RUN;
    }
    printf("wrote %s and %s.html\n"
           "next: %s --watch %s     and open http://127.0.0.1:8080/\n"
           "The script's first lines have more to try. Edit it and save: what runs follows.\n",
           script, scaffold->path, program, script);
    return 0;
}

int scaffold_main(const char *program, int argc, char **argv)
{
    static const struct option options[] = {{"from", required_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    struct scaffold scaffold = {.template = "feed"};
    int code;
    opterr = 0;
    while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (code != 'f')
            return refuse("%s is no option here, or its value is missing", argv[optind - 1]);
        scaffold.template = optarg;
    }
    if (optind == argc)
        return refuse("%s", "a name is missing");
    if (optind + 1 < argc)
        return refuse("one argument too many: '%s'", argv[optind + 1]);
    if (!set_name(&scaffold, argv[optind]))
        return refuse("a name begins with a letter and has letters, digits, _ and -: not '%s'",
                      argv[optind]);
    if (find_template(scaffold.template, ".lua") == NULL)
        return refuse("there is no template '%s'", scaffold.template);
    return write_both(&scaffold, program);
}
