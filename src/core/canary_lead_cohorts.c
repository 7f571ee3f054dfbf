
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence_view.h"
#include "canary_lead.h"
#include "canary_lead_layout.h"
#include "canary_lead_merge.h"


/*
 * Cohorts of all nodes: those of the same slots are one, and what is in flight
 * is left out by node and cohort.
 */


/* slots that a node's clock may be ahead */

#define CANARY_LEAD_AHEAD  20


static void canary_lead_reap(canary_cohort_view_t *cohort);
static int canary_cohort_is_empty(const canary_cohort_view_t *cohort);
static uint32_t canary_lead_find_set(const canary_lead_t *lead,
    uint32_t number);
static int canary_lead_is_told(const canary_lead_t *lead,
    const canary_cohort_view_t *cohort);
static void canary_lead_merge(canary_lead_t *lead,
    const canary_cohort_view_t *cohort, int comparable);
static uint32_t canary_lead_place(canary_lead_t *lead,
    const canary_cohort_view_t *cohort);
static uint32_t canary_lead_insert(canary_lead_t *lead, uint32_t place,
    const canary_cohort_view_t *cohort);
static void canary_lead_absorb(canary_lead_t *lead, uint32_t place);
static void canary_add_sums(canary_sums_t *sum, const canary_sums_t *sums);


static inline int
canary_cohort_is_before(const canary_cohort_view_t *a,
    const canary_cohort_view_t *b)
{
    return a->step == b->step ? a->slot_end <= b->slot
                              : (int32_t) (a->step - b->step) < 0;
}


void
canary_lead_add_cohort(canary_lead_t *lead, canary_node_t state,
    const canary_cohort_view_t *cohort)
{
    int                   comparable;
    unsigned              side;
    uint32_t              set;
    canary_evidence_t    *ours;
    canary_cohort_view_t  view;

    if ((int32_t) (cohort->step - lead->judged.judge.step) > 0
        || cohort->slot > canary_lead_slot(lead) + CANARY_LEAD_AHEAD
        || canary_cohort_is_empty(cohort))
    {
        return;
    }

    ours = canary_lead_evidence(lead);
    view = *cohort;

    if (state == CANARY_NODE_GONE) {
        canary_lead_reap(&view);
    }

    set = canary_lead_find_set(lead, cohort->limit_set);
    comparable = (set < CANARY_LIMIT_SETS);
    view.limit_set = comparable ? set : ours->limit_set;

    if (view.step == lead->judged.judge.step
        && !canary_lead_is_discarded(lead, view.slot, view.slot_end))
    {
        for (side = 0; side < CANARY_SIDES; side++) {
            canary_evidence_add_cohort(ours, &lead->given.tail, &view, side,
                                       &lead->given.views[side]);
        }
    }

    if (!canary_lead_is_told(lead, &view)) {
        canary_lead_merge(lead, &view, comparable);
    }
}


static void
canary_lead_reap(canary_cohort_view_t *cohort)
{
    unsigned        side;
    canary_sums_t  *sums;

    for (side = 0; side < CANARY_SIDES; side++) {
        sums = &cohort->sides[side];

        sums->started = canary_not_negative(sums->started - sums->in_flight);
        sums->time_only += sums->timeless;
        sums->in_flight = 0;
        sums->untimed = 0;
        sums->timeless = 0;
        sums->unended = 0;
    }

    cohort->settled = 1;
    cohort->ended = cohort->slot_end * CANARY_SLOT_MS;
}


static int
canary_cohort_is_empty(const canary_cohort_view_t *cohort)
{
    static const canary_sums_t  nothing[CANARY_SIDES];

    return cohort->sides[CANARY_SIDE_STABLE].started == 0
           && cohort->sides[CANARY_SIDE_CANARY].started == 0
           && memcmp(cohort->sides, nothing, sizeof(nothing)) == 0;
}


/* CANARY_LIMIT_SETS: nobody knows it any more */

static uint32_t
canary_lead_find_set(const canary_lead_t *lead, uint32_t number)
{
    uint32_t                  i;
    const canary_evidence_t  *ours;

    ours = canary_lead_evidence(lead);

    if (ours->set_numbers[ours->limit_set] == number) {
        return ours->limit_set;
    }

    for (i = 0; i < CANARY_LIMIT_SETS; i++) {
        if (ours->set_numbers[i] == number && number != CANARY_SET_OWN) {
            break;
        }
    }

    return i;
}


static int
canary_lead_is_told(const canary_lead_t *lead,
    const canary_cohort_view_t *cohort)
{
    return (int32_t) (cohort->step - lead->told_step) < 0
           || (cohort->step == lead->told_step
               && cohort->slot <= lead->told_slot);
}


static void
canary_lead_merge(canary_lead_t *lead, const canary_cohort_view_t *cohort,
    int comparable)
{
    unsigned               side;
    uint32_t               place;
    canary_over_t         *over;
    canary_cohort_view_t  *merged;
    const canary_sums_t   *canary;

    place = canary_lead_place(lead, cohort);

    if (place == CANARY_COHORTS) {
        return;
    }

    merged = &lead->given.tail.cohorts[place];
    over = &lead->over[place];
    canary = &cohort->sides[CANARY_SIDE_CANARY];

    merged->settled &= cohort->settled;

    if (!comparable || merged->limit_set != cohort->limit_set) {
        merged->limit_set = CANARY_LIMIT_SETS;
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_add_sums(&merged->sides[side], &cohort->sides[side]);
    }

    if (cohort->settled || canary->untimed == 0) {
        canary_add_sums(&over->timed, canary);

        if (cohort->settled || canary->unended == 0) {
            canary_add_sums(&over->ended, canary);
        }
    }
}


