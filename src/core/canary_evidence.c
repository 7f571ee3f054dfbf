
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence.h"


/* Cohorts that are older than this many others are settled early. */

#define CANARY_COHORTS_UNSETTLED  (CANARY_COHORTS - 8)


static void canary_evidence_finish_late(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, const canary_finish_t *finish);
static void canary_evidence_open(canary_evidence_t *evidence, uint32_t cohort,
    uint32_t tests, uint64_t now);
static void canary_evidence_new_tests(canary_evidence_t *evidence);
static void canary_evidence_settle(canary_evidence_t *evidence, uint64_t now);
static void canary_evidence_settle_cohort(canary_evidence_t *evidence,
    uint32_t cohort);
static void canary_evidence_overdue(canary_evidence_t *evidence,
    unsigned side, uint32_t place);
static void canary_evidence_balance(canary_evidence_t *evidence,
    unsigned side, uint32_t place);
static void canary_evidence_cohort_tally(const canary_evidence_t *evidence,
    uint32_t cohort, unsigned side, canary_tally_t *tally);
static void canary_evidence_sum(const canary_evidence_t *evidence,
    unsigned side, uint32_t place, canary_tally_t *sum);
static void canary_evidence_sum_late(const canary_evidence_t *evidence,
    unsigned side, canary_late_t *sum);
static uint32_t canary_not_negative(uint32_t n);
static uint32_t canary_tally_in_flight(const canary_tally_t *tally);
static void canary_count_tally(const canary_tally_t *tally,
    canary_counts_t *counts);
static void canary_count_late(const canary_late_t *late,
    canary_counts_t *counts);


static inline canary_late_t *
canary_evidence_late(const canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    return &canary_evidence_slot(evidence, ticket->slot)->late[ticket->side];
}


static inline uint32_t
canary_get(const uint32_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}


static inline uint64_t
canary_get64(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}


/* the clocks of two processes may be a moment apart */

static inline uint64_t
canary_elapsed(uint64_t now, uint64_t since)
{
    return (now > since) ? now - since : 0;
}


/* Whether an attempt began in this rollout; "now" has been read before. */

static inline int
canary_evidence_is_ours(const canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    uint32_t  first;

    first = __atomic_load_n(&evidence->first, __ATOMIC_RELAXED);

    return (int32_t) (ticket->cohort - first) >= 0;
}


size_t
canary_evidence_size(uint32_t nslots)
{
    return sizeof(canary_evidence_t) + (size_t) nslots * sizeof(canary_slot_t);
}


void
canary_evidence_init(canary_evidence_t *evidence, uint32_t nslots)
{
    evidence->nslots = nslots;
}


/*
 * The counters of the slots are never reset: an attempt of the rollout before
 * may be about to add to one.  What it left in flight is evened up when its
 * place in the ring is used again.
 */

void
canary_evidence_begin(canary_evidence_t *evidence, uint32_t tests,
    uint64_t now)
{
    uint32_t  cohort;

    cohort = (uint32_t) evidence->now + 1;

    memset(evidence->open, 0, sizeof(evidence->open));

    canary_evidence_new_tests(evidence);

    memset(evidence->spent, 0, sizeof(evidence->spent));

    evidence->oldest = cohort;
    __atomic_store_n(&evidence->first, cohort, __ATOMIC_RELAXED);

    canary_evidence_open(evidence, cohort, tests, now);
}


void
canary_evidence_finish(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, const canary_finish_t *finish)
{
    canary_tally_t  *tally;

    tally = canary_evidence_open_tally(evidence, ticket);

    if (tally == NULL) {
        canary_evidence_finish_late(evidence, ticket, finish);
        return;
    }

    if (finish->bad_4xx) {
        canary_add(&tally->bad_4xx, 1);
    }

    if (finish->bad_5xx) {
        canary_add(&tally->bad_5xx, 1);
    }

    if (finish->timed) {
        canary_add(&tally->timed, 1);
        canary_add64(&tally->time, finish->time);
    }

    /* last: a cohort with nothing in flight may be settled at once */

    canary_add(finish->voided ? &tally->voided : &tally->done, 1);
}


void
canary_evidence_finish_any_good(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned timed, uint64_t time)
{
    canary_finish_t  finish;

    memset(&finish, 0, sizeof(canary_finish_t));

    finish.timed = timed;
    finish.time = time;

    canary_evidence_finish(evidence, ticket, &finish);
}


