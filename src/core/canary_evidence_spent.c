
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_evidence_spent.h"


static uint64_t canary_evidence_sum_spent(const canary_evidence_t *evidence,
    unsigned side);


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
