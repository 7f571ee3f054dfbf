
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_control.h"
#include "canary_evidence.h"
#include "canary_evidence_view.h"
#include "canary_judge.h"
#include "canary_judge_times.h"
#include "canary_lead_layout.h"
#include "canary_pace.h"


/* Evidence to judge by: the node's own, or that of all nodes. */

typedef struct {
    const canary_control_t  *control;
    canary_evidence_t       *evidence;
    canary_lead_t           *lead;     /* NULL: it is the node's */
    uint64_t                 now;      /* ms, of the evidence's clock */
    int                      only_own; /* rules of canary_rule_is_of_node() */
} canary_bench_t;


static void canary_control_join(const canary_control_t *control);
static void canary_control_own_bench(const canary_control_t *control,
    canary_bench_t *bench);
static int canary_control_measure(const canary_control_t *control);
static void canary_control_sample(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now);
static void canary_control_lead(const canary_control_t *control,
    int may_step);
static int canary_control_bench(const canary_bench_t *bench, int moved,
    int may_step);
static int canary_control_stable(const canary_control_t *control);
static int canary_control_canary(const canary_control_t *control);
static void canary_control_absent(const canary_control_t *control,
    canary_verb_t verb, uint64_t ms, uint64_t met);
static int canary_control_guard(const canary_bench_t *bench, int immediate,
    canary_result_t *result);
static void canary_control_leave_out(const canary_bench_t *bench,
    canary_result_t *result);
static void canary_control_breach(const canary_bench_t *bench,
    const canary_breach_t *breach);
static void canary_control_step(const canary_bench_t *bench,
    const canary_result_t *result);
static void canary_control_judge(const canary_bench_t *bench, int detail,
    canary_result_t *result);


/* whether others of a fleet are known, and decide what one cannot alone */

static inline int
canary_control_is_led(const canary_control_t *control)
{
    return control->member && control->member->role != CANARY_ISOLATED;
}


void
canary_control_look(const canary_control_t *control, int may_step)
{
    int             moved, waits;
    canary_bench_t  bench;

    canary_control_join(control);

    moved = canary_control_measure(control);
    waits = 0;

    if (control->away) {
        waits = canary_control_stable(control);

        if (canary_control_canary(control)) {
            return;
        }
    }

    if (!canary_rollout_guarded(control->rollout)) {
        return;
    }

    canary_control_own_bench(control, &bench);

    if (canary_control_bench(&bench, moved,
                             may_step && !waits && control->member == NULL)
        || !canary_control_is_led(control)
        || control->member->role != CANARY_LEADER)
    {
        return;
    }

    canary_control_lead(control, may_step && !waits);
}


void
canary_control_trip(const canary_control_t *control, int immediate)
{
    canary_bench_t   bench;
    canary_result_t  result;

    if (canary_rollout_guarded(control->rollout)) {
        canary_control_own_bench(control, &bench);
        (void) canary_control_guard(&bench, immediate, &result);
    }
}


/* what a fleet is to this node's evidence from now on */

static void
canary_control_join(const canary_control_t *control)
{
    canary_evidence_in_fleet(control->evidence,
                             control->member
                             ? control->member->now / CANARY_SLOT_MS : 0,
                             canary_control_is_led(control));
}


static void
canary_control_own_bench(const canary_control_t *control,
    canary_bench_t *bench)
{
    bench->control = control;
    bench->evidence = control->evidence;
    bench->lead = NULL;
    bench->now = control->now;
    bench->only_own = canary_control_is_led(control);

    canary_judge_share(control->evidence, control->rollout,
                       control->member ? control->member->share : 1);
}


/*
 * Takes in what has come; 0: nothing.  In a fleet the longest time is told to
 * others as well, now and then.
 */

static int
canary_control_measure(const canary_control_t *control)
{
    int                    has_long, moved;
    canary_evidence_t     *evidence;
    const canary_times_t  *times;

    evidence = control->evidence;

    moved = canary_judge_tick(evidence, control->rollout, control->now);
    canary_control_sample(evidence, control->rollout, control->now);

    if (!moved) {
        return 0;
    }

    has_long = canary_evidence_has_long(evidence, control->now)
               || (canary_control_is_led(control)
                   && evidence->slot % CANARY_COHORTS_TIMES == 0);

    times = control->times(control->data,
                           has_long ? CANARY_DETAIL_LONGEST : 0);

    canary_judge_measure(evidence, control->rollout, control->now, times);

    if (has_long || !canary_control_is_led(control)) {
        canary_judge_set_longest(evidence, has_long ? times : NULL);
    }

    return 1;
}


