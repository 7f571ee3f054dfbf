
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


#endif /* _NGX_HTTP_CANARY_API_RENDER_H_INCLUDED_ */
