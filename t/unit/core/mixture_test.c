
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* The test of a whole rollout, cohort by cohort. */


#include <math.h>
#include <string.h>

#include "canary_mixture.h"

#include "unit.h"


#define HOUR  36000


typedef void (*fold_pt)(canary_mixture_t *mixture, const canary_grid_t *grid,
    uint64_t n, uint64_t k);


static canary_mixture_t
begin(uint32_t steps, uint64_t ticks)
{
    canary_mixture_t  mixture;

    canary_mixture_init(&mixture, steps, ticks);

    return mixture;
}


static canary_grid_t
grid_of(double p0)
{
    canary_grid_t  grid;

    canary_grid_init(&grid, p0);

    return grid;
}


/* A demand of the default confidence and nothing else. */

static const canary_demand_t  proof = { .evidence = 1000 };


static int
violated(const canary_mixture_t *mixture, const canary_grid_t *grid)
{
    return canary_mixture_violated(mixture, grid, &proof, 1, 1);
}


/* What is spent on the next cohort. */

static double
weight_of(const canary_mixture_t *mixture)
{
    canary_mixture_t     after;

    static const double  nothing_learnt[CANARY_ALTERNATIVES];

    after = *mixture;
    canary_mixture_forget(&after);
    canary_mixture_fold_logs(&after, nothing_learnt);

    return canary_mixture_sum(&after);
}


/* The recursion once more, in another form. */

typedef struct {
    double  log_r[CANARY_ALTERNATIVES];
    double  step_pot;
    double  tick_pot;
    double  steps;
    double  ticks;
    double  folded;
} reference_t;


static double
log_add(double a, double b)
{
    return (a > b) ? a + log1p(exp(b - a)) : b + log1p(exp(a - b));
}


static reference_t
reference_begin(uint32_t steps, uint64_t ticks)
{
    int          j;
    reference_t  reference;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        reference.log_r[j] = log(0.5 / CANARY_ALTERNATIVES);
    }

    reference.step_pot = (steps > 1) ? 0.25 : 0;
    reference.tick_pot = 0.25;
    reference.steps = steps;
    reference.ticks = (double) ticks;
    reference.folded = 0;

    return reference;
}


static void
reference_begin_step(reference_t *reference)
{
    int     j;
    double  w;

    w = fmin(reference->step_pot, 0.25 / (reference->steps - 1));
    reference->step_pot -= w;

    for (j = 0; w > 0 && j < CANARY_ALTERNATIVES; j++) {
        reference->log_r[j] = log_add(reference->log_r[j],
                                      log(w / CANARY_ALTERNATIVES));
    }
}


static void
reference_fold(reference_t *reference, const canary_grid_t *grid, int burst,
    double n, double k)
{
    int     j;
    double  log_f, w;

    /* the pot is that which was left after so many */

    if (reference->folded < reference->ticks) {
        w = reference->tick_pot / reference->ticks;
        reference->tick_pot -= w;

    } else {
        w = reference->tick_pot * reference->ticks
            / (reference->folded * (reference->folded + 1));
    }

    reference->folded++;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        log_f = burst ? log1p(k / n * expm1(grid->u[j])) - grid->c[j]
                      : k * grid->u[j] - n * grid->c[j];

        reference->log_r[j] = log_f + log_add(reference->log_r[j],
                                              log(w / CANARY_ALTERNATIVES));
    }
}


static double
reference_log_e(const reference_t *reference)
{
    int     j;
    double  log_e;

    log_e = reference->log_r[0];

    for (j = 1; j < CANARY_ALTERNATIVES; j++) {
        log_e = log_add(log_e, reference->log_r[j]);
    }

    return log_e;
}


/* Long good and bad times, and cohorts from one attempt to a billion. */

static void
follow(uint64_t seed, int burst, double p0, uint32_t largest)
{
    int               i;
    double            difference, expected;
    uint32_t          bad, n, k;
    reference_t       reference;
    canary_grid_t     grid;
    canary_mixture_t  mixture;
    const fold_pt     fold = burst ? canary_mixture_fold_burst
                                   : canary_mixture_fold_attempts;

    grid = grid_of(p0);
    mixture = begin(5, 250);
    reference = reference_begin(5, 250);
    bad = 0;

    for (i = 0; i < 1000; i++) {
        if (unit_one_in(&seed, 60)) {
            canary_mixture_begin_step(&mixture);
            reference_begin_step(&reference);
        }

        if (unit_one_in(&seed, 40)) {
            bad = unit_below(&seed, 1001);
        }

        n = 1 + unit_below(&seed, largest);
        k = (uint32_t) ((uint64_t) n * (unit_one_in(&seed, 2) ? bad : 0)
                        / 1000);

        fold(&mixture, &grid, n, k);
        reference_fold(&reference, &grid, burst, n, k);

        expected = reference_log_e(&reference);
        difference = canary_mixture_log_e(&mixture) - expected;

        assert_true(fabs(difference) <= 1e-9 + 1e-11 * fabs(expected));
    }
}


