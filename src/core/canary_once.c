
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_once.h"


#define CANARY_ONCE_SET     4u      /* places that a key may have */
#define CANARY_ONCE_UNITS   256u    /* of the time */


/* times are of another unit where that differs: no key is found by them */

static inline uint32_t
canary_once_hash(uint32_t hash, uint64_t once)
{
    return hash ^ (uint32_t) once * 0x9e3779b1u;
}


static inline uint32_t *
canary_once_set(canary_once_t *keys, uint32_t hash)
{
    return keys->places
           + (hash >> 16) % (CANARY_ONCE_PLACES / CANARY_ONCE_SET)
             * CANARY_ONCE_SET;
}


/*
 * How old a place is, in units, from CANARY_ONCE_UNITS for one that counted
 * just now: others may have looked at the clock a little later.
 */

static inline uint32_t
canary_once_age(uint32_t place, uint32_t now)
{
    return (now - place + CANARY_ONCE_UNITS) & 0xffff;
}


uint32_t
canary_once_take(canary_once_t *keys, uint32_t hash, uint64_t now,
    uint64_t once)
{
    uint32_t  i, age, oldest, place, tag, taken, unit, was, *free, *set;

    hash = canary_once_hash(hash, once);
    set = canary_once_set(keys, hash);

    tag = hash & 0xffff;
    tag += (tag == 0);

    unit = (uint32_t) (now * CANARY_ONCE_UNITS / once) & 0xffff;
    taken = tag << 16 | unit;

    do {
        free = set;
        was = 0;
        oldest = 0;

        for (i = 0; i < CANARY_ONCE_SET; i++) {
            place = __atomic_load_n(&set[i], __ATOMIC_RELAXED);
            age = place ? canary_once_age(place, unit) : 0xffff;

            if (place >> 16 == tag && age < 2 * CANARY_ONCE_UNITS) {
                return 0;
            }

            if (age >= oldest) {
                oldest = age;
                free = &set[i];
                was = place;
            }
        }

    } while (!__atomic_compare_exchange_n(free, &was, taken, 0,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));

    return taken;
}


void
canary_once_give_back(canary_once_t *keys, uint32_t hash, uint64_t once,
    uint32_t taken)
{
    uint32_t  i, was, *set;

    set = canary_once_set(keys, canary_once_hash(hash, once));

    for (i = 0; i < CANARY_ONCE_SET; i++) {
        was = taken;

        if (__atomic_compare_exchange_n(&set[i], &was, 0, 0, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
        {
            return;
        }
    }
}
