
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * The evidence of a rollout: what is counted, when, and against whom.  Times
 * are milliseconds of no clock at all.
 */


#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
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


static canary_evidence_t *
new_evidence(uint32_t nslots)
{
    return unit_evidence(nslots, nslots);
}


static int
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


static int
teardown(void **state)
{
    loop_t  *loop = *state;

    unit_free_evidence(loop->evidence);
    free(loop);

    return 0;
}


static void
tick(loop_t *loop)
{
    canary_cohort_view_t  cohort;

    canary_evidence_tick(loop->evidence, loop->tests, loop->now);

    while (canary_evidence_fold(loop->evidence, loop->now, &cohort)) {
        /* void */
    }
}


/* The control loop, at least every 50 ms. */

static void
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

static void
new_tests(loop_t *loop)
{
    loop->tests++;
    canary_evidence_tick(loop->evidence, loop->tests, loop->now);
}


static canary_ticket_t
begin_in(loop_t *loop, uint32_t slot, unsigned side)
{
    canary_ticket_t  ticket;

    memset(&ticket, 0x55, sizeof(canary_ticket_t));

    canary_evidence_start(loop->evidence, slot, side, &ticket);

    return ticket;
}


static canary_ticket_t
begin(loop_t *loop)
{
    return begin_in(loop, 0, CANARY);
}


/* As workers do: what is no evidence of anything bad has a way of its own. */

static void
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

static void
attempts(loop_t *loop, uint32_t n, canary_finish_t finish)
{
    while (n--) {
        end(loop, begin(loop), finish);
    }
}


static canary_evidence_view_t
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


static canary_evidence_view_t
view(loop_t *loop)
{
    return view_of(loop, CANARY);
}


static void
assert_counts(canary_counts_t counts, uint64_t started, uint64_t count_4xx,
    uint64_t count_5xx)
{
    assert_int_equal(counts.started, started);
    assert_int_equal(counts.bad_4xx, count_4xx);
    assert_int_equal(counts.bad_5xx, count_5xx);
}


static void
assert_same_counts(const canary_counts_t *a, const canary_counts_t *b)
{
    assert_int_equal(a->started, b->started);
    assert_int_equal(a->bad_4xx, b->bad_4xx);
    assert_int_equal(a->bad_5xx, b->bad_5xx);
    assert_int_equal(a->bad, b->bad);
    assert_int_equal(a->timed, b->timed);
    assert_int_equal(a->time, b->time);
}


static void
assert_same_view(const canary_evidence_view_t *a,
    const canary_evidence_view_t *b)
{
    assert_same_counts(&a->failing, &b->failing);
    assert_same_counts(&a->passing, &b->passing);
    assert_int_equal(a->spent, b->spent);
}


static void
assert_nothing(canary_evidence_view_t seen)
{
    static const canary_evidence_view_t  nothing;

    assert_same_view(&seen, &nothing);
}


/* Counting */


static void
a_rollout_begins_with_no_evidence(void **state)
{
    loop_t  *loop = *state;

    assert_nothing(view_of(loop, STABLE));
    assert_nothing(view_of(loop, CANARY));
}


static void
attempts_are_counted_by_how_they_end(void **state)
{
    loop_t                  *loop = *state;
    canary_evidence_view_t   seen;

    attempts(loop, 10, good);
    attempts(loop, 3, bad_4xx);
    attempts(loop, 2, bad_5xx);

    seen = view(loop);

    assert_counts(seen.failing, 15, 3, 2);
    assert_int_equal(seen.failing.bad, 5);
    assert_counts(seen.passing, 15, 3, 2);
    assert_int_equal(seen.passing.bad, 5);
    assert_int_equal(seen.spent, 2);
}


static void
the_sides_are_counted_apart(void **state)
{
    loop_t  *loop = *state;

    end(loop, begin_in(loop, 1, STABLE), bad_5xx);
    end(loop, begin_in(loop, 1, CANARY), bad_4xx);
    end(loop, begin_in(loop, 1, CANARY), good);

    assert_counts(view_of(loop, STABLE).failing, 1, 0, 1);
    assert_counts(view_of(loop, CANARY).failing, 2, 1, 0);
    assert_int_equal(view_of(loop, STABLE).spent, 1);
    assert_int_equal(view_of(loop, CANARY).spent, 0);
}


static void
the_slots_of_all_workers_are_added_up(void **state)
{
    loop_t    *loop = *state;
    uint32_t   slot;

    for (slot = 0; slot < SLOTS; slot++) {
        end(loop, begin_in(loop, slot, CANARY), bad_5xx);
        end(loop, begin_in(loop, slot, CANARY), good);
    }

    assert_counts(view(loop).failing, 2 * SLOTS, 0, SLOTS);
}


/* A worker's number may be above the number of slots. */

static void
a_slot_without_memory_is_the_first_one_again(void **state)
{
    loop_t   loop;

    (void) state;

    loop.evidence = unit_evidence(SLOTS, 2);
    loop.tests = TESTS;
    loop.now = BEGIN;

    canary_evidence_use(loop.evidence, NULL);
    canary_evidence_begin(loop.evidence, loop.tests, loop.now);

    (void) begin_in(&loop, 0, CANARY);
    (void) begin_in(&loop, 1, CANARY);
    (void) begin_in(&loop, 2, CANARY);
    end(&loop, begin_in(&loop, 2, CANARY), bad_5xx);

    assert_counts(view(&loop).failing, 4, 0, 1);
    assert_int_equal(view(&loop).spent, 1);

    /* only the slot that one process has to itself can be cleared */

    canary_evidence_reap(loop.evidence, 0);
    canary_evidence_reap(loop.evidence, 2);
    assert_counts(view(&loop).failing, 4, 0, 1);

    canary_evidence_reap(loop.evidence, 1);
    assert_counts(view(&loop).failing, 3, 0, 1);

    unit_free_evidence(loop.evidence);
}


static void
times_are_added_up_in_microseconds(void **state)
{
    loop_t           *loop = *state;
    canary_finish_t   timed;

    timed = (canary_finish_t) { .timed = 1, .time = 5000000000 };
    attempts(loop, 1, timed);

    timed.time = 0;
    attempts(loop, 1, timed);

    timed.time = 17;
    attempts(loop, 1, timed);

    attempts(loop, 1, good);

    assert_int_equal(view(loop).failing.timed, 3);
    assert_int_equal(view(loop).failing.time, 5000000017);
    assert_int_equal(view(loop).passing.timed, 3);
    assert_int_equal(view(loop).passing.time, 5000000017);
}


