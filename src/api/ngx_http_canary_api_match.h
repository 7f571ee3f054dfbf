
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_MATCH_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_MATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_str_t                    *if_match;  /* value of the header or NULL */
    uint64_t                      expected;  /* what the change starts from */
    unsigned                      pinned:1;  /* has to be the present one */

    unsigned                      refused:1; /* result: by If-Match */
    uint64_t                      present;   /* result */
} ngx_http_canary_match_t;


/* for ngx_canary_change_t: neither allocates nor locks */
ngx_uint_t ngx_http_canary_match(void *data, uint64_t generation);


#endif /* _NGX_HTTP_CANARY_API_MATCH_H_INCLUDED_ */
