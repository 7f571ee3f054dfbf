
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* The canary against stable, and the mean latency. */


#include <math.h>
#include <string.h>

#include "canary_average.h"
#include "canary_relative.h"

#include "unit.h"


static double
binomial(int n, int k, double p)
{
    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
               + (k ? k * log(p) : 0) + (n - k ? (n - k) * log1p(-p) : 0));
}


static canary_block_t
block_of(uint64_t canary, uint64_t canary_bad, uint64_t stable,
    uint64_t stable_bad)
{
    return (canary_block_t) { canary, canary_bad, stable, stable_bad };
}


/* The greatest mean of a block's ratios, with these rates of bad attempts. */

static double
mean_of_rates(const canary_relative_t *relative, int nc, double canary,
    int ns, double stable)
{
    int             j, kc, ks;
    double          greatest, logs[CANARY_ALTERNATIVES];
    double          mean[CANARY_ALTERNATIVES] = { 0 };
    canary_block_t  block;

    for (kc = 0; kc <= nc; kc++) {
        for (ks = 0; ks <= ns; ks++) {
            block = block_of((uint64_t) nc, (uint64_t) kc, (uint64_t) ns,
                             (uint64_t) ks);
            canary_relative_rates(relative, &block, logs);

            for (j = 0; j < CANARY_ALTERNATIVES; j++) {
                mean[j] += binomial(nc, kc, canary) * binomial(ns, ks, stable)
                           * exp(logs[j]);
            }
        }
    }

    greatest = mean[0];

    for (j = 1; j < CANARY_ALTERNATIVES; j++) {
        greatest = fmax(greatest, mean[j]);
    }

    return greatest;
}


static void
a_ratio_within_the_limit_gains_nothing_on_average(void **state)
{
    int                i, n;
    double             limit, stable;
    canary_relative_t  relative;

    static const struct {
        double  ratio;
        double  tolerance;
    } rules[] = { { 1, 0 }, { 2, 0.005 }, { 1, 0.05 }, { 1.5, 0 } };

    (void) state;

    for (i = 0; i < (int) UNIT_LENGTH(rules); i++) {
        canary_relative_init(&relative, rules[i].ratio, rules[i].tolerance);

        for (stable = 0.001; stable < 0.6; stable *= 3) {
            limit = rules[i].ratio * stable + rules[i].tolerance;

            for (n = 1; n <= 9 && limit < 1; n += 4) {
                assert_true(mean_of_rates(&relative, n, limit, 10 - n, stable)
                            <= 1 + 1e-12);
                assert_true(mean_of_rates(&relative, n, limit / 2, 10 - n,
                                          stable)
                            < 1);
            }
        }

        assert_true(mean_of_rates(&relative, 5, 0.9, 5, 0.01) > 2);
    }
}


static void
a_latency_quantile_within_the_limit_gains_nothing_on_average(void **state)
{
    int             j, kc, ks;
    double          logs[CANARY_ALTERNATIVES], p;
    double          mean[CANARY_ALTERNATIVES];
    canary_grid_t   grid;
    canary_block_t  block;

    (void) state;

    for (p = 0.01; p < 0.9; p *= 3) {
        canary_grid_init(&grid, p);
        memset(mean, 0, sizeof(mean));

        for (kc = 0; kc <= 3; kc++) {
            for (ks = 0; ks <= 7; ks++) {
                block = block_of(3, (uint64_t) kc, 7, (uint64_t) ks);
                canary_relative_latencies(&grid, &block, logs);

                for (j = 0; j < CANARY_ALTERNATIVES; j++) {
                    mean[j] += binomial(3, kc, p) * binomial(7, ks, p)
                               * exp(logs[j]);
                }
            }
        }

        for (j = 0; j < CANARY_ALTERNATIVES; j++) {
            assert_true(mean[j] <= 1 + 1e-12);
        }
    }
}


