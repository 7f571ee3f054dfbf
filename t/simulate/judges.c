
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "judges.h"


static void court_attempts(court_t *court, const tick_t *tick);
static void court_burst(court_t *court, const tick_t *tick);
static void court_point(court_t *court, const tick_t *tick);
static void court_poll(court_t *court, const tick_t *tick);
static void court_rule(court_t *court, judge_t judge, double ticks,
    uint64_t bad);


void
court_open(court_t *court)
{
    memset(court, 0, sizeof(court_t));

    canary_grid_init(&court->grid, THRESHOLD);
    canary_mixture_init(&court->attempts, STEPS, TICKS);
    run_init(&court->burst, TICKS);

    court->demand.evidence = EVIDENCE;
    court->demand.min_requests = 1;
    court->demand.min_bad = MIN_BAD;

    court->rule.kind = CANARY_RULE_ERROR_RATE;
    court->rule.threshold = (uint64_t) (THRESHOLD * CANARY_RATIO_ONE);
    court->rule.min_requests = POINT_MIN_REQUESTS;
}


int
court_tick(court_t *court, const tick_t *tick)
{
    int  i;

    if (court->ticks && court->ticks % (TICKS / STEPS) == 0) {
        canary_mixture_begin_step(&court->attempts);
        run_fold(&court->burst, &court->grid);
        canary_mixture_begin_step(&court->burst.mixture);
        court->burst.most = EVIDENCE;
        memset(&court->step, 0, sizeof(canary_counts_t));
    }

    court_attempts(court, tick);
    court_burst(court, tick);
    court_point(court, tick);
    court_poll(court, tick);

    court->bad += tick->bad;
    court->ticks++;

    for (i = 0; i < JUDGES; i++) {
        if (!court->rulings[i].rolled_back) {
            return 1;
        }
    }

    return 0;
}


/* As in the response phase: at bad responses, if they may matter. */

static void
court_attempts(court_t *court, const tick_t *tick)
{
    uint32_t          i;
    uint64_t          needed;
    canary_mixture_t  now;

    if (court->rulings[JUDGE_ATTEMPTS].rolled_back) {
        return;
    }

    needed = tick->bad ? canary_mixture_bad_needed(&court->attempts,
                                                   &court->grid,
                                                   court->demand.evidence)
                       : 1;

    for (i = 1; i <= tick->bad; i++) {
        if (i < needed || court->bad + i < MIN_BAD) {
            continue;
        }

        now = court->attempts;
        canary_mixture_fold_attempts(&now, &court->grid, tick->place[i - 1],
                                     i);

        if (canary_mixture_violated(&now, &court->grid, &court->demand, 1,
                                    court->bad + i))
        {
            court_rule(court, JUDGE_ATTEMPTS,
                       (double) tick->place[i - 1] / tick->attempts, i);
            return;
        }
    }

    canary_mixture_fold_attempts(&court->attempts, &court->grid,
                                 tick->attempts, tick->bad);
}


static void
court_burst(court_t *court, const tick_t *tick)
{
    if (court->rulings[JUDGE_BURST].rolled_back) {
        return;
    }

    if (run_add(&court->burst, &court->grid, tick->attempts, tick->bad)
        && court->bad + tick->bad >= MIN_BAD)
    {
        court_rule(court, JUDGE_BURST, 1, tick->bad);
    }
}


void
run_init(run_t *run, uint64_t ticks)
{
    canary_mixture_init(&run->mixture, STEPS, ticks);

    run->n = 0;
    run_have_share(run, 1);
}


void
run_have_share(run_t *run, double share)
{
    run->evidence = EVIDENCE / share;
    run->most = run->evidence;
}


void
run_fold(run_t *run, const canary_grid_t *grid)
{
    canary_mixture_fold_bursts(&run->mixture, grid, run->bursts, run->n);

    run->n = 0;
    run->most = canary_mixture_sum(&run->mixture)
                + (RUN_MAX + 1) / run->mixture.planned;
}


int
run_add(run_t *run, const canary_grid_t *grid, uint32_t n, uint32_t k)
{
    double  factor;

    factor = (k > THRESHOLD * n) ? k / (THRESHOLD * n) : 1;

    if (run->n == RUN_MAX || run->most * factor >= run->evidence) {
        run_fold(run, grid);
    }

    run->bursts[run->n].n = n;
    run->bursts[run->n++].k = k;
    run->most *= factor;

    if (run->most < run->evidence) {
        return 0;
    }

    run_fold(run, grid);

    return canary_mixture_sum(&run->mixture) >= run->evidence;
}


static void
court_point(court_t *court, const tick_t *tick)
{
    canary_judgement_t      judgement;
    canary_evidence_view_t  view = { .spent = 0 };

    if (court->rulings[JUDGE_POINT].rolled_back) {
        return;
    }

    court->step.started += tick->attempts;
    court->step.bad += tick->bad;

    view.failing = court->step;
    view.passing = court->step;

    canary_rule_judge(&court->rule, 0, &view, &judgement);

    if (judgement.verdict == CANARY_FAILING) {
        court_rule(court, JUDGE_POINT, 1, tick->bad);
    }
}


/* As such controllers do, it acts at the check after the one that failed. */

static void
court_poll(court_t *court, const tick_t *tick)
{
    court->polled += tick->attempts;
    court->polled_bad += tick->bad;

    if ((court->ticks + 1) % POLL_TICKS != 0) {
        return;
    }

    if (court->failed_checks >= 1) {
        court_rule(court, JUDGE_POLLER_1, 1, tick->bad);
    }

    if (court->failed_checks >= 5) {
        court_rule(court, JUDGE_POLLER_5, 1, tick->bad);
    }

    if ((double) court->polled_bad > THRESHOLD * (double) court->polled) {
        court->failed_checks++;
    }

    court->polled = 0;
    court->polled_bad = 0;
}


static void
court_rule(court_t *court, judge_t judge, double ticks, uint64_t bad)
{
    ruling_t  *ruling;

    ruling = &court->rulings[judge];

    if (!ruling->rolled_back) {
        ruling->rolled_back = 1;
        ruling->seconds = (court->ticks + ticks) * TICK_SECONDS;
        ruling->bad = court->bad + bad;
    }
}