static void
it_follows_the_recursion_however_much_evidence_there_is(void **state)
{
    uint32_t  largest;
    uint64_t  seed;

    (void) state;

    seed = 1;

    for (largest = 1; largest <= 1000000000; largest *= 10) {
        follow(seed++, 0, 0.1, largest);
        follow(seed++, 0, 0.001, largest);
        follow(seed++, 0, 0.9, largest);
        follow(seed++, 1, 0.1, largest);
        follow(seed++, 1, 1e-9, largest);
    }
}


/* The chance of k bad ones of n. */

static double
binomial(int n, int k, double p)
{
    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
               + k * log(p) + (n - k) * log1p(-p));
}


static void
a_cohort_adds_its_weight_and_nothing_on_average(void **state)
{
    int               form, k, n;
    double            mean;
    canary_grid_t     grid;
    canary_mixture_t  after, before;

    (void) state;

    grid = grid_of(0.1);
    before = begin(1, 100);

    canary_mixture_fold_attempts(&before, &grid, 10, 3);

    for (form = 0; form < 2; form++) {
        for (n = 1; n <= 30; n += 29) {
            mean = 0;

            for (k = 0; k <= n; k++) {
                after = before;

                if (form == 0) {
                    canary_mixture_fold_attempts(&after, &grid, (uint64_t) n,
                                                 (uint64_t) k);

                } else {
                    canary_mixture_fold_burst(&after, &grid, (uint64_t) n,
                                              (uint64_t) k);
                }

                mean += binomial(n, k, 0.1) * canary_mixture_sum(&after);
            }

            assert_true(fabs(mean - canary_mixture_sum(&before)
                             - weight_of(&before)) < 1e-12);
        }
    }
}


/* All attempts of a cohort fail together, or none: one in ten times. */

static void
a_burst_may_be_one_and_the_same_failure(void **state)
{
    double            mean;
    canary_grid_t     grid;
    canary_mixture_t  all, none, start;

    (void) state;

    grid = grid_of(0.1);
    start = begin(1, HOUR);
    all = start;
    none = start;

    canary_mixture_fold_burst(&all, &grid, 100, 100);
    canary_mixture_fold_burst(&none, &grid, 100, 0);

    mean = 0.1 * canary_mixture_sum(&all) + 0.9 * canary_mixture_sum(&none);

    assert_true(fabs(mean - 0.5 - 0.25 / HOUR) < 1e-12);
}


static void
all_weights_together_are_one(void **state)
{
    int                  i;
    double               sum;
    canary_mixture_t     mixture;

    static const double  nothing_learnt[CANARY_ALTERNATIVES];

    (void) state;

    mixture = begin(10, 100);
    sum = canary_mixture_sum(&mixture);

    assert_true(fabs(sum - 0.5) < 1e-15);

    for (i = 0; i < 5000; i++) {
        if (i % 10 == 9) {
            canary_mixture_begin_step(&mixture);
        }

        canary_mixture_fold_logs(&mixture, nothing_learnt);

        assert_true(canary_mixture_sum(&mixture) >= sum);
        sum = canary_mixture_sum(&mixture);
    }

    assert_true(sum < 1);
    assert_true(fabs(sum + mixture.tick_pot - 1) < 1e-12);
}


static void
a_rollout_of_one_step_has_no_weight_for_others(void **state)
{
    canary_mixture_t  mixture;

    (void) state;

    mixture = begin(1, HOUR);
    canary_mixture_begin_step(&mixture);
    assert_true(fabs(canary_mixture_sum(&mixture) - 0.5) < 1e-15);

    mixture = begin(0, 0);
    canary_mixture_begin_step(&mixture);
    assert_true(fabs(canary_mixture_sum(&mixture) - 0.5) < 1e-15);
}


