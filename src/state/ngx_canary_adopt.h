
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_ADOPT_H_INCLUDED_
#define _NGX_CANARY_ADOPT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_state_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* of one endpoint, under the lock */


/* makes it what the file says, but for the events of one that is idle: the
   tests of a step begin anew, save what budgets have spent; NGX_DECLINED: the
   zone is too full for the rollout, which is rolled back; NGX_ERROR: even for
   the names of the releases, so nothing is done */
ngx_int_t ngx_canary_adopt(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_state_endpoint_t *from,
    uint64_t now, ngx_log_t *log);

/* the record that this would make, and the places of its releases, nothing
   more; NGX_ERROR: the zone is too full for their names */
ngx_int_t ngx_canary_adopt_record(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, ngx_canary_record_t *next,
    canary_state_endpoint_t *from, uint64_t now);

/* the events of one that is idle; NGX_ERROR: the zone is full */
ngx_int_t ngx_canary_adopt_history(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_state_endpoint_t *from);

/* what the file has gained since it was last seen: of totals (NGX_ERROR: the
   zone is full), and of what budgets have spent in the same rollout */
ngx_int_t ngx_canary_adopt_totals(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_state_endpoint_t *from);
void ngx_canary_adopt_spent(ngx_canary_shared_t *shared,
    canary_state_endpoint_t *from);

/* nothing: this nginx has written it */
void ngx_canary_adopt_seen(ngx_canary_shared_t *shared,
    canary_state_endpoint_t *from);


#endif /* _NGX_CANARY_ADOPT_H_INCLUDED_ */
