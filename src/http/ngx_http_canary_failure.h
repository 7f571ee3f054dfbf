
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_FAILURE_H_INCLUDED_
#define _NGX_HTTP_CANARY_FAILURE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_shared.h"
#include "ngx_canary_attempt_layout.h"


/*
 * What there is to say of an attempt that has just failed: for the shell of an
 * endpoint, see ngx_canary_endpoint.h.
 */

void ngx_http_canary_describe(ngx_canary_attempt_t *attempt,
    uint64_t elapsed, ngx_canary_failure_t *failure);


#endif /* _NGX_HTTP_CANARY_FAILURE_H_INCLUDED_ */
