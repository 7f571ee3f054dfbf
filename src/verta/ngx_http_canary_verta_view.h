
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_VERTA_VIEW_H_INCLUDED_
#define _NGX_HTTP_CANARY_VERTA_VIEW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_event.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* An endpoint, and how it came to what it is. */

typedef struct {
    ngx_canary_record_t           record;
    ngx_uint_t                    settled;   /* how the last rollout ended is
                                                not told any more */
    uint64_t                      ended;     /* or halted: ms since 1970, */
    uint64_t                      ago;       /* and until now */
    uint64_t                      updated;   /* ms since 1970 */
    ngx_uint_t                    direct;    /* the last update was */
    u_char                        reason[CANARY_REASON_SIZE];
                                             /* of the end or the halt */
} ngx_http_canary_verta_view_t;


void ngx_http_canary_verta_look(ngx_canary_endpoint_t *endpoint,
    ngx_http_canary_verta_view_t *view);


#endif /* _NGX_HTTP_CANARY_VERTA_VIEW_H_INCLUDED_ */
