
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Groups of cases that come from counts alone. */


#include <math.h>

#include "canary_mixture.h"
#include "canary_relative.h"
#include "canary_rule.h"

#include "vectors.h"


#define FAST_TABLE  32


static canary_grid_t
grid_of(vector_t *vector, const char *name)
{
    canary_grid_t  grid;

    canary_grid_init(&grid, vector_number(vector, vector->in, name));

    return grid;
}


/* ln E that a test of that weight needs */

static double
limit_of(vector_t *vector, double weight)
{
    return canary_log_e_limit(vector_number(vector, vector->in,
                                            "confidence"))
           - log(weight);
}


static void
run_grid(vector_t *vector)
{
    canary_grid_t  grid = grid_of(vector, "p0");

    vector_expect_array(vector, "u", grid.u, CANARY_ALTERNATIVES);
    vector_expect_array(vector, "c", grid.c, CANARY_ALTERNATIVES);
}


static void
run_log_e_above(vector_t *vector)
{
    canary_grid_t  grid = grid_of(vector, "p0");

    vector_expect(vector, "log_e",
                  canary_log_e_above(&grid,
                                     vector_count(vector, vector->in, "n"),
                                     vector_count(vector, vector->in, "k")));
}


static void
run_log_e_below(vector_t *vector)
{
    canary_grid_t  grid = grid_of(vector, "p0");

    vector_expect(vector, "log_e",
                  canary_log_e_below(&grid,
                                     vector_count(vector, vector->in, "n"),
                                     vector_count(vector, vector->in, "k")));
}


static void
run_bounds(vector_t *vector)
{
    double  high, low, tolerance;

    canary_rate_bounds(vector_count(vector, vector->in, "n"),
                       vector_count(vector, vector->in, "k"),
                       vector_number(vector, vector->in, "confidence"),
                       &low, &high);

    tolerance = vector_number(vector, vector->out, "rel_tol");

    vector_expect_relative(vector, "lower", low, tolerance);
    vector_expect_relative(vector, "upper", high, tolerance);
}


static void
run_fast_table(vector_t *vector)
{
    int            k;
    double         limit, n_max[FAST_TABLE];
    canary_grid_t  grid = grid_of(vector, "p0");

    limit = limit_of(vector, vector_number(vector, vector->in, "weight"));

    for (k = 1; k <= FAST_TABLE; k++) {
        n_max[k - 1] = (double) canary_rate_attempts_max(&grid, limit,
                                                         (uint64_t) k);
    }

    vector_expect_array(vector, "n_max", n_max, FAST_TABLE);
}


static void
run_all_bad(vector_t *vector)
{
    canary_grid_t  grid = grid_of(vector, "p0");

    vector_expect(vector, "requests",
                  (double) canary_rate_all_bad(&grid, limit_of(vector, 0.5)));
}


static void
run_two_sample_block(vector_t *vector)
{
    double             log_s[CANARY_ALTERNATIVES];
    canary_block_t     block;
    canary_relative_t  relative;

    canary_relative_init(&relative,
                         vector_number(vector, vector->in, "rho"),
                         vector_number(vector, vector->in, "delta"));

    block.canary = vector_count(vector, vector->in, "nc");
    block.canary_bad = vector_count(vector, vector->in, "kc");
    block.stable = vector_count(vector, vector->in, "ns");
    block.stable_bad = vector_count(vector, vector->in, "ks");

    canary_relative_rates(&relative, &block, log_s);

    vector_expect_array(vector, "log_s", log_s, CANARY_ALTERNATIVES);
}


static void
run_two_sample_latency_block(vector_t *vector)
{
    double          log_s[CANARY_ALTERNATIVES];
    canary_grid_t   grid = grid_of(vector, "p");
    canary_block_t  block;

    block.canary = vector_count(vector, vector->in, "nc");
    block.canary_bad = vector_count(vector, vector->in, "kc");
    block.stable = vector_count(vector, vector->in, "ns");
    block.stable_bad = vector_count(vector, vector->in, "ks");

    canary_relative_latencies(&grid, &block, log_s);

    vector_expect_array(vector, "log_s", log_s, CANARY_ALTERNATIVES);
}


