
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * simulate [RUNS]: what the judge does to good and to broken canaries, in
 * RUNS simulated rollouts of one hour for each row, beside other judges; and
 * to those that turn bad after hours to months, and to those of several
 * machines.  Prints tables in markdown.  The same RUNS give the same tables.
 *
 * simulate RUNS ages: only those of months, and no observation is left out.
 * simulate RUNS limit: rollouts of an hour and of a day exactly at the limit.
 * simulate RUNS late: slow answers, and rules whose evidence comes late.
 * simulate RUNS fleet: canaries on several machines.
 *
 * Exit status: 1 if what the module promises was not seen.
 */


#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ages.h"
#include "fleet.h"
#include "judges.h"
#include "late.h"
#include "traffic.h"


#define RUNS_DEFAULT   1000
#define RUNS_MAX       1000000
#define RUNS_FOR_MEANS 500      /* with fewer no mean is checked */
#define RUNS_OF_AGES   100      /* at most, unless they are asked for */
#define RUNS_OF_FLEET  50

#define HEALTHY        0.01     /* share of bad attempts before a break */
#define BREAK_TICK     18000    /* after 30 minutes, in the middle of a step */


/* A row of a table: one kind of canary. */

typedef struct {
    const char  *name;
    double       rate;          /* attempts per second */
    double       share;         /* of bad ones */
    uint32_t     repeats;
    int          stays;         /* it is promised not to be rolled back */
    uint32_t     visits;        /* requests of each client; 0: they are others'
                                   each */
    uint32_t     once;          /* seconds in which one of a client counts; 0:
                                   each does */
} row_t;


typedef struct {
    uint32_t  rolled_back;
    uint32_t  too_early;        /* before it broke */
    double    mean_bad;
    double    p95_bad;
    double    max_bad;
    double    mean_seconds;
    double    p95_seconds;
} summary_t;


/* What came of the runs of a row, by judge. */

typedef struct {
    ruling_t  *rulings[JUDGES];
    double    *sorted;
    uint32_t   runs;
} sample_t;


static int sample_init(sample_t *sample, uint32_t runs);
static void sample_free(sample_t *sample);
static int table_healthy(sample_t *sample);
static int table_broken(sample_t *sample, uint32_t break_tick);
static void run_row(sample_t *sample, const row_t *row, uint32_t break_tick);
static summary_t summarize(sample_t *sample, judge_t judge);
static double percentile_95(double *values, uint32_t n);
static void print_summary(const summary_t *summary, uint32_t runs);
static int check_broken(const row_t *row, const summary_t *summaries,
    uint32_t runs, uint32_t break_tick);
static int promise(int kept, const char *what, const row_t *row);
static double limit_of(double share);


static const row_t  healthy[] = {
    { "no bad attempts", 100, 0, 1, 1, 0, 0 },
    { "half the threshold", 10, 0.5 * THRESHOLD, 1, 1, 0, 0 },
    { "half the threshold", 100, 0.5 * THRESHOLD, 1, 1, 0, 0 },
    { "half the threshold", 1000, 0.5 * THRESHOLD, 1, 1, 0, 0 },
    { "0.9 of the threshold", 100, 0.9 * THRESHOLD, 1, 1, 0, 0 },
    { "exactly the threshold", 100, THRESHOLD, 1, 0, 0, 0 },
    { "half the threshold, bad requests tried 3 times at once", 100,
      0.5 * THRESHOLD, 3, 1, 0, 0 },
    { "half the threshold, bad requests tried 3 times at once", 1000,
      0.5 * THRESHOLD, 3, 1, 0, 0 },
    { "half of the threshold of clients, who send 50 requests each", 10,
      0.5 * THRESHOLD, 1, 0, 50, 0 },
    { "the same with `once`", 10, 0.5 * THRESHOLD, 1, 1, 50, 3600 }
};


static const row_t  broken[] = {
    { "100 %", 10, 1, 1, 0, 0, 0 },
    { "100 %", 100, 1, 1, 0, 0, 0 },
    { "100 %", 1000, 1, 1, 0, 0, 0 },
    { "50 %", 100, 0.5, 1, 0, 0, 0 },
    { "20 %", 100, 2 * THRESHOLD, 1, 0, 0, 0 },
    { "12 %", 100, 1.2 * THRESHOLD, 1, 0, 0, 0 }
};


