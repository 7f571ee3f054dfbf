
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_once.h"


/* its place becomes one of no tag, and too old for any */

void
canary_once_give_back(canary_once_t *keys, uint32_t hash, uint64_t once,
    uint32_t taken)
{
    uint32_t  i, nobody, was, *set;

    set = canary_once_set(keys, canary_once_hash(hash, once));

    nobody = (taken ^ 0x8000) & 0xffff;
    nobody += (nobody == 0);

    for (i = 0; i < CANARY_ONCE_SET; i++) {
        was = taken;

        if (__atomic_compare_exchange_n(&set[i], &was, nobody, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        {
            return;
        }
    }
}
