
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * Clients that leave: how attempts count that have a header and then no end,
 * or one that comes late.
 */


#include "canary_evidence_settle.h"
#include "canary_rule.h"

#include "sim.h"


#define PATIENCE  CANARY_PATIENCE_MIN


/* How clients of a release behave: all times are milliseconds. */

typedef struct {
    double    rate;        /* per second */
    double    leave;       /* share of those that leave, */
    uint32_t  leave_ms;    /* so long after the header */
    uint32_t  good_ms;     /* and how long all others take */
    uint32_t  on_ms;       /* traffic comes for so long, */
    uint32_t  off_ms;      /* and then none for so long; 0: always */
} clients_t;


static const canary_finish_t  header = { .timed = 1, .time = 1000 };
static const canary_finish_t  no_header = { .voided = 1, .left = 1 };


static canary_measure_t
measure(sim_t *sim, canary_rule_kind_t kind, int passing)
{
    canary_rule_t           rule;
    canary_tail_t           tail;
    canary_evidence_view_t  view;

    rule = (canary_rule_t) { .kind = kind };

    canary_evidence_tail(sim->evidence, sim->now, &tail);
    canary_evidence_view(sim->evidence, &tail, CANARY, &view);

    return passing ? canary_rule_passing_measure(&rule, 0, &view)
                   : canary_rule_measure(&rule, 0, &view.failing);
}


/* what the rule sees: those who left of all, to condemn and to go on */

static void
assert_left(sim_t *sim, uint64_t left, uint64_t attempts,
    uint64_t passing_left, uint64_t passing_attempts)
{
    canary_measure_t  failing, passing;

    failing = measure(sim, CANARY_RULE_ABANDONED_RATE, 0);
    passing = measure(sim, CANARY_RULE_ABANDONED_RATE, 1);

    assert_int_equal(failing.sum, left);
    assert_int_equal(failing.attempts, attempts);
    assert_int_equal(passing.sum, passing_left);
    assert_int_equal(passing.attempts, passing_attempts);
}


/* what a rule about errors sees */

static void
assert_attempts(sim_t *sim, uint64_t failing, uint64_t passing)
{
    assert_int_equal(measure(sim, CANARY_RULE_ERROR_RATE, 0).attempts,
                     failing);
    assert_int_equal(measure(sim, CANARY_RULE_ERROR_RATE, 1).attempts,
                     passing);
}


static sim_t *
sim_abandoned(uint64_t threshold)
{
    return sim_one(sim_default(CANARY_RULE_ABANDONED_RATE, threshold));
}


static void
an_attempt_is_in_flight_until_its_response_has_ended(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_abandoned(10 * PERCENT);

    sim_stream(sim, CANARY, header, 10, 3000, CANARY_END_OTHER);
    sim_stream(sim, CANARY, header, 10, 2000, CANARY_END_LEFT);
    sim_stream(sim, CANARY, header, 10, 100, CANARY_END_OTHER);
    sim_pass(sim, 1000);

    assert_left(sim, 0, 3, 0, 0);
    assert_attempts(sim, 3, 3);

    sim_pass(sim, 1500);
    assert_left(sim, 1, 3, 0, 0);

    sim_pass(sim, 1500);
    assert_left(sim, 1, 3, 1, 3);

    sim_pass(sim, 5000);
    assert_left(sim, 1, 3, 1, 3);
    assert_attempts(sim, 3, 3);

    sim_free(sim);
}


static void
who_leaves_before_the_header_is_evidence_for_no_other_rule(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_abandoned(10 * PERCENT);

    sim_attempt(sim, CANARY, no_header, 700);
    sim_stream(sim, CANARY, header, 10, 100, CANARY_END_OTHER);
    sim_pass(sim, 500);
    assert_left(sim, 0, 2, 0, 0);

    sim_pass(sim, 500);
    assert_left(sim, 1, 2, 1, 2);
    assert_attempts(sim, 1, 1);

    sim_pass(sim, 5000);
    assert_left(sim, 1, 2, 1, 2);

    sim_free(sim);
}


static void
a_cancelled_one_has_left_and_is_taken_out_of_the_others(void **state)
{
    sim_t            *sim;
    canary_ticket_t   ticket;

    (void) state;

    sim = sim_abandoned(10 * PERCENT);

    ticket = sim_begin(sim, CANARY);
    canary_evidence_follow(sim->evidence, &ticket);
    sim_end(sim, ticket, header);
    sim_pass(sim, 1000);
    assert_left(sim, 0, 1, 0, 0);

    canary_evidence_withdraw(sim->evidence, &ticket, 0);
    canary_evidence_ended(sim->evidence, &ticket, CANARY_END_LEFT_WITHDRAWN);

    assert_left(sim, 1, 1, 1, 1);
    assert_attempts(sim, 0, 0);

    sim_free(sim);
}


