
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_CONTROL_H
#define CANARY_CONTROL_H


#include <stdint.h>

#include "canary_away.h"
#include "canary_cohorts.h"
#include "canary_evidence_layout.h"
#include "canary_judge_layout.h"
#include "canary_lead.h"
#include "canary_outage.h"
#include "canary_rollout.h"
#include "canary_verdict.h"


/*
 * The control step, one look at a rollout: what is to be judged, what follows
 * from it, and in which order.  All of this is under the zone's lock.
 *
 * In a fleet, a node looks at its own evidence, with its own share of the
 * chance of a false alarm, and rolls back if that says so; the leader looks at
 * that of all nodes too, and only it takes steps.  What follows is told by the
 * same calls:
 *
 *                  | rules of its own test      | unavailable | steps
 *     no fleet     | all                        | yes         | if "may_step"
 *     isolated     | all                        | yes         | never
 *     follower     | with confidence, budgets   | no          | never
 *     leader       | as a follower; and all by  | if no live  | if "may_step"
 *                  | the evidence of the fleet  | node has an |
 *                  |                            | answer      |
 *
 * A step waits as well while any node's stable or canary has no live server.
 * Events that only tell (CANARY_STABLE_UNAVAILABLE ...) are each node's own;
 * of CANARY_HOLDING, canary_result_t tells whose it is.
 */


typedef enum {
    CANARY_ISOLATED = 0,
    CANARY_FOLLOWER,
    CANARY_LEADER
} canary_role_t;


/* What a node of a fleet has to know for a look. */

typedef struct {
    canary_role_t   role;
    uint64_t        now;      /* ms of the fleet's clock, 0: not known yet;
                                 looks are to be just after a slot of
                                 CANARY_SLOT_MS has begun, and half-way to the
                                 next */
    double          share;    /* of alpha, of its own test: see
                                 canary_fleet_node_share(); 0: it has none */
    double          common;   /* of the fleet's test: canary_fleet_share() */
    canary_lead_t  *lead;     /* of a leader; NULL: it has none, so it is as a
                                 follower */
} canary_member_t;


typedef struct {
    canary_evidence_t        *evidence;
    const canary_rollout_t   *rollout;   /* that is under way */
    uint64_t                  now;       /* ms */
    canary_away_t            *away;      /* [CANARY_SIDES]; NULL: unknown */
    const canary_member_t    *member;    /* NULL: no fleet */

    /* the shell, which is called only when there is a reason to */

    void                     *data;

    /* for canary_judge.h: good until the next call */

    const canary_times_t   *(*times)(void *data, int detail);

    /* from now on times are those of the step */

    void                    (*begin_step)(void *data);

    /*
     * CANARY_TICK: by this result the next step is due, or the promotion.
     * CANARY_VIOLATION, CANARY_HOLDING: by "breach", else NULL.  The result
     * has all details.  After a hold evidence and rollout have to be what they
     * were; after the others they are not looked at any more.
     */

    void                    (*change)(void *data,
                                      const canary_command_t *command,
                                      const canary_breach_t *breach,
                                      const canary_result_t *result);

    /*
     * When a side has been found without a live server: attempts on it that
     * were answered, ever; and after how long without one, in ms, the canary
     * is given up, 0: never.
     */

    uint64_t                (*answered)(void *data, unsigned side);
    uint64_t                (*patience)(void *data);

    /*
     * What follows: CANARY_STABLE_UNAVAILABLE, CANARY_STABLE_AVAILABLE with
     * how long stable was away and how many requests the canary took over, or
     * CANARY_VIOLATION with the patience that there was.
     */

    void                    (*absent)(void *data,
                                      const canary_command_t *command,
                                      const canary_outage_t *outage);
} canary_control_t;


/*
 * To be called every CANARY_LOOP_MS.  Without "may_step" the rollout goes no
 * further, but is guarded all the same.
 */

void canary_control_look(const canary_control_t *control, int may_step);

/*
 * A bad attempt has come past a fuse.  "immediate": only rules that are judged
 * as soon as an attempt fails, since canary_control_look() judges the rest.
 * Of "member" only role and share are looked at.
 */

void canary_control_trip(const canary_control_t *control, int immediate);

/*
 * What this node tells of its evidence, after a look that began a slot, or
 * each second one; under the zone's lock.
 */

void canary_control_tell(const canary_control_t *control,
    canary_cohorts_t *cohorts);


#endif /* CANARY_CONTROL_H */
