
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_EVENT_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_EVENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "canary_event.h"

#include "ngx_canary_endpoint.h"


ngx_int_t ngx_http_canary_api_events(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint);

void ngx_http_canary_render_event(cJSON *object,
    ngx_canary_endpoint_t *endpoint,
    const canary_event_t *event, int *failed);


#endif /* _NGX_HTTP_CANARY_API_EVENT_H_INCLUDED_ */
