
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence_internal.h"


/* Setting up; cohorts, from when they open until they are folded. */


/*
 * Cohorts that are older than this many others are settled and folded early;
 * older than so many, dropped if nobody folds them: so there is always a
 * place.
 */

#define CANARY_COHORTS_UNSETTLED  (CANARY_COHORTS - 8)
#define CANARY_COHORTS_UNFOLDED   (CANARY_COHORTS - 4)


static void canary_evidence_clear(canary_slot_t *memory, uint32_t from,
    uint32_t to);
static void canary_evidence_clear_slows(canary_slot_t *memory,
    uint32_t from, uint32_t to);
static void canary_evidence_use_limits(canary_evidence_t *evidence);
static int canary_evidence_is_alone(const canary_evidence_t *evidence,
    uint32_t slot);
static void canary_evidence_open(canary_evidence_t *evidence,
    uint32_t number, uint32_t step, uint64_t now);
static uint32_t canary_evidence_take_place(canary_evidence_t *evidence,
    uint64_t now);
static void canary_evidence_new_place(canary_evidence_t *evidence);
static void canary_evidence_free_place(canary_evidence_t *evidence,
    uint32_t place, uint64_t now);
static void canary_evidence_close(canary_evidence_t *evidence, uint64_t now);
static int canary_evidence_is_empty(const canary_evidence_t *evidence);
static void canary_evidence_new_step(canary_evidence_t *evidence);
static void canary_evidence_settle(canary_evidence_t *evidence, uint64_t now);
static void canary_evidence_settle_cohort(canary_evidence_t *evidence,
    uint32_t number, const canary_cohort_view_t *view, uint64_t now);
static void canary_evidence_overdue(canary_evidence_t *evidence,
    unsigned side, uint32_t place, int counts);
static void canary_evidence_fold_oldest(canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort, uint64_t now);


static inline void
canary_set(uint32_t *variable, uint32_t value)
{
    __atomic_store_n(variable, value, __ATOMIC_RELEASE);
}


size_t
canary_evidence_size(uint32_t nslots)
{
    return sizeof(canary_evidence_t)
           + (size_t) nslots * sizeof(canary_slot_t *);
}


void
canary_evidence_init(canary_evidence_t *evidence, uint32_t nslots)
{
    memset(evidence, 0, offsetof(canary_evidence_t, slots));

    evidence->nslots = nslots;
}


/* places that have been used keep their counters, but not their cohorts */

void
canary_evidence_set_books(canary_evidence_t *evidence, canary_books_t *books,
    canary_places_t *places)
{
    uint32_t  place;

    books->places = places;

    for (place = 0; place < evidence->nplaces; place++) {
        places->cohorts[place].freed = 1;
    }

    evidence->nparts = 0;
    evidence->books = books;
}


void
canary_evidence_use(canary_evidence_t *evidence, canary_slot_t *memory)
{
    if (evidence->nused == evidence->nslots) {
        return;
    }

    if (memory) {
        memset(memory->late, 0, sizeof(memory->late));
        canary_evidence_clear(memory, 0, evidence->nplaces);

    } else {
        memory = evidence->slots[0];
    }

    evidence->slots[evidence->nused] = memory;
    canary_set(&evidence->nused, evidence->nused + 1);

    canary_evidence_use_limits(evidence);
}


/* places of a slot */

static void
canary_evidence_clear(canary_slot_t *memory, uint32_t from, uint32_t to)
{
    memset(&memory->tallies[from], 0,
           (to - from) * sizeof(memory->tallies[0]));
}


static void
canary_evidence_clear_slows(canary_slot_t *memory, uint32_t from, uint32_t to)
{
    memset(&memory->slows[from], 0, (to - from) * sizeof(memory->slows[0]));
}


static void
canary_evidence_use_limits(canary_evidence_t *evidence)
{
    uint32_t  slot;

    if (evidence->nlimits == 0) {
        return;
    }

    for (slot = evidence->limited; slot < evidence->nused; slot++) {

        if (canary_evidence_has_slot(evidence, slot)) {
            canary_evidence_clear_slows(evidence->slots[slot], 0,
                                        evidence->nplaces);
        }

        evidence->limited = slot + 1;
    }
}


