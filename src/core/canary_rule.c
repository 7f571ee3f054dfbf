
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "canary_rule.h"


static uint64_t canary_rule_sum(uint64_t a, uint64_t b);
static uint64_t canary_rule_share(const canary_rule_t *rule);
static const char *canary_rule_complete_budget(canary_rule_t *rule,
    unsigned given);
static int canary_rule_product_above(uint64_t a, uint32_t n, uint64_t b,
    uint32_t m);
static void canary_rule_judge_budget(const canary_rule_t *rule,
    const canary_evidence_view_t *view, canary_judgement_t *judgement);


const canary_rule_info_t  canary_rule_info[CANARY_RULE_KINDS] = {
    { "error_4xx_rate", 1007, CANARY_UNIT_RATIO, 0, 1 },
    { "error_5xx_rate", 1008, CANARY_UNIT_RATIO, 0, 1 },
    { "error_rate", 0, CANARY_UNIT_RATIO, 0, 1 },
    { "latency_avg_max", 1005, CANARY_UNIT_LATENCY, 0, 0 },
    { "latency_p50_max", 0, CANARY_UNIT_LATENCY, 500000000, 0 },
    { "latency_p90_max", 1006, CANARY_UNIT_LATENCY, 900000000, 0 },
    { "latency_p95_max", 0, CANARY_UNIT_LATENCY, 950000000, 0 },
    { "latency_p99_max", 0, CANARY_UNIT_LATENCY, 990000000, 0 },
    { "failed_requests_max", 0, CANARY_UNIT_COUNT, 0, 1 },
    { "abandoned_rate", 0, CANARY_UNIT_RATIO, 0, 0 },
    { "match_rate", 0, CANARY_UNIT_RATIO, 0, 0 }
};


const char *
canary_verdict_name(canary_verdict_t verdict)
{
    static const char *const  names[] = { "undecided", "passing", "failing" };

    return names[verdict];
}


int
canary_rule_by_name(const char *name, size_t len)
{
    int  kind;

    for (kind = 0; kind < CANARY_RULE_KINDS; kind++) {
        if (strlen(canary_rule_info[kind].name) == len
            && memcmp(canary_rule_info[kind].name, name, len) == 0)
        {
            return kind;
        }
    }

    return -1;
}


int
canary_rule_by_verta_id(uint32_t id)
{
    int  kind;

    for (kind = 0; id && kind < CANARY_RULE_KINDS; kind++) {
        if (canary_rule_info[kind].verta_id == id) {
            return kind;
        }
    }

    return -1;
}


canary_unit_t
canary_rule_unit(const canary_rule_t *rule)
{
    canary_unit_t  unit;

    unit = canary_rule_info[rule->kind].unit;

    return (unit == CANARY_UNIT_LATENCY && rule->baseline)
           ? CANARY_UNIT_FACTOR : unit;
}


const char *
canary_rule_complete(canary_rule_t *rule, unsigned given)
{
    if (rule->kind == CANARY_RULE_MATCH_RATE) {
        if (!(given & CANARY_GIVEN_MATCH)) {
            return "needs a match: the name of the \"canary_match\" that it "
                   "is about";
        }

    } else if (given & CANARY_GIVEN_MATCH) {
        return "has a match, which is only for the rule \"match_rate\"";
    }

    if (canary_rule_info[rule->kind].unit == CANARY_UNIT_COUNT) {
        return canary_rule_complete_budget(rule, given);
    }

    if (!(given & CANARY_GIVEN_CONFIDENCE)) {
        rule->confidence = CANARY_CONFIDENCE_DEFAULT;
    }

    if (rule->confidence && (given & CANARY_GIVEN_WINDOW)) {
        return "has a window, which needs \"confidence=off\": with "
               "confidence all evidence of the rollout counts";
    }

    if (rule->confidence == 0 && (given & CANARY_GIVEN_BURST)) {
        return "has a burst, which is only for rules with confidence";
    }

    if (rule->confidence && !(given & CANARY_GIVEN_BURST)) {
        rule->burst = CANARY_BURST_DEFAULT;
    }

    if (!(given & CANARY_GIVEN_MIN_REQUESTS)) {
        rule->min_requests = (rule->confidence && !rule->baseline
                              && rule->kind != CANARY_RULE_LATENCY_AVG_MAX)
                             ? 1 : CANARY_MIN_REQUESTS_PLAIN;
    }

    return NULL;
}


