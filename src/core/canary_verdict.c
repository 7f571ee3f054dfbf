
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "canary_evidence_view.h"
#include "canary_judge_times.h"
#include "canary_verdict.h"


/* What the rules are judged by. */

typedef struct {
    canary_evidence_t       *evidence;
    canary_judge_t          *judge;
    const canary_rollout_t  *rollout;
    const canary_times_t    *times;
    unsigned                 sides;      /* whose times are known */
    uint64_t                 now;
    int                      detail;
    canary_tail_t            tail;
    canary_evidence_view_t   views[CANARY_SIDES];
    uint64_t                 in_flight;     /* of the canary */
} canary_session_t;


static void canary_judge_open(canary_session_t *session);
static void canary_judge_rule(canary_session_t *session, uint32_t number,
    canary_judgement_t *judgement, canary_proof_t *proof);
static int canary_judge_is_missing(const canary_evidence_t *evidence,
    const canary_rule_t *rule);
static void canary_judge_plain(canary_session_t *session, uint32_t number,
    canary_judgement_t *judgement);
static void canary_judge_confident(canary_session_t *session,
    uint32_t number, canary_judgement_t *judgement, canary_proof_t *proof);
static canary_verdict_t canary_judge_passes(canary_session_t *session,
    uint32_t number, canary_judgement_t *judgement);
static canary_verdict_t canary_judge_flawless(const canary_rule_t *rule,
    const canary_measure_t *canary, canary_judgement_t *judgement);
static int canary_judge_is_within(canary_session_t *session, uint32_t number,
    const canary_measure_t *canary, const canary_measure_t *stable);
static int canary_judge_above(canary_session_t *session, uint32_t number,
    const canary_measure_t *canary, const canary_measure_t *stable);
static double canary_judge_value(canary_session_t *session, uint32_t number,
    const canary_measure_t *canary, const canary_measure_t *stable);
static double canary_judge_quantile(canary_session_t *session,
    unsigned side, uint32_t quantile);
static void canary_judge_bounds(canary_session_t *session, uint32_t number,
    canary_judgement_t *judgement);
static void canary_judge_agree(const canary_rule_t *rule,
    canary_judgement_t *judgement);
static void canary_judge_set_fuse(canary_session_t *session, uint32_t number,
    const canary_proof_t *proof, const uint64_t bad[CANARY_FUSES],
    uint64_t fuses[CANARY_FUSES]);


void
canary_judge_rules(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now,
    const canary_times_t *times, int detail, canary_result_t *result)
{
    uint32_t             i;
    uint64_t             bad[CANARY_FUSES], fuses[CANARY_FUSES];
    canary_proof_t       proof;
    canary_session_t     session;
    canary_judgement_t  *judgement;

    /* before the evidence: so none is in neither */

    for (i = 0; i < CANARY_FUSES; i++) {
        bad[i] = __atomic_load_n(&evidence->bad[i], __ATOMIC_ACQUIRE);
        fuses[i] = (uint64_t) -1;
    }

    session.evidence = evidence;
    session.judge = canary_judge(evidence);
    session.rollout = rollout;
    session.sides = canary_judge_needs_times(&rollout->strategy, detail);
    session.times = times;
    session.now = now;
    session.detail = (detail == CANARY_DETAIL_ALL);

    canary_judge_open(&session);

    result->decided = session.views[CANARY_SIDE_CANARY].passing.started;
    result->decided -= (session.views[CANARY_SIDE_CANARY].overdue
                        < result->decided)
                       ? session.views[CANARY_SIDE_CANARY].overdue
                       : result->decided;
    result->started = session.views[CANARY_SIDE_CANARY].failing.started;
    result->stable_started
        = session.views[CANARY_SIDE_STABLE].failing.started;
    result->overdue = session.views[CANARY_SIDE_CANARY].overdue
                      + session.views[CANARY_SIDE_CANARY].pending;
    result->of_fleet = (evidence->given != NULL);
    result->verdict = CANARY_PASSING;
    result->n = rollout->strategy.nrules;

    for (i = 0; i < result->n; i++) {
        judgement = &result->rules[i];

        canary_judge_rule(&session, i, judgement, &proof);
        canary_judge_set_fuse(&session, i, &proof, bad, fuses);

        if (judgement->verdict == CANARY_FAILING) {
            result->verdict = CANARY_FAILING;

        } else if (judgement->verdict == CANARY_UNDECIDED
                   && result->verdict == CANARY_PASSING)
        {
            result->verdict = CANARY_UNDECIDED;
        }
    }

    for (i = 0; i < CANARY_FUSES; i++) {
        __atomic_store_n(&evidence->fuses[i], fuses[i], __ATOMIC_RELEASE);
    }

    session.judge->verdict = result->verdict;
    session.judge->decided = result->decided;
}


