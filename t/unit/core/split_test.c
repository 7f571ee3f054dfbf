
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * The exact split: over any run of N consecutive requests, all workers
 * together, the canary's share is off by at most one request per worker.
 */


#include <pthread.h>

#include "canary_split.h"

#include "unit.h"


#define WORKERS_MAX  64
#define THREADS      4
#define PER_THREAD   200000


/*
 * How far the canary is ahead of its share, in parts per million of a
 * request, after each request; the least and the most of that.  What any
 * window of requests is off by is the difference of two of these, so the
 * worst window of all is off by most - least.
 */

typedef struct {
    int64_t  ahead;
    int64_t  least;
    int64_t  most;
} share_t;


typedef struct {
    uint32_t  *phase;
    uint32_t   weight;
    uint32_t   taken;
} thread_t;


static const uint32_t  weights[] = {
    1, 10, 1000, 3333, 10000, 12345, 50000, 100000, 142857, 200000, 250000,
    333333, 350000, 499999, 500000, 500001, 666667, 900000, 990000, 999000,
    999999
};


static void
share_count(share_t *share, uint32_t weight, int taken)
{
    share->ahead += (taken ? CANARY_ONE : 0) - (int64_t) weight;

    if (share->ahead < share->least) {
        share->least = share->ahead;
    }

    if (share->ahead > share->most) {
        share->most = share->ahead;
    }
}


static int64_t
share_worst_window(const share_t *share)
{
    return share->most - share->least;
}


static int
take(uint32_t *phase, uint32_t weight)
{
    return canary_split_take(phase, canary_split_step(weight));
}


static uint32_t
taken_of(uint32_t *phase, uint32_t weight, uint32_t requests)
{
    uint32_t  taken;

    taken = 0;

    while (requests--) {
        taken += take(phase, weight);
    }

    return taken;
}


static void
weight_0_sends_nothing(void **state)
{
    uint32_t  n, phase;

    (void) state;

    for (n = 0; n < 1000; n++) {
        phase = UINT32_MAX - n * 4000003;

        assert_int_equal(taken_of(&phase, 0, 100), 0);
    }
}


static void
weight_1_sends_all(void **state)
{
    uint32_t  n, phase;

    (void) state;

    for (n = 0; n < 1000; n++) {
        phase = n * 4000003;

        assert_int_equal(taken_of(&phase, CANARY_ONE, 100), 100);
    }
}


static void
a_weight_above_1_counts_as_1(void **state)
{
    uint32_t  phase;

    (void) state;

    phase = 0;

    assert_int_equal(taken_of(&phase, CANARY_ONE + 1, 100), 100);
    assert_int_equal(taken_of(&phase, UINT32_MAX, 100), 100);
}


static void
ten_requests_at_10_percent_send_exactly_one(void **state)
{
    uint32_t  n, phase;

    (void) state;

    for (n = 0; n < 1000; n++) {
        phase = canary_split_first_phase(n);

        assert_int_equal(taken_of(&phase, 100000, 10), 1);
    }
}


static void
the_first_cycle_of_a_worker_has_its_canary_request(void **state)
{
    size_t    i;
    uint32_t  phase, cycle;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(weights); i++) {
        phase = canary_split_first_phase(0);
        cycle = (CANARY_ONE + weights[i] - 1) / weights[i];

        assert_int_equal(taken_of(&phase, weights[i], cycle), 1);
    }
}


static void
a_window_holds_floor_or_ceiling_of_its_share(void **state)
{
    size_t    i;
    uint64_t  seed, floor, ceiling;
    uint32_t  n, window, skipped, phase, taken;

    (void) state;

    seed = 1;

    for (i = 0; i < UNIT_LENGTH(weights); i++) {
        for (n = 0; n < 2000; n++) {
            phase = unit_random(&seed);
            skipped = unit_below(&seed, 100);
            window = unit_below(&seed, 1000);

            (void) taken_of(&phase, weights[i], skipped);
            taken = taken_of(&phase, weights[i], window);

            floor = (uint64_t) window * weights[i] / CANARY_ONE;
            ceiling = ((uint64_t) window * weights[i] + CANARY_ONE - 1)
                      / CANARY_ONE;

            assert_in_range(taken, floor, ceiling);
        }
    }
}


/*
 * Of all windows of 10,000 requests, and with phases next to a carry, a few
 * are off by a whole request, since a weight is rounded up to a fraction of
 * 2^32; none is off by more.
 */