/* The header was counted long ago, the response ends now. */

static void
a_time_may_come_after_the_end(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, untimed);
    pass(loop, 30000);

    canary_evidence_time(loop->evidence, &ticket, 30000000, 1);

    assert_int_equal(view(loop).failing.timed, 1);
    assert_int_equal(view(loop).failing.time, 30000000);
    assert_counts(view(loop).failing, 1, 0, 0);

    pass(loop, 30000);

    assert_int_equal(view(loop).passing.timed, 1);
    assert_int_equal(view(loop).passing.time, 30000000);
}


static void
a_time_of_an_earlier_step_is_not_counted(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, untimed);
    new_tests(loop);
    pass(loop, 20000);

    canary_evidence_time(loop->evidence, &ticket, 30000000, 1);

    assert_nothing(view(loop));
}


/* In flight */


static void
in_flight_counts_as_started_and_not_bad_for_failing(void **state)
{
    loop_t  *loop = *state;

    attempts(loop, 2, bad_5xx);
    (void) begin(loop);
    (void) begin(loop);

    assert_counts(view(loop).failing, 4, 0, 2);
}


static void
a_cohort_with_attempts_in_flight_is_left_out_for_passing(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    attempts(loop, 2, good);
    slow = begin(loop);

    assert_counts(view(loop).passing, 0, 0, 0);

    end(loop, slow, good);

    assert_counts(view(loop).passing, 3, 0, 0);
}


static void
other_cohorts_are_not_left_out(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    attempts(loop, 10, good);
    pass(loop, 100);

    attempts(loop, 1, bad_5xx);
    slow = begin(loop);
    pass(loop, 100);

    attempts(loop, 20, good);

    assert_counts(view(loop).passing, 30, 0, 0);
    assert_counts(view(loop).failing, 32, 0, 1);

    end(loop, slow, good);

    assert_counts(view(loop).passing, 32, 0, 1);
}


static void
an_attempt_in_flight_on_stable_does_not_hold_up_the_canary(void **state)
{
    loop_t  *loop = *state;

    (void) begin_in(loop, 0, STABLE);
    attempts(loop, 2, good);

    assert_counts(view_of(loop, STABLE).passing, 0, 0, 0);
    assert_counts(view_of(loop, CANARY).passing, 2, 0, 0);
}


static void
a_cohort_of_attempts_is_100_ms(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   first, second, third;

    first = begin(loop);
    pass(loop, 99);
    second = begin(loop);
    pass(loop, 1);
    third = begin(loop);

    assert_int_equal(first.cohort, second.cohort);
    assert_int_equal(third.cohort, second.cohort + 1);
}


static void
what_is_in_flight_for_less_than_10_s_is_not_held_against_it(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    attempts(loop, 10, good);
    pass(loop, 100);

    slow = begin(loop);
    attempts(loop, 5, good);
    pass(loop, 10000);

    assert_counts(view(loop).passing, 10, 0, 0);

    end(loop, slow, good);

    assert_counts(view(loop).passing, 16, 0, 0);
}


static void
after_10_s_in_flight_counts_as_bad_for_passing_only(void **state)
{
    loop_t                  *loop = *state;
    canary_evidence_view_t   seen;

    attempts(loop, 5, good);
    (void) begin(loop);
    (void) begin(loop);
    pass(loop, 10150);

    seen = view(loop);

    assert_counts(seen.failing, 7, 0, 0);
    assert_int_equal(seen.failing.bad, 0);
    assert_int_equal(seen.failing.timed, 0);
    assert_int_equal(seen.failing.time, 0);

    assert_counts(seen.passing, 7, 2, 2);
    assert_int_equal(seen.passing.bad, 2);
    assert_int_equal(seen.passing.timed, 0);
    assert_int_equal(seen.overdue, 2);

    assert_int_equal(seen.spent, 0);
}


static void
a_hung_service_is_never_seen_to_be_fine(void **state)
{
    loop_t                  *loop = *state;
    uint32_t                 n;
    canary_evidence_view_t   seen;

    for (n = 0; n < 600; n++) {
        (void) begin(loop);
        pass(loop, 100);

        seen = view(loop);
        assert_int_equal(seen.passing.started, seen.passing.bad_5xx);
    }

    assert_in_range(seen.passing.started, 490, 500);
}


/*
 * A worker has read which cohort is the current one, and falls asleep before
 * it has counted its attempt there.
 */

static void
a_worker_may_be_50_ms_late_to_count_a_beginning(void **state)
{
    loop_t           *loop = *state;
    uint32_t         *started;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    started = &loop->evidence->slots[0]->tallies[ticket.place][CANARY]
                                       .started;

    assert_int_equal(*started, 1);
    *started = 0;
    pass(loop, 149);
    *started = 1;

    end(loop, ticket, bad_5xx);
    pass(loop, 1000);

    assert_counts(view(loop).failing, 1, 0, 1);
    assert_counts(view(loop).passing, 1, 0, 1);
}


/* Late */


static void
an_overdue_attempt_that_ends_well_is_good_after_all(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;
    canary_finish_t   timed;

    slow = begin(loop);
    attempts(loop, 5, good);
    pass(loop, 15000);

    assert_counts(view(loop).passing, 6, 1, 1);

    timed = (canary_finish_t) { .timed = 1, .time = 15000000 };
    end(loop, slow, timed);

    assert_counts(view(loop).passing, 6, 0, 0);
    assert_int_equal(view(loop).passing.timed, 1);
    assert_int_equal(view(loop).passing.time, 15000000);
    assert_counts(view(loop).failing, 6, 0, 0);

    pass(loop, 15000);

    assert_counts(view(loop).passing, 6, 0, 0);
    assert_counts(view(loop).failing, 6, 0, 0);
}


static void
an_overdue_attempt_that_ends_badly_is_bad_once(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    slow = begin(loop);
    pass(loop, 15000);
    end(loop, slow, bad_5xx);

    assert_counts(view(loop).passing, 1, 0, 1);
    assert_counts(view(loop).failing, 1, 0, 1);
    assert_int_equal(view(loop).spent, 1);

    pass(loop, 15000);

    assert_counts(view(loop).passing, 1, 0, 1);
    assert_counts(view(loop).failing, 1, 0, 1);
    assert_int_equal(view(loop).spent, 1);
}


