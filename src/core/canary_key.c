
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_key.h"


/*
 * FNV-1a (Fowler, Noll, Vo) takes in the bytes; the finalizer of MurmurHash3
 * (Appleby) makes every bit of the result depend on each of them, which
 * FNV-1a alone does not.
 */

#define CANARY_FNV_OFFSET  0xcbf29ce484222325ull
#define CANARY_FNV_PRIME   0x100000001b3ull


static uint64_t
canary_key_mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdull;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ull;
    h ^= h >> 33;

    return h;
}


static uint64_t
canary_key_hash(uint64_t h, const unsigned char *p, size_t len)
{
    const unsigned char  *last;

    for (last = p + len; p < last; p++) {
        h ^= *p;
        h *= CANARY_FNV_PRIME;
    }

    return canary_key_mix(h);
}


uint64_t
canary_key_salt(const void *endpoint, size_t len)
{
    return canary_key_hash(CANARY_FNV_OFFSET, endpoint, len);
}


uint32_t
canary_key_place(uint64_t salt, uint32_t rollout, const void *key, size_t len)
{
    uint64_t  h;

    h = canary_key_hash(canary_key_mix(salt + rollout), key, len);

    return (uint32_t) ((h >> 32) * CANARY_ONE >> 32);
}
