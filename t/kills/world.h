
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef KILLS_WORLD_H
#define KILLS_WORLD_H


#include "common.h"

#include "canary_rollout.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_change.h"


/* What workers, the helper and people do. */


/* Rules of a rollout. */

typedef enum {
    KILLS_PLAIN = 0,       /* one, with a small number of attempts */
    KILLS_ALL,             /* of each kind */
    KILLS_WAITS,           /* of each kind, and its step lasts */
    KILLS_HALTS
} kills_rules_e;


#define KILLS_TICK  50    /* ms */

/* this process is one that nginx has just started, or of another kind */
void kills_become(ngx_uint_t process);

/* the control loop and the writer, after 50 ms; traffic before each */
void kills_tick(void);
void kills_ticks(ngx_uint_t n);
void kills_traffic(ngx_canary_endpoint_t *endpoint, ngx_uint_t attempts,
    ngx_uint_t bad_stable, ngx_uint_t bad_canary);
void kills_pass(ngx_uint_t n, ngx_uint_t attempts, ngx_uint_t bad_stable,
    ngx_uint_t bad_canary);

/* until nothing is pending, and the file has everything */
void kills_settle(void);

ngx_canary_section_e kills_command(
    ngx_canary_endpoint_t *endpoint, canary_verb_t verb,
    kills_rules_e rules);

/* the same, until it has taken effect */
void kills_do(ngx_canary_endpoint_t *endpoint, canary_verb_t verb,
    kills_rules_e rules);

void kills_reload(void);


#endif /* KILLS_WORLD_H */
