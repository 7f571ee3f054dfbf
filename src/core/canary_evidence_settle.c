
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_evidence_last.h"
#include "canary_evidence_places.h"
#include "canary_evidence_settle.h"


/*
 * Cohorts that are older than this many others are settled and folded early;
 * older than so many, dropped if nobody folds them: so there is always a
 * place.
 */

#define CANARY_COHORTS_UNSETTLED  (CANARY_COHORTS - 8)
#define CANARY_COHORTS_UNFOLDED   (CANARY_COHORTS - 4)


static void canary_evidence_settle_cohort(canary_evidence_t *evidence,
    uint32_t number, const canary_cohort_view_t *view, uint64_t now);
static int canary_evidence_is_kept(const canary_evidence_t *evidence,
    const canary_cohort_t *cohort, uint64_t now);
static int canary_evidence_is_void(const canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort);
static void canary_evidence_fold_oldest(canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort, uint64_t now);
static int canary_evidence_is_alone(const canary_evidence_t *evidence,
    uint32_t slot);


void
canary_evidence_settle(canary_evidence_t *evidence, uint64_t now)
{
    uint32_t              number, current;
    uint64_t              age;
    canary_cohort_view_t  view;

    current = canary_evidence_current(evidence);

    for (number = evidence->oldest; number != current; number++) {

        if (!canary_evidence_is_open(evidence, number)) {
            continue;
        }

        age = canary_elapsed(now,
                             canary_evidence_cohort(evidence, number)->ended);

        if (age < CANARY_COHORT_GRACE
            && current - number < CANARY_COHORTS_UNSETTLED)
        {
            break;
        }

        canary_evidence_look(evidence, number, now, &view);

        if (view.sides[CANARY_SIDE_STABLE].untimed
            + view.sides[CANARY_SIDE_CANARY].untimed
            + view.sides[CANARY_SIDE_STABLE].unended
            + view.sides[CANARY_SIDE_CANARY].unended == 0
            || age >= evidence->patience
            || current - number >= CANARY_COHORTS_UNSETTLED)
        {
            canary_evidence_settle_cohort(evidence, number, &view, now);
        }
    }

    /* never without a free place, though nobody folds */

    while (current - evidence->oldest >= CANARY_COHORTS_UNFOLDED) {
        canary_evidence_look(evidence, evidence->oldest, now, &view);
        canary_evidence_fold_oldest(evidence, &view, now);
    }
}


/* what was looked at before may have ended since: it is looked at again */

static void
canary_evidence_settle_cohort(canary_evidence_t *evidence, uint32_t number,
    const canary_cohort_view_t *view, uint64_t now)
{
    unsigned               side;
    uint32_t               place;
    uint64_t               age;
    canary_sums_t          sums;
    canary_tally_t        *base;
    canary_cohort_slow_t  *slows;

    place = canary_evidence_place(evidence, number);
    slows = &evidence->books->slows[place];

    /* past patience as old as it will be, less only where there is no room */

    age = canary_elapsed(now, view->ended);
    age = (age < evidence->patience) ? age : evidence->patience + 1;

    evidence->books->cohorts[place].settled = now;
    canary_set(&evidence->open[place], 0);

    for (side = 0; side < CANARY_SIDES; side++) {

        canary_evidence_look_open(evidence, place, side, &sums);

        if (sums.untimed) {
            canary_evidence_add_hung(evidence, place, side, age, &sums);
        }

        if (sums.untimed || sums.unended) {
            canary_evidence_overdue(evidence, side, place,
                                    view->step
                                    == canary_evidence_step(evidence));
        }

        base = &evidence->books->cohorts[place].base[side];

        base->started = sums.started;
        base->voided = 0;
        base->done = sums.started - sums.in_flight;
        base->bad_4xx = sums.bad_4xx;
        base->bad_5xx = sums.bad_5xx;
        base->untimed = sums.untimed - sums.in_flight;
        base->timed = sums.timed;
        base->time_only = sums.time_only;
        base->timeless = sums.timeless;
        base->unended = sums.unended;
        base->left = sums.left;
        base->left_only = sums.left_only;
        base->time = sums.time;

        if (evidence->nlimits) {
            slows->base[side] = sums.slow;
        }
    }
}


