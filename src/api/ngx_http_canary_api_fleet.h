
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_FLEET_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_FLEET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_dialect.h"


/* GET fleet */
ngx_int_t ngx_http_canary_api_fleet(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);

/* "fleet" of an endpoint; nothing without one */
void ngx_http_canary_render_fleet(cJSON *object, ngx_canary_main_conf_t *cmcf,
    int *failed);

/* "nodes" of an endpoint: what each has served of the step, as far as the
   leader has told; nothing without a fleet */
void ngx_http_canary_render_nodes(cJSON *object,
    ngx_canary_endpoint_t *endpoint, ngx_pool_t *pool, int *failed);

/* 404 */
ngx_int_t ngx_http_canary_no_fleet(ngx_http_request_t *r);


#endif /* _NGX_HTTP_CANARY_API_FLEET_H_INCLUDED_ */
