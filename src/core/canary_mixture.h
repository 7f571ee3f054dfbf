
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_MIXTURE_H
#define CANARY_MIXTURE_H


#include <stdint.h>

#include "canary_sequential.h"


/*
 * A test of a whole rollout that does not become blind, however long it goes
 * on.
 *
 * A test that only accumulates needs long to notice that a release which was
 * good for half an hour has broken.  So this one mixes tests that start at
 * different times, with weights that add up to at most 1: half of it starts
 * with the rollout, a quarter is spread over the beginnings of its later
 * steps, and a quarter over its cohorts (e-detectors: Shin, Ramdas, Rinaldo,
 * 2024).  A mixture of e-processes is one, so over the whole rollout, and
 * however often one looks, the sum of all reaches 1/alpha with probability
 * alpha or less while the rate is at most p0.
 *
 * Tests that have started share one number R_j for each of the eight
 * alternatives of canary_sequential.h.  With T the cohorts that the rollout
 * is planned to have, and t those that have been folded before this one,
 *
 *     at the start        R_j = 1/2 / 8
 *     at a later step     w = min(step_pot, 1/4 / (steps - 1))
 *                         step_pot -= w,  R_j += w/8
 *     at a cohort, n > 0  w = tick_pot / max(T, t + 1)
 *                         tick_pot -= w,  R_j = (R_j + w/8) * F_j
 *
 * F_j is the cohort's likelihood ratio: see the functions that fold.  A
 * cohort is what started within the same 100 ms, or what the rule calls one
 * burst.
 *
 * From T on the weights of cohorts are pot T/(t (t + 1)), with the pot that
 * was left then.  To infinity they add up to it, so nothing is spent twice;
 * and they fall so slowly, by the square of time, that a week costs a dead
 * canary's test a few cohorts more than an hour does: what a test needs grows
 * with ln(1/w).
 *
 * R_j is kept as its logarithm, which is always finite: no evidence is too
 * much or too little to be accounted for.
 *
 * The struct is plain data without pointers.  To evaluate cohorts that may
 * still change, fold them into a copy.
 */

typedef struct {
    double    log_r[CANARY_ALTERNATIVES];      /* ln R_j */
    double    step_pot;                        /* weight to be spent yet */
    double    tick_pot;
    double    step_share;                      /* of a step */
    double    planned;                         /* T, cohorts */
    double    folded;                          /* t, cohorts */
} canary_mixture_t;


/* The attempts of a cohort that are one observation. */

typedef struct {
    uint64_t  n;
    uint64_t  k;              /* of these, bad ones */
} canary_burst_t;


/*
 * What a rule with confidence asks for, beside the proof.  They are gates:
 * with them it is proven just as well.
 */

typedef struct {
    double    evidence;       /* 1/alpha: 1000 with confidence 0.999 */
    uint64_t  min_requests;   /* of the step */
    uint64_t  min_bad;        /* of the rollout */
} canary_demand_t;


/*
 * The beginning of a rollout with so many planned steps and cohorts, of each
 * at least 1.  A rollout may well have more of them.
 */

void canary_mixture_init(canary_mixture_t *mixture, uint32_t steps,
    uint64_t ticks);

/*
 * All that was folded counts no more, nor weight that was spent on it: until
 * a step begins, or the next cohort is folded, the sum is 0.
 */

void canary_mixture_forget(canary_mixture_t *mixture);

/* Before the first cohort of any step but the first is folded. */

void canary_mixture_begin_step(canary_mixture_t *mixture);


/*
 * Fold a cohort of n attempts with k bad ones; nothing is done if both are 0.
 * More bad attempts than attempts are taken for as many attempts.
 *
 * canary_mixture_fold_attempts ("burst=0"): each attempt is an observation,
 *     F_j = exp(k u_j - n c_j).
 *
 * canary_mixture_fold_burst: the cohort as a whole is one,
 *     F_j = 1 - k/n + k/n exp(u_j), times exp(-c_j),
 * the average of the ratios of its attempts.  However they depend on each
 * other, it is on average at most 1.
 */

void canary_mixture_fold_attempts(canary_mixture_t *mixture,
    const canary_grid_t *grid, uint64_t n, uint64_t k);
void canary_mixture_fold_burst(canary_mixture_t *mixture,
    const canary_grid_t *grid, uint64_t n, uint64_t k);

/*
 * The same as canary_mixture_fold_burst() of each, one after the other, but
 * several times as quick: for evidence that is looked at again and again.
 */

void canary_mixture_fold_bursts(canary_mixture_t *mixture,
    const canary_grid_t *grid, const canary_burst_t *bursts, uint32_t count);

/* Fold a cohort, or block, whose ln F_j are these, finite. */

void canary_mixture_fold_logs(canary_mixture_t *mixture,
    const double log_factors[CANARY_ALTERNATIVES]);


/*
 * The sum of all R_j, 0 to CANARY_MIXTURE_MAX, and its logarithm, which is
 * always finite, and goes beyond that range.
 */

#define CANARY_MIXTURE_MAX  1e300

double canary_mixture_sum(const canary_mixture_t *mixture);
double canary_mixture_log_e(const canary_mixture_t *mixture);


/*
 * Whether a rate is proven to be above p0, n of the step's attempts and k of
 * the rollout's bad ones being known.  With a p0 of 0 any bad attempt proves
 * it; with one above CANARY_RATE_MAX nothing does.
 */

int canary_mixture_violated(const canary_mixture_t *mixture,
    const canary_grid_t *grid, const canary_demand_t *demand, uint64_t n,
    uint64_t k);

/*
 * How many bad attempts more there have to be, all in the next cohort and in
 * the "burst=0" form, before the sum can reach the evidence: with fewer it
 * need not be computed.  A bound from below, at least 1,
 *
 *     ceil((ln(evidence) - ln(sum + w)) / u_7).
 */

uint64_t canary_mixture_bad_needed(const canary_mixture_t *mixture,
    const canary_grid_t *grid, double evidence);

/*
 * The same, closer: so many attempts that were folded as not bad may yet turn
 * out to be; any other bad attempt is one attempt more.  The least m with
 *
 *     sum of (R_j + w/8) exp(m u_j - (m - in_flight) c_j) >= evidence
 *
 * where m - in_flight is at least 0; of more than CANARY_NEEDED_STEPS above
 * the bound from below, it is that.
 */

#define CANARY_NEEDED_STEPS  32

uint64_t canary_mixture_attempts_needed(const canary_mixture_t *mixture,
    const canary_grid_t *grid, double evidence, uint64_t in_flight);


#endif /* CANARY_MIXTURE_H */
