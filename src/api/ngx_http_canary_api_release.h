
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_RELEASE_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_RELEASE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "canary_rollout.h"

#include "ngx_canary_snapshot.h"


/* adds a release to a list */


void ngx_http_canary_render_release(cJSON *list,
    ngx_canary_release_view_t *release, const canary_rollout_t *rollout,
    ngx_pool_t *pool, int *failed);


#endif /* _NGX_HTTP_CANARY_API_RELEASE_H_INCLUDED_ */