static void
an_overdue_attempt_that_is_no_evidence_is_taken_out(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    slow = begin(loop);
    attempts(loop, 5, good);
    pass(loop, 15000);
    end(loop, slow, voided);

    assert_counts(view(loop).passing, 5, 0, 0);
    assert_counts(view(loop).failing, 5, 0, 0);

    pass(loop, 15000);

    assert_counts(view(loop).passing, 5, 0, 0);
    assert_counts(view(loop).failing, 5, 0, 0);
}


/* What comes late is left out with the cohort that it comes in. */

static void
a_late_outcome_counts_whatever_is_in_flight(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   late, other;

    late = begin(loop);
    pass(loop, 15000);

    other = begin(loop);
    end(loop, late, good);

    assert_counts(view(loop).passing, 1, 0, 0);
    assert_int_equal(view(loop).overdue, 0);

    end(loop, other, good);

    assert_counts(view(loop).passing, 2, 0, 0);
}


/* No evidence */


static void
what_is_no_evidence_is_taken_out(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    attempts(loop, 5, good);
    ticket = begin(loop);

    assert_counts(view(loop).failing, 6, 0, 0);

    end(loop, ticket, voided);

    assert_counts(view(loop).failing, 5, 0, 0);
    assert_counts(view(loop).passing, 5, 0, 0);

    pass(loop, 1000);

    assert_counts(view(loop).failing, 5, 0, 0);
    assert_counts(view(loop).passing, 5, 0, 0);
}


/* The client left, but only after longer than a latency rule allows. */

static void
an_aborted_attempt_may_be_a_slow_one_all_the_same(void **state)
{
    loop_t           *loop = *state;
    canary_finish_t   slow;

    slow = (canary_finish_t) { .voided = 1, .timed = 1, .time = 700000 };
    attempts(loop, 1, slow);

    assert_counts(view(loop).failing, 0, 0, 0);
    assert_int_equal(view(loop).failing.timed, 1);
    assert_int_equal(view(loop).failing.time, 700000);
}


/* Cut short: a response that was counted, and whose body then broke off */


static void
a_2xx_cut_short_is_bad_but_no_second_attempt(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, good);
    canary_evidence_cut(loop->evidence, &ticket, 2);

    assert_counts(view(loop).failing, 1, 0, 1);
    assert_int_equal(view(loop).failing.bad, 1);
    assert_counts(view(loop).passing, 1, 0, 1);
    assert_int_equal(view(loop).spent, 1);
}


/* 12 of 100 bodies break off, and at any time something is in flight. */

static void
bodies_cut_short_are_not_left_out_with_what_is_in_flight(void **state)
{
    uint32_t          i;
    loop_t           *loop = *state;
    canary_ticket_t   tickets[100];

    for (i = 0; i < 100; i++) {
        tickets[i] = begin(loop);
        end(loop, tickets[i], good);
    }

    pass(loop, 1000);

    for (i = 0; i < 30; i++) {
        (void) begin(loop);
    }

    for (i = 0; i < 12; i++) {
        canary_evidence_cut(loop->evidence, &tickets[i], 2);
    }

    assert_counts(view(loop).passing, 100, 0, 12);
    assert_counts(view(loop).failing, 130, 0, 12);
}


/* It is a 4xx and a failure, and yet one bad attempt. */

static void
a_4xx_cut_short_is_both_and_one(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, bad_4xx);
    canary_evidence_cut(loop->evidence, &ticket, 4);

    assert_counts(view(loop).failing, 1, 1, 1);
    assert_int_equal(view(loop).failing.bad, 1);
    assert_int_equal(view(loop).spent, 1);

    pass(loop, 1000);

    assert_counts(view(loop).failing, 1, 1, 1);
    assert_int_equal(view(loop).failing.bad, 1);
    assert_int_equal(view(loop).passing.bad, 1);
    assert_int_equal(view(loop).spent, 1);
}


static void
a_5xx_cut_short_was_bad_already(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, bad_5xx);
    canary_evidence_cut(loop->evidence, &ticket, 5);

    assert_counts(view(loop).failing, 1, 0, 1);
    assert_int_equal(view(loop).failing.bad, 1);
    assert_int_equal(view(loop).spent, 1);
}


static void
a_body_may_break_off_long_after_its_cohort(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, bad_4xx);
    pass(loop, 60000);

    canary_evidence_cut(loop->evidence, &ticket, 4);

    assert_counts(view(loop).failing, 1, 1, 1);
    assert_int_equal(view(loop).failing.bad, 1);

    pass(loop, 60000);

    assert_counts(view(loop).failing, 1, 1, 1);
    assert_int_equal(view(loop).failing.bad, 1);
    assert_int_equal(view(loop).spent, 1);
}


/* Tests: an outcome belongs to the step in which its attempt began */


static void
new_tests_begin_with_no_evidence_but_the_budget(void **state)
{
    loop_t                  *loop = *state;
    canary_evidence_view_t   seen;

    attempts(loop, 10, good);
    attempts(loop, 3, bad_5xx);
    (void) begin(loop);
    pass(loop, 20000);

    attempts(loop, 2, bad_5xx);

    new_tests(loop);
    seen = view(loop);

    assert_counts(seen.failing, 0, 0, 0);
    assert_counts(seen.passing, 0, 0, 0);
    assert_int_equal(seen.failing.bad, 0);
    assert_int_equal(seen.passing.timed, 0);
    assert_int_equal(seen.spent, 5);
}


static void
new_tests_begin_at_once(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   before, after;

    before = begin(loop);
    new_tests(loop);
    after = begin(loop);

    assert_int_equal(before.step, TESTS);
    assert_int_equal(after.step, TESTS + 1);
    assert_true(before.cohort != after.cohort);
}


static void
an_attempt_of_the_step_before_says_nothing_of_this_one(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   before;

    before = begin(loop);
    new_tests(loop);
    attempts(loop, 1, good);

    assert_counts(view(loop).passing, 1, 0, 0);

    end(loop, before, bad_5xx);

    assert_counts(view(loop).failing, 1, 0, 0);
    assert_counts(view(loop).passing, 1, 0, 0);

    /* but a budget is one of the whole rollout */

    assert_int_equal(view(loop).spent, 1);

    pass(loop, 20000);

    assert_counts(view(loop).failing, 1, 0, 0);
    assert_int_equal(view(loop).spent, 1);
}


