
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef JUDGES_H
#define JUDGES_H


#include <stdint.h>

#include "canary_mixture.h"
#include "canary_rule.h"

#include "traffic.h"


/*
 * Ways to tell a bad canary, side by side on the same attempts: the two forms
 * of the module's own test, and what is done without one.
 */

typedef enum {
    JUDGE_ATTEMPTS = 0,   /* confidence, burst=0: at every bad response */
    JUDGE_BURST,          /* confidence, burst=100ms: at the end of a tick */
    JUDGE_POINT,          /* the step's value, at the end of a tick */
    JUDGE_POLLER_1,       /* every 10 s the value of these; 1 failed check */
    JUDGE_POLLER_5,       /* 5 failed checks, which success does not reset */
    JUDGES
} judge_t;


#define THRESHOLD           0.1
#define CONFIDENCE          0.999
#define MIN_BAD             3
#define POINT_MIN_REQUESTS  50

#define TICK_SECONDS        0.1
#define TICKS               36000    /* one hour */
#define STEPS               9
#define POLL_TICKS          100


/* When a judge rolls back, and what it has cost until then. */

typedef struct {
    int       rolled_back;
    double    seconds;         /* since the rollout began */
    uint64_t  bad;             /* attempts since the rollout began */
} ruling_t;


typedef struct {
    canary_grid_t     grid;
    canary_demand_t   demand;
    canary_rule_t     rule;
    canary_mixture_t  attempts;
    canary_mixture_t  burst;
    canary_counts_t   step;
    uint64_t          polled;          /* attempts since the last check */
    uint64_t          polled_bad;
    uint32_t          failed_checks;
    uint64_t          bad;             /* before this tick */
    uint32_t          ticks;
    ruling_t          rulings[JUDGES];
} court_t;


void court_open(court_t *court);

/* One tick more.  Returns whether some judge has not rolled back yet. */

int court_tick(court_t *court, const tick_t *tick);


#endif /* JUDGES_H */
