
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVIDENCE_PLACES_H
#define CANARY_EVIDENCE_PLACES_H


#include <stddef.h>
#include <stdint.h>

#include "canary_evidence_layout.h"


/* The memory of evidence: slots, books, and the places of cohorts. */


/* The bytes that evidence takes, without its slots and books. */

size_t canary_evidence_size(uint32_t nslots);

/*
 * No memory needs to be zeroed.  Evidence is init once, and given memory for
 * one slot after the other before they are counted in; NULL: there is none,
 * so that slot is the first one again, which there has to be.  A rollout needs
 * books before it begins, which may be taken away when it has ended.
 */

void canary_evidence_init(canary_evidence_t *evidence, uint32_t nslots);
void canary_evidence_set_books(canary_evidence_t *evidence,
    canary_books_t *books);
void canary_evidence_use(canary_evidence_t *evidence, canary_slot_t *memory);

/* A place for a cohort, of those that are free; and that it is free again. */

uint32_t canary_evidence_take_place(canary_evidence_t *evidence, uint64_t now);
void canary_evidence_free_place(canary_evidence_t *evidence, uint32_t place,
    uint64_t now);


#endif /* CANARY_EVIDENCE_PLACES_H */
