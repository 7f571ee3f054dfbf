
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence.h"
#include "canary_evidence_places.h"
#include "canary_evidence_settle.h"
#include "canary_evidence_sum.h"
#include "canary_evidence_view.h"


/*
 * So many cohorts, and those of a hundredth of patience that last for it, have
 * a place: as long as nothing slow is in flight, rules are as quick as they
 * are with the least patience.
 */

#define CANARY_COHORTS_SHORT  16

/* where some wait for a leader, and long ones are fewer */

#define CANARY_COHORTS_SHORT_IN_FLEET  24


/* before any step */

#define CANARY_NOTHING_TOLD  (1u << 30)


static int canary_evidence_is_due(const canary_evidence_t *evidence,
    uint64_t now);
static void canary_evidence_open(canary_evidence_t *evidence,
    uint32_t number, uint32_t step, uint64_t now);
static void canary_evidence_close(canary_evidence_t *evidence, uint64_t now);
static int canary_evidence_is_empty(const canary_evidence_t *evidence);
static void canary_evidence_new_step(canary_evidence_t *evidence);
static uint32_t canary_evidence_fresh(const canary_evidence_t *evidence,
    uint64_t now);


/*
 * The counters of the slots are never reset: an attempt of the rollout before
 * may be about to add to one.
 */

void
canary_evidence_begin(canary_evidence_t *evidence, uint32_t step, uint64_t now)
{
    canary_set(&evidence->first, canary_evidence_current(evidence) + 1);
    __atomic_store_n(&evidence->warm_since, 0, __ATOMIC_RELAXED);

    canary_evidence_in_fleet(evidence, 0, 0);
    evidence->told_step = step - CANARY_NOTHING_TOLD;
    evidence->told_slot = 0;
    evidence->void_to = evidence->void_from;

    canary_evidence_repair(evidence, step, now);

    canary_evidence_spent(evidence, CANARY_SIDE_STABLE, 0);
    canary_evidence_spent(evidence, CANARY_SIDE_CANARY, 0);
}


void
canary_evidence_repair(canary_evidence_t *evidence, uint32_t step,
    uint64_t now)
{
    uint32_t  cohort, place;

    cohort = canary_evidence_current(evidence) + 1;

    memset(evidence->open, 0, sizeof(evidence->open));

    for (place = 0; place < CANARY_COHORTS; place++) {
        if (evidence->books->cohorts[place].freed == 0) {
            canary_evidence_free_place(evidence, place, now);
        }
    }

    canary_evidence_new_step(evidence);

    evidence->oldest = cohort;
    evidence->discard_to = 0;
    evidence->nparts = 0;

    canary_set(&evidence->discarded_from, cohort);
    canary_set(&evidence->discarded_to, cohort);
    canary_set(&evidence->first_tested, cohort);

    canary_evidence_open(evidence, cohort, step, now);
}


void
canary_evidence_new_tests(canary_evidence_t *evidence)
{
    canary_set(&evidence->first_tested, canary_evidence_current(evidence));

    evidence->nparts = 0;
}


void
canary_evidence_limits(canary_evidence_t *evidence, uint32_t nlimits,
    const canary_limits_t *limits)
{
    uint32_t  set;

    set = (evidence->limit_set + 1) % CANARY_LIMIT_SETS;

    evidence->sets[set] = *limits;
    evidence->set_numbers[set] = CANARY_SET_OWN;

    canary_set(&evidence->limit_set, set);

    if (evidence->nlimits != nlimits) {
        evidence->nparts = 0;
        canary_set(&evidence->nlimits, nlimits);
    }
}


void
canary_evidence_tick(canary_evidence_t *evidence, uint32_t step, uint64_t now)
{
    uint32_t  current;

    canary_evidence_settle(evidence, now);

    current = canary_evidence_current(evidence);

    if (canary_evidence_step(evidence) == step) {

        if (!canary_evidence_is_due(evidence, now)) {
            return;
        }

        /* nothing to tell apart: it goes on as the next one */

        if (canary_evidence_is_empty(evidence)
            && !(canary_evidence_is_discarded(evidence, current)
                 && now >= evidence->discard_to))
        {
            evidence->opened = now;
            canary_evidence_cohort(evidence, current)->began = now;
            canary_evidence_cohort(evidence, current)->slot = evidence->slot;
            return;
        }
    }

    canary_evidence_close(evidence, now);

    if (canary_evidence_step(evidence) != step) {
        canary_evidence_new_step(evidence);
    }

    canary_evidence_open(evidence, current + 1, step, now);
}


/*
 * Whether the current cohort may be closed: never by what is in it.  One that
 * was opened when the slot was not known is of the first that is.
 */

static int
canary_evidence_is_due(const canary_evidence_t *evidence, uint64_t now)
{
    uint32_t          n, slots;
    canary_cohort_t  *cohort;

    n = canary_evidence_current(evidence) - evidence->oldest;

    if (evidence->slot == 0) {
        return canary_elapsed(now, evidence->opened)
               >= ((n < CANARY_COHORTS_SHORT)
                   ? CANARY_COHORT_MS : canary_evidence_length(evidence));
    }

    cohort = canary_evidence_cohort(evidence,
                                    canary_evidence_current(evidence));
    slots = (n < CANARY_COHORTS_SHORT_IN_FLEET)
            ? 1 : canary_evidence_slots(evidence);

    if (cohort->slot == 0) {
        cohort->slot = evidence->slot;
    }

    return evidence->slot / slots != cohort->slot / slots;
}