static void
a_budget_counts_outcomes_of_cohorts_long_closed(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   first, second, third, fourth;

    first = begin(loop);
    second = begin(loop);
    third = begin(loop);
    fourth = begin(loop);
    new_tests(loop);
    pass(loop, 60000);

    end(loop, first, bad_5xx);
    end(loop, second, bad_4xx);
    end(loop, third, voided);
    end(loop, fourth, good);

    assert_counts(view(loop).failing, 0, 0, 0);
    assert_counts(view(loop).passing, 0, 0, 0);
    assert_int_equal(view(loop).spent, 1);

    pass(loop, 60000);

    assert_counts(view(loop).failing, 0, 0, 0);
    assert_int_equal(view(loop).spent, 1);
}


static void
a_body_of_the_step_before_counts_in_the_budget(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   ticket;

    ticket = begin(loop);
    end(loop, ticket, good);
    new_tests(loop);

    canary_evidence_cut(loop->evidence, &ticket, 2);

    assert_counts(view(loop).failing, 0, 0, 0);
    assert_int_equal(view(loop).failing.bad, 0);
    assert_int_equal(view(loop).spent, 1);

    pass(loop, 60000);

    assert_int_equal(view(loop).spent, 1);
}


static void
overdue_attempts_of_the_step_before_do_not_hold_up_this_one(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   hung, hanging;

    hung = begin(loop);
    pass(loop, 20000);
    hanging = begin(loop);

    new_tests(loop);
    attempts(loop, 5, good);
    pass(loop, 20000);

    assert_counts(view(loop).passing, 5, 0, 0);

    end(loop, hung, good);
    end(loop, hanging, good);

    assert_counts(view(loop).passing, 5, 0, 0);
    assert_counts(view(loop).failing, 5, 0, 0);
}


/* Steps in quick succession, as by hand: more than there are places. */

static void
many_steps_at_one_moment_lose_nothing(void **state)
{
    loop_t           *loop = *state;
    uint32_t          n;
    canary_ticket_t   tickets[500];

    for (n = 0; n < UNIT_LENGTH(tickets); n++) {
        tickets[n] = begin(loop);
        attempts(loop, 1, bad_5xx);
        new_tests(loop);
    }

    assert_counts(view(loop).failing, 0, 0, 0);
    assert_int_equal(view(loop).spent, UNIT_LENGTH(tickets));

    attempts(loop, 3, good);

    for (n = 0; n < UNIT_LENGTH(tickets); n++) {
        end(loop, tickets[n], bad_5xx);
    }

    assert_counts(view(loop).failing, 3, 0, 0);
    assert_counts(view(loop).passing, 3, 0, 0);
    assert_int_equal(view(loop).spent, 2 * UNIT_LENGTH(tickets));

    pass(loop, 60000);

    assert_counts(view(loop).passing, 3, 0, 0);
    assert_int_equal(view(loop).spent, 2 * UNIT_LENGTH(tickets));
}


static void
what_a_dead_worker_had_overdue_is_taken_out(void **state)
{
    loop_t                  *loop = *state;
    canary_ticket_t          other;
    canary_evidence_view_t   seen;

    attempts(loop, 5, good);
    (void) begin_in(loop, 1, CANARY);
    (void) begin_in(loop, 1, CANARY);
    other = begin_in(loop, 2, CANARY);
    pass(loop, 15000);

    assert_counts(view(loop).passing, 8, 3, 3);

    canary_evidence_reap(loop->evidence, 1);

    seen = view(loop);
    assert_counts(seen.passing, 6, 1, 1);
    assert_counts(seen.failing, 6, 0, 0);
    assert_int_equal(seen.overdue, 1);

    end(loop, other, good);

    assert_counts(view(loop).passing, 6, 0, 0);
}


/* A process that died */


static void
what_a_dead_process_left_in_flight_is_taken_out(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   alive;

    attempts(loop, 5, good);
    (void) begin_in(loop, 1, CANARY);
    (void) begin_in(loop, 1, STABLE);
    pass(loop, 3000);
    (void) begin_in(loop, 1, CANARY);
    alive = begin_in(loop, 2, CANARY);

    canary_evidence_reap(loop->evidence, 1);

    assert_counts(view(loop).failing, 6, 0, 0);
    assert_counts(view_of(loop, STABLE).failing, 0, 0, 0);

    end(loop, alive, good);

    assert_counts(view(loop).passing, 6, 0, 0);

    pass(loop, 30000);

    assert_counts(view(loop).failing, 6, 0, 0);
    assert_counts(view(loop).passing, 6, 0, 0);
}


static void
what_a_dead_process_had_counted_stays(void **state)
{
    loop_t  *loop = *state;

    end(loop, begin_in(loop, 1, CANARY), bad_5xx);
    end(loop, begin_in(loop, 1, CANARY), good);
    end(loop, begin_in(loop, 1, CANARY), voided);

    canary_evidence_reap(loop->evidence, 1);
    canary_evidence_reap(loop->evidence, 1);

    assert_counts(view(loop).failing, 2, 0, 1);
    assert_counts(view(loop).passing, 2, 0, 1);
    assert_int_equal(view(loop).spent, 1);
}


/* Whoever has the slot next finds it clean. */

static void
the_slot_of_a_dead_process_can_be_used_again(void **state)
{
    loop_t    *loop = *state;
    uint32_t   n;

    for (n = 1; n <= 300; n++) {
        (void) begin_in(loop, 1, CANARY);
        end(loop, begin_in(loop, 1, CANARY), good);
        canary_evidence_reap(loop->evidence, 1);
        pass(loop, 100);

        assert_counts(view(loop).failing, n, 0, 0);
        assert_counts(view(loop).passing, n, 0, 0);
    }
}


/* Its place is in use again, by attempts of another cohort. */

static void
a_process_may_die_long_after_its_attempts_were_settled(void **state)
{
    loop_t           *loop = *state;
    uint32_t          n;
    canary_ticket_t   hung;

    hung = begin_in(loop, 1, CANARY);

    for (n = 0; n < CANARY_COHORTS; n++) {
        pass(loop, 100);
        end(loop, begin_in(loop, 1, CANARY), good);
    }

    end(loop, hung, voided);
    canary_evidence_reap(loop->evidence, 1);

    assert_counts(view(loop).failing, CANARY_COHORTS, 0, 0);
    assert_counts(view(loop).passing, CANARY_COHORTS, 0, 0);
}


