
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STRATEGY_H
#define CANARY_STRATEGY_H


#include <stdint.h>

#include "canary_match.h"
#include "canary_rule.h"
#include "canary_split.h"


#define CANARY_STEPS_MAX         100    /* of an explicit schedule */
#define CANARY_LINEAR_STEP_MIN   1000u  /* 0.1 %: at most 1,000 steps */
#define CANARY_RULES_MAX         16
#define CANARY_TIME_MAX          (365ull * 86400 * 1000)

#define CANARY_INTERVAL_DEFAULT  60000
#define CANARY_STEP_DEFAULT      100000


typedef enum {
    CANARY_HOLD = 0,
    CANARY_ADVANCE_UNDECIDED
} canary_on_undecided_t;


typedef enum {
    CANARY_ROLL_BACK = 0,
    CANARY_HALT
} canary_on_violation_t;


typedef enum {
    CANARY_APPROVAL_OFF = 0,
    CANARY_APPROVAL_STEP,           /* the promotion too */
    CANARY_APPROVAL_PROMOTION
} canary_approval_t;


/*
 * How a rollout goes.  Plain data: a rollout keeps the strategy it was
 * started with.
 */

typedef struct {
    uint64_t        interval;       /* ms, 1..CANARY_TIME_MAX */
    uint64_t        bake;           /* ms, 0..CANARY_TIME_MAX */
    uint64_t        patience;       /* ms, CANARY_PATIENCE_MIN..._MAX: how
                                       long an attempt may be in flight */
    uint32_t        on_undecided;   /* canary_on_undecided_t */
    uint32_t        on_violation;   /* canary_on_violation_t */
    uint32_t        approval;       /* canary_approval_t: what waits for a
                                       person */
    uint32_t        linear;         /* size of all steps, parts per million;
                                       0 with a schedule */
    uint32_t        nsteps;         /* of the schedule */
    uint32_t        steps[CANARY_STEPS_MAX + 1];
                                    /* rising, the last is CANARY_ONE */
    uint32_t        nrules;
    canary_rule_t   rules[CANARY_RULES_MAX];
    canary_matches_t
                    matches;        /* that the rules are about, and no
                                       others */
} canary_strategy_t;


typedef enum {
    CANARY_STEPS_OK = 0,
    CANARY_STEPS_NONE,              /* not one step */
    CANARY_STEPS_TOO_MANY,          /* more than CANARY_STEPS_MAX */
    CANARY_STEPS_RANGE,             /* not above 0, or above 1 */
    CANARY_STEPS_NOT_RISING,        /* not above the one before it */
    CANARY_STEPS_TOO_SMALL          /* linear, below CANARY_LINEAR_STEP_MIN */
} canary_steps_status_t;


/* Interval, bake, patience and steps at their defaults; no rules. */

void canary_strategy_init(canary_strategy_t *strategy);

/*
 * Sets the steps from n weights: one is the size of linear steps, more are a
 * schedule, which gets CANARY_ONE appended when it ends below.  Changes
 * nothing unless it returns CANARY_STEPS_OK; else *at is the offending one.
 */

canary_steps_status_t canary_strategy_set_steps(canary_strategy_t *strategy,
    const uint32_t *weights, uint32_t n, uint32_t *at);

/* A one-element list as a schedule: one step, then everything. */

canary_steps_status_t canary_strategy_set_schedule(canary_strategy_t *strategy,
    const uint32_t *weights, uint32_t n, uint32_t *at);

/*
 * Whether a rule asks how attempts ended after their header was counted; and
 * whether one asks for that, or for what only the configuration can tell.
 */

int canary_strategy_follows(const canary_strategy_t *strategy);
int canary_strategy_watches(const canary_strategy_t *strategy);

/* The number of steps, 1..1000. */

uint32_t canary_strategy_steps(const canary_strategy_t *strategy);

/* The weight of a step, counted from 1; of step 0 it is 0. */

uint32_t canary_strategy_weight(const canary_strategy_t *strategy,
    uint32_t step);

/* The last step whose weight is not above this one; 0 if all are. */

uint32_t canary_strategy_step_at(const canary_strategy_t *strategy,
    uint32_t weight);


#endif /* CANARY_STRATEGY_H */
