
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence_last.h"
#include "canary_lead.h"
#include "canary_lead_layout.h"


/*
 * The evidence of all nodes as that of one machine: cohorts of the same slots
 * are one, and what is in flight is left out by node and cohort.
 */


/* slots that a node's clock may be ahead */

#define CANARY_LEAD_AHEAD     20

/* ms before nodes drop a cohort */

#define CANARY_LEAD_MARGIN    500

/* of the cohorts that are kept; then they are folded early */

#define CANARY_LEAD_UNFOLDED  (CANARY_COHORTS - 8)


static void canary_lead_begin_step(canary_lead_t *lead,
    const canary_rollout_t *rollout);
static canary_lead_node_t *canary_lead_node(canary_lead_t *lead,
    uint64_t key);
static void canary_lead_add_node(canary_lead_t *lead,
    canary_lead_node_t *node, canary_node_t state,
    const canary_cohorts_t *cohorts);
static void canary_lead_add_rest(canary_lead_t *lead, canary_node_t state,
    const canary_cohorts_t *cohorts);
static void canary_lead_add_times(canary_lead_t *lead,
    canary_lead_node_t *node, const canary_cohorts_t *cohorts,
    canary_times_mark_t *times);
static void canary_lead_add_side(canary_lead_t *lead, int from_here,
    unsigned side, const canary_times_mark_t *now,
    const canary_times_mark_t *before);
static void canary_lead_add_cohort(canary_lead_t *lead, canary_node_t state,
    const canary_cohort_view_t *cohort);
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
static void canary_lead_remove(canary_lead_t *lead, uint32_t place);
static void canary_add_sums(canary_sums_t *sum, const canary_sums_t *sums);
static void canary_lead_complete(canary_lead_t *lead);
static void canary_lead_see_settled(canary_lead_t *lead);
static uint64_t canary_lead_settled_at(const canary_lead_t *lead,
    uint32_t *at, const canary_cohort_view_t *cohort);
static int canary_lead_fold(canary_lead_t *lead);
static int canary_lead_may_fold(const canary_lead_t *lead,
    const canary_cohort_view_t *cohort);


static inline int
canary_cohort_is_before(const canary_cohort_view_t *a,
    const canary_cohort_view_t *b)
{
    return a->step == b->step ? a->slot_end <= b->slot
                              : (int32_t) (a->step - b->step) < 0;
}


void
canary_lead_open(canary_lead_t *lead, const canary_rollout_t *rollout,
    uint64_t now, uint32_t width)
{
    unsigned            side;
    uint32_t            i;
    canary_evidence_t  *ours;

    ours = canary_lead_evidence(lead);

    lead->rollout = canary_lead_is_of(lead, rollout) ? rollout : NULL;
    lead->now = now;
    lead->width = width;
    lead->complete = canary_lead_slot(lead);
    lead->heard = lead->complete;
    lead->longest = CANARY_NOT_KNOWN;
    lead->absent = UINT64_MAX;

    if (lead->judged.judge.step != rollout->tests) {
        canary_lead_begin_step(lead, rollout);
    }

    ours->now = (uint64_t) rollout->tests << 32 | (uint32_t) lead->complete;

    if (now < ours->discard_to) {
        ours->discarded_to = (uint32_t) lead->complete + 1;
    }

    lead->given.tail.now = now;
    lead->given.tail.longest = lead->judged.judge.longest;
    lead->given.tail.n = 0;
    lead->given.tail.over = lead->over;

    for (side = 0; side < CANARY_SIDES; side++) {
        memset(&lead->given.views[side], 0, sizeof(canary_evidence_view_t));
        lead->given.views[side].patience = ours->patience;
        lead->voided[side] = 0;
        lead->away[side] = 0;
    }

    for (i = 0; i < lead->nnodes; i++) {
        lead->nodes[i].added = 0;
    }
}


static void
canary_lead_begin_step(canary_lead_t *lead, const canary_rollout_t *rollout)
{
    memset(lead->times.step, 0, sizeof(lead->times.step));

    lead->judged.judge.step = rollout->tests;
    lead->judged.judge.longest = CANARY_NOT_KNOWN;
}


int
canary_lead_needs_times(const canary_rollout_t *rollout)
{
    return canary_cohorts_need_times(rollout, 0) != 0;
}


void
canary_lead_add(canary_lead_t *lead, uint64_t key, canary_node_t state,
    const canary_cohorts_t *cohorts, canary_times_mark_t *times)
{
    uint32_t             i;
    canary_lead_node_t  *node;

    if (cohorts->number != lead->number
        || cohorts->trial != lead->judged.judge.tests
        || cohorts->nlimits != canary_lead_evidence(lead)->nlimits
        || cohorts->slot == 0)
    {
        return;
    }

    node = canary_lead_node(lead, key);

    if (node == NULL || node->added) {
        return;
    }

    canary_lead_add_node(lead, node, state, cohorts);

    if (cohorts->step == lead->judged.judge.step) {
        canary_lead_add_rest(lead, state, cohorts);

        if (times) {
            canary_lead_add_times(lead, node, cohorts, times);
        }
    }

    lead->hint = 0;

    for (i = 0; i < cohorts->n; i++) {
        canary_lead_add_cohort(lead, state, &cohorts->cohorts[i]);
    }
}


