
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <math.h>
#include <string.h>

#include "canary_pace.h"


static const canary_pace_sample_t *
canary_pace_last(const canary_pace_t *pace)
{
    return &pace->samples[(pace->n - 1) % CANARY_PACES];
}


int
canary_pace_due(const canary_pace_t *pace, uint32_t step, uint64_t now)
{
    return pace->n == 0 || pace->step != step
           || now - canary_pace_last(pace)->ms >= CANARY_PACE_MS;
}


void
canary_pace_sample(canary_pace_t *pace, uint32_t step, uint64_t now,
    uint64_t begun)
{
    canary_pace_sample_t  *sample;

    /* the step began just before, with what there is by now */

    if (pace->n == 0 || pace->step != step) {
        memset(pace, 0, sizeof(canary_pace_t));
        pace->step = step;
        begun = 0;
    }

    sample = &pace->samples[pace->n % CANARY_PACES];
    sample->ms = now;
    sample->begun = begun;

    pace->n++;
}


const canary_pace_sample_t *
canary_pace_oldest(const canary_pace_t *pace)
{
    return &pace->samples[(pace->n < CANARY_PACES) ? 0
                                                   : pace->n % CANARY_PACES];
}


/* from the oldest sample that there is to now */

int64_t
canary_pace_seconds(const canary_pace_t *pace, uint32_t step, uint64_t now,
    uint64_t begun, uint64_t more)
{
    double                       seconds;
    const canary_pace_sample_t  *oldest;

    if (pace->n == 0 || pace->step != step) {
        return -1;
    }

    oldest = canary_pace_oldest(pace);

    if (begun <= oldest->begun || now <= oldest->ms) {
        return -1;
    }

    seconds = ceil((double) more * (double) (now - oldest->ms) / 1000
                   / (double) (begun - oldest->begun));

    return (seconds < 1e12) ? (int64_t) seconds : -1;
}
