
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_CONTROL_H
#define CANARY_CONTROL_H


#include <stdint.h>

#include "canary_away.h"
#include "canary_evidence_layout.h"
#include "canary_judge_layout.h"
#include "canary_outage.h"
#include "canary_rollout.h"
#include "canary_verdict.h"


/*
 * The control step, one look at a rollout: what is to be judged, what follows
 * from it, and in which order.  All of this is under the zone's lock.
 */


typedef struct {
    canary_evidence_t        *evidence;
    const canary_rollout_t   *rollout;   /* that is under way */
    uint64_t                  now;       /* ms */
    canary_away_t            *away;      /* [CANARY_SIDES]; NULL: unknown */

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
 */

void canary_control_trip(const canary_control_t *control, int immediate);


#endif /* CANARY_CONTROL_H */
