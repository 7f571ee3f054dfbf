
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence_sum.h"
#include "canary_evidence_view.h"


static void canary_evidence_look_settled(const canary_evidence_t *evidence,
    uint32_t place, unsigned side, canary_sums_t *sums);
static void canary_evidence_copy_tail(const canary_tail_t *tail,
    canary_tail_t *copy);
static int canary_is_slow(uint64_t age, uint64_t limit);
static int canary_evidence_is_long(uint64_t age, uint64_t longest);
static void canary_add_counts(canary_counts_t *sum,
    const canary_counts_t *counts);
static void canary_subtract_voided(canary_counts_t *counts, uint64_t voided);
static void canary_count_long(const canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort, unsigned side, uint64_t age,
    canary_evidence_view_t *view);
static void canary_count_late(const canary_late_t *late,
    const canary_late_t *base, canary_counts_t *counts);
static void canary_subtract_slow(canary_slow_t *slow,
    const canary_slow_t *base);


uint64_t
canary_evidence_pulse(const canary_evidence_t *evidence, int *in_flight)
{
    unsigned               side;
    uint32_t               number;
    uint64_t               pulse;
    canary_cohort_view_t   view;
    const canary_slot_t   *slot;
    const canary_late_t   *late;

    *in_flight = 0;
    pulse = evidence->now * 31;

    for (number = evidence->oldest;
         number - 1 != canary_evidence_current(evidence);
         number++)
    {
        if (!canary_evidence_is_open(evidence, number)) {
            continue;
        }

        canary_evidence_look(evidence, number, 0, &view);

        for (side = 0; side < CANARY_SIDES; side++) {
            pulse = pulse * 31 + view.sides[side].started;
            pulse = pulse * 31 + view.sides[side].untimed;
            pulse = pulse * 31 + view.sides[side].unended;
            pulse = pulse * 31 + view.sides[side].left;
            *in_flight |= (view.sides[side].untimed
                           + view.sides[side].unended != 0);
        }
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        pulse = pulse * 31 + evidence->spent_base[side];
    }

    for (slot = evidence->all; slot; slot = slot->next) {
        for (side = 0; side < CANARY_SIDES; side++) {
            late = &slot->late[side];

            pulse = pulse * 31 + canary_get64(&late->step.bad_5xx);
            pulse = pulse * 31 + canary_get64(&late->past.bad_5xx);
            pulse = pulse * 31 + canary_get64(&late->spent);
            pulse = pulse * 31 + canary_get(&late->overdue);
            pulse = pulse * 31 + canary_get(&late->pending);
            pulse = pulse * 31 + canary_get(&late->unended);
            pulse = pulse * 31 + canary_get64(&late->left);
        }
    }

    return pulse;
}


void
canary_evidence_tail(const canary_evidence_t *evidence, uint64_t now,
    canary_tail_t *tail)
{
    uint32_t  number, current;

    if (evidence->given) {
        canary_evidence_copy_tail(&evidence->given->tail, tail);
        return;
    }

    tail->n = 0;
    tail->now = now;
    tail->longest = CANARY_NOT_KNOWN;
    tail->over = NULL;
    current = canary_evidence_current(evidence);

    for (number = evidence->oldest; number - 1 != current; number++) {
        canary_evidence_look(evidence, number, now, &tail->cohorts[tail->n++]);
    }
}


static void
canary_evidence_copy_tail(const canary_tail_t *tail, canary_tail_t *copy)
{
    memcpy(copy, tail, offsetof(canary_tail_t, cohorts)
                       + tail->n * sizeof(canary_cohort_view_t));
}


void
canary_evidence_view(const canary_evidence_t *evidence,
    const canary_tail_t *tail, unsigned side, canary_evidence_view_t *view)
{
    uint32_t                     i;
    canary_rest_t                rest;
    const canary_cohort_view_t  *cohort;

    if (evidence->given) {
        *view = evidence->given->views[side];
        return;
    }

    memset(view, 0, sizeof(canary_evidence_view_t));
    view->patience = evidence->patience;

    canary_evidence_rest(evidence, side, &rest);
    canary_evidence_add_rest(evidence, side, &rest, view);

    for (i = 0; i < tail->n; i++) {
        cohort = &tail->cohorts[i];

        if (cohort->step == canary_evidence_step(evidence)
            && !cohort->discarded)
        {
            canary_evidence_add_cohort(evidence, tail, cohort, side, view);
        }
    }

    canary_evidence_complete(rest.voided, view);
}


