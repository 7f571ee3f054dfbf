
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_STATE_H_INCLUDED_
#define _NGX_HTTP_CANARY_STATE_H_INCLUDED_


#include "canary_state_json.h"

#include "ngx_http_canary_endpoint.h"


/* The state file: out of the zone and into it. */


/* ngx_http_canary_state.c: what the state file has of the zone */

/* with the events that their file does not have yet; NULL: no memory, or the
   configuration was replaced meanwhile; *sequence: the last change that it
   has */
canary_state_t *ngx_http_canary_collect(ngx_http_canary_main_conf_t *cmcf,
    uint64_t *sequence);

/* what was collected is not in the file */
void ngx_http_canary_not_seen(ngx_http_canary_main_conf_t *cmcf,
    const canary_state_t *state);

/* the file of events has what was collected of them */
void ngx_http_canary_has_events(ngx_http_canary_main_conf_t *cmcf,
    const canary_state_t *state);

/* under the lock: the file has that */
void ngx_http_canary_see_spent(ngx_http_canary_shared_t *shared,
    const canary_state_endpoint_t *endpoint);
ngx_http_canary_release_shared_t *ngx_http_canary_place_of(
    ngx_http_canary_shared_t *shared, const char *name);

/* attempts of the configuration's releases that were counted so far, of any
   kind: rises with each */
uint64_t ngx_http_canary_attempts(ngx_http_canary_main_conf_t *cmcf);


/* ngx_http_canary_restore.c: what a state file says, put into the zone */

/* into a zone that knows nothing; when the configuration is certain */
void ngx_http_canary_restore(ngx_http_canary_main_conf_t *cmcf,
    ngx_log_t *log);

/* what another nginx has written; "own" if from now on we do; returns whether
   the file is one that another nginx has written */
ngx_uint_t ngx_http_canary_follow(ngx_http_canary_main_conf_t *cmcf,
    ngx_uint_t own, uint64_t now, ngx_log_t *log);


/* ngx_http_canary_history.c: events, while a state is restored or followed */

/* reads what their file has, of which a state has those up to a number;
   returns the highest one there, 0: it has none, or cannot be read */
uint64_t ngx_http_canary_read_events(ngx_http_canary_main_conf_t *cmcf,
    uint64_t until, ngx_log_t *log);
void ngx_http_canary_forget_events(void);

/* adds those of the file to those of the state, but for newer ones; without
   memory for them they are not shown */
void ngx_http_canary_load_events(canary_state_endpoint_t *from);

/* whether "last", NULL: none, is the last one of both */
ngx_uint_t ngx_http_canary_same_event(const canary_event_t *last,
    const canary_state_endpoint_t *from);

/* under the lock: carries out newer ones that stop, the others are void */
void ngx_http_canary_newer_events(ngx_http_canary_main_conf_t *cmcf,
    canary_state_t *state, ngx_log_t *log);


/* ngx_http_canary_adopt.c: of one endpoint, under the lock */

/* makes it what the file says, but for the events of one that is idle: the
   tests of a step begin anew, save what budgets have spent; NGX_DECLINED: the
   zone is too full for the rollout, which is rolled back; NGX_ERROR: even for
   the names of the releases, so nothing is done */
ngx_int_t ngx_http_canary_adopt(ngx_http_canary_main_conf_t *cmcf,
    ngx_http_canary_shared_t *shared, canary_state_endpoint_t *from,
    uint64_t now, ngx_log_t *log);

/* the events of one that is idle; NGX_ERROR: the zone is full */
ngx_int_t ngx_http_canary_adopt_history(ngx_http_canary_main_conf_t *cmcf,
    ngx_http_canary_shared_t *shared, canary_state_endpoint_t *from);

/* what the file has gained since it was last seen: of totals (NGX_ERROR: the
   zone is full), and of what budgets have spent in the same rollout */
ngx_int_t ngx_http_canary_adopt_totals(ngx_http_canary_main_conf_t *cmcf,
    ngx_http_canary_shared_t *shared, canary_state_endpoint_t *from);
void ngx_http_canary_adopt_spent(ngx_http_canary_shared_t *shared,
    canary_state_endpoint_t *from);

/* nothing: this nginx has written it */
void ngx_http_canary_adopt_seen(ngx_http_canary_shared_t *shared,
    canary_state_endpoint_t *from);


/* ngx_http_canary_writer.c: the controlling process writes the file */

void ngx_http_canary_writer(ngx_http_canary_main_conf_t *cmcf, uint64_t now);

/* before the process ends */
void ngx_http_canary_writer_finish(ngx_http_canary_main_conf_t *cmcf);

/* ms until it has something to do */
ngx_msec_t ngx_http_canary_writer_pace(ngx_http_canary_main_conf_t *cmcf,
    uint64_t now);

/* when the process is about to end: 1 if it has the file, and who waits for
   that is told now that it is about to be given up */
ngx_uint_t ngx_http_canary_writer_ending(ngx_http_canary_main_conf_t *cmcf);

/* without the lock: whether another nginx has the state file, and keeps it */
ngx_uint_t ngx_http_canary_foreign(ngx_http_canary_main_conf_t *cmcf);


#endif /* _NGX_HTTP_CANARY_STATE_H_INCLUDED_ */
