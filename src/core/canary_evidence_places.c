
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence_places.h"


size_t
canary_evidence_size(uint32_t nslots)
{
    return sizeof(canary_evidence_t)
           + (size_t) nslots * sizeof(canary_slot_t *);
}


void
canary_evidence_init(canary_evidence_t *evidence, uint32_t nslots)
{
    memset(evidence, 0, offsetof(canary_evidence_t, slots));

    evidence->nslots = nslots;
    evidence->patience = CANARY_PATIENCE_MIN;
}


/* places keep their counters, which only rise, but not their cohorts */

void
canary_evidence_set_books(canary_evidence_t *evidence, canary_books_t *books)
{
    uint32_t  place;

    memset(books, 0, sizeof(canary_books_t));

    for (place = 0; place < CANARY_COHORTS; place++) {
        books->cohorts[place].freed = 1;
    }

    evidence->nparts = 0;
    evidence->books = books;
}


void
canary_evidence_use(canary_evidence_t *evidence, canary_slot_t *memory)
{
    if (evidence->nused == evidence->nslots) {
        return;
    }

    if (memory) {
        memset(memory, 0, sizeof(canary_slot_t));
        memory->next = evidence->all;

        __atomic_store_n(&evidence->all, memory, __ATOMIC_RELEASE);

    } else {
        memory = evidence->slots[0];
    }

    evidence->slots[evidence->nused] = memory;
    canary_set(&evidence->nused, evidence->nused + 1);
}


/* the first that has rested, else the one that has rested longest */

uint32_t
canary_evidence_take_place(canary_evidence_t *evidence, uint64_t now)
{
    uint32_t                place, longest;
    const canary_cohort_t  *cohorts;

    cohorts = evidence->books->cohorts;
    longest = CANARY_COHORTS;

    for (place = 0; place < CANARY_COHORTS; place++) {

        if (cohorts[place].freed == 0) {
            continue;
        }

        if (canary_elapsed(now, cohorts[place].freed) >= CANARY_REST_MS) {
            return place;
        }

        if (longest == CANARY_COHORTS
            || cohorts[place].freed < cohorts[longest].freed)
        {
            longest = place;
        }
    }

    return longest;
}


void
canary_evidence_free_place(canary_evidence_t *evidence, uint32_t place,
    uint64_t now)
{
    evidence->books->cohorts[place].freed = now ? now : 1;
}
