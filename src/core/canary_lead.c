
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence.h"
#include "canary_evidence_places.h"
#include "canary_judge.h"
#include "canary_judge_times.h"
#include "canary_lead.h"
#include "canary_lead_layout.h"


/* The tests of a fleet's leader: how they begin, and what follows from them. */


/* before any slot of a rollout, modulo 2^32 */

#define CANARY_LEAD_LONG_AGO   (1u << 30)

/* limits that a leader before has told and that are not known here */

#define CANARY_LEAD_SETS_SPARE 16

/* slots until all nodes know of limits */

#define CANARY_LEAD_SET_DELAY  3


static void canary_lead_take_sets(canary_lead_t *lead,
    const canary_evidence_t *evidence);
static uint64_t canary_lead_slot_of(const canary_lead_t *lead,
    uint32_t number);


size_t
canary_lead_size(void)
{
    return sizeof(canary_lead_t) + canary_evidence_size(0);
}


void
canary_lead_begin(canary_lead_t *lead, const canary_rollout_t *rollout,
    const canary_evidence_t *evidence, uint64_t now)
{
    memset(lead, 0, sizeof(canary_lead_t));

    canary_evidence_init(canary_lead_evidence(lead), 0);
    canary_lead_take_sets(lead, evidence);
    canary_lead_reset(lead, rollout, now);

    if (canary_judge(evidence)->tests != rollout->trial) {
        canary_judge_set_limits(&lead->judged.judge,
                                canary_lead_evidence(lead),
                                &rollout->strategy);
    }
}


/* this node counts by the limits that all of them have been told */

static void
canary_lead_take_sets(canary_lead_t *lead, const canary_evidence_t *evidence)
{
    uint32_t            i, number;
    canary_evidence_t  *ours;

    ours = canary_lead_evidence(lead);

    memcpy(ours->sets, evidence->sets, sizeof(ours->sets));
    memcpy(ours->set_numbers, evidence->set_numbers,
           sizeof(ours->set_numbers));

    ours->limit_set = evidence->limit_set;
    ours->nlimits = evidence->nlimits;

    for (i = 0; i < CANARY_LIMIT_SETS; i++) {
        number = ours->set_numbers[i];

        if (number != CANARY_SET_OWN && number > lead->set) {
            lead->set = number;
        }
    }

    lead->set += CANARY_LEAD_SETS_SPARE;
}


void
canary_lead_reset(canary_lead_t *lead, const canary_rollout_t *rollout,
    uint64_t now)
{
    uint32_t            i, number;
    canary_judge_t     *judge;
    canary_evidence_t  *ours;

    ours = canary_lead_evidence(lead);
    judge = &lead->judged.judge;

    memset(judge, 0, sizeof(canary_judge_t));
    canary_evidence_set_books(ours, &lead->judged.books);

    lead->number = rollout->number;
    lead->now = now;
    lead->told_step = rollout->tests;
    lead->told_slot = 0;
    lead->nnodes = 0;

    ours->given = &lead->given;
    ours->patience = (uint32_t) rollout->strategy.patience;
    ours->now = (uint64_t) rollout->tests << 32
                | (uint32_t) canary_lead_slot(lead);
    ours->discard_to = 0;
    ours->discarded_from = 0;
    ours->discarded_to = 0;

    for (i = 0; i < CANARY_LIMIT_SETS; i++) {
        number = ours->set_numbers[i];

        if (number != CANARY_SET_RULES && number != CANARY_SET_OWN) {
            judge->comparable |= 1u << i;
        }
    }

    judge->longest = CANARY_NOT_KNOWN;
    judge->step = rollout->tests;

    canary_judge_new_tests(ours, rollout, now);
    canary_judge_new_times(judge, now, &lead->times);

    /* nodes may have begun before their leader did */

    ours->first_tested -= CANARY_LEAD_LONG_AGO;
    judge->first = ours->first_tested;
}


int
canary_lead_is_of(const canary_lead_t *lead, const canary_rollout_t *rollout)
{
    return lead->number == rollout->number
           && lead->judged.judge.tests == rollout->trial;
}


void
canary_lead_judge(canary_lead_t *lead, const canary_rollout_t *rollout,
    int detail, canary_result_t *result)
{
    canary_judge_rules(canary_lead_evidence(lead), rollout, lead->now,
                       &lead->times, detail, result);
}


canary_verdict_t
canary_lead_verdict(const canary_lead_t *lead)
{
    return (canary_verdict_t) lead->judged.judge.verdict;
}


const canary_pace_t *
canary_lead_pace(const canary_lead_t *lead)
{
    return &lead->judged.judge.pace;
}


int
canary_lead_held(const canary_lead_t *lead)
{
    return (lead->judged.judge.holding
            || lead->now < canary_lead_evidence(lead)->discard_to)
           ? (int) lead->judged.judge.held_rule : -1;
}


int
canary_lead_is_discarded(const canary_lead_t *lead, uint64_t slot,
    uint64_t slot_end)
{
    uint32_t                  from, length;
    const canary_evidence_t  *ours;

    ours = canary_lead_evidence(lead);

    from = (uint32_t) slot - ours->discarded_from;
    length = ours->discarded_to - ours->discarded_from;

    return length && (from < length || -from < slot_end - slot);
}


/* a slot of these tests by its number, which is known modulo 2^32 */

static uint64_t
canary_lead_slot_of(const canary_lead_t *lead, uint32_t number)
{
    uint64_t  slot;

    slot = canary_lead_slot(lead);

    return slot + (uint64_t) (int64_t) (int32_t) (number - (uint32_t) slot);
}


/* limits that were found since the last orders get a number */

void
canary_lead_orders(canary_lead_t *lead, canary_orders_t *orders)
{
    uint32_t           *number;
    canary_evidence_t  *ours;

    ours = canary_lead_evidence(lead);
    number = &ours->set_numbers[ours->limit_set];

    memset(orders, 0, sizeof(canary_orders_t));

    if (*number == CANARY_SET_OWN) {
        *number = ++lead->set;
        lead->set_from = canary_lead_slot(lead) + CANARY_LEAD_SET_DELAY;
    }

    orders->number = lead->number;
    orders->trial = lead->judged.judge.tests;
    orders->step = lead->told_step;
    orders->folded = lead->told_slot;
    orders->set = *number;
    orders->set_from = lead->set_from;
    orders->nlimits = ours->nlimits;
    orders->limits = ours->sets[ours->limit_set];

    if (ours->discarded_from != ours->discarded_to) {
        orders->discarded_from = canary_lead_slot_of(lead,
                                                     ours->discarded_from);
        orders->discarded_to = canary_lead_slot_of(lead, ours->discarded_to);
    }
}