static void
no_window_at_all_is_off_by_more_than_one(void **state)
{
    size_t    i, p;
    uint64_t  seed;
    uint32_t  request, phase;
    share_t   share;

    static const uint32_t  phases[] = {
        0, 1, 2, 3, 0x7fffffff, 0x80000000, 0x80000001,
        UINT32_MAX - 2, UINT32_MAX - 1, UINT32_MAX
    };

    (void) state;

    seed = 2;

    for (i = 0; i < UNIT_LENGTH(weights); i++) {
        for (p = 0; p < 64; p++) {
            phase = (p < UNIT_LENGTH(phases)) ? phases[p]
                                              : unit_random(&seed);
            share = (share_t) { 0, 0, 0 };

            for (request = 0; request < 10000; request++) {
                share_count(&share, weights[i],
                            take(&phase, weights[i]));
            }

            assert_true(share_worst_window(&share) <= CANARY_ONE);
        }
    }
}


static void
another_weight_goes_on_where_the_last_one_was(void **state)
{
    uint64_t  seed;
    uint32_t  n, request, phase, weight;
    share_t   share;

    (void) state;

    seed = 3;

    for (n = 0; n < 200; n++) {
        phase = unit_random(&seed);
        weight = 1;
        share = (share_t) { 0, 0, 0 };

        for (request = 0; request < 5000; request++) {
            if (unit_one_in(&seed, 50)) {
                weight = 1 + unit_below(&seed, CANARY_ONE - 1);
            }

            share_count(&share, weight, take(&phase, weight));
        }

        assert_true(share_worst_window(&share) <= CANARY_ONE);
    }
}


/* The workers take turns. */

static void
workers_in_turn_are_off_by_at_most_one_each(void **state)
{
    size_t    i;
    uint32_t  n, workers, request, phases[WORKERS_MAX];
    share_t   share;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(weights); i++) {
        for (workers = 1; workers <= WORKERS_MAX; workers++) {

            for (n = 0; n < workers; n++) {
                phases[n] = canary_split_first_phase(n);
            }

            share = (share_t) { 0, 0, 0 };

            for (request = 0; request < 5000; request++) {
                share_count(&share, weights[i],
                            take(&phases[request % workers], weights[i]));
            }

            assert_true(share_worst_window(&share)
                        <= (int64_t) workers * CANARY_ONE);
        }
    }
}


/* Any worker may get the next request, some get far more than others. */

static void
workers_at_random_are_off_by_at_most_one_each(void **state)
{
    size_t    i;
    uint64_t  seed;
    uint32_t  n, workers, request, phases[WORKERS_MAX];
    share_t   share;

    (void) state;

    seed = 4;

    for (i = 0; i < UNIT_LENGTH(weights); i++) {
        for (workers = 1; workers <= WORKERS_MAX; workers++) {

            for (n = 0; n < workers; n++) {
                phases[n] = canary_split_first_phase(n);
            }

            share = (share_t) { 0, 0, 0 };

            for (request = 0; request < 5000; request++) {
                n = unit_below(&seed, 1 + unit_below(&seed, workers));

                share_count(&share, weights[i],
                            take(&phases[n], weights[i]));
            }

            assert_true(share_worst_window(&share)
                        <= (int64_t) workers * CANARY_ONE);
        }
    }
}


/*
 * With phases at 0, 1/n, 2/n ... the workers' round is one cycle: the sum of
 * floor(i/n + x) over them is floor(n * x) (Hermite).
 */

static void
a_power_of_two_of_workers_in_turn_splits_like_one(void **state)
{
    size_t    i;
    uint64_t  share;
    uint32_t  n, workers, round, taken, phases[WORKERS_MAX];

    (void) state;

    for (i = 0; i < UNIT_LENGTH(weights); i++) {
        for (workers = 1; workers <= WORKERS_MAX; workers *= 2) {

            for (n = 0; n < workers; n++) {
                phases[n] = canary_split_first_phase(n);
            }

            taken = 0;

            for (round = 1; round <= 500; round++) {
                for (n = 0; n < workers; n++) {
                    taken += take(&phases[n], weights[i]);
                }

                share = (uint64_t) workers * round * weights[i];

                assert_int_equal(taken, share / CANARY_ONE);
            }
        }
    }
}


static void
at_1_percent_64_workers_do_not_starve_the_canary(void **state)
{
    uint32_t  n, request, taken, phases[64];

    (void) state;

    for (n = 0; n < 64; n++) {
        phases[n] = canary_split_first_phase(n);
    }

    taken = 0;

    for (request = 1; request <= 6400; request++) {
        taken += take(&phases[request % 64], 10000);

        if (request == 128) {
            assert_int_equal(taken, 1);
        }

        if (request == 1280) {
            assert_in_range(taken, 12, 13);
        }
    }

    assert_int_equal(taken, 64);
}