static void
a_block_waits_until_both_releases_have_an_attempt(void **state)
{
    canary_grid_t      grid;
    canary_block_t     block, cohort, empty;
    canary_mixture_t   mixture, start;
    canary_relative_t  relative;

    (void) state;

    canary_relative_init(&relative, 2, 0.005);
    canary_grid_init(&grid, 0.1);
    canary_mixture_init(&start, 1, 600);
    memset(&empty, 0, sizeof(canary_block_t));

    mixture = start;
    block = empty;
    cohort = block_of(5, 5, 0, 0);

    canary_block_add(&block, &cohort);
    canary_block_add(&block, &cohort);
    assert_false(canary_block_complete(&block));

    canary_relative_fold_rates(&mixture, &relative, &block);
    canary_relative_fold_latencies(&mixture, &grid, &block);
    assert_int_equal(block.canary, 10);
    assert_int_equal(block.canary_bad, 10);
    assert_true(canary_mixture_sum(&mixture) == canary_mixture_sum(&start));

    cohort = block_of(0, 0, 20, 1);
    canary_block_add(&block, &cohort);
    assert_true(canary_block_complete(&block));

    canary_relative_fold_rates(&mixture, &relative, &block);
    assert_memory_equal(&block, &empty, sizeof(canary_block_t));
    assert_true(canary_mixture_sum(&mixture)
                > 10 * canary_mixture_sum(&start));
}


static void
an_outage_of_both_proves_nothing(void **state)
{
    int                i;
    canary_grid_t      grid;
    canary_block_t     block;
    canary_mixture_t   latencies, rates;
    canary_relative_t  relative;

    (void) state;

    canary_relative_init(&relative, 1, 0.01);
    canary_grid_init(&grid, 0.1);
    canary_mixture_init(&rates, 1, 600);
    canary_mixture_init(&latencies, 1, 600);

    for (i = 0; i < 1000; i++) {
        block = block_of(10, 10, 90, 90);
        canary_relative_fold_rates(&rates, &relative, &block);

        block = block_of(10, 10, 90, 90);
        canary_relative_fold_latencies(&latencies, &grid, &block);
    }

    assert_true(canary_mixture_sum(&rates) < 0.5);
    assert_true(canary_mixture_sum(&latencies) < 0.5);
}


static void
more_bad_attempts_than_attempts_are_as_many_attempts(void **state)
{
    double             late[CANARY_ALTERNATIVES], usual[CANARY_ALTERNATIVES];
    canary_grid_t      grid;
    canary_block_t     block;
    canary_relative_t  relative;

    (void) state;

    canary_relative_init(&relative, 2, 0.005);
    canary_grid_init(&grid, 0.1);

    block = block_of(1, 3, 0, 2);
    canary_relative_rates(&relative, &block, late);
    block = block_of(3, 3, 2, 2);
    canary_relative_rates(&relative, &block, usual);
    assert_memory_equal(late, usual, sizeof(late));

    block = block_of(1, 3, 0, 2);
    canary_relative_latencies(&grid, &block, late);
    block = block_of(3, 3, 2, 2);
    canary_relative_latencies(&grid, &block, usual);
    assert_memory_equal(late, usual, sizeof(late));
}


static void
the_limit_of_a_latency_is_rounded_up_to_an_edge(void **state)
{
    uint32_t  edge;

    (void) state;

    edge = canary_histogram_high(canary_relative_limit(10000, 1.3));
    assert_in_range(edge, 13000, 13000 * 33 / 32);

    edge = canary_histogram_high(canary_relative_limit(20, 1.01));
    assert_int_equal(edge, 21);

    edge = canary_histogram_high(canary_relative_limit(CANARY_HISTOGRAM_MAX,
                                                       1000));
    assert_int_equal(edge, CANARY_HISTOGRAM_MAX);
}


/* Times of 0 and of four times the mean, the latter one time in four. */

static void
a_mean_at_the_limit_gains_nothing_on_average(void **state)
{
    int                 j;
    double              high[CANARY_ALTERNATIVES], low[CANARY_ALTERNATIVES];
    double              mean;
    canary_average_t    average;
    canary_histogram_t  times = { .counts = { 0 } };

    (void) state;

    canary_average_init(&average, 4096);

    times.counts[0] = 1;
    canary_average_log_factors(&average, &times, low);

    times.counts[0] = 0;
    times.counts[canary_histogram_index(4 * 4096)] = 1;
    canary_average_log_factors(&average, &times, high);

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        mean = 0.75 * exp(low[j]) + 0.25 * exp(high[j]);
        assert_true(fabs(mean - 1) < 1e-12);
    }
}


