
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_member.h"

#include "canary_control.h"
#include "canary_fleet.h"
#include "canary_fleet_share.h"
#include "canary_rollout.h"

#include "ngx_canary_shared.h"


static double ngx_canary_node_share(ngx_canary_fleet_t *fleet,
    const canary_rollout_t *rollout);


const canary_member_t *
ngx_canary_member(ngx_canary_fleet_t *fleet, const canary_rollout_t *rollout,
    uint64_t now, canary_lead_t *lead, canary_member_t *member)
{
    if (fleet == NULL) {
        return NULL;
    }

    switch (fleet->state) {

    case CANARY_FLEET_LEADER:
        member->role = CANARY_LEADER;
        break;

    case CANARY_FLEET_FOLLOWER:
        member->role = CANARY_FOLLOWER;
        break;

    default:
        member->role = CANARY_ISOLATED;
        break;
    }

    member->now = canary_fleet_time(&fleet->kept.clock, now);
    member->share = ngx_canary_node_share(fleet, rollout);
    member->common = canary_fleet_share((int) fleet->node_tests);
    member->lead = lead;

    return member;
}


/* a record that says nothing of seats is as if there were enough */

static double
ngx_canary_node_share(ngx_canary_fleet_t *fleet,
    const canary_rollout_t *rollout)
{
    uint32_t  seats, members;

    members = rollout->members ? rollout->members : fleet->kept.nmembers;
    seats = canary_fleet_seats(members);

    if (rollout->members
        && (fleet->number == 0
            || !canary_fleet_has_seat(seats, members, rollout->joined,
                                      fleet->number)))
    {
        return 0;
    }

    return canary_fleet_node_share((int) fleet->node_tests, seats);
}


void
ngx_canary_take_seats(ngx_canary_fleet_t *fleet,
    const canary_rollout_t *before, canary_rollout_t *rollout)
{
    uint32_t  i;
    uint64_t  joined;

    if (rollout->number == before->number && rollout->trial == before->trial) {
        return;
    }

    for (i = 0, joined = 0; i < fleet->kept.nmembers; i++) {
        joined = ngx_max(joined, fleet->kept.members[i].number);
    }

    rollout->members = fleet->kept.nmembers;
    rollout->joined = joined;
}


void
ngx_canary_set_number(ngx_canary_fleet_t *fleet)
{
    uint32_t  i;

    fleet->number = 0;

    for (i = 0; i < fleet->kept.nmembers; i++) {
        if (ngx_strcmp(fleet->kept.members[i].name, fleet->node) == 0) {
            fleet->number = fleet->kept.members[i].number;
        }
    }
}
