
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_ONCE_H
#define CANARY_ONCE_H


#include <stdint.h>


/*
 * Of the attempts of one key within a time only the first is evidence.
 *
 * A place has the tag of a key and when that counted, in 256ths of the time; a
 * key may have one of four places, found by its hash.  So two things go wrong,
 * on both releases alike: a new key is taken for another that has counted, one
 * of 16,000 in a full table; and of more keys than fit, the one that counted
 * first is forgotten, and counts again: after some 8,000 others.
 *
 * Without a lock: of attempts of one key at the same moment one is the first.
 * Two may be only where a place of the four is given back, or given away, just
 * then.  Zeros are a table of nobody.
 */


#define CANARY_ONCE_PLACES  8192u


typedef struct {
    uint32_t  places[CANARY_ONCE_PLACES];    /* tag << 16 | when; 0: free */
} canary_once_t;


/*
 * What is to be given back if the attempt turns out to be no evidence; 0: one
 * of its key has counted.  The hash is made of the rollout and the key; now is
 * ms, monotonic, and once ms, above 0: where it is not what it was, all keys
 * are new.
 */

uint32_t canary_once_take(canary_once_t *keys, uint32_t hash, uint64_t now,
    uint64_t once);

void canary_once_give_back(canary_once_t *keys, uint32_t hash, uint64_t once,
    uint32_t taken);


#endif /* CANARY_ONCE_H */
