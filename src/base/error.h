#ifndef SSE_BASE_ERROR_H
#define SSE_BASE_ERROR_H

/* The program's own error codes. Functions that can fail return 0 or a negative code: one of
 * libuv's (UV_E..., which are negated errno values and UV_EOF) or one of these, which start below
 * libuv's range so that one int carries both. */

#define ERROR_LIST(X)                                                                              \
    X(ERROR_BAD_REQUEST, "the request is malformed")                                               \
    X(ERROR_BAD_FRAMING, "the request could be read in two ways")                                  \
    X(ERROR_HEAD_TOO_LARGE, "the request line and headers are larger than the limit")              \
    X(ERROR_BODY_TOO_LARGE, "the request body is larger than the limit")                           \
    X(ERROR_EXPECTATION, "the expectation is not supported")                                       \
    X(ERROR_CODING, "the transfer coding is not supported")                                        \
    X(ERROR_METHOD, "the request method is not supported")                                         \
    X(ERROR_VERSION, "the HTTP version is not supported")                                          \
    X(ERROR_TIMEOUT, "the request did not arrive in time")                                         \
    X(ERROR_LINE_BREAK, "a line break or NUL is not allowed here")                                 \
    X(ERROR_EVENT_ID,                                                                              \
      "an event's id comes back in a header, so it has at most 4096 bytes, no control "            \
      "characters, and no space at its ends")                                                      \
    X(ERROR_START_ID,                                                                              \
      "an event's id may not be a starting point: earliest, latest, last=, since=")                \
    X(ERROR_UTF8, "the text is not valid UTF-8")                                                   \
    X(ERROR_EVENT_TOO_LARGE, "the event is larger than the limit")                                 \
    X(ERROR_MEMORY_LIMIT, "a limit of memory is reached")                                          \
    X(ERROR_CHANNEL_LIMIT, "the limit of channels is reached")                                     \
    X(ERROR_CLOSED, "it is closed")

enum error {
    ERROR_BASE = -10000,
#define X(name, text) name,
    ERROR_LIST(X)
#undef X
};

/* A sentence for one of our codes, or NULL when the code is not ours (ask uv_strerror then).
 * Static storage. */
const char *error_text(int code);

#endif