static void
no_attempts_change_nothing(void **state)
{
    canary_grid_t     grid;
    canary_mixture_t  mixture, start;

    (void) state;

    grid = grid_of(0.1);
    memset(&start, 0, sizeof(canary_mixture_t));
    memset(&mixture, 0, sizeof(canary_mixture_t));
    canary_mixture_init(&start, 10, HOUR);
    canary_mixture_init(&mixture, 10, HOUR);

    canary_mixture_fold_attempts(&mixture, &grid, 0, 0);
    canary_mixture_fold_burst(&mixture, &grid, 0, 0);

    assert_memory_equal(&mixture, &start, sizeof(canary_mixture_t));
}


static void
a_late_bad_outcome_counts_as_an_attempt(void **state)
{
    canary_grid_t     grid;
    canary_mixture_t  late, usual;

    (void) state;

    grid = grid_of(0.1);

    late = begin(1, HOUR);
    usual = begin(1, HOUR);
    canary_mixture_fold_attempts(&late, &grid, 1, 3);
    canary_mixture_fold_attempts(&usual, &grid, 3, 3);
    assert_true(canary_mixture_sum(&late) == canary_mixture_sum(&usual));

    canary_mixture_fold_burst(&late, &grid, 0, 3);
    canary_mixture_fold_burst(&usual, &grid, 3, 3);
    assert_true(canary_mixture_sum(&late) == canary_mixture_sum(&usual));
}


static void
a_dead_canary_is_condemned_at_its_4th_attempt_or_cohort(void **state)
{
    int               i;
    canary_grid_t     grid;
    canary_mixture_t  attempts, burst;

    (void) state;

    grid = grid_of(0.1);
    attempts = begin(5, HOUR);
    burst = begin(5, HOUR);

    for (i = 1; i <= 4; i++) {
        assert_false(violated(&attempts, &grid));
        assert_false(violated(&burst, &grid));

        canary_mixture_fold_attempts(&attempts, &grid, 1, 1);
        canary_mixture_fold_burst(&burst, &grid, 10, 10);
    }

    assert_true(violated(&attempts, &grid));
    assert_true(violated(&burst, &grid));
}


static void
half_a_good_hour_does_not_make_it_blind(void **state)
{
    int               i;
    canary_grid_t     grid;
    canary_mixture_t  attempts, burst, step;

    (void) state;

    grid = grid_of(0.1);
    attempts = begin(10, HOUR);
    burst = begin(10, HOUR);

    for (i = 0; i < HOUR / 2; i++) {
        canary_mixture_fold_attempts(&attempts, &grid, 100, i % 2);
        canary_mixture_fold_burst(&burst, &grid, 100, i % 2);
    }

    step = attempts;
    canary_mixture_begin_step(&step);

    for (i = 0; !violated(&step, &grid); i++) {
        canary_mixture_fold_attempts(&step, &grid, 1, 1);
    }

    assert_int_equal(i, 6);

    canary_mixture_fold_attempts(&attempts, &grid, 10, 10);
    assert_true(violated(&attempts, &grid));

    for (i = 0; !violated(&burst, &grid); i++) {
        canary_mixture_fold_burst(&burst, &grid, 10, 10);
    }

    assert_in_range(i, 9, 10);
}


static void
gates_come_before_the_proof(void **state)
{
    canary_grid_t     grid;
    canary_demand_t   demand;
    canary_mixture_t  mixture;

    (void) state;

    demand.evidence = 1000;
    demand.min_requests = 50;
    demand.min_bad = 3;

    grid = grid_of(0.1);
    mixture = begin(1, HOUR);
    canary_mixture_fold_attempts(&mixture, &grid, 100, 100);

    assert_true(canary_mixture_violated(&mixture, &grid, &demand, 50, 3));
    assert_false(canary_mixture_violated(&mixture, &grid, &demand, 49, 3));
    assert_false(canary_mixture_violated(&mixture, &grid, &demand, 50, 2));

    mixture = begin(1, HOUR);
    assert_false(canary_mixture_violated(&mixture, &grid, &demand, 50, 3));
}


