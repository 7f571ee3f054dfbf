
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_body.h"

#include "ngx_http_canary_dialect.h"
#include "ngx_http_canary_refuse.h"


/* of a request whose body is read: the module's context of it */

typedef struct {
    ngx_buf_t                *text;      /* what has come */
    ngx_http_canary_body_pt   handler;
} ngx_http_canary_body_t;


static void ngx_http_canary_body_begun(ngx_http_request_t *r);
static ngx_int_t ngx_http_canary_body_copy(ngx_http_request_t *r);
static void ngx_http_canary_body_event(ngx_http_request_t *r);
static ngx_int_t ngx_http_canary_body_take(ngx_http_request_t *r,
    ngx_buf_t *text);
static ngx_int_t ngx_http_canary_body_keep(ngx_http_request_t *r,
    ngx_buf_t *text);
static void ngx_http_canary_body_done(ngx_http_request_t *r, ngx_int_t rc);


/*
 * Piece by piece, as for a proxy without buffering: nginx's own limit answers
 * with a page of HTML, and what has none is written to a disk without end.
 */

ngx_int_t
ngx_http_canary_body_read(ngx_http_request_t *r,
    ngx_http_canary_body_pt handler)
{
    ngx_int_t                rc;
    ngx_http_canary_body_t  *body;

    if (r->headers_in.content_length_n
        > ngx_http_canary_location(r)->body_max)
    {
        return ngx_http_canary_refuse_size(r);
    }

    body = ngx_palloc(r->pool, sizeof(ngx_http_canary_body_t));
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->handler = handler;

    ngx_http_set_ctx(r, body, ngx_http_canary_api_module);

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_canary_body_begun);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_canary_body_begun(ngx_http_request_t *r)
{
    off_t                    size;
    ngx_http_canary_body_t  *body;

    if (!r->reading_body) {
        ngx_http_canary_body_done(r, ngx_http_canary_body_copy(r));
        return;
    }

    size = r->headers_in.content_length_n;

    if (r->headers_in.chunked || size < 0) {
        size = ngx_http_canary_location(r)->body_max;
    }

    body = ngx_http_get_module_ctx(r, ngx_http_canary_api_module);

    body->text = ngx_create_temp_buf(r->pool, (size_t) size + 1);

    if (body->text == NULL) {
        ngx_http_canary_body_done(r, NGX_ERROR);
        return;
    }

    r->read_event_handler = ngx_http_canary_body_event;

    ngx_http_canary_body_event(r);
}


/*
 * It is here already, for a subrequest or after a redirect too: in several
 * buffers, in a temporary file, or in both.
 */

static ngx_int_t
ngx_http_canary_body_copy(ngx_http_request_t *r)
{
    off_t                    size;
    ngx_buf_t               *text;
    ngx_chain_t             *bufs, *cl;
    ngx_http_canary_body_t  *body;

    /* a subrequest may be without a body altogether */

    bufs = r->request_body ? r->request_body->bufs : NULL;

    for (size = 0, cl = bufs; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size > ngx_http_canary_location(r)->body_max) {
        return NGX_DECLINED;
    }

    text = ngx_create_temp_buf(r->pool, (size_t) size + 1);
    if (text == NULL) {
        return NGX_ERROR;
    }

    for (cl = bufs; cl; cl = cl->next) {
        size = ngx_buf_size(cl->buf);

        if (ngx_buf_in_memory(cl->buf)) {
            ngx_memcpy(text->last, cl->buf->pos, (size_t) size);

        } else if (size
                   && ngx_read_file(cl->buf->file, text->last, (size_t) size,
                                    cl->buf->file_pos)
                      != size)
        {
            return NGX_ERROR;
        }

        text->last += size;
    }

    body = ngx_http_get_module_ctx(r, ngx_http_canary_api_module);
    body->text = text;

    return NGX_OK;
}


static void
ngx_http_canary_body_event(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_canary_body_t  *body;

    body = ngx_http_get_module_ctx(r, ngx_http_canary_api_module);

    for ( ;; ) {
        rc = ngx_http_canary_body_take(r, body->text);

        if (rc == NGX_OK && !r->reading_body) {
            rc = ngx_http_canary_body_keep(r, body->text);
        }

        if (rc != NGX_OK || !r->reading_body) {
            ngx_http_canary_body_done(r, rc);
            return;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc != NGX_OK && rc != NGX_AGAIN) {
            ngx_http_canary_body_done(r, rc);
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

        /* a zero will follow */

        if (size >= (size_t) (text->end - text->last)) {
            return NGX_DECLINED;
        }

        text->last = ngx_cpymem(text->last, b->pos, size);
        b->pos = b->last;

        r->request_body->bufs = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    return NGX_OK;
}


/* for whoever comes after us, as by error_page */

static ngx_int_t
ngx_http_canary_body_keep(ngx_http_request_t *r, ngx_buf_t *text)
{
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = text;
    cl->next = NULL;

    r->request_body->bufs = cl;

    return NGX_OK;
}


/* NGX_DECLINED: it is too large; or a status */

static void
ngx_http_canary_body_done(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_str_t                text;
    ngx_http_canary_body_t  *body;

    /* after a redirect, as by error_page, there is no context any more */

    r->read_event_handler = ngx_http_block_reading;

    if (rc != NGX_OK) {
        rc = (rc == NGX_DECLINED) ? ngx_http_canary_refuse_size(r)
             : (rc == NGX_ERROR) ? NGX_HTTP_INTERNAL_SERVER_ERROR : rc;

        ngx_http_finalize_request(r, rc);
        return;
    }

    body = ngx_http_get_module_ctx(r, ngx_http_canary_api_module);

    text.data = body->text->pos;
    text.len = body->text->last - body->text->pos;
    text.data[text.len] = '\0';

    body->handler(r, &text);
}
