#include "script/transfer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "script/clock.h"

enum {
    BODY_LIMIT = 262144, /* bytes that wait for a reader before the server has to wait, too */
    HEAD_LIMIT = 262144,
    PEER_SILENCE = 20, /* seconds after which a silent peer is asked whether it lives */
    PEER_INTERVAL = 10,
    PEER_PROBES = 3,
};

struct client {
    int references;
    uv_loop_t *loop;
    uv_timer_t timer;
    CURLM *multi;
    struct list ready; /* transfers that something has come for */
};

/* One of curl's sockets. */
struct watch {
    uv_poll_t handle;
    struct client *client;
    curl_socket_t socket;
};

/* Results */

static void mark(struct transfer *transfer)
{
    list_remove(&transfer->link);
    list_append(&transfer->client->ready, &transfer->link);
}

static void finish(struct transfer *transfer, CURLcode result)
{
    long number = 0;
    transfer->done = true;
    transfer->result = result;
    if (curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number) == CURLE_OK)
        transfer->system_error = (int)number;
    mark(transfer);
}

/* Tells the owners. curl may not be called from its own callbacks, and what an owner does calls it,
 * so this comes after them. */
static void settle(struct client *client)
{
    struct list ready;
    CURLMsg *message;
    int left;
    client_ref(client);
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct transfer *transfer;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        finish(transfer, message->data.result);
    }
    list_init(&ready);
    list_move(&client->ready, &ready);
    while (!list_is_empty(&ready)) {
        struct transfer *transfer = CONTAINER_OF(ready.next, struct transfer, link);
        list_remove(&transfer->link);
        list_init(&transfer->link);
        if (transfer->body.length > BODY_LIMIT && !transfer->done && !transfer->paused) {
            transfer->paused = true;
            curl_easy_pause(transfer->easy, CURLPAUSE_RECV);
        }
        if (transfer->ready != NULL)
            transfer->ready(transfer->context);
    }
    client_unref(client);
}

/* Sockets and time */

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct watch *watch = CONTAINER_OF(handle, struct watch, handle);
    struct client *client = watch->client;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    int running;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(client->multi, watch->socket, flags, &running);
    settle(client);
}

static void on_timeout(uv_timer_t *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, timer);
    int running;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    settle(client);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct watch, handle));
}

/* What curl wants to know of a socket. */
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *socket_data)
{
    struct client *client = context;
    struct watch *watch = socket_data;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        curl_multi_assign(client->multi, socket, NULL);
        if (watch != NULL)
            uv_close((uv_handle_t *)&watch->handle, on_watch_closed);
        return 0;
    }
    if (watch == NULL) {
        watch = memory_zero(1, sizeof *watch);
        watch->client = client;
        watch->socket = socket;
        if (uv_poll_init_socket(client->loop, &watch->handle, socket) != 0) {
            free(watch);
            return -1;
        }
        curl_multi_assign(client->multi, socket, watch);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watch->handle, events, on_poll) == 0 ? 0 : -1;
}

static int on_timer(CURLM *multi, long timeout, void *context)
{
    struct client *client = context;
    (void)multi;
    if (timeout < 0) {
        uv_timer_stop(&client->timer);
        return 0;
    }
    clock_start_timer(&client->timer, on_timeout, (uint64_t)timeout, 0);
    return 0;
}

/* Life of a client */

struct client *client_open(uv_loop_t *loop)
{
    static bool initialised;
    if (!initialised)
        curl_global_init(CURL_GLOBAL_DEFAULT);
    initialised = true;
    struct client *client = memory_zero(1, sizeof *client);
    client->references = 1;
    client->loop = loop;
    list_init(&client->ready);
    uv_timer_init(loop, &client->timer);
    client->multi = curl_multi_init();
    if (client->multi == NULL)
        abort();
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    return client;
}

static void on_client_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, struct client, timer));
}

struct client *client_ref(struct client *client)
{
    client->references++;
    return client;
}

void client_unref(struct client *client)
{
    if (client == NULL || --client->references > 0)
        return;
    curl_multi_cleanup(client->multi);
    uv_close((uv_handle_t *)&client->timer, on_client_closed);
}

/* What comes */

static bool is_elsewhere(const struct transfer *transfer)
{
    long status = transfer_status(transfer);
    return transfer->redirects && transfer->follow > 0 && status >= 300 && status < 400;
}

