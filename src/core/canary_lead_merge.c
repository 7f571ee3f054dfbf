
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence_view.h"
#include "canary_lead.h"
#include "canary_lead_layout.h"
#include "canary_lead_merge.h"


/*
 * The evidence of all nodes as that of one machine: what a node tells beside
 * its cohorts, and the sums.
 */


static void canary_lead_begin_step(canary_lead_t *lead,
    const canary_rollout_t *rollout);
static canary_lead_node_t *canary_lead_node(canary_lead_t *lead,
    uint64_t key);
static void canary_lead_add_node(canary_lead_t *lead,
    canary_lead_node_t *node, canary_node_t state,
    const canary_cohorts_t *cohorts);
static void canary_lead_add_rest(canary_lead_t *lead, canary_node_t state,
    const canary_cohorts_t *cohorts);


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

    canary_lead_fold(lead);

    judge->longest = lead->longest;

    lead->rollout = NULL;
    lead->closed = 1;
    lead->moved = 1;
}
