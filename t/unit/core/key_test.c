
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "canary_key.h"


#define KEYS  100000


static uint32_t
place_of(const char *endpoint, uint32_t rollout, const char *key, size_t len)
{
    return canary_key_place(canary_key_hash(canary_key_salt(endpoint,
                                                            strlen(endpoint)),
                                            rollout, key, len));
}


static uint32_t
place(const char *endpoint, uint32_t rollout, unsigned n)
{
    char  key[32];

    (void) snprintf(key, sizeof(key), "user-%u", n);

    return place_of(endpoint, rollout, key, strlen(key));
}


/* the number of keys, of KEYS, that are below both weights */

static unsigned
both_below(const char *a, uint32_t rollout_a, uint32_t weight_a,
    const char *b, uint32_t rollout_b, uint32_t weight_b)
{
    unsigned  n, count;

    count = 0;

    for (n = 0; n < KEYS; n++) {
        count += place(a, rollout_a, n) < weight_a
                 && place(b, rollout_b, n) < weight_b;
    }

    return count;
}


static void
a_place_is_below_one_and_always_the_same(void **state)
{
    unsigned  n;

    static const char      key[] = "a-longer-key";
    static const uint32_t  by_length[sizeof(key)] = {
        232502, 22870, 41890, 955801, 213256, 796550, 527312, 324068, 945414,
        714326, 319381, 737600, 138847
    };

    (void) state;

    for (n = 0; n < KEYS; n++) {
        assert_true(place("ep", 7, n) < CANARY_ONE);
        assert_int_equal(place("ep", 7, n), place("ep", 7, n));
    }

    /* what was released must not move any key: these are for ever */

    assert_int_equal(place_of("some-path", 1, "alice", 5), 364953);
    assert_int_equal(place_of("some-path", 2, "alice", 5), 688219);
    assert_int_equal(place_of("", 0, "", 0), 148078);

    for (n = 0; n < sizeof(key); n++) {
        assert_int_equal(place_of("some-path", 1, key, n), by_length[n]);
    }
}


/* Four standard deviations of a fair coin with that many throws. */

static void
assert_share(unsigned count, double share)
{
    double  mean, variance, distance;

    mean = KEYS * share;
    variance = KEYS * share * (1 - share);
    distance = (double) count - mean;

    assert_true(distance * distance < 16 * variance);
}


static void
the_share_of_keys_is_the_weight(void **state)
{
    size_t    i;
    uint32_t  rollout;

    static const uint32_t  weights[] = { 1000, 10000, 100000, 370000, 500000,
                                         990000 };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(weights); i++) {
        for (rollout = 1; rollout < 20; rollout++) {
            assert_share(both_below("ep", rollout, weights[i], "ep", rollout,
                                    CANARY_ONE),
                         (double) weights[i] / CANARY_ONE);
        }
    }
}


static void
rollouts_and_endpoints_begin_with_other_keys(void **state)
{
    uint32_t  rollout;

    (void) state;

    for (rollout = 1; rollout < 20; rollout++) {
        assert_share(both_below("ep", rollout, 100000, "ep", rollout + 1,
                                100000), 0.01);
        assert_share(both_below("ep", rollout, 300000, "pe", rollout,
                                300000), 0.09);
    }
}


/*
 * CRC-32 and MurmurHash2 are what "hash" and split_clients look at, so keys
 * of the canary must be even there: any simple function of the key will do
 * to show it, here its last decimal digit and its length.
 */

static void
keys_of_the_canary_are_even_otherwise(void **state)
{
    unsigned  n, digit, canary, digits[10];

    (void) state;

    canary = 0;
    memset(digits, 0, sizeof(digits));

    for (n = 0; n < KEYS; n++) {
        if (place("ep", 3, n) < 200000) {
            canary++;
            digits[n % 10]++;
        }
    }

    for (digit = 0; digit < 10; digit++) {
        assert_true(digits[digit] > canary / 10 - 200);
        assert_true(digits[digit] < canary / 10 + 200);
    }
}


int
main(void)
{
    const struct CMUnitTest  key[] = {
        cmocka_unit_test(a_place_is_below_one_and_always_the_same),
        cmocka_unit_test(the_share_of_keys_is_the_weight),
        cmocka_unit_test(rollouts_and_endpoints_begin_with_other_keys),
        cmocka_unit_test(keys_of_the_canary_are_even_otherwise)
    };

    return cmocka_run_group_tests(key, NULL, NULL);
}
