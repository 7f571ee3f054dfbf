
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_RESTORE_H_INCLUDED_
#define _NGX_CANARY_RESTORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_state.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* what a state file says, put into the zone */


/* into a zone that knows nothing; when the configuration is certain */
void ngx_canary_restore(ngx_canary_main_conf_t *cmcf, ngx_log_t *log);

/* the rollout of one endpoint, see ngx_canary_adopt(): what does not fit is
   said */
ngx_int_t ngx_canary_restore_endpoint(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_state_endpoint_t *from,
    ngx_log_t *log);

/* what another nginx has written; "own" if from now on we do; returns whether
   the file is one that another nginx has written */
ngx_uint_t ngx_canary_follow(ngx_canary_main_conf_t *cmcf,
    ngx_uint_t own, uint64_t now, ngx_log_t *log);


#endif /* _NGX_CANARY_RESTORE_H_INCLUDED_ */
