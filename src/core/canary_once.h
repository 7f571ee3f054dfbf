
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
 * then.  Zeros are a table of nobody; what is behind a place that was never
 * used was not either, so nobody looks there.
 */


#define CANARY_ONCE_PLACES  8192u
#define CANARY_ONCE_SET     4u      /* places that a key may have */
#define CANARY_ONCE_UNITS   256u    /* of the time */


typedef struct {
    uint32_t  places[CANARY_ONCE_PLACES];    /* tag << 16 | when; 0: never
                                                used */
} canary_once_t;


/*
 * What is to be given back if the attempt turns out to be no evidence; 0: one
 * of its key has counted.  The hash is made of the rollout and the key; now is
 * ms, monotonic, and once ms, above 0: where it is not what it was, all keys
 * are new.
 */

static inline uint32_t canary_once_take(canary_once_t *keys, uint32_t hash,
    uint64_t now, uint64_t once);

void canary_once_give_back(canary_once_t *keys, uint32_t hash, uint64_t once,
    uint32_t taken);


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


static inline uint32_t
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

            if (place == 0) {
                free = &set[i];
                was = 0;
                break;
            }

            age = canary_once_age(place, unit);

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


#endif /* CANARY_ONCE_H */
