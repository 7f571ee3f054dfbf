
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "canary_judge.h"


static void canary_judge_new_tests(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_rollout_t *rollout,
    uint64_t now);
static void canary_judge_new_times(canary_judge_t *judge, uint64_t now,
    const canary_times_t *times);
static void canary_judge_set_limits(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_strategy_t *strategy);
static uint32_t canary_judge_limit_of(const canary_strategy_t *strategy,
    uint32_t rule);
static uint64_t canary_judge_planned(const canary_strategy_t *strategy);
static void canary_judge_fold(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_strategy_t *strategy,
    uint64_t now);
static void canary_judge_fold_times(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_strategy_t *strategy,
    uint64_t now, const canary_times_t *times);
static void canary_judge_look_back(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_strategy_t *strategy,
    uint64_t now, const canary_times_t *times);
static double canary_judge_mean(const canary_histogram_t *times);
static void canary_times_mark(canary_times_mark_t *mark,
    const canary_histogram_t *times);
static void canary_times_since(const canary_histogram_t *times,
    const canary_times_mark_t *mark, canary_histogram_t *since);


static inline int
canary_rule_is_latency(const canary_rule_t *rule)
{
    return canary_rule_info[rule->kind].unit == CANARY_UNIT_LATENCY;
}


size_t
canary_judge_size(uint32_t nslots)
{
    return canary_evidence_head_size(nslots) + canary_judge_books_size();
}


size_t
canary_judge_books_size(void)
{
    return sizeof(canary_books_t) + sizeof(canary_judge_t);
}


unsigned
canary_judge_needs_times(const canary_strategy_t *strategy, int detail)
{
    uint32_t              i;
    unsigned              sides;
    const canary_rule_t  *rule;

    sides = 0;

    for (i = 0; i < strategy->nrules; i++) {
        rule = &strategy->rules[i];

        if (!canary_rule_is_latency(rule)) {
            continue;
        }

        if (rule->baseline) {
            sides |= 1u << CANARY_SIDE_CANARY | 1u << CANARY_SIDE_STABLE;

        } else if (canary_rule_is_quantile(rule) ? detail
                                                 : rule->confidence != 0)
        {
            sides |= 1u << CANARY_SIDE_CANARY;
        }
    }

    return sides;
}


void
canary_judge_begin(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now,
    const canary_times_t *times)
{
    canary_judge_t   *judge;
    canary_result_t   result;

    judge = canary_judge(evidence);

    memset(judge, 0, offsetof(canary_judge_t, trials));

    judge->busy = 1;

    evidence->nlimits = 0;

    canary_judge_set_limits(judge, evidence, &rollout->strategy);
    canary_evidence_begin(evidence, rollout->tests, now);
    canary_judge_new_tests(judge, evidence, rollout, now);
    canary_judge_new_times(judge, now, times);

    judge->step = rollout->tests;
    judge->busy = 0;

    canary_judge_rules(evidence, rollout, now, times, 0, &result);
}


int
canary_judge_tick(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now)
{
    int              tested, in_flight;
    uint64_t         pulse;
    canary_judge_t  *judge;

    judge = canary_judge(evidence);
    tested = (rollout->trial != judge->tests || judge->busy);

    if (tested) {
        canary_judge_set_limits(judge, evidence, &rollout->strategy);
    }

    if (judge->busy) {
        canary_evidence_repair(evidence, rollout->tests, now);
    }

    __atomic_store_n(&judge->busy, 1, __ATOMIC_SEQ_CST);

    canary_evidence_tick(evidence, rollout->tests, now);

    if (tested) {
        canary_judge_new_tests(judge, evidence, rollout, now);
    }

    judge->step = rollout->tests;

    canary_judge_fold(judge, evidence, &rollout->strategy, now);

    __atomic_store_n(&judge->busy, 0, __ATOMIC_RELEASE);

    pulse = canary_evidence_pulse(evidence, &in_flight);

    if (pulse == judge->pulse && !in_flight && !judge->has_windows
        && !judge->unmarked)
    {
        return 0;
    }

    judge->pulse = pulse;

    return 1;
}


void
canary_judge_measure(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now,
    const canary_times_t *times)
{
    canary_judge_t  *judge;

    judge = canary_judge(evidence);

    __atomic_store_n(&judge->busy, 1, __ATOMIC_SEQ_CST);

    if (judge->unmarked) {
        canary_judge_new_times(judge, now, times);
    }

    if (judge->needs_times & 1u << CANARY_SIDE_CANARY) {
        canary_judge_fold_times(judge, evidence, &rollout->strategy, now,
                                times);
    }

    if (judge->needs_times & 1u << CANARY_SIDE_STABLE) {
        canary_judge_look_back(judge, evidence, &rollout->strategy, now,
                               times);
    }

    __atomic_store_n(&judge->busy, 0, __ATOMIC_RELEASE);
}


