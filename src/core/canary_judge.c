
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "canary_judge.h"


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

static void canary_judge_open(canary_session_t *session);
static void canary_judge_rule(canary_session_t *session, uint32_t number,
    canary_judgement_t *judgement, canary_proof_t *proof);
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
static void canary_judge_set_fuse(canary_session_t *session, uint32_t number,
    const canary_proof_t *proof, const uint64_t bad[CANARY_FUSES],
    uint64_t fuses[CANARY_FUSES]);

static void canary_times_mark(canary_times_mark_t *mark,
    const canary_histogram_t *times);
static void canary_times_since(const canary_histogram_t *times,
    const canary_times_mark_t *mark, canary_histogram_t *since);
static int canary_judge_is_broken_by_stable(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint32_t number, uint64_t now,
    canary_outage_t *outage);


static inline int
canary_rule_is_quantile(const canary_rule_t *rule)
{
    return canary_rule_info[rule->kind].quantile != 0;
}


static inline int
canary_rule_is_latency(const canary_rule_t *rule)
{
    return canary_rule_info[rule->kind].unit == CANARY_UNIT_LATENCY;
}


size_t
canary_judge_size(uint32_t nslots)
{
    return canary_evidence_size(nslots) + sizeof(canary_judge_t);
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


/*
 * Time goes on
 */


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


/*
 * Judging
 */


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
    session.detail = detail;

    canary_judge_open(&session);

    result->decided = session.views[CANARY_SIDE_CANARY].passing.started;
    result->decided -= (session.views[CANARY_SIDE_CANARY].overdue
                        < result->decided)
                       ? session.views[CANARY_SIDE_CANARY].overdue
                       : result->decided;
    result->started = session.views[CANARY_SIDE_CANARY].failing.started;
    result->stable_started
        = session.views[CANARY_SIDE_STABLE].failing.started;
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

    /* there is nothing to compare with any more */

    if (rule->baseline && session->rollout->weight == CANARY_ONE
        && judgement->verdict == CANARY_UNDECIDED)
    {
        judgement->verdict = trial->verdict;
        judgement->needed = 0;
    }

    trial->verdict = judgement->verdict;

    if (session->detail && rule->confidence) {
        canary_judge_bounds(session, number, judgement);
    }
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

    limit = canary_evidence_limit(CANARY_CLEAR_CONFIDENCE);

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


/* those of a rate or quantile; of a comparison none are known */

static void
canary_judge_bounds(canary_session_t *session, uint32_t number,
    canary_judgement_t *judgement)
{
    double                     confidence, unused;
    canary_measure_t           passing;
    const canary_rule_t       *rule;
    canary_quantile_bounds_t   bounds;

    rule = &session->rollout->strategy.rules[number];
    confidence = rule->confidence / 1e9;

    if (rule->baseline || rule->kind == CANARY_RULE_LATENCY_AVG_MAX) {
        return;
    }

    if (canary_rule_is_quantile(rule)) {

        canary_histogram_bounds(&session->times->step[CANARY_SIDE_CANARY],
                                canary_rule_info[rule->kind].quantile,
                                confidence, &bounds);

        judgement->low = bounds.low;
        judgement->high = bounds.unbounded ? NAN : bounds.high;

        return;
    }

    passing = canary_rule_passing_measure(rule, 0,
                                         &session->views[CANARY_SIDE_CANARY]);

    canary_rate_bounds(judgement->attempts, judgement->bad, confidence,
                       &judgement->low, &unused);
    canary_rate_bounds(passing.attempts, passing.sum, confidence, &unused,
                       &judgement->high);
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

    if (!canary_rule_immediate(rule)) {
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


/*
 * An outage of both
 */


int
canary_judge_excuse(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint32_t number, uint64_t now,
    canary_outage_t *outage)
{
    const canary_rule_t  *rule;

    rule = &rollout->strategy.rules[number];

    return !rule->baseline && rollout->weight < CANARY_ONE
           && canary_rule_info[rule->kind].unit != CANARY_UNIT_COUNT
           && canary_judge_is_broken_by_stable(evidence, rollout, number, now,
                                               outage);
}


void
canary_judge_hold(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint32_t rule, uint64_t now)
{
    uint32_t         i;
    canary_judge_t  *judge;

    judge = canary_judge(evidence);

    canary_evidence_discard(evidence, now);

    for (i = 0; i < rollout->strategy.nrules; i++) {
        canary_trial_forget(&judge->trials[i], &rollout->strategy.rules[i],
                            rollout->tests);
    }

    judge->first = (uint32_t) evidence->now;

    judge->holding = 1;
    judge->held_rule = rule;
}


int
canary_judge_holds(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now)
{
    canary_judge_t   *judge;
    canary_outage_t   outage;

    judge = canary_judge(evidence);

    if (judge->holding
        && !canary_judge_is_broken_by_stable(evidence, rollout,
                                             judge->held_rule, now, &outage))
    {
        canary_evidence_keep(evidence, now);
        judge->holding = 0;
    }

    return judge->holding || now < evidence->discard_to;
}


/* the rule in any of the last times that holds enough that is bad */

static int
canary_judge_is_broken_by_stable(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint32_t number, uint64_t now,
    canary_outage_t *outage)
{
    unsigned              i;
    uint32_t              limit;
    canary_tail_t         tail;
    canary_counts_t       counts;
    canary_measure_t      measure;
    const canary_rule_t  *rule;

    static const uint64_t  last[] = { 500, 1000, 2000, 5000, 10000 };

    rule = &rollout->strategy.rules[number];
    limit = canary_judge(evidence)->trials[number].limit;

    canary_evidence_tail(evidence, now, &tail);

    for (i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        canary_evidence_last(evidence, &tail, CANARY_SIDE_STABLE, now,
                             last[i], &counts);

        measure = canary_rule_measure(rule, limit, &counts);

        if (((rule->kind == CANARY_RULE_LATENCY_AVG_MAX) ? measure.attempts
                                                         : measure.sum)
            < CANARY_MIN_BAD
            || !canary_rule_above(rule, &measure))
        {
            continue;
        }

        outage->ms = last[i];
        outage->attempts = measure.attempts;
        outage->value = (double) measure.sum / (double) measure.attempts;

        return 1;
    }

    return 0;
}


/*
 * Times
 */


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