static void
canary_evidence_finish_late(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, const canary_finish_t *finish)
{
    uint64_t        now;
    canary_late_t  *late;

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)) {
        return;
    }

    late = canary_evidence_late(evidence, ticket);

    if ((uint32_t) (now >> 32) != ticket->tests) {
        if (finish->bad_5xx) {
            canary_add(&late->past_bad_5xx, 1);
        }

        return;
    }

    if (finish->bad_4xx) {
        canary_add(&late->bad_4xx, 1);
    }

    if (finish->bad_5xx) {
        canary_add(&late->bad_5xx, 1);
    }

    if (finish->timed) {
        canary_add(&late->timed, 1);
        canary_add64(&late->time, finish->time);
    }

    if (finish->voided) {
        canary_add(&late->voided, 1);
    }

    canary_add(&late->overdue, (uint32_t) -1);
}


void
canary_evidence_cut(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned response_class)
{
    uint64_t        now;
    canary_late_t  *late;

    if (response_class == 5) {
        return;
    }

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)) {
        return;
    }

    late = canary_evidence_late(evidence, ticket);

    if ((uint32_t) (now >> 32) != ticket->tests) {
        canary_add(&late->past_bad_5xx, 1);
        return;
    }

    canary_add(&late->bad_5xx, 1);

    if (response_class == 4) {
        canary_add(&late->bad_both, 1);
    }
}


void
canary_evidence_time(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t time)
{
    uint64_t        now;
    canary_late_t  *late;

    now = canary_evidence_now(evidence);

    if ((uint32_t) (now >> 32) != ticket->tests
        || !canary_evidence_is_ours(evidence, ticket))
    {
        return;
    }

    late = canary_evidence_late(evidence, ticket);

    canary_add(&late->timed, 1);
    canary_add64(&late->time, time);
}


void
canary_evidence_tick(canary_evidence_t *evidence, uint32_t tests,
    uint64_t now)
{
    uint32_t          current;
    canary_cohort_t  *cohort;

    canary_evidence_settle(evidence, now);

    current = (uint32_t) evidence->now;

    if ((uint32_t) (evidence->now >> 32) == tests
        && canary_elapsed(now, evidence->opened) < CANARY_COHORT_MS)
    {
        return;
    }

    cohort = &evidence->cohorts[current % CANARY_COHORTS];
    cohort->ended = now;

    if (cohort->tests != tests) {
        canary_evidence_new_tests(evidence);
    }

    canary_evidence_open(evidence, current + 1, tests, now);
}


void
canary_evidence_reap(canary_evidence_t *evidence, uint32_t slot)
{
    unsigned         side;
    uint32_t         place, in_flight;
    canary_late_t   *late;
    canary_tally_t  *tally;

    slot %= evidence->nslots;

    for (side = 0; side < CANARY_SIDES; side++) {
        for (place = 0; place < CANARY_COHORTS; place++) {
            tally = canary_evidence_tally(evidence, slot, side, place);
            in_flight = canary_tally_in_flight(tally);

            if (in_flight) {
                canary_add(&tally->voided, in_flight);
            }
        }

        late = &canary_evidence_slot(evidence, slot)->late[side];

        canary_add(&late->voided,
                   canary_not_negative(canary_get(&late->overdue)));

        __atomic_store_n(&late->overdue, 0, __ATOMIC_RELEASE);
    }
}


void
canary_evidence_view(const canary_evidence_t *evidence, unsigned side,
    canary_evidence_view_t *view)
{
    uint32_t        cohort, last, tests;
    canary_late_t   late;
    canary_tally_t  tally;

    view->failing = evidence->settled[side];
    view->passing = evidence->settled[side];
    view->spent = evidence->spent[side];

    last = (uint32_t) evidence->now;
    tests = (uint32_t) (evidence->now >> 32);

    for (cohort = evidence->oldest; cohort - 1 != last; cohort++) {

        if (evidence->open[cohort % CANARY_COHORTS] != cohort + 1) {
            continue;
        }

        canary_evidence_cohort_tally(evidence, cohort, side, &tally);

        view->spent += tally.bad_5xx;

        if (evidence->cohorts[cohort % CANARY_COHORTS].tests != tests) {
            continue;
        }

        canary_count_tally(&tally, &view->failing);

        if (canary_tally_in_flight(&tally) == 0) {
            canary_count_tally(&tally, &view->passing);
        }
    }

    canary_evidence_sum_late(evidence, side, &late);

    view->spent += late.bad_5xx + late.past_bad_5xx;
    view->overdue = late.overdue;

    canary_count_late(&late, &view->failing);
    canary_count_late(&late, &view->passing);

    /* what has been in flight for too long is not going to end well */

    view->passing.bad_4xx += view->overdue;
    view->passing.bad_5xx += view->overdue;
    view->passing.bad += view->overdue;
}