static void
run_threshold_decision(vector_t *vector)
{
    canary_rule_t           rule;
    canary_judgement_t      judgement;
    canary_evidence_view_t  view = { 0 };

    static const char *const  decisions[] = {
        [CANARY_UNDECIDED] = "inconclusive",
        [CANARY_PASSING] = "pass",
        [CANARY_FAILING] = "violated"
    };

    rule.kind = CANARY_RULE_ERROR_RATE;
    rule.threshold = vector_count(vector, vector->in, "threshold_ppb");
    rule.min_requests = (uint32_t) vector_count(vector, vector->in,
                                                "min_requests");

    view.failing.started = vector_count(vector, vector->in, "n");
    view.failing.bad = vector_count(vector, vector->in, "k");
    view.passing = view.failing;

    canary_rule_judge(&rule, 0, &view, &judgement);

    vector_expect_string(vector, "decision", decisions[judgement.verdict]);
}


static void
run_confidence_decision(vector_t *vector)
{
    double            confidence;
    uint64_t          k, n;
    const char       *decision;
    canary_grid_t     grid = grid_of(vector, "p0");
    canary_demand_t   demand;
    canary_mixture_t  mixture;

    n = vector_count(vector, vector->in, "n");
    k = vector_count(vector, vector->in, "k");

    confidence = vector_number(vector, vector->in, "confidence");
    demand.evidence = exp(canary_log_e_limit(confidence));
    demand.min_requests = vector_count(vector, vector->in, "min_requests");
    demand.min_bad = vector_count(vector, vector->in, "min_bad");

    canary_mixture_init(&mixture,
                        (uint32_t) vector_count(vector, vector->in, "steps"),
                        vector_count(vector, vector->in, "ticks_planned"));
    canary_mixture_fold_attempts(&mixture, &grid, n, k);

    confidence = vector_number(vector, vector->in, "promote_confidence");

    if (canary_mixture_violated(&mixture, &grid, &demand, n, k)) {
        decision = "violated";

    } else if (canary_rate_clear(&grid, canary_log_e_limit(confidence),
                                 demand.min_requests, n, k))
    {
        decision = "clear";

    } else {
        decision = "inconclusive";
    }

    vector_expect_string(vector, "decision", decision);
}


/*
 * The mixture over all alternatives with a beta density, in closed form: what
 * the core could do instead of eight alternatives.  It is no part of the core.
 */

static void
run_beta_binomial(vector_t *vector)
{
    double  a, b, good, k, n, p0;

    n = vector_number(vector, vector->in, "n");
    k = vector_number(vector, vector->in, "k");
    p0 = vector_number(vector, vector->in, "p0");
    a = vector_number(vector, vector->in, "a");
    b = vector_number(vector, vector->in, "b");
    good = n - k;

    vector_expect(vector, "log_e",
                  lgamma(k + a) + lgamma(good + b) - lgamma(n + a + b)
                  - lgamma(a) - lgamma(b) + lgamma(a + b)
                  - k * log(p0) - good * log1p(-p0));
}


const vector_group_t  vector_groups_counts[] = {
    { "grid", run_grid },
    { "log_e_above", run_log_e_above },
    { "log_e_below", run_log_e_below },
    { "bounds", run_bounds },
    { "fast_table", run_fast_table },
    { "all_bad", run_all_bad },
    { "two_sample_block", run_two_sample_block },
    { "two_sample_latency_block", run_two_sample_latency_block },
    { "threshold_decision", run_threshold_decision },
    { "confidence_decision", run_confidence_decision },
    { "beta_binomial", run_beta_binomial },
    { NULL, NULL }
};
