
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence_places.h"


static void canary_evidence_clear(canary_slot_t *memory, uint32_t from,
    uint32_t to);
static void canary_evidence_clear_slows(canary_slot_t *memory,
    uint32_t from, uint32_t to);
static void canary_evidence_new_place(canary_evidence_t *evidence);


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
}


/* places that have been used keep their counters, but not their cohorts */

void
canary_evidence_set_books(canary_evidence_t *evidence, canary_books_t *books,
    canary_places_t *places)
{
    uint32_t  place;

    books->places = places;

    for (place = 0; place < evidence->nplaces; place++) {
        places->cohorts[place].freed = 1;
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
        memset(memory->late, 0, sizeof(memory->late));
        canary_evidence_clear(memory, 0, evidence->nplaces);

    } else {
        memory = evidence->slots[0];
    }

    evidence->slots[evidence->nused] = memory;
    canary_set(&evidence->nused, evidence->nused + 1);

    canary_evidence_use_limits(evidence);
}


/* places of a slot */

static void
canary_evidence_clear(canary_slot_t *memory, uint32_t from, uint32_t to)
{
    memset(&memory->tallies[from], 0,
           (to - from) * sizeof(memory->tallies[0]));
}


static void
canary_evidence_clear_slows(canary_slot_t *memory, uint32_t from, uint32_t to)
{
    memset(&memory->slows[from], 0, (to - from) * sizeof(memory->slows[0]));
}


void
canary_evidence_use_limits(canary_evidence_t *evidence)
{
    uint32_t  slot;

    if (evidence->nlimits == 0) {
        return;
    }

    for (slot = evidence->limited; slot < evidence->nused; slot++) {

        if (canary_evidence_has_slot(evidence, slot)) {
            canary_evidence_clear_slows(evidence->slots[slot], 0,
                                        evidence->nplaces);
        }

        evidence->limited = slot + 1;
    }
}


/* the first that has rested; the others, only if there is no new one */

uint32_t
canary_evidence_take_place(canary_evidence_t *evidence, uint64_t now)
{
    uint32_t                place, longest;
    const canary_cohort_t  *cohorts;

    cohorts = evidence->books->places->cohorts;
    longest = CANARY_COHORTS;

    for (place = 0; place < evidence->nplaces; place++) {

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

    if (evidence->nplaces < CANARY_COHORTS) {
        canary_evidence_new_place(evidence);
        return place;
    }

    return longest;
}


static void
canary_evidence_new_place(canary_evidence_t *evidence)
{
    uint32_t  slot, place;

    place = evidence->nplaces;

    for (slot = 0; slot < evidence->nused; slot++) {

        if (!canary_evidence_has_slot(evidence, slot)) {
            continue;
        }

        canary_evidence_clear(evidence->slots[slot], place, place + 1);

        if (slot < evidence->limited) {
            canary_evidence_clear_slows(evidence->slots[slot], place,
                                        place + 1);
        }
    }

    canary_evidence_free_place(evidence, place, 0);

    evidence->nplaces = place + 1;
}


void
canary_evidence_free_place(canary_evidence_t *evidence, uint32_t place,
    uint64_t now)
{
    evidence->books->places->cohorts[place].freed = now ? now : 1;
}