static void
in_flight_for_too_long_it_lets_nothing_pass(void **state)
{
    sim_t     *sim;
    uint32_t   i;

    (void) state;

    sim = sim_abandoned(10 * PERCENT);

    for (i = 0; i < 100; i++) {
        sim_stream(sim, CANARY, header, 10, i < 40 ? 2 * PATIENCE : 100,
                   CANARY_END_OTHER);
    }

    sim_pass(sim, PATIENCE / 2);
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
    assert_left(sim, 0, 100, 0, 0);

    sim_pass(sim, PATIENCE);
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
    assert_left(sim, 0, 100, 40, 100);

    sim_pass(sim, PATIENCE);
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);
    assert_left(sim, 0, 100, 0, 100);

    sim_free(sim);
}


static void
who_leaves_after_that_counts_in_the_step_and_in_no_test(void **state)
{
    sim_t           *sim;
    uint32_t         i;
    canary_proof_t   proof;
    canary_tail_t    tail;

    (void) state;

    sim = sim_abandoned(10 * PERCENT);

    for (i = 0; i < 100; i++) {
        sim_stream(sim, CANARY, header, 10, PATIENCE + 1000,
                   i < 90 ? CANARY_END_LEFT : CANARY_END_OTHER);
    }

    sim_attempt(sim, CANARY, no_header, PATIENCE + 1000);
    sim_survives(sim, 2 * PATIENCE);

    assert_left(sim, 91, 101, 91, 101);

    canary_evidence_tail(sim->evidence, sim->now, &tail);
    canary_trial_proof(&canary_judge(sim->evidence)->trials[0],
                       &sim->rollout.strategy.rules[0], &tail, 0, 0, &proof);
    assert_int_equal(proof.bad, 0);

    sim_free(sim);
}


static void
without_statistics_the_step_is_judged_by_all_of_them(void **state)
{
    sim_t     *sim;
    uint32_t   i;

    (void) state;

    sim = sim_one(sim_plain(CANARY_RULE_ABANDONED_RATE, 50 * PERCENT, 10));

    for (i = 0; i < 100; i++) {
        sim_stream(sim, CANARY, header, 10, PATIENCE + 1000 + 10 * i,
                   i < 51 ? CANARY_END_LEFT : CANARY_END_OTHER);
    }

    sim_survives(sim, PATIENCE + 1000);
    sim_pass(sim, PATIENCE);
    assert_true(sim->broken);
    assert_int_equal(measure(sim, CANARY_RULE_ABANDONED_RATE, 0).sum, 51);
    assert_int_equal(measure(sim, CANARY_RULE_ABANDONED_RATE, 0).attempts,
                     100);

    sim_free(sim);
}


/* the process that had them is gone: they are over, and nobody has left */

static void
what_a_dead_process_had_is_over(void **state)
{
    sim_t     *sim;
    uint32_t   i;

    (void) state;

    sim = sim_abandoned(10 * PERCENT);

    for (i = 0; i < 10; i++) {
        sim_stream(sim, CANARY, header, 10, SIM_NEVER - 1, CANARY_END_LEFT);
        sim->attempts[i].rest = 0;
        sim->attempts[i].followed = 1;
        canary_evidence_follow(sim->evidence, &sim->attempts[i].ticket);
        sim_end(sim, sim->attempts[i].ticket, header);
    }

    memset(sim->ends, 0xff, sizeof(sim->ends));
    sim_pass(sim, 1000);
    assert_left(sim, 0, 10, 0, 0);

    for (i = 0; i < SIM_SLOTS; i++) {
        canary_evidence_reap(sim->evidence, i);
    }

    sim_pass(sim, 1000);
    assert_left(sim, 0, 10, 0, 10);

    sim_free(sim);
}


static void
clients_come(sim_t *sim, unsigned side, const clients_t *clients, double *due)
{
    if (clients->on_ms
        && (sim->now - SIM_BEGIN) % (clients->on_ms + clients->off_ms)
           >= clients->on_ms)
    {
        return;
    }

    for (*due += clients->rate / 1000; *due >= 1; *due -= 1) {
        if (unit_random(&sim->seed) < clients->leave * 4294967295.0) {
            sim_stream(sim, side, header, 5, clients->leave_ms,
                       CANARY_END_LEFT);
        } else {
            sim_stream(sim, side, header, 5, clients->good_ms,
                       CANARY_END_OTHER);
        }
    }
}


/* Returns how long it took until the rule was broken. */

static uint64_t
go_on(sim_t *sim, const clients_t *canary, const clients_t *stable,
    uint64_t ms)
{
    double    due[CANARY_SIDES] = { 0 };
    uint64_t  began;

    for (began = sim->now; sim->now < began + ms && !sim->broken; ) {
        clients_come(sim, CANARY, canary, &due[CANARY]);
        clients_come(sim, STABLE, stable, &due[STABLE]);
        sim_pass(sim, 1);
    }

    return sim->now - began;
}


/*
 * Early or late, in a steady stream or in loads with silence after them: as
 * long as fewer leave than may, nothing is proved.  Those who leave come all
 * before, or all after those who stay.
 */

