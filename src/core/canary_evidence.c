
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence.h"


/*
 * Cohorts that are older than this many others are settled and folded early;
 * older than so many, dropped if nobody folds them.
 */

#define CANARY_COHORTS_UNSETTLED  (CANARY_COHORTS - 8)
#define CANARY_COHORTS_UNFOLDED   (CANARY_COHORTS - 4)


static void canary_evidence_open(canary_evidence_t *evidence, uint32_t cohort,
    uint32_t step, uint64_t now);
static void canary_evidence_close(canary_evidence_t *evidence, uint64_t now);
static int canary_evidence_is_empty(const canary_evidence_t *evidence);
static void canary_evidence_new_step(canary_evidence_t *evidence);
static void canary_evidence_settle(canary_evidence_t *evidence, uint64_t now);
static void canary_evidence_settle_cohort(canary_evidence_t *evidence,
    uint32_t number, const canary_cohort_view_t *view, uint64_t now);
static void canary_evidence_overdue(canary_evidence_t *evidence,
    unsigned side, uint32_t place, int counts);
static void canary_evidence_fold_oldest(canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort);

static void canary_evidence_finish_late(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, const canary_finish_t *finish);
static int canary_evidence_is_ours(const canary_evidence_t *evidence,
    const canary_ticket_t *ticket);
static canary_bad_t *canary_evidence_late_bad(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t now);
static void canary_evidence_count_late_slow(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t now, uint64_t time);

static void canary_evidence_look(const canary_evidence_t *evidence,
    uint32_t number, uint64_t now, canary_cohort_view_t *view);
static void canary_evidence_look_settled(const canary_evidence_t *evidence,
    uint32_t place, unsigned side, canary_sums_t *sums);
static void canary_evidence_look_open(const canary_evidence_t *evidence,
    uint32_t place, unsigned side, canary_sums_t *sums);
static void canary_evidence_look_current(const canary_evidence_t *evidence,
    unsigned side, canary_sums_t *sums);
static void canary_evidence_add_hung(const canary_evidence_t *evidence,
    uint32_t place, unsigned side, uint64_t age, canary_sums_t *sums);
static void canary_evidence_sum(const canary_evidence_t *evidence,
    unsigned side, uint32_t place, canary_tally_t *sum);
static void canary_evidence_sum_slow(const canary_evidence_t *evidence,
    unsigned side, uint32_t place, canary_slow_t *sum);
static void canary_evidence_sum_late(const canary_evidence_t *evidence,
    unsigned side, canary_late_t *sum);
static uint64_t canary_evidence_sum_spent(const canary_evidence_t *evidence,
    unsigned side);

static void canary_add_bad(canary_bad_t *sum, const canary_bad_t *bad);
static void canary_add_slow(canary_slow_t *sum, const canary_slow_t *slow);
static void canary_count_sums(const canary_sums_t *sums,
    canary_counts_t *counts);
static void canary_count_bad(const canary_sums_t *sums,
    canary_counts_t *counts);
static void canary_count_late(const canary_late_t *late,
    const canary_late_t *base, canary_counts_t *counts);
static void canary_subtract_slow(canary_slow_t *slow,
    const canary_slow_t *base);
static uint32_t canary_not_negative(uint32_t n);


static inline canary_late_t *
canary_evidence_late(const canary_evidence_t *evidence, uint32_t slot,
    unsigned side)
{
    return (canary_late_t *) &evidence->slots[slot].late[side];
}


static inline void
canary_add64(uint64_t *counter, uint64_t n)
{
    (void) __atomic_fetch_add(counter, n, __ATOMIC_RELEASE);
}


