
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_COLLECT_H_INCLUDED_
#define _NGX_CANARY_COLLECT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_state_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* what the state file has of the zone */


/* with the events that their file does not have yet; NULL: no memory, or the
   configuration was replaced meanwhile; *sequence: the last change that it
   has */
canary_state_t *ngx_canary_collect(ngx_canary_main_conf_t *cmcf,
    uint64_t *sequence);

/* under the lock: what a record of an endpoint has, and budgets */
void ngx_canary_collect_record(ngx_canary_shared_t *shared,
    const ngx_canary_record_t *record, canary_state_endpoint_t *to);

/* what was collected is not in the file */
void ngx_canary_not_seen(ngx_canary_main_conf_t *cmcf,
    const canary_state_t *state);

/* the file of events has what was collected of them */
void ngx_canary_has_events(ngx_canary_main_conf_t *cmcf,
    const canary_state_t *state);

/* under the lock: the file has that */
void ngx_canary_see_spent(ngx_canary_shared_t *shared,
    const canary_state_endpoint_t *endpoint);
ngx_canary_release_shared_t *ngx_canary_place_of(
    ngx_canary_shared_t *shared, const char *name);

/* attempts of the configuration's releases that were counted so far, of any
   kind: rises with each */
uint64_t ngx_canary_attempts(ngx_canary_main_conf_t *cmcf);


#endif /* _NGX_CANARY_COLLECT_H_INCLUDED_ */
