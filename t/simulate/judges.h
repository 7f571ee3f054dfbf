
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
#define EVIDENCE            (1 / (1 - CONFIDENCE))
#define MIN_BAD             3
#define POINT_MIN_REQUESTS  50

#define TICK_SECONDS        0.1
#define TICKS               36000    /* one hour */
#define STEPS               9
#define POLL_TICKS          100


/*
 * A test of bursts, of which those that cannot reach the evidence in any order
 * are folded together, which is quicker: none makes anything more than k/n /
 * THRESHOLD fold.
 */

#define RUN_MAX  16

typedef struct {
    canary_mixture_t  mixture;
    canary_burst_t    bursts[RUN_MAX];   /* that are not folded yet */
    uint32_t          n;
    double            most;              /* that these might make of it */
    double            evidence;          /* that is asked for */
} run_t;


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
    run_t             burst;
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


void run_init(run_t *run, uint64_t ticks);

/* Of its alpha it has only this share. */

void run_have_share(run_t *run, double share);
void run_fold(run_t *run, const canary_grid_t *grid);

/* Returns whether the evidence is reached then. */

int run_add(run_t *run, const canary_grid_t *grid, uint32_t n, uint32_t k);


#endif /* JUDGES_H */