static inline void
canary_evidence_spend(const canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    canary_add64(&canary_evidence_late(evidence, ticket->slot,
                                       ticket->side)->spent,
                 1);
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


static inline void
canary_set(uint32_t *variable, uint32_t value)
{
    __atomic_store_n(variable, value, __ATOMIC_RELEASE);
}


/* the clocks of two processes may be a moment apart */

static inline uint64_t
canary_elapsed(uint64_t now, uint64_t since)
{
    return (now > since) ? now - since : 0;
}


static inline uint64_t
canary_evidence_now(const canary_evidence_t *evidence)
{
    return canary_get64(&evidence->now);
}


static inline uint32_t
canary_evidence_current(const canary_evidence_t *evidence)
{
    return (uint32_t) evidence->now;
}


static inline uint32_t
canary_evidence_step(const canary_evidence_t *evidence)
{
    return (uint32_t) (evidence->now >> 32);
}


static inline int
canary_evidence_is_open(const canary_evidence_t *evidence, uint32_t number)
{
    return evidence->open[number % CANARY_COHORTS] == number + 1;
}


static inline int
canary_evidence_is_discarded(const canary_evidence_t *evidence,
    uint32_t number)
{
    uint32_t  from, to;

    from = __atomic_load_n(&evidence->discarded_from, __ATOMIC_RELAXED);
    to = __atomic_load_n(&evidence->discarded_to, __ATOMIC_RELAXED);

    return number - from < to - from;
}


/*
 * Setting up
 */


size_t
canary_evidence_size(uint32_t nslots)
{
    return sizeof(canary_evidence_t) + (size_t) nslots * sizeof(canary_slot_t);
}


void
canary_evidence_init(canary_evidence_t *evidence, uint32_t nslots)
{
    memset(evidence, 0, offsetof(canary_evidence_t, cohorts));

    evidence->nslots = nslots;
}


void
canary_evidence_use(canary_evidence_t *evidence, uint32_t nused)
{
    uint32_t        slot;
    canary_slot_t  *memory;

    if (nused > evidence->nslots) {
        nused = evidence->nslots;
    }

    for (slot = evidence->nused; slot < nused; slot++) {
        memory = &evidence->slots[slot];
        memset(memory, 0, offsetof(canary_slot_t, slows));
        evidence->nused = slot + 1;
    }

    if (evidence->nlimits == 0) {
        return;
    }

    for (slot = evidence->limited; slot < nused; slot++) {
        memory = &evidence->slots[slot];
        memset(memory->slows, 0, sizeof(memory->slows));
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


void
canary_evidence_repair(canary_evidence_t *evidence, uint32_t step,
    uint64_t now)
{
    uint32_t  cohort;

    cohort = canary_evidence_current(evidence) + 1;

    memset(evidence->open, 0, sizeof(evidence->open));

    canary_evidence_new_step(evidence);

    evidence->oldest = cohort;
    evidence->discard_to = 0;

    canary_set(&evidence->discarded_from, cohort);
    canary_set(&evidence->discarded_to, cohort);
    canary_set(&evidence->first_tested, cohort);

    canary_evidence_open(evidence, cohort, step, now);
}


void
canary_evidence_new_tests(canary_evidence_t *evidence)
{
    canary_set(&evidence->first_tested, canary_evidence_current(evidence));
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
        canary_set(&evidence->nlimits, nlimits);
        canary_evidence_use(evidence, evidence->nused);
    }
}


/*
 * Counting
 */


/* Whether an attempt began in this rollout; "now" has been read before. */

static int
canary_evidence_is_ours(const canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    return (int32_t) (ticket->cohort - canary_get(&evidence->first)) >= 0;
}


/* where a bad attempt counts that comes too late; NULL: it is no evidence */

static canary_bad_t *
canary_evidence_late_bad(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t now)
{
    canary_late_t  *late;

    late = canary_evidence_late(evidence, ticket->slot, ticket->side);

    if ((int32_t) (ticket->cohort - canary_get(&evidence->first_tested)) < 0
        || canary_evidence_is_discarded(evidence, ticket->cohort))
    {
        return NULL;
    }

    return ((uint32_t) (now >> 32) == ticket->step) ? &late->step
                                                    : &late->past;
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
        canary_evidence_add(&tally->bad_4xx, 1);
    }

    if (finish->bad_5xx) {
        canary_evidence_spend(evidence, ticket);
        canary_evidence_add(&tally->bad_5xx, 1);
    }

    if (finish->timed) {
        canary_evidence_add(&tally->timed, 1);
        canary_add64(&tally->time, finish->time);
    }

    if (finish->untimed) {
        canary_evidence_add(&tally->untimed, 1);

    } else if (!finish->voided || finish->gave_up) {
        canary_evidence_count_slow(evidence, ticket, finish->time);
    }

    if (finish->gave_up) {
        canary_evidence_add(&tally->gave_up, 1);
    }

    /* last: a cohort with nothing in flight may be settled at once */

    canary_evidence_add(finish->voided ? &tally->voided : &tally->done, 1);
}


void
canary_evidence_finish_any_good(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned timed, uint64_t time)
{
    canary_finish_t  finish;

    memset(&finish, 0, sizeof(canary_finish_t));

    finish.timed = timed;
    finish.untimed = !timed;
    finish.time = time;

    canary_evidence_finish(evidence, ticket, &finish);
}


static void
canary_evidence_finish_late(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, const canary_finish_t *finish)
{
    uint64_t        now;
    canary_bad_t   *bad;
    canary_late_t  *late;

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)) {
        return;
    }

    late = canary_evidence_late(evidence, ticket->slot, ticket->side);
    bad = canary_evidence_late_bad(evidence, ticket, now);

    if (finish->bad_4xx && bad) {
        canary_evidence_add(&bad->bad_4xx, 1);
    }

    if (finish->bad_5xx) {
        canary_evidence_spend(evidence, ticket);

        if (bad) {
            canary_evidence_add(&bad->bad_5xx, 1);
        }
    }

    if (bad && !finish->untimed && (!finish->voided || finish->gave_up)) {
        canary_evidence_count_late_slow(evidence, ticket, now, finish->time);
    }

    if ((uint32_t) (now >> 32) != ticket->step) {
        return;
    }

    if (bad && finish->timed) {
        canary_evidence_add(&late->timed, 1);
        canary_add64(&late->time, finish->time);
    }

    if (bad && finish->voided) {
        canary_evidence_add(&late->voided, 1);

        if (finish->gave_up) {
            canary_evidence_add(&late->gave_up, 1);
        }
    }

    if (finish->untimed) {
        canary_evidence_add(&late->pending, 1);
    }

    canary_evidence_add(&late->overdue, (uint32_t) -1);
}