void
canary_evidence_in_fleet(canary_evidence_t *evidence, uint64_t slot, int led)
{
    evidence->slot = slot;
    evidence->led = (slot && led);
}


static int
canary_evidence_is_empty(const canary_evidence_t *evidence)
{
    unsigned              side;
    uint32_t              place, started;
    canary_sums_t         sums;
    const canary_slot_t  *slot;
    const canary_tally_t  *base;

    place = canary_evidence_place(evidence, canary_evidence_current(evidence));

    for (side = 0; side < CANARY_SIDES; side++) {
        base = &evidence->books->cohorts[place].base[side];
        started = 0;

        for (slot = evidence->all; slot; slot = slot->next) {
            started += canary_get(&slot->tallies[place][side].started);
        }

        if (started != base->started) {
            return 0;
        }

        canary_evidence_look_current(evidence, side, &sums);

        if (sums.late.bad_4xx || sums.late.bad_5xx) {
            return 0;
        }
    }

    return 1;
}


static void
canary_evidence_open(canary_evidence_t *evidence, uint32_t number,
    uint32_t step, uint64_t now)
{
    unsigned               side;
    uint32_t               place;
    canary_cohort_t       *cohort;
    canary_cohort_slow_t  *slows;

    place = canary_evidence_take_place(evidence, now);
    cohort = &evidence->books->cohorts[place];
    slows = &evidence->books->slows[place];

    cohort->freed = 0;

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_evidence_overdue(evidence, side, place, 0);
        canary_evidence_sum(evidence, side, place, &cohort->base[side]);
        canary_evidence_sum_late(evidence, side, &evidence->late_opened[side]);

        if (evidence->nlimits) {
            canary_evidence_sum_slow(evidence, side, place,
                                     &slows->base[side]);
        }
    }

    cohort->began = now;
    cohort->ended = 0;
    cohort->slot = evidence->slot;
    cohort->step = step;
    evidence->opened = now;
    evidence->set_of[place] = (uint8_t) evidence->limit_set;

    if (now < evidence->discard_to) {
        canary_set(&evidence->discarded_to, number + 1);
    }

    __atomic_store_n(&evidence->place_of[number % CANARY_COHORTS],
                     (uint8_t) place, __ATOMIC_RELAXED);
    canary_set(&evidence->open[place], number + 1);
    __atomic_store_n(&evidence->now, (uint64_t) step << 32 | number,
                     __ATOMIC_RELEASE);
}


/* it gets what came late while it was the current one */

static void
canary_evidence_close(canary_evidence_t *evidence, uint64_t now)
{
    unsigned               side;
    uint32_t               place;
    canary_sums_t          sums;
    canary_cohort_t       *cohort;
    canary_cohort_slow_t  *slows;

    place = canary_evidence_place(evidence, canary_evidence_current(evidence));
    cohort = &evidence->books->cohorts[place];
    slows = &evidence->books->slows[place];

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_evidence_look_current(evidence, side, &sums);

        cohort->late[side] = sums.late;

        if (evidence->nlimits) {
            slows->late[side] = sums.late_slow;
        }
    }

    cohort->ended = now ? now : 1;
    cohort->slot_end = (evidence->slot > cohort->slot) ? evidence->slot
                                                       : cohort->slot + 1;
}


/* the evidence of the step before is not of this one */

static void
canary_evidence_new_step(canary_evidence_t *evidence)
{
    unsigned        side;
    canary_slot_t  *slot;

    for (side = 0; side < CANARY_SIDES; side++) {

        canary_evidence_sum_late(evidence, side, &evidence->late_base[side]);

        for (slot = evidence->all; slot; slot = slot->next) {
            canary_set(&slot->late[side].overdue, 0);
            canary_set(&slot->late[side].pending, 0);
            canary_set(&slot->late[side].unended, 0);
        }
    }

    memset(evidence->folded, 0, sizeof(evidence->folded));
}


void
canary_evidence_discard(canary_evidence_t *evidence, uint64_t now)
{
    uint32_t  current, from;

    current = canary_evidence_current(evidence);
    from = evidence->given ? evidence->given->fresh
                           : canary_evidence_fresh(evidence, now);

    /* what was discarded before and is not folded yet remains so */

    if (evidence->discarded_to == evidence->discarded_from
        || (int32_t) (evidence->discarded_to - evidence->oldest) <= 0)
    {
        canary_set(&evidence->discarded_from, from);
    }

    canary_set(&evidence->discarded_to, current + 1);
    evidence->discard_to = (uint64_t) -1;
}


/* the first that is not settled, or has not been for long */

static uint32_t
canary_evidence_fresh(const canary_evidence_t *evidence, uint64_t now)
{
    uint32_t  current, number;

    current = canary_evidence_current(evidence);

    for (number = evidence->oldest; number != current; number++) {
        if (canary_evidence_is_open(evidence, number)
            || canary_evidence_cohort(evidence, number)->settled
               > now - CANARY_DISCARD_MS)
        {
            break;
        }
    }

    return number;
}


void
canary_evidence_keep(canary_evidence_t *evidence, uint64_t now)
{
    evidence->discard_to = now + CANARY_DISCARD_MS;
}
