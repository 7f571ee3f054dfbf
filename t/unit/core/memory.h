
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef UNIT_MEMORY_H
#define UNIT_MEMORY_H


#include <stdlib.h>
#include <string.h>

#include "canary_evidence_count.h"
#include "canary_evidence_places.h"
#include "canary_judge.h"
#include "canary_judge_times.h"
#include "canary_outage.h"
#include "canary_verdict.h"

#include "unit.h"


/*
 * Evidence, its slots and a judge with it, in memory as it comes: freed with
 * unit_free_evidence().
 */

static inline void *
unit_junk(size_t size)
{
    void  *memory;

    memory = malloc(size);
    assert_non_null(memory);

    return memset(memory, 0xa5, size);
}


static inline canary_slot_t *
unit_slot(void)
{
    return unit_junk(sizeof(canary_slot_t));
}


static inline canary_evidence_t *
unit_evidence(uint32_t nslots, uint32_t nused)
{
    uint32_t            i;
    canary_evidence_t  *evidence;

    evidence = unit_junk(canary_evidence_size(nslots));

    canary_evidence_init(evidence, nslots);
    canary_evidence_set_books(evidence, unit_junk(sizeof(canary_judged_t)));

    for (i = 0; i < nused; i++) {
        canary_evidence_use(evidence, unit_slot());
    }

    return evidence;
}


static inline void
unit_free_evidence(canary_evidence_t *evidence)
{
    canary_slot_t  *slot, *next;

    for (slot = evidence->all; slot; slot = next) {
        next = slot->next;
        free(slot);
    }

    free(evidence->books);
    free(evidence);
}


#endif /* UNIT_MEMORY_H */
