
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef UNIT_MEMORY_H
#define UNIT_MEMORY_H


#include <stdlib.h>
#include <string.h>

#include "canary_judge.h"

#include "unit.h"


/*
 * Evidence, its slots and a judge with it, in memory as it comes: freed with
 * unit_free_evidence().
 */

static inline canary_slot_t *
unit_slot(void)
{
    canary_slot_t  *slot;

    slot = malloc(sizeof(canary_slot_t));
    assert_non_null(slot);

    memset(slot, 0xa5, sizeof(canary_slot_t));

    return slot;
}


static inline canary_evidence_t *
unit_evidence(uint32_t nslots, uint32_t nused)
{
    size_t              size;
    uint32_t            i;
    canary_evidence_t  *evidence;

    size = canary_judge_size(nslots);
    evidence = malloc(size);
    assert_non_null(evidence);

    memset(evidence, 0xa5, size);

    (void) canary_judge_init(evidence, nslots);

    for (i = 0; i < nused; i++) {
        canary_evidence_use(evidence, unit_slot());
    }

    return evidence;
}


static inline void
unit_free_evidence(canary_evidence_t *evidence)
{
    uint32_t  i;

    for (i = 0; i < evidence->nused; i++) {
        if (i == 0 || evidence->slots[i] != evidence->slots[0]) {
            free(evidence->slots[i]);
        }
    }

    free(evidence);
}


#endif /* UNIT_MEMORY_H */