void
canary_evidence_cut(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned response_class)
{
    uint64_t       now;
    canary_bad_t  *bad;

    if (response_class == 5) {
        return;
    }

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)) {
        return;
    }

    canary_evidence_spend(evidence, ticket);

    bad = canary_evidence_late_bad(evidence, ticket, now);

    if (bad == NULL) {
        return;
    }

    canary_evidence_add(&bad->bad_5xx, 1);

    if (response_class == 4) {
        canary_evidence_add(&bad->bad_both, 1);
    }
}


void
canary_evidence_time(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t time, int timed)
{
    int              counts;
    uint64_t         now;
    canary_late_t   *late;
    canary_tally_t  *tally;

    tally = canary_evidence_open_tally(evidence, ticket);

    if (tally) {
        if (timed) {
            canary_evidence_add(&tally->timed, 1);
            canary_add64(&tally->time, time);
        }

        canary_evidence_count_slow(evidence, ticket, time);

        /* last, see canary_evidence_finish() */

        canary_evidence_add(&tally->untimed, (uint32_t) -1);

        return;
    }

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)) {
        return;
    }

    counts = (canary_evidence_late_bad(evidence, ticket, now) != NULL);

    if (counts) {
        canary_evidence_count_late_slow(evidence, ticket, now, time);
    }

    if ((uint32_t) (now >> 32) != ticket->step) {
        return;
    }

    late = canary_evidence_late(evidence, ticket->slot, ticket->side);

    if (counts && timed) {
        canary_evidence_add(&late->timed, 1);
        canary_add64(&late->time, time);
    }

    canary_evidence_add(&late->pending, (uint32_t) -1);
}


