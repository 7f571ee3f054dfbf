
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_DASHBOARD_H_INCLUDED_
#define _NGX_HTTP_CANARY_DASHBOARD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_dialect.h"


/*
 * The dashboard is one page, its style and its script, in src/api/page.
 * The build makes C of them, which is what is served: no file is opened.
 */

typedef struct {
    ngx_str_t                     etag;
    ngx_str_t                     body;
} ngx_http_canary_coded_t;


typedef struct {
    ngx_str_t                     type;
    ngx_http_canary_coded_t       plain;
    ngx_http_canary_coded_t       gzip;
} ngx_http_canary_file_t;


/* made by tools/embed */

extern ngx_http_canary_file_t  ngx_http_canary_page;
extern ngx_http_canary_file_t  ngx_http_canary_style;
extern ngx_http_canary_file_t  ngx_http_canary_script;


/* the page, or a redirect to where its relative links lead below it */
ngx_int_t ngx_http_canary_dashboard(ngx_http_request_t *r);

ngx_int_t ngx_http_canary_dashboard_style(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
ngx_int_t ngx_http_canary_dashboard_script(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);


#endif /* _NGX_HTTP_CANARY_DASHBOARD_H_INCLUDED_ */
