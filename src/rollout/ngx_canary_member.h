
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_MEMBER_H_INCLUDED_
#define _NGX_CANARY_MEMBER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_control.h"
#include "canary_rollout.h"

#include "ngx_canary_shared.h"


/* What this nginx is in its fleet, for what it judges.  Under the lock. */


/*
 * For a look at a rollout.  "lead" is a leader's, else NULL.  Returns "member"
 * filled in, or NULL if there is no fleet.
 */

const canary_member_t *ngx_canary_member(ngx_canary_fleet_t *fleet,
    const canary_rollout_t *rollout, uint64_t now, canary_lead_t *lead,
    canary_member_t *member);

/* tests begin: those who are members now have a share of their own */

void ngx_canary_take_seats(ngx_canary_fleet_t *fleet,
    const canary_rollout_t *before, canary_rollout_t *rollout);

/* the number that this node has joined as, by the members that are known */

void ngx_canary_set_number(ngx_canary_fleet_t *fleet);


#endif /* _NGX_CANARY_MEMBER_H_INCLUDED_ */
