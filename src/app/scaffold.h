#ifndef SSE_APP_SCAFFOLD_H
#define SSE_APP_SCAFFOLD_H

/* `sse-router new NAME [--from TEMPLATE]`: writes NAME.lua and NAME.html, a script and a page to
 * start from, out of the templates in the library (scripts/templates/). Never overwrites. */

/* `program` is how it was called, argv[0] is "new". Returns the program's exit status. */
int scaffold_main(const char *program, int argc, char **argv);

#endif