static void
a_healthy_canary_is_not_condemned_whenever_its_clients_leave(void **state)
{
    size_t    i;
    sim_t    *sim;
    uint32_t  run;

    static const clients_t  stable = { .rate = 100, .good_ms = 1000 };
    static const clients_t  ways[] = {
        { 100, 0.05, 200, 8000, 0, 0 },
        { 100, 0.05, 8000, 200, 0, 0 },
        { 100, 0.05, 200, 30000, 0, 0 },
        { 100, 0.05, 15000, 200, 0, 0 },
        { 200, 0.05, 8000, 200, 2000, 10000 },
        { 200, 0.05, 15000, 200, 2000, 20000 },
        { 200, 0.05, 200, 15000, 2000, 20000 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(ways); i++) {
        for (run = 0; run < 5; run++) {
            sim = sim_abandoned(10 * PERCENT);
            sim->seed = run + 1;

            go_on(sim, &ways[i], &stable, 60000);

            if (sim->broken) {
                fail_msg("way %u, run %u: condemned after %u ms",
                         (unsigned) i, (unsigned) run,
                         (unsigned) (sim->now - SIM_BEGIN));
            }

            sim_free(sim);
        }
    }
}


/* late as they are, those who leave are a share of all: no limit is too high
   to be broken */

static void
a_broken_one_is_condemned_at_any_limit(void **state)
{
    size_t    i;
    sim_t    *sim;
    uint64_t  ms;

    static const clients_t  stable = { .rate = 100, .good_ms = 1000 };
    static const struct {
        uint64_t   threshold;
        uint64_t   within;
        clients_t  clients;
    } ways[] = {
        { 10 * PERCENT, 4000, { 100, 1, 2000, 200, 0, 0 } },
        { 10 * PERCENT, 7000, { 100, 0.5, 4000, 200, 0, 0 } },
        { 50 * PERCENT, 9000, { 100, 0.9, 4000, 200, 0, 0 } },
        { 60 * PERCENT, 19000, { 100, 0.75, 8000, 200, 0, 0 } },
        { 80 * PERCENT, 18000, { 100, 1, 8000, 200, 0, 0 } }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(ways); i++) {
        sim = sim_abandoned(ways[i].threshold);

        ms = go_on(sim, &ways[i].clients, &stable, 60000);

        if (!sim->broken || ms > ways[i].within) {
            fail_msg("way %u: %s after %u ms", (unsigned) i,
                     sim->broken ? "condemned" : "not condemned",
                     (unsigned) ms);
        }

        sim_free(sim);
    }
}


static void
compared_with_stable_it_is_the_excess_that_counts(void **state)
{
    sim_t    *sim;
    uint32_t  run;

    static const clients_t  third = { 100, 0.33, 4000, 200, 0, 0 };
    static const clients_t  most = { 100, 0.7, 4000, 200, 0, 0 };
    static const clients_t  stable = { 300, 0.33, 4000, 200, 0, 0 };

    (void) state;

    for (run = 0; run < 3; run++) {
        sim = sim_one(sim_relative(CANARY_RULE_ABANDONED_RATE, 5 * PERCENT));
        sim->seed = run + 1;

        go_on(sim, &third, &stable, 60000);
        assert_false(sim->broken);

        sim_free(sim);
    }

    sim = sim_one(sim_relative(CANARY_RULE_ABANDONED_RATE, 5 * PERCENT));

    go_on(sim, &most, &stable, 30000);
    assert_true(sim->broken);

    sim_free(sim);
}


/* clients that leave both releases: an outage of the network, not of the
   canary */

static void
an_outage_of_both_holds_the_rollout(void **state)
{
    sim_t  *sim;

    static const clients_t  all = { 100, 1, 500, 200, 0, 0 };

    (void) state;

    sim = sim_abandoned(10 * PERCENT);

    go_on(sim, &all, &all, 5000);

    assert_false(sim->broken);
    assert_true(sim->holds != 0);

    sim_free(sim);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(an_attempt_is_in_flight_until_its_response_has_ended),
        cmocka_unit_test(
            who_leaves_before_the_header_is_evidence_for_no_other_rule),
        cmocka_unit_test(
            a_cancelled_one_has_left_and_is_taken_out_of_the_others),
        cmocka_unit_test(in_flight_for_too_long_it_lets_nothing_pass),
        cmocka_unit_test(
            who_leaves_after_that_counts_in_the_step_and_in_no_test),
        cmocka_unit_test(without_statistics_the_step_is_judged_by_all_of_them),
        cmocka_unit_test(what_a_dead_process_had_is_over),
        cmocka_unit_test(
            a_healthy_canary_is_not_condemned_whenever_its_clients_leave),
        cmocka_unit_test(a_broken_one_is_condemned_at_any_limit),
        cmocka_unit_test(compared_with_stable_it_is_the_excess_that_counts),
        cmocka_unit_test(an_outage_of_both_holds_the_rollout)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
