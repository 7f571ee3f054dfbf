
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_RESTORE_H_INCLUDED_
#define _NGX_CANARY_RESTORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_state_file.h"
#include "canary_state_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"


/* what a state file says, put into the zone */


/* into a zone that knows nothing; when the configuration is certain.  Returns
   why nothing is known of an endpoint that was not restored, as the beginning
   of "... in DIRECTORY" */
const char *ngx_canary_restore(ngx_canary_main_conf_t *cmcf, ngx_log_t *log);

/* the rollout of one endpoint, see ngx_canary_adopt(): what does not fit is
   said */
ngx_int_t ngx_canary_restore_endpoint(ngx_canary_main_conf_t *cmcf,
    ngx_canary_shared_t *shared, canary_state_endpoint_t *from,
    ngx_log_t *log);

/* NULL: there is none, or it cannot be read, and why; the id is that of the
   file */
canary_state_t *ngx_canary_read_state(const char *dir,
    canary_state_file_id_t *id, char why[CANARY_STATE_ERROR]);

/* the endpoint of a state, which is remembered if it is not configured; NULL:
   the zone is full, which is said */
ngx_canary_shared_t *ngx_canary_restored(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log);

/* the same; NULL: it is not known */
ngx_canary_shared_t *ngx_canary_find_from(
    ngx_canary_main_conf_t *cmcf, canary_state_endpoint_t *from);

/* numbers of events up to this one have been given */
void ngx_canary_raise_last(ngx_canary_main_conf_t *cmcf, uint64_t id);

/* what it has counted, and its events, under the lock; NGX_ERROR: they do not
   fit */
ngx_int_t ngx_canary_restore_totals(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log);
ngx_int_t ngx_canary_restore_history(ngx_canary_main_conf_t *cmcf,
    canary_state_endpoint_t *from, ngx_log_t *log);


#endif /* _NGX_CANARY_RESTORE_H_INCLUDED_ */
