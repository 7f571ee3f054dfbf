
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


static inline uint64_t
canary_key_add(uint64_t h, unsigned char c)
{
    return (h ^ c) * CANARY_FNV_PRIME;
}


/* four bytes at a time, though one after another: half of the instructions */

static uint64_t
canary_key_take_in(uint64_t h, const unsigned char *p, size_t len)
{
    const unsigned char  *last;

    for (last = p + (len & ~(size_t) 3); p != last; p += 4) {
        h = canary_key_add(h, p[0]);
        h = canary_key_add(h, p[1]);
        h = canary_key_add(h, p[2]);
        h = canary_key_add(h, p[3]);
    }

    for (last = p + (len & 3); p != last; p++) {
        h = canary_key_add(h, *p);
    }

    return canary_key_mix(h);
}


uint64_t
canary_key_salt(const void *endpoint, size_t len)
{
    return canary_key_take_in(CANARY_FNV_OFFSET, endpoint, len);
}


uint64_t
canary_key_hash(uint64_t salt, uint32_t rollout, const void *key, size_t len)
{
    return canary_key_take_in(canary_key_mix(salt + rollout), key, len);
}