void
canary_evidence_count_slow(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t time)
{
    uint32_t         i, place, nlimits;
    canary_slow_t   *slow;
    const uint64_t  *limits;

    place = ticket->cohort % CANARY_COHORTS;
    nlimits = canary_get(&evidence->nlimits);

    slow = &evidence->slots[ticket->slot].slows[ticket->side][place];
    limits = evidence->sets[evidence->set_of[place]].limits[ticket->side];

    for (i = 0; i < nlimits; i++) {
        if (time > limits[i]) {
            canary_evidence_add(&slow->slow[i], 1);
        }
    }
}


/*
 * An attempt whose cohort was settled while it was in flight is counted as
 * slow already if the limit is shorter than that took.
 */

static void
canary_evidence_count_late_slow(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t now, uint64_t time)
{
    uint32_t         i, nlimits;
    canary_late_t   *late;
    canary_slow_t   *slow;
    const uint64_t  *limits;

    late = canary_evidence_late(evidence, ticket->slot, ticket->side);
    slow = ((uint32_t) (now >> 32) == ticket->step) ? &late->slow
                                                    : &late->past_slow;

    nlimits = canary_get(&evidence->nlimits);
    limits = evidence->sets[canary_get(&evidence->limit_set)]
                     .limits[ticket->side];

    for (i = 0; i < nlimits; i++) {
        if (limits[i] > CANARY_OVERDUE_MS * 1000 && time > limits[i]) {
            canary_evidence_add(&slow->slow[i], 1);
        }
    }
}


int
canary_evidence_burn(canary_evidence_t *evidence, unsigned response_class)
{
    uint64_t  n, any;
    unsigned  fuse;

    fuse = (response_class == 4) ? CANARY_FUSE_4XX : CANARY_FUSE_5XX;

    n = __atomic_add_fetch(&evidence->bad[fuse], 1, __ATOMIC_RELAXED);
    any = __atomic_add_fetch(&evidence->bad[CANARY_FUSE_ANY], 1,
                             __ATOMIC_RELAXED);

    return n >= canary_get64(&evidence->fuses[fuse])
           || any >= canary_get64(&evidence->fuses[CANARY_FUSE_ANY]);
}


/*
 * Cohorts
 */


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
            evidence->cohorts[current % CANARY_COHORTS].began = now;
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

    place = canary_evidence_current(evidence) % CANARY_COHORTS;

    for (side = 0; side < CANARY_SIDES; side++) {
        base = &evidence->cohorts[place].base[side];
        started = 0;

        for (slot = 0; slot < evidence->nused; slot++) {
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

    place = number % CANARY_COHORTS;
    cohort = &evidence->cohorts[place];
    slows = &evidence->cohort_slows[place];

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

    place = canary_evidence_current(evidence) % CANARY_COHORTS;
    cohort = &evidence->cohorts[place];
    slows = &evidence->cohort_slows[place];

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

        age = canary_elapsed(now, evidence->cohorts[number % CANARY_COHORTS]
                                      .ended);

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
        canary_evidence_fold_oldest(evidence, &view);
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

    place = number % CANARY_COHORTS;
    slows = &evidence->cohort_slows[place];

    evidence->cohorts[place].settled = now;
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

        base = &evidence->cohorts[place].base[side];

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
                         evidence->cohorts[oldest % CANARY_COHORTS].settled);

    if (age < CANARY_FOLD_MS
        && current - oldest < CANARY_COHORTS_UNSETTLED)
    {
        return 0;
    }

    canary_evidence_look(evidence, oldest, now, cohort);
    canary_evidence_fold_oldest(evidence, cohort);

    return 1;
}


