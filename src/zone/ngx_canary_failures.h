
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_FAILURES_H_INCLUDED_
#define _NGX_CANARY_FAILURES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* The last failed attempts of a rollout. */


/* adds an attempt that just failed in the rollout of that epoch, and says in
   which step it did; without memory it does nothing */
void ngx_canary_add_failure(ngx_canary_endpoint_t *endpoint,
    uint32_t epoch, ngx_canary_failure_t *failure);

/* as ngx_canary_event_before(); begins with those of the present or last
   rollout, and ends with them */
ngx_int_t ngx_canary_failure_before(ngx_canary_endpoint_t *endpoint,
    uint32_t *rollout, uint64_t *number, ngx_canary_failure_t *failure);

/* under the lock: copies those of another zone, if there is memory */
void ngx_canary_copy_failures(ngx_canary_shared_t *to,
    ngx_canary_shared_t *from);


#endif /* _NGX_CANARY_FAILURES_H_INCLUDED_ */