/* NULL: there are too many of them */

static canary_lead_node_t *
canary_lead_node(canary_lead_t *lead, uint64_t key)
{
    uint32_t             i;
    canary_lead_node_t  *node;

    for (i = 0; i < lead->nnodes; i++) {
        if (lead->nodes[i].key == key) {
            return &lead->nodes[i];
        }
    }

    if (lead->nnodes == CANARY_LEAD_NODES) {
        return NULL;
    }

    node = &lead->nodes[lead->nnodes++];

    memset(node, 0, sizeof(canary_lead_node_t));
    node->key = key;
    node->answered_at = lead->now;
    node->times_step = lead->judged.judge.step - 1;

    return node;
}


static void
canary_lead_add_node(canary_lead_t *lead, canary_lead_node_t *node,
    canary_node_t state, const canary_cohorts_t *cohorts)
{
    unsigned  side;
    uint64_t  absent;

    node->added = 1;

    for (side = 0; side < CANARY_SIDES; side++) {
        node->spent[side] = cohorts->rest[side].spent;
    }

    if (node->answered != cohorts->answered) {
        node->answered = cohorts->answered;
        node->answered_at = lead->now;
    }

    if (state != CANARY_NODE_GONE && cohorts->slot < lead->heard) {
        lead->heard = cohorts->slot;
    }

    if (state != CANARY_NODE_LIVE) {
        return;
    }

    if (cohorts->slot < lead->complete) {
        lead->complete = cohorts->slot;
    }

    for (side = 0; side < CANARY_SIDES; side++) {
        if (cohorts->away[side] > lead->away[side]) {
            lead->away[side] = cohorts->away[side];
        }
    }

    absent = cohorts->away[CANARY_SIDE_CANARY]
             ? cohorts->away[CANARY_SIDE_CANARY]
             : canary_elapsed(lead->now, node->answered_at);

    if (absent < lead->absent) {
        lead->absent = absent;
    }
}


/* what was in flight at a node that is gone, has no end: it is no evidence */

static void
canary_lead_add_rest(canary_lead_t *lead, canary_node_t state,
    const canary_cohorts_t *cohorts)
{
    unsigned       side;
    uint64_t       longest;
    canary_rest_t  rest;

    for (side = 0; side < CANARY_SIDES; side++) {
        rest = cohorts->rest[side];

        if (state == CANARY_NODE_GONE) {
            rest.voided += rest.overdue;
            rest.overdue = 0;
            rest.pending = 0;
            rest.unended = 0;
        }

        rest.spent = 0;
        lead->voided[side] += rest.voided;

        canary_evidence_add_rest(canary_lead_evidence(lead), side, &rest,
                                 &lead->given.views[side]);
    }

    if (cohorts->longest < CANARY_HISTOGRAM_BUCKETS) {
        longest = canary_histogram_high(cohorts->longest);

        if (lead->longest == CANARY_NOT_KNOWN || longest > lead->longest) {
            lead->longest = longest;
        }
    }
}


/*
 * Times come as sums of the node's step.  Those that a leader before has seen
 * are not known to be evidence that is not counted yet; sums that fell are of
 * a node that began anew.
 */

static void
canary_lead_add_times(canary_lead_t *lead, canary_lead_node_t *node,
    const canary_cohorts_t *cohorts, canary_times_mark_t *times)
{
    int       from_here;
    unsigned  side;
    uint32_t  i;

    if (node->times_step != cohorts->step) {
        memset(times, 0, CANARY_SIDES * sizeof(canary_times_mark_t));
        node->times_step = cohorts->step;

        /* all of a step that began while this one leads */

        node->timed = (lead->loaded == cohorts->step + 1)
                      ? 0 : (1u << CANARY_SIDES) - 1;
    }

    for (side = 0; side < CANARY_SIDES; side++) {

        if (!(cohorts->timed & 1u << side)) {
            continue;
        }

        from_here = !(node->timed & 1u << side);
        node->timed |= 1u << side;

        for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
            if (cohorts->times[side].counts[i] < times[side].counts[i]) {
                memset(&times[side], 0, sizeof(canary_times_mark_t));
                break;
            }
        }

        canary_lead_add_side(lead, from_here, side, &cohorts->times[side],
                             &times[side]);
        times[side] = cohorts->times[side];
    }
}


static void
canary_lead_add_side(canary_lead_t *lead, int from_here, unsigned side,
    const canary_times_mark_t *now, const canary_times_mark_t *before)
{
    uint32_t  i, more;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        more = now->counts[i] - before->counts[i];

        lead->times.step[side].counts[i] += more;

        if (!from_here) {
            lead->times.sides[side].counts[i] += more;
        }
    }
}


static void
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


static void
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


