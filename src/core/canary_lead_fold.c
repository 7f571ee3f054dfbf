
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence_last.h"
#include "canary_lead.h"
#include "canary_lead_layout.h"
#include "canary_lead_merge.h"


/* Merged cohorts that are over, and become a part of the tests. */


/* ms before nodes drop a cohort */

#define CANARY_LEAD_MARGIN    500

/* of the cohorts that are kept; then they are folded early */

#define CANARY_LEAD_UNFOLDED  (CANARY_COHORTS - 8)


static void canary_lead_complete(canary_lead_t *lead);
static void canary_lead_see_settled(canary_lead_t *lead);
static uint64_t canary_lead_settled_at(const canary_lead_t *lead,
    uint32_t *at, const canary_cohort_view_t *cohort);
static int canary_lead_fold_oldest(canary_lead_t *lead);
static int canary_lead_may_fold(const canary_lead_t *lead,
    const canary_cohort_view_t *cohort);


void
canary_lead_fold(canary_lead_t *lead)
{
    canary_lead_complete(lead);
    canary_lead_see_settled(lead);

    while (canary_lead_fold_oldest(lead)) {
        /* void */
    }
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

    memset(settled, 0, sizeof(settled));

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
canary_lead_fold_oldest(canary_lead_t *lead)
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
