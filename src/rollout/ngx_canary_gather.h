
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_GATHER_H_INCLUDED_
#define _NGX_CANARY_GATHER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_event.h"

#include "ngx_canary_endpoint.h"


/* Events of all endpoints. */


#define NGX_CANARY_BATCH       32


typedef struct {
    ngx_canary_endpoint_t        *endpoint;
    canary_event_t                event;
} ngx_canary_found_t;


typedef struct {
    ngx_uint_t                    n;
    uint64_t                      upto;     /* those up to this id are in it */
    ngx_canary_found_t           *order[NGX_CANARY_BATCH];
                                            /* the first n, by rising ids */
    ngx_canary_found_t            found[NGX_CANARY_BATCH];
} ngx_canary_batch_t;


/* those after an id, in their order */
void ngx_canary_gather(ngx_canary_main_conf_t *cmcf, uint64_t after,
    ngx_canary_batch_t *batch);


#endif /* _NGX_CANARY_GATHER_H_INCLUDED_ */