static void
canary_evidence_fold_oldest(canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort)
{
    unsigned  side;

    for (side = 0; side < CANARY_SIDES; side++) {
        if (cohort->step == canary_evidence_step(evidence)
            && !cohort->discarded)
        {
            canary_count_sums(&cohort->sides[side], &evidence->folded[side]);
        }
    }

    evidence->oldest++;
}


void
canary_evidence_discard(canary_evidence_t *evidence, uint64_t now)
{
    uint32_t  current, from;

    current = canary_evidence_current(evidence);

    for (from = evidence->oldest; from != current; from++) {
        if (canary_evidence_is_open(evidence, from)
            || evidence->cohorts[from % CANARY_COHORTS].settled
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


void
canary_evidence_reap(canary_evidence_t *evidence, uint32_t slot)
{
    unsigned         side;
    uint32_t         place, in_flight;
    canary_late_t   *late;
    canary_tally_t  *tally;

    if (slot >= evidence->nused) {
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

            canary_set(&tally->untimed, 0);
        }

        late = canary_evidence_late(evidence, slot, side);

        canary_evidence_add(&late->voided,
                            canary_not_negative(canary_get(&late->overdue)));

        canary_set(&late->overdue, 0);
        canary_set(&late->pending, 0);
    }
}


/*
 * Looking
 */


uint64_t
canary_evidence_pulse(const canary_evidence_t *evidence, int *in_flight)
{
    unsigned               side;
    uint32_t               slot, number;
    uint64_t               pulse;
    canary_cohort_view_t   view;
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
            *in_flight |= (view.sides[side].untimed != 0);
        }
    }

    for (slot = 0; slot < evidence->nused; slot++) {
        for (side = 0; side < CANARY_SIDES; side++) {
            late = canary_evidence_late(evidence, slot, side);

            pulse = pulse * 31 + canary_get(&late->step.bad_5xx);
            pulse = pulse * 31 + canary_get(&late->past.bad_5xx);
            pulse = pulse * 31 + canary_get64(&late->spent);
            pulse = pulse * 31 + canary_get(&late->overdue);
            pulse = pulse * 31 + canary_get(&late->pending);
        }
    }

    return pulse;
}


void
canary_evidence_tail(const canary_evidence_t *evidence, uint64_t now,
    canary_tail_t *tail)
{
    uint32_t  number, current;

    tail->n = 0;
    current = canary_evidence_current(evidence);

    for (number = evidence->oldest; number - 1 != current; number++) {
        canary_evidence_look(evidence, number, now,
                             &tail->cohorts[tail->n++]);
    }
}


void
canary_evidence_view(const canary_evidence_t *evidence,
    const canary_tail_t *tail, unsigned side, canary_evidence_view_t *view)
{
    uint32_t                     i;
    canary_late_t                late;
    const uint64_t              *limits;
    const canary_late_t         *base;
    const canary_sums_t         *sums;
    const canary_cohort_view_t  *cohort;

    view->failing = evidence->folded[side];
    view->passing = evidence->folded[side];

    for (i = 0; i < tail->n; i++) {
        cohort = &tail->cohorts[i];
        sums = &cohort->sides[side];

        if (cohort->step != canary_evidence_step(evidence)
            || cohort->discarded)
        {
            continue;
        }

        canary_count_sums(sums, &view->failing);

        if (cohort->settled || sums->untimed == 0) {
            canary_count_sums(sums, &view->passing);
        }
    }

    canary_evidence_sum_late(evidence, side, &late);

    base = &evidence->late_base[side];

    view->overdue = late.overdue;
    view->pending = late.pending;

    /* after the others, so that it is never behind them */

    view->spent = canary_evidence_sum_spent(evidence, side)
                  - evidence->spent_base[side];

    canary_count_late(&late, base, &view->failing);
    canary_count_late(&late, base, &view->passing);

    /* what has been in flight for too long is not going to end well */

    view->passing.bad_4xx += view->overdue;
    view->passing.bad_5xx += view->overdue;
    view->passing.bad += view->overdue;

    limits = evidence->sets[evidence->limit_set].limits[side];

    for (i = 0; i < evidence->nlimits; i++) {
        if (limits[i] > CANARY_OVERDUE_MS * 1000) {
            view->passing.slow[i] += view->overdue + view->pending;
        }
    }
}


