
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "late.h"
#include "service.h"


#define RATE     100          /* attempts per second */
#define LIMIT    0.1          /* bad attempts of all */
#define QUICK    20           /* as many runs, of what is quick to simulate */
#define MINUTES  5            /* a rollout takes, or is good */
#define FEWER    10           /* so many times, where few runs tell enough */


/* A service, without what is different in each column. */

typedef struct {
    const char  *what;
    const char  *rule;
    double       threshold;
    uint32_t     patience;    /* ms */
    uint32_t     header;      /* ms, see service_kind_t */
    uint32_t     good;
    uint32_t     bad;
    uint32_t     cold;
    uint32_t     warmup;
    uint32_t     times;       /* as many runs at the limit */
} late_t;


static int late_at_limit(service_t *service, uint32_t runs);
static int late_broken(service_t *service, uint32_t runs, uint32_t breaks);
static int late_cold(service_t *service, uint32_t runs);
static service_kind_t late_kind(const late_t *late, uint32_t burst,
    double share);
static uint32_t late_count(service_t *service, const service_kind_t *kind,
    uint32_t runs);
static int late_delay(service_t *service, const service_kind_t *kind,
    uint32_t runs);
static int compare_delays(const void *a, const void *b);


static const uint32_t  bursts[] = { 0, 100 };

static const late_t  lates[] = {
    { "answered within 50 ms", "match_rate", LIMIT, 10000,
      0, 50, 50, 0, 0, QUICK },
    { "known after 15 s", "match_rate", LIMIT, 10000,
      50, 15000, 15000, 0, 0, 1 },
    { "known after 15 s", "match_rate", LIMIT, 120000,
      50, 15000, 15000, 0, 0, 1 },
    { "15 s long, who leaves does so after 2 s", "abandoned_rate", LIMIT,
      10000, 50, 15000, 2000, 0, 0, 1 },
    { "15 s long, who leaves does so after 2 s", "abandoned_rate", LIMIT,
      120000, 50, 15000, 2000, 0, 0, 1 },
    { "answered after 15 s, bad ones at once", "error_5xx_rate", LIMIT, 10000,
      0, 15000, 50, 0, 0, 1 },
    { "answered after 15 s, bad ones at once", "error_5xx_rate", LIMIT,
      120000, 0, 15000, 50, 0, 0, 1 },
    { "answered after 15 s", "error_5xx_rate", LIMIT, 120000,
      0, 15000, 15000, 0, 0, 1 },
    { "answered within 50 ms", "error_5xx_rate", LIMIT, 120000,
      0, 50, 50, 0, 0, 1 }
};

#define LATES  (sizeof(lates) / sizeof(lates[0]))

static const late_t  colds[] = {
    { "none", "latency_p90_max", 250, 10000, 0, 100, 500, 60000, 0, 1 },
    { "30 s", "latency_p90_max", 250, 10000, 0, 100, 500, 60000, 30000, 1 },
    { "70 s", "latency_p90_max", 250, 10000, 0, 100, 500, 60000, 70000, 1 }
};

#define COLDS  (sizeof(colds) / sizeof(colds[0]))


int
table_late(uint32_t runs)
{
    int         missed;
    service_t  *service;

    service = service_new();

    if (service == NULL) {
        fprintf(stderr, "no memory\n");
        return 1;
    }

    missed = late_at_limit(service, runs);
    missed |= late_broken(service, (runs + FEWER - 1) / FEWER, 0);
    missed |= late_broken(service, (runs + FEWER - 1) / FEWER,
                          MINUTES * 60000);
    missed |= late_cold(service, (runs + FEWER - 1) / FEWER);

    service_free(service);

    return missed;
}


static int
late_at_limit(service_t *service, uint32_t runs)
{
    int             missed;
    double          share;
    uint32_t        i, n, count, burst;
    service_kind_t  kind;

    printf("\nRollouts of %d minutes, %d attempts/s, a limit of %g %%; those "
           "that are rolled back:\n\n"
           "| rule | attempts | patience | bad | rollouts | burst=0 | "
           "burst=100ms |\n"
           "|---|---|---|---|---|---|---|\n",
           MINUTES, RATE, 100 * LIMIT);

    missed = 0;

    for (i = 0; i < 2 * LATES; i++) {
        share = (i % 2) ? LIMIT : 0.5 * LIMIT;
        n = (i % 2) ? runs * lates[i / 2].times
                    : (runs + FEWER - 1) / FEWER;

        printf("| `%s` | %s | %u s | %g %% | %u |", lates[i / 2].rule,
               lates[i / 2].what, (unsigned) (lates[i / 2].patience / 1000),
               100 * share, (unsigned) n);

        for (burst = 0; burst < 2; burst++) {
            kind = late_kind(&lates[i / 2], bursts[burst], share);
            count = late_count(service, &kind, n);
            printf(" %u, %.3g %% |", (unsigned) count, 100.0 * count / n);
            fflush(stdout);

            /* at the limit one of 1,000 on average, give or take */

            if (count > ((i % 2) ? n / 1000.0 + 3 * sqrt(n / 1000.0) : 0)) {
                fprintf(stderr, "MISSED: too many are rolled back\n");
                missed = 1;
            }
        }

        printf("\n");
    }

    return missed;
}


