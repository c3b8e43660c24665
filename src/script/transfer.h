#ifndef SSE_SCRIPT_TRANSFER_H
#define SSE_SCRIPT_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/list.h"

/* Outgoing HTTP requests: libcurl's multi interface on the loop. Knows nothing of Lua. */

/* Connections are kept and used again within one client. */
struct client;

struct client *client_open(uv_loop_t *loop);
struct client *client_ref(struct client *client);
/* Its transfers hold it, too; with the last of all it closes in the loop. May be called with NULL.
 */
void client_unref(struct client *client);

/* Something has come: the head, bytes of the body, or the end. Comes from the loop, never from
 * within a call of this file; may close the transfer and start others. */
typedef void (*transfer_ready_fn)(void *context);

/* Texts are borrowed for the call of transfer_open. */
struct transfer_options {
    const char *url;
    const char *method;
    struct slice body;          /* data NULL for none */
    struct curl_slist *headers; /* taken */
    const char *ca;             /* a file of certificates, or NULL for the system's */
    bool insecure;              /* takes any certificate */
    bool identity;              /* asks for no compression */
    long timeout;               /* milliseconds for all; 0 for no limit */
    long connect_timeout;       /* milliseconds */
    long follow;                /* redirects */
};

struct transfer {
    struct list link; /* in client.ready */
    struct client *client;
    CURL *easy;
    struct curl_slist *headers;
    char *request_body;
    transfer_ready_fn ready;
    void *context;
    struct buffer head; /* the last response's, with its status line */
    struct buffer body; /* not read yet; the reader consumes it */
    long follow;
    bool redirects; /* the head is of a response that is followed elsewhere */
    bool has_head;
    bool paused;
    bool done;
    CURLcode result; /* when it is done */
    int system_error;
    char error[CURL_ERROR_SIZE];
};

struct transfer *transfer_open(struct client *client, const struct transfer_options *options);
/* Who is told from now on; nobody when `ready` is NULL, as in the beginning. */
void transfer_attend(struct transfer *transfer, transfer_ready_fn ready, void *context);
void transfer_close(struct transfer *transfer);

/* The body was read: more of it may come. */
void transfer_resume(struct transfer *transfer);

long transfer_status(const struct transfer *transfer);
/* Where the response came from, after redirects. */
const char *transfer_url(const struct transfer *transfer);
/* What went wrong with a transfer that is done: a sentence, and a code such as "ETIMEDOUT". */
const char *transfer_message(const struct transfer *transfer);
const char *transfer_code(const struct transfer *transfer);

#endif