void
canary_evidence_last(const canary_evidence_t *evidence,
    const canary_tail_t *tail, unsigned side, uint64_t now, uint64_t ms,
    canary_counts_t *counts)
{
    uint32_t                     i, number;
    canary_cohort_view_t         view;
    const canary_cohort_view_t  *cohort;

    memset(counts, 0, sizeof(canary_counts_t));

    for (i = tail->n; i > 0; i--) {
        cohort = &tail->cohorts[i - 1];

        if ((int32_t) (cohort->number - evidence->first_tested) < 0
            || (cohort->ended && canary_elapsed(now, cohort->ended) >= ms))
        {
            return;
        }

        canary_count_sums(&cohort->sides[side], counts);
        canary_count_bad(&cohort->sides[side], counts);
    }

    /* before these, those that are folded and still in the ring */

    for (number = evidence->oldest - 1;
         (int32_t) (number - evidence->first_tested) >= 0
         && canary_evidence_current(evidence) - number < CANARY_COHORTS;
         number--)
    {
        canary_evidence_look(evidence, number, now, &view);

        if (canary_elapsed(now, view.ended) >= ms) {
            return;
        }

        canary_count_sums(&view.sides[side], counts);
        canary_count_bad(&view.sides[side], counts);
    }
}


static void
canary_evidence_look(const canary_evidence_t *evidence, uint32_t number,
    uint64_t now, canary_cohort_view_t *view)
{
    unsigned                      side;
    uint32_t                      place;
    canary_sums_t                *sums;
    const canary_cohort_t        *cohort;
    const canary_cohort_slow_t   *slows;

    place = number % CANARY_COHORTS;
    cohort = &evidence->cohorts[place];
    slows = &evidence->cohort_slows[place];

    view->number = number;
    view->step = cohort->step;
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

    final = &evidence->cohorts[place].base[side];

    sums->started = final->started;
    sums->in_flight = final->started - final->done;
    sums->untimed = sums->in_flight + final->untimed;
    sums->gave_up = final->gave_up;
    sums->bad_4xx = final->bad_4xx;
    sums->bad_5xx = final->bad_5xx;
    sums->timed = final->timed;
    sums->time = final->time;

    if (evidence->nlimits) {
        sums->slow = evidence->cohort_slows[place].base[side];

    } else {
        memset(&sums->slow, 0, sizeof(canary_slow_t));
    }
}


static void
canary_evidence_look_open(const canary_evidence_t *evidence,
    uint32_t place, unsigned side, canary_sums_t *sums)
{
    canary_tally_t         tally;
    const canary_tally_t  *base;

    base = &evidence->cohorts[place].base[side];

    canary_evidence_sum(evidence, side, place, &tally);

    tally.voided -= base->voided;
    tally.started -= base->started;

    sums->started = canary_not_negative(tally.started - tally.voided);
    sums->in_flight = canary_not_negative(tally.started - tally.voided
                                          - (tally.done - base->done));
    sums->untimed = sums->in_flight
                    + canary_not_negative(tally.untimed - base->untimed);
    sums->gave_up = tally.gave_up - base->gave_up;
    sums->bad_4xx = tally.bad_4xx - base->bad_4xx;
    sums->bad_5xx = tally.bad_5xx - base->bad_5xx;
    sums->timed = tally.timed - base->timed;
    sums->time = tally.time - base->time;

    if (evidence->nlimits) {
        canary_evidence_sum_slow(evidence, side, place, &sums->slow);
        canary_subtract_slow(&sums->slow,
                             &evidence->cohort_slows[place].base[side]);
    } else {
        memset(&sums->slow, 0, sizeof(canary_slow_t));
    }
}