static const char *
canary_rule_complete_budget(canary_rule_t *rule, unsigned given)
{
    if (rule->confidence
        || (given & (CANARY_GIVEN_BURST|CANARY_GIVEN_WINDOW
                     |CANARY_GIVEN_BASELINE)))
    {
        return "is a budget: it counts all failed attempts of a rollout, and "
               "has no confidence, burst, window or baseline";
    }

    if (!(given & CANARY_GIVEN_MIN_REQUESTS)) {
        rule->min_requests = 1;
    }

    return NULL;
}


int
canary_rule_immediate(const canary_rule_t *rule)
{
    return canary_rule_info[rule->kind].immediate
           && !rule->baseline
           && (rule->confidence == 0 || rule->burst == 0);
}


double
canary_rule_threshold(const canary_rule_t *rule)
{
    switch (canary_rule_unit(rule)) {

    case CANARY_UNIT_RATIO:
    case CANARY_UNIT_FACTOR:
        return (double) rule->threshold / (double) CANARY_RATIO_ONE;

    default:
        return canary_rule_base(rule, (double) rule->threshold);
    }
}


double
canary_rule_base(const canary_rule_t *rule, double value)
{
    if (canary_rule_unit(rule) == CANARY_UNIT_LATENCY) {
        return value / 1e6;
    }

    return value;
}


/* the second may be below zero, and their sum for a moment too */

static uint64_t
canary_rule_sum(uint64_t a, uint64_t b)
{
    return ((int64_t) (a + b) < 0) ? 0 : a + b;
}


canary_measure_t
canary_rule_measure(const canary_rule_t *rule, unsigned limit,
    const canary_counts_t *counts)
{
    canary_measure_t  measure;

    measure.attempts = counts->started;

    switch (rule->kind) {

    case CANARY_RULE_ERROR_4XX_RATE:
        measure.sum = counts->bad_4xx;
        break;

    case CANARY_RULE_ERROR_5XX_RATE:
        measure.sum = counts->bad_5xx;
        break;

    case CANARY_RULE_ERROR_RATE:
        measure.sum = counts->bad;
        break;

    case CANARY_RULE_ABANDONED_RATE:
        measure.sum = counts->left;
        measure.attempts += counts->left_only;
        break;

    case CANARY_RULE_LATENCY_AVG_MAX:
        measure.sum = counts->time;
        measure.attempts = counts->timed;
        break;

    case CANARY_RULE_MATCH_RATE:

        /* late, one may have turned out to be no evidence */

        measure.sum = (counts->slow[limit] < counts->started)
                      ? counts->slow[limit] : counts->started;
        break;

    default: /* a quantile */
        measure.sum = counts->slow[limit];
        measure.attempts = canary_rule_sum(counts->started,
                                           counts->time_only);
        break;
    }

    return measure;
}


canary_measure_t
canary_rule_passing_measure(const canary_rule_t *rule, unsigned limit,
    const canary_evidence_view_t *view)
{
    canary_measure_t  measure;

    measure = canary_rule_measure(rule, limit, &view->passing);

    if (rule->kind == CANARY_RULE_LATENCY_AVG_MAX) {
        canary_rule_add_overdue(rule, view, &measure);
    }

    if (rule->kind == CANARY_RULE_ABANDONED_RATE) {
        measure.attempts -= view->running.attempts;
        measure.sum += view->overdue + view->unended - view->running.sum;
    }

    return measure;
}


void
canary_rule_judge(const canary_rule_t *rule, unsigned limit,
    const canary_evidence_view_t *view, canary_judgement_t *judgement)
{
    canary_measure_t  failing, passing;

    if (canary_rule_info[rule->kind].unit == CANARY_UNIT_COUNT) {
        canary_rule_judge_budget(rule, view, judgement);
        return;
    }

    failing = canary_rule_measure(rule, limit, &view->failing);
    passing = canary_rule_passing_measure(rule, limit, view);

    judgement->attempts = failing.attempts;
    judgement->bad = failing.sum;
    judgement->value = failing.attempts
                       ? (double) failing.sum / (double) failing.attempts : 0;
    judgement->needed = 0;
    judgement->low = NAN;
    judgement->high = NAN;

    if (failing.attempts >= rule->min_requests
        && canary_rule_above(rule, &failing))
    {
        judgement->verdict = CANARY_FAILING;
        return;
    }

    if (passing.attempts >= rule->min_requests
        && !canary_rule_above(rule, &passing))
    {
        judgement->verdict = CANARY_PASSING;
        return;
    }

    judgement->verdict = CANARY_UNDECIDED;
    judgement->needed = canary_rule_clean_attempts(rule, &passing);
}


