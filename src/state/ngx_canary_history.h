
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_HISTORY_H_INCLUDED_
#define _NGX_CANARY_HISTORY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_event.h"
#include "canary_state_json.h"

#include "ngx_canary_endpoint.h"


/* events, while a state is restored or followed */


/* reads what their file has, of which a state has those up to a number;
   returns the highest one there, 0: it has none, or cannot be read */
uint64_t ngx_canary_read_events(const char *dir, uint64_t until,
    ngx_log_t *log);
void ngx_canary_forget_events(void);

/* adds those of the file to those of the state, but for newer ones; without
   memory for them they are not shown */
void ngx_canary_load_events(canary_state_endpoint_t *from);

/* whether "last", NULL: none, is the last one of both */
ngx_uint_t ngx_canary_same_event(const canary_event_t *last,
    const canary_state_endpoint_t *from);

/* under the lock: carries out newer ones that stop, the others are void */
void ngx_canary_newer_events(ngx_canary_main_conf_t *cmcf,
    canary_state_t *state, ngx_log_t *log);

/* what has been told of events is appended anew, to another file */
void ngx_canary_append_again(ngx_canary_main_conf_t *cmcf);


#endif /* _NGX_CANARY_HISTORY_H_INCLUDED_ */
