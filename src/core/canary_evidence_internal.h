
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVIDENCE_INTERNAL_H
#define CANARY_EVIDENCE_INTERNAL_H


#include "canary_evidence.h"


/* What the files of the evidence share; see canary_evidence.h. */


void canary_evidence_look(const canary_evidence_t *evidence,
    uint32_t number, uint64_t now, canary_cohort_view_t *view);
void canary_evidence_look_open(const canary_evidence_t *evidence,
    uint32_t place, unsigned side, canary_sums_t *sums);
void canary_evidence_look_current(const canary_evidence_t *evidence,
    unsigned side, canary_sums_t *sums);
void canary_evidence_add_hung(const canary_evidence_t *evidence,
    uint32_t place, unsigned side, uint64_t age, canary_sums_t *sums);
void canary_evidence_sum(const canary_evidence_t *evidence,
    unsigned side, uint32_t place, canary_tally_t *sum);
void canary_evidence_sum_slow(const canary_evidence_t *evidence,
    unsigned side, uint32_t place, canary_slow_t *sum);
void canary_evidence_sum_late(const canary_evidence_t *evidence,
    unsigned side, canary_late_t *sum);
uint64_t canary_evidence_sum_spent(const canary_evidence_t *evidence,
    unsigned side);
void canary_evidence_remember(canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort);
void canary_evidence_count_sums(const canary_sums_t *sums,
    canary_counts_t *counts);


/* one that is not the first again */

static inline int
canary_evidence_has_slot(const canary_evidence_t *evidence, uint32_t slot)
{
    return slot == 0 || evidence->slots[slot] != evidence->slots[0];
}


static inline canary_late_t *
canary_evidence_late(const canary_evidence_t *evidence, uint32_t slot,
    unsigned side)
{
    return &evidence->slots[slot]->late[side];
}


static inline uint32_t
canary_get(const uint32_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}


static inline uint64_t
canary_get64(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}


static inline uint64_t
canary_elapsed(uint64_t now, uint64_t since)
{
    return (now > since) ? now - since : 0;
}


static inline uint32_t
canary_evidence_current(const canary_evidence_t *evidence)
{
    return (uint32_t) evidence->now;
}


static inline uint32_t
canary_evidence_step(const canary_evidence_t *evidence)
{
    return (uint32_t) (evidence->now >> 32);
}


/* of a cohort that is not folded */

static inline uint32_t
canary_evidence_place(const canary_evidence_t *evidence, uint32_t number)
{
    return evidence->place_of[number % CANARY_COHORTS];
}


static inline canary_cohort_t *
canary_evidence_cohort(const canary_evidence_t *evidence, uint32_t number)
{
    return &evidence->books->places->cohorts[canary_evidence_place(evidence,
                                                            number)];
}


static inline int
canary_evidence_is_open(const canary_evidence_t *evidence, uint32_t number)
{
    return evidence->open[canary_evidence_place(evidence, number)]
           == number + 1;
}


static inline int
canary_evidence_is_discarded(const canary_evidence_t *evidence,
    uint32_t number)
{
    uint32_t  from, to;

    from = __atomic_load_n(&evidence->discarded_from, __ATOMIC_RELAXED);
    to = __atomic_load_n(&evidence->discarded_to, __ATOMIC_RELAXED);

    return number - from < to - from;
}


/* a process may have slept through the settling of the cohort it counts in */

static inline uint32_t
canary_not_negative(uint32_t n)
{
    return ((int32_t) n < 0) ? 0 : n;
}


#endif /* CANARY_EVIDENCE_INTERNAL_H */