void
canary_evidence_rest(const canary_evidence_t *evidence, unsigned side,
    canary_rest_t *rest)
{
    canary_late_t  late;

    canary_evidence_sum_late(evidence, side, &late);

    rest->counts = evidence->folded[side];
    rest->voided = late.voided - evidence->late_base[side].voided;
    rest->overdue = late.overdue;
    rest->pending = late.pending;
    rest->unended = late.unended;

    canary_count_late(&late, &evidence->late_base[side], &rest->counts);

    /* after the others, so that it is never behind them */

    rest->spent = canary_evidence_spent_by(evidence, side);
}


void
canary_evidence_add_rest(const canary_evidence_t *evidence, unsigned side,
    const canary_rest_t *rest, canary_evidence_view_t *view)
{
    uint32_t         i;
    const uint64_t  *limits;

    canary_add_counts(&view->failing, &rest->counts);
    canary_add_counts(&view->passing, &rest->counts);

    limits = evidence->sets[evidence->limit_set].limits[side];

    for (i = 0; i < evidence->nlimits; i++) {
        if (limits[i] > view->patience * 1000) {
            view->passing.slow[i] += rest->overdue + rest->pending;
        }
    }

    view->overdue += rest->overdue;
    view->pending += rest->pending;
    view->unended += rest->unended;
    view->spent += rest->spent;
}


static void
canary_add_counts(canary_counts_t *sum, const canary_counts_t *counts)
{
    uint32_t  i;

    sum->started += counts->started;
    sum->bad_4xx += counts->bad_4xx;
    sum->bad_5xx += counts->bad_5xx;
    sum->bad += counts->bad;
    sum->time_only += counts->time_only;
    sum->left += counts->left;
    sum->left_only += counts->left_only;
    sum->timed += counts->timed;
    sum->time += counts->time;

    for (i = 0; i < CANARY_LIMITS_MAX; i++) {
        sum->slow[i] += counts->slow[i];
    }
}


void
canary_evidence_complete(uint64_t voided, canary_evidence_view_t *view)
{
    canary_subtract_voided(&view->failing, voided);
    canary_subtract_voided(&view->passing, voided);

    /* what has been in flight for too long is not going to end well */

    view->passing.bad_4xx += view->overdue;
    view->passing.bad_5xx += view->overdue;
    view->passing.bad += view->overdue;
}


static void
canary_subtract_voided(canary_counts_t *counts, uint64_t voided)
{
    counts->started -= (voided < counts->started) ? voided : counts->started;
}


/*
 * A cohort of the step that is not folded yet.  Attempts whose time is none
 * are not compared with the times of others.
 */

void
canary_evidence_add_cohort(const canary_evidence_t *evidence,
    const canary_tail_t *tail, const canary_cohort_view_t *cohort,
    unsigned side, canary_evidence_view_t *view)
{
    uint64_t              age;
    const canary_sums_t  *sums;

    sums = &cohort->sides[side];

    canary_evidence_count_sums(sums, &view->failing);

    age = cohort->ended ? canary_elapsed(tail->now, cohort->ended) : 0;

    if (cohort->settled || sums->untimed == 0) {
        canary_evidence_count_sums(sums, &view->passing);

    } else if (side == CANARY_SIDE_CANARY && sums->timeless == 0
               && canary_evidence_is_long(age, tail->longest))
    {
        canary_evidence_count_sums(sums, &view->passing);
        canary_count_long(evidence, cohort, side, age, view);

    } else {
        return;
    }

    if (!cohort->settled && sums->unended) {
        view->running.sum += sums->left;
        view->running.attempts += sums->started + sums->left_only;
    }
}


/*
 * Milliseconds in flight at least, and microseconds: by less than a bucket is
 * not longer.
 */

static int
canary_evidence_is_long(uint64_t age, uint64_t longest)
{
    return age >= CANARY_LONG_MS && (age - 1) * 1000 > longest;
}


/* those that are not slow yet, are going to be */

static void
canary_count_long(const canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort, unsigned side, uint64_t age,
    canary_evidence_view_t *view)
{
    uint32_t              i;
    const uint64_t       *limits;
    const canary_sums_t  *sums;

    sums = &cohort->sides[side];
    limits = evidence->sets[cohort->limit_set].limits[side];

    view->overdue += sums->in_flight;
    view->pending += sums->untimed - sums->in_flight;

    for (i = 0; i < evidence->nlimits; i++) {
        if (!canary_is_slow(age, limits[i])) {
            view->passing.slow[i] += sums->untimed;
        }
    }
}


