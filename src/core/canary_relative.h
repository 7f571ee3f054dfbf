
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_RELATIVE_H
#define CANARY_RELATIVE_H


#include <stdint.h>

#include "canary_mixture.h"


/*
 * Tests of the canary against stable in the same period ("baseline=stable").
 *
 * They compare block by block: cohorts are put together until both releases
 * have an attempt.  The likelihood ratio of a block has, given what it
 * contains, a mean of at most 1 whatever the rate of stable is (Turner, Ly,
 * Grunwald: "Generic e-variables for exact sequential k-sample tests", 2024).
 * So no rate of stable has to be known, and none has to be constant: what
 * harms both alike proves nothing.  Blocks are folded into a canary_mixture_t.
 *
 * To favour the canary, an attempt of stable in flight is to be counted as
 * bad, and one of the canary as not bad.
 */

typedef struct {
    uint64_t  canary;         /* attempts */
    uint64_t  canary_bad;
    uint64_t  stable;
    uint64_t  stable_bad;
} canary_block_t;


/*
 * Constants of a rule "canary's rate is at most ratio * stable's + tolerance".
 *
 *     u_j = 0.15 * (ln 1000 / 0.15)^(j/7),  j = 0..7
 */

typedef struct {
    double    ratio;          /* above 0 */
    double    tolerance;      /* 0 to 1 */
    double    u[CANARY_ALTERNATIVES];
    double    gain[CANARY_ALTERNATIVES];    /* exp(u) - 1 */
} canary_relative_t;


void canary_relative_init(canary_relative_t *relative, double ratio,
    double tolerance);

void canary_block_add(canary_block_t *block, const canary_block_t *cohort);

/* Both releases have an attempt: there is something to compare. */

int canary_block_complete(const canary_block_t *block);


/*
 * ln of a block's likelihood ratios for rates of bad attempts, 0 for a block
 * that is not complete.  With nc, kc, ns, ks the counts of the block,
 *
 *     phi = ratio * nc / (ns + ratio * nc)
 *     d_j = ln(1 + phi * (exp(u_j) - 1))
 *     ln S_j = kc u_j - (kc + ks) d_j
 *              - tolerance * nc * (exp(u_j - d_j) - 1).
 */

void canary_relative_rates(const canary_relative_t *relative,
    const canary_block_t *block, double log_factors[CANARY_ALTERNATIVES]);

/*
 * The same for a quantile Q of latency.  Before a block, x is taken as
 * stable's Q of late; bad are the canary's times above ratio * x, rounded up
 * to the edge of a bucket, and stable's above x.  Under "the canary's Q is at
 * most ratio * stable's" the first are no more frequent than the second.  The
 * grid is that of p0 = p = 1 - Q.
 *
 *     theta = p exp(u_j) / (1 - p + p exp(u_j))
 *     m = (nc theta + ns p) / (nc + ns)
 *     ln S_j = kc ln(theta / m) + (nc - kc) ln((1 - theta) / (1 - m))
 *              + ks ln(p / m) + (ns - ks) ln((1 - p) / (1 - m))
 */

void canary_relative_latencies(const canary_grid_t *grid,
    const canary_block_t *block, double log_factors[CANARY_ALTERNATIVES]);

/* The bucket whose high edge is the limit of the canary's times. */

uint32_t canary_relative_limit(uint32_t stable_us, double ratio);


/*
 * Folds a complete block into the mixture, and makes it an empty one; does
 * nothing if it is not complete.
 */

void canary_relative_fold_rates(canary_mixture_t *mixture,
    const canary_relative_t *relative, canary_block_t *block);
void canary_relative_fold_latencies(canary_mixture_t *mixture,
    const canary_grid_t *grid, canary_block_t *block);


#endif /* CANARY_RELATIVE_H */
