
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_api_body.h"

#include "ngx_http_canary_dialect.h"
#include "ngx_http_canary_refuse.h"


/* of a request whose body has not come whole */

typedef struct {
    ngx_buf_t                        *text;      /* what has come */
    ngx_http_client_body_handler_pt   handler;
} ngx_http_canary_body_t;


static void ngx_http_canary_body_begun(ngx_http_request_t *r);
static ngx_http_canary_body_t *ngx_http_canary_find_body(
    ngx_http_request_t *r);
static void ngx_http_canary_body_cleanup(void *data);
static ngx_int_t ngx_http_canary_body_buffer(ngx_http_request_t *r,
    ngx_http_canary_body_t *body);
static void ngx_http_canary_body_event(ngx_http_request_t *r);
static ngx_int_t ngx_http_canary_body_take(ngx_http_request_t *r,
    ngx_buf_t *text);
static void ngx_http_canary_body_done(ngx_http_request_t *r,
    ngx_http_canary_body_t *body);
static off_t ngx_http_canary_api_body_size(ngx_http_request_t *r);
static ngx_int_t ngx_http_canary_api_copy(ngx_buf_t *b, u_char *p);


/*
 * Piece by piece, as for a proxy without buffering: nginx's own limit answers
 * with a page of HTML, and what has none is written to a disk without end.
 */

ngx_int_t
ngx_http_canary_api_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler)
{
    ngx_int_t                rc;
    ngx_pool_cleanup_t      *cln;
    ngx_http_canary_body_t  *body;

    if (r->headers_in.content_length_n
        > ngx_http_canary_location(r)->body_max)
    {
        return ngx_http_canary_refuse_size(r);
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_canary_body_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_canary_body_cleanup;

    body = cln->data;
    body->text = NULL;
    body->handler = handler;

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_canary_body_begun);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* It may be here already, for a subrequest or after a redirect too. */

static void
ngx_http_canary_body_begun(ngx_http_request_t *r)
{
    ngx_http_canary_body_t  *body;

    body = ngx_http_canary_find_body(r);

    if (!r->reading_body) {
        body->handler(r);
        return;
    }

    if (ngx_http_canary_body_buffer(r, body) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    r->read_event_handler = ngx_http_canary_body_event;

    ngx_http_canary_body_event(r);
}


/* the context of the module is that of a request to an endpoint */

static ngx_http_canary_body_t *
ngx_http_canary_find_body(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    cln = r->pool->cleanup;

    while (cln->handler != ngx_http_canary_body_cleanup) {
        cln = cln->next;
    }

    return cln->data;
}


/* Nothing is left to do: it is there to be found by. */

static void
ngx_http_canary_body_cleanup(void *data)
{
}


static ngx_int_t
ngx_http_canary_body_buffer(ngx_http_request_t *r,
    ngx_http_canary_body_t *body)
{
    off_t  size;

    size = r->headers_in.content_length_n;

    if (r->headers_in.chunked || size < 0) {
        size = ngx_http_canary_location(r)->body_max;
    }

    body->text = ngx_create_temp_buf(r->pool, (size_t) ngx_max(size, 1));

    return body->text ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_canary_body_event(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_canary_body_t  *body;

    body = ngx_http_canary_find_body(r);

    for ( ;; ) {

        if (ngx_http_canary_body_take(r, body->text) != NGX_OK) {
            ngx_http_finalize_request(r, ngx_http_canary_refuse_size(r));
            return;
        }

        if (!r->reading_body) {
            ngx_http_canary_body_done(r, body);
            return;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc != NGX_OK && rc != NGX_AGAIN) {
            ngx_http_finalize_request(r, rc);
            return;
        }

        if (r->reading_body && r->request_body->bufs == NULL) {
            return;
        }
    }
}


/* What was taken, nginx reads into again. */

static ngx_int_t
ngx_http_canary_body_take(ngx_http_request_t *r, ngx_buf_t *text)
{
    size_t        size;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    while (r->request_body->bufs) {

        cl = r->request_body->bufs;
        b = cl->buf;
        size = b->last - b->pos;

        if (size > (size_t) (text->end - text->last)) {
            return NGX_DECLINED;
        }

        text->last = ngx_cpymem(text->last, b->pos, size);
        b->pos = b->last;

        r->request_body->bufs = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    return NGX_OK;
}


static void
ngx_http_canary_body_done(ngx_http_request_t *r, ngx_http_canary_body_t *body)
{
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    cl->buf = body->text;
    cl->next = NULL;

    r->request_body->bufs = cl;
    r->read_event_handler = ngx_http_block_reading;

    body->handler(r);
}


/* The body may be in several buffers, in a temporary file, or in both. */

ngx_int_t
ngx_http_canary_api_body(ngx_http_request_t *r, ngx_str_t *text)
{
    off_t         size;
    u_char       *p;
    ngx_chain_t  *cl;

    size = ngx_http_canary_api_body_size(r);

    if (size > ngx_http_canary_location(r)->body_max) {
        return NGX_DECLINED;
    }

    text->len = (size_t) size;

    text->data = ngx_pnalloc(r->pool, text->len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = text->data;
    cl = r->request_body ? r->request_body->bufs : NULL;

    for ( /* void */ ; cl; cl = cl->next) {

        if (ngx_http_canary_api_copy(cl->buf, p) != NGX_OK) {
            return NGX_ERROR;
        }

        p += ngx_buf_size(cl->buf);
    }

    *p = '\0';

    return NGX_OK;
}


static off_t
ngx_http_canary_api_body_size(ngx_http_request_t *r)
{
    off_t         size;
    ngx_chain_t  *cl;

    size = 0;

    /* a subrequest may be without a body altogether */

    cl = r->request_body ? r->request_body->bufs : NULL;

    for ( /* void */ ; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    return size;
}


static ngx_int_t
ngx_http_canary_api_copy(ngx_buf_t *b, u_char *p)
{
    size_t   size;
    ssize_t  n;

    size = (size_t) ngx_buf_size(b);

    if (ngx_buf_in_memory(b)) {
        ngx_memcpy(p, b->pos, size);
        return NGX_OK;
    }

    if (size == 0) {
        return NGX_OK;
    }

    n = ngx_read_file(b->file, p, size, b->file_pos);

    return (n == (ssize_t) size) ? NGX_OK : NGX_ERROR;
}
