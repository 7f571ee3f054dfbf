
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Evidence from counts: e-values, bounds of a rate, and promotion. */


#include <math.h>

#include "canary_sequential.h"

#include "unit.h"


static const double  rates[] = {
    1e-9, 1e-6, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.9, 0.99
};


static canary_grid_t
grid_of(double p0)
{
    canary_grid_t  grid;

    canary_grid_init(&grid, p0);

    return grid;
}


/* The chance of k bad ones of n. */

static double
binomial(int n, int k, double p)
{
    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
               + k * log(p) + (n - k) * log1p(-p));
}


/* The mean of E over all that can happen in n attempts. */

static double
mean_above(const canary_grid_t *grid, int n, double p)
{
    int     k;
    double  mean;

    mean = 0;

    for (k = 0; k <= n; k++) {
        mean += binomial(n, k, p)
                * exp(canary_log_e_above(grid, (uint64_t) n, (uint64_t) k));
    }

    return mean;
}


static double
mean_below(const canary_grid_t *grid, int n, double p)
{
    int     k;
    double  mean;

    mean = 0;

    for (k = 0; k <= n; k++) {
        mean += binomial(n, k, p)
                * exp(canary_log_e_below(grid, (uint64_t) n, (uint64_t) k));
    }

    return mean;
}


/* That is all that Ville's inequality asks for. */

static void
evidence_has_a_mean_of_one_at_the_threshold_and_less_on_its_side(void **state)
{
    int            n;
    size_t         i;
    canary_grid_t  grid;

    (void) state;

    for (i = 2; i < UNIT_LENGTH(rates); i++) {
        grid = grid_of(rates[i]);

        for (n = 1; n <= 40; n += 13) {
            assert_true(fabs(mean_above(&grid, n, rates[i]) - 1) < 1e-9);
            assert_true(fabs(mean_below(&grid, n, rates[i]) - 1) < 1e-9);
            assert_true(mean_above(&grid, n, rates[i] * 0.9) < 1);
            assert_true(mean_below(&grid, n, (rates[i] + 1) / 2) < 1);
            assert_true(mean_above(&grid, n, (rates[i] + 1) / 2) > 1);
            assert_true(mean_below(&grid, n, rates[i] * 0.9) > 1);
        }
    }
}


static void
nothing_seen_is_no_evidence(void **state)
{
    size_t         i;
    canary_grid_t  grid;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(rates); i++) {
        grid = grid_of(rates[i]);

        assert_true(fabs(canary_log_e_above(&grid, 0, 0)) < 1e-15);
        assert_true(fabs(canary_log_e_below(&grid, 0, 0)) < 1e-15);
    }
}


static void
more_bad_attempts_than_attempts_are_as_many_attempts(void **state)
{
    double         high, high_late, low, low_late;
    canary_grid_t  grid;

    (void) state;

    grid = grid_of(0.1);

    assert_true(canary_log_e_above(&grid, 2, 9)
                == canary_log_e_above(&grid, 9, 9));
    assert_true(canary_log_e_below(&grid, 0, 9)
                == canary_log_e_below(&grid, 9, 9));

    canary_rate_bounds(9, 9, 0.95, &low, &high);
    canary_rate_bounds(1, 9, 0.95, &low_late, &high_late);

    assert_true(low == low_late);
    assert_true(high == high_late);
}


static void
all_is_finite_with_any_threshold_and_any_count(void **state)
{
    int            j;
    size_t         i, n, k;
    double         high, low;
    canary_grid_t  grid;

    static const double    p0[] = {
        0, 1e-300, 1e-12, 1e-9, 0.5, 0.98, 0.99, 0.9901, 0.999, 1
    };

    static const uint64_t  counts[] = {
        0, 1, 1000000000, UINT64_MAX / 2, UINT64_MAX
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(p0); i++) {
        grid = grid_of(p0[i]);

        for (j = 0; j < CANARY_ALTERNATIVES; j++) {
            assert_true(grid.u[j] > 0 && isfinite(grid.u[j]));
            assert_true(grid.c[j] > 0 && isfinite(grid.c[j]));
            assert_true(grid.good[j] > 0 && grid.good[j] < 1);
            assert_true(grid.bad[j] > 1 && isfinite(grid.bad[j]));
        }

        for (n = 0; n < UNIT_LENGTH(counts); n++) {
            for (k = 0; k < UNIT_LENGTH(counts); k++) {
                assert_true(isfinite(canary_log_e_above(&grid, counts[n],
                                                        counts[k])));
                assert_true(isfinite(canary_log_e_below(&grid, counts[n],
                                                        counts[k])));

                canary_rate_bounds(counts[n], counts[k], 0.999, &low, &high);
                assert_true(low >= 0 && low <= high && high <= 1);
            }
        }
    }
}