/* One line of a head. Each response that leads to the last one has a head of its own; what comes
 * after the body is a trailer. */
static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t length = size * count;
    if (transfer->has_head)
        return length;
    if (length >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        buffer_clear(&transfer->head);
        transfer->redirects = false;
    }
    if (length > 9 && strncasecmp(data, "location:", 9) == 0)
        transfer->redirects = true;
    buffer_append(&transfer->head, data, length);
    if (transfer->head.length > HEAD_LIMIT)
        return 0;
    bool ends = length <= 2 && (data[0] == '\r' || data[0] == '\n');
    if (ends && transfer_status(transfer) >= 200 && !is_elsewhere(transfer)) {
        transfer->has_head = true;
        mark(transfer);
    }
    return length;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    buffer_append(&transfer->body, data, size * count);
    mark(transfer);
    return size * count;
}

/* A peer that vanished without a word is found. */
static int on_socket_made(void *context, curl_socket_t socket, curlsocktype purpose)
{
    int yes = 1, silence = PEER_SILENCE, interval = PEER_INTERVAL, probes = PEER_PROBES;
    (void)context;
    (void)purpose;
    setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &silence, sizeof silence);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    return CURL_SOCKOPT_OK;
}

/* Life of a transfer */

static void allow_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

/* POST becomes GET where a redirect says so, which a custom method would not. */
static void set_method(struct transfer *transfer, const struct transfer_options *options)
{
    CURL *easy = transfer->easy;
    bool has_body = options->body.data != NULL;
    if (has_body) {
        transfer->request_body = memory_copy(options->body.data, options->body.length);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->request_body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)options->body.length);
    }
    if (strcmp(options->method, "HEAD") == 0 && !has_body)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (strcmp(options->method, has_body ? "POST" : "GET") != 0)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, options->method);
}

static void set_limits(CURL *easy, const struct transfer_options *options)
{
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, options->timeout);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, options->connect_timeout);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, options->follow > 0 ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, options->follow);
}

static void set_options(struct transfer *transfer, const struct transfer_options *options)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_URL, options->url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
    if (!options->identity)
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    if (options->ca != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, options->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, options->insecure ? 0L : 2L);
    allow_protocols(easy);
    set_limits(easy, options);
    set_method(transfer, options);
}

struct transfer *transfer_open(struct client *client, const struct transfer_options *options)
{
    struct transfer *transfer = memory_zero(1, sizeof *transfer);
    list_init(&transfer->link);
    transfer->client = client_ref(client);
    transfer->headers = options->headers;
    transfer->follow = options->follow;
    transfer->easy = curl_easy_init();
    if (transfer->easy == NULL)
        abort();
    set_options(transfer, options);
    curl_multi_add_handle(client->multi, transfer->easy);
    return transfer;
}

void transfer_attend(struct transfer *transfer, transfer_ready_fn ready, void *context)
{
    transfer->ready = ready;
    transfer->context = context;
}

void transfer_close(struct transfer *transfer)
{
    struct client *client = transfer->client;
    list_remove(&transfer->link);
    curl_multi_remove_handle(client->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    buffer_deinit(&transfer->head);
    buffer_deinit(&transfer->body);
    free(transfer->request_body);
    free(transfer);
    client_unref(client);
}

void transfer_resume(struct transfer *transfer)
{
    if (!transfer->paused || transfer->done || transfer->body.length > BODY_LIMIT / 2)
        return;
    transfer->paused = false;
    curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
}

/* What is known */

long transfer_status(const struct transfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

const char *transfer_url(const struct transfer *transfer)
{
    const char *url = NULL;
    curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
    return url == NULL ? "" : url;
}

const char *transfer_message(const struct transfer *transfer)
{
    return transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(transfer->result);
}

const char *transfer_code(const struct transfer *transfer)
{
    switch (transfer->result) {
    case CURLE_OPERATION_TIMEDOUT:
        return "ETIMEDOUT";
    case CURLE_COULDNT_CONNECT:
        return transfer->system_error == 0 ? "ECONNREFUSED" : uv_err_name(-transfer->system_error);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "ENOTFOUND";
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return "EURL";
    case CURLE_TOO_MANY_REDIRECTS:
        return "EREDIRECT";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_SHUTDOWN_FAILED:
        return "ETLS";
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
        return "ECONNRESET";
    default:
        return "EPROTO";
    }
}