static int
late_broken(service_t *service, uint32_t runs, uint32_t breaks)
{
    int             missed;
    double          share;
    uint32_t        i, burst;
    service_kind_t  kind;

    printf("\nSeconds until one is rolled back that is bad %s, mean / 95th "
           "percentile of %u:\n\n"
           "| rule | attempts | patience | bad | burst=0 | burst=100ms |\n"
           "|---|---|---|---|---|---|\n",
           breaks ? "after so many good minutes" : "from the start",
           (unsigned) runs);

    missed = 0;

    for (i = 0; i < 2 * LATES; i++) {
        share = (i % 2) ? 2 * LIMIT : 1;

        printf("| `%s` | %s | %u s | %g %% |", lates[i / 2].rule,
               lates[i / 2].what, (unsigned) (lates[i / 2].patience / 1000),
               100 * share);

        for (burst = 0; burst < 2; burst++) {
            kind = late_kind(&lates[i / 2], bursts[burst],
                             breaks ? 0.1 * LIMIT : share);
            kind.breaks = breaks;
            kind.broken = share;
            kind.length = 4 * (breaks + MINUTES * 60000);
            missed |= late_delay(service, &kind, runs);
        }

        printf("\n");
    }

    return missed;
}


/* all take too long at first; then none does, a tenth, or all */

static int
late_cold(service_t *service, uint32_t runs)
{
    int             missed;
    uint32_t        i, count;
    service_kind_t  kind;

    printf("\n`latency_p90_max` of 250 ms, of canaries that take 1 s for an "
           "answer in their first minute, and 100 ms then; that take more "
           "than 250 ms for a tenth of them then; or for all; %u each:\n\n"
           "| warm-up | good ones rolled back | at the limit | bad from then "
           "on, seconds since the start |\n"
           "|---|---|---|---|\n", (unsigned) runs);

    missed = 0;

    for (i = 0; i < COLDS; i++) {
        kind = late_kind(&colds[i], 100, 0);
        count = late_count(service, &kind, runs);
        missed |= (count != 0) == (colds[i].warmup >= colds[i].cold);

        printf("| %s | %u |", colds[i].what, (unsigned) count);

        kind.share = LIMIT;
        printf(" %u |", (unsigned) late_count(service, &kind, runs));

        kind.share = 1;
        missed |= late_delay(service, &kind, runs);
        printf("\n");
    }

    if (missed) {
        fprintf(stderr, "MISSED: a cold start, with and without warm-up\n");
    }

    return missed;
}


static service_kind_t
late_kind(const late_t *late, uint32_t burst, double share)
{
    service_kind_t  kind;

    kind.rule = late->rule;
    kind.threshold = late->threshold;
    kind.burst = burst;
    kind.patience = late->patience;
    kind.warmup = late->warmup;
    kind.length = MINUTES * 60000;
    kind.rate = RATE;
    kind.share = share;
    kind.breaks = 0;
    kind.broken = share;
    kind.header = late->header;
    kind.good = late->good;
    kind.bad = late->bad;
    kind.cold = late->cold;

    return kind;
}


static uint32_t
late_count(service_t *service, const service_kind_t *kind, uint32_t runs)
{
    uint32_t  run, count;

    for (run = 0, count = 0; run < runs; run++) {
        count += (service_run(service, kind, run) >= 0);
    }

    return count;
}


static int
late_delay(service_t *service, const service_kind_t *kind, uint32_t runs)
{
    double    mean;
    int64_t  *delays;
    uint32_t  run, n, early;

    delays = malloc(runs * sizeof(int64_t));

    if (delays == NULL) {
        return 1;
    }

    for (run = 0, n = 0, early = 0, mean = 0; run < runs; run++) {
        delays[n] = service_run(service, kind, run);

        early += (delays[n] == 0);

        if (delays[n] > 0) {
            mean += (double) delays[n++] / 1000;
        }
    }

    if (n) {
        qsort(delays, n, sizeof(int64_t), compare_delays);
        printf(" %.3g / %.3g |", mean / n,
               (double) delays[(uint32_t) ceil(0.95 * n) - 1] / 1000);

    } else {
        printf(" never |");
    }

    fflush(stdout);
    free(delays);

    if (n < runs) {
        fprintf(stderr, "MISSED: of %u bad canaries %u were rolled back, %u "
                "before they were bad\n", (unsigned) runs, (unsigned) n,
                (unsigned) early);
    }

    return n < runs;
}


static int
compare_delays(const void *a, const void *b)
{
    int64_t  x = *(const int64_t *) a, y = *(const int64_t *) b;

    return (x > y) - (x < y);
}