/*
 * The place of the cohort that this one is a part of, which becomes as long as
 * it takes; CANARY_COHORTS: there is none.
 */

static uint32_t
canary_lead_place(canary_lead_t *lead, const canary_cohort_view_t *cohort)
{
    uint32_t               i;
    canary_tail_t         *tail;
    canary_cohort_view_t   wide, *merged;

    tail = &lead->given.tail;

    memset(&wide, 0, sizeof(canary_cohort_view_t));

    wide.step = cohort->step;
    wide.slot = cohort->slot - cohort->slot % lead->width;
    wide.slot_end = cohort->slot_end + lead->width - 1;
    wide.slot_end -= wide.slot_end % lead->width;
    wide.limit_set = cohort->limit_set;

    for (i = lead->hint;
         i < tail->n && canary_cohort_is_before(&tail->cohorts[i], &wide);
         i++)
    {
        /* void */
    }

    if (i == tail->n || canary_cohort_is_before(&wide, &tail->cohorts[i])) {
        i = canary_lead_insert(lead, i, &wide);
    }

    if (i == CANARY_COHORTS) {
        return i;
    }

    merged = &tail->cohorts[i];

    if (wide.slot < merged->slot) {
        merged->slot = wide.slot;
    }

    if (wide.slot_end > merged->slot_end) {
        merged->slot_end = wide.slot_end;
    }

    while (i + 1 < tail->n && !canary_cohort_is_before(merged, merged + 1)) {
        canary_lead_absorb(lead, i);
    }

    lead->hint = i;

    return i;
}


/* where there is no room it becomes a part of one beside it */

static uint32_t
canary_lead_insert(canary_lead_t *lead, uint32_t place,
    const canary_cohort_view_t *cohort)
{
    canary_tail_t         *tail;
    canary_cohort_view_t  *merged;

    tail = &lead->given.tail;
    merged = &tail->cohorts[place];

    if (tail->n == CANARY_COHORTS) {

        if (place < tail->n && merged->step == cohort->step) {
            return place;
        }

        return (place && merged[-1].step == cohort->step) ? place - 1
                                                          : CANARY_COHORTS;
    }

    memmove(merged + 1, merged,
            (tail->n - place) * sizeof(canary_cohort_view_t));
    memmove(&lead->over[place + 1], &lead->over[place],
            (tail->n - place) * sizeof(canary_over_t));
    tail->n++;

    memset(merged, 0, sizeof(canary_cohort_view_t));
    memset(&lead->over[place], 0, sizeof(canary_over_t));

    merged->step = cohort->step;
    merged->slot = cohort->slot;
    merged->slot_end = cohort->slot_end;
    merged->limit_set = cohort->limit_set;
    merged->settled = 1;

    return place;
}


/* the next one is a part of this one too */

static void
canary_lead_absorb(canary_lead_t *lead, uint32_t place)
{
    unsigned               side;
    canary_cohort_view_t  *merged, *next;

    merged = &lead->given.tail.cohorts[place];
    next = merged + 1;

    if (next->slot_end > merged->slot_end) {
        merged->slot_end = next->slot_end;
    }

    if (next->limit_set != merged->limit_set) {
        merged->limit_set = CANARY_LIMIT_SETS;
    }

    merged->settled &= next->settled;

    for (side = 0; side < CANARY_SIDES; side++) {
        canary_add_sums(&merged->sides[side], &next->sides[side]);
    }

    canary_add_sums(&lead->over[place].timed, &lead->over[place + 1].timed);
    canary_add_sums(&lead->over[place].ended, &lead->over[place + 1].ended);

    canary_lead_remove(lead, place + 1);
}


void
canary_lead_remove(canary_lead_t *lead, uint32_t place)
{
    uint32_t        after;
    canary_tail_t  *tail;

    tail = &lead->given.tail;
    after = --tail->n - place;

    memmove(&tail->cohorts[place], &tail->cohorts[place + 1],
            after * sizeof(canary_cohort_view_t));
    memmove(&lead->over[place], &lead->over[place + 1],
            after * sizeof(canary_over_t));
}


static void
canary_add_sums(canary_sums_t *sum, const canary_sums_t *sums)
{
    uint32_t  i;

    sum->started += sums->started;
    sum->in_flight += sums->in_flight;
    sum->untimed += sums->untimed;
    sum->timeless += sums->timeless;
    sum->unended += sums->unended;
    sum->left += sums->left;
    sum->left_only += sums->left_only;
    sum->time_only += sums->time_only;
    sum->bad_4xx += sums->bad_4xx;
    sum->bad_5xx += sums->bad_5xx;
    sum->timed += sums->timed;
    sum->time += sums->time;
    sum->late.bad_4xx += sums->late.bad_4xx;
    sum->late.bad_5xx += sums->late.bad_5xx;
    sum->late.bad_both += sums->late.bad_both;

    for (i = 0; i < CANARY_LIMITS_MAX; i++) {
        sum->slow.slow[i] += sums->slow.slow[i];
        sum->late_slow.slow[i] += sums->late_slow.slow[i];
    }
}
