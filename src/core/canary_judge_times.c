
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "canary_evidence.h"
#include "canary_judge_times.h"
#include "canary_verdict.h"


static void canary_judge_fold_times(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_strategy_t *strategy,
    uint64_t now, const canary_times_t *times);
static void canary_judge_look_back(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_strategy_t *strategy,
    uint64_t now, const canary_times_t *times);
static double canary_judge_remember(canary_judge_t *judge,
    const canary_histogram_t *times, canary_histogram_t *recent);
static void canary_judge_compare_means(canary_judge_t *judge,
    const canary_evidence_t *evidence, const canary_strategy_t *strategy,
    uint64_t now, const canary_histogram_t *times, double mean);
static void canary_judge_compare_quantiles(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_strategy_t *strategy,
    const canary_histogram_t *recent);
static void canary_judge_set_relative(canary_limits_t *limits, uint32_t n,
    uint32_t quantile, const canary_rule_t *rule);
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


unsigned
canary_judge_needs_times(const canary_strategy_t *strategy, int detail)
{
    uint32_t              i;
    unsigned              sides;
    const canary_rule_t  *rule;

    sides = (detail & CANARY_DETAIL_LONGEST) ? 1u << CANARY_SIDE_CANARY : 0;
    detail &= ~CANARY_DETAIL_LONGEST;

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
canary_judge_set_limits(canary_judge_t *judge, canary_evidence_t *evidence,
    const canary_strategy_t *strategy)
{
    uint32_t              i, n, matches;
    canary_limits_t       limits;
    const canary_rule_t  *rule;

    matches = 0;
    memset(&limits, 0xff, sizeof(canary_limits_t));

    for (i = 0, n = 0; i < strategy->nrules && n < CANARY_LIMITS_MAX; i++) {

        rule = &strategy->rules[i];

        if (!canary_rule_has_limit(rule)) {
            continue;
        }

        if (!canary_rule_is_quantile(rule)) {
            limits.limits[CANARY_SIDE_STABLE][n] = canary_match_limit(rule);
            limits.limits[CANARY_SIDE_CANARY][n] = canary_match_limit(rule);
            matches = 1;

        } else if (!rule->baseline) {
            limits.limits[CANARY_SIDE_STABLE][n] = rule->threshold;
            limits.limits[CANARY_SIDE_CANARY][n] = rule->threshold;
        }

        n++;
    }

    canary_evidence_limits(evidence, n, &limits);
    evidence->set_numbers[evidence->limit_set] = CANARY_SET_RULES;
    canary_set(&evidence->follows, canary_strategy_follows(strategy));
    canary_set(&evidence->matches, matches);

    judge->comparable &= ~(1u << evidence->limit_set);
}


void
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


void
canary_judge_measure(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now, const canary_times_t *times)
{
    canary_judge_t  *judge;

    judge = canary_judge(evidence);

    canary_judge_enter(judge);

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

    canary_judge_leave(judge);
}


/* what is in the last bucket may have taken any time */

void
canary_judge_set_longest(canary_evidence_t *evidence,
    const canary_times_t *times)
{
    uint32_t         i;
    const uint64_t  *counts;

    canary_judge(evidence)->longest = CANARY_NOT_KNOWN;

    if (times == NULL) {
        return;
    }

    counts = times->step[CANARY_SIDE_CANARY].counts;

    for (i = CANARY_HISTOGRAM_BUCKETS - 1; i && counts[i] == 0; i--) {
        /* void */
    }

    if (i < CANARY_HISTOGRAM_BUCKETS - 1) {
        canary_judge(evidence)->longest = canary_histogram_high(i);
    }
}


int
canary_judge_too_long(const canary_evidence_t *evidence,
    const canary_strategy_t *strategy, unsigned side, uint64_t elapsed)
{
    uint32_t              i, set;
    const uint64_t       *limits;
    const canary_rule_t  *rule;

    set = __atomic_load_n(&evidence->limit_set, __ATOMIC_ACQUIRE);
    limits = evidence->sets[set].limits[side];

    for (i = 0; i < evidence->nlimits && i < CANARY_LIMITS_MAX; i++) {
        if (elapsed > limits[i]) {
            return 1;
        }
    }

    for (i = 0; i < strategy->nrules && i < CANARY_RULES_MAX; i++) {
        rule = &strategy->rules[i];

        if (rule->kind < CANARY_RULE_KINDS
            && canary_rule_unit(rule) == CANARY_UNIT_LATENCY
            && elapsed > rule->threshold)
        {
            return 1;
        }
    }

    return 0;
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
 * that compare with them: limits of the cohorts to come.
 */

static void
canary_judge_look_back(canary_judge_t *judge, canary_evidence_t *evidence,
    const canary_strategy_t *strategy, uint64_t now,
    const canary_times_t *times)
{
    double              mean;
    canary_histogram_t  recent;

    if (now < judge->recent_since + CANARY_RECENT_MS) {
        return;
    }

    judge->recent_since = now;

    mean = canary_judge_remember(judge, &times->sides[CANARY_SIDE_STABLE],
                                 &recent);

    canary_judge_compare_means(judge, evidence, strategy, now,
                               &times->sides[CANARY_SIDE_CANARY], mean);
    canary_judge_compare_quantiles(judge, evidence, strategy, &recent);
}


/*
 * Makes "recent" what there has been of times since the last look, with three
 * quarters of what was before, so that a second with few attempts is enough.
 * Returns the greater of the means with and without these: what slows down
 * both is not held against the canary.
 */

static double
canary_judge_remember(canary_judge_t *judge, const canary_histogram_t *times,
    canary_histogram_t *recent)
{
    double    mean;
    uint32_t  i;

    canary_times_since(times, &judge->recent_seen, recent);
    canary_times_mark(&judge->recent_seen, times);

    mean = canary_judge_mean(recent);

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        recent->counts[i] = 16 * recent->counts[i]
                            + judge->recent.counts[i]
                            - judge->recent.counts[i] / 4;
        judge->recent.counts[i] = (recent->counts[i] < 0x40000000)
                                  ? (uint32_t) recent->counts[i] : 0x40000000;
    }

    return fmax(mean, canary_judge_mean(recent));
}


/* averages: the times of the canary since the last look, beside that mean */

static void
canary_judge_compare_means(canary_judge_t *judge,
    const canary_evidence_t *evidence, const canary_strategy_t *strategy,
    uint64_t now, const canary_histogram_t *times, double mean)
{
    uint32_t              i;
    canary_histogram_t    since;
    const canary_rule_t  *rule;

    canary_times_since(times, &judge->compared, &since);
    canary_times_mark(&judge->compared, times);

    if (now < evidence->discard_to) {
        return;
    }

    for (i = 0; i < strategy->nrules; i++) {
        rule = &strategy->rules[i];

        if (rule->baseline && rule->confidence
            && rule->kind == CANARY_RULE_LATENCY_AVG_MAX)
        {
            canary_trial_set_mean(&judge->trials[i], rule, mean);
            canary_trial_fold_times(&judge->trials[i], rule, &since,
                                    judge->step);
        }
    }
}


/* quantiles: limits that are those of stable, if any is known */

static void
canary_judge_compare_quantiles(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_strategy_t *strategy,
    const canary_histogram_t *recent)
{
    uint32_t              i, n, bucket, known;
    canary_limits_t       limits;
    const canary_rule_t  *rule;

    known = 0;
    limits = evidence->sets[evidence->limit_set];

    for (i = 0, n = 0; i < strategy->nrules; i++) {
        rule = &strategy->rules[i];

        if (!canary_rule_has_limit(rule)) {
            continue;
        }

        bucket = (rule->baseline && canary_rule_is_quantile(rule))
                 ? canary_histogram_quantile(recent,
                                       canary_rule_info[rule->kind].quantile)
                 : CANARY_HISTOGRAM_NONE;

        if (bucket != CANARY_HISTOGRAM_NONE) {
            known = 1;
            canary_judge_set_relative(&limits, n,
                                      canary_histogram_high(bucket), rule);
        }

        n++;
    }

    /* in a fleet, by all nodes' stable: canary_orders_obey() */

    if (known && !evidence->led) {
        canary_evidence_limits(evidence, n, &limits);
        judge->comparable |= 1u << evidence->limit_set;
    }
}


static void
canary_judge_set_relative(canary_limits_t *limits, uint32_t n,
    uint32_t quantile, const canary_rule_t *rule)
{
    limits->limits[CANARY_SIDE_STABLE][n] = quantile;
    limits->limits[CANARY_SIDE_CANARY][n]
        = canary_histogram_high(canary_relative_limit(quantile,
                                              canary_rule_threshold(rule)));
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
