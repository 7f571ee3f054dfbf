
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_EVENT_H_INCLUDED_
#define _NGX_HTTP_CANARY_EVENT_H_INCLUDED_


#include "ngx_http_canary_section.h"


/* An event of a change that has been decided, with all but its id. */

void ngx_http_canary_make_event(canary_event_t *event,
    ngx_http_canary_shared_t *shared, const canary_rollout_t *from,
    const canary_rollout_t *to, ngx_http_canary_change_t *change,
    const canary_figure_t *figures, ngx_uint_t nfigures);

void ngx_http_canary_log_event(canary_event_t *event,
    ngx_http_canary_shared_t *shared, ngx_log_t *log);


#endif /* _NGX_HTTP_CANARY_EVENT_H_INCLUDED_ */