static void
a_threshold_of_none_is_exceeded_by_one(void **state)
{
    canary_grid_t  grid;

    (void) state;

    grid = grid_of(0);

    assert_true(canary_log_e_above(&grid, 1000000, 0) == 0);
    assert_true(canary_log_e_above(&grid, 1000000, 1)
                > canary_log_e_limit(0.999999));
    assert_int_equal(canary_rate_all_bad(&grid, canary_log_e_limit(0.999)),
                     1);
}


static void
a_threshold_above_99_percent_is_exceeded_by_nothing(void **state)
{
    canary_grid_t  grid;

    (void) state;

    grid = grid_of(0.991);

    assert_true(canary_log_e_above(&grid, 1000000, 1000000) == 0);
    assert_int_equal(canary_rate_all_bad(&grid, 1), CANARY_NEEDED_MAX);
    assert_int_equal(canary_rate_attempts_max(&grid, 1, 1000), 0);

    assert_true(canary_rate_clear(&grid, 3, 1, 10, 1));
}


static void
bounds_contain_the_rate_and_are_what_is_proven(void **state)
{
    double         high, low;
    uint64_t       k, n;
    canary_grid_t  grid;

    (void) state;

    for (n = 1; n <= 100000; n *= 10) {
        for (k = 0; k <= n; k += (n + 6) / 7) {
            canary_rate_bounds(n, k, 0.999, &low, &high);

            assert_true(low <= (double) k / (double) n);
            assert_true(high >= (double) k / (double) n);
            assert_true((low == 0) == (k == 0));

            if (low > 0 && low < CANARY_RATE_MAX) {
                grid = grid_of(low);
                assert_true(fabs(canary_log_e_above(&grid, n, k)
                                 - canary_log_e_limit(0.999)) < 1e-6);
            }

            if (high < 1) {
                grid = grid_of(high);
                assert_true(fabs(canary_log_e_below(&grid, n, k)
                                 - canary_log_e_limit(0.999)) < 1e-6);
            }
        }
    }
}


static void
more_confidence_has_wider_bounds(void **state)
{
    double  high, higher, low, lower;

    (void) state;

    canary_rate_bounds(1000, 100, 0.95, &low, &high);
    canary_rate_bounds(1000, 100, 0.999, &lower, &higher);

    assert_true(lower < low && high < higher);
}


/* The table of the manual: requests until a dead canary is condemned. */

