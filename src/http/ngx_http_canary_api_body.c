
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_api.h"


static off_t ngx_http_canary_api_body_size(ngx_http_request_t *r);
static ngx_int_t ngx_http_canary_api_copy(ngx_buf_t *b, u_char *p);


/* The body may be in several buffers, in a temporary file, or in both. */

ngx_int_t
ngx_http_canary_api_body(ngx_http_request_t *r, ngx_str_t *text)
{
    off_t         size;
    u_char       *p;
    ngx_chain_t  *cl;

    size = ngx_http_canary_api_body_size(r);

    if (size > NGX_HTTP_CANARY_BODY_MAX) {
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
