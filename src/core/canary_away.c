
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_away.h"


#define CANARY_AWAY_MS  ((UINT64_C(1) << 39) - 1)


static void canary_away_see(canary_away_t *away, uint64_t answered);


void
canary_away_meet(canary_away_t *away, uint32_t epoch, uint64_t now)
{
    uint64_t  mark;

    mark = __atomic_load_n(&away->mark, __ATOMIC_RELAXED);

    if (!canary_away_marked(away, epoch)) {
        (void) __atomic_compare_exchange_n(&away->mark, &mark,
                           (uint64_t) (epoch & CANARY_EPOCH_MASK) << 39
                           | (now & CANARY_AWAY_MS),
                           0, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    }

    __atomic_store_n(&away->last, now, __ATOMIC_RELAXED);
    (void) __atomic_fetch_add(&away->met, 1, __ATOMIC_RELEASE);
}


uint64_t
canary_away_lasts(canary_away_t *away, uint64_t answered, uint64_t now)
{
    if (away->seen != away->mark) {
        canary_away_see(away, answered);
    }

    if (answered > away->answered) {
        canary_away_forget(away);
        return 0;
    }

    return canary_away_since(away, now);
}


uint64_t
canary_away_since(const canary_away_t *away, uint64_t now)
{
    uint64_t  since;

    since = __atomic_load_n(&away->mark, __ATOMIC_RELAXED) & CANARY_AWAY_MS;

    return (now > since) ? now - since : 1;
}


int
canary_away_ended(canary_away_t *away, uint64_t answered, uint64_t now,
    uint64_t *ms)
{
    uint64_t  since;

    if (away->seen != away->mark || away->seen_last != away->last) {
        canary_away_see(away, answered);
    }

    if (answered <= away->answered) {
        return 0;
    }

    if (away->back == 0) {
        away->back = now;
    }

    since = away->seen & CANARY_AWAY_MS;

    *ms = (away->back > since) ? away->back - since : 1;

    return now >= away->seen_last + CANARY_AWAY_QUIET;
}


/* last what the others are about: who dies before it has seen nothing */

static void
canary_away_see(canary_away_t *away, uint64_t answered)
{
    uint64_t  mark;

    mark = __atomic_load_n(&away->mark, __ATOMIC_ACQUIRE);

    away->answered = answered;
    away->back = 0;
    away->seen_last = __atomic_load_n(&away->last, __ATOMIC_ACQUIRE);

    __atomic_store_n(&away->seen, mark, __ATOMIC_RELEASE);
}


/* a new mark is not the one that was seen, or told */

void
canary_away_forget(canary_away_t *away)
{
    away->met = 0;

    __atomic_store_n(&away->mark, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&away->seen, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&away->told, 0, __ATOMIC_RELEASE);
}
