
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Evidence, compared with a list of attempts, whatever happens. */


#include <stdlib.h>

#include "evidence.h"


/*
 * A model: nothing but the list of attempts, and which cohort was the current
 * one when they began.
 *
 * It says in the words of the contract what a view should be, with no ring,
 * no differences and no settling.
 */


#define MODEL_ATTEMPTS  4000
#define MODEL_COHORTS   4000


typedef struct {
    canary_ticket_t  ticket;
    uint32_t         side;
    uint32_t         slot;
    uint32_t         tests;
    uint32_t         cohort;       /* in which it began */
    int              overdue;      /* in flight 10 s after its cohort */
    int              ended;
    canary_finish_t  finish;
    int              cut;
    int              late_time;
    uint64_t         time;
} model_attempt_t;


typedef struct {
    loop_t           loop;
    uint64_t         seed;

    model_attempt_t  attempts[MODEL_ATTEMPTS];
    uint32_t         nattempts;

    uint64_t         ended[MODEL_COHORTS];
    uint32_t         current;      /* cohort */
    uint32_t         number;       /* that it has in the evidence */
    uint32_t         tests;        /* of the current cohort */

    /* of the view that is being made */

    unsigned         side;
    uint32_t         in_flight[MODEL_COHORTS];
} model_t;


/* its end or its time is yet to come */

static int
model_open(const model_attempt_t *attempt)
{
    return !attempt->ended
           || (attempt->finish.untimed && !attempt->late_time);
}


static int
model_in_flight(const model_attempt_t *attempt)
{
    return model_open(attempt) && !attempt->overdue;
}


static void
model_tick(model_t *model)
{
    uint32_t          i, now;
    model_attempt_t  *attempt;

    for (i = 0; i < model->nattempts; i++) {
        attempt = &model->attempts[i];

        if (model_open(attempt) && attempt->cohort != model->current
            && model->loop.now - model->ended[attempt->cohort] >= 10000)
        {
            attempt->overdue = 1;
        }
    }

    now = (uint32_t) model->loop.evidence->now;

    if (now != model->number) {
        model->ended[model->current++] = model->loop.now;
        model->tests = model->loop.tests;
        model->number = now;
    }
}


/* Whether what was counted in a cohort counts, for passing. */

static int
model_counts(const model_t *model, uint32_t cohort)
{
    return model->in_flight[cohort] == 0;
}


static void
model_count_end(const model_attempt_t *attempt, canary_counts_t *counts)
{
    counts->started -= attempt->finish.voided;
    counts->bad_4xx += attempt->finish.bad_4xx;
    counts->bad_5xx += attempt->finish.bad_5xx;
    counts->bad += attempt->finish.bad_4xx || attempt->finish.bad_5xx;

    if (attempt->finish.timed) {
        counts->timed++;
        counts->time += attempt->finish.time;
    }
}


static void
model_count_cut(const model_attempt_t *attempt, canary_counts_t *counts)
{
    counts->bad_5xx++;
    counts->bad += !attempt->finish.bad_4xx;
}


static void
model_count_for_failing(const model_attempt_t *attempt,
    canary_counts_t *counts)
{
    counts->started++;

    if (attempt->ended) {
        model_count_end(attempt, counts);
    }

    if (attempt->cut) {
        model_count_cut(attempt, counts);
    }

    if (attempt->late_time) {
        counts->timed++;
        counts->time += attempt->time;
    }
}


static void
model_count_for_passing(const model_t *model, const model_attempt_t *attempt,
    canary_counts_t *counts)
{
    int  counts_here;

    counts_here = attempt->overdue || model_counts(model, attempt->cohort);

    if (counts_here) {
        counts->started++;
    }

    if (attempt->ended && counts_here) {
        model_count_end(attempt, counts);
    }

    if (!attempt->ended && attempt->overdue) {
        counts->bad_4xx++;
        counts->bad_5xx++;
        counts->bad++;
    }

    /* a body that breaks off is known whatever is in flight */

    if (attempt->cut) {
        model_count_cut(attempt, counts);
    }

    if (attempt->late_time && counts_here) {
        counts->timed++;
        counts->time += attempt->time;
    }
}