/* what came late since the current cohort was opened */

static void
canary_evidence_look_current(const canary_evidence_t *evidence,
    unsigned side, canary_sums_t *sums)
{
    canary_late_t         late;
    const canary_late_t  *base;

    base = &evidence->late_opened[side];

    canary_evidence_sum_late(evidence, side, &late);

    sums->late.bad_4xx = late.step.bad_4xx - base->step.bad_4xx
                         + late.past.bad_4xx - base->past.bad_4xx;
    sums->late.bad_5xx = late.step.bad_5xx - base->step.bad_5xx
                         + late.past.bad_5xx - base->past.bad_5xx;
    sums->late.bad_both = late.step.bad_both - base->step.bad_both
                          + late.past.bad_both - base->past.bad_both;

    sums->late_slow = late.slow;
    canary_subtract_slow(&sums->late_slow, &base->slow);
    canary_subtract_slow(&late.past_slow, &base->past_slow);
    canary_add_slow(&sums->late_slow, &late.past_slow);
}


/*
 * Those whose time is not known are slow once they are older than a limit,
 * which both ends of their age in whole milliseconds leave no doubt about.
 */

static void
canary_evidence_add_hung(const canary_evidence_t *evidence, uint32_t place,
    unsigned side, uint64_t age, canary_sums_t *sums)
{
    uint32_t         i;
    const uint64_t  *limits;

    limits = evidence->sets[evidence->set_of[place]].limits[side];

    for (i = 0; i < evidence->nlimits; i++) {
        if (age * 1000 >= limits[i] + 1000) {
            sums->slow.slow[i] += sums->untimed;
        }
    }
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

    for (slot = 0; slot < evidence->nused; slot++) {
        tally = canary_evidence_tally(evidence, slot, side, place);

        sum->voided += canary_get(&tally->voided);
        sum->done += canary_get(&tally->done);
        sum->untimed += canary_get(&tally->untimed);
        sum->gave_up += canary_get(&tally->gave_up);
        sum->time += canary_get64(&tally->time);
        sum->timed += canary_get(&tally->timed);
        sum->bad_5xx += canary_get(&tally->bad_5xx);
        sum->bad_4xx += canary_get(&tally->bad_4xx);
        sum->started += canary_get(&tally->started);
    }
}


static void
canary_evidence_sum_slow(const canary_evidence_t *evidence, unsigned side,
    uint32_t place, canary_slow_t *sum)
{
    uint32_t              slot, i;
    const canary_slow_t  *slow;

    memset(sum, 0, sizeof(canary_slow_t));

    for (slot = 0; slot < evidence->limited; slot++) {
        slow = &evidence->slots[slot].slows[side][place];

        for (i = 0; i < evidence->nlimits; i++) {
            sum->slow[i] += canary_get(&slow->slow[i]);
        }
    }
}


/* what has ended is read before how */

static void
canary_evidence_sum_late(const canary_evidence_t *evidence, unsigned side,
    canary_late_t *sum)
{
    uint32_t              slot, i;
    const canary_late_t  *late;

    memset(sum, 0, sizeof(canary_late_t));

    for (slot = 0; slot < evidence->nused; slot++) {
        late = canary_evidence_late(evidence, slot, side);

        sum->overdue += canary_not_negative(canary_get(&late->overdue));
        sum->pending += canary_not_negative(canary_get(&late->pending));
        sum->voided += canary_get(&late->voided);
        sum->gave_up += canary_get(&late->gave_up);
        sum->time += canary_get64(&late->time);
        sum->timed += canary_get(&late->timed);

        for (i = 0; i < evidence->nlimits; i++) {
            sum->slow.slow[i] += canary_get(&late->slow.slow[i]);
            sum->past_slow.slow[i] += canary_get(&late->past_slow.slow[i]);
        }

        canary_add_bad(&sum->past, &late->past);
        canary_add_bad(&sum->step, &late->step);
    }
}


