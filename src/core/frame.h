#ifndef SSE_CORE_FRAME_H
#define SSE_CORE_FRAME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

/* An event, encoded once: immutable, reference-counted, shared by every log, thread and socket. Its
 * bytes are the exact ones for the wire, as one chunk of HTTP/1.1's chunked coding (RFC 9112, 7.1);
 * the payload inside is what a close-delimited response carries. */

enum frame_flags {
    FRAME_JSON = 1,      /* the data was a table of the script's: filters see it decoded */
    FRAME_TOMBSTONE = 2, /* deletes its key */
    FRAME_OWN_ID = 4,    /* the id is the script's own, not epoch and sequence */
};

struct frame_part {
    uint32_t offset; /* in frame.bytes */
    uint32_t length;
};

struct frame {
    atomic_uint references;
    uint32_t flags;
    uint64_t sequence;
    int64_t retry; /* milliseconds, negative for none */
    int64_t time;  /* publication, milliseconds since 1970 */
    uint32_t wire_length;
    struct frame_part payload;
    struct frame_part id;
    struct frame_part name;
    struct frame_part key;  /* behind the wire bytes, as is meta */
    struct frame_part meta; /* JSON, or empty; never sent */
    char bytes[];
};

/* What a frame is made of. Slices are borrowed and empty when absent; id.data is NULL for no id.
 * The text must have passed event_stream_check. */
struct frame_source {
    struct slice id;
    struct slice name;
    struct slice data;
    struct slice key;
    struct slice meta;
    int64_t retry; /* milliseconds, negative for none */
    int64_t time;
    uint64_t sequence;
    uint32_t flags;
};

/* A frame with one reference, which is the caller's. */
struct frame *frame_new(const struct frame_source *source);
/* A frame of ready-made event-stream text (comments, retry). Sequence 0 stands for none: such a
 * frame moves no cursor. */
struct frame *frame_of_text(struct slice text, uint64_t sequence);

struct frame *frame_ref(struct frame *frame);
/* May be called with NULL. Any thread. */
void frame_unref(struct frame *frame);

static inline struct slice frame_part(const struct frame *frame, struct frame_part part)
{
    return slice_of(frame->bytes + part.offset, part.length);
}

/* The bytes to send: chunked, or the bare payload. */
static inline struct slice frame_wire(const struct frame *frame, bool chunked)
{
    return chunked ? slice_of(frame->bytes, frame->wire_length) : frame_part(frame, frame->payload);
}

/* Appends the event's data as it was published (CR and CRLF have become LF). */
void frame_data(const struct frame *frame, struct buffer *out);

/* The bytes of memory that the frame costs. */
size_t frame_memory(const struct frame *frame);

#endif