static void
canary_judge_new_tests(canary_judge_t *judge, canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now)
{
    uint32_t                  i;
    uint64_t                  planned;
    const canary_strategy_t  *strategy;

    strategy = &rollout->strategy;
    planned = canary_judge_planned(strategy);

    judge->tests = rollout->trial;
    judge->needs_times = canary_judge_needs_times(strategy, 0);
    judge->has_windows = 0;

    if (judge->holding) {
        canary_evidence_keep(evidence, now);
        judge->holding = 0;
    }

    canary_evidence_new_tests(evidence);
    judge->first = evidence->first_tested;

    judge->unmarked = (judge->needs_times != 0);

    for (i = 0; i < strategy->nrules; i++) {
        judge->has_windows |= (strategy->rules[i].window != 0);

        canary_trial_begin(&judge->trials[i], &strategy->rules[i],
                           &judge->windows[i],
                           canary_judge_limit_of(strategy, i),
                           canary_strategy_steps(strategy), planned,
                           rollout->tests);
    }
}


/* what has ended before the tests is none of their evidence */

static void
canary_judge_new_times(canary_judge_t *judge, uint64_t now,
    const canary_times_t *times)
{
    if (judge->needs_times & 1u << CANARY_SIDE_CANARY) {
        canary_times_mark(&judge->seen, &times->sides[CANARY_SIDE_CANARY]);
    }

    if (judge->needs_times & 1u << CANARY_SIDE_STABLE) {
        canary_times_mark(&judge->recent_seen,
                          &times->sides[CANARY_SIDE_STABLE]);

        judge->compared = judge->seen;
        judge->recent_since = now;

        memset(&judge->recent, 0, sizeof(canary_times_mark_t));
    }

    judge->unmarked = 0;
}


/* cohorts of a rollout that is not held up */

static uint64_t
canary_judge_planned(const canary_strategy_t *strategy)
{
    return strategy->interval / CANARY_COHORT_MS
           * canary_strategy_steps(strategy)
           + strategy->bake / CANARY_COHORT_MS;
}


/* which of the rules about quantiles it is */

static uint32_t
canary_judge_limit_of(const canary_strategy_t *strategy, uint32_t rule)
{
    uint32_t  i, limit;

    for (i = 0, limit = 0; i < rule; i++) {
        limit += canary_rule_is_quantile(&strategy->rules[i]);
    }

    return limit;
}


/*
 * A quantile is compared with its limit attempt by attempt; one with a
 * baseline has none before canary_judge_look_back() finds it.
 */

static void
canary_judge_set_limits(canary_judge_t *judge, canary_evidence_t *evidence,
    const canary_strategy_t *strategy)
{
    uint32_t         i, n;
    canary_limits_t  limits;

    memset(&limits, 0xff, sizeof(canary_limits_t));

    for (i = 0, n = 0; i < strategy->nrules && n < CANARY_LIMITS_MAX; i++) {

        if (!canary_rule_is_quantile(&strategy->rules[i])) {
            continue;
        }

        if (!strategy->rules[i].baseline) {
            limits.limits[CANARY_SIDE_STABLE][n]
                = strategy->rules[i].threshold;
            limits.limits[CANARY_SIDE_CANARY][n]
                = strategy->rules[i].threshold;
        }

        n++;
    }

    canary_evidence_limits(evidence, n, &limits);

    judge->comparable &= ~(1u << evidence->limit_set);
}


static void
canary_judge_fold(canary_judge_t *judge, canary_evidence_t *evidence,
    const canary_strategy_t *strategy, uint64_t now)
{
    int                   forgotten;
    uint32_t              i;
    canary_cohort_view_t  cohort;

    while (canary_evidence_fold(evidence, now, &cohort)) {

        if ((int32_t) (cohort.number - evidence->first_tested) < 0) {
            continue;
        }

        forgotten = (int32_t) (cohort.number - judge->first) < 0;

        for (i = 0; i < strategy->nrules; i++) {
            if (!forgotten || strategy->rules[i].confidence == 0) {
                canary_trial_fold(&judge->trials[i], &strategy->rules[i],
                                  &cohort, judge->comparable);
            }
        }
    }
}