int
canary_evidence_has_long(const canary_evidence_t *evidence, uint64_t now)
{
    uint32_t              number, current;
    canary_cohort_view_t  view;

    current = canary_evidence_current(evidence);

    for (number = evidence->oldest; number != current; number++) {

        if (!canary_evidence_is_open(evidence, number)) {
            continue;
        }

        canary_evidence_look(evidence, number, now, &view);

        if (view.step == canary_evidence_step(evidence)
            && view.sides[CANARY_SIDE_CANARY].untimed
            && canary_evidence_is_long(canary_elapsed(now, view.ended), 0))
        {
            return 1;
        }
    }

    return 0;
}


void
canary_evidence_look(const canary_evidence_t *evidence, uint32_t number,
    uint64_t now, canary_cohort_view_t *view)
{
    unsigned                      side;
    uint32_t                      place;
    canary_sums_t                *sums;
    const canary_cohort_t        *cohort;
    const canary_cohort_slow_t   *slows;

    place = canary_evidence_place(evidence, number);
    cohort = &evidence->books->cohorts[place];
    slows = &evidence->books->slows[place];

    view->number = number;
    view->step = cohort->step;
    view->slot = cohort->slot;
    view->slot_end = cohort->slot_end;
    view->began = cohort->began;
    view->ended = cohort->ended;
    view->limit_set = evidence->set_of[place];
    view->settled = !canary_evidence_is_open(evidence, number);
    view->discarded = canary_evidence_is_discarded(evidence, number);

    for (side = 0; side < CANARY_SIDES; side++) {
        sums = &view->sides[side];

        if (view->settled) {
            canary_evidence_look_settled(evidence, place, side, sums);

        } else {
            canary_evidence_look_open(evidence, place, side, sums);

            if (sums->untimed && view->ended) {
                canary_evidence_add_hung(evidence, place, side,
                                         canary_elapsed(now, view->ended),
                                         sums);
            }
        }

        if (view->ended == 0) {
            canary_evidence_look_current(evidence, side, sums);
            continue;
        }

        sums->late = cohort->late[side];

        if (evidence->nlimits) {
            sums->late_slow = slows->late[side];

        } else {
            memset(&sums->late_slow, 0, sizeof(canary_slow_t));
        }
    }
}


static void
canary_evidence_look_settled(const canary_evidence_t *evidence,
    uint32_t place, unsigned side, canary_sums_t *sums)
{
    const canary_tally_t  *final;

    final = &evidence->books->cohorts[place].base[side];

    sums->started = final->started;
    sums->in_flight = final->started - final->done;
    sums->untimed = sums->in_flight + final->untimed;
    sums->time_only = final->time_only;
    sums->timeless = final->timeless;
    sums->unended = final->unended;
    sums->left = final->left;
    sums->left_only = final->left_only;
    sums->bad_4xx = final->bad_4xx;
    sums->bad_5xx = final->bad_5xx;
    sums->timed = final->timed;
    sums->time = final->time;

    if (evidence->nlimits) {
        sums->slow = evidence->books->slows[place].base[side];

    } else {
        memset(&sums->slow, 0, sizeof(canary_slow_t));
    }
}


void
canary_evidence_look_open(const canary_evidence_t *evidence,
    uint32_t place, unsigned side, canary_sums_t *sums)
{
    canary_tally_t         tally;
    const canary_tally_t  *base;

    base = &evidence->books->cohorts[place].base[side];

    canary_evidence_sum(evidence, side, place, &tally);

    tally.voided -= base->voided;
    tally.started -= base->started;

    sums->started = canary_not_negative(tally.started - tally.voided);
    sums->in_flight = canary_not_negative(tally.started - tally.voided
                                          - (tally.done - base->done));
    sums->untimed = sums->in_flight
                    + canary_not_negative(tally.untimed - base->untimed);
    sums->time_only = tally.time_only - base->time_only;
    sums->timeless = canary_not_negative(tally.timeless - base->timeless);
    sums->unended = canary_not_negative(tally.unended - base->unended);
    sums->left = tally.left - base->left;
    sums->left_only = tally.left_only - base->left_only;
    sums->bad_4xx = tally.bad_4xx - base->bad_4xx;
    sums->bad_5xx = tally.bad_5xx - base->bad_5xx;
    sums->timed = tally.timed - base->timed;
    sums->time = tally.time - base->time;

    if (evidence->nlimits) {
        canary_evidence_sum_slow(evidence, side, place, &sums->slow);
        canary_subtract_slow(&sums->slow,
                             &evidence->books->slows[place].base[side]);
    } else {
        memset(&sums->slow, 0, sizeof(canary_slow_t));
    }
}