static void
canary_judge_open(canary_session_t *session)
{
    unsigned  side;
    uint32_t  i;

    canary_evidence_tail(session->evidence, session->now, &session->tail);
    session->tail.longest = session->judge->longest;

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_evidence_view(session->evidence, &session->tail, side,
                             &session->views[side]);
    }

    session->in_flight = 0;

    for (i = 0; i < session->tail.n; i++) {
        session->in_flight
            += session->tail.cohorts[i].sides[CANARY_SIDE_CANARY].in_flight;
    }
}


static void
canary_judge_rule(canary_session_t *session, uint32_t number,
    canary_judgement_t *judgement, canary_proof_t *proof)
{
    canary_trial_t       *trial;
    const canary_rule_t  *rule;

    trial = &session->judge->trials[number];
    rule = &session->rollout->strategy.rules[number];

    judgement->needed = 0;
    judgement->low = NAN;
    judgement->high = NAN;

    if (rule->confidence) {
        canary_judge_confident(session, number, judgement, proof);

    } else if (canary_rule_info[rule->kind].unit == CANARY_UNIT_COUNT) {
        canary_rule_judge(rule, 0, &session->views[CANARY_SIDE_CANARY],
                          judgement);
    } else {
        canary_judge_plain(session, number, judgement);
    }

    /* no process knows any more what it is about */

    if (canary_judge_is_missing(session->evidence, rule)) {
        judgement->verdict = CANARY_UNDECIDED;
        judgement->needed = 0;
        return;
    }

    /* there is nothing to compare with any more */

    if (rule->baseline && session->rollout->weight == CANARY_ONE
        && judgement->verdict == CANARY_UNDECIDED)
    {
        judgement->verdict = trial->verdict;
        judgement->needed = 0;
    }

    /*
     * What it keeps at 100 % is not taken back by attempts in flight: a step
     * that is due by now may be waiting for the disk.
     */

    if (!(rule->baseline && judgement->verdict == CANARY_UNDECIDED
          && session->views[CANARY_SIDE_CANARY].overdue))
    {
        trial->verdict = judgement->verdict;
    }

    if (session->detail && rule->confidence) {
        canary_judge_bounds(session, number, judgement);
    }
}


static int
canary_judge_is_missing(const canary_evidence_t *evidence,
    const canary_rule_t *rule)
{
    return rule->match && (evidence->missing & 1u << (rule->match - 1));
}


/* failing above the threshold, by what is known; passing by what is certain */

