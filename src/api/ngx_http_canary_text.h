
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_TEXT_H_INCLUDED_
#define _NGX_HTTP_CANARY_TEXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>



/* text and times of nginx in JSON, for all dialects */


/* what is no valid UTF-8 is replaced */
void ngx_http_canary_render_name(cJSON *object, const char *name,
    ngx_str_t *text, ngx_pool_t *pool, int *failed);
void ngx_http_canary_render_line(cJSON *object, const char *name,
    const u_char *text, ngx_pool_t *pool, int *failed);

/* RFC 3339, UTC; with milliseconds or without */
void ngx_http_canary_render_time(cJSON *object, const char *name,
    uint64_t time, ngx_uint_t ms, int *failed);


#endif /* _NGX_HTTP_CANARY_TEXT_H_INCLUDED_ */