static canary_evidence_view_t
model_view(model_t *model, unsigned side)
{
    uint32_t                i;
    model_attempt_t        *attempt;
    canary_evidence_view_t  seen;

    memset(&seen, 0, sizeof(canary_evidence_view_t));
    memset(model->in_flight, 0, sizeof(uint32_t) * (model->current + 1));

    for (i = 0; i < model->nattempts; i++) {
        attempt = &model->attempts[i];

        if (attempt->side == side && model_in_flight(attempt)) {
            model->in_flight[attempt->cohort]++;
        }
    }

    for (i = 0; i < model->nattempts; i++) {
        attempt = &model->attempts[i];

        if (attempt->side != side) {
            continue;
        }

        seen.spent += (attempt->ended && attempt->finish.bad_5xx)
                      + attempt->cut;

        if (attempt->tests == model->tests) {
            seen.overdue += attempt->overdue && !attempt->ended;
            model_count_for_failing(attempt, &seen.failing);
            model_count_for_passing(model, attempt, &seen.passing);
        }
    }

    return seen;
}


static void
model_start(model_t *model)
{
    model_attempt_t  *attempt;

    if (model->nattempts == MODEL_ATTEMPTS) {
        return;
    }

    attempt = &model->attempts[model->nattempts++];
    memset(attempt, 0, sizeof(model_attempt_t));

    attempt->side = unit_below(&model->seed, CANARY_SIDES);
    attempt->slot = unit_below(&model->seed, SLOTS);
    attempt->tests = model->tests;
    attempt->cohort = model->current;

    attempt->ticket = begin_in(&model->loop, attempt->slot, attempt->side);
}


static void
model_finish(model_t *model, model_attempt_t *attempt)
{
    canary_finish_t  finish;

    memset(&finish, 0, sizeof(canary_finish_t));

    switch (unit_below(&model->seed, 6)) {

    case 0:
        finish.bad_4xx = 1;
        break;

    case 1:
        finish.bad_5xx = 1;
        break;

    case 2:
        finish.voided = 1;
        break;

    default:
        break;
    }

    finish.timed = unit_one_in(&model->seed, 2);
    finish.time = unit_below(&model->seed, 20000000);
    finish.untimed = !finish.timed && !finish.voided
                     && unit_one_in(&model->seed, 2);

    attempt->ended = 1;
    attempt->finish = finish;

    end(&model->loop, attempt->ticket, finish);
}


/* What may happen to a response after its header. */

static void
model_after(model_t *model, model_attempt_t *attempt)
{
    if (attempt->finish.voided) {
        return;
    }

    if (!attempt->cut && unit_one_in(&model->seed, 2)) {

        if (attempt->finish.bad_5xx) {
            canary_evidence_cut(model->loop.evidence, &attempt->ticket, 5);
            return;
        }

        attempt->cut = 1;

        canary_evidence_cut(model->loop.evidence, &attempt->ticket,
                            attempt->finish.bad_4xx ? 4 : 2);
        return;
    }

    if (attempt->finish.untimed && !attempt->late_time) {
        attempt->late_time = 1;
        attempt->time = unit_below(&model->seed, 20000000);

        canary_evidence_time(model->loop.evidence, &attempt->ticket,
                             attempt->time, 1);
    }
}


static void
model_go_on(model_t *model)
{
    model_attempt_t  *attempt;

    if (model->nattempts == 0) {
        return;
    }

    attempt = &model->attempts[unit_below(&model->seed, model->nattempts)];

    if (!attempt->ended) {
        model_finish(model, attempt);

    } else if (unit_one_in(&model->seed, 4)) {
        model_after(model, attempt);
    }
}


/* A process dies: what it had in flight is taken out, overdue or not. */