static void
a_threshold_of_none_is_broken_by_the_first_bad_attempt(void **state)
{
    canary_grid_t     grid;
    canary_demand_t   demand;
    canary_mixture_t  mixture;

    (void) state;

    demand.evidence = 1000;
    demand.min_requests = 5;
    demand.min_bad = 3;

    grid = grid_of(0);
    mixture = begin(1, HOUR);
    canary_mixture_fold_attempts(&mixture, &grid, 5, 1);

    assert_true(canary_mixture_violated(&mixture, &grid, &demand, 5, 1));
    assert_false(canary_mixture_violated(&mixture, &grid, &demand, 5, 0));
    assert_false(canary_mixture_violated(&mixture, &grid, &demand, 4, 1));
    assert_int_equal(canary_mixture_bad_needed(&mixture, &grid, 1000), 1);
}


static void
a_threshold_above_99_percent_is_broken_by_nothing(void **state)
{
    canary_grid_t     grid;
    canary_mixture_t  mixture;

    (void) state;

    grid = grid_of(0.995);
    mixture = begin(1, HOUR);
    canary_mixture_fold_attempts(&mixture, &grid, 1000000, 1000000);

    assert_false(violated(&mixture, &grid));
    assert_int_equal(canary_mixture_bad_needed(&mixture, &grid, 1000),
                     CANARY_NEEDED_MAX);
}


static void
evidence_beyond_any_double_is_clamped_and_comes_back(void **state)
{
    double            log_e;
    canary_grid_t     grid;
    canary_mixture_t  mixture;

    (void) state;

    grid = grid_of(0.1);
    mixture = begin(1, HOUR);

    canary_mixture_fold_attempts(&mixture, &grid, 1000000, 1000000);
    assert_true(canary_mixture_sum(&mixture) == CANARY_MIXTURE_MAX);
    assert_true(canary_mixture_log_e(&mixture) > 2e6);
    assert_true(violated(&mixture, &grid));
    assert_int_equal(canary_mixture_bad_needed(&mixture, &grid, 1000), 1);

    canary_mixture_fold_attempts(&mixture, &grid, UINT64_MAX, 0);
    log_e = canary_mixture_log_e(&mixture);
    assert_true(isfinite(log_e) && log_e < -1e10);
    assert_true(canary_mixture_sum(&mixture) == 0);

    canary_mixture_fold_attempts(&mixture, &grid, 1, 1);
    assert_true(canary_mixture_sum(&mixture) > 0.25 / HOUR);
}


static void
nothing_is_ever_infinite_or_no_number(void **state)
{
    int               i, j;
    double            p0;
    uint64_t          k, n, seed;
    canary_grid_t     grid;
    canary_mixture_t  mixture;

    (void) state;

    seed = 7;

    for (p0 = 0; p0 <= 1; p0 += 0.0625) {
        grid = grid_of(p0);
        mixture = begin(3, 1);

        for (i = 0; i < 2000; i++) {
            n = (uint64_t) unit_random(&seed) << unit_below(&seed, 33);
            n >>= unit_below(&seed, 60);
            k = unit_one_in(&seed, 2) ? n : unit_below(&seed, 5);

            if (unit_one_in(&seed, 2)) {
                canary_mixture_fold_attempts(&mixture, &grid, n, k);

            } else {
                canary_mixture_fold_burst(&mixture, &grid, n, k);
            }

            for (j = 0; j < CANARY_ALTERNATIVES; j++) {
                assert_true(isfinite(mixture.log_r[j]));
            }

            if (unit_one_in(&seed, 100)) {
                canary_mixture_forget(&mixture);
            }

            assert_true(isfinite(canary_mixture_log_e(&mixture)));
            assert_true(canary_mixture_sum(&mixture) >= 0);
            assert_true(canary_mixture_sum(&mixture) <= CANARY_MIXTURE_MAX);
            assert_true(canary_mixture_bad_needed(&mixture, &grid, 1000) >= 1);
        }
    }
}


/* One by one, or any number at once. */