/* what came late since the current cohort was opened */

void
canary_evidence_look_current(const canary_evidence_t *evidence,
    unsigned side, canary_sums_t *sums)
{
    uint32_t              i;
    canary_late_t         late;
    const canary_late_t  *base;

    base = &evidence->late_opened[side];

    canary_evidence_sum_late(evidence, side, &late);

    sums->late.bad_4xx = (uint32_t) (late.step.bad_4xx - base->step.bad_4xx
                                     + late.past.bad_4xx - base->past.bad_4xx);
    sums->late.bad_5xx = (uint32_t) (late.step.bad_5xx - base->step.bad_5xx
                                     + late.past.bad_5xx - base->past.bad_5xx);
    sums->late.bad_both = (uint32_t) (late.step.bad_both - base->step.bad_both
                                      + late.past.bad_both
                                      - base->past.bad_both);

    for (i = 0; i < CANARY_LIMITS_MAX; i++) {
        sums->late_slow.slow[i]
            = (uint32_t) (late.slow.slow[i] - base->slow.slow[i]
                          + late.past_slow.slow[i] - base->past_slow.slow[i]);
    }
}


/*
 * Those whose time is not known are slow once they are older than a limit,
 * which both ends of their age in whole milliseconds leave no doubt about.
 */

static int
canary_is_slow(uint64_t age, uint64_t limit)
{
    return age * 1000 >= limit + 1000;
}


void
canary_evidence_add_hung(const canary_evidence_t *evidence, uint32_t place,
    unsigned side, uint64_t age, canary_sums_t *sums)
{
    uint32_t         i, hung;
    const uint64_t  *limits;

    limits = evidence->sets[evidence->set_of[place]].limits[side];
    hung = canary_not_negative(sums->untimed - sums->timeless);

    for (i = 0; i < evidence->nlimits; i++) {
        if (canary_is_slow(age, limits[i])) {
            sums->slow.slow[i] += hung;
        }
    }
}


static void
canary_subtract_slow(canary_slow_t *slow, const canary_slow_t *base)
{
    uint32_t  i;

    for (i = 0; i < CANARY_LIMITS_MAX; i++) {
        slow->slow[i] -= base->slow[i];
    }
}


void
canary_evidence_count_sums(const canary_sums_t *sums, canary_counts_t *counts)
{
    uint32_t  i;

    counts->started += sums->started;
    counts->bad_4xx += sums->bad_4xx;
    counts->bad_5xx += sums->bad_5xx;
    counts->bad += sums->bad_4xx + sums->bad_5xx;
    counts->time_only += (uint64_t) (int32_t) sums->time_only;
    counts->left += sums->left;
    counts->left_only += sums->left_only;
    counts->timed += sums->timed;
    counts->time += sums->time;

    for (i = 0; i < CANARY_LIMITS_MAX; i++) {
        counts->slow[i] += sums->slow.slow[i];
    }
}


static void
canary_count_late(const canary_late_t *late, const canary_late_t *base,
    canary_counts_t *counts)
{
    uint32_t  i;

    counts->time_only += late->time_only - base->time_only;
    counts->left += late->left - base->left;
    counts->left_only += late->left_only - base->left_only;
    counts->bad_4xx += late->step.bad_4xx - base->step.bad_4xx;
    counts->bad_5xx += late->step.bad_5xx - base->step.bad_5xx;
    counts->bad += late->step.bad_4xx - base->step.bad_4xx
                   + late->step.bad_5xx - base->step.bad_5xx
                   - (late->step.bad_both - base->step.bad_both);
    counts->timed += late->timed - base->timed;
    counts->time += late->time - base->time;

    for (i = 0; i < CANARY_LIMITS_MAX; i++) {
        counts->slow[i] += late->slow.slow[i] - base->slow.slow[i];
    }
}
