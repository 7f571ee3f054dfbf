
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_KEY_H
#define CANARY_KEY_H


#include <stddef.h>
#include <stdint.h>

#include "canary_split.h"


/*
 * The sticky split: a key goes to the canary if its place, a number below
 * CANARY_ONE, is below the weight.  Places are spread evenly and depend on
 * nothing but the salt and the key, so raising the weight only moves keys to
 * the canary and lowering it only moves them back.
 *
 * The salt is made of the endpoint and the number of the rollout.  Each
 * rollout begins with other keys, and a release that spreads the same keys
 * over its servers with a hash of its own still gets them evenly.
 *
 * The place is made of the upper half of the hash, and nothing of the lower.
 */

uint64_t canary_key_salt(const void *endpoint, size_t len);

uint64_t canary_key_hash(uint64_t salt, uint32_t rollout, const void *key,
    size_t len);


static inline uint32_t
canary_key_place(uint64_t hash)
{
    return (uint32_t) ((hash >> 32) * CANARY_ONE >> 32);
}


#endif /* CANARY_KEY_H */