static void
no_times_change_no_mean(void **state)
{
    canary_average_t    average;
    canary_mixture_t    mixture, start;
    canary_histogram_t  times = { .counts = { 0 } };

    (void) state;

    canary_average_init(&average, 1000);
    canary_mixture_init(&start, 1, 600);
    mixture = start;

    canary_average_fold(&mixture, &average, &times);

    assert_true(mixture.tick_pot == start.tick_pot);
    assert_true(canary_mixture_sum(&mixture) == canary_mixture_sum(&start));
}


static void
a_mean_is_proven_to_be_too_high_and_only_then(void **state)
{
    int                 i;
    canary_average_t    average;
    canary_mixture_t    fast, slow;
    canary_histogram_t  times = { .counts = { 0 } };

    (void) state;

    canary_average_init(&average, 100000);
    canary_mixture_init(&fast, 1, 600);
    canary_mixture_init(&slow, 1, 600);

    times.counts[canary_histogram_index(90000)] = 7;
    times.counts[canary_histogram_index(110000)] = 3;

    for (i = 0; i < 600; i++) {
        canary_average_fold(&fast, &average, &times);
        assert_true(canary_mixture_sum(&fast) < 1);
    }

    times.counts[canary_histogram_index(300000)] = 5;

    for (i = 0; i < 6; i++) {
        canary_average_fold(&slow, &average, &times);
    }

    assert_true(canary_mixture_sum(&slow) > 1000);
}


static void
all_is_finite_with_any_count(void **state)
{
    int                 i, j;
    double              logs[CANARY_ALTERNATIVES];
    canary_block_t      block;
    canary_average_t    average;
    canary_mixture_t    mixture;
    canary_relative_t   relative;
    canary_histogram_t  times = { .counts = { 0 } };

    static const uint64_t  counts[] = { 1, 1000000000, UINT64_MAX };

    (void) state;

    canary_relative_init(&relative, 1000, 1);
    canary_average_init(&average, 1);
    canary_mixture_init(&mixture, 1, 600);

    for (i = 0; i < (int) UNIT_LENGTH(counts); i++) {
        block = block_of(counts[i], counts[i], 1, 0);
        canary_relative_rates(&relative, &block, logs);

        for (j = 0; j < CANARY_ALTERNATIVES; j++) {
            assert_true(isfinite(logs[j]));
        }

        canary_relative_fold_rates(&mixture, &relative, &block);
        assert_true(isfinite(canary_mixture_log_e(&mixture)));

        times.counts[CANARY_HISTOGRAM_BUCKETS - 1] = counts[i];
        canary_average_fold(&mixture, &average, &times);
        assert_true(isfinite(canary_mixture_log_e(&mixture)));
    }
}


int
main(void)
{
    const struct CMUnitTest  relative[] = {
        cmocka_unit_test(a_ratio_within_the_limit_gains_nothing_on_average),
        cmocka_unit_test(
            a_latency_quantile_within_the_limit_gains_nothing_on_average),
        cmocka_unit_test(a_block_waits_until_both_releases_have_an_attempt),
        cmocka_unit_test(an_outage_of_both_proves_nothing),
        cmocka_unit_test(more_bad_attempts_than_attempts_are_as_many_attempts),
        cmocka_unit_test(the_limit_of_a_latency_is_rounded_up_to_an_edge),
        cmocka_unit_test(a_mean_at_the_limit_gains_nothing_on_average),
        cmocka_unit_test(no_times_change_no_mean),
        cmocka_unit_test(a_mean_is_proven_to_be_too_high_and_only_then),
        cmocka_unit_test(all_is_finite_with_any_count),
    };

    return cmocka_run_group_tests(relative, NULL, NULL);
}