static void
canary_control_sample(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t now)
{
    canary_pace_t           *pace;
    canary_tail_t            tail;
    canary_evidence_view_t   view;

    pace = &canary_judge(evidence)->pace;

    if (!canary_pace_due(pace, rollout->tests, now)) {
        return;
    }

    canary_evidence_tail(evidence, now, &tail);
    tail.longest = CANARY_NOT_KNOWN;
    canary_evidence_view(evidence, &tail, CANARY_SIDE_CANARY, &view);

    canary_pace_sample(pace, rollout->tests, now, view.failing.started);
}


/* the fleet's test, and its steps */

static void
canary_control_lead(const canary_control_t *control, int may_step)
{
    int              moved;
    uint64_t         patience;
    canary_lead_t   *lead;
    canary_bench_t   bench;

    lead = control->member->lead;

    if (lead == NULL || !lead->closed
        || !canary_lead_is_of(lead, control->rollout))
    {
        return;
    }

    bench.control = control;
    bench.evidence = canary_lead_evidence(lead);
    bench.lead = lead;
    bench.now = lead->now;
    bench.only_own = 0;

    if (lead->away[CANARY_SIDE_CANARY] && control->away) {
        patience = control->patience(control->data);

        if (patience && lead->away[CANARY_SIDE_CANARY] >= patience
            && lead->absent >= patience)
        {
            canary_control_absent(control, CANARY_VIOLATION, patience, 0);
            return;
        }
    }

    if (lead->away[CANARY_SIDE_CANARY]
        || (lead->away[CANARY_SIDE_STABLE]
            && control->rollout->weight < CANARY_ONE))
    {
        may_step = 0;
    }

    canary_judge_share(bench.evidence, control->rollout,
                       control->member->common);

    moved = lead->moved;
    lead->moved = 0;

    if (moved) {
        canary_control_sample(bench.evidence, control->rollout, bench.now);
        canary_judge_measure(bench.evidence, control->rollout, bench.now,
                             &lead->times);
    }

    (void) canary_control_bench(&bench, moved, may_step);
}


/* returns 1 if something followed, so that there is nothing to go on with */

static int
canary_control_bench(const canary_bench_t *bench, int moved, int may_step)
{
    int                      holds;
    canary_result_t          result;
    canary_evidence_t       *evidence;
    const canary_rollout_t  *rollout;

    evidence = bench->evidence;
    rollout = bench->control->rollout;

    holds = canary_judge_holds(evidence, rollout, bench->now);

    /* of the times of a step none are known to be of cohorts that count */

    if (holds && bench->lead) {
        memset(bench->lead->times.step, 0, sizeof(bench->lead->times.step));

    } else if (holds) {
        bench->control->begin_step(bench->control->data);
    }

    if (!moved && !holds
        && (!may_step
            || canary_judge_settled(evidence, rollout, bench->control->now)))
    {
        return 0;
    }

    if (canary_control_guard(bench, 0, &result)) {
        return 1;
    }

    if (holds || !may_step
        || canary_judge_settled(evidence, rollout, bench->control->now))
    {
        return 0;
    }

    /* once more, with all that its event tells: that may have gone on */

    canary_control_judge(bench, 1, &result);

    if (canary_judge_settled(evidence, rollout, bench->control->now)) {
        return 0;
    }

    canary_control_step(bench, &result);

    return 1;
}


/*
 * Whether a step has to wait for stable, which the canary stands in for.  At
 * 100 % nobody asks stable any more, so that it cannot answer either.
 */

static int
canary_control_stable(const canary_control_t *control)
{
    uint64_t        ms;
    canary_away_t  *away;

    away = &control->away[CANARY_SIDE_STABLE];

    if (!canary_away_marked(away, control->rollout->number)) {
        return 0;
    }

    /* what was told twice is better than what was never told */

    if (away->told != away->mark) {
        canary_control_absent(control, CANARY_STABLE_UNAVAILABLE, 0, 0);
        away->told = away->mark;
    }

    if (canary_away_ended(away, control->answered(control->data,
                                                  CANARY_SIDE_STABLE),
                          control->now, &ms))
    {
        canary_control_absent(control, CANARY_STABLE_AVAILABLE, ms, away->met);
        canary_away_forget(away);

        return 0;
    }

    return control->rollout->weight < CANARY_ONE;
}


/* whether the rollout is broken: a canary that stays away answers no rule */