static void
canary_judge_plain(canary_session_t *session, uint32_t number,
    canary_judgement_t *judgement)
{
    canary_trial_t          *trial;
    canary_measure_t         failing[CANARY_SIDES], passing;
    const canary_rule_t     *rule;
    canary_evidence_view_t  *views;

    trial = &session->judge->trials[number];
    rule = &session->rollout->strategy.rules[number];
    views = session->views;

    passing = canary_rule_passing_measure(rule, trial->limit,
                                          &views[CANARY_SIDE_CANARY]);

    if (rule->window) {
        canary_trial_window(trial, rule, &session->tail,
                            session->evidence->first_tested, session->now,
                            failing, &passing);

        canary_rule_add_overdue(rule, &views[CANARY_SIDE_CANARY], &passing);
    } else {
        failing[CANARY_SIDE_STABLE] = canary_rule_measure(rule, trial->limit,
                                          &views[CANARY_SIDE_STABLE].failing);
        failing[CANARY_SIDE_CANARY] = canary_rule_measure(rule, trial->limit,
                                          &views[CANARY_SIDE_CANARY].failing);
    }

    judgement->attempts = failing[CANARY_SIDE_CANARY].attempts;
    judgement->bad = failing[CANARY_SIDE_CANARY].sum;
    judgement->value = canary_judge_value(session, number,
                                          &failing[CANARY_SIDE_CANARY],
                                          &failing[CANARY_SIDE_STABLE]);

    if (judgement->attempts >= rule->min_requests
        && canary_judge_above(session, number, &failing[CANARY_SIDE_CANARY],
                              &failing[CANARY_SIDE_STABLE]))
    {
        judgement->verdict = CANARY_FAILING;
        return;
    }

    if (canary_judge_is_within(session, number, &passing,
                               &failing[CANARY_SIDE_STABLE]))
    {
        judgement->verdict = CANARY_PASSING;
        return;
    }

    judgement->verdict = CANARY_UNDECIDED;
    judgement->needed = canary_rule_clean_attempts(rule, &passing);
}


static void
canary_judge_confident(canary_session_t *session, uint32_t number,
    canary_judgement_t *judgement, canary_proof_t *proof)
{
    canary_trial_t          *trial;
    canary_measure_t         canary, stable;
    const canary_rule_t     *rule;
    canary_evidence_view_t  *views;

    trial = &session->judge->trials[number];
    rule = &session->rollout->strategy.rules[number];
    views = session->views;

    canary = canary_rule_measure(rule, trial->limit,
                                 &views[CANARY_SIDE_CANARY].failing);
    stable = canary_rule_measure(rule, trial->limit,
                                 &views[CANARY_SIDE_STABLE].failing);

    judgement->attempts = canary.attempts;
    judgement->bad = canary.sum;
    judgement->value = canary_judge_value(session, number, &canary, &stable);

    canary_trial_proof(trial, rule, &session->tail, session->judge->first,
                       session->judge->comparable, proof);

    if (canary_trial_violated(trial, rule, proof, canary.attempts)) {
        judgement->verdict = CANARY_FAILING;
        return;
    }

    judgement->verdict = canary_judge_passes(session, number, judgement);
}


static canary_verdict_t
canary_judge_passes(canary_session_t *session, uint32_t number,
    canary_judgement_t *judgement)
{
    double                   limit;
    canary_trial_t          *trial;
    canary_measure_t         canary, stable;
    const canary_rule_t     *rule;
    canary_evidence_view_t  *views;

    trial = &session->judge->trials[number];
    rule = &session->rollout->strategy.rules[number];
    views = session->views;

    canary = canary_rule_passing_measure(rule, trial->limit,
                                         &views[CANARY_SIDE_CANARY]);

    if (rule->baseline || rule->kind == CANARY_RULE_LATENCY_AVG_MAX) {

        stable = canary_rule_measure(rule, trial->limit,
                                     &views[CANARY_SIDE_STABLE].failing);

        if (canary_judge_is_within(session, number, &canary, &stable)) {
            return CANARY_PASSING;
        }

        judgement->needed = canary_rule_clean_attempts(rule, &canary);

        return CANARY_UNDECIDED;
    }

    if (rule->threshold == 0) {
        return canary_judge_flawless(rule, &canary, judgement);
    }

    limit = canary_log_e_limit(CANARY_CLEAR_CONFIDENCE);

    if (canary_rate_clear(&trial->grid, limit, rule->min_requests,
                          canary.attempts, canary.sum))
    {
        return CANARY_PASSING;
    }

    if (session->detail) {
        judgement->needed = canary_rate_clear_needed(&trial->grid, limit,
                                                     rule->min_requests,
                                                     canary.attempts,
                                                     canary.sum);
    }

    return CANARY_UNDECIDED;
}


