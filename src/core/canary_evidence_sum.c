
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence_sum.h"


static uint64_t canary_evidence_sum_spent(const canary_evidence_t *evidence,
    unsigned side);
static void canary_add_late_bad(canary_late_bad_t *sum,
    const canary_late_bad_t *bad);


/*
 * That an attempt has ended is read first, then how, and last that it began:
 * so none is seen to have ended whose end is not known yet, nor one that had
 * not begun.
 */

void
canary_evidence_sum(const canary_evidence_t *evidence, unsigned side,
    uint32_t place, canary_tally_t *sum)
{
    const canary_slot_t   *slot;
    const canary_tally_t  *tally;

    memset(sum, 0, sizeof(canary_tally_t));

    for (slot = evidence->all; slot; slot = slot->next) {
        tally = &slot->tallies[place][side];

        sum->voided += canary_get(&tally->voided);
        sum->done += canary_get(&tally->done);
        sum->unended += canary_get(&tally->unended);
        sum->left_only += canary_get(&tally->left_only);
        sum->left += canary_get(&tally->left);
        sum->untimed += canary_get(&tally->untimed);
        sum->timeless += canary_get(&tally->timeless);
        sum->time_only += canary_get(&tally->time_only);
        sum->time += canary_get64(&tally->time);
        sum->timed += canary_get(&tally->timed);
        sum->bad_5xx += canary_get(&tally->bad_5xx);
        sum->bad_4xx += canary_get(&tally->bad_4xx);
        sum->started += canary_get(&tally->started);
    }
}


void
canary_evidence_sum_slow(const canary_evidence_t *evidence, unsigned side,
    uint32_t place, canary_slow_t *sum)
{
    uint32_t              i;
    const canary_slot_t  *slot;
    const canary_slow_t  *slow;

    memset(sum, 0, sizeof(canary_slow_t));

    for (slot = evidence->all; slot; slot = slot->next) {
        slow = &slot->slows[place][side];

        for (i = 0; i < evidence->nlimits; i++) {
            sum->slow[i] += canary_get(&slow->slow[i]);
        }
    }
}


/* what has ended is read before how */

void
canary_evidence_sum_late(const canary_evidence_t *evidence, unsigned side,
    canary_late_t *sum)
{
    uint32_t              i;
    const canary_slot_t  *slot;
    const canary_late_t  *late;

    memset(sum, 0, sizeof(canary_late_t));

    for (slot = evidence->all; slot; slot = slot->next) {
        late = &slot->late[side];

        sum->overdue += canary_not_negative(canary_get(&late->overdue));
        sum->pending += canary_not_negative(canary_get(&late->pending));
        sum->unended += canary_not_negative(canary_get(&late->unended));
        sum->left_only += canary_get64(&late->left_only);
        sum->left += canary_get64(&late->left);
        sum->voided += canary_get64(&late->voided);
        sum->time_only += canary_get64(&late->time_only);
        sum->time += canary_get64(&late->time);
        sum->timed += canary_get64(&late->timed);

        for (i = 0; i < evidence->nlimits; i++) {
            sum->slow.slow[i] += canary_get64(&late->slow.slow[i]);
            sum->past_slow.slow[i] += canary_get64(&late->past_slow.slow[i]);
        }

        canary_add_late_bad(&sum->past, &late->past);
        canary_add_late_bad(&sum->step, &late->step);
    }
}


static void
canary_add_late_bad(canary_late_bad_t *sum, const canary_late_bad_t *bad)
{
    sum->bad_both += canary_get64(&bad->bad_both);
    sum->bad_5xx += canary_get64(&bad->bad_5xx);
    sum->bad_4xx += canary_get64(&bad->bad_4xx);
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


static uint64_t
canary_evidence_sum_spent(const canary_evidence_t *evidence, unsigned side)
{
    uint64_t              spent;
    const canary_slot_t  *slot;

    spent = 0;

    for (slot = evidence->all; slot; slot = slot->next) {
        spent += canary_get64(&slot->late[side].spent);
    }

    return spent;
}
