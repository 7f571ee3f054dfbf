
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_average.h"
#include "canary_relative.h"

#include "ages.h"
#include "judges.h"
#include "traffic.h"


#define HEALTHY       0.01      /* share of bad attempts, of both releases */
#define TOLERANCE     0.05      /* of the relative rule */
#define STABLE        9         /* times as many attempts as of the canary */
#define QUICK_US      40000     /* times of a healthy canary, and how many */
#define SLOW_US       90000     /* of the latter; the mean is 50 ms */
#define SLOW_SHARE    0.2
#define MEAN_US       100000    /* the limit of the mean */
#define LOOK_SECONDS  0.05      /* how often times are looked at */

#define LAST          20000     /* observations before a jump's end */
#define CALM          600       /* and good ones of each run */
#define NEVER         1000000


typedef enum {
    ATTEMPTS = 0,               /* burst=0 */
    BURST,                      /* burst=100ms */
    RELATIVE,                   /* baseline=stable */
    AVERAGE,                    /* latency_avg_max */
    FORMS
} form_t;


/* How a canary is: counts of an observation, of each sort on average. */

typedef struct {
    poisson_t  good;            /* attempts; for averages quick ones */
    poisson_t  bad;             /* slow ones */
    poisson_t  stable;
    poisson_t  stable_bad;
    uint32_t   quick;           /* buckets */
    uint32_t   slow;
} manner_t;


typedef struct {
    form_t             form;
    random_t           random;
    double             seen;    /* observations; some have no attempt, */
    uint64_t           bad;     /* and bad attempts of the rollout */
    double             when;    /* within the last observation, 0 to 1 */
    canary_grid_t      grid;
    canary_relative_t  relative;
    canary_average_t   average;
    canary_block_t     block;
    canary_mixture_t   mixture;
} trial_t;


typedef struct {
    double             mean;
    double             p95;
} measured_t;


static void manner_init(manner_t *manner, form_t form, double rate,
    double share);
static void trial_init(trial_t *trial, form_t form);
static int observe(trial_t *trial, const manner_t *manner);
static int observe_attempts(trial_t *trial, uint32_t good, uint32_t bad);
static void observe_times(trial_t *trial, const manner_t *manner,
    uint32_t good, uint32_t bad);
static int is_violated(const trial_t *trial);
static void grow_old(trial_t *trial, const manner_t *healthy, double hours,
    int walk);
static double delay_of(trial_t trial, const manner_t *healthy,
    const manner_t *broken, uint64_t seed);
static int compare_delays(const void *a, const void *b);
static int measure_age(const trial_t *trial, const manner_t *healthy,
    const manner_t *broken, uint32_t runs, double *delays,
    measured_t *measured);
static int rows_of_ages(form_t form, double rate, uint32_t runs,
    double *delays, int walk);
static int reaches_limit(form_t form, const manner_t *manner, double hours,
    uint64_t seed);


static const double  ages[] = { 1, 24, 24 * 7, 24 * 30, 24 * 90 };

#define AGES  (sizeof(ages) / sizeof(ages[0]))

static const double  rates[] = { 10, 100, 1000 };

#define RATES  (sizeof(rates) / sizeof(rates[0]))

static const char *const  names[FORMS] = {
    "`burst=0`", "`burst=100ms`", "`baseline=stable`", "`latency_avg_max`"
};

/* How they turn bad: so many of the attempts, or so many times the limit. */

static const struct {
    const char  *name;
    double       share;
} ways[FORMS][2] = {
    { { "100 % bad", 1 }, { "20 % bad", 0.2 } },
    { { "100 % bad", 1 }, { "20 % bad", 0.2 } },
    { { "100 % bad", 1 }, { "20 % bad", 0.2 } },
    { { "10 times the limit", 10 }, { "1.5 times the limit", 1.5 } }
};


static double
seconds_of(form_t form)
{
    return (form == AVERAGE) ? LOOK_SECONDS : TICK_SECONDS;
}


/* "share" of bad ones; of an average, how many times the limit it is */

static void
manner_init(manner_t *manner, form_t form, double rate, double share)
{
    double  each, times;

    each = rate * seconds_of(form);

    if (form == AVERAGE) {
        times = share * MEAN_US
                / ((1 - SLOW_SHARE) * QUICK_US + SLOW_SHARE * SLOW_US);

        manner->quick = canary_histogram_index((uint64_t) (times * QUICK_US));
        manner->slow = canary_histogram_index((uint64_t) (times * SLOW_US));
        share = SLOW_SHARE;
    }

    poisson_init(&manner->good, each * (1 - share));
    poisson_init(&manner->bad, each * share);
    poisson_init(&manner->stable, STABLE * each * (1 - HEALTHY));
    poisson_init(&manner->stable_bad, STABLE * each * HEALTHY);
}