/* Many cohorts */


static void
thousands_of_cohorts_lose_nothing(void **state)
{
    loop_t                  *loop = *state;
    uint64_t                 bad;
    uint32_t                 n;
    canary_finish_t          timed;
    canary_evidence_view_t   seen;

    bad = 0;
    timed = (canary_finish_t) { .timed = 1, .time = 1000 };

    for (n = 1; n <= 5000; n++) {
        attempts(loop, 3, timed);

        if (n % 7 == 0) {
            attempts(loop, 1, bad_5xx);
            bad++;
        }

        pass(loop, 100);
        seen = view(loop);

        assert_counts(seen.failing, 3 * n + bad, 0, bad);
        assert_counts(seen.passing, 3 * n + bad, 0, bad);
        assert_int_equal(seen.passing.timed, 3 * n);
        assert_int_equal(seen.passing.time, 3000 * n);
        assert_int_equal(seen.spent, bad);
    }
}


/* What a view has to look at does not grow with the age of a rollout. */

static void
there_are_no_more_cohorts_than_places(void **state)
{
    loop_t    *loop = *state;
    uint32_t   n, unsettled;

    for (n = 0; n < 1000; n++) {
        (void) begin(loop);
        pass(loop, 100);

        unsettled = (uint32_t) loop->evidence->now - loop->evidence->oldest;
        assert_in_range(unsettled, 0, CANARY_COHORTS - 1);
    }
}


/* Each attempt takes 30 s: at any time 300 cohorts have one in flight. */

static void
thousands_of_cohorts_of_slow_attempts_lose_nothing(void **state)
{
    loop_t                  *loop = *state;
    uint32_t                 n;
    canary_ticket_t          tickets[300];
    canary_evidence_view_t   seen;

    for (n = 0; n < 3000; n++) {
        if (n >= 300) {
            end(loop, tickets[n % 300], (n % 2) ? bad_5xx : good);
        }

        tickets[n % 300] = begin(loop);
        pass(loop, 100);

        seen = view(loop);
        assert_int_equal(seen.failing.started, n + 1);
        assert_int_equal(seen.failing.bad_5xx, (n < 300) ? 0
                                                         : (n - 299) / 2);
        assert_int_equal(seen.spent, seen.failing.bad_5xx);
    }

    for (n = 0; n < 300; n++) {
        end(loop, tickets[n], good);
    }

    pass(loop, 1000);
    seen = view(loop);

    assert_counts(seen.failing, 3000, 0, 1350);
    assert_counts(seen.passing, 3000, 0, 1350);
}


/* The control loop was away for a day; nobody ticked. */

static void
a_tick_may_be_late(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   slow;

    attempts(loop, 5, good);
    slow = begin(loop);

    loop->now += 86400000;
    attempts(loop, 5, good);
    canary_evidence_tick(loop->evidence, loop->tests, loop->now);
    attempts(loop, 5, good);

    /* how old it is counts from when the loop was back */

    assert_counts(view(loop).passing, 5, 0, 0);
    assert_counts(view(loop).failing, 16, 0, 0);

    end(loop, slow, good);

    assert_counts(view(loop).passing, 16, 0, 0);
}


/* Of two processes one has read the clock a moment before the other. */

static void
a_tick_with_an_earlier_time_changes_nothing(void **state)
{
    loop_t                  *loop = *state;
    canary_evidence_view_t   before, after;

    attempts(loop, 5, good);
    (void) begin(loop);
    pass(loop, 100);
    attempts(loop, 5, good);
    (void) begin(loop);

    before = view(loop);

    canary_evidence_tick(loop->evidence, loop->tests, loop->now - 3);
    canary_evidence_tick(loop->evidence, loop->tests, 0);

    after = view(loop);
    assert_same_view(&before, &after);
}


static void
counters_may_wrap_around(void **state)
{
    uint32_t         n, *counter;
    uint64_t        *late_counter;
    loop_t           loop;
    canary_late_t   *late;
    canary_tally_t  *tally;

    (void) state;

    loop.evidence = new_evidence(SLOTS);
    loop.tests = TESTS;
    loop.now = BEGIN;

    /* as after four billion attempts in each place */

    for (n = 0; n < SLOTS * CANARY_SIDES * CANARY_COHORTS; n++) {
        tally = &loop.evidence->slots[n % SLOTS]
                     ->tallies[n / SLOTS / CANARY_SIDES]
                             [n / SLOTS % CANARY_SIDES];

        for (counter = &tally->started;
             counter <= &tally->gave_up;
             counter++)
        {
            *counter = UINT32_MAX - 1;
        }

        tally->voided = 0;
        tally->time = UINT64_MAX - 1;
    }

    for (n = 0; n < SLOTS * CANARY_SIDES; n++) {
        late = &loop.evidence->slots[n % SLOTS]->late[n / SLOTS];

        for (late_counter = &late->step.bad_4xx;
             late_counter <= &late->voided;
             late_counter++)
        {
            *late_counter = UINT32_MAX - 1;
        }

        late->timed = UINT32_MAX - 1;
        late->time = UINT64_MAX - 1;
    }

    canary_evidence_begin(loop.evidence, loop.tests, loop.now);

    for (n = 1; n <= 1000; n++) {
        attempts(&loop, 3, (canary_finish_t) { .timed = 1, .time = 5 });
        attempts(&loop, 4, bad_4xx);
        attempts(&loop, 5, bad_5xx);
        attempts(&loop, 6, voided);
        pass(&loop, 100);

        assert_counts(view(&loop).failing, 12 * n, 4 * n, 5 * n);
        assert_counts(view(&loop).passing, 12 * n, 4 * n, 5 * n);
        assert_int_equal(view(&loop).passing.time, 15 * n);
        assert_int_equal(view(&loop).spent, 5 * n);
    }

    unit_free_evidence(loop.evidence);
}


/* A step of 90 days has more attempts than 32 bits can count, late or not. */

