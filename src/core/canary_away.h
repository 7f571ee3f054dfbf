
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_AWAY_H
#define CANARY_AWAY_H


#include <stdint.h>

#include "canary_route.h"


/*
 * A release of a rollout that is found without a live server.  Whoever meets
 * none leaves a mark, and whoever holds the zone's lock finds out whether the
 * release has answered since.  A mark names its rollout: another does not
 * know it.  All that is zero is nothing.
 */


#define CANARY_AWAY_QUIET  1000    /* ms that nobody meets none any more */


typedef struct {

    /* by whoever meets no live server */

    uint64_t  mark;        /* epoch << 39 | ms: when the first one did */
    uint64_t  last;        /* ms: when the last one did */
    uint64_t  met;         /* how many did */

    /* under the lock */

    uint64_t  seen;        /* the mark that the following are about */
    uint64_t  seen_last;   /* ms: and the last one */
    uint64_t  answered;    /* attempts by then */
    uint64_t  back;        /* ms: when there were more; 0: not yet */
    uint64_t  told;        /* the mark that people know of */
} canary_away_t;


/* A request of a rollout, by its epoch, has met no live server. */

void canary_away_meet(canary_away_t *away, uint32_t epoch, uint64_t now);

/* Whether there is a mark of this rollout. */

static inline int
canary_away_marked(const canary_away_t *away, uint32_t number)
{
    uint64_t  mark;

    mark = __atomic_load_n(&away->mark, __ATOMIC_ACQUIRE);

    return mark && mark >> 39 == (number & CANARY_EPOCH_MASK);
}


/*
 * There is one; "answered": attempts that were answered, ever.  For how long,
 * ms, none was since the first request met no live server; 0: one was, and the
 * mark is gone.
 */

uint64_t canary_away_lasts(canary_away_t *away, uint64_t answered,
    uint64_t now);

/*
 * Whether an attempt was answered after the last request that met no live
 * server, and none has met that for a while.  For how long it was away is "ms"
 * then.
 */

int canary_away_ended(canary_away_t *away, uint64_t answered, uint64_t now,
    uint64_t *ms);

/* There is one: how long ago the first request met no live server, ms. */

uint64_t canary_away_since(const canary_away_t *away, uint64_t now);

void canary_away_forget(canary_away_t *away);


#endif /* CANARY_AWAY_H */
