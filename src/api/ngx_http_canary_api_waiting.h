
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_WAITING_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_WAITING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_canary_snapshot.h"


/*
 * "waiting_for", what a rollout waits for besides its clock: null, or the first
 * rule that holds it, the clean attempts that it needs, and the reason in
 * words; no rule holds it if the file cannot be written, while stable is away,
 * or if a person is awaited.
 */


void ngx_http_canary_render_waiting(cJSON *object,
    ngx_canary_snapshot_t *snapshot, int *failed);


#endif /* _NGX_HTTP_CANARY_API_WAITING_H_INCLUDED_ */
