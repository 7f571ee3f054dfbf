
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_RENDER_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_RENDER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_canary_snapshot.h"

#include "ngx_http_canary_dialect.h"


ngx_int_t ngx_http_canary_api_endpoint(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);
void ngx_http_canary_render_endpoint(cJSON *object,
    ngx_canary_snapshot_t *snapshot, ngx_pool_t *pool, int *failed);


/* that which answers; null: it has no endpoints */
void ngx_http_canary_render_configuration(cJSON *object,
    ngx_canary_main_conf_t *cmcf, int *failed);

/* sends it with this status; not durable: its last change is not */
ngx_int_t ngx_http_canary_api_send_endpoint(ngx_http_request_t *r,
    ngx_uint_t status, ngx_canary_endpoint_t *endpoint, ngx_uint_t durable);

void ngx_http_canary_render_name(cJSON *object, const char *name,
    ngx_str_t *text, ngx_pool_t *pool, int *failed);
void ngx_http_canary_render_line(cJSON *object, const char *name,
    const u_char *text, ngx_pool_t *pool, int *failed);

/* which configuration it is that answers */
void ngx_http_canary_render_configuration(cJSON *object,
    ngx_canary_main_conf_t *cmcf, int *failed);

/* RFC 3339, UTC; with milliseconds or without */
void ngx_http_canary_render_time(cJSON *object, const char *name,
    uint64_t time, ngx_uint_t ms, int *failed);


#endif /* _NGX_HTTP_CANARY_API_RENDER_H_INCLUDED_ */
