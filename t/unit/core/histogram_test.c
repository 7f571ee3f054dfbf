
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Histograms of times: buckets, quantiles and their bounds. */


#include <stdlib.h>
#include <string.h>

#include "canary_histogram.h"
#include "canary_sequential.h"

#include "unit.h"


#define PERCENT  (CANARY_QUANTILE_ONE / 100)
#define LAST     (CANARY_HISTOGRAM_BUCKETS - 1)


static canary_histogram_t
nothing(void)
{
    return (canary_histogram_t) { .counts = { 0 } };
}


static int
compare_times(const void *a, const void *b)
{
    uint32_t  x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}


/* Times of any order of magnitude up to the greatest. */

static uint32_t
random_time(uint64_t *seed)
{
    return unit_random(seed) >> (5 + unit_below(seed, 27));
}


static void
buckets_follow_each_other_without_a_gap(void **state)
{
    uint32_t  i;

    (void) state;

    assert_int_equal(canary_histogram_low(0), 0);
    assert_int_equal(canary_histogram_high(LAST), CANARY_HISTOGRAM_MAX);

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        assert_int_equal(canary_histogram_index(canary_histogram_low(i)), i);
        assert_int_equal(canary_histogram_index(canary_histogram_high(i)), i);

        if (i) {
            assert_int_equal(canary_histogram_low(i),
                             canary_histogram_high(i - 1) + 1);
        }
    }
}


static void
a_bucket_is_one_microsecond_or_at_most_a_32nd_wide(void **state)
{
    uint32_t  i, width;

    (void) state;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        width = canary_histogram_high(i) - canary_histogram_low(i) + 1;

        assert_true(width == 1 || width * 32 <= canary_histogram_low(i));
        assert_int_equal(width == 1, i < 64);
    }
}


static void
what_is_longer_than_the_last_bucket_counts_in_it(void **state)
{
    (void) state;

    assert_int_equal(canary_histogram_index(CANARY_HISTOGRAM_MAX), LAST);
    assert_int_equal(canary_histogram_index(CANARY_HISTOGRAM_MAX + 1ull),
                     LAST);
    assert_int_equal(canary_histogram_index(1ull << 32), LAST);
    assert_int_equal(canary_histogram_index(UINT64_MAX), LAST);
}


static void
a_quantile_is_the_bucket_of_the_nearest_rank(void **state)
{
    int                 round;
    uint32_t            i, n, percent, rank, times[200];
    uint64_t            seed;
    canary_histogram_t  histogram;

    (void) state;

    seed = 1;

    for (round = 0; round < 300; round++) {
        n = 1 + unit_below(&seed, UNIT_LENGTH(times));
        histogram = nothing();

        for (i = 0; i < n; i++) {
            times[i] = random_time(&seed);
            histogram.counts[canary_histogram_index(times[i])]++;
        }

        qsort(times, n, sizeof(times[0]), compare_times);

        for (percent = 0; percent <= 100; percent++) {
            rank = (n * percent + 99) / 100;
            rank = rank ? rank : 1;

            assert_int_equal(canary_histogram_quantile(&histogram,
                                                       percent * PERCENT),
                             canary_histogram_index(times[rank - 1]));
        }
    }
}


/* Rules on quantiles rest on this. */

static void
a_quantile_is_above_an_edge_if_so_many_times_are(void **state)
{
    int                 round;
    uint32_t            edge, i, q;
    uint64_t            above, n, seed;
    canary_histogram_t  histogram;

    (void) state;

    seed = 2;

    for (round = 0; round < 2000; round++) {
        n = 1 + unit_below(&seed, 60);
        histogram = nothing();

        for (i = 0; i < n; i++) {
            histogram.counts[100 + unit_below(&seed, 8)]++;
        }

        q = unit_below(&seed, 101) * PERCENT;
        edge = 99 + unit_below(&seed, 9);
        above = canary_histogram_above(&histogram, edge);

        assert_int_equal(canary_histogram_quantile(&histogram, q) > edge,
                         q ? above * CANARY_QUANTILE_ONE
                             > (uint64_t) (CANARY_QUANTILE_ONE - q) * n
                           : above == n);
    }
}


