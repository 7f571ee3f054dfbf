
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Evidence that many threads count at once. */


#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "evidence.h"


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


int
main(void)
{
    const struct CMUnitTest  evidence[] = {
        cmocka_unit_test(threads_with_a_slot_each_lose_nothing),
        evidence_test(threads_that_share_a_slot_lose_nothing),
        evidence_test(threads_that_hammer_one_slot_lose_nothing)
    };

    return cmocka_run_group_tests(evidence, NULL, NULL);
}
