
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_trial.h"


static uint64_t canary_trial_planned(const canary_rule_t *rule,
    uint64_t ticks, uint32_t length);
static double canary_trial_evidence(const canary_trial_t *trial,
    const canary_rule_t *rule);
static void canary_trial_add(canary_mixture_t *mixture, canary_block_t *block,
    uint64_t *block_began, const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_cohort_view_t *cohort,
    uint32_t comparable);
static void canary_trial_add_block(canary_mixture_t *mixture,
    canary_block_t *block, const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_cohort_view_t *cohort);
static canary_burst_t canary_trial_share(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_sums_t *sums);
static uint64_t canary_trial_stable_bad(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_sums_t *sums);
static canary_measure_t canary_trial_measure(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_sums_t *sums);
static void canary_trial_prove(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_tail_t *tail, uint32_t first,
    uint32_t comparable, int whole, canary_proof_t *proof);
static int canary_trial_is_over(const canary_rule_t *rule,
    const canary_cohort_view_t *cohort);
static const canary_sums_t *canary_trial_over(const canary_rule_t *rule,
    const canary_over_t *over);
static void canary_window_add(canary_window_t *window, uint32_t length,
    uint64_t ended, const canary_measure_t sides[CANARY_SIDES]);


static inline int
canary_rule_is_average(const canary_rule_t *rule)
{
    return rule->kind == CANARY_RULE_LATENCY_AVG_MAX;
}


static inline int
canary_trial_has_ended(const canary_cohort_view_t *cohort)
{
    const canary_sums_t  *sums;

    sums = cohort->sides;

    return cohort->settled
           || sums[CANARY_SIDE_STABLE].in_flight
              + sums[CANARY_SIDE_STABLE].unended
              + sums[CANARY_SIDE_CANARY].in_flight
              + sums[CANARY_SIDE_CANARY].unended == 0;
}


/* each cohort is one observation */

static inline int
canary_rule_is_burst(const canary_rule_t *rule)
{
    return !rule->baseline && rule->burst && rule->burst <= CANARY_COHORT_MS;
}


void
canary_trial_begin(canary_trial_t *trial, const canary_rule_t *rule,
    canary_window_t *window, uint32_t limit, uint32_t steps, uint64_t ticks,
    uint32_t length, uint32_t step)
{
    memset(trial, 0, sizeof(canary_trial_t));

    if (rule->window) {
        trial->window = window;
        memset(window, 0, sizeof(canary_window_t));
    }

    trial->limit = limit;
    trial->step = step;
    trial->share = 1;

    if (rule->confidence == 0) {
        return;
    }

    canary_mixture_init(&trial->mixture, steps,
                        canary_trial_planned(rule, ticks, length));

    if (canary_rule_is_quantile(rule)) {
        canary_grid_init(&trial->grid,
                         (1e9 - canary_rule_info[rule->kind].quantile) / 1e9);

    } else if (canary_rule_is_average(rule)) {
        canary_average_init(&trial->average, (double) rule->threshold);

        if (rule->baseline) {
            trial->average.mean = 0;
        }


    } else if (rule->baseline) {
        canary_relative_init(&trial->relative, 1, canary_rule_threshold(rule));
    } else {
        canary_grid_init(&trial->grid, canary_rule_threshold(rule));
    }
}


/* observations in the time of so many cohorts, or of an hour if it is more */

static uint64_t
canary_trial_planned(const canary_rule_t *rule, uint64_t ticks,
    uint32_t length)
{
    uint64_t  ms;

    ticks = (ticks > CANARY_TRIAL_TICKS) ? ticks : CANARY_TRIAL_TICKS;
    ms = ticks * CANARY_COHORT_MS;

    if (canary_rule_is_average(rule)) {
        length = rule->baseline ? CANARY_RECENT_MS : CANARY_LOOP_MS;

    } else if (!rule->baseline && rule->burst > length) {
        length = rule->burst;
    }

    return ms / length;
}


void
canary_trial_fold(canary_trial_t *trial, const canary_rule_t *rule,
    const canary_cohort_view_t *cohort, uint32_t comparable)
{
    canary_burst_t    share;
    canary_measure_t  sides[CANARY_SIDES];

    if (rule->window) {

        if (!cohort->discarded) {
            sides[CANARY_SIDE_STABLE] = canary_trial_measure(trial, rule,
                                         &cohort->sides[CANARY_SIDE_STABLE]);
            sides[CANARY_SIDE_CANARY] = canary_trial_measure(trial, rule,
                                         &cohort->sides[CANARY_SIDE_CANARY]);

            canary_window_add(trial->window, rule->window, cohort->ended,
                              sides);
        }

        return;
    }

    if (rule->confidence == 0 || canary_rule_is_average(rule)) {
        return;
    }

    if (cohort->step != trial->step) {
        trial->step = cohort->step;
        canary_mixture_begin_step(&trial->mixture);

        memset(&trial->block, 0, sizeof(canary_block_t));
        trial->block_began = 0;
    }

    if (cohort->discarded) {
        return;
    }

    share = canary_trial_share(trial, rule,
                               &cohort->sides[CANARY_SIDE_CANARY]);
    trial->bad += share.k;

    canary_trial_add(&trial->mixture, &trial->block, &trial->block_began,
                     trial, rule, cohort, comparable);
}


