
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_RULE_H
#define CANARY_RULE_H


#include <stddef.h>
#include <stdint.h>

#include "canary_match.h"


/*
 * A rule holds a release to a threshold.  Names and numbers are those of
 * Verta's canary rules, where it has them.
 */

typedef enum {
    CANARY_RULE_ERROR_4XX_RATE = 0,
    CANARY_RULE_ERROR_5XX_RATE,
    CANARY_RULE_ERROR_RATE,
    CANARY_RULE_LATENCY_AVG_MAX,
    CANARY_RULE_LATENCY_P50_MAX,
    CANARY_RULE_LATENCY_P90_MAX,
    CANARY_RULE_LATENCY_P95_MAX,
    CANARY_RULE_LATENCY_P99_MAX,
    CANARY_RULE_FAILED_REQUESTS_MAX,
    CANARY_RULE_ABANDONED_RATE,
    CANARY_RULE_MATCH_RATE,
    CANARY_RULE_KINDS
} canary_rule_kind_t;


/* What a threshold is a number of. */

typedef enum {
    CANARY_UNIT_RATIO = 0,     /* parts per billion, 0..CANARY_RATIO_ONE */
    CANARY_UNIT_LATENCY,       /* microseconds, 1..CANARY_LATENCY_MAX */
    CANARY_UNIT_COUNT,         /* requests, 0..CANARY_COUNT_MAX */
    CANARY_UNIT_FACTOR         /* parts per billion, 1..CANARY_FACTOR_MAX */
} canary_unit_t;


#define CANARY_RATIO_ONE              1000000000ull
#define CANARY_LATENCY_MAX            86400000000ull
#define CANARY_COUNT_MAX              1000000000ull
#define CANARY_FACTOR_MAX             1000000000000ull
#define CANARY_MIN_REQUESTS_MAX       1000000000u
#define CANARY_CONFIDENCE_MIN         500000000u     /* parts per billion */
#define CANARY_CONFIDENCE_MAX         999999999u
#define CANARY_BURST_MAX              10000u         /* ms */
#define CANARY_WINDOW_MIN             100u           /* ms */
#define CANARY_WINDOW_MAX             86400000u

#define CANARY_CONFIDENCE_DEFAULT     999000000u
#define CANARY_BURST_DEFAULT          100u
#define CANARY_MIN_REQUESTS_PLAIN     50u

/* a verdict of "failing" with confidence needs so many bad attempts */

#define CANARY_MIN_BAD                3u

/* rules of a strategy that count attempts of a kind of their own: that take
   longer than a limit, or that a match is about */

#define CANARY_LIMITS_MAX             8


typedef struct {
    const char     *name;
    uint32_t        verta_id;      /* 0: Verta has no such rule */
    canary_unit_t   unit;          /* of a rule without baseline */
    uint32_t        quantile;      /* parts per billion; 0: it is none */
    int             immediate;     /* may be judged when an attempt fails */
} canary_rule_info_t;


/* Without padding: rules are compared byte by byte. */

typedef struct {
    uint32_t        kind;          /* canary_rule_kind_t */
    uint32_t        min_requests;  /* 1..CANARY_MIN_REQUESTS_MAX */
    uint64_t        threshold;     /* in canary_rule_unit() */
    uint32_t        confidence;    /* parts per billion; 0: off */
    uint32_t        burst;         /* ms, a multiple of 100; 0: each attempt
                                      by itself; only with confidence */
    uint32_t        window;        /* ms; 0: all of the step; only without
                                      confidence */
    uint16_t        baseline;      /* 1: compared with stable */
    uint16_t        match;         /* place of its name, from 1 on; 0: none */
} canary_rule_t;


/* Which parameters of a rule have been given, see canary_rule_complete(). */

enum {
    CANARY_GIVEN_MIN_REQUESTS = 1 << 0,
    CANARY_GIVEN_CONFIDENCE   = 1 << 1,
    CANARY_GIVEN_BURST        = 1 << 2,
    CANARY_GIVEN_WINDOW       = 1 << 3,
    CANARY_GIVEN_BASELINE     = 1 << 4,
    CANARY_GIVEN_MATCH        = 1 << 5
};


typedef enum {
    CANARY_UNDECIDED = 0,
    CANARY_PASSING,
    CANARY_FAILING
} canary_verdict_t;

const char *canary_verdict_name(canary_verdict_t verdict);


/* Sums of attempts; what is no evidence is in none of them. */

typedef struct {
    uint64_t        started;       /* attempts begun */
    uint64_t        bad_4xx;
    uint64_t        bad_5xx;       /* answered 5xx, failed or cut short */
    uint64_t        bad;           /* attempts that are one or the other */
    uint64_t        time_only;     /* whose client left, after a wait that a
                                      latency rule forbids, which are not in
                                      started; less those whose time is no
                                      evidence: may be below zero */
    uint64_t        left;          /* whose client left before the answer was
                                      complete, and of those, */
    uint64_t        left_only;     /* for that reason not in started */
    uint64_t        timed;         /* attempts with a known time */
    uint64_t        time;          /* their times added up, microseconds */
    uint64_t        slow[CANARY_LIMITS_MAX];
                                   /* that took longer than a limit, or have
                                      been in flight for longer; or that are
                                      of a match */
} canary_counts_t;


#define CANARY_PATIENCE_MIN  10000u    /* ms; the default, too */
#define CANARY_PATIENCE_MAX  600000u


/* Bad attempts of all, or for an average their times added up. */