/*
 * How long overdue attempts will take is not known: so long at least, and for
 * a rule that would allow for it, too long.
 */

void
canary_rule_add_overdue(const canary_rule_t *rule,
    const canary_evidence_view_t *view, canary_measure_t *measure)
{
    uint64_t  overdue, time;

    overdue = view->overdue;
    time = 1;

    if (canary_rule_info[rule->kind].unit == CANARY_UNIT_LATENCY
        || rule->kind == CANARY_RULE_MATCH_RATE)
    {
        overdue += view->pending;

    } else if (rule->kind == CANARY_RULE_ABANDONED_RATE) {
        overdue += view->unended;
    }

    if (rule->kind == CANARY_RULE_LATENCY_AVG_MAX) {
        time = view->patience * 1000;

        if (!rule->baseline && time <= rule->threshold) {
            time = rule->threshold + 1;
        }
    }

    measure->attempts += overdue;
    measure->sum += overdue * time;
}


/* the share of attempts that may be bad, in billionths */

static uint64_t
canary_rule_share(const canary_rule_t *rule)
{
    uint32_t  quantile;

    quantile = canary_rule_info[rule->kind].quantile;

    return quantile ? CANARY_RATIO_ONE - quantile : rule->threshold;
}


int
canary_rule_above(const canary_rule_t *rule, const canary_measure_t *measure)
{
    if (measure->attempts == 0) {
        return 0;
    }

    if (rule->kind == CANARY_RULE_LATENCY_AVG_MAX) {

        /* sum / attempts > threshold, with nothing that could overflow */

        return measure->sum / measure->attempts
               + (measure->sum % measure->attempts != 0) > rule->threshold;
    }

    return canary_rule_product_above(measure->sum, CANARY_RATIO_ONE,
                                     measure->attempts,
                                     (uint32_t) canary_rule_share(rule));
}


int
canary_rule_above_stable(const canary_rule_t *rule,
    const canary_measure_t *canary, const canary_measure_t *stable)
{
    double  ours, theirs;

    if (canary->attempts == 0 || stable->attempts == 0) {
        return 0;
    }

    ours = (double) canary->sum / (double) canary->attempts;
    theirs = (double) stable->sum / (double) stable->attempts;

    if (rule->kind == CANARY_RULE_LATENCY_AVG_MAX) {
        return ours > theirs * canary_rule_threshold(rule) * (1 + 1e-12);
    }

    return ours > theirs + canary_rule_threshold(rule) + 1e-12;
}


/* a * n > b * m, in 96 bits: the upper 64 and the lower 32 of each */

static int
canary_rule_product_above(uint64_t a, uint32_t n, uint64_t b, uint32_t m)
{
    uint64_t  a_low, a_high, b_low, b_high;

    a_low = (a & 0xffffffff) * n;
    a_high = (a >> 32) * n + (a_low >> 32);

    b_low = (b & 0xffffffff) * m;
    b_high = (b >> 32) * m + (b_low >> 32);

    if (a_high != b_high) {
        return a_high > b_high;
    }

    return (a_low & 0xffffffff) > (b_low & 0xffffffff);
}


/*
 * How many more clean attempts bring a rule to its min_requests, and its
 * value back to the threshold: a clean attempt adds nothing to a ratio.  The
 * time of a latency rule's next attempts is not known; there it is only the
 * number of attempts.
 */

uint64_t
canary_rule_clean_attempts(const canary_rule_t *rule,
    const canary_measure_t *measure)
{
    uint64_t  total, share, level;

    total = rule->min_requests;
    share = canary_rule_share(rule);

    if (rule->kind != CANARY_RULE_LATENCY_AVG_MAX && !rule->baseline
        && share && canary_rule_above(rule, measure))
    {
        level = measure->sum / share * CANARY_RATIO_ONE
                + (measure->sum % share * CANARY_RATIO_ONE + share - 1)
                  / share;

        total = (level > total) ? level : total;
    }

    return (total > measure->attempts) ? total - measure->attempts : 1;
}


static void
canary_rule_judge_budget(const canary_rule_t *rule,
    const canary_evidence_view_t *view, canary_judgement_t *judgement)
{
    judgement->value = (double) view->spent;
    judgement->attempts = view->failing.started;
    judgement->bad = view->spent;
    judgement->needed = 0;
    judgement->low = NAN;
    judgement->high = NAN;
    judgement->verdict = (view->spent > rule->threshold) ? CANARY_FAILING
                                                         : CANARY_PASSING;
}