static void
canary_evidence_open(canary_evidence_t *evidence, uint32_t number,
    uint32_t tests, uint64_t now)
{
    unsigned          side;
    uint32_t          place;
    canary_cohort_t  *cohort;

    place = number % CANARY_COHORTS;
    cohort = &evidence->cohorts[place];

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_evidence_balance(evidence, side, place);
        canary_evidence_sum(evidence, side, place, &cohort->base[side]);
    }

    cohort->ended = 0;
    cohort->tests = tests;
    evidence->opened = now;

    __atomic_store_n(&evidence->open[place], number + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&evidence->now, (uint64_t) tests << 32 | number,
                     __ATOMIC_RELEASE);
}


/* the evidence of the tests before is only for the budget of the rollout */

static void
canary_evidence_new_tests(canary_evidence_t *evidence)
{
    unsigned        side;
    uint32_t        slot;
    canary_late_t   late, *base;

    for (side = 0; side < CANARY_SIDES; side++) {

        canary_evidence_sum_late(evidence, side, &late);

        evidence->spent[side] += late.bad_5xx + late.past_bad_5xx;

        base = &evidence->late_base[side];

        base->bad_4xx += late.bad_4xx;
        base->bad_5xx += late.bad_5xx;
        base->bad_both += late.bad_both;
        base->past_bad_5xx += late.past_bad_5xx;
        base->voided += late.voided;
        base->timed += late.timed;
        base->time += late.time;

        for (slot = 0; slot < evidence->nslots; slot++) {
            __atomic_store_n(&evidence->slots[slot].late[side].overdue, 0,
                             __ATOMIC_RELEASE);
        }
    }

    memset(evidence->settled, 0, sizeof(evidence->settled));
}


static void
canary_evidence_settle(canary_evidence_t *evidence, uint64_t now)
{
    uint32_t          number, current, in_flight;
    unsigned          side;
    canary_tally_t    tally;
    canary_cohort_t  *cohort;

    current = (uint32_t) evidence->now;

    for (number = evidence->oldest; number != current; number++) {

        if (evidence->open[number % CANARY_COHORTS] != number + 1) {
            continue;
        }

        cohort = &evidence->cohorts[number % CANARY_COHORTS];

        if (canary_elapsed(now, cohort->ended) < CANARY_COHORT_GRACE
            && current - number < CANARY_COHORTS_UNSETTLED)
        {
            break;
        }

        in_flight = 0;

        for (side = 0; side < CANARY_SIDES; side++) {
            canary_evidence_cohort_tally(evidence, number, side, &tally);
            in_flight += canary_tally_in_flight(&tally);
        }

        if (in_flight == 0
            || canary_elapsed(now, cohort->ended) >= CANARY_OVERDUE_MS
            || current - number >= CANARY_COHORTS_UNSETTLED)
        {
            canary_evidence_settle_cohort(evidence, number);
        }
    }

    while (evidence->oldest != current
           && evidence->open[evidence->oldest % CANARY_COHORTS]
              != evidence->oldest + 1)
    {
        evidence->oldest++;
    }
}


static void
canary_evidence_settle_cohort(canary_evidence_t *evidence, uint32_t number)
{
    unsigned          side;
    uint32_t          place;
    canary_tally_t    tally;
    canary_cohort_t  *cohort;

    place = number % CANARY_COHORTS;
    cohort = &evidence->cohorts[place];

    __atomic_store_n(&evidence->open[place], 0, __ATOMIC_RELEASE);

    for (side = 0; side < CANARY_SIDES; side++) {

        canary_evidence_cohort_tally(evidence, number, side, &tally);

        evidence->spent[side] += tally.bad_5xx;

        if (cohort->tests == (uint32_t) (evidence->now >> 32)) {
            canary_count_tally(&tally, &evidence->settled[side]);

            if (canary_tally_in_flight(&tally)) {
                canary_evidence_overdue(evidence, side, place);
            }
        }
    }
}


/* what is in flight in a settled cohort is overdue, slot by slot */

static void
canary_evidence_overdue(canary_evidence_t *evidence, unsigned side,
    uint32_t place)
{
    uint32_t         slot, in_flight;
    canary_tally_t  *tally;

    for (slot = 0; slot < evidence->nslots; slot++) {
        tally = canary_evidence_tally(evidence, slot, side, place);
        in_flight = canary_tally_in_flight(tally);

        if (in_flight) {
            canary_add(&tally->done, in_flight);
            canary_add(&canary_evidence_slot(evidence, slot)
                            ->late[side].overdue, in_flight);
        }
    }
}


