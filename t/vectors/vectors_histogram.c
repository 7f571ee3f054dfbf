
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Groups of cases about histograms, and about the mean of one. */


#include <string.h>

#include "canary_average.h"
#include "canary_histogram.h"

#include "vectors.h"


/* From an array of [bucket, count]. */

static void
read_histogram(vector_t *vector, const cJSON *object,
    canary_histogram_t *histogram)
{
    double        count, index;
    const cJSON  *pair;

    memset(histogram, 0, sizeof(canary_histogram_t));

    cJSON_ArrayForEach(pair, vector_array(vector, object, "hist")) {
        index = vector_item(vector, pair, 0);
        count = vector_item(vector, pair, 1);

        if (!(index >= 0 && index < CANARY_HISTOGRAM_BUCKETS && count >= 0)) {
            vector_fail(vector, "[%g, %g] is no bucket and its count", index,
                        count);
            continue;
        }

        histogram->counts[(uint32_t) index] += (uint64_t) count;
    }
}


static void
run_index(vector_t *vector)
{
    uint32_t  index;

    index = canary_histogram_index(vector_count(vector, vector->in, "us"));

    vector_expect(vector, "index", index);
    vector_expect(vector, "low", canary_histogram_low(index));
    vector_expect(vector, "high", canary_histogram_high(index));
}


static void
run_quantile(vector_t *vector)
{
    double                    confidence;
    uint32_t                  index, quantile;
    canary_histogram_t        histogram;
    canary_quantile_bounds_t  bounds;

    read_histogram(vector, vector->in, &histogram);

    quantile = (uint32_t) vector_count(vector, vector->in, "quantile_ppb");
    confidence = vector_number(vector, vector->in, "confidence");

    index = canary_histogram_quantile(&histogram, quantile);
    canary_histogram_bounds(&histogram, quantile, confidence, &bounds);

    if (index == CANARY_HISTOGRAM_NONE) {
        vector_expect_none(vector, "low_us");
        vector_expect_none(vector, "high_us");

    } else {
        vector_expect(vector, "low_us", canary_histogram_low(index));
        vector_expect(vector, "high_us", canary_histogram_high(index));
    }

    vector_expect(vector, "lower_bound_us", bounds.low);

    if (bounds.unbounded) {
        vector_expect_none(vector, "upper_bound_us");

    } else {
        vector_expect(vector, "upper_bound_us", bounds.high);
    }
}


static void
run_average_path(vector_t *vector)
{
    int                  i;
    const cJSON         *tick;
    canary_average_t     average;
    canary_mixture_t     mixture;
    canary_histogram_t   times;

    canary_average_init(&average,
                        vector_number(vector, vector->in, "mu0_us"));
    canary_mixture_init(&mixture,
                        (uint32_t) vector_count(vector, vector->in, "steps"),
                        vector_count(vector, vector->in, "ticks_planned"));
    i = 0;

    cJSON_ArrayForEach(tick, vector_array(vector, vector->in, "ticks")) {
        if (vector_flag(vector, tick, "new_step")) {
            canary_mixture_begin_step(&mixture);
        }

        read_histogram(vector, tick, &times);
        canary_average_fold(&mixture, &average, &times);

        vector_expect_item(vector, "log_e", i++,
                           canary_mixture_log_e(&mixture));
    }

    vector_expect_length(vector, "log_e", i);
}


const vector_group_t  vector_groups_histogram[] = {
    { "hist_index", run_index },
    { "hist_quantile", run_quantile },
    { "average_path", run_average_path },
    { NULL, NULL }
};