void
canary_lead_close(canary_lead_t *lead)
{
    unsigned         side;
    uint32_t         i;
    canary_judge_t  *judge;

    judge = &lead->judged.judge;

    for (side = 0; side < CANARY_SIDES; side++) {

        for (i = 0; i < lead->nnodes; i++) {
            lead->given.views[side].spent += lead->nodes[i].spent[side];
        }

        canary_evidence_complete(lead->voided[side],
                                 &lead->given.views[side]);
    }

    canary_lead_complete(lead);
    canary_lead_see_settled(lead);

    while (canary_lead_fold(lead)) {
        /* void */
    }

    judge->longest = lead->longest;

    lead->rollout = NULL;
    lead->closed = 1;
    lead->moved = 1;
}


/* one that is not complete is as the current one of a machine */

static void
canary_lead_complete(canary_lead_t *lead)
{
    uint32_t               i;
    canary_cohort_view_t  *cohort;

    for (i = 0; i < lead->given.tail.n; i++) {
        cohort = &lead->given.tail.cohorts[i];

        cohort->number = (uint32_t) cohort->slot;
        cohort->began = cohort->slot * CANARY_SLOT_MS;
        cohort->ended = cohort->slot_end * CANARY_SLOT_MS;
        cohort->discarded = canary_lead_is_discarded(lead, cohort->slot,
                                                     cohort->slot_end);

        if (cohort->slot_end > lead->complete) {
            cohort->ended = 0;
            cohort->settled = 0;
        }

        if (cohort->slot_end > lead->heard) {
            cohort->settled = 0;
        }
    }
}


/* since when they are, by the order in which they were found to be */

static void
canary_lead_see_settled(canary_lead_t *lead)
{
    uint32_t               i, n, at, current;
    canary_evidence_t     *ours;
    canary_cohort_view_t  *cohorts;
    canary_lead_settled_t  settled[CANARY_COHORTS];

    ours = canary_lead_evidence(lead);
    cohorts = lead->given.tail.cohorts;
    current = canary_evidence_current(ours);

    ours->oldest = lead->given.tail.n ? cohorts[0].number : current;
    lead->given.fresh = current;

    for (i = 0, n = 0, at = 0; i < lead->given.tail.n; i++) {

        if (cohorts[i].settled) {
            settled[n].slot = cohorts[i].slot;
            settled[n].step = cohorts[i].step;
            settled[n].at = canary_lead_settled_at(lead, &at, &cohorts[i]);
        }

        if (lead->given.fresh == current
            && (!cohorts[i].settled
                || settled[n].at > lead->now - CANARY_DISCARD_MS))
        {
            lead->given.fresh = cohorts[i].number;
        }

        n += cohorts[i].settled;
    }

    memcpy(lead->settled, settled, n * sizeof(canary_lead_settled_t));
    lead->nsettled = n;
}


/* from the place "at" on of those that were before */

static uint64_t
canary_lead_settled_at(const canary_lead_t *lead, uint32_t *at,
    const canary_cohort_view_t *cohort)
{
    const canary_lead_settled_t  *settled;

    for ( /* void */ ; *at < lead->nsettled; (*at)++) {
        settled = &lead->settled[*at];

        if (settled->step == cohort->step && settled->slot == cohort->slot) {
            return settled->at;
        }

        if ((int32_t) (settled->step - cohort->step) > 0
            || (settled->step == cohort->step
                && settled->slot > cohort->slot))
        {
            break;
        }
    }

    return lead->now;
}


static int
canary_lead_fold(canary_lead_t *lead)
{
    uint32_t               i;
    canary_judge_t        *judge;
    canary_cohort_view_t  *cohort;

    cohort = &lead->given.tail.cohorts[0];
    judge = &lead->judged.judge;

    if (lead->rollout == NULL || lead->given.tail.n == 0
        || !canary_lead_may_fold(lead, cohort))
    {
        return 0;
    }

    cohort->ended = cohort->slot_end * CANARY_SLOT_MS;

    for (i = 0; i < lead->rollout->strategy.nrules; i++) {
        if ((int32_t) (cohort->number - judge->first) >= 0
            || lead->rollout->strategy.rules[i].confidence == 0)
        {
            canary_trial_fold(&judge->trials[i],
                              &lead->rollout->strategy.rules[i], cohort,
                              judge->comparable);
        }
    }

    canary_evidence_remember(canary_lead_evidence(lead), cohort);

    lead->told_step = cohort->step;
    lead->told_slot = cohort->slot_end - 1;

    if (cohort->settled && lead->nsettled) {
        memmove(&lead->settled[0], &lead->settled[1],
                --lead->nsettled * sizeof(canary_lead_settled_t));
    }

    canary_lead_remove(lead, 0);

    return 1;
}


/* settled for some time, since it might be discarded; or too old */

static int
canary_lead_may_fold(const canary_lead_t *lead,
    const canary_cohort_view_t *cohort)
{
    uint64_t  age;

    age = canary_elapsed(lead->now, cohort->slot_end * CANARY_SLOT_MS);

    return (cohort->settled
            && canary_elapsed(lead->now, lead->settled[0].at)
               >= CANARY_FOLD_MS)
           || age >= canary_lead_evidence(lead)->patience + CANARY_KEPT_MS
                     - CANARY_LEAD_MARGIN
           || lead->given.tail.n >= CANARY_LEAD_UNFOLDED;
}