void
canary_trial_fold_times(canary_trial_t *trial, const canary_rule_t *rule,
    const canary_histogram_t *times, uint32_t step)
{
    if (rule->confidence == 0 || !canary_rule_is_average(rule)) {
        return;
    }

    if (step != trial->step) {
        trial->step = step;
        canary_mixture_begin_step(&trial->mixture);
    }

    if (trial->average.mean > 0) {
        canary_average_fold(&trial->mixture, &trial->average, times);
    }
}


void
canary_trial_forget(canary_trial_t *trial, const canary_rule_t *rule,
    uint32_t step)
{
    if (rule->confidence == 0) {
        return;
    }

    canary_mixture_forget(&trial->mixture);
    canary_mixture_begin_step(&trial->mixture);

    memset(&trial->block, 0, sizeof(canary_block_t));
    trial->block_began = 0;
    trial->step = step;
    trial->bad = 0;
}


/* until it is known nothing can be said */

void
canary_trial_set_mean(canary_trial_t *trial, const canary_rule_t *rule,
    double stable_mean)
{
    trial->average.mean = stable_mean * canary_rule_threshold(rule);
}


/*
 * What is in flight counts as not bad, so a proof is at most what it is once
 * all have ended; and so is one by the cohorts that came before.  Where most
 * are in flight for long it is the latter that says more: whichever of the two
 * does is at most what the test is going to say of these cohorts.
 */

void
canary_trial_proof(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_tail_t *tail, uint32_t first,
    uint32_t comparable, canary_proof_t *proof)
{
    canary_proof_t  ended;

    canary_trial_prove(trial, rule, tail, first, comparable, 0, proof);

    if (rule->kind != CANARY_RULE_ABANDONED_RATE) {
        return;
    }

    canary_trial_prove(trial, rule, tail, first, comparable, 1, &ended);

    if (canary_mixture_sum(&ended.mixture)
        > canary_mixture_sum(&proof->mixture))
    {
        *proof = ended;
    }
}


/* "whole": only by the cohorts before the first in which some are in flight */

static void
canary_trial_prove(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_tail_t *tail, uint32_t first,
    uint32_t comparable, int whole, canary_proof_t *proof)
{
    uint32_t                     i, n, step;
    uint64_t                     block_began;
    canary_block_t               block;
    canary_burst_t               share, run[CANARY_COHORTS];
    const canary_cohort_view_t  *cohort;

    proof->mixture = trial->mixture;
    proof->bad = trial->bad;

    if (canary_rule_is_average(rule)) {
        return;
    }

    step = trial->step;
    block = trial->block;
    block_began = trial->block_began;
    n = 0;

    for (i = 0; i < tail->n; i++) {
        cohort = &tail->cohorts[i];

        if ((int32_t) (cohort->number - first) < 0) {
            continue;
        }

        if (whole && !canary_trial_has_ended(cohort)) {
            break;
        }

        if (cohort->step != step) {
            canary_mixture_fold_bursts(&proof->mixture, &trial->grid, run, n);
            n = 0;

            step = cohort->step;
            canary_mixture_begin_step(&proof->mixture);

            memset(&block, 0, sizeof(canary_block_t));
            block_began = 0;
        }

        /* what is one observation is one when it is complete */

        if (cohort->discarded
            || (cohort->ended == 0 && (rule->burst || rule->baseline)))
        {
            continue;
        }

        share = canary_trial_share(trial, rule,
                                   &cohort->sides[CANARY_SIDE_CANARY]);
        proof->bad += share.k;

        if (canary_rule_is_burst(rule)) {
            run[n++] = share;

        } else {
            canary_trial_add(&proof->mixture, &block, &block_began, trial,
                             rule, cohort, comparable);
        }
    }

    canary_mixture_fold_bursts(&proof->mixture, &trial->grid, run, n);
}


