
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Groups of cases that follow a rollout from cohort to cohort. */


#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "canary_mixture.h"
#include "canary_relative.h"

#include "vectors.h"


#define MIN_BAD  3


/* A test of one rule, as "in" describes it. */

typedef struct {
    int               burst;
    canary_grid_t     grid;
    canary_mixture_t  mixture;
} path_test_t;


typedef struct {
    uint64_t  n;
    uint64_t  k;
    int       begins_step;
} cohort_t;


/* Cohorts by tick, the first folded ones of which are folded for good. */

typedef struct {
    path_test_t   test;
    cohort_t     *cohorts;       /* the last one is that of now */
    size_t        current;
    size_t        folded;
    size_t        keep;
    size_t       *cohort_of;     /* of each attempt */
    size_t        attempts;
} ledger_t;


static uint64_t
count_at(vector_t *vector, const cJSON *array, int i)
{
    double  value;

    value = vector_item(vector, array, i);

    if (!(value >= 0 && value <= 9007199254740992.0)) {
        vector_fail(vector, "%g is no count", value);
        return 0;
    }

    return (uint64_t) value;
}


static void
init_mixture(vector_t *vector, canary_mixture_t *mixture)
{
    canary_mixture_init(mixture,
                        (uint32_t) vector_count(vector, vector->in, "steps"),
                        vector_count(vector, vector->in, "ticks_planned"));
}


static void
init_test(vector_t *vector, path_test_t *test)
{
    test->burst = vector_flag(vector, vector->in, "burst");
    canary_grid_init(&test->grid, vector_number(vector, vector->in, "p0"));
    init_mixture(vector, &test->mixture);
}


static void
fold(path_test_t *test, const cohort_t *cohort)
{
    if (cohort->begins_step) {
        canary_mixture_begin_step(&test->mixture);
    }

    if (test->burst) {
        canary_mixture_fold_burst(&test->mixture, &test->grid, cohort->n,
                                  cohort->k);

    } else {
        canary_mixture_fold_attempts(&test->mixture, &test->grid, cohort->n,
                                     cohort->k);
    }
}


/* "first_violation" has the index of a cohort, or null, by confidence. */

static void
expect_first(vector_t *vector, const cJSON *expected, int first)
{
    if (cJSON_IsNull(expected) ? first != -1
                               : !cJSON_IsNumber(expected)
                                 || first != expected->valuedouble)
    {
        vector_fail(vector, "first_violation at %s: expected %g, got %d",
                    expected->string,
                    cJSON_IsNull(expected) ? -1 : expected->valuedouble,
                    first);
    }
}


static int
first_violation(vector_t *vector, double confidence)
{
    int              i;
    uint64_t         k, n;
    cohort_t         cohort;
    path_test_t      test;
    const cJSON     *item;
    canary_demand_t  demand;

    init_test(vector, &test);

    demand.evidence = exp(canary_log_e_limit(confidence));
    demand.min_requests = 1;
    demand.min_bad = MIN_BAD;

    n = 0;
    k = 0;
    i = 0;

    cJSON_ArrayForEach(item, vector_array(vector, vector->in, "cohorts")) {
        cohort.n = count_at(vector, item, 0);
        cohort.k = count_at(vector, item, 1);
        cohort.begins_step = vector_item(vector, item, 2) != 0;

        fold(&test, &cohort);

        n += cohort.n;
        k += cohort.k;

        if (canary_mixture_violated(&test.mixture, &test.grid, &demand, n, k))
        {
            return i;
        }

        i++;
    }

    return -1;
}


static void
run_one_sample_path(vector_t *vector)
{
    int           i;
    cohort_t      cohort;
    path_test_t   test;
    const cJSON  *first, *item;

    init_test(vector, &test);
    i = 0;

    cJSON_ArrayForEach(item, vector_array(vector, vector->in, "cohorts")) {
        cohort.n = count_at(vector, item, 0);
        cohort.k = count_at(vector, item, 1);
        cohort.begins_step = vector_item(vector, item, 2) != 0;

        fold(&test, &cohort);

        vector_expect_item(vector, "log_e", i++,
                           canary_mixture_log_e(&test.mixture));
    }

    vector_expect_length(vector, "log_e", i);

    first = cJSON_GetObjectItemCaseSensitive(vector->out, "first_violation");

    if (!cJSON_IsObject(first)) {
        vector_fail(vector, "\"first_violation\" is no object");
        return;
    }

    cJSON_ArrayForEach(item, first) {
        expect_first(vector, item,
                     first_violation(vector, strtod(item->string, NULL)));
    }
}


