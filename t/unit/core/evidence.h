
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef UNIT_EVIDENCE_H
#define UNIT_EVIDENCE_H


/*
 * What the tests of the evidence of a rollout share: what is counted, when,
 * and against whom.  Times are milliseconds of no clock at all.
 */


#include <string.h>

#include "canary_evidence.h"
#include "canary_evidence_count.h"
#include "canary_evidence_last.h"
#include "canary_evidence_places.h"
#include "canary_evidence_settle.h"
#include "canary_evidence_sum.h"
#include "canary_evidence_view.h"

#include "memory.h"
#include "unit.h"


#define SLOTS     3
#define BEGIN     1000000
#define TESTS     7

#define STABLE    CANARY_SIDE_STABLE
#define CANARY    CANARY_SIDE_CANARY


/* Evidence with a clock, as a control loop keeps it. */

typedef struct {
    canary_evidence_t  *evidence;
    uint32_t            tests;
    uint64_t            now;
} loop_t;


static const canary_finish_t  good = { 0 };
static const canary_finish_t  bad_4xx = { .bad_4xx = 1 };
static const canary_finish_t  bad_5xx = { .bad_5xx = 1 };
static const canary_finish_t  voided = { .voided = 1 };
static const canary_finish_t  untimed = { .untimed = 1 };


static inline canary_evidence_t *
new_evidence(uint32_t nslots)
{
    return unit_evidence(nslots, nslots);
}


static inline int
setup(void **state)
{
    loop_t  *loop;

    loop = calloc(1, sizeof(loop_t));
    assert_non_null(loop);

    loop->evidence = new_evidence(SLOTS);
    loop->tests = TESTS;
    loop->now = BEGIN;

    canary_evidence_begin(loop->evidence, loop->tests, loop->now);

    *state = loop;

    return 0;
}


static inline int
teardown(void **state)
{
    loop_t  *loop = *state;

    unit_free_evidence(loop->evidence);
    free(loop);

    return 0;
}


static inline void
tick(loop_t *loop)
{
    canary_cohort_view_t  cohort;

    canary_evidence_tick(loop->evidence, loop->tests, loop->now);

    while (canary_evidence_fold(loop->evidence, loop->now, &cohort)) {
        /* void */
    }
}


/* The control loop, at least every 50 ms. */

static inline void
pass(loop_t *loop, uint64_t ms)
{
    uint64_t  step;

    while (ms) {
        step = (ms < 50) ? ms : 50;

        ms -= step;
        loop->now += step;

        tick(loop);
    }
}


/* New tests: another step of the rollout, say. */

static inline void
new_tests(loop_t *loop)
{
    loop->tests++;
    canary_evidence_tick(loop->evidence, loop->tests, loop->now);
}


static inline canary_ticket_t
begin_in(loop_t *loop, uint32_t slot, unsigned side)
{
    canary_ticket_t  ticket;

    memset(&ticket, 0x55, sizeof(canary_ticket_t));

    canary_evidence_start(loop->evidence, slot, side, &ticket);

    return ticket;
}


static inline canary_ticket_t
begin(loop_t *loop)
{
    return begin_in(loop, 0, CANARY);
}


/* As workers do: what is no evidence of anything bad has a way of its own. */

static inline void
end(loop_t *loop, canary_ticket_t ticket, canary_finish_t finish)
{
    if (finish.voided || finish.bad_4xx || finish.bad_5xx
        || finish.timed == finish.untimed)
    {
        canary_evidence_finish(loop->evidence, &ticket, &finish);

    } else {
        canary_evidence_finish_good(loop->evidence, &ticket, finish.timed,
                                    finish.time);
    }
}


/* Attempts that begin and end at once. */

static inline void
attempts(loop_t *loop, uint32_t n, canary_finish_t finish)
{
    while (n--) {
        end(loop, begin(loop), finish);
    }
}


static inline canary_evidence_view_t
view_of(loop_t *loop, unsigned side)
{
    canary_tail_t           tail;
    canary_evidence_view_t  view;

    memset(&tail, 0x55, sizeof(canary_tail_t));
    memset(&view, 0x55, sizeof(canary_evidence_view_t));

    canary_evidence_tail(loop->evidence, loop->now, &tail);
    canary_evidence_view(loop->evidence, &tail, side, &view);

    return view;
}


static inline canary_evidence_view_t
view(loop_t *loop)
{
    return view_of(loop, CANARY);
}


static inline void
assert_counts(canary_counts_t counts, uint64_t started, uint64_t count_4xx,
    uint64_t count_5xx)
{
    assert_int_equal(counts.started, started);
    assert_int_equal(counts.bad_4xx, count_4xx);
    assert_int_equal(counts.bad_5xx, count_5xx);
}


static inline void
assert_same_counts(const canary_counts_t *a, const canary_counts_t *b)
{
    assert_int_equal(a->started, b->started);
    assert_int_equal(a->bad_4xx, b->bad_4xx);
    assert_int_equal(a->bad_5xx, b->bad_5xx);
    assert_int_equal(a->bad, b->bad);
    assert_int_equal(a->timed, b->timed);
    assert_int_equal(a->time, b->time);
}


static inline void
assert_same_view(const canary_evidence_view_t *a,
    const canary_evidence_view_t *b)
{
    assert_same_counts(&a->failing, &b->failing);
    assert_same_counts(&a->passing, &b->passing);
    assert_int_equal(a->spent, b->spent);
}


static inline void
assert_nothing(canary_evidence_view_t seen)
{
    static const canary_evidence_view_t  nothing;

    assert_same_view(&seen, &nothing);
}


#define evidence_test(name)                                                  \
    cmocka_unit_test_setup_teardown(name, setup, teardown)


#endif /* UNIT_EVIDENCE_H */