static void
a_step_may_have_more_attempts_than_a_cohort(void **state)
{
    uint32_t                 n;
    uint64_t                 billion;
    loop_t                  *loop = *state;
    canary_late_t           *late;
    canary_tally_t          *tally;
    canary_slot_t           *slot;
    canary_limits_t          limits;
    canary_evidence_view_t   seen;

    billion = 1000000000;
    slot = loop->evidence->slots[1];
    late = &slot->late[CANARY];

    memset(&limits, 0, sizeof(canary_limits_t));
    canary_evidence_limits(loop->evidence, 1, &limits);
    canary_evidence_begin(loop->evidence, loop->tests, loop->now);

    for (n = 1; n <= 12; n++) {
        attempts(loop, 1, good);

        tally = &slot->tallies[loop->evidence->place_of[
                                   (uint32_t) loop->evidence->now
                                   % CANARY_COHORTS]][CANARY];

        tally->started += billion;
        tally->done += billion;
        tally->bad_4xx += billion / 4;
        tally->timed += billion;
        tally->time += billion * 5000;

        late->step.bad_4xx += billion;
        late->step.bad_5xx += billion;
        late->step.bad_both += billion / 2;
        late->voided += billion / 2;
        late->gave_up += billion;
        late->timed += billion;
        late->time += billion * 5000;
        late->slow.slow[0] += billion;
        late->spent += billion;

        pass(loop, 2500);

        seen = view(loop);

        assert_int_equal(seen.failing.started, n * billion / 2 + n);
        assert_int_equal(seen.failing.bad_4xx, n * billion / 4 * 5);
        assert_int_equal(seen.failing.bad_5xx, n * billion);
        assert_int_equal(seen.failing.bad, n * billion / 4 * 7);
        assert_int_equal(seen.failing.gave_up, n * billion);
        assert_int_equal(seen.failing.timed, 2 * n * billion);
        assert_int_equal(seen.failing.time, 2 * n * billion * 5000);
        assert_int_equal(seen.failing.slow[0], n * billion);
        assert_int_equal(seen.passing.started, seen.failing.started);
        assert_int_equal(seen.spent, n * billion);
    }
}


/* The next rollout, in the same memory */


static void
attempts_that_began_before_a_rollout_are_no_evidence_for_it(void **state)
{
    size_t             i;
    loop_t            *loop = *state;
    canary_ticket_t    before[4], settled;

    static const canary_finish_t  ends[] = {
        { .bad_5xx = 1 },
        { .bad_4xx = 1, .timed = 1, .time = 1 },
        { .voided = 1 },
        { .timed = 1, .time = 1 }
    };

    settled = begin(loop);
    pass(loop, 20000);

    for (i = 0; i < 4; i++) {
        before[i] = begin(loop);
    }

    attempts(loop, 3, bad_5xx);

    loop->tests++;
    canary_evidence_begin(loop->evidence, loop->tests, loop->now);

    assert_nothing(view(loop));

    for (i = 0; i < 4; i++) {
        end(loop, before[i], ends[i]);
        canary_evidence_cut(loop->evidence, &before[i], 2);
        canary_evidence_time(loop->evidence, &before[i], 1, 1);
    }

    end(loop, settled, bad_5xx);

    assert_nothing(view(loop));

    pass(loop, 60000);

    assert_nothing(view(loop));
}


/*
 * Memory is lent to one endpoint after the other: the number of tests may be
 * any, also that of an attempt that is still to end.
 */

static void
the_tests_of_another_rollout_may_have_the_same_number(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   before;

    before = begin(loop);

    canary_evidence_begin(loop->evidence, loop->tests, loop->now);
    attempts(loop, 2, good);

    end(loop, before, bad_5xx);
    canary_evidence_cut(loop->evidence, &before, 2);
    canary_evidence_time(loop->evidence, &before, 1, 1);

    assert_counts(view(loop).failing, 2, 0, 0);
    assert_int_equal(view(loop).failing.timed, 0);
    assert_int_equal(view(loop).spent, 0);

    pass(loop, 60000);

    assert_counts(view(loop).failing, 2, 0, 0);
    assert_counts(view(loop).passing, 2, 0, 0);
    assert_int_equal(view(loop).spent, 0);
}


static void
the_tests_of_another_rollout_may_have_a_lower_number(void **state)
{
    loop_t           *loop = *state;
    canary_ticket_t   before;

    before = begin(loop);

    loop->tests = 1;
    canary_evidence_begin(loop->evidence, loop->tests, loop->now);

    end(loop, before, bad_5xx);
    assert_nothing(view(loop));
}


/* And then the process of one of them dies, sooner or later. */

static void
attempts_of_the_rollout_before_are_not_taken_out_of_this_one(void **state)
{
    loop_t    *loop = *state;
    uint32_t   n, death;

    for (death = 1; death <= 2 * CANARY_COHORTS; death++) {

        for (n = 0; n < 5; n++) {
            (void) begin_in(loop, 1, CANARY);
        }

        loop->tests++;
        canary_evidence_begin(loop->evidence, loop->tests, loop->now);

        for (n = 1; n <= death; n++) {
            end(loop, begin_in(loop, 1, CANARY), good);
            pass(loop, 100);
        }

        canary_evidence_reap(loop->evidence, 1);

        assert_counts(view(loop).failing, death, 0, 0);
        assert_counts(view(loop).passing, death, 0, 0);
    }
}


static void
attempts_before_the_very_first_rollout_are_no_evidence(void **state)
{
    loop_t           loop;
    canary_ticket_t  before;

    (void) state;

    loop.evidence = new_evidence(1);
    loop.tests = TESTS;
    loop.now = BEGIN;

    before = begin(&loop);
    canary_evidence_begin(loop.evidence, loop.tests, loop.now);
    end(&loop, before, bad_5xx);

    assert_nothing(view(&loop));

    pass(&loop, 60000);

    assert_nothing(view(&loop));

    unit_free_evidence(loop.evidence);
}


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


/*
 * Threads: several count, one ticks.  No clock is read.  What a control loop
 * is entitled to is that no process sleeps in the middle of counting for
 * longer than the grace of a cohort; so here time passes by 25 ms whenever
 * each thread has counted something since it last did.
 */


#define THREADS         4
#define THREAD_ENDS     200000
#define THREAD_FLIGHT   16       /* in flight at any time, per thread */


