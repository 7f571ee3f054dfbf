
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_RULE_H
#define CANARY_RULE_H


#include <stddef.h>
#include <stdint.h>


/*
 * A rule holds a release to a threshold.  Names and numbers are those of
 * Verta's canary rules, where it has them.
 */

typedef enum {
    CANARY_RULE_ERROR_4XX_RATE = 0,
    CANARY_RULE_ERROR_5XX_RATE,
    CANARY_RULE_ERROR_RATE,
    CANARY_RULE_LATENCY_AVG_MAX,
    CANARY_RULE_FAILED_REQUESTS_MAX,
    CANARY_RULE_KINDS
} canary_rule_kind_t;


/* What a threshold of a kind of rule is a number of. */

typedef enum {
    CANARY_UNIT_RATIO = 0,     /* parts per billion, 0..CANARY_RATIO_ONE */
    CANARY_UNIT_LATENCY,       /* microseconds, 1..CANARY_LATENCY_MAX */
    CANARY_UNIT_COUNT          /* requests, 0..CANARY_COUNT_MAX */
} canary_unit_t;


#define CANARY_RATIO_ONE              1000000000ull
#define CANARY_LATENCY_MAX            86400000000ull
#define CANARY_COUNT_MAX              1000000000ull
#define CANARY_MIN_REQUESTS_MAX       1000000000u
#define CANARY_MIN_REQUESTS_DEFAULT   50u


typedef struct {
    const char     *name;
    uint32_t        verta_id;      /* 0: Verta has no such rule */
    canary_unit_t   unit;
    int             immediate;     /* judged as soon as an attempt fails */
} canary_rule_info_t;


typedef struct {
    uint32_t        kind;          /* canary_rule_kind_t */
    uint32_t        min_requests;  /* 1..CANARY_MIN_REQUESTS_MAX */
    uint64_t        threshold;     /* in the unit of its kind */
} canary_rule_t;


typedef enum {
    CANARY_UNDECIDED = 0,
    CANARY_PASSING,
    CANARY_FAILING
} canary_verdict_t;


/* Sums of attempts; what is no evidence is in none of them. */

typedef struct {
    uint64_t        started;       /* attempts begun */
    uint64_t        bad_4xx;
    uint64_t        bad_5xx;       /* answered 5xx, failed or cut short */
    uint64_t        bad;           /* attempts that are one or the other */
    uint64_t        timed;         /* attempts with a known time */
    uint64_t        time;          /* their times added up, microseconds */
} canary_counts_t;


#define CANARY_OVERDUE_MS  10000   /* in flight for so long: overdue */


/*
 * The evidence on a release in the current step, seen in two ways.  An
 * attempt in flight is neither good nor bad yet: whoever looks for reasons
 * to condemn has to count it as not bad, so that quick errors do not condemn
 * slow successes; whoever looks for reasons to go on leaves it out, and
 * counts it as bad once it has taken unreasonably long.
 */

typedef struct {
    canary_counts_t  failing;
    canary_counts_t  passing;      /* with overdue attempts, as bad ones; not
                                      in timed and time */
    uint64_t         overdue;      /* in flight for too long */
    uint64_t         spent;        /* failed since the rollout began */
} canary_evidence_view_t;


typedef struct {
    canary_verdict_t  verdict;
    double            value;       /* ratio, microseconds or count */
    uint64_t          attempts;    /* that the value was measured on */
    uint64_t          needed;      /* clean attempts until it may pass */
} canary_judgement_t;


extern const canary_rule_info_t  canary_rule_info[CANARY_RULE_KINDS];


/* The kind of the rule of that name, or of Verta's number; -1 if none. */

int canary_rule_by_name(const char *name, size_t len);
int canary_rule_by_verta_id(uint32_t id);


/*
 * A threshold as a number of base units (ratio, seconds or count), as it is
 * shown and compared by people.
 */

double canary_rule_threshold(const canary_rule_t *rule);

/* A value in the rule's own unit, in base units (ratio, seconds, count). */

double canary_rule_base(const canary_rule_t *rule, double value);


/*
 * Judges a rule without statistics ("confidence=off"): failing when the
 * measured value is above the threshold, passing when it is not, undecided
 * with fewer than min_requests attempts.  A budget (CANARY_UNIT_COUNT) needs
 * no attempts: it passes while it is not exceeded.
 *
 * Ratios are compared in integers, bad * 10^9 > threshold * attempts, since
 * 29 of 100 is not above 0.29, though 0.29 * 100 < 29 in floating point.
 */

void canary_rule_judge(const canary_rule_t *rule,
    const canary_evidence_view_t *view, canary_judgement_t *judgement);


#endif /* CANARY_RULE_H */
