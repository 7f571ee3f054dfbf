
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_JUDGE_INTERNAL_H
#define CANARY_JUDGE_INTERNAL_H


/* What the parts of the judge share. */


#include "canary_judge.h"


/*
 * Between these a process that dies leaves what nobody can go on from: the
 * next canary_judge_tick() then begins anew.
 */

static inline void
canary_judge_enter(canary_judge_t *judge)
{
    __atomic_store_n(&judge->busy, 1, __ATOMIC_SEQ_CST);
}


static inline void
canary_judge_leave(canary_judge_t *judge)
{
    __atomic_store_n(&judge->busy, 0, __ATOMIC_RELEASE);
}


/* canary_judge_times.c */

/*
 * A quantile is compared with its limit attempt by attempt; one with a
 * baseline has none before a look at stable finds it.
 */

void canary_judge_set_limits(canary_judge_t *judge,
    canary_evidence_t *evidence, const canary_strategy_t *strategy);

/* What has ended before the tests is none of their evidence. */

void canary_judge_new_times(canary_judge_t *judge, uint64_t now,
    const canary_times_t *times);


#endif /* CANARY_JUDGE_INTERNAL_H */
