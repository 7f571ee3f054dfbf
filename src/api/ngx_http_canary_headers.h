
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_HEADERS_H_INCLUDED_
#define _NGX_HTTP_CANARY_HEADERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* What headers of a request say. */


/* the first one of that name after another, or of all; NULL: there is none */
ngx_table_elt_t *ngx_http_canary_next_header(ngx_http_request_t *r,
    const char *name, ngx_table_elt_t *after);

#define ngx_http_canary_find_header(r, name)                                  \
    ngx_http_canary_next_header(r, name, NULL)

/* whether they say that a page of another site has sent it */
ngx_uint_t ngx_http_canary_cross_site(ngx_http_request_t *r);

/* whether Accept prefers text/html to application/json */
ngx_uint_t ngx_http_canary_accepts_html(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_HEADERS_H_INCLUDED_ */