int
main(int argc, char **argv)
{
    int       missed;
    long      runs;
    char     *end;
    sample_t  sample;

    runs = RUNS_DEFAULT;

    if (argc > 1) {
        runs = strtol(argv[1], &end, 10);

        if (argc > 3 || *end || runs < 1 || runs > RUNS_MAX
            || (argc == 3 && strcmp(argv[2], "ages") != 0
                && strcmp(argv[2], "limit") != 0
                && strcmp(argv[2], "fleet") != 0
                && strcmp(argv[2], "late") != 0))
        {
            fprintf(stderr, "usage: simulate [RUNS "
                    "[ages|limit|late|fleet]], 1 to %d\n", RUNS_MAX);
            return 2;
        }
    }

    if (argc == 3) {
        return (argv[2][0] == 'a') ? table_ages((uint32_t) runs, 1)
               : (argv[2][0] == 'f') ? table_fleet((uint32_t) runs)
               : (argv[2][1] == 'a') ? table_late((uint32_t) runs)
               : table_limit((uint32_t) runs);
    }

    if (!sample_init(&sample, (uint32_t) runs)) {
        fprintf(stderr, "no memory for %ld runs\n", runs);
        sample_free(&sample);
        return 2;
    }

    printf("Rollouts of one hour with a limit of %g %% bad attempts at "
           "confidence %g; %ld for each row.\n",
           100 * THRESHOLD, CONFIDENCE, runs);

    missed = table_healthy(&sample);
    missed |= table_broken(&sample, 0);
    missed |= table_broken(&sample, BREAK_TICK);

    sample_free(&sample);

    missed |= table_ages((runs < RUNS_OF_AGES) ? (uint32_t) runs
                                               : RUNS_OF_AGES, 0);
    missed |= table_fleet((runs < RUNS_OF_FLEET) ? (uint32_t) runs
                                                 : RUNS_OF_FLEET);

    return missed;
}


static int
sample_init(sample_t *sample, uint32_t runs)
{
    int  i, complete;

    sample->runs = runs;
    sample->sorted = malloc(runs * sizeof(double));
    complete = sample->sorted != NULL;

    for (i = 0; i < JUDGES; i++) {
        sample->rulings[i] = malloc(runs * sizeof(ruling_t));
        complete &= sample->rulings[i] != NULL;
    }

    return complete;
}


static void
sample_free(sample_t *sample)
{
    int  i;

    free(sample->sorted);

    for (i = 0; i < JUDGES; i++) {
        free(sample->rulings[i]);
    }
}


static int
table_healthy(sample_t *sample)
{
    int           j, missed;
    size_t        i;
    summary_t     summary;
    const row_t  *row;

    printf("\nHealthy canaries that are rolled back:\n\n"
           "| bad attempts | attempts/s | burst=0 | burst=100ms | "
           "point estimate | poller, 1 check | poller, 5 checks |\n"
           "|---|---|---|---|---|---|---|\n");

    missed = 0;

    for (i = 0; i < sizeof(healthy) / sizeof(healthy[0]); i++) {
        row = &healthy[i];

        run_row(sample, row, 0);
        printf("| %s | %g |", row->name, row->rate);

        for (j = 0; j < JUDGES; j++) {
            summary = summarize(sample, (judge_t) j);
            printf(" %.4g %% |", 100.0 * summary.rolled_back / sample->runs);

            /* a burst in which all fail is what burst=0 does not forgive */

            if (j == JUDGE_BURST
                || (j == JUDGE_ATTEMPTS && row->repeats == 1))
            {
                missed |= promise(!row->stays
                                  || summary.rolled_back * 1000ull
                                     < sample->runs + (sample->runs < 1000),
                                  "rolled back", row);
            }
        }

        printf("\n");
    }

    return missed;
}


static int
table_broken(sample_t *sample, uint32_t break_tick)
{
    int           j, missed;
    size_t        i;
    summary_t     summaries[JUDGES];
    const row_t  *row;

    printf("\nBad attempts until a canary that is broken %s is rolled back, "
           "mean / 95th percentile (mean time):\n\n"
           "| bad | attempts/s | limit | burst=0 | burst=100ms | "
           "point estimate | poller, 1 check | poller, 5 checks |\n"
           "|---|---|---|---|---|---|---|---|\n",
           break_tick ? "after 30 good minutes" : "from the start");

    missed = 0;

    for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        row = &broken[i];

        run_row(sample, row, break_tick);
        printf("| %s | %g | %.1f |", row->name, row->rate,
               limit_of(row->share));

        for (j = 0; j < JUDGES; j++) {
            summaries[j] = summarize(sample, (judge_t) j);
            print_summary(&summaries[j], sample->runs);
        }

        printf("\n");

        missed |= check_broken(row, summaries, sample->runs, break_tick);
    }

    return missed;
}


/* Rulings of a canary that breaks count from then on. */