/* times come as they end; those of a time that is discarded are left out */

static void
canary_judge_fold_times(canary_judge_t *judge, canary_evidence_t *evidence,
    const canary_strategy_t *strategy, uint64_t now,
    const canary_times_t *times)
{
    uint32_t            i;
    canary_histogram_t  since;

    canary_times_since(&times->sides[CANARY_SIDE_CANARY], &judge->seen,
                       &since);
    canary_times_mark(&judge->seen, &times->sides[CANARY_SIDE_CANARY]);

    if (now < evidence->discard_to) {
        return;
    }

    for (i = 0; i < strategy->nrules; i++) {
        if (!strategy->rules[i].baseline) {
            canary_trial_fold_times(&judge->trials[i], &strategy->rules[i],
                                    &since, judge->step);
        }
    }
}


/*
 * What stable's quantiles and mean have been in the last seconds, for rules
 * that compare with them: limits of the cohorts to come.  Half of what was
 * before stays at each look, so that a second with few attempts is enough.
 */

static void
canary_judge_look_back(canary_judge_t *judge, canary_evidence_t *evidence,
    const canary_strategy_t *strategy, uint64_t now,
    const canary_times_t *times)
{
    double               mean, ratio;
    uint32_t             i, n, bucket, known;
    canary_limits_t      limits;
    canary_histogram_t   recent, since;
    const canary_rule_t *rule;

    if (now < judge->recent_since + CANARY_RECENT_MS) {
        return;
    }

    judge->recent_since = now;

    canary_times_since(&times->sides[CANARY_SIDE_STABLE],
                       &judge->recent_seen, &recent);
    canary_times_mark(&judge->recent_seen, &times->sides[CANARY_SIDE_STABLE]);

    mean = canary_judge_mean(&recent);

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        recent.counts[i] = 16 * recent.counts[i]
                           + judge->recent.counts[i]
                           - judge->recent.counts[i] / 4;
        judge->recent.counts[i] = (recent.counts[i] < 0x40000000)
                                  ? (uint32_t) recent.counts[i] : 0x40000000;
    }

    /* so that what slows down both is not held against the canary */

    mean = fmax(mean, canary_judge_mean(&recent));

    canary_times_since(&times->sides[CANARY_SIDE_CANARY], &judge->compared,
                       &since);
    canary_times_mark(&judge->compared, &times->sides[CANARY_SIDE_CANARY]);

    known = 0;
    limits = evidence->sets[evidence->limit_set];

    for (i = 0, n = 0; i < strategy->nrules; i++) {
        rule = &strategy->rules[i];
        ratio = canary_rule_threshold(rule);

        if (rule->baseline && rule->confidence
            && rule->kind == CANARY_RULE_LATENCY_AVG_MAX
            && now >= evidence->discard_to)
        {
            canary_trial_set_mean(&judge->trials[i], rule, mean);
            canary_trial_fold_times(&judge->trials[i], rule, &since,
                                    judge->step);
        }

        if (!canary_rule_is_quantile(rule)) {
            continue;
        }

        if (rule->baseline) {
            bucket = canary_histogram_quantile(&recent,
                                       canary_rule_info[rule->kind].quantile);

            if (bucket != CANARY_HISTOGRAM_NONE) {
                known = 1;
                limits.limits[CANARY_SIDE_STABLE][n]
                    = canary_histogram_high(bucket);
                limits.limits[CANARY_SIDE_CANARY][n]
                    = canary_histogram_high(
                          canary_relative_limit(canary_histogram_high(bucket),
                                                ratio));
            }
        }

        n++;
    }

    if (known) {
        canary_evidence_limits(evidence, n, &limits);
        judge->comparable |= 1u << evidence->limit_set;
    }
}


/* 0: not known */

static double
canary_judge_mean(const canary_histogram_t *times)
{
    double    sum;
    uint32_t  i;
    uint64_t  n;

    sum = 0;
    n = 0;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        sum += (double) times->counts[i] * canary_histogram_high(i);
        n += times->counts[i];
    }

    return n ? sum / (double) n : 0;
}


static void
canary_times_mark(canary_times_mark_t *mark, const canary_histogram_t *times)
{
    uint32_t  i;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        mark->counts[i] = (uint32_t) times->counts[i];
    }
}


static void
canary_times_since(const canary_histogram_t *times,
    const canary_times_mark_t *mark, canary_histogram_t *since)
{
    uint32_t  i;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        since->counts[i] = (uint32_t) (times->counts[i] - mark->counts[i]);
    }
}