static void
cohorts_may_be_folded_at_once(void **state)
{
    int               i;
    double            one, other;
    uint32_t          n, round;
    uint64_t          seed;
    canary_grid_t     grid;
    canary_burst_t    bursts[128];
    canary_mixture_t  at_once, one_by_one;

    static const double  rates[] = { 1e-12, 1e-9, 0.001, 0.1, 0.5, 0.99 };

    (void) state;

    seed = 5;

    for (i = 0; i < (int) UNIT_LENGTH(rates); i++) {
        grid = grid_of(rates[i]);
        at_once = begin(5, 100);
        one_by_one = at_once;

        for (round = 0; round < 50; round++) {
            for (n = 0; n < 2 * round; n++) {
                bursts[n].n = unit_below(&seed, 4) * unit_below(&seed, 1000);
                bursts[n].k = unit_one_in(&seed, 2) ? bursts[n].n
                              : unit_one_in(&seed, 3) ? unit_below(&seed, 9)
                              : 0;

                canary_mixture_fold_burst(&one_by_one, &grid, bursts[n].n,
                                          bursts[n].k);
            }

            canary_mixture_fold_bursts(&at_once, &grid, bursts, n);

            one = canary_mixture_log_e(&one_by_one);
            other = canary_mixture_log_e(&at_once);
            assert_true(fabs(one - other) <= 1e-10 + 1e-13 * fabs(one));
            assert_true(at_once.tick_pot == one_by_one.tick_pot);
        }

        /* all of them bad for long, and good again */

        for (n = 0; n < UNIT_LENGTH(bursts); n++) {
            bursts[n].n = 1;
            bursts[n].k = 1;
        }

        for (round = 0; round < 100; round++) {
            canary_mixture_fold_bursts(&at_once, &grid, bursts, n);
            assert_true(isfinite(canary_mixture_log_e(&at_once)));
        }

        assert_true(canary_mixture_log_e(&at_once) > 10);
    }
}


/*
 * The state after so many more healthy cohorts, beyond the planned: the last
 * 20,000 of them are folded, and of those before nothing is left.
 */

static void
good_times(canary_mixture_t *mixture, const canary_grid_t *grid, fold_pt fold,
    double cohorts)
{
    int     i;
    double  after;

    after = mixture->folded + cohorts - 20000;

    if (after > mixture->planned && cohorts > 20000) {
        while (mixture->folded < mixture->planned) {
            fold(mixture, grid, 10, 0);
        }

        mixture->tick_pot *= mixture->folded / after;
        mixture->folded = after;

        canary_mixture_forget(mixture);
        cohorts = 20000;
    }

    for (i = 0; i < cohorts; i++) {
        fold(mixture, grid, 10, 0);
    }
}


static void
the_weights_of_any_number_of_cohorts_add_up_to_their_pot(void **state)
{
    int               i;
    double            expected, left, planned;
    canary_grid_t     grid;
    canary_mixture_t  mixture;

    (void) state;

    grid = grid_of(0.1);

    for (planned = 2; planned <= 1e6; planned *= 9) {
        mixture = begin(1, (uint64_t) planned);

        for (i = 0; i < planned; i++) {
            (void) canary_mixture_fold_burst(&mixture, &grid, 1, 0);
        }

        left = mixture.tick_pot;
        assert_true(fabs(left - 0.25 * pow(1 - 1 / planned, planned)) < 1e-9);

        /* what remains after t cohorts is left * planned / t, to a billion */

        while (mixture.folded < 1e9) {

            expected = left * planned * (1 / mixture.folded
                                         - 1 / (mixture.folded + 1000));

            for (i = 0; i < 1000; i++) {
                expected -= weight_of(&mixture);
                canary_mixture_fold_burst(&mixture, &grid, 1, 0);
            }

            assert_true(fabs(expected) < 1e-9 * left);
            assert_true(fabs(mixture.tick_pot * mixture.folded
                             / (left * planned) - 1) < 1e-9);

            mixture.tick_pot /= 3;
            mixture.folded *= 3;
        }
    }
}


/* How many cohorts in which so many of 100 fail it takes. */

static int
falls_after(canary_mixture_t mixture, const canary_grid_t *grid, fold_pt fold,
    uint64_t bad)
{
    int  i;

    for (i = 0; !violated(&mixture, grid); i++) {
        fold(&mixture, grid, 100, bad);
    }

    return i;
}


static void
a_jump_is_as_good_as_every_step_of_the_way(void **state)
{
    int               i;
    double            after;
    canary_grid_t     grid;
    canary_mixture_t  jumped, walked;

    (void) state;

    grid = grid_of(0.1);

    for (i = 0; i < 2; i++) {
        jumped = begin(10, HOUR);
        walked = jumped;
        good_times(&jumped, &grid, canary_mixture_fold_burst, 400000);

        for (after = 0; after < 400000; after++) {
            canary_mixture_fold_burst(&walked, &grid, 10, 0);
        }

        assert_true(jumped.folded == walked.folded);
        assert_true(fabs(canary_mixture_log_e(&jumped)
                         - canary_mixture_log_e(&walked)) < 1e-7);
    }
}


