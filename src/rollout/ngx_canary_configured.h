
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_CONFIGURED_H_INCLUDED_
#define _NGX_CANARY_CONFIGURED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* What becomes of a rollout whose releases are not configured any more. */


/* under the lock: rolls back what has lost its release */
void ngx_canary_check_endpoints(ngx_canary_main_conf_t *cmcf, ngx_log_t *log);

/* under the lock: rolls back to that release, for a reason or because the
   canary or stable is no longer configured */
void ngx_canary_release_gone(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, ngx_uint_t stable, char *reason,
    ngx_log_t *log);


#endif /* _NGX_CANARY_CONFIGURED_H_INCLUDED_ */