typedef struct {
    uint64_t  sum;
    uint64_t  attempts;
} canary_measure_t;


/*
 * The evidence on a release in the current step, seen in two ways.  An
 * attempt in flight is neither good nor bad yet: whoever looks for reasons
 * to condemn has to count it as not bad, so that quick errors do not condemn
 * slow successes; whoever looks for reasons to go on leaves it out, and
 * counts it as bad once it is overdue: in flight for longer than patience, or
 * than all that ended in the step.
 *
 * For a rule about clients that leave, an attempt is in flight until its
 * response has ended: "running" is what "passing" has of cohorts in which such
 * attempts are, in the sense of that rule.
 */

typedef struct {
    canary_counts_t  failing;
    canary_counts_t  passing;      /* with overdue attempts, as bad ones; not
                                      in timed and time */
    uint64_t         overdue;      /* in flight for too long */
    uint64_t         pending;      /* have answered, but took too long to
                                      end */
    uint64_t         patience;     /* ms */
    uint64_t         unended;      /* as pending, if ends are followed */
    canary_measure_t running;
    uint64_t         spent;        /* failed since the rollout began */
} canary_evidence_view_t;


typedef struct {
    canary_verdict_t  verdict;
    double            value;       /* ratio, microseconds, count or factor;
                                      of a quantile: by canary_times_t */
    uint64_t          attempts;    /* that the value was measured on */
    uint64_t          needed;      /* clean attempts until it may pass */
    uint64_t          bad;         /* of the attempts, by this rule */
    double            low;         /* bounds of the value, never at odds with
                                      the verdict; NaN: none.  At the rule's
                                      confidence, */
    double            high;        /* and at that by which rules pass */
} canary_judgement_t;


extern const canary_rule_info_t  canary_rule_info[CANARY_RULE_KINDS];


/* The kind of the rule of that name, or of Verta's number; -1 if none. */

int canary_rule_by_name(const char *name, size_t len);
int canary_rule_by_verta_id(uint32_t id);


canary_unit_t canary_rule_unit(const canary_rule_t *rule);

static inline int
canary_rule_is_quantile(const canary_rule_t *rule)
{
    return canary_rule_info[rule->kind].quantile != 0;
}


/* whether it has a place in slow[] */

static inline int
canary_rule_has_limit(const canary_rule_t *rule)
{
    return canary_rule_is_quantile(rule)
           || rule->kind == CANARY_RULE_MATCH_RATE;
}


/*
 * Gives a rule whose kind, threshold and given parameters are set the
 * defaults of the others.  Returns NULL, or what is wrong with the parameters
 * together: a phrase that follows the name of the rule.
 */

const char *canary_rule_complete(canary_rule_t *rule, unsigned given);

/*
 * Whether a node of a fleet may judge a rule by its own evidence while others
 * are known: one with statistics, by its share of them; and a budget, since
 * all have spent at least as much.
 */

static inline int
canary_rule_is_of_node(const canary_rule_t *rule)
{
    return rule->confidence != 0
           || canary_rule_info[rule->kind].unit == CANARY_UNIT_COUNT;
}


/* Whether a rule is judged as soon as an attempt fails. */

int canary_rule_immediate(const canary_rule_t *rule);

/*
 * A threshold as a number of base units (ratio, seconds, count or factor), as
 * it is shown and compared by people.
 */

double canary_rule_threshold(const canary_rule_t *rule);

/* A value in the rule's own unit, in base units. */

double canary_rule_base(const canary_rule_t *rule, double value);


/*
 * What a rule measures; "limit" is the place of one that has it in slow[].
 */

canary_measure_t canary_rule_measure(const canary_rule_t *rule,
    unsigned limit, const canary_counts_t *counts);

/*
 * The measure by which a rule may pass: overdue attempts are bad ones, or for
 * an average, have taken too long.
 */

canary_measure_t canary_rule_passing_measure(const canary_rule_t *rule,
    unsigned limit, const canary_evidence_view_t *view);

/* Adds what is overdue to a measure that knows nothing of it. */

void canary_rule_add_overdue(const canary_rule_t *rule,
    const canary_evidence_view_t *view, canary_measure_t *measure);

/*
 * Whether the measured value is above the threshold of a rule without
 * baseline.  Ratios are compared in integers, bad * 10^9 > threshold *
 * attempts, since 29 of 100 is not above 0.29, though 0.29 * 100 < 29 in
 * floating point.  The quantile q of times is above a limit if and only if
 * more than 1 - q of the times are: exactly, by nearest rank.
 */

int canary_rule_above(const canary_rule_t *rule,
    const canary_measure_t *measure);

/*
 * The same for a rule with a baseline: a rate by so much above that of
 * stable, an average so many times that of stable.  Not above while stable
 * has no attempts.  A quantile cannot be told from measures.
 */

int canary_rule_above_stable(const canary_rule_t *rule,
    const canary_measure_t *canary, const canary_measure_t *stable);

/* Clean attempts that a measure without statistics needs until it passes. */

uint64_t canary_rule_clean_attempts(const canary_rule_t *rule,
    const canary_measure_t *measure);

/*
 * Judges a rule without statistics, baseline and window: failing when the
 * measured value is above the threshold, passing when it is not, undecided
 * with fewer than min_requests attempts.  A budget (CANARY_UNIT_COUNT) needs
 * no attempts: it passes while it is not exceeded.
 */

void canary_rule_judge(const canary_rule_t *rule, unsigned limit,
    const canary_evidence_view_t *view, canary_judgement_t *judgement);


#endif /* CANARY_RULE_H */
