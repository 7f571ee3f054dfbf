
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_WAITING_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_WAITING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>

#include "ngx_canary_snapshot.h"


void ngx_http_canary_render_waiting(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed);


#endif /* _NGX_HTTP_CANARY_API_WAITING_H_INCLUDED_ */