/* The numbers of the reference. */

static void
a_dead_canary_falls_after_any_time(void **state)
{
    int               i;
    canary_grid_t     grid;
    canary_mixture_t  mixture;

    static const struct {
        double  hours;
        int     cohorts;
    } tests[] = {
        { 1 / 60.0, 9 }, { 1, 10 }, { 2.8, 11 }, { 24, 13 }
    };

    (void) state;

    grid = grid_of(0.1);
    mixture = begin(10, HOUR);

    for (i = 0; i < (int) UNIT_LENGTH(tests); i++) {

        while (mixture.folded < HOUR * tests[i].hours) {
            canary_mixture_fold_burst(&mixture, &grid, 10, 0);
        }

        assert_int_equal(falls_after(mixture, &grid,
                                     canary_mixture_fold_burst, 100),
                         tests[i].cohorts);
    }
}


/* To a year, in which the weights fall by the square of 8,800. */

static void
no_time_makes_it_blind(void **state)
{
    int               first, form;
    double            hours;
    uint64_t          bad;
    canary_grid_t     grid;
    canary_mixture_t  mixture, start;
    size_t            i;

    static const double   rates[] = { 0.01, 0.05, 0.1, 0.3 };
    static const fold_pt  folds[] = {
        canary_mixture_fold_burst, canary_mixture_fold_attempts
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(rates) * 2; i++) {
        form = i % 2;
        grid = grid_of(rates[i / 2]);

        start = begin(10, HOUR);
        good_times(&start, &grid, folds[form], HOUR);

        for (bad = 100; bad > 150 * rates[i / 2]; bad = bad * 2 / 3) {
            first = falls_after(start, &grid, folds[form], bad);

            for (hours = 2; hours < 24 * 366; hours *= 3) {
                mixture = start;
                good_times(&mixture, &grid, folds[form],
                           HOUR * (hours - 1));
                assert_in_range(falls_after(mixture, &grid, folds[form], bad),
                                1, 2 * first);
            }
        }
    }
}


static void
fewer_bad_attempts_than_needed_do_not_reach_the_evidence(void **state)
{
    int               i;
    uint64_t          needed, seed;
    canary_grid_t     grid;
    canary_mixture_t  after, mixture;

    (void) state;

    seed = 3;
    grid = grid_of(0.1);

    mixture = begin(10, HOUR);
    assert_in_range(canary_mixture_bad_needed(&mixture, &grid, 1000), 1, 4);

    for (i = 0; i < 20000; i++) {
        needed = canary_mixture_bad_needed(&mixture, &grid, 1000);
        assert_true(needed >= 1);

        if (needed > 1) {
            after = mixture;
            canary_mixture_fold_attempts(&after, &grid, needed - 1,
                                         needed - 1);
            assert_false(violated(&after, &grid));
        }

        canary_mixture_fold_attempts(&mixture, &grid,
                                     unit_below(&seed, 10),
                                     unit_below(&seed, 3));

        if (violated(&mixture, &grid)) {
            mixture = begin(10, HOUR);
        }
    }
}


static void
a_copy_is_evaluated_without_touching_the_original(void **state)
{
    double            log_e;
    canary_grid_t     grid;
    canary_mixture_t  copy, mixture;

    (void) state;

    grid = grid_of(0.1);
    mixture = begin(2, HOUR);
    log_e = canary_mixture_log_e(&mixture);

    copy = mixture;
    canary_mixture_fold_attempts(&copy, &grid, 500, 500);

    assert_true(canary_mixture_log_e(&mixture) == log_e);
    assert_true(canary_mixture_log_e(&copy) > 100);
}


/*
 * With so many in flight that turn out to be bad, and then others: so many
 * reach the evidence, and one fewer does not.
 */