/*
 * The counters of the slots are never reset: an attempt of the rollout before
 * may be about to add to one.
 */

void
canary_evidence_begin(canary_evidence_t *evidence, uint32_t step,
    uint64_t now)
{
    canary_set(&evidence->first, canary_evidence_current(evidence) + 1);

    canary_evidence_repair(evidence, step, now);

    canary_evidence_spent(evidence, CANARY_SIDE_STABLE, 0);
    canary_evidence_spent(evidence, CANARY_SIDE_CANARY, 0);
}


void
canary_evidence_spent(canary_evidence_t *evidence, unsigned side,
    uint64_t spent)
{
    evidence->spent_base[side] = canary_evidence_sum_spent(evidence, side)
                                 - spent;
}


/* workers go on counting meanwhile */

void
canary_evidence_add_spent(canary_evidence_t *evidence, unsigned side,
    uint64_t more)
{
    evidence->spent_base[side] -= more;
}


uint64_t
canary_evidence_spent_by(const canary_evidence_t *evidence, unsigned side)
{
    return canary_evidence_sum_spent(evidence, side)
           - evidence->spent_base[side];
}


void
canary_evidence_repair(canary_evidence_t *evidence, uint32_t step,
    uint64_t now)
{
    uint32_t  cohort, place;

    cohort = canary_evidence_current(evidence) + 1;

    memset(evidence->open, 0, sizeof(evidence->open));

    for (place = 0; place < evidence->nplaces; place++) {
        if (evidence->books->places->cohorts[place].freed == 0) {
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

    canary_set(&evidence->limit_set, set);

    if (evidence->nlimits != nlimits) {
        evidence->nparts = 0;
        canary_set(&evidence->nlimits, nlimits);
    }

    /* also what a process that died here has left undone */

    canary_evidence_use_limits(evidence);
}


void
canary_evidence_tick(canary_evidence_t *evidence, uint32_t step,
    uint64_t now)
{
    uint32_t  current;

    canary_evidence_settle(evidence, now);

    current = canary_evidence_current(evidence);

    if (canary_evidence_step(evidence) == step) {

        if (canary_elapsed(now, evidence->opened) < CANARY_COHORT_MS) {
            return;
        }

        /* nothing to tell apart: it goes on as the next one */

        if (canary_evidence_is_empty(evidence)
            && !(canary_evidence_is_discarded(evidence, current)
                 && now >= evidence->discard_to))
        {
            evidence->opened = now;
            canary_evidence_cohort(evidence, current)->began = now;
            return;
        }
    }

    canary_evidence_close(evidence, now);

    if (canary_evidence_step(evidence) != step) {
        canary_evidence_new_step(evidence);
    }

    canary_evidence_open(evidence, current + 1, step, now);
}


static int
canary_evidence_is_empty(const canary_evidence_t *evidence)
{
    unsigned              side;
    uint32_t              slot, place, started;
    canary_sums_t         sums;
    const canary_tally_t  *base;

    place = canary_evidence_place(evidence,
                                  canary_evidence_current(evidence));

    for (side = 0; side < CANARY_SIDES; side++) {
        base = &evidence->books->places->cohorts[place].base[side];
        started = 0;

        for (slot = 0; slot < evidence->nused; slot++) {

            if (!canary_evidence_has_slot(evidence, slot)) {
                continue;
            }

            started += canary_get(&canary_evidence_tally(evidence, slot, side,
                                                         place)->started);
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
    cohort = &evidence->books->places->cohorts[place];
    slows = &evidence->books->places->slows[place];

    cohort->freed = 0;

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_evidence_overdue(evidence, side, place, 0);
        canary_evidence_sum(evidence, side, place, &cohort->base[side]);
        canary_evidence_sum_late(evidence, side,
                                 &evidence->late_opened[side]);

        if (evidence->nlimits) {
            canary_evidence_sum_slow(evidence, side, place,
                                     &slows->base[side]);
        }
    }

    cohort->began = now;
    cohort->ended = 0;
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


/* the first that has rested; the others, only if there is no new one */

static uint32_t
canary_evidence_take_place(canary_evidence_t *evidence, uint64_t now)
{
    uint32_t                place, longest;
    const canary_cohort_t  *cohorts;

    cohorts = evidence->books->places->cohorts;
    longest = CANARY_COHORTS;

    for (place = 0; place < evidence->nplaces; place++) {

        if (cohorts[place].freed == 0) {
            continue;
        }

        if (canary_elapsed(now, cohorts[place].freed) >= CANARY_REST_MS) {
            return place;
        }

        if (longest == CANARY_COHORTS
            || cohorts[place].freed < cohorts[longest].freed)
        {
            longest = place;
        }
    }

    if (evidence->nplaces < CANARY_COHORTS) {
        canary_evidence_new_place(evidence);
        return place;
    }

    return longest;
}


static void
canary_evidence_new_place(canary_evidence_t *evidence)
{
    uint32_t  slot, place;

    place = evidence->nplaces;

    for (slot = 0; slot < evidence->nused; slot++) {

        if (!canary_evidence_has_slot(evidence, slot)) {
            continue;
        }

        canary_evidence_clear(evidence->slots[slot], place, place + 1);

        if (slot < evidence->limited) {
            canary_evidence_clear_slows(evidence->slots[slot], place,
                                        place + 1);
        }
    }

    canary_evidence_free_place(evidence, place, 0);

    evidence->nplaces = place + 1;
}


static void
canary_evidence_free_place(canary_evidence_t *evidence, uint32_t place,
    uint64_t now)
{
    evidence->books->places->cohorts[place].freed = now ? now : 1;
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

    place = canary_evidence_place(evidence,
                                  canary_evidence_current(evidence));
    cohort = &evidence->books->places->cohorts[place];
    slows = &evidence->books->places->slows[place];

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_evidence_look_current(evidence, side, &sums);

        cohort->late[side] = sums.late;

        if (evidence->nlimits) {
            slows->late[side] = sums.late_slow;
        }
    }

    cohort->ended = now ? now : 1;
}


/* the evidence of the step before is not of this one */

static void
canary_evidence_new_step(canary_evidence_t *evidence)
{
    unsigned  side;
    uint32_t  slot;

    for (side = 0; side < CANARY_SIDES; side++) {

        canary_evidence_sum_late(evidence, side, &evidence->late_base[side]);

        for (slot = 0; slot < evidence->nused; slot++) {

            if (!canary_evidence_has_slot(evidence, slot)) {
                continue;
            }

            canary_set(&canary_evidence_late(evidence, slot, side)->overdue,
                       0);
            canary_set(&canary_evidence_late(evidence, slot, side)->pending,
                       0);
        }
    }

    memset(evidence->folded, 0, sizeof(evidence->folded));
}


static void
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
            + view.sides[CANARY_SIDE_CANARY].untimed == 0
            || age >= CANARY_OVERDUE_MS
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
    canary_sums_t          sums;
    canary_tally_t        *base;
    canary_cohort_slow_t  *slows;

    place = canary_evidence_place(evidence, number);
    slows = &evidence->books->places->slows[place];

    evidence->books->places->cohorts[place].settled = now;
    canary_set(&evidence->open[place], 0);

    for (side = 0; side < CANARY_SIDES; side++) {

        canary_evidence_look_open(evidence, place, side, &sums);

        if (sums.untimed) {
            canary_evidence_add_hung(evidence, place, side,
                                     CANARY_OVERDUE_MS + 1, &sums);
            canary_evidence_overdue(evidence, side, place,
                                    view->step
                                    == canary_evidence_step(evidence));
        }

        base = &evidence->books->places->cohorts[place].base[side];

        base->started = sums.started;
        base->voided = 0;
        base->done = sums.started - sums.in_flight;
        base->bad_4xx = sums.bad_4xx;
        base->bad_5xx = sums.bad_5xx;
        base->untimed = sums.untimed - sums.in_flight;
        base->timed = sums.timed;
        base->gave_up = sums.gave_up;
        base->time = sums.time;

        if (evidence->nlimits) {
            slows->base[side] = sums.slow;
        }
    }
}


/*
 * What is in flight in a settled cohort is overdue, slot by slot; unless it
 * counts, it is of another step, or of a cohort that had this place before,
 * and is evened up so that canary_evidence_reap() finds only what is.
 */

static void
canary_evidence_overdue(canary_evidence_t *evidence, unsigned side,
    uint32_t place, int counts)
{
    uint32_t         slot, in_flight, untimed;
    canary_late_t   *late;
    canary_tally_t  *tally;

    for (slot = 0; slot < evidence->nused; slot++) {

        if (!canary_evidence_has_slot(evidence, slot)) {
            continue;
        }

        tally = canary_evidence_tally(evidence, slot, side, place);
        late = canary_evidence_late(evidence, slot, side);

        in_flight = canary_not_negative(tally->started - tally->voided
                                        - tally->done);
        untimed = canary_not_negative(tally->untimed);

        if (in_flight) {
            canary_evidence_add(&tally->done, in_flight);
        }

        if (untimed) {
            canary_evidence_add(&tally->untimed, -untimed);
        }

        if (counts && (in_flight || untimed)) {
            canary_evidence_add(&late->overdue, in_flight);
            canary_evidence_add(&late->pending, untimed);
        }
    }
}


int
canary_evidence_fold(canary_evidence_t *evidence, uint64_t now,
    canary_cohort_view_t *cohort)
{
    uint32_t  oldest, current;
    uint64_t  age;

    oldest = evidence->oldest;
    current = canary_evidence_current(evidence);

    if (oldest == current || canary_evidence_is_open(evidence, oldest)) {
        return 0;
    }

    age = canary_elapsed(now,
                         canary_evidence_cohort(evidence, oldest)->settled);

    if (age < CANARY_FOLD_MS
        && current - oldest < CANARY_COHORTS_UNSETTLED)
    {
        return 0;
    }

    canary_evidence_look(evidence, oldest, now, cohort);
    canary_evidence_fold_oldest(evidence, cohort, now);

    return 1;
}


static void
canary_evidence_fold_oldest(canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort, uint64_t now)
{
    unsigned  side;

    for (side = 0; side < CANARY_SIDES; side++) {
        if (cohort->step == canary_evidence_step(evidence)
            && !cohort->discarded)
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
canary_evidence_discard(canary_evidence_t *evidence, uint64_t now)
{
    uint32_t  current, from;

    current = canary_evidence_current(evidence);

    for (from = evidence->oldest; from != current; from++) {
        if (canary_evidence_is_open(evidence, from)
            || canary_evidence_cohort(evidence, from)->settled
               > now - CANARY_DISCARD_MS)
        {
            break;
        }
    }

    /* what was discarded before and is not folded yet remains so */

    if (evidence->discarded_to == evidence->discarded_from
        || (int32_t) (evidence->discarded_to - evidence->oldest) <= 0)
    {
        canary_set(&evidence->discarded_from, from);
    }

    canary_set(&evidence->discarded_to, current + 1);
    evidence->discard_to = (uint64_t) -1;
}


void
canary_evidence_keep(canary_evidence_t *evidence, uint64_t now)
{
    evidence->discard_to = now + CANARY_DISCARD_MS;
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
        for (place = 0; place < evidence->nplaces; place++) {
            tally = canary_evidence_tally(evidence, slot, side, place);

            in_flight = canary_not_negative(canary_get(&tally->started)
                                            - canary_get(&tally->voided)
                                            - canary_get(&tally->done));
            if (in_flight) {
                canary_evidence_add(&tally->voided, in_flight);
            }

            canary_set(&tally->untimed, 0);
        }

        late = canary_evidence_late(evidence, slot, side);

        canary_evidence_add64(&late->voided,
                              canary_not_negative(canary_get(&late->overdue)));

        canary_set(&late->overdue, 0);
        canary_set(&late->pending, 0);
    }
}