static void
run_row(sample_t *sample, const row_t *row, uint32_t break_tick)
{
    int        j;
    tick_t     tick;
    court_t    court;
    uint32_t   i, run;
    uint64_t   bad_before;
    ruling_t  *ruling;
    traffic_t  traffic;

    for (run = 0; run < sample->runs; run++) {
        traffic_init(&traffic, run, row->rate * TICK_SECONDS,
                     break_tick ? HEALTHY : row->share, row->repeats);
        traffic_have_clients(&traffic, row->visits, row->once);
        court_open(&court);
        bad_before = 0;

        for (i = 0; i < TICKS; i++) {
            if (break_tick && i == break_tick) {
                traffic_change(&traffic, row->share);
                bad_before = court.bad;
            }

            traffic_tick(&traffic, &tick);

            if (!court_tick(&court, &tick)) {
                break;
            }
        }

        for (j = 0; j < JUDGES; j++) {
            ruling = &sample->rulings[j][run];

            *ruling = court.rulings[j];
            ruling->seconds -= break_tick * TICK_SECONDS;
            ruling->bad -= ruling->seconds > 0 ? bad_before : ruling->bad;
        }
    }
}


static summary_t
summarize(sample_t *sample, judge_t judge)
{
    uint32_t         i, n;
    summary_t        summary;
    const ruling_t  *ruling;

    memset(&summary, 0, sizeof(summary_t));
    n = 0;

    for (i = 0; i < sample->runs; i++) {
        ruling = &sample->rulings[judge][i];

        if (!ruling->rolled_back) {
            continue;
        }

        summary.rolled_back++;

        if (ruling->seconds <= 0) {
            summary.too_early++;
            continue;
        }

        summary.mean_bad += (double) ruling->bad;
        summary.max_bad = fmax(summary.max_bad, (double) ruling->bad);
        summary.mean_seconds += ruling->seconds;
        sample->sorted[n++] = (double) ruling->bad;
    }

    if (n == 0) {
        return summary;
    }

    summary.mean_bad /= n;
    summary.mean_seconds /= n;
    summary.p95_bad = percentile_95(sample->sorted, n);

    n = 0;

    for (i = 0; i < sample->runs; i++) {
        ruling = &sample->rulings[judge][i];

        if (ruling->rolled_back && ruling->seconds > 0) {
            sample->sorted[n++] = ruling->seconds;
        }
    }

    summary.p95_seconds = percentile_95(sample->sorted, n);

    return summary;
}


static int
compare_numbers(const void *a, const void *b)
{
    double  x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}


static double
percentile_95(double *values, uint32_t n)
{
    qsort(values, n, sizeof(double), compare_numbers);

    return values[(uint32_t) ceil(0.95 * n) - 1];
}


static void
print_summary(const summary_t *summary, uint32_t runs)
{
    if (summary->rolled_back == summary->too_early) {
        printf(" never |");
        return;
    }

    printf(summary->mean_bad < 100 ? " %.1f / %.0f" : " %.0f / %.0f",
           summary->mean_bad, summary->p95_bad);
    printf(summary->mean_seconds < 10 ? " (%.2g s)" : " (%.0f s)",
           summary->mean_seconds);

    if (summary->rolled_back < runs) {
        printf(", %.3g %% never",
               100.0 * (runs - summary->rolled_back) / runs);
    }

    if (summary->too_early) {
        printf(", %.3g %% before", 100.0 * summary->too_early / runs);
    }

    printf(" |");
}


/* What the manual promises of a broken canary. */

static int
check_broken(const row_t *row, const summary_t *summaries, uint32_t runs,
    uint32_t break_tick)
{
    int               missed;
    double            most;
    const summary_t  *attempts, *burst;

    attempts = &summaries[JUDGE_ATTEMPTS];
    burst = &summaries[JUDGE_BURST];

    missed = promise(attempts->rolled_back == runs
                     && burst->rolled_back == runs
                     && attempts->too_early + burst->too_early == 0,
                     "not rolled back in all rollouts, or too early", row);

    if (row->share == 1) {
        most = break_tick ? 10 : 4;
        missed |= promise(attempts->max_bad <= most,
                          "burst=0 takes too many", row);
    }

    if (row->share == 1 && row->rate == 100) {
        most = break_tick ? 1.1 : 0.5;
        missed |= promise(burst->p95_seconds <= most + 1e-9,
                          "burst=100ms takes too long", row);
    }

    if (break_tick == 0 && runs >= RUNS_FOR_MEANS) {
        most = 1.5 * limit_of(row->share) + 1;
        missed |= promise(attempts->mean_bad <= most,
                          "burst=0 takes too many on average", row);
    }

    return missed;
}


static int
promise(int kept, const char *what, const row_t *row)
{
    if (!kept) {
        fflush(stdout);
        fprintf(stderr, "MISSED: %s, %g attempts/s: %s\n", row->name,
                row->rate, what);
    }

    return !kept;
}


/*
 * No test of that confidence takes fewer bad attempts on average when it
 * starts with the break: ln(1/alpha) over the Kullback-Leibler divergence of
 * the canary's rate from the threshold (Wald), times the rate.
 */

static double
limit_of(double share)
{
    double  divergence;

    divergence = share * log(share / THRESHOLD);

    if (share < 1) {
        divergence += (1 - share) * log((1 - share) / (1 - THRESHOLD));
    }

    return share * -log(1 - CONFIDENCE) / divergence;
}