static void
trial_init(trial_t *trial, form_t form)
{
    memset(trial, 0, sizeof(trial_t));

    trial->form = form;

    canary_grid_init(&trial->grid, THRESHOLD);
    canary_relative_init(&trial->relative, 1, TOLERANCE);
    canary_average_init(&trial->average, MEAN_US);
    canary_mixture_init(&trial->mixture, STEPS,
                        (uint64_t) (TICKS * TICK_SECONDS / seconds_of(form)
                                    + 0.5));
    random_init(&trial->random, 1);
}


/* Returns whether the rule is broken then. */

static int
observe(trial_t *trial, const manner_t *manner)
{
    uint32_t        good, bad;
    canary_block_t  cohort;

    good = poisson_next(&manner->good, &trial->random);
    bad = poisson_next(&manner->bad, &trial->random);

    trial->seen++;

    switch (trial->form) {

    case ATTEMPTS:
        return observe_attempts(trial, good, bad);

    case BURST:
        canary_mixture_fold_burst(&trial->mixture, &trial->grid, good + bad,
                                  bad);
        break;

    case RELATIVE:
        cohort.canary = good + bad;
        cohort.canary_bad = bad;
        cohort.stable_bad = poisson_next(&manner->stable_bad, &trial->random);
        cohort.stable = cohort.stable_bad
                        + poisson_next(&manner->stable, &trial->random);

        canary_block_add(&trial->block, &cohort);
        canary_relative_fold_rates(&trial->mixture, &trial->relative,
                                   &trial->block);
        break;

    default: /* AVERAGE */
        observe_times(trial, manner, good, bad);
    }

    trial->bad += bad;
    trial->when = 1;

    return is_violated(trial);
}


/* at each bad response, if it may matter; they come in any order */

static int
observe_attempts(trial_t *trial, uint32_t good, uint32_t bad)
{
    uint32_t          i, k, left, needed;
    canary_mixture_t  before, now;

    before = trial->mixture;

    canary_mixture_fold_attempts(&trial->mixture, &trial->grid, good + bad,
                                 bad);
    trial->bad += bad;

    needed = bad ? (uint32_t) canary_mixture_bad_needed(&before, &trial->grid,
                                                        EVIDENCE)
                 : 1;

    for (i = 1, k = 0, left = bad; left && bad >= needed; i++) {

        if (random_unit(&trial->random) * (good + bad - i + 1) > left) {
            continue;
        }

        k++;
        left--;

        if (k < needed || trial->bad - left < MIN_BAD) {
            continue;
        }

        now = before;
        canary_mixture_fold_attempts(&now, &trial->grid, i, k);

        if (canary_mixture_sum(&now) >= EVIDENCE) {
            trial->when = (double) i / (good + bad);
            return 1;
        }
    }

    return 0;
}


static void
observe_times(trial_t *trial, const manner_t *manner, uint32_t good,
    uint32_t bad)
{
    canary_histogram_t  times;

    memset(&times, 0, sizeof(canary_histogram_t));

    times.counts[manner->quick] += good;
    times.counts[manner->slow] += bad;

    canary_average_fold(&trial->mixture, &trial->average, &times);
}


static int
is_violated(const trial_t *trial)
{
    return (trial->bad >= MIN_BAD || trial->form == AVERAGE)
           && canary_mixture_sum(&trial->mixture) >= EVIDENCE;
}


/* It is checked nowhere whether it is rolled back: it is healthy. */

static void
grow_old(trial_t *trial, const manner_t *healthy, double hours, int walk)
{
    double             jump, until;
    canary_mixture_t  *mixture;

    mixture = &trial->mixture;
    until = hours * mixture->planned;

    while (trial->seen < until && (walk || hours == 1
                                   || mixture->folded < mixture->planned))
    {
        (void) observe(trial, healthy);
    }

    if (trial->seen < until) {
        jump = (until - LAST) / trial->seen;

        trial->seen = until - LAST;
        mixture->folded *= jump;
        mixture->tick_pot /= jump;
        canary_mixture_forget(mixture);
    }

    while (trial->seen < until) {
        (void) observe(trial, healthy);
    }
}


static double
delay_of(trial_t trial, const manner_t *healthy, const manner_t *broken,
    uint64_t seed)
{
    int  i;

    random_init(&trial.random, seed);

    for (i = 0; i < CALM; i++) {
        if (observe(&trial, healthy)) {
            return -1;
        }
    }

    for (i = 0; i < NEVER; i++) {
        if (observe(&trial, broken)) {
            return (i + trial.when) * seconds_of(trial.form);
        }
    }

    return INFINITY;
}


static int
compare_delays(const void *a, const void *b)
{
    double  x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}


/* "delays" has room for all runs; returns whether it ever is too long */

static int
measure_age(const trial_t *trial, const manner_t *healthy,
    const manner_t *broken, uint32_t runs, double *delays, measured_t *measured)
{
    int       missed;
    uint32_t  run;

    missed = 0;
    measured->mean = 0;

    for (run = 0; run < runs; run++) {
        delays[run] = delay_of(*trial, healthy, broken, run);
        measured->mean += delays[run] / runs;
        missed |= !(delays[run] > 0 && isfinite(delays[run]));
    }

    qsort(delays, runs, sizeof(double), compare_delays);
    measured->p95 = delays[(uint32_t) ceil(0.95 * runs) - 1];

    return missed;
}


