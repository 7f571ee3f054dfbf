
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_SEQUENTIAL_H
#define CANARY_SEQUENTIAL_H


#include <stdint.h>


/*
 * Evidence about a rate, that may be looked at as often as one likes.
 *
 * An attempt is bad or not.  A likelihood ratio of "bad with probability p1"
 * against "with p0" is on average at most 1 at every attempt that is bad with
 * probability p0 or less, whatever happened before.  Multiplied up, such
 * ratios are a supermartingale; so is a mixture of them over several p1
 * (Robbins, "Statistical methods related to the law of the iterated
 * logarithm", 1970).  By Ville's inequality (1939) it ever reaches 1/alpha
 * with probability alpha or less.  Such a number E is called an e-value; the
 * functions here give ln E.
 *
 * The alternatives are shifts of the log-odds:
 *
 *     u_j = 0.15 * (u_max / 0.15)^(j/7),  j = 0..7
 *     u_max = logit(0.999) - logit(p0)
 *     c_j = ln(1 + p0 * (exp(u_j) - 1))
 *
 * and the ratio of n attempts with k bad ones is exp(k u_j - n c_j).  For the
 * opposite, that the rate is below p0, as a promotion needs it:
 *
 *     v_i = 0.15 * (ln 1000 / 0.15)^(i/5),  i = 0..5
 *     d_i = -ln(1 + p0 * (exp(-v_i) - 1))
 *
 * with exp(n d_i - k v_i).  In all of this, more bad attempts than attempts
 * are taken for as many attempts: an outcome may come after its attempt was
 * accounted for.
 */

#define CANARY_ALTERNATIVES        8
#define CANARY_CLEAR_ALTERNATIVES  6

/* the greatest rate that can be proven to be exceeded */
#define CANARY_RATE_MAX            0.99

/* of a promotion */
#define CANARY_CLEAR_CONFIDENCE    0.95

/* "cannot be said", of a number of attempts */
#define CANARY_NEEDED_MAX          1000000000ull


/*
 * The alternatives to a rate p0: constants of a rule, made once when a
 * rollout begins.
 *
 * A p0 above CANARY_RATE_MAX is exceeded by nothing, and a p0 of 0 by
 * anything that is bad: canary_log_e_above and canary_mixture_violated know
 * that.  The alternatives are then those of the nearest p0 that has some.
 */

typedef struct {
    double  p0;
    double  u[CANARY_ALTERNATIVES];
    double  c[CANARY_ALTERNATIVES];

    double  good[CANARY_ALTERNATIVES];   /* exp(-c): of a good attempt */
    double  bad[CANARY_ALTERNATIVES];    /* exp(u - c): of a bad one */
    double  gain[CANARY_ALTERNATIVES];   /* bad - good */

    double  v[CANARY_CLEAR_ALTERNATIVES];
    double  d[CANARY_CLEAR_ALTERNATIVES];
} canary_grid_t;


/* p0: a rate, 0 to 1 */

void canary_grid_init(canary_grid_t *grid, double p0);


/* ln(1/alpha), what ln E has to reach; confidence = 1 - alpha, in (0, 1) */

double canary_log_e_limit(double confidence);


/*
 * ln E against "the rate is at most p0" and against "it is at least p0", of n
 * attempts with k bad ones since one start: any finite number.
 */

double canary_log_e_above(const canary_grid_t *grid, uint64_t n, uint64_t k);
double canary_log_e_below(const canary_grid_t *grid, uint64_t n, uint64_t k);


/*
 * One-sided bounds of the rate, each with this confidence at any time: the
 * greatest p0 that is proven to be exceeded, and the least that is proven not
 * to be reached (0 and 1 if there is none).  It takes some tens of
 * microseconds.  A confidence sequence (Howard, Ramdas, McAuliffe, Sekhon:
 * "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021).
 */

void canary_rate_bounds(uint64_t n, uint64_t k, double confidence,
    double *low, double *high);


/*
 * Whether n attempts of the current step with k bad ones prove, at the limit,
 * that the rate is below p0.  n and k are to include what is in flight for
 * unreasonably long, as bad.
 */

int canary_rate_clear(const canary_grid_t *grid, double limit,
    uint64_t min_requests, uint64_t n, uint64_t k);

/*
 * How many good attempts more it takes until that is so: 0 if it is,
 * CANARY_NEEDED_MAX if they are as many or no number is enough.
 */

uint64_t canary_rate_clear_needed(const canary_grid_t *grid, double limit,
    uint64_t min_requests, uint64_t n, uint64_t k);


/*
 * A boundary to compare counts with: the greatest n, up to 2^53, for which n
 * attempts with k bad ones still have an ln E of limit or more against "at
 * most p0"; 0 if there is none.  A test that starts with the weight w reaches
 * ln(1/alpha) where canary_log_e_above reaches ln(1/alpha) - ln(w).
 */

uint64_t canary_rate_attempts_max(const canary_grid_t *grid, double limit,
    uint64_t k);

/*
 * How many attempts, if all of them are bad, reach the limit;
 * CANARY_NEEDED_MAX if no number does.
 */

uint64_t canary_rate_all_bad(const canary_grid_t *grid, double limit);


#endif /* CANARY_SEQUENTIAL_H */