/* that nothing is ever bad cannot be proven: so many attempts are enough */

static canary_verdict_t
canary_judge_flawless(const canary_rule_t *rule,
    const canary_measure_t *canary, canary_judgement_t *judgement)
{
    uint64_t  enough;

    enough = (rule->min_requests > CANARY_MIN_REQUESTS_PLAIN)
             ? rule->min_requests : CANARY_MIN_REQUESTS_PLAIN;

    if (canary->sum == 0 && canary->attempts >= enough) {
        return CANARY_PASSING;
    }

    judgement->needed = (canary->attempts < enough)
                        ? enough - canary->attempts : 1;

    return CANARY_UNDECIDED;
}


/*
 * Whether a measure lets a rule pass.  A comparison that is not known does
 * not, nor one of quantiles, which are those of attempts that have ended,
 * while too many of the others are overdue.
 */

static int
canary_judge_is_within(canary_session_t *session, uint32_t number,
    const canary_measure_t *canary, const canary_measure_t *stable)
{
    canary_measure_t              overdue;
    const canary_rule_t          *rule;
    const canary_evidence_view_t *view;

    rule = &session->rollout->strategy.rules[number];
    view = &session->views[CANARY_SIDE_CANARY];

    if (canary->attempts < rule->min_requests) {
        return 0;
    }

    overdue.sum = view->overdue + view->pending;
    overdue.attempts = canary->attempts;

    if (rule->baseline
        && (stable->attempts == 0
            || isnan(canary_judge_value(session, number, canary, stable))
            || (canary_rule_is_quantile(rule)
                && canary_rule_above(rule, &overdue))))
    {
        return 0;
    }

    return !canary_judge_above(session, number, canary, stable);
}


static int
canary_judge_above(canary_session_t *session, uint32_t number,
    const canary_measure_t *canary, const canary_measure_t *stable)
{
    double                ratio;
    const canary_rule_t  *rule;

    rule = &session->rollout->strategy.rules[number];

    if (!rule->baseline) {
        return canary_rule_above(rule, canary);
    }

    if (!canary_rule_is_quantile(rule)) {
        return canary_rule_above_stable(rule, canary, stable);
    }

    ratio = canary_judge_value(session, number, canary, stable);

    /* not a number: not known */

    return ratio > canary_rule_threshold(rule) * (1 + 1e-9);
}


static double
canary_judge_value(canary_session_t *session, uint32_t number,
    const canary_measure_t *canary, const canary_measure_t *stable)
{
    double                ours, theirs;
    uint32_t              quantile;
    const canary_rule_t  *rule;

    rule = &session->rollout->strategy.rules[number];
    quantile = canary_rule_info[rule->kind].quantile;

    if (canary->attempts == 0) {
        return 0;
    }

    if (quantile) {
        ours = canary_judge_quantile(session, CANARY_SIDE_CANARY, quantile);
        theirs = canary_judge_quantile(session, CANARY_SIDE_STABLE, quantile);

        return rule->baseline ? ours / theirs : ours;
    }

    ours = (double) canary->sum / (double) canary->attempts;

    if (!rule->baseline) {
        return ours;
    }

    if (stable->attempts == 0) {
        return NAN;
    }

    theirs = (double) stable->sum / (double) stable->attempts;

    return (rule->kind == CANARY_RULE_LATENCY_AVG_MAX) ? ours / theirs
                                                       : ours - theirs;
}


/* microseconds, or not a number if there is no time in the step */

static double
canary_judge_quantile(canary_session_t *session, unsigned side,
    uint32_t quantile)
{
    uint32_t  bucket;

    if (!(session->sides & 1u << side)) {
        return NAN;
    }

    bucket = canary_histogram_quantile(&session->times->step[side], quantile);

    if (bucket == CANARY_HISTOGRAM_NONE) {
        return NAN;
    }

    return ((double) canary_histogram_low(bucket)
            + (double) canary_histogram_high(bucket)) / 2;
}


