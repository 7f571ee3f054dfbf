
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef UNIT_H
#define UNIT_H


/* What all unit tests share.  cmocka wants these four before itself. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>


/* From 2.0 on cmocka has one for each kind of integer, and warns of this one. */

#ifdef assert_uint_in_range
#undef assert_in_range
#define assert_in_range  assert_uint_in_range
#endif


#define UNIT_LENGTH(array)  (sizeof(array) / sizeof((array)[0]))


/*
 * Marsaglia's xorshift64: the same numbers on every run.  A seed is any
 * number but 0.
 */

static inline uint32_t
unit_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;

    return (uint32_t) (*seed >> 32);
}


/* A number from 0 to n - 1. */

static inline uint32_t
unit_below(uint64_t *seed, uint32_t n)
{
    return (uint32_t) ((uint64_t) unit_random(seed) * n >> 32);
}


/* Whether something happens whose chance is one in n. */

static inline int
unit_one_in(uint64_t *seed, uint32_t n)
{
    return unit_below(seed, n) == 0;
}


#endif /* UNIT_H */
