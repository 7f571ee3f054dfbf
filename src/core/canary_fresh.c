
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_fresh.h"


/* the count last: who dies before it is told of the same ones again */

void
canary_fresh_note(canary_fresh_t *fresh, uint64_t count, uint64_t now)
{
    if (count > fresh->count) {
        fresh->since = now;
    }

    __atomic_store_n(&fresh->count, count, __ATOMIC_RELEASE);
}


int
canary_fresh(const canary_fresh_t *fresh, uint64_t count, uint64_t now)
{
    return count > fresh->count
           || (fresh->since && now - fresh->since < CANARY_FRESH_MS);
}
