
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * The routing word: weight, roles, phase and epoch in one atomic load, so
 * that no request ever sees a mixture.
 */


#include <pthread.h>

#include "canary_route.h"
#include "canary_split.h"

#include "unit.h"


typedef struct {
    uint64_t  word;
    uint32_t  stop;
    uint32_t  reads;
    uint32_t  mixtures;
} shared_t;


static void
assert_same_route(const canary_route_t *a, const canary_route_t *b)
{
    assert_int_equal(a->weight, b->weight);
    assert_int_equal(a->stable, b->stable);
    assert_int_equal(a->canary, b->canary);
    assert_int_equal(a->phase, b->phase);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->watched, b->watched);
}


static void
assert_survives(canary_route_t route)
{
    canary_route_t  decoded;

    decoded = canary_route_decode(canary_route_encode(&route));

    assert_same_route(&decoded, &route);
}


static void
each_field_has_the_bits_that_the_header_says(void **state)
{
    size_t  i;

    static const struct {
        canary_route_t  route;
        uint64_t        word;
    } fields[] = {
        { { .weight = 1 },                          1ull },
        { { .weight = CANARY_ONE },                 1000000ull },
        { { .stable = 1 },                          1ull << 20 },
        { { .stable = 0xff },                       0xffull << 20 },
        { { .canary = 1 },                          1ull << 28 },
        { { .canary = CANARY_NO_RELEASE },          0xffull << 28 },
        { { .phase = CANARY_PROGRESSING },          1ull << 36 },
        { { .phase = CANARY_PAUSED },               2ull << 36 },
        { { .phase = CANARY_HALTED },               3ull << 36 },
        { { .phase = CANARY_BAKING },               4ull << 36 },
        { { .epoch = 1 },                           1ull << 40 },
        { { .epoch = CANARY_EPOCH_MASK },           0xffffffull << 40 },
        { { .watched = 1 },                         1ull << 39 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(fields); i++) {
        assert_true(canary_route_encode(&fields[i].route) == fields[i].word);
        assert_survives(fields[i].route);
    }
}


static void
every_weight_survives(void **state)
{
    canary_route_t  route;

    (void) state;

    route = (canary_route_t) {
        .stable = 0xfe, .canary = 0xfd, .epoch = CANARY_EPOCH_MASK,
        .phase = CANARY_BAKING
    };

    for (route.weight = 0; route.weight <= CANARY_ONE; route.weight += 7) {
        assert_survives(route);
    }

    route.weight = CANARY_ONE;
    assert_survives(route);
}


static void
every_release_and_phase_survives(void **state)
{
    unsigned        phase;
    canary_route_t  route;

    (void) state;

    route = (canary_route_t) { .weight = 333333, .epoch = 12345 };

    for (route.stable = 0; route.stable <= 0xff; route.stable++) {
        for (route.canary = 0; route.canary <= 0xff; route.canary++) {
            for (phase = CANARY_IDLE; phase <= CANARY_BAKING; phase++) {
                route.phase = (canary_phase_t) phase;
                assert_survives(route);
            }
        }
    }
}


static void
any_route_survives(void **state)
{
    uint32_t        n;
    uint64_t        seed;
    canary_route_t  route;

    (void) state;

    seed = 1;

    for (n = 0; n < 200000; n++) {
        route.weight = unit_below(&seed, CANARY_ONE + 1);
        route.stable = unit_below(&seed, 256);
        route.canary = unit_below(&seed, 256);
        route.epoch = unit_below(&seed, CANARY_EPOCH_MASK + 1);
        route.phase = (canary_phase_t) unit_below(&seed, CANARY_BAKING + 1);
        route.watched = unit_below(&seed, 2);

        assert_survives(route);
    }
}


static void
the_epoch_counts_modulo_2_to_the_24(void **state)
{
    canary_route_t  route, decoded;

    (void) state;

    route = (canary_route_t) {
        .weight = 1, .canary = 2, .epoch = CANARY_EPOCH_MASK + 6
    };

    decoded = canary_route_decode(canary_route_encode(&route));

    route.epoch = 5;
    assert_same_route(&decoded, &route);
}


/* What fresh shared memory holds, before anyone wrote it. */

static void
a_word_of_zeros_sends_nothing_to_a_canary(void **state)
{
    canary_route_t  route;

    (void) state;

    route = canary_route_decode(0);

    assert_int_equal(route.weight, 0);
    assert_int_equal(route.phase, CANARY_IDLE);
}


static canary_route_t
route_of_rollout(uint32_t number)
{
    canary_route_t  route;

    number &= CANARY_EPOCH_MASK;

    route.epoch = number;
    route.weight = number % (CANARY_ONE + 1);
    route.stable = number % 251;
    route.canary = number % 253;
    route.phase = (canary_phase_t) (number % 5);

    return route;
}


static void *
reader_main(void *data)
{
    shared_t        *shared = data;
    canary_route_t   route, whole;

    while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) {
        route = canary_route_decode(__atomic_load_n(&shared->word,
                                                    __ATOMIC_RELAXED));
        whole = route_of_rollout(route.epoch);

        if (canary_route_encode(&route) != canary_route_encode(&whole)) {
            shared->mixtures++;
        }

        (void) __atomic_fetch_add(&shared->reads, 1, __ATOMIC_RELAXED);
    }

    return NULL;
}


static void
a_reader_never_sees_a_mixture(void **state)
{
    uint32_t        number;
    shared_t        shared;
    pthread_t       reader;
    canary_route_t  route;

    (void) state;

    route = route_of_rollout(0);
    shared = (shared_t) { canary_route_encode(&route), 0, 0, 0 };

    assert_int_equal(pthread_create(&reader, NULL, reader_main, &shared), 0);

    for (number = 1;
         __atomic_load_n(&shared.reads, __ATOMIC_RELAXED) < 1000000;
         number++)
    {
        route = route_of_rollout(number);

        __atomic_store_n(&shared.word, canary_route_encode(&route),
                         __ATOMIC_RELEASE);
    }

    __atomic_store_n(&shared.stop, 1, __ATOMIC_RELEASE);

    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_int_equal(shared.mixtures, 0);
}


int
main(void)
{
    const struct CMUnitTest  route[] = {
        cmocka_unit_test(each_field_has_the_bits_that_the_header_says),
        cmocka_unit_test(every_weight_survives),
        cmocka_unit_test(every_release_and_phase_survives),
        cmocka_unit_test(any_route_survives),
        cmocka_unit_test(the_epoch_counts_modulo_2_to_the_24),
        cmocka_unit_test(a_word_of_zeros_sends_nothing_to_a_canary),
        cmocka_unit_test(a_reader_never_sees_a_mixture)
    };

    return cmocka_run_group_tests(route, NULL, NULL);
}
