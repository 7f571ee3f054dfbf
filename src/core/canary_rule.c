
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_rule.h"


/* A value that can be compared with a threshold: over attempts. */

typedef struct {
    uint64_t  sum;
    uint64_t  attempts;
} canary_measure_t;


static canary_measure_t canary_rule_measure(const canary_rule_t *rule,
    const canary_counts_t *counts);
static void canary_rule_add_overdue(const canary_rule_t *rule,
    uint64_t overdue, canary_measure_t *measure);
static int canary_rule_above(const canary_rule_t *rule,
    const canary_measure_t *measure);
static int canary_rule_product_above(uint64_t a, uint32_t n, uint64_t b,
    uint32_t m);
static uint64_t canary_rule_clean_attempts(const canary_rule_t *rule,
    const canary_measure_t *measure);
static void canary_rule_judge_budget(const canary_rule_t *rule,
    const canary_evidence_view_t *view, canary_judgement_t *judgement);


const canary_rule_info_t  canary_rule_info[CANARY_RULE_KINDS] = {
    { "error_4xx_rate", 1007, CANARY_UNIT_RATIO, 1 },
    { "error_5xx_rate", 1008, CANARY_UNIT_RATIO, 1 },
    { "error_rate", 0, CANARY_UNIT_RATIO, 1 },
    { "latency_avg_max", 1005, CANARY_UNIT_LATENCY, 0 },
    { "failed_requests_max", 0, CANARY_UNIT_COUNT, 1 }
};


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


double
canary_rule_threshold(const canary_rule_t *rule)
{
    if (canary_rule_info[rule->kind].unit == CANARY_UNIT_RATIO) {
        return (double) rule->threshold / (double) CANARY_RATIO_ONE;
    }

    return canary_rule_base(rule, (double) rule->threshold);
}


double
canary_rule_base(const canary_rule_t *rule, double value)
{
    if (canary_rule_info[rule->kind].unit == CANARY_UNIT_LATENCY) {
        return value / 1e6;
    }

    return value;
}


void
canary_rule_judge(const canary_rule_t *rule,
    const canary_evidence_view_t *view, canary_judgement_t *judgement)
{
    canary_measure_t  failing, passing;

    if (canary_rule_info[rule->kind].unit == CANARY_UNIT_COUNT) {
        canary_rule_judge_budget(rule, view, judgement);
        return;
    }

    failing = canary_rule_measure(rule, &view->failing);
    passing = canary_rule_measure(rule, &view->passing);

    if (rule->kind == CANARY_RULE_LATENCY_AVG_MAX) {
        canary_rule_add_overdue(rule, view->overdue, &passing);
    }

    judgement->attempts = failing.attempts;
    judgement->value = failing.attempts
                       ? (double) failing.sum / (double) failing.attempts : 0;
    judgement->needed = 0;

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


static canary_measure_t
canary_rule_measure(const canary_rule_t *rule, const canary_counts_t *counts)
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

    default: /* CANARY_RULE_LATENCY_AVG_MAX */
        measure.sum = counts->time;
        measure.attempts = counts->timed;
        break;
    }

    return measure;
}


/*
 * How long overdue attempts will take is not known: so long at least, and for
 * a rule that would allow for it, too long.
 */

static void
canary_rule_add_overdue(const canary_rule_t *rule, uint64_t overdue,
    canary_measure_t *measure)
{
    uint64_t  time;

    time = CANARY_OVERDUE_MS * 1000;

    if (time <= rule->threshold) {
        time = rule->threshold + 1;
    }

    measure->attempts += overdue;
    measure->sum += overdue * time;
}


static int
canary_rule_above(const canary_rule_t *rule, const canary_measure_t *measure)
{
    if (canary_rule_info[rule->kind].unit == CANARY_UNIT_RATIO) {
        return canary_rule_product_above(measure->sum, CANARY_RATIO_ONE,
                                         measure->attempts,
                                         (uint32_t) rule->threshold);
    }

    if (measure->attempts == 0) {
        return 0;
    }

    /* sum / attempts > threshold, with nothing that could overflow */

    return measure->sum / measure->attempts
           + (measure->sum % measure->attempts != 0) > rule->threshold;
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

static uint64_t
canary_rule_clean_attempts(const canary_rule_t *rule,
    const canary_measure_t *measure)
{
    uint64_t  total;

    total = rule->min_requests;

    if (canary_rule_info[rule->kind].unit == CANARY_UNIT_RATIO
        && rule->threshold && canary_rule_above(rule, measure))
    {
        uint64_t  level = measure->sum / rule->threshold * CANARY_RATIO_ONE
                          + (measure->sum % rule->threshold * CANARY_RATIO_ONE
                             + rule->threshold - 1)
                            / rule->threshold;

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
    judgement->needed = 0;
    judgement->verdict = (view->spent > rule->threshold) ? CANARY_FAILING
                                                         : CANARY_PASSING;
}