static void
an_empty_histogram_has_no_quantile(void **state)
{
    canary_histogram_t        histogram;
    canary_quantile_bounds_t  bounds;

    (void) state;

    histogram = nothing();

    assert_int_equal(canary_histogram_total(&histogram), 0);
    assert_int_equal(canary_histogram_quantile(&histogram, 90 * PERCENT),
                     CANARY_HISTOGRAM_NONE);

    canary_histogram_bounds(&histogram, 90 * PERCENT, 0.999, &bounds);

    assert_int_equal(bounds.low, 0);
    assert_true(bounds.unbounded);
}


static void
counts_may_be_as_large_as_they_get(void **state)
{
    canary_histogram_t        histogram;
    canary_quantile_bounds_t  bounds;

    (void) state;

    histogram = nothing();
    histogram.counts[10] = 1ull << 62;
    histogram.counts[20] = 1ull << 62;

    assert_int_equal(canary_histogram_total(&histogram), 1ull << 63);
    assert_int_equal(canary_histogram_quantile(&histogram, 50 * PERCENT), 10);
    assert_int_equal(canary_histogram_quantile(&histogram, 50 * PERCENT + 1),
                     20);
    assert_int_equal(canary_histogram_quantile(&histogram,
                                               CANARY_QUANTILE_ONE),
                     20);

    canary_histogram_bounds(&histogram, 90 * PERCENT, 0.999, &bounds);

    assert_int_equal(bounds.low, 19);
    assert_false(bounds.unbounded);
    assert_int_equal(bounds.high, 20);
}


static void
what_was_merged_can_be_subtracted(void **state)
{
    uint32_t            i;
    uint64_t            seed;
    canary_histogram_t  one, sum, two;

    (void) state;

    seed = 3;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        one.counts[i] = unit_below(&seed, 1000);
        two.counts[i] = unit_random(&seed);
    }

    sum = nothing();
    canary_histogram_merge(&sum, &one);
    canary_histogram_merge(&sum, &two);

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        assert_int_equal(sum.counts[i], one.counts[i] + two.counts[i]);
    }

    canary_histogram_subtract(&sum, &one);
    assert_memory_equal(&sum, &two, sizeof(canary_histogram_t));
}


static void
above_counts_what_is_beyond_a_bucket(void **state)
{
    canary_histogram_t  histogram;

    (void) state;

    histogram = nothing();
    histogram.counts[0] = 1;
    histogram.counts[5] = 10;
    histogram.counts[LAST] = 100;

    assert_int_equal(canary_histogram_above(&histogram, 0), 110);
    assert_int_equal(canary_histogram_above(&histogram, 4), 110);
    assert_int_equal(canary_histogram_above(&histogram, 5), 100);
    assert_int_equal(canary_histogram_above(&histogram, LAST), 0);
}


/* What the header says, edge by edge. */

static canary_quantile_bounds_t
bounds_by_definition(const canary_histogram_t *histogram, uint32_t quantile,
    double confidence)
{
    double                    limit;
    uint32_t                  i;
    uint64_t                  above, n;
    canary_grid_t             grid;
    canary_quantile_bounds_t  bounds = { .unbounded = 1 };

    canary_grid_init(&grid, 1 - quantile / 1e9);
    limit = canary_log_e_limit(confidence);
    n = canary_histogram_total(histogram);

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        above = canary_histogram_above(histogram, i);

        if (canary_log_e_above(&grid, n, above) >= limit) {
            bounds.low = canary_histogram_high(i);
        }

        if (bounds.unbounded && canary_log_e_below(&grid, n, above) >= limit) {
            bounds.high = canary_histogram_high(i);
            bounds.unbounded = 0;
        }
    }

    return bounds;
}