static void
run_two_sample_path(vector_t *vector)
{
    int                 i;
    double              p;
    const cJSON        *item;
    canary_grid_t       grid;
    canary_block_t      block, cohort;
    canary_mixture_t    mixture;
    canary_relative_t   relative;

    canary_relative_init(&relative,
                         vector_number(vector, vector->in, "rho"),
                         vector_number(vector, vector->in, "delta"));

    item = cJSON_GetObjectItemCaseSensitive(vector->in, "latency_p");
    p = cJSON_IsNull(item) ? 0
                           : vector_number(vector, vector->in, "latency_p");

    canary_grid_init(&grid, p);
    init_mixture(vector, &mixture);
    memset(&block, 0, sizeof(canary_block_t));
    i = 0;

    cJSON_ArrayForEach(item, vector_array(vector, vector->in, "cohorts")) {
        cohort.canary = count_at(vector, item, 0);
        cohort.canary_bad = count_at(vector, item, 1);
        cohort.stable = count_at(vector, item, 2);
        cohort.stable_bad = count_at(vector, item, 3);

        if (vector_item(vector, item, 4) != 0) {
            memset(&block, 0, sizeof(canary_block_t));
            canary_mixture_begin_step(&mixture);
        }

        canary_block_add(&block, &cohort);

        if (p > 0) {
            canary_relative_fold_latencies(&mixture, &grid, &block);

        } else {
            canary_relative_fold_rates(&mixture, &relative, &block);
        }

        vector_expect_item(vector, "log_e", i++,
                           canary_mixture_log_e(&mixture));
    }

    vector_expect_length(vector, "log_e", i);
}


/* In the "burst" form a cohort is an observation only once it is closed. */

static double
ledger_log_e(const ledger_t *ledger)
{
    size_t       end, i;
    path_test_t  test;

    test = ledger->test;
    end = ledger->current + !test.burst;

    for (i = ledger->folded; i < end; i++) {
        fold(&test, &ledger->cohorts[i]);
    }

    return canary_mixture_log_e(&test.mixture);
}


static void
ledger_tick(ledger_t *ledger, int begins_step)
{
    ledger->current++;
    ledger->cohorts[ledger->current].begins_step = begins_step;

    while (ledger->folded < ledger->current
           && ledger->current - ledger->folded >= ledger->keep)
    {
        fold(&ledger->test, &ledger->cohorts[ledger->folded]);
        ledger->folded++;
    }
}


/* What comes when its cohort has been folded for good is too late. */

static void
ledger_finish(vector_t *vector, ledger_t *ledger, uint64_t attempt, int bad)
{
    size_t  i;

    if (attempt >= ledger->attempts) {
        vector_fail(vector, "attempt %g ends, but never began",
                    (double) attempt);
        return;
    }

    i = ledger->cohort_of[attempt];

    if (i >= ledger->folded) {
        ledger->cohorts[i].k += (bad != 0);
    }
}


static void
run_ledger_events(vector_t *vector, ledger_t *ledger, const cJSON *events)
{
    int           i;
    const char   *what;
    const cJSON  *event;

    i = 0;

    cJSON_ArrayForEach(event, events) {
        what = cJSON_GetStringValue(cJSON_GetArrayItem(event, 0));

        if (what == NULL) {
            vector_fail(vector, "an event without a name");

        } else if (strcmp(what, "start") == 0) {
            ledger->cohorts[ledger->current].n++;
            ledger->cohort_of[ledger->attempts++] = ledger->current;

        } else if (strcmp(what, "finish") == 0) {
            ledger_finish(vector, ledger, count_at(vector, event, 1),
                          vector_item(vector, event, 2) != 0);

        } else if (strcmp(what, "tick") == 0) {
            ledger_tick(ledger, vector_item(vector, event, 1) != 0);

        } else if (strcmp(what, "eval") == 0) {
            vector_expect_item(vector, "log_e_at_eval", i++,
                               ledger_log_e(ledger));

        } else {
            vector_fail(vector, "unknown event \"%s\"", what);
        }
    }

    vector_expect_length(vector, "log_e_at_eval", i);
}


static void
run_ledger(vector_t *vector)
{
    size_t        size;
    ledger_t      ledger;
    const cJSON  *events;

    memset(&ledger, 0, sizeof(ledger_t));

    init_test(vector, &ledger.test);
    ledger.keep = vector_count(vector, vector->in, "keep");

    events = vector_array(vector, vector->in, "events");
    size = (size_t) cJSON_GetArraySize(events) + 1;

    ledger.cohorts = calloc(size, sizeof(cohort_t));
    ledger.cohort_of = calloc(size, sizeof(size_t));

    if (ledger.cohorts && ledger.cohort_of) {
        run_ledger_events(vector, &ledger, events);

    } else {
        vector_fail(vector, "no memory for %zu events", size);
    }

    free(ledger.cohorts);
    free(ledger.cohort_of);
}


const vector_group_t  vector_groups_paths[] = {
    { "one_sample_path", run_one_sample_path },
    { "two_sample_path", run_two_sample_path },
    { "ledger", run_ledger },
    { NULL, NULL }
};