/*
 * Whatever an earlier cohort left in flight in this place is counted
 * elsewhere, or not at all: its slots are evened up, so that
 * canary_evidence_reap() finds in flight only what is.
 */

static void
canary_evidence_balance(canary_evidence_t *evidence, unsigned side,
    uint32_t place)
{
    uint32_t         slot, in_flight;
    canary_tally_t  *tally;

    for (slot = 0; slot < evidence->nslots; slot++) {
        tally = canary_evidence_tally(evidence, slot, side, place);
        in_flight = canary_tally_in_flight(tally);

        if (in_flight) {
            canary_add(&tally->done, in_flight);
        }
    }
}


static void
canary_evidence_cohort_tally(const canary_evidence_t *evidence,
    uint32_t number, unsigned side, canary_tally_t *tally)
{
    uint32_t               place;
    const canary_tally_t  *base;

    place = number % CANARY_COHORTS;
    base = &evidence->cohorts[place].base[side];

    canary_evidence_sum(evidence, side, place, tally);

    tally->started -= base->started;
    tally->voided -= base->voided;
    tally->done -= base->done;
    tally->bad_4xx -= base->bad_4xx;
    tally->bad_5xx -= base->bad_5xx;
    tally->timed -= base->timed;
    tally->time -= base->time;
}


/*
 * That an attempt has ended is read first, then how, and last that it began:
 * so none is seen to have ended whose end is not known yet, nor one that had
 * not begun.
 */

static void
canary_evidence_sum(const canary_evidence_t *evidence, unsigned side,
    uint32_t place, canary_tally_t *sum)
{
    uint32_t               slot;
    const canary_tally_t  *tally;

    memset(sum, 0, sizeof(canary_tally_t));

    for (slot = 0; slot < evidence->nslots; slot++) {
        tally = canary_evidence_tally(evidence, slot, side, place);

        sum->voided += canary_get(&tally->voided);
        sum->done += canary_get(&tally->done);
        sum->time += canary_get64(&tally->time);
        sum->timed += canary_get(&tally->timed);
        sum->bad_5xx += canary_get(&tally->bad_5xx);
        sum->bad_4xx += canary_get(&tally->bad_4xx);
        sum->started += canary_get(&tally->started);
    }
}


/* since the present tests began; what has ended is read before how */

static void
canary_evidence_sum_late(const canary_evidence_t *evidence, unsigned side,
    canary_late_t *sum)
{
    uint32_t              slot;
    const canary_late_t  *late, *base;

    memset(sum, 0, sizeof(canary_late_t));

    for (slot = 0; slot < evidence->nslots; slot++) {
        late = &evidence->slots[slot].late[side];

        sum->overdue += canary_not_negative(canary_get(&late->overdue));
        sum->voided += canary_get(&late->voided);
        sum->time += canary_get64(&late->time);
        sum->timed += canary_get(&late->timed);
        sum->past_bad_5xx += canary_get(&late->past_bad_5xx);
        sum->bad_both += canary_get(&late->bad_both);
        sum->bad_5xx += canary_get(&late->bad_5xx);
        sum->bad_4xx += canary_get(&late->bad_4xx);
    }

    base = &evidence->late_base[side];

    sum->voided -= base->voided;
    sum->time -= base->time;
    sum->timed -= base->timed;
    sum->past_bad_5xx -= base->past_bad_5xx;
    sum->bad_both -= base->bad_both;
    sum->bad_5xx -= base->bad_5xx;
    sum->bad_4xx -= base->bad_4xx;
}


/* a process may have slept through the settling of the cohort it counts in */

static uint32_t
canary_not_negative(uint32_t n)
{
    return ((int32_t) n < 0) ? 0 : n;
}


static uint32_t
canary_tally_in_flight(const canary_tally_t *tally)
{
    return canary_not_negative(tally->started - tally->voided - tally->done);
}


static void
canary_count_tally(const canary_tally_t *tally, canary_counts_t *counts)
{
    counts->started += canary_not_negative(tally->started - tally->voided);
    counts->bad_4xx += tally->bad_4xx;
    counts->bad_5xx += tally->bad_5xx;
    counts->bad += tally->bad_4xx + tally->bad_5xx;
    counts->timed += tally->timed;
    counts->time += tally->time;
}


static void
canary_count_late(const canary_late_t *late, canary_counts_t *counts)
{
    counts->started -= (late->voided < counts->started) ? late->voided
                                                        : counts->started;
    counts->bad_4xx += late->bad_4xx;
    counts->bad_5xx += late->bad_5xx;
    counts->bad += late->bad_4xx + late->bad_5xx - late->bad_both;
    counts->timed += late->timed;
    counts->time += late->time;
}
