
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_PACE_H
#define CANARY_PACE_H


#include <stdint.h>


/*
 * How many attempts the canary gets in a time, so that people can be told how
 * long a rule that needs so many more has to wait.  Samples of how many were
 * begun in the step, one each CANARY_PACE_MS, by the control loop.
 */


#define CANARY_PACE_MS  5000
#define CANARY_PACES    13       /* samples, of a minute */


typedef struct {
    uint64_t  ms;                /* when */
    uint64_t  begun;             /* attempts in the step by then */
} canary_pace_sample_t;


/* All zero: there is no sample. */

typedef struct {
    uint32_t              step;  /* its number, which samples are of */
    uint32_t              n;     /* ever taken in it; the ring has the last */
    canary_pace_sample_t  samples[CANARY_PACES];
} canary_pace_t;


/* Whether a sample is due, so that whoever counts need not do so in vain. */

int canary_pace_due(const canary_pace_t *pace, uint32_t step, uint64_t now);

void canary_pace_sample(canary_pace_t *pace, uint32_t step, uint64_t now,
    uint64_t begun);

/* The first of those that are kept: there is one. */

const canary_pace_sample_t *canary_pace_oldest(const canary_pace_t *pace);

/*
 * In how many seconds so many more attempts will have begun, at the rate of
 * the last minute, or of the step if it is younger; -1: that is not known.
 */

int64_t canary_pace_seconds(const canary_pace_t *pace, uint32_t step,
    uint64_t now, uint64_t begun, uint64_t more);


#endif /* CANARY_PACE_H */
