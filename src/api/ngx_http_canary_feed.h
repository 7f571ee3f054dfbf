
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_FEED_H_INCLUDED_
#define _NGX_HTTP_CANARY_FEED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"


/*
 * Answers that grow with what there is, as lists of endpoints do, are made in
 * turns: a part of the text is made when the client has been sent the one
 * before it.  What stands in it is as it was when that part was made.
 */


/* a turn ends after so many */

#define NGX_HTTP_CANARY_PART   32768   /* bytes, */
#define NGX_HTTP_CANARY_ITEMS  64      /* items, */
#define NGX_HTTP_CANARY_TURN   1000    /* microseconds of the processor */


typedef struct ngx_http_canary_feed_s  ngx_http_canary_feed_t;

/*
 * Adds the next item to the text, or nothing.  NGX_DONE: it was the last one,
 * and something was added; NGX_ERROR: no memory.
 */

typedef ngx_int_t (*ngx_http_canary_feed_pt)(ngx_http_canary_feed_t *feed);


struct ngx_http_canary_feed_s {
    ngx_queue_t                   queue;
    ngx_http_request_t           *request;
    ngx_canary_main_conf_t       *main;
    ngx_cycle_t                  *cycle;     /* in which it began */
    const ngx_str_t              *type;
    ngx_http_canary_feed_pt       next;
    ngx_pool_t                   *pool;      /* of this turn only */
    ngx_buf_t                     buf;       /* the part, allocated apart */
    ngx_chain_t                   out;
    unsigned                      queued:1;
    unsigned                      begun:1;   /* the header has been sent, */
    unsigned                      ended:1;   /* this is the last part */
};


/* with room for "size" bytes, of which it is the first; NULL: no memory */
ngx_http_canary_feed_t *ngx_http_canary_feed_create(ngx_http_request_t *r,
    size_t size, const ngx_str_t *type, ngx_http_canary_feed_pt next);

/* the answer of a content handler: the request will be finalized */
ngx_int_t ngx_http_canary_feed_start(ngx_http_canary_feed_t *feed);

/* at least that many bytes behind the text, which ends at feed->buf.last;
   NULL: no memory */
u_char *ngx_http_canary_feed_room(ngx_http_canary_feed_t *feed, size_t size);


#endif /* _NGX_HTTP_CANARY_FEED_H_INCLUDED_ */