static void
the_number_that_is_needed_is_exact(void **state)
{
    size_t            i;
    uint64_t          in_flight, least, m, n;
    canary_grid_t     grid;
    canary_mixture_t  start, mixture;

    static const double  rates[] = { 0.001, 0.01, 0.1, 0.3, 0.5 };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(rates); i++) {
        for (in_flight = 0; in_flight < 20; in_flight += 4) {
            canary_grid_init(&grid, rates[i]);
            canary_mixture_init(&start, 10, 36000);
            m = canary_mixture_attempts_needed(&start, &grid, 1000,
                                               in_flight);
            least = canary_mixture_bad_needed(&start, &grid, 1000);
            assert_in_range(m, least, 100);

            /* of one cohort, in flight or to come */

            n = (m > in_flight) ? m : in_flight;
            mixture = start;
            canary_mixture_fold_attempts(&mixture, &grid, n, m);

            if (m >= in_flight) {
                assert_true(canary_mixture_sum(&mixture) >= 999.99);
            }

            if (m > 1) {
                n = (m - 1 > in_flight) ? m - 1 : in_flight;
                mixture = start;
                canary_mixture_fold_attempts(&mixture, &grid, n, m - 1);
                assert_true(canary_mixture_sum(&mixture) < 1000);
            }
        }
    }

    /* the table of the manual */

    canary_grid_init(&grid, 0.1);
    canary_mixture_init(&start, 10, 36000);
    assert_int_equal(canary_mixture_attempts_needed(&start, &grid, 1000, 0),
                     4);
}


static void
what_is_forgotten_proves_nothing(void **state)
{
    int               n;
    canary_grid_t     grid;
    canary_mixture_t  mixture;

    (void) state;

    canary_grid_init(&grid, 0.1);
    canary_mixture_init(&mixture, 10, 36000);
    canary_mixture_fold_attempts(&mixture, &grid, 1000000, 1000000);
    canary_mixture_forget(&mixture);

    assert_true(canary_mixture_sum(&mixture) == 0);

    /* the weight that was left is enough to begin with */

    canary_mixture_begin_step(&mixture);
    assert_true(canary_mixture_sum(&mixture) < 0.25);

    for (n = 0; canary_mixture_sum(&mixture) < 1000; n++) {
        canary_mixture_fold_attempts(&mixture, &grid, 1, 1);
    }

    assert_in_range(n, 5, 7);

    /* and when all weight of steps is spent, that of cohorts is left */

    for (n = 0; n < 20; n++) {
        canary_mixture_forget(&mixture);
        canary_mixture_begin_step(&mixture);
    }

    canary_mixture_forget(&mixture);

    for (n = 0; canary_mixture_sum(&mixture) < 1000; n++) {
        canary_mixture_fold_attempts(&mixture, &grid, 1, 1);
    }

    assert_in_range(n, 7, 11);
}


int
main(void)
{
    const struct CMUnitTest  mixture[] = {
        cmocka_unit_test(
            it_follows_the_recursion_however_much_evidence_there_is),
        cmocka_unit_test(a_cohort_adds_its_weight_and_nothing_on_average),
        cmocka_unit_test(a_burst_may_be_one_and_the_same_failure),
        cmocka_unit_test(all_weights_together_are_one),
        cmocka_unit_test(a_rollout_of_one_step_has_no_weight_for_others),
        cmocka_unit_test(no_attempts_change_nothing),
        cmocka_unit_test(a_late_bad_outcome_counts_as_an_attempt),
        cmocka_unit_test(
            a_dead_canary_is_condemned_at_its_4th_attempt_or_cohort),
        cmocka_unit_test(half_a_good_hour_does_not_make_it_blind),
        cmocka_unit_test(gates_come_before_the_proof),
        cmocka_unit_test(
            a_threshold_of_none_is_broken_by_the_first_bad_attempt),
        cmocka_unit_test(a_threshold_above_99_percent_is_broken_by_nothing),
        cmocka_unit_test(evidence_beyond_any_double_is_clamped_and_comes_back),
        cmocka_unit_test(nothing_is_ever_infinite_or_no_number),
        cmocka_unit_test(cohorts_may_be_folded_at_once),
        cmocka_unit_test(
            the_weights_of_any_number_of_cohorts_add_up_to_their_pot),
        cmocka_unit_test(a_jump_is_as_good_as_every_step_of_the_way),
        cmocka_unit_test(a_dead_canary_falls_after_any_time),
        cmocka_unit_test(no_time_makes_it_blind),
        cmocka_unit_test(
            fewer_bad_attempts_than_needed_do_not_reach_the_evidence),
        cmocka_unit_test(a_copy_is_evaluated_without_touching_the_original),
        cmocka_unit_test(the_number_that_is_needed_is_exact),
        cmocka_unit_test(what_is_forgotten_proves_nothing)
    };

    return cmocka_run_group_tests(mixture, NULL, NULL);
}