static void
bounds_are_those_of_the_definition(void **state)
{
    int                       round;
    uint32_t                  i, n, q;
    uint64_t                  seed;
    canary_histogram_t        histogram;
    canary_quantile_bounds_t  bounds, expected;

    static const uint32_t     quantiles[] = { 0, 50, 90, 95, 99, 100 };

    (void) state;

    seed = 4;

    for (round = 0; round < 200; round++) {
        n = unit_below(&seed, 400);
        histogram = nothing();

        for (i = 0; i < n; i++) {
            histogram.counts[canary_histogram_index(random_time(&seed))]++;
        }

        for (i = 0; i < UNIT_LENGTH(quantiles); i++) {
            q = quantiles[i] * PERCENT;

            expected = bounds_by_definition(&histogram, q, 0.95);
            canary_histogram_bounds(&histogram, q, 0.95, &bounds);

            assert_int_equal(bounds.low, expected.low);
            assert_int_equal(bounds.unbounded, expected.unbounded);
            assert_int_equal(bounds.high, expected.high);
        }
    }
}


static void
bounds_close_in_on_the_quantile(void **state)
{
    uint32_t                  low, width;
    uint64_t                  n;
    canary_histogram_t        histogram;
    canary_quantile_bounds_t  bounds;

    (void) state;

    width = UINT32_MAX;

    for (n = 100; n <= 10000; n *= 10) {
        histogram = nothing();

        for (low = 200; low < 300; low++) {
            histogram.counts[low] = n / 100;
        }

        canary_histogram_bounds(&histogram, 50 * PERCENT, 0.999, &bounds);

        assert_false(bounds.unbounded);
        assert_true(bounds.low < canary_histogram_high(249));
        assert_true(bounds.high >= canary_histogram_high(249));
        assert_true(bounds.high - bounds.low < width);

        width = bounds.high - bounds.low;
    }
}


/* 90 days of an attempt a millisecond, looked after each hour. */

static void
a_histogram_of_weeks_is_halved_in_time(void **state)
{
    uint32_t                    base[CANARY_HISTOGRAM_BUCKETS];
    uint32_t                    counts[CANARY_HISTOGRAM_BUCKETS], halved, hour;
    uint32_t                    i, slow;
    canary_histogram_t          since;

    (void) state;

    /* at some time of the counters, close to their end */

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        counts[i] = UINT32_MAX - 1000000;
        base[i] = counts[i];
    }

    assert_false(canary_histogram_is_full(counts, base));
    assert_true(canary_histogram_is_full(counts, NULL));

    halved = 0;
    slow = canary_histogram_index(50000);

    for (hour = 0; hour < 24 * 90; hour++) {

        counts[canary_histogram_index(5000)] += 3600000 / 100 * 98;
        counts[slow] += 3600000 / 100 * 2;

        if (canary_histogram_is_full(counts, base)) {
            canary_histogram_halve(counts, base);
            halved++;
        }

        assert_false(canary_histogram_is_full(counts, base));

        for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
            since.counts[i] = counts[i] - base[i];
        }

        assert_int_equal(canary_histogram_quantile(&since, 980000000),
                         canary_histogram_index(5000));
        assert_int_equal(canary_histogram_quantile(&since, 980001000), slow);
    }

    assert_in_range(halved, 5, 8);
}


int
main(void)
{
    const struct CMUnitTest  histogram[] = {
        cmocka_unit_test(buckets_follow_each_other_without_a_gap),
        cmocka_unit_test(a_bucket_is_one_microsecond_or_at_most_a_32nd_wide),
        cmocka_unit_test(what_is_longer_than_the_last_bucket_counts_in_it),
        cmocka_unit_test(a_quantile_is_the_bucket_of_the_nearest_rank),
        cmocka_unit_test(a_quantile_is_above_an_edge_if_so_many_times_are),
        cmocka_unit_test(an_empty_histogram_has_no_quantile),
        cmocka_unit_test(counts_may_be_as_large_as_they_get),
        cmocka_unit_test(what_was_merged_can_be_subtracted),
        cmocka_unit_test(above_counts_what_is_beyond_a_bucket),
        cmocka_unit_test(bounds_are_those_of_the_definition),
        cmocka_unit_test(bounds_close_in_on_the_quantile),
        cmocka_unit_test(a_histogram_of_weeks_is_halved_in_time),
    };

    return cmocka_run_group_tests(histogram, NULL, NULL);
}
