
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_histogram.h"
#include "canary_sequential.h"


static uint64_t canary_histogram_rank(uint64_t total, uint32_t quantile);


void
canary_histogram_merge(canary_histogram_t *sum, const canary_histogram_t *part)
{
    uint32_t  i;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        sum->counts[i] += part->counts[i];
    }
}


void
canary_histogram_subtract(canary_histogram_t *sum,
    const canary_histogram_t *part)
{
    uint32_t  i;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        sum->counts[i] -= part->counts[i];
    }
}


uint64_t
canary_histogram_total(const canary_histogram_t *histogram)
{
    uint32_t  i;
    uint64_t  total;

    total = 0;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        total += histogram->counts[i];
    }

    return total;
}


uint64_t
canary_histogram_above(const canary_histogram_t *histogram, uint32_t index)
{
    uint32_t  i;
    uint64_t  above;

    above = 0;

    for (i = index + 1; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        above += histogram->counts[i];
    }

    return above;
}


uint32_t
canary_histogram_quantile(const canary_histogram_t *histogram,
    uint32_t quantile)
{
    uint32_t  i;
    uint64_t  rank, seen, total;

    total = canary_histogram_total(histogram);

    if (total == 0) {
        return CANARY_HISTOGRAM_NONE;
    }

    rank = canary_histogram_rank(total, quantile);
    seen = histogram->counts[0];

    for (i = 0; seen < rank; /* void */) {
        seen += histogram->counts[++i];
    }

    return i;
}


static uint64_t
canary_histogram_rank(uint64_t total, uint32_t quantile)
{
    uint64_t  rank;

    /* ceil(total * quantile), with nothing that could overflow */

    rank = total / CANARY_QUANTILE_ONE * quantile
           + (total % CANARY_QUANTILE_ONE * quantile + CANARY_QUANTILE_ONE - 1)
             / CANARY_QUANTILE_ONE;

    return (rank == 0) ? 1 : (rank > total) ? total : rank;
}


void
canary_histogram_bounds(const canary_histogram_t *histogram,
    uint32_t quantile, double confidence, canary_quantile_bounds_t *bounds)
{
    int            proven;
    double         limit;
    uint32_t       i;
    uint64_t       above, total;
    canary_grid_t  grid;

    bounds->low = 0;
    bounds->high = 0;
    bounds->unbounded = 1;

    total = canary_histogram_total(histogram);
    limit = canary_log_e_limit(confidence);
    above = total;
    proven = 0;

    canary_grid_init(&grid, ((double) CANARY_QUANTILE_ONE - quantile)
                            / CANARY_QUANTILE_ONE);

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {

        /* the same counts as at the edge before prove the same */

        if (i && histogram->counts[i] == 0) {
            if (proven) {
                bounds->low = canary_histogram_high(i);
            }

            continue;
        }

        above -= histogram->counts[i];

        proven = canary_log_e_above(&grid, total, above) >= limit;

        if (proven) {
            bounds->low = canary_histogram_high(i);

        } else if (canary_log_e_below(&grid, total, above) >= limit) {
            bounds->high = canary_histogram_high(i);
            bounds->unbounded = 0;
            return;
        }
    }
}


int
canary_histogram_is_full(const uint32_t counts[CANARY_HISTOGRAM_BUCKETS],
    const uint32_t *base)
{
    uint32_t  i;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        if (counts[i] - (base ? base[i] : 0) >= 1u << 31) {
            return 1;
        }
    }

    return 0;
}


void
canary_histogram_halve(const uint32_t counts[CANARY_HISTOGRAM_BUCKETS],
    uint32_t base[CANARY_HISTOGRAM_BUCKETS])
{
    uint32_t  i;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        base[i] += (counts[i] - base[i]) / 2;
    }
}
