
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_SSE_H
#define CTL_SSE_H


#include "ctl_text.h"


#define CTL_SSE_MAX  (1u << 20)           /* bytes of an event */


/*
 * A stream of server-sent events, as the HTML standard has it (9.2.6), taken
 * apart: it is fed in pieces of any size, and each event that has data is
 * handed on.  The id is the last one that was given; "" is none.  An event of
 * more than CTL_SSE_MAX bytes, or as much without the end of a line, ends it:
 * from then on nothing is taken.
 */

typedef void (*ctl_sse_pt)(void *data, const char *id, const char *text);


typedef struct {
    ctl_sse_pt   handler;
    void        *data;

    ctl_text_t   line;
    ctl_text_t   text;
    ctl_text_t   id;
    int          has_text;
    int          cr;                      /* the last byte was one */
    int          begun;                   /* a mark of byte order is past */
    int          too_long;
} ctl_sse_t;


void ctl_sse_init(ctl_sse_t *sse, ctl_sse_pt handler, void *data);

/* Returns 0 if an event is too long. */

int ctl_sse_feed(ctl_sse_t *sse, const char *bytes, size_t len);

void ctl_sse_free(ctl_sse_t *sse);


#endif /* CTL_SSE_H */