static void
model_reap(model_t *model)
{
    uint32_t          i, slot;
    model_attempt_t  *attempt;

    slot = unit_below(&model->seed, SLOTS);

    for (i = 0; i < model->nattempts; i++) {
        attempt = &model->attempts[i];

        if (attempt->slot == slot && !attempt->ended) {
            attempt->ended = 1;
            attempt->finish.voided = 1;
        }

        if (attempt->slot == slot && !attempt->late_time) {
            attempt->finish.untimed = 0;
        }
    }

    canary_evidence_reap(model->loop.evidence, slot);
}


static void
model_pass(model_t *model, uint64_t ms)
{
    if (model->current > MODEL_COHORTS - 10) {
        return;
    }

    model->loop.now += ms;
    tick(&model->loop);
    model_tick(model);
}


/* Something happens. */

static void
model_event(model_t *model)
{
    switch (unit_below(&model->seed, 100)) {

    case 0:
        model->loop.tests += 1 + unit_below(&model->seed, 2);
        model_pass(model, 0);
        break;

    case 1:
        model_pass(model, 1000 + unit_below(&model->seed, 12000));
        break;

    case 2:
        model_reap(model);
        break;

    default:
        switch (unit_below(&model->seed, 4)) {

        case 0:
            model_pass(model, unit_below(&model->seed, 120));
            break;

        case 1:
            model_start(model);
            break;

        default:
            model_go_on(model);
            break;
        }
        break;
    }
}


/* Attempts of the rollout before end in the one after it. */

static void
model_end_earlier(model_t *model, canary_ticket_t *earlier, uint32_t n)
{
    uint32_t         i;
    canary_ticket_t  ticket;

    i = unit_below(&model->seed, n);
    ticket = earlier[i];

    end(&model->loop, ticket, unit_one_in(&model->seed, 2) ? bad_5xx : good);
    canary_evidence_cut(model->loop.evidence, &ticket, 2);
}


static uint32_t
model_unended(const model_t *model, canary_ticket_t *tickets, uint32_t max)
{
    uint32_t  i, n;

    n = 0;

    for (i = 0; i < model->nattempts && n < max; i++) {
        if (!model->attempts[i].ended) {
            tickets[n++] = model->attempts[i].ticket;
        }
    }

    return n;
}


static void
any_events_in_any_order_agree_with_a_list_of_attempts(void **state)
{
    loop_t                  *loop = *state;
    model_t                 *model;
    uint32_t                 rollout, n, nearlier;
    unsigned                 side;
    canary_ticket_t          earlier[100];
    canary_evidence_view_t   seen, expected;

    model = calloc(1, sizeof(model_t));
    assert_non_null(model);

    model->loop = *loop;
    model->seed = 1;
    nearlier = 0;

    for (rollout = 0; rollout < 150; rollout++) {

        /* the number of the tests is any, see above */

        model->loop.tests = unit_below(&model->seed, 10);
        model->loop.now += unit_below(&model->seed, 1000);
        canary_evidence_begin(model->loop.evidence, model->loop.tests,
                              model->loop.now);

        model->nattempts = 0;
        model->current = 0;
        model->number = (uint32_t) model->loop.evidence->now;
        model->tests = model->loop.tests;

        for (n = 0; n < 600; n++) {
            model_event(model);

            if (nearlier && unit_one_in(&model->seed, 10)) {
                model_end_earlier(model, earlier, nearlier);
            }

            for (side = 0; side < CANARY_SIDES; side++) {
                seen = view_of(&model->loop, side);
                expected = model_view(model, side);
                assert_same_view(&seen, &expected);
            }
        }

        nearlier = model_unended(model, earlier, UNIT_LENGTH(earlier));
    }

    free(model);
}


int
main(void)
{
    const struct CMUnitTest  evidence[] = {
        evidence_test(any_events_in_any_order_agree_with_a_list_of_attempts)
    };

    return cmocka_run_group_tests(evidence, NULL, NULL);
}
