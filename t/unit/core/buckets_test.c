
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "unit.h"
#include "canary_buckets.h"


static void
edges_are_those_of_the_histogram(void **state)
{
    uint32_t  i, index;

    (void) state;

    for (i = 0; i < CANARY_BUCKETS; i++) {
        index = canary_histogram_index(canary_bucket_edges[i]);

        assert_int_equal(canary_histogram_low(index), canary_bucket_edges[i]);
        assert_true(i == 0
                    || canary_bucket_edges[i] > canary_bucket_edges[i - 1]);
    }
}


static void
a_time_is_below_the_edge_of_its_bucket(void **state)
{
    uint32_t  us, bucket;

    (void) state;

    for (us = 0; us < CANARY_HISTOGRAM_MAX - 100; us += 1 + us / 100) {
        bucket = canary_bucket(canary_histogram_index(us));

        assert_true(bucket == CANARY_BUCKETS
                    || us < canary_bucket_edges[bucket]);
        assert_true(bucket == 0 || us >= canary_bucket_edges[bucket - 1]);
    }
}


static void
every_count_is_in_one_bucket(void **state)
{
    uint32_t  i, bucket, counts[CANARY_HISTOGRAM_BUCKETS];
    uint64_t  sums[CANARY_BUCKETS + 1], expected[CANARY_BUCKETS + 1];

    (void) state;

    for (bucket = 0; bucket <= CANARY_BUCKETS; bucket++) {
        sums[bucket] = bucket;
        expected[bucket] = bucket;
    }

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        counts[i] = 0xffffffff - i;
        expected[canary_bucket(i)] += counts[i];
    }

    canary_buckets_add(sums, counts);

    assert_memory_equal(sums, expected, sizeof(sums));
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_are_those_of_the_histogram),
        cmocka_unit_test(a_time_is_below_the_edge_of_its_bucket),
        cmocka_unit_test(every_count_is_in_one_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