/*
 * Those of a rate or quantile; of a comparison none are known.  Low is what
 * failing is proved by, high what passing is.
 */

static void
canary_judge_bounds(canary_session_t *session, uint32_t number,
    canary_judgement_t *judgement)
{
    double                     confidence, unused;
    uint32_t                   quantile;
    canary_measure_t           passing;
    const canary_rule_t       *rule;
    const canary_histogram_t  *times;
    canary_quantile_bounds_t   bounds;

    rule = &session->rollout->strategy.rules[number];
    confidence = rule->confidence / 1e9;

    if (rule->baseline || rule->kind == CANARY_RULE_LATENCY_AVG_MAX) {
        return;
    }

    if (canary_rule_is_quantile(rule)) {
        quantile = canary_rule_info[rule->kind].quantile;
        times = &session->times->step[CANARY_SIDE_CANARY];

        canary_histogram_bounds(times, quantile, confidence, &bounds);
        judgement->low = bounds.low;

        canary_histogram_bounds(times, quantile, CANARY_CLEAR_CONFIDENCE,
                                &bounds);
        judgement->high = bounds.unbounded ? NAN : bounds.high;

    } else {
        passing = canary_rule_passing_measure(rule,
                                         session->judge->trials[number].limit,
                                         &session->views[CANARY_SIDE_CANARY]);

        canary_rate_bounds(judgement->attempts, judgement->bad, confidence,
                           &judgement->low, &unused);
        canary_rate_bounds(passing.attempts, passing.sum,
                           CANARY_CLEAR_CONFIDENCE, &unused,
                           &judgement->high);
    }

    canary_judge_agree(rule, judgement);
}


/*
 * Verdicts know more than the figures of the step: failing is proved by the
 * whole rollout, quantiles are compared exactly and not by buckets, and what
 * is overdue has no time.  Bounds give way to them: what was proved of the
 * limit is a bound, and what was not proved is none.
 */

static void
canary_judge_agree(const canary_rule_t *rule, canary_judgement_t *judgement)
{
    double  limit;

    limit = canary_rule_is_quantile(rule) ? (double) rule->threshold
                                          : canary_rule_threshold(rule);

    judgement->low = (judgement->verdict == CANARY_FAILING)
                     ? fmax(judgement->low, limit)
                     : fmin(judgement->low, limit);

    if (judgement->verdict != CANARY_PASSING) {
        judgement->high = isnan(judgement->high)
                          ? NAN : fmax(judgement->high, limit);

    } else if (rule->threshold == 0) {

        /* see canary_judge_flawless() */

        judgement->high = NAN;

    } else {
        judgement->high = fmin(judgement->high, limit);
    }
}


/* from how many bad attempts on this rule may have another verdict */

static void
canary_judge_set_fuse(canary_session_t *session, uint32_t number,
    const canary_proof_t *proof, const uint64_t bad[CANARY_FUSES],
    uint64_t fuses[CANARY_FUSES])
{
    unsigned              fuse;
    uint64_t              needed;
    canary_trial_t       *trial;
    const canary_rule_t  *rule;

    trial = &session->judge->trials[number];
    rule = &session->rollout->strategy.rules[number];

    if (!canary_rule_immediate(rule)
        || (session->evidence->led && !canary_rule_is_of_node(rule)))
    {
        return;
    }

    fuse = (rule->kind == CANARY_RULE_ERROR_4XX_RATE) ? CANARY_FUSE_4XX
           : (rule->kind == CANARY_RULE_ERROR_RATE) ? CANARY_FUSE_ANY
           : CANARY_FUSE_5XX;

    needed = canary_trial_bad_needed(trial, rule, proof, session->in_flight);

    if (bad[fuse] + needed < fuses[fuse]) {
        fuses[fuse] = bad[fuse] + needed;
    }
}
