
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_VERTA_H
#define CANARY_VERTA_H


#include <stddef.h>
#include <stdint.h>

#include "canary_rollout.h"


/*
 * The deployment API of Verta, as far as it is about rollouts: what an update
 * does to a rollout, and what a rollout looks like as a stage.  A client may
 * send each update several times, since it does so whenever it has got no
 * answer; so an update says what is to be, and not what is to be done.
 */


/* an update that ended so lately is still being sent: milliseconds */

#define CANARY_VERTA_RESEND  5000


typedef struct {
    uint64_t           build;      /* number of a release */
    int                direct;     /* all at once; has no strategy */
    canary_strategy_t  strategy;
} canary_verta_update_t;


/* What is to be done next, so that in the end an update is carried out. */

typedef struct {
    int                change;     /* 0: nothing, all is as it is to be */
    canary_verb_t      verb;
    int                more;       /* and then to be asked again */
    int                settled;    /* how the last rollout ended is not to be
                                      told any more */
} canary_verta_step_t;


/*
 * "release" is the id of the build; "ago" the milliseconds since the last
 * rollout ended, or since this one halted; "other" if what ended was ended by
 * an update, this or one before it, so that it cannot be this one's.
 */

canary_verta_step_t canary_verta_step(const canary_rollout_t *rollout,
    const canary_verta_update_t *update, uint32_t release, uint64_t ago,
    int other);


typedef enum {
    CANARY_VERTA_ACTIVE = 0,
    CANARY_VERTA_UPDATING,
    CANARY_VERTA_ERROR
} canary_verta_status_t;


typedef struct {
    uint32_t               release;    /* id */
    uint32_t               ratio;      /* parts per million */
    int                    failed;     /* the update to it has */
} canary_verta_component_t;


/* Ratios add up to 1; the client takes the first component for the build. */

typedef struct {
    canary_verta_status_t     status;
    unsigned                  n;           /* 1 or 2 */
    canary_verta_component_t  components[2];
} canary_verta_stage_t;


/* "settled" as above: a rollout that was rolled back is not shown. */

void canary_verta_stage(const canary_rollout_t *rollout, int settled,
    canary_verta_stage_t *stage);

const char *canary_verta_status_name(canary_verta_status_t status);


#endif /* CANARY_VERTA_H */