static int
canary_control_canary(const canary_control_t *control)
{
    uint64_t        ms, patience;
    canary_away_t  *away;

    away = &control->away[CANARY_SIDE_CANARY];

    if (!canary_away_marked(away, control->rollout->number)) {
        return 0;
    }

    /* who goes on from there begins anew */

    if (!canary_rollout_guarded(control->rollout)) {
        canary_away_forget(away);
        return 0;
    }

    ms = canary_away_lasts(away, control->answered(control->data,
                                                   CANARY_SIDE_CANARY),
                           control->now);
    patience = control->patience(control->data);

    if (patience == 0 || ms < patience || canary_control_is_led(control)) {
        return 0;
    }

    canary_away_forget(away);
    canary_control_absent(control, CANARY_VIOLATION, patience, 0);

    return 1;
}


static void
canary_control_absent(const canary_control_t *control, canary_verb_t verb,
    uint64_t ms, uint64_t met)
{
    canary_outage_t   outage;
    canary_command_t  command;

    memset(&command, 0, sizeof(canary_command_t));
    memset(&outage, 0, sizeof(canary_outage_t));

    command.verb = verb;
    command.now = control->now;

    outage.ms = ms;
    outage.attempts = met;

    control->absent(control->data, &command, &outage);
}


/* returns 1 if something follows from the verdicts */

static int
canary_control_guard(const canary_bench_t *bench, int immediate,
    canary_result_t *result)
{
    canary_breach_t  breach;

    canary_control_judge(bench, 0, result);

    if (bench->only_own) {
        canary_control_leave_out(bench, result);
    }

    if (!canary_judge_breach(bench->evidence, bench->control->rollout, result,
                             immediate, bench->now, &breach))
    {
        return 0;
    }

    canary_control_breach(bench, &breach);

    return 1;
}


/* rules that only the leader judges, by what all nodes know */

static void
canary_control_leave_out(const canary_bench_t *bench, canary_result_t *result)
{
    uint32_t              i;
    const canary_rule_t  *rules;

    rules = bench->control->rollout->strategy.rules;

    for (i = 0; i < result->n; i++) {
        if (!canary_rule_is_of_node(&rules[i])) {
            result->rules[i].verdict = CANARY_UNDECIDED;
        }
    }
}


static void
canary_control_breach(const canary_bench_t *bench,
    const canary_breach_t *breach)
{
    canary_result_t          result;
    canary_command_t         command;
    const canary_control_t  *control;

    control = bench->control;

    canary_control_judge(bench, 1, &result);

    memset(&command, 0, sizeof(canary_command_t));

    command.verb = breach->verb;
    command.now = control->now;

    control->change(control->data, &command, breach, &result);

    /* only now: what the event tells of is discarded */

    if (breach->verb == CANARY_HOLDING) {
        canary_judge_hold(bench->evidence, control->rollout, breach->rule,
                          bench->now);
    }
}


static void
canary_control_step(const canary_bench_t *bench,
    const canary_result_t *result)
{
    canary_command_t         command;
    const canary_control_t  *control;

    control = bench->control;

    memset(&command, 0, sizeof(canary_command_t));

    command.verb = CANARY_TICK;
    command.now = control->now;
    command.verdict = result->verdict;
    command.attempts = result->decided;

    control->change(control->data, &command, NULL, result);
}


static void
canary_control_judge(const canary_bench_t *bench, int detail,
    canary_result_t *result)
{
    const canary_times_t    *times;
    const canary_control_t  *control;

    control = bench->control;

    times = bench->lead ? &bench->lead->times
                        : control->times(control->data, detail);

    canary_judge_rules(bench->evidence, control->rollout, bench->now, times,
                       detail, result);
}


void
canary_control_tell(const canary_control_t *control,
    canary_cohorts_t *cohorts)
{
    int                   need;
    unsigned              side;
    const canary_away_t  *away;

    need = canary_cohorts_need_times(control->rollout,
                                     control->evidence->slot) != 0;

    canary_cohorts_take(control->evidence, control->rollout, control->now,
                        need ? control->times(control->data,
                                              CANARY_DETAIL_ALL)
                             : NULL,
                        cohorts);

    if (control->away == NULL) {
        return;
    }

    cohorts->answered = control->answered(control->data, CANARY_SIDE_CANARY);

    for (side = 0; side < CANARY_SIDES; side++) {
        away = &control->away[side];

        if (canary_away_marked(away, control->rollout->number)) {
            cohorts->away[side] = canary_away_since(away, control->now);
        }
    }
}