/* Two rows, since the same healthy canary may turn bad in two ways. */

static int
rows_of_ages(form_t form, double rate, uint32_t runs, double *delays, int walk)
{
    int         i, missed;
    size_t      age;
    trial_t     trial;
    measured_t  measured[2][AGES];

    static manner_t  healthy, broken[2];

    manner_init(&healthy, form, rate, (form == AVERAGE) ? 0.5 : HEALTHY);
    manner_init(&broken[0], form, rate, ways[form][0].share);
    manner_init(&broken[1], form, rate, ways[form][1].share);
    trial_init(&trial, form);

    missed = 0;

    for (age = 0; age < AGES; age++) {
        grow_old(&trial, &healthy, ages[age], walk);

        for (i = 0; i < 2; i++) {
            missed |= measure_age(&trial, &healthy, &broken[i], runs, delays,
                                  &measured[i][age]);
            missed |= measured[i][age].mean > 2 * measured[i][0].mean
                                              * (1 + 1 / sqrt(runs));
        }
    }

    for (i = 0; i < 2; i++) {
        printf("| %s | %s | %g |", names[form], ways[form][i].name, rate);

        for (age = 0; age < AGES; age++) {
            printf(" %.3g / %.3g |", measured[i][age].mean,
                   measured[i][age].p95);
        }

        printf("\n");
    }

    fflush(stdout);

    if (missed) {
        fprintf(stderr, "MISSED: %s, %g attempts/s: too early, or more than "
                "twice as late as after an hour\n", names[form], rate);
    }

    return missed;
}


int
table_ages(uint32_t runs, int walk)
{
    int      form, missed;
    size_t   rate;
    double  *delays;

    delays = malloc(runs * sizeof(double));

    if (delays == NULL) {
        fprintf(stderr, "no memory for %u runs\n", runs);
        return 1;
    }

    printf("\nSeconds until a canary is rolled back that turns bad after so "
           "long in one step, mean / 95th percentile of %u:\n\n"
           "| rule | canary | attempts/s | 1 hour | 1 day | 7 days | 30 days "
           "| 90 days |\n|---|---|---|---|---|---|---|---|\n", runs);

    missed = 0;

    for (form = 0; form < FORMS; form++) {
        for (rate = 0; rate < RATES; rate++) {
            missed |= rows_of_ages((form_t) form, rates[rate], runs, delays,
                                   walk);
        }
    }

    free(delays);

    return missed;
}


static int
reaches_limit(form_t form, const manner_t *manner, double hours,
    uint64_t seed)
{
    run_t     run;
    double    until;
    trial_t   trial;
    uint32_t  bad;

    trial_init(&trial, form);
    random_init(&trial.random, seed);
    run_init(&run, TICKS);

    for (until = hours * TICKS; trial.seen < until; /* void */) {

        if (form == ATTEMPTS) {
            if (observe(&trial, manner)) {
                return 1;
            }

            continue;
        }

        bad = poisson_next(&manner->bad, &trial.random);

        if (run_add(&run, &trial.grid,
                    bad + poisson_next(&manner->good, &trial.random), bad))
        {
            return 1;
        }

        trial.seen++;
    }

    return 0;
}


int
table_limit(uint32_t runs)
{
    int        form, missed;
    size_t     i, rate;
    uint32_t   n, reached, run;

    static manner_t      manner;
    static const double  hours[] = { 1, 24 };

    static const form_t  forms[] = { BURST, ATTEMPTS };
    static const size_t  nrates[] = { RATES, RATES - 1 };

    printf("\nCanaries exactly at the limit that are rolled back:\n\n"
           "| rule | attempts/s | %u rollouts of an hour | %u of a day |\n"
           "|---|---|---|---|\n", 8 * runs, runs);

    missed = 0;

    for (form = 0; form < 2; form++) {
        for (rate = 0; rate < nrates[form]; rate++) {
            manner_init(&manner, forms[form], rates[rate], THRESHOLD);
            printf("| %s | %g |", names[forms[form]], rates[rate]);

            for (i = 0; i < 2; i++) {
                n = i ? runs : 8 * runs;

                for (run = 0, reached = 0; run < n; run++) {
                    reached += (uint32_t) reaches_limit(forms[form], &manner,
                                                        hours[i], run);
                }

                printf(" %u, %.3g %% |", reached, 100.0 * reached / n);
                fflush(stdout);

                /* 3 standard deviations more than 1 in 1,000 */

                missed |= reached > n / 1000.0 + 3 * sqrt(n / 1000.0);
            }

            printf("\n");
        }
    }

    if (missed) {
        fprintf(stderr, "MISSED: more than 1 of 1,000 are rolled back\n");
    }

    return missed;
}
