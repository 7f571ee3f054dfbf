
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_buckets.h"


const uint32_t  canary_bucket_edges[CANARY_BUCKETS] = {
    1u << 7, 1u << 8, 1u << 9,
    1u << 10, 3u << 9, 1u << 11, 3u << 10, 1u << 12, 3u << 11, 1u << 13,
    3u << 12, 1u << 14, 3u << 13, 1u << 15, 3u << 14, 1u << 16, 3u << 15,
    1u << 17, 3u << 16, 1u << 18, 3u << 17, 1u << 19, 3u << 18, 1u << 20,
    3u << 19, 1u << 21, 3u << 20, 1u << 22, 3u << 21, 1u << 23,
    1u << 24, 1u << 25, 1u << 26
};


uint32_t
canary_bucket(uint32_t index)
{
    uint32_t  i, low;

    low = canary_histogram_low(index);

    for (i = 0; i < CANARY_BUCKETS; i++) {
        if (low < canary_bucket_edges[i]) {
            break;
        }
    }

    return i;
}


void
canary_buckets_add(uint64_t buckets[CANARY_BUCKETS + 1],
    const uint32_t counts[CANARY_HISTOGRAM_BUCKETS])
{
    uint32_t  i, bucket;

    bucket = 0;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {

        while (bucket < CANARY_BUCKETS
               && canary_histogram_low(i) >= canary_bucket_edges[bucket])
        {
            bucket++;
        }

        buckets[bucket] += counts[i];
    }
}