static void
at_1_percent_64_workers_at_random_do_not_starve_the_canary(void **state)
{
    uint64_t  seed;
    uint32_t  n, request, taken, phases[64];

    (void) state;

    seed = 5;

    for (n = 0; n < 64; n++) {
        phases[n] = canary_split_first_phase(n);
    }

    taken = 0;

    for (request = 0; request < 640; request++) {
        taken += take(&phases[unit_below(&seed, 64)], 10000);
    }

    /* its share is 6.4 */

    assert_in_range(taken, 4, 9);
}


static void *
thread_main(void *data)
{
    thread_t  *thread = data;

    thread->taken = taken_of(thread->phase, thread->weight, PER_THREAD);

    return NULL;
}


static void
threads_that_share_a_phase_lose_no_request(void **state)
{
    size_t     i;
    uint32_t   n, phase, taken;
    uint64_t   share;
    thread_t   threads[THREADS];
    pthread_t  ids[THREADS];

    static const uint32_t  shared[] = { 10000, 333333, 500000, 999999 };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(shared); i++) {
        phase = 0x12345678;

        for (n = 0; n < THREADS; n++) {
            threads[n] = (thread_t) { &phase, shared[i], 0 };

            assert_int_equal(pthread_create(&ids[n], NULL, thread_main,
                                            &threads[n]),
                             0);
        }

        taken = 0;

        for (n = 0; n < THREADS; n++) {
            assert_int_equal(pthread_join(ids[n], NULL), 0);
            taken += threads[n].taken;
        }

        share = (uint64_t) THREADS * PER_THREAD * shared[i];

        assert_in_range(taken, share / CANARY_ONE,
                        (share + CANARY_ONE - 1) / CANARY_ONE);
    }
}


static void
the_first_phases_halve_the_cycle_again_and_again(void **state)
{
    (void) state;

    assert_int_equal(canary_split_first_phase(0), 0);
    assert_int_equal(canary_split_first_phase(1), 0x80000000);
    assert_int_equal(canary_split_first_phase(2), 0x40000000);
    assert_int_equal(canary_split_first_phase(3), 0xc0000000);
    assert_int_equal(canary_split_first_phase(4), 0x20000000);
    assert_int_equal(canary_split_first_phase(63), 0xfc000000);
    assert_int_equal(canary_split_first_phase(0x80000000), 1);
    assert_int_equal(canary_split_first_phase(UINT32_MAX), UINT32_MAX);
}


/*
 * Each interval of 1/p of the cycle, p the number of workers rounded down to
 * a power of two, has the phase of at least one worker and at most of two.
 */

static void
the_first_phases_of_any_number_of_workers_are_spread(void **state)
{
    uint32_t       n, workers, interval, bits;
    unsigned char  phases[256];

    (void) state;

    for (workers = 1; workers <= 256; workers++) {

        for (bits = 0; 2u << bits <= workers; bits++) { /* void */ }

        for (n = 0; n < 256; n++) {
            phases[n] = 0;
        }

        for (n = 0; n < workers; n++) {
            interval = (uint32_t) ((uint64_t) canary_split_first_phase(n)
                                   >> (32 - bits));
            phases[interval]++;
        }

        for (interval = 0; interval < 1u << bits; interval++) {
            assert_in_range(phases[interval], 1, 2);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  split[] = {
        cmocka_unit_test(weight_0_sends_nothing),
        cmocka_unit_test(weight_1_sends_all),
        cmocka_unit_test(a_weight_above_1_counts_as_1),
        cmocka_unit_test(ten_requests_at_10_percent_send_exactly_one),
        cmocka_unit_test(the_first_cycle_of_a_worker_has_its_canary_request),
        cmocka_unit_test(a_window_holds_floor_or_ceiling_of_its_share),
        cmocka_unit_test(no_window_at_all_is_off_by_more_than_one),
        cmocka_unit_test(another_weight_goes_on_where_the_last_one_was),
        cmocka_unit_test(workers_in_turn_are_off_by_at_most_one_each),
        cmocka_unit_test(workers_at_random_are_off_by_at_most_one_each),
        cmocka_unit_test(a_power_of_two_of_workers_in_turn_splits_like_one),
        cmocka_unit_test(at_1_percent_64_workers_do_not_starve_the_canary),
        cmocka_unit_test(
            at_1_percent_64_workers_at_random_do_not_starve_the_canary),
        cmocka_unit_test(threads_that_share_a_phase_lose_no_request),
        cmocka_unit_test(the_first_phases_halve_the_cycle_again_and_again),
        cmocka_unit_test(the_first_phases_of_any_number_of_workers_are_spread)
    };

    return cmocka_run_group_tests(split, NULL, NULL);
}