static uint64_t
canary_evidence_sum_spent(const canary_evidence_t *evidence, unsigned side)
{
    uint32_t  slot;
    uint64_t  spent;

    for (slot = 0, spent = 0; slot < evidence->nused; slot++) {
        spent += canary_get64(&canary_evidence_late(evidence, slot,
                                                    side)->spent);
    }

    return spent;
}


/*
 * Sums
 */


static void
canary_add_bad(canary_bad_t *sum, const canary_bad_t *bad)
{
    sum->bad_both += canary_get(&bad->bad_both);
    sum->bad_5xx += canary_get(&bad->bad_5xx);
    sum->bad_4xx += canary_get(&bad->bad_4xx);
}


static void
canary_add_slow(canary_slow_t *sum, const canary_slow_t *slow)
{
    uint32_t  i;

    for (i = 0; i < CANARY_LIMITS_MAX; i++) {
        sum->slow[i] += slow->slow[i];
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


/* a process may have slept through the settling of the cohort it counts in */

static uint32_t
canary_not_negative(uint32_t n)
{
    return ((int32_t) n < 0) ? 0 : n;
}


static void
canary_count_sums(const canary_sums_t *sums, canary_counts_t *counts)
{
    uint32_t  i;

    counts->started += sums->started;
    counts->bad_4xx += sums->bad_4xx;
    counts->bad_5xx += sums->bad_5xx;
    counts->bad += sums->bad_4xx + sums->bad_5xx;
    counts->gave_up += sums->gave_up;
    counts->timed += sums->timed;
    counts->time += sums->time;

    for (i = 0; i < CANARY_LIMITS_MAX; i++) {
        counts->slow[i] += sums->slow.slow[i];
    }
}


/* those that came late as attempts of their own, since they began before */

static void
canary_count_bad(const canary_sums_t *sums, canary_counts_t *counts)
{
    uint32_t  i, bad;

    bad = sums->late.bad_4xx + sums->late.bad_5xx - sums->late.bad_both;

    counts->started += bad;
    counts->bad += bad;
    counts->bad_4xx += sums->late.bad_4xx;
    counts->bad_5xx += sums->late.bad_5xx;

    for (i = 0; i < CANARY_LIMITS_MAX; i++) {
        counts->slow[i] += sums->late_slow.slow[i];
    }
}


static void
canary_count_late(const canary_late_t *late, const canary_late_t *base,
    canary_counts_t *counts)
{
    uint32_t  i, voided;

    voided = late->voided - base->voided;

    counts->started -= (voided < counts->started) ? voided : counts->started;
    counts->gave_up += (uint32_t) (late->gave_up - base->gave_up);
    counts->bad_4xx += (uint32_t) (late->step.bad_4xx - base->step.bad_4xx);
    counts->bad_5xx += (uint32_t) (late->step.bad_5xx - base->step.bad_5xx);
    counts->bad += (uint32_t) (late->step.bad_4xx - base->step.bad_4xx)
                   + (uint32_t) (late->step.bad_5xx - base->step.bad_5xx)
                   - (uint32_t) (late->step.bad_both - base->step.bad_both);
    counts->timed += (uint32_t) (late->timed - base->timed);
    counts->time += late->time - base->time;

    for (i = 0; i < CANARY_LIMITS_MAX; i++) {
        counts->slow[i] += (uint32_t) (late->slow.slow[i]
                                       - base->slow.slow[i]);
    }
}
