
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_fleet_share.h"

#include "fleet.h"
#include "judges.h"
#include "traffic.h"


#define FLEET_NODES      64
#define FLEET_RUNS       200     /* of a row of broken ones, at most */
#define FLEET_RUNS_FOR_MEDIANS  50   /* with fewer none is checked */
#define FLEET_RATE       100     /* attempts/s of all nodes together */
#define FLEET_TICKS      6000    /* 10 minutes: of a row at the threshold */

#define BLIP             0.0526316   /* chance of a tick to be bad everywhere:
                                        with 5 % bad else, exactly 10 % */
#define BLIP_ELSE        0.05

#define HEALTHY          0.01
#define NEVER            INFINITY


/* Shares of bad attempts: at some of the nodes, and at the others. */

typedef struct {
    const char  *name;
    double       some;         /* the part of nodes; 0: one of them */
    double       bad;
    double       others;
    double       blips;        /* chance of a tick in which all are bad */
    uint32_t     break_tick;   /* until then all are healthy */
    double       most;         /* s: promised of the median, for any number
                                  of nodes; 0: nothing is */
} fleet_row_t;


typedef struct {
    canary_grid_t    grid;
    poisson_t        poisson;
    random_t         random;
    uint32_t         nodes;
    uint32_t         n[FLEET_NODES];      /* attempts in the tick */
    uint32_t         k[FLEET_NODES];
    uint64_t         bad[FLEET_NODES];
    uint64_t         all_bad;
    run_t            common;
    run_t            own[FLEET_NODES];
} fleet_t;


static const uint32_t  sizes[] = { 1, 4, 16, 64 };

#define SIZES  (sizeof(sizes) / sizeof(sizes[0]))


static const fleet_row_t  at_limit[] = {
    { "independent", 1, THRESHOLD, 0, 0, 0, 0 },
    { "common blips", 1, BLIP_ELSE, 0, BLIP, 0, 0 }
};


static const fleet_row_t  broken[] = {
    { "100 % bad everywhere", 1, 1, 0, 0, 0, 0.5 },
    { "20 % everywhere", 1, 0.2, 0, 0, 0, 4 },
    { "12 % everywhere", 1, 0.12, 0, 0, 0, 75 },
    { "100 % everywhere after 30 min", 1, 1, 0, 0, 18000, 1.1 },
    { "20 % everywhere after 30 min", 1, 0.2, 0, 0, 18000, 9 },
    { "100 % at one node, 1 % at others", 0, 1, HEALTHY, 0, 0, 7 },
    { "30 % at one node", 0, 0.3, HEALTHY, 0, 0, 110 },
    { "50 % at a third of the nodes", 1 / 3.0, 0.5, HEALTHY, 0, 0, 7 },
    { "20 % at a third of the nodes", 1 / 3.0, 0.2, HEALTHY, 0, 0, 0 }
};


static int table_at_limit(fleet_t *fleet, uint32_t runs);
static int table_delays(fleet_t *fleet, uint32_t runs);
static double fleet_run(fleet_t *fleet, const fleet_row_t *row,
    uint64_t seed, uint32_t ticks);
static void fleet_begin(fleet_t *fleet, uint64_t seed);
static void fleet_begin_step(fleet_t *fleet);
static void fleet_tick(fleet_t *fleet, const fleet_row_t *row, uint32_t tick);
static int fleet_judge(fleet_t *fleet);
static int compare_seconds(const void *a, const void *b);
static void print_seconds(double seconds);


int
table_fleet(uint32_t runs)
{
    int  missed;

    static fleet_t  fleet;

    canary_grid_init(&fleet.grid, THRESHOLD);
    poisson_init(&fleet.poisson, FLEET_RATE * TICK_SECONDS);

    missed = table_delays(&fleet, (runs < FLEET_RUNS) ? runs : FLEET_RUNS);

    return missed | table_at_limit(&fleet, runs);
}


static int
table_at_limit(fleet_t *fleet, uint32_t runs)
{
    int       missed;
    size_t    i, size;
    uint32_t  run, fallen;

    printf("\nCanaries exactly at the threshold that are rolled back within "
           "10 minutes, of %u:\n\n| attempts |", runs);

    for (size = 0; size < SIZES; size++) {
        printf(" %u node%s |", sizes[size], size ? "s" : "");
    }

    printf("\n|---|---|---|---|---|\n");

    missed = 0;

    for (i = 0; i < sizeof(at_limit) / sizeof(at_limit[0]); i++) {
        printf("| %s |", at_limit[i].name);

        for (size = 0; size < SIZES; size++) {
            fleet->nodes = sizes[size];

            for (run = 0, fallen = 0; run < runs; run++) {
                fallen += fleet_run(fleet, &at_limit[i], run,
                                    FLEET_TICKS)
                          < NEVER;
            }

            printf(" %u, %.3g %% |", fallen, 100.0 * fallen / runs);
            fflush(stdout);

            /* 3 standard deviations more than 1 in 1,000 */

            if (fallen > runs / 1000.0 + 3 * sqrt(runs / 1000.0)) {
                missed = 1;
                fprintf(stderr, "MISSED: %s, %u nodes: more than 1 of 1,000 "
                        "are rolled back\n", at_limit[i].name, sizes[size]);
            }
        }

        printf("\n");
    }

    return missed;
}