void
canary_evidence_overdue(canary_evidence_t *evidence, unsigned side,
    uint32_t place, int counts)
{
    uint32_t         in_flight, untimed, unended;
    canary_slot_t   *slot;
    canary_late_t   *late;
    canary_tally_t  *tally;

    for (slot = evidence->all; slot; slot = slot->next) {
        tally = &slot->tallies[place][side];
        late = &slot->late[side];

        in_flight = canary_not_negative(tally->started - tally->voided
                                        - tally->done);
        untimed = canary_not_negative(tally->untimed);
        unended = canary_not_negative(tally->unended);

        if (in_flight) {
            canary_evidence_add(&tally->done, in_flight);
        }

        if (untimed) {
            canary_evidence_add(&tally->untimed, -untimed);
        }

        if (unended) {
            canary_evidence_add(&tally->unended, -unended);
        }

        if (counts && (in_flight || untimed || unended)) {
            canary_evidence_add(&late->overdue, in_flight);
            canary_evidence_add(&late->pending, untimed);
            canary_evidence_add(&late->unended, unended);
        }
    }
}


int
canary_evidence_fold(canary_evidence_t *evidence, uint64_t now,
    canary_cohort_view_t *cohort)
{
    uint32_t  oldest, current;

    oldest = evidence->oldest;
    current = canary_evidence_current(evidence);

    if (oldest == current || canary_evidence_is_open(evidence, oldest)) {
        return 0;
    }

    if (current - oldest < CANARY_COHORTS_UNSETTLED
        && canary_evidence_is_kept(evidence,
                                   canary_evidence_cohort(evidence, oldest),
                                   now))
    {
        return 0;
    }

    canary_evidence_look(evidence, oldest, now, cohort);
    canary_evidence_fold_oldest(evidence, cohort, now);

    return 1;
}


/*
 * One that is settled: it might yet be discarded, or the leader has not folded
 * it.  Without a leader only what is short is kept for one to come: the room
 * for the others is for what is in flight.
 */

static int
canary_evidence_is_kept(const canary_evidence_t *evidence,
    const canary_cohort_t *cohort, uint64_t now)
{
    if (canary_elapsed(now, cohort->settled) < CANARY_FOLD_MS) {
        return 1;
    }

    if (evidence->slot == 0 || cohort->slot == 0
        || canary_evidence_is_told(evidence, cohort->step, cohort->slot)
        || !(evidence->led || canary_evidence_slots(evidence) == 1))
    {
        return 0;
    }

    return canary_elapsed(now, cohort->ended)
           < evidence->patience + CANARY_KEPT_MS;
}


/* what is no evidence of the step: to the leader, if there is one */

static int
canary_evidence_is_void(const canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort)
{
    if (evidence->led && cohort->slot) {
        return cohort->slot < evidence->void_to
               && cohort->slot_end > evidence->void_from;
    }

    return cohort->discarded;
}


static void
canary_evidence_fold_oldest(canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort, uint64_t now)
{
    unsigned  side;

    for (side = 0; side < CANARY_SIDES; side++) {
        if (cohort->step == canary_evidence_step(evidence)
            && !canary_evidence_is_void(evidence, cohort))
        {
            canary_evidence_count_sums(&cohort->sides[side],
                                       &evidence->folded[side]);
        }
    }

    canary_evidence_remember(evidence, cohort);
    canary_evidence_free_place(evidence,
                               canary_evidence_place(evidence,
                                                     cohort->number),
                               now);
    evidence->oldest++;
}


void
canary_evidence_reap(canary_evidence_t *evidence, uint32_t slot)
{
    unsigned         side;
    uint32_t         place, in_flight;
    canary_late_t   *late;
    canary_tally_t  *tally;

    if (!canary_evidence_is_alone(evidence, slot)) {
        return;
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        for (place = 0; place < CANARY_COHORTS; place++) {
            tally = canary_evidence_tally(evidence, slot, side, place);

            in_flight = canary_not_negative(canary_get(&tally->started)
                                            - canary_get(&tally->voided)
                                            - canary_get(&tally->done));
            if (in_flight) {
                canary_evidence_add(&tally->voided, in_flight);
            }

            canary_evidence_add(&tally->time_only,
                                canary_get(&tally->timeless));
            canary_set(&tally->timeless, 0);
            canary_set(&tally->untimed, 0);
            canary_set(&tally->unended, 0);
        }

        late = canary_evidence_late(evidence, slot, side);

        canary_evidence_add64(&late->voided,
                              canary_not_negative(canary_get(&late->overdue)));

        canary_set(&late->overdue, 0);
        canary_set(&late->pending, 0);
        canary_set(&late->unended, 0);
    }
}


static int
canary_evidence_is_alone(const canary_evidence_t *evidence, uint32_t slot)
{
    uint32_t  i;

    if (slot >= evidence->nused) {
        return 0;
    }

    for (i = 0; i < evidence->nused; i++) {
        if (i != slot && evidence->slots[i] == evidence->slots[slot]) {
            return 0;
        }
    }

    return 1;
}