static void
canary_trial_add(canary_mixture_t *mixture, canary_block_t *block,
    uint64_t *block_began, const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_cohort_view_t *cohort,
    uint32_t comparable)
{
    canary_burst_t  share;

    if (rule->baseline) {

        if ((comparable & 1u << cohort->limit_set)
            || !canary_rule_is_quantile(rule))
        {
            canary_trial_add_block(mixture, block, trial, rule, cohort);
        }

        return;
    }

    share = canary_trial_share(trial, rule,
                               &cohort->sides[CANARY_SIDE_CANARY]);

    if (rule->burst == 0) {
        canary_mixture_fold_attempts(mixture, &trial->grid, share.n, share.k);
        return;
    }

    if (canary_rule_is_burst(rule)) {
        canary_mixture_fold_burst(mixture, &trial->grid, share.n, share.k);
        return;
    }

    if (*block_began == 0) {
        *block_began = cohort->began;
    }

    block->canary += share.n;
    block->canary_bad += share.k;

    if (cohort->ended - *block_began >= rule->burst) {
        canary_mixture_fold_burst(mixture, &trial->grid, block->canary,
                                  block->canary_bad);

        memset(block, 0, sizeof(canary_block_t));
        *block_began = 0;
    }
}


static void
canary_trial_add_block(canary_mixture_t *mixture, canary_block_t *block,
    const canary_trial_t *trial, const canary_rule_t *rule,
    const canary_cohort_view_t *cohort)
{
    canary_block_t        one;
    canary_burst_t        share;
    const canary_sums_t  *stable;

    stable = &cohort->sides[CANARY_SIDE_STABLE];

    share = canary_trial_share(trial, rule,
                               &cohort->sides[CANARY_SIDE_CANARY]);
    one.canary = share.n;
    one.canary_bad = share.k;

    share = canary_trial_share(trial, rule, stable);
    one.stable = share.n;
    one.stable_bad = canary_trial_stable_bad(trial, rule, stable);

    if (one.stable_bad > one.stable) {
        one.stable_bad = one.stable;
    }

    canary_block_add(block, &one);

    if (canary_rule_is_quantile(rule)) {
        canary_relative_fold_latencies(mixture, &trial->grid, block);

    } else {
        canary_relative_fold_rates(mixture, &trial->relative, block);
    }
}


/*
 * What came late is an attempt of this cohort too; but clients that leave late
 * are in no cohort, see canary_evidence_layout.h.
 */

static canary_burst_t
canary_trial_share(const canary_trial_t *trial, const canary_rule_t *rule,
    const canary_sums_t *sums)
{
    uint32_t         late;
    canary_burst_t   share;

    switch (rule->kind) {

    case CANARY_RULE_ERROR_4XX_RATE:
        late = sums->late.bad_4xx;
        share.k = sums->bad_4xx;
        break;

    case CANARY_RULE_ERROR_5XX_RATE:
        late = sums->late.bad_5xx;
        share.k = sums->bad_5xx;
        break;

    case CANARY_RULE_ERROR_RATE:
        late = sums->late.bad_4xx + sums->late.bad_5xx - sums->late.bad_both;
        share.k = sums->bad_4xx + sums->bad_5xx;
        break;

    case CANARY_RULE_ABANDONED_RATE:
        late = 0;
        share.k = sums->left;
        break;

    default: /* a quantile, or a match */
        late = sums->late_slow.slow[trial->limit];
        share.k = sums->slow.slow[trial->limit];
        break;
    }

    share.n = sums->started + late;
    share.k += late;

    if (canary_rule_is_quantile(rule)) {
        share.n = canary_not_negative(share.n + sums->time_only);

    } else if (rule->kind == CANARY_RULE_ABANDONED_RATE) {
        share.n += sums->left_only;
    }

    return share;
}


/* what is not known yet speaks for the canary */

static uint64_t
canary_trial_stable_bad(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_sums_t *sums)
{
    uint32_t        open;
    canary_burst_t  share;

    share = canary_trial_share(trial, rule, sums);
    open = canary_rule_has_limit(rule) ? sums->untimed : sums->in_flight;

    if (rule->kind == CANARY_RULE_ABANDONED_RATE) {
        open += sums->unended;
    }

    return share.k + open;
}


int
canary_trial_violated(const canary_trial_t *trial,
    const canary_rule_t *rule, const canary_proof_t *proof, uint64_t n)
{
    canary_demand_t  demand;

    if (trial->share <= 0) {
        return 0;
    }

    demand.evidence = canary_trial_evidence(trial, rule);
    demand.min_requests = rule->min_requests;
    demand.min_bad = CANARY_MIN_BAD;

    if (rule->baseline || canary_rule_is_average(rule)) {
        return n >= rule->min_requests
               && (canary_rule_is_average(rule)
                   || proof->bad >= CANARY_MIN_BAD)
               && canary_mixture_sum(&proof->mixture) >= demand.evidence;
    }

    return canary_mixture_violated(&proof->mixture, &trial->grid, &demand, n,
                                   proof->bad);
}


static double
canary_trial_evidence(const canary_trial_t *trial, const canary_rule_t *rule)
{
    return 1 / ((1 - rule->confidence / 1e9) * trial->share);
}