static void
a_dead_canary_takes_few_attempts(void **state)
{
    size_t         i, j;
    canary_grid_t  grid;

    static const double    p0[] = { 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01,
                                    0.001 };
    static const double    alpha[] = { 0.05, 0.01, 0.001, 0.0001 };
    static const uint64_t  attempts[4][8] = {
        { 7, 4, 3, 3, 2, 2, 2, 1 },
        { 10, 6, 5, 3, 3, 2, 2, 1 },
        { 13, 8, 6, 4, 4, 3, 2, 2 },
        { 17, 10, 8, 5, 4, 3, 3, 2 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(alpha); i++) {
        for (j = 0; j < UNIT_LENGTH(p0); j++) {
            grid = grid_of(p0[j]);

            assert_int_equal(canary_rate_all_bad(&grid,
                                                 log(1 / alpha[i]) + log(2)),
                             attempts[i][j]);
        }
    }
}


static void
the_boundary_is_the_last_count_that_proves(void **state)
{
    size_t         i;
    double         limit;
    uint64_t       k, n;
    canary_grid_t  grid;

    (void) state;

    limit = canary_log_e_limit(0.999);

    for (i = 0; i < UNIT_LENGTH(rates); i++) {
        grid = grid_of(rates[i]);

        for (k = 1; k <= 40; k++) {
            n = canary_rate_attempts_max(&grid, limit, k);

            if (n == 0) {
                assert_true(canary_log_e_above(&grid, k, k) < limit);
                continue;
            }

            assert_true(n >= k);
            assert_true(canary_log_e_above(&grid, n, k) >= limit);
            assert_true(canary_log_e_above(&grid, n + 1, k) < limit);
        }
    }

    grid = grid_of(0);
    assert_int_equal(canary_rate_attempts_max(&grid, limit, 1), 1ull << 53);

    grid = grid_of(0.1);
    assert_int_equal(canary_rate_attempts_max(&grid, limit, UINT64_MAX),
                     1ull << 53);
}


static void
an_error_free_canary_is_clear_when_the_manual_says(void **state)
{
    size_t         i;
    double         limit;
    canary_grid_t  grid;

    static const struct {
        double    p0;
        uint64_t  n;
    } clear[] = {
        { 0.5, 6 }, { 0.2, 18 }, { 0.1, 37 }, { 0.05, 76 }, { 0.01, 385 },
        { 0.001, 3865 }
    };

    (void) state;

    limit = canary_log_e_limit(CANARY_CLEAR_CONFIDENCE);

    for (i = 0; i < UNIT_LENGTH(clear); i++) {
        grid = grid_of(clear[i].p0);

        assert_int_equal(canary_rate_clear_needed(&grid, limit, 1, 0, 0),
                         clear[i].n);
        assert_true(canary_rate_clear(&grid, limit, 1, clear[i].n, 0));
        assert_false(canary_rate_clear(&grid, limit, 1, clear[i].n - 1, 0));
        assert_false(canary_rate_clear(&grid, limit, clear[i].n + 1,
                                       clear[i].n, 0));
    }
}


static uint64_t
needed_one_by_one(const canary_grid_t *grid, double limit,
    uint64_t min_requests, uint64_t n, uint64_t k)
{
    uint64_t  more;

    for (more = 0; /* void */; more++) {
        if (canary_rate_clear(grid, limit, min_requests, n + more, k)) {
            return more;
        }
    }
}


static void
attempts_still_needed_are_those_until_clear(void **state)
{
    int            round;
    double         limit;
    uint64_t       k, min_requests, n, seed;
    canary_grid_t  grid;

    (void) state;

    seed = 1;

    for (round = 0; round < 3000; round++) {
        grid = grid_of(0.005 + unit_below(&seed, 990) / 1000.0);
        limit = canary_log_e_limit(unit_one_in(&seed, 2) ? 0.95 : 0.9999);
        n = unit_below(&seed, 300);
        k = unit_below(&seed, (uint32_t) n / 4 + 3);
        min_requests = unit_one_in(&seed, 4) ? unit_below(&seed, 2000) : 1;

        assert_int_equal(canary_rate_clear_needed(&grid, limit, min_requests,
                                                  n, k),
                         needed_one_by_one(&grid, limit, min_requests, n, k));
    }
}


static void
what_can_never_be_clear_needs_the_greatest_number(void **state)
{
    canary_grid_t  grid;

    (void) state;

    grid = grid_of(0);
    assert_int_equal(canary_rate_clear_needed(&grid, 3, 1, 1000000, 0),
                     CANARY_NEEDED_MAX);

    grid = grid_of(1e-9);
    assert_int_equal(canary_rate_clear_needed(&grid, 3, 1, 0, 0),
                     CANARY_NEEDED_MAX);

    grid = grid_of(0.1);
    assert_int_equal(canary_rate_clear_needed(&grid, 3, 1, 0, UINT64_MAX),
                     CANARY_NEEDED_MAX);
    assert_int_equal(canary_rate_clear_needed(&grid, 3, UINT64_MAX, 0, 0),
                     CANARY_NEEDED_MAX);
}


int
main(void)
{
    const struct CMUnitTest  sequential[] = {
        cmocka_unit_test(
            evidence_has_a_mean_of_one_at_the_threshold_and_less_on_its_side),
        cmocka_unit_test(nothing_seen_is_no_evidence),
        cmocka_unit_test(more_bad_attempts_than_attempts_are_as_many_attempts),
        cmocka_unit_test(all_is_finite_with_any_threshold_and_any_count),
        cmocka_unit_test(a_threshold_of_none_is_exceeded_by_one),
        cmocka_unit_test(a_threshold_above_99_percent_is_exceeded_by_nothing),
        cmocka_unit_test(bounds_contain_the_rate_and_are_what_is_proven),
        cmocka_unit_test(more_confidence_has_wider_bounds),
        cmocka_unit_test(a_dead_canary_takes_few_attempts),
        cmocka_unit_test(the_boundary_is_the_last_count_that_proves),
        cmocka_unit_test(an_error_free_canary_is_clear_when_the_manual_says),
        cmocka_unit_test(attempts_still_needed_are_those_until_clear),
        cmocka_unit_test(what_can_never_be_clear_needs_the_greatest_number),
    };

    return cmocka_run_group_tests(sequential, NULL, NULL);
}