static int
table_delays(fleet_t *fleet, uint32_t runs)
{
    int                 missed;
    size_t              i, size;
    uint32_t            run;
    const fleet_row_t  *row;

    static double  seconds[FLEET_RUNS];

    printf("\nSeconds until a canary is rolled back, all nodes together %d "
           "attempts/s, median / 95th percentile of %u:\n\n| canary |",
           FLEET_RATE, runs);

    for (size = 0; size < SIZES; size++) {
        printf(" %u node%s |", sizes[size], size ? "s" : "");
    }

    printf("\n|---|---|---|---|---|\n");

    missed = 0;

    for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        row = &broken[i];
        printf("| %s |", row->name);

        for (size = 0; size < SIZES; size++) {
            fleet->nodes = sizes[size];

            for (run = 0; run < runs; run++) {
                seconds[run] = fleet_run(fleet, row, run, TICKS)
                               - row->break_tick * TICK_SECONDS;
            }

            qsort(seconds, runs, sizeof(double), compare_seconds);
            print_seconds(seconds[runs / 2]);
            printf(" /");
            print_seconds(seconds[(uint32_t) ceil(0.95 * runs) - 1]);
            printf(" |");
            fflush(stdout);

            if (seconds[0] <= 0
                || (row->most > 0 && runs >= FLEET_RUNS_FOR_MEDIANS
                    && seconds[runs / 2] > row->most + 1e-9))
            {
                missed = 1;
                fprintf(stderr, "MISSED: %s, %u nodes: too late, or before "
                        "it is\n", row->name, sizes[size]);
            }
        }

        printf("\n");
    }

    return missed;
}


/* The seconds until it is rolled back; NEVER: not within so many ticks. */

static double
fleet_run(fleet_t *fleet, const fleet_row_t *row, uint64_t seed,
    uint32_t ticks)
{
    uint32_t  tick;

    fleet_begin(fleet, seed);

    for (tick = 0; tick < ticks; tick++) {

        if (tick && tick % (TICKS / STEPS) == 0) {
            fleet_begin_step(fleet);
        }

        fleet_tick(fleet, row, tick);

        if (fleet_judge(fleet)) {
            return (tick + 1) * TICK_SECONDS;
        }
    }

    return NEVER;
}


static void
fleet_begin(fleet_t *fleet, uint64_t seed)
{
    uint32_t  i, seats;

    seats = canary_fleet_seats(fleet->nodes);
    random_init(&fleet->random, seed);

    run_init(&fleet->common, TICKS);
    run_have_share(&fleet->common, canary_fleet_share(1));
    fleet->all_bad = 0;

    for (i = 0; i < fleet->nodes; i++) {
        run_init(&fleet->own[i], TICKS);
        run_have_share(&fleet->own[i], canary_fleet_node_share(1, seats));
        fleet->bad[i] = 0;
    }
}


static void
fleet_begin_step(fleet_t *fleet)
{
    uint32_t  i;

    run_fold(&fleet->common, &fleet->grid);
    canary_mixture_begin_step(&fleet->common.mixture);
    fleet->common.most = fleet->common.evidence;

    for (i = 0; i < fleet->nodes; i++) {
        run_fold(&fleet->own[i], &fleet->grid);
        canary_mixture_begin_step(&fleet->own[i].mixture);
        fleet->own[i].most = fleet->own[i].evidence;
    }
}


static void
fleet_tick(fleet_t *fleet, const fleet_row_t *row, uint32_t tick)
{
    int       blip;
    double    bad;
    uint32_t  n, node, some;

    memset(fleet->n, 0, fleet->nodes * sizeof(uint32_t));
    memset(fleet->k, 0, fleet->nodes * sizeof(uint32_t));

    some = (uint32_t) (row->some * fleet->nodes);
    some = some ? some : 1;

    blip = row->blips > 0 && random_unit(&fleet->random) < row->blips;

    for (n = poisson_next(&fleet->poisson, &fleet->random); n; n--) {
        node = (uint32_t) (random_unit(&fleet->random) * fleet->nodes);

        bad = (tick < row->break_tick) ? HEALTHY
              : (node < some) ? row->bad : row->others;

        fleet->n[node]++;
        fleet->k[node] += blip || random_unit(&fleet->random) < bad;
    }
}


static int
fleet_judge(fleet_t *fleet)
{
    int       broken;
    uint32_t  i, n, k;

    broken = 0;
    n = 0;
    k = 0;

    for (i = 0; i < fleet->nodes; i++) {

        if (fleet->n[i] == 0) {
            continue;
        }

        n += fleet->n[i];
        k += fleet->k[i];
        fleet->bad[i] += fleet->k[i];

        broken |= run_add(&fleet->own[i], &fleet->grid, fleet->n[i],
                          fleet->k[i])
                  && fleet->bad[i] >= MIN_BAD;
    }

    fleet->all_bad += k;

    if (n) {
        broken |= run_add(&fleet->common, &fleet->grid, n, k)
                  && fleet->all_bad >= MIN_BAD;
    }

    return broken;
}


static int
compare_seconds(const void *a, const void *b)
{
    double  x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}


static void
print_seconds(double seconds)
{
    if (isinf(seconds)) {
        printf(" never");

    } else {
        printf(seconds < 10 ? " %.1f" : " %.0f", seconds);
    }
}