uint64_t
canary_trial_bad_needed(const canary_trial_t *trial, const canary_rule_t *rule,
    const canary_proof_t *proof, uint64_t in_flight)
{
    uint64_t  needed;

    if (rule->confidence == 0) {
        return 1;
    }

    if (trial->share <= 0) {
        return CANARY_NEEDED_MAX;
    }

    if (rule->threshold == 0) {
        return 1;
    }

    needed = canary_mixture_attempts_needed(&proof->mixture, &trial->grid,
                                           canary_trial_evidence(trial, rule),
                                           in_flight);

    if (needed + proof->bad < CANARY_MIN_BAD) {
        needed = CANARY_MIN_BAD - proof->bad;
    }

    return needed;
}


static canary_measure_t
canary_trial_measure(const canary_trial_t *trial, const canary_rule_t *rule,
    const canary_sums_t *sums)
{
    canary_burst_t    share;
    canary_measure_t  measure;

    if (canary_rule_is_average(rule)) {
        measure.sum = sums->time;
        measure.attempts = sums->timed;

    } else {
        share = canary_trial_share(trial, rule, sums);
        measure.sum = share.k;
        measure.attempts = share.n;
    }

    return measure;
}


/* whether nothing of the canary is in flight, in the sense of the rule */

static int
canary_trial_is_over(const canary_rule_t *rule,
    const canary_cohort_view_t *cohort)
{
    const canary_sums_t  *sums;

    sums = &cohort->sides[CANARY_SIDE_CANARY];

    return sums->untimed == 0 && (rule->kind != CANARY_RULE_ABANDONED_RATE
                                  || sums->unended == 0);
}


/* of a cohort of several machines, what is over at some of them */

static const canary_sums_t *
canary_trial_over(const canary_rule_t *rule, const canary_over_t *over)
{
    return (rule->kind == CANARY_RULE_ABANDONED_RATE) ? &over->ended
                                                      : &over->timed;
}


/* parts of a sixteenth of the window, at least a cohort long */

static void
canary_window_add(canary_window_t *window, uint32_t length, uint64_t ended,
    const canary_measure_t sides[CANARY_SIDES])
{
    unsigned               side;
    canary_window_part_t  *part;

    part = &window->parts[window->last];

    if (part->ended / (length / CANARY_WINDOW_PARTS + 1)
        != ended / (length / CANARY_WINDOW_PARTS + 1))
    {
        window->last = (window->last + 1) % (CANARY_WINDOW_PARTS + 1);

        part = &window->parts[window->last];
        memset(part, 0, sizeof(canary_window_part_t));
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        part->sides[side].sum += sides[side].sum;
        part->sides[side].attempts += sides[side].attempts;
    }

    /* of the first cohort, so that none is counted for too long */

    if (part->ended == 0) {
        part->ended = ended;
    }
}


void
canary_trial_window(const canary_trial_t *trial, const canary_rule_t *rule,
    const canary_tail_t *tail, uint32_t first, uint64_t now,
    canary_measure_t sides[CANARY_SIDES], canary_measure_t *passing)
{
    unsigned                     side;
    uint32_t                     i;
    uint64_t                     since;
    canary_measure_t             measure;
    const canary_cohort_view_t  *cohort;
    const canary_window_part_t  *part;

    since = (now > rule->window) ? now - rule->window : 0;

    memset(sides, 0, CANARY_SIDES * sizeof(canary_measure_t));

    for (i = 0; i <= CANARY_WINDOW_PARTS; i++) {
        part = &trial->window->parts[i];

        if (part->ended == 0 || part->ended <= since) {
            continue;
        }

        for (side = 0; side < CANARY_SIDES; side++) {
            sides[side].sum += part->sides[side].sum;
            sides[side].attempts += part->sides[side].attempts;
        }
    }

    *passing = sides[CANARY_SIDE_CANARY];

    for (i = 0; i < tail->n; i++) {
        cohort = &tail->cohorts[i];

        if ((int32_t) (cohort->number - first) < 0 || cohort->discarded
            || (cohort->ended && cohort->ended <= since))
        {
            continue;
        }

        for (side = 0; side < CANARY_SIDES; side++) {
            measure = canary_trial_measure(trial, rule, &cohort->sides[side]);
            sides[side].sum += measure.sum;
            sides[side].attempts += measure.attempts;
        }

        /* here of the canary, which is the last side */

        if (!cohort->settled && !canary_trial_is_over(rule, cohort)) {

            if (tail->over == NULL) {
                continue;
            }

            measure = canary_trial_measure(trial, rule,
                                           canary_trial_over(rule,
                                                             &tail->over[i]));
        }

        passing->sum += measure.sum;
        passing->attempts += measure.attempts;
    }
}
