
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_NEWS_H_INCLUDED_
#define _NGX_HTTP_CANARY_NEWS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


/* Of some events; freed when neither streams nor the news use it. */

typedef struct {
    ngx_uint_t                      users;
    size_t                          len;
    u_char                          data[];
} ngx_http_canary_events_text_t;


/* What streams that are equally far are sent next: good for one round. */

typedef struct {
    uint64_t                        after;
    uint64_t                        upto;
    ngx_http_canary_events_text_t  *text;   /* NULL: there is none yet */
    ngx_uint_t                      made;   /* texts, ever */
} ngx_http_canary_news_t;


/* those after an event, if they are not there; NGX_ERROR: no memory */
ngx_int_t ngx_http_canary_make_news(ngx_http_canary_news_t *news,
    ngx_canary_main_conf_t *cmcf, uint64_t after);

/* one user less; NULL is none */
void ngx_http_canary_leave_text(ngx_http_canary_events_text_t **text);


#endif /* _NGX_HTTP_CANARY_NEWS_H_INCLUDED_ */