typedef struct {
    canary_evidence_t       *evidence;
    uint32_t                *ready;      /* all begin together */
    uint32_t                 slot;
    uint64_t                 seed;
    uint32_t                 counted;    /* read by the control loop */
    uint32_t                 done;
    canary_evidence_view_t   expected[CANARY_SIDES];
} worker_t;


static canary_finish_t
worker_outcome(worker_t *worker)
{
    canary_finish_t  finish;

    memset(&finish, 0, sizeof(canary_finish_t));

    switch (unit_below(&worker->seed, 8)) {

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
        finish.timed = 1;
        finish.time = unit_below(&worker->seed, 1000000);
        break;
    }

    return finish;
}


static void
worker_end(worker_t *worker, const canary_ticket_t *ticket)
{
    canary_finish_t          finish;
    canary_counts_t         *counts;
    canary_evidence_view_t  *expected;

    expected = &worker->expected[ticket->side];
    counts = &expected->failing;
    finish = worker_outcome(worker);

    canary_evidence_finish(worker->evidence, ticket, &finish);

    counts->started += !finish.voided;
    counts->bad_4xx += finish.bad_4xx;
    counts->bad_5xx += finish.bad_5xx;
    counts->bad += finish.bad_4xx + finish.bad_5xx;
    counts->timed += finish.timed;
    counts->time += finish.timed ? finish.time : 0;
    expected->spent += finish.bad_5xx;

    if (unit_one_in(&worker->seed, 16) && !finish.voided && !finish.bad_5xx) {
        canary_evidence_cut(worker->evidence, ticket, finish.bad_4xx ? 4 : 2);

        counts->bad_5xx++;
        counts->bad += !finish.bad_4xx;
        expected->spent++;
    }
}


static void *
worker_main(void *data)
{
    uint32_t          n;
    worker_t         *worker = data;
    canary_ticket_t   flight[THREAD_FLIGHT];

    (void) __atomic_fetch_add(worker->ready, 1, __ATOMIC_RELEASE);

    while (__atomic_load_n(worker->ready, __ATOMIC_ACQUIRE) < THREADS) {
        sched_yield();
    }

    for (n = 0; n < THREAD_FLIGHT; n++) {
        canary_evidence_start(worker->evidence, worker->slot, n % 2,
                              &flight[n]);
    }

    for (n = 0; n < THREAD_ENDS; n++) {
        worker_end(worker, &flight[n % THREAD_FLIGHT]);

        canary_evidence_start(worker->evidence, worker->slot,
                              unit_below(&worker->seed, CANARY_SIDES),
                              &flight[n % THREAD_FLIGHT]);

        (void) __atomic_fetch_add(&worker->counted, 1, __ATOMIC_RELEASE);
    }

    for (n = 0; n < THREAD_FLIGHT; n++) {
        worker_end(worker, &flight[n]);
    }

    __atomic_store_n(&worker->done, 1, __ATOMIC_RELEASE);

    return NULL;
}


/* Waits until each thread has counted something; 0 when all are done. */

static int
workers_count(worker_t *workers, uint32_t n)
{
    int       busy;
    uint32_t  i, counted[THREADS];

    busy = 0;

    for (i = 0; i < n; i++) {
        counted[i] = __atomic_load_n(&workers[i].counted, __ATOMIC_ACQUIRE);
    }

    for (i = 0; i < n; i++) {
        while (!__atomic_load_n(&workers[i].done, __ATOMIC_ACQUIRE)) {

            if (__atomic_load_n(&workers[i].counted, __ATOMIC_ACQUIRE)
                != counted[i])
            {
                busy = 1;
                break;
            }

            sched_yield();
        }
    }

    return busy;
}


static void
counts_add(canary_counts_t *sum, const canary_counts_t *counts)
{
    sum->started += counts->started;
    sum->bad_4xx += counts->bad_4xx;
    sum->bad_5xx += counts->bad_5xx;
    sum->bad += counts->bad;
    sum->timed += counts->timed;
    sum->time += counts->time;
}


/* In no view, at whatever moment, has more ended than begun. */

static int
moment_is_sound(loop_t *loop, unsigned side)
{
    canary_evidence_view_t  seen;

    seen = view_of(loop, side);

    return seen.failing.bad <= seen.failing.started
           && seen.failing.bad <= seen.failing.bad_4xx + seen.failing.bad_5xx
           && seen.passing.started <= seen.failing.started
           && seen.passing.bad <= seen.failing.bad
           && seen.passing.timed <= seen.failing.timed
           && seen.passing.time <= seen.failing.time
           && seen.spent >= seen.failing.bad_5xx;
}


static void
threads_count_while_another_ticks(loop_t *loop, uint32_t slots)
{
    uint32_t                 i, ready, unsound;
    unsigned                 side;
    worker_t                 workers[THREADS];
    pthread_t                ids[THREADS];
    canary_evidence_view_t   seen, expected;

    ready = 0;
    unsound = 0;
    memset(workers, 0, sizeof(workers));

    for (i = 0; i < THREADS; i++) {
        workers[i].evidence = loop->evidence;
        workers[i].ready = &ready;
        workers[i].slot = i % slots;
        workers[i].seed = i + 1;

        assert_int_equal(pthread_create(&ids[i], NULL, worker_main,
                                        &workers[i]),
                         0);
    }

    while (workers_count(workers, THREADS)) {
        loop->now += 25;
        canary_evidence_tick(loop->evidence, loop->tests, loop->now);
        unsound += !moment_is_sound(loop, STABLE);
        unsound += !moment_is_sound(loop, CANARY);
    }

    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
    }

    assert_int_equal(unsound, 0);

    for (side = 0; side < CANARY_SIDES; side++) {
        memset(&expected, 0, sizeof(canary_evidence_view_t));

        for (i = 0; i < THREADS; i++) {
            counts_add(&expected.failing, &workers[i].expected[side].failing);
            expected.spent += workers[i].expected[side].spent;
        }

        expected.passing = expected.failing;

        seen = view_of(loop, side);
        assert_same_view(&seen, &expected);
    }
}


static void
threads_with_a_slot_each_lose_nothing(void **state)
{
    loop_t  loop;

    (void) state;

    loop.evidence = new_evidence(THREADS);
    loop.tests = TESTS;
    loop.now = BEGIN;

    canary_evidence_begin(loop.evidence, loop.tests, loop.now);
    threads_count_while_another_ticks(&loop, THREADS);

    unit_free_evidence(loop.evidence);
}


