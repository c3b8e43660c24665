#ifndef SSE_SCRIPT_LEASH_H
#define SSE_SCRIPT_LEASH_H

/* How children of sse.exec die with the router, whatever ends it. The kernel kills a process when
 * its parent dies, but only a process can ask for that, for itself; so the router starts its own
 * binary, which asks and then becomes the program: sse-router --child-of PID -- PROGRAM
 * [ARGUMENT...]
 */

#define LEASH_OPTION "--child-of"

/* The arguments are main's, the first of them LEASH_OPTION. Becomes the program, or ends the
 * process with 127. */
_Noreturn void leash_main(int argc, char **argv);

#endif