static void
threads_that_share_a_slot_lose_nothing(void **state)
{
    threads_count_while_another_ticks(*state, 1);
}


/* Nobody ticks; nothing but additions to a few counters, as fast as can be. */

static void *
hammer_main(void *data)
{
    uint32_t          n;
    worker_t         *worker = data;
    canary_ticket_t   ticket;

    (void) __atomic_fetch_add(worker->ready, 1, __ATOMIC_RELEASE);

    while (__atomic_load_n(worker->ready, __ATOMIC_ACQUIRE) < THREADS) {
        sched_yield();
    }

    for (n = 0; n < THREAD_ENDS; n++) {
        canary_evidence_start(worker->evidence, worker->slot, CANARY,
                              &ticket);
        canary_evidence_finish(worker->evidence, &ticket,
                               &(canary_finish_t) {
                                   .bad_4xx = 1, .bad_5xx = 1, .timed = 1,
                                   .time = 3
                               });
    }

    return NULL;
}


static void
threads_that_hammer_one_slot_lose_nothing(void **state)
{
    loop_t                  *loop = *state;
    uint32_t                 i, ready;
    uint64_t                 all;
    worker_t                 workers[THREADS];
    pthread_t                ids[THREADS];
    canary_evidence_view_t   seen;

    ready = 0;
    memset(workers, 0, sizeof(workers));

    for (i = 0; i < THREADS; i++) {
        workers[i].evidence = loop->evidence;
        workers[i].ready = &ready;

        assert_int_equal(pthread_create(&ids[i], NULL, hammer_main,
                                        &workers[i]),
                         0);
    }

    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
    }

    all = (uint64_t) THREADS * THREAD_ENDS;
    seen = view(loop);

    assert_counts(seen.failing, all, all, all);
    assert_counts(seen.passing, all, all, all);
    assert_int_equal(seen.failing.timed, all);
    assert_int_equal(seen.failing.time, 3 * all);
}


#define evidence_test(name)                                                  \
    cmocka_unit_test_setup_teardown(name, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  evidence[] = {
        evidence_test(a_rollout_begins_with_no_evidence),
        evidence_test(attempts_are_counted_by_how_they_end),
        evidence_test(the_sides_are_counted_apart),
        evidence_test(the_slots_of_all_workers_are_added_up),
        cmocka_unit_test(a_slot_without_memory_is_the_first_one_again),
        evidence_test(times_are_added_up_in_microseconds),
        evidence_test(a_time_may_come_after_the_end),
        evidence_test(a_time_of_an_earlier_step_is_not_counted),

        evidence_test(in_flight_counts_as_started_and_not_bad_for_failing),
        evidence_test(
            a_cohort_with_attempts_in_flight_is_left_out_for_passing),
        evidence_test(other_cohorts_are_not_left_out),
        evidence_test(
            an_attempt_in_flight_on_stable_does_not_hold_up_the_canary),
        evidence_test(a_cohort_of_attempts_is_100_ms),
        evidence_test(
            what_is_in_flight_for_less_than_10_s_is_not_held_against_it),
        evidence_test(after_10_s_in_flight_counts_as_bad_for_passing_only),
        evidence_test(a_hung_service_is_never_seen_to_be_fine),
        evidence_test(a_worker_may_be_50_ms_late_to_count_a_beginning),

        evidence_test(an_overdue_attempt_that_ends_well_is_good_after_all),
        evidence_test(an_overdue_attempt_that_ends_badly_is_bad_once),
        evidence_test(an_overdue_attempt_that_is_no_evidence_is_taken_out),
        evidence_test(a_late_outcome_counts_whatever_is_in_flight),

        evidence_test(what_is_no_evidence_is_taken_out),
        evidence_test(an_aborted_attempt_may_be_a_slow_one_all_the_same),

        evidence_test(a_2xx_cut_short_is_bad_but_no_second_attempt),
        evidence_test(
            bodies_cut_short_are_not_left_out_with_what_is_in_flight),
        evidence_test(a_4xx_cut_short_is_both_and_one),
        evidence_test(a_5xx_cut_short_was_bad_already),
        evidence_test(a_body_may_break_off_long_after_its_cohort),

        evidence_test(new_tests_begin_with_no_evidence_but_the_budget),
        evidence_test(new_tests_begin_at_once),
        evidence_test(an_attempt_of_the_step_before_says_nothing_of_this_one),
        evidence_test(a_budget_counts_outcomes_of_cohorts_long_closed),
        evidence_test(a_body_of_the_step_before_counts_in_the_budget),
        evidence_test(
            overdue_attempts_of_the_step_before_do_not_hold_up_this_one),
        evidence_test(many_steps_at_one_moment_lose_nothing),

        evidence_test(what_a_dead_process_left_in_flight_is_taken_out),
        evidence_test(what_a_dead_worker_had_overdue_is_taken_out),
        evidence_test(what_a_dead_process_had_counted_stays),
        evidence_test(the_slot_of_a_dead_process_can_be_used_again),
        evidence_test(a_process_may_die_long_after_its_attempts_were_settled),

        evidence_test(thousands_of_cohorts_lose_nothing),
        evidence_test(there_are_no_more_cohorts_than_places),
        evidence_test(thousands_of_cohorts_of_slow_attempts_lose_nothing),
        evidence_test(a_tick_may_be_late),
        evidence_test(a_tick_with_an_earlier_time_changes_nothing),
        cmocka_unit_test(counters_may_wrap_around),
        evidence_test(a_step_may_have_more_attempts_than_a_cohort),

        evidence_test(
            attempts_that_began_before_a_rollout_are_no_evidence_for_it),
        evidence_test(the_tests_of_another_rollout_may_have_the_same_number),
        evidence_test(the_tests_of_another_rollout_may_have_a_lower_number),
        evidence_test(
            attempts_of_the_rollout_before_are_not_taken_out_of_this_one),
        cmocka_unit_test(
            attempts_before_the_very_first_rollout_are_no_evidence),

        evidence_test(any_events_in_any_order_agree_with_a_list_of_attempts),

        cmocka_unit_test(threads_with_a_slot_each_lose_nothing),
        evidence_test(threads_that_share_a_slot_lose_nothing),
        evidence_test(threads_that_hammer_one_slot_lose_nothing)
    };

    return cmocka_run_group_tests(evidence, NULL, NULL);
}
