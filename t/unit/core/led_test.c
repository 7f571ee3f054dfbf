
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* A fleet that is led: who decides what, and what is lost with whom. */


#include "canary_lead_layout.h"

#include "nodes.h"


#define ERRORS   CANARY_RULE_ERROR_5XX_RATE
#define PATIENT  CANARY_PATIENCE_MIN
#define COMMON   0.9
#define SEATS    8


static const canary_finish_t  good = { .timed = 1 };
static const canary_finish_t  bad = { .bad_5xx = 1 };


static canary_rule_t
errors(unsigned given)
{
    return nodes_rule(ERRORS, 10 * PERCENT, given, (canary_rule_t) { 0 });
}


static nodes_t *
fleet_of(uint32_t n, canary_rule_t rule)
{
    nodes_t  *fleet;

    fleet = nodes_new(n, &rule, 1, PATIENT);

    fleet->common = COMMON;
    fleet->share = (1 - COMMON) / SEATS;

    return fleet;
}


/*
 * For so long at most, until something is decided: an attempt of each side
 * each 4 ms at every node that is there, which take "ms"; those of the canary
 * at the first "nbad" nodes are bad.
 */

static void
pass(nodes_t *fleet, uint64_t time, uint32_t nbad, uint32_t ms)
{
    uint32_t  i, decided;
    uint64_t  until;

    decided = fleet->broken + fleet->broken_alone + fleet->unavailable;
    until = fleet->t + time;

    while (fleet->t < until
           && decided == fleet->broken + fleet->broken_alone
                         + fleet->unavailable)
    {
        for (i = 0; fleet->t % 4 == 0 && i < fleet->n; i++) {
            if (fleet->nodes[i].state != CANARY_NODE_GONE) {
                nodes_attempt(fleet, i, STABLE, good, ms);
                nodes_attempt(fleet, i, CANARY, i < nbad ? bad : good, ms);
            }
        }

        if (nodes_tick(fleet)) {
            nodes_look(fleet);
        }
    }
}


static void
test_dead_everywhere(void **state)
{
    nodes_t  *fleet;

    (void) state;

    fleet = fleet_of(4, errors(0));

    pass(fleet, 2000, 4, 2);

    assert_int_equal(fleet->broken, 1);
    assert_int_equal(fleet->broken_alone, 0);
    assert_true(fleet->broken_at <= 500);

    nodes_free(fleet);
}


/* the others are good: the fleet does not see it, that node does */

static void
test_dead_at_one(void **state)
{
    nodes_t  *fleet;

    (void) state;

    fleet = fleet_of(8, errors(0));

    pass(fleet, 1500, 0, 2);
    pass(fleet, 3000, 1, 2);

    assert_int_equal(fleet->broken, 0);
    assert_int_equal(fleet->broken_alone, 1);

    nodes_free(fleet);
}


static void
test_a_node_has_its_share(void **state)
{
    int                i;
    double             shares[] = { 1, 0.0125, 0 };
    uint64_t           took[3];
    nodes_t           *fleet;

    (void) state;

    for (i = 0; i < 3; i++) {
        fleet = fleet_of(1, errors(0));
        fleet->common = 1e-9;
        fleet->share = shares[i];

        pass(fleet, 3000, 1, 2);
        took[i] = fleet->broken_alone ? fleet->t : 0;

        nodes_free(fleet);
    }

    assert_true(took[0] > 0);
    assert_true(took[1] > took[0]);
    assert_int_equal(took[2], 0);
}


/* by single attempts, as soon as one has failed: fuses know the share */

static void
test_a_trip_has_its_share(void **state)
{
    int               i;
    double            shares[] = { 1, 0.0125 };
    uint32_t          n[2];
    node_t           *node;
    nodes_t          *fleet;
    canary_member_t   member;
    canary_control_t  control;

    (void) state;

    for (i = 0; i < 2; i++) {
        fleet = fleet_of(2, errors(CANARY_GIVEN_BURST));
        fleet->share = shares[i];
        node = &fleet->nodes[1];

        pass(fleet, 60, 0, 2);

        member = nodes_member(fleet, CANARY_FOLLOWER);
        control = nodes_control(node, &member);

        for (n[i] = 0; fleet->broken_alone == 0; n[i]++) {
            canary_ticket_t  ticket;

            canary_evidence_start(node->evidence, 0, CANARY, &ticket);
            canary_evidence_finish(node->evidence, &ticket, &bad);

            if (canary_evidence_burn(node->evidence, 5)) {
                canary_control_trip(&control, 1);
            }

            assert_true(n[i] < 50);
        }

        nodes_free(fleet);
    }

    assert_in_range(n[1], n[0] + 1, n[0] + 6);
}


static void
test_without_statistics_the_leader_judges(void **state)
{
    nodes_t  *fleet;

    (void) state;

    /* one of four is bad, and one of eight above the limit of 10 % */

    fleet = fleet_of(4, errors(CANARY_GIVEN_CONFIDENCE));
    pass(fleet, 2000, 1, 2);
    assert_int_equal(fleet->broken, 1);
    assert_int_equal(fleet->broken_alone, 0);
    nodes_free(fleet);

    /* below it at all nodes together: what it is at one is nobody's business */

    fleet = fleet_of(8, nodes_rule(ERRORS, 20 * PERCENT,
                                   CANARY_GIVEN_CONFIDENCE,
                                   (canary_rule_t) { 0 }));
    pass(fleet, 2000, 1, 2);
    assert_int_equal(fleet->broken + fleet->broken_alone, 0);

    /* but to itself, when it knows of nobody else */

    fleet->nodes[0].deaf = 1;
    fleet->nodes[0].state = CANARY_NODE_SILENT;
    pass(fleet, 2000, 1, 2);
    assert_int_equal(fleet->broken, 0);
    assert_int_equal(fleet->broken_alone, 1);
    nodes_free(fleet);
}


static void
test_budgets_are_of_all(void **state)
{
    nodes_t        *fleet;
    canary_rule_t   rule;

    (void) state;

    rule = nodes_rule(CANARY_RULE_FAILED_REQUESTS_MAX, 100, 0,
                      (canary_rule_t) { 0 });

    /* each has spent 30 or so, so no node could tell alone */

    fleet = fleet_of(4, rule);
    pass(fleet, 2000, 4, 2);
    assert_int_equal(fleet->broken, 1);
    assert_int_equal(fleet->broken_alone, 0);
    assert_true(fleet->t <= 200);
    nodes_free(fleet);

    /* what a node spent is spent when it is gone, and nothing is known of it */

    fleet = fleet_of(4, rule);
    pass(fleet, 52, 4, 2);
    fleet->nodes[3].state = CANARY_NODE_GONE;
    fleet->nodes[3].has_told = 0;
    fleet->nodes[2].state = CANARY_NODE_GONE;
    pass(fleet, 500, 2, 2);
    assert_int_equal(fleet->broken, 1);
    assert_true(fleet->t <= 200);
    nodes_free(fleet);
}


static void
test_steps_are_the_leaders(void **state)
{
    uint32_t           i;
    nodes_t           *fleet;
    canary_member_t    member;
    canary_control_t   control;

    (void) state;

    fleet = fleet_of(3, errors(0));
    pass(fleet, 61000, 0, 2);

    assert_int_equal(nodes_result(fleet).verdict, CANARY_PASSING);
    assert_int_equal(fleet->steps, 0);

    /* it is due; nobody takes it but the leader, who may */

    for (i = 0; i < fleet->n; i++) {
        member = nodes_member(fleet, i == 1 ? CANARY_ISOLATED
                                            : CANARY_FOLLOWER);
        control = nodes_control(&fleet->nodes[i], &member);
        canary_control_look(&control, 1);
    }

    assert_int_equal(fleet->steps, 0);

    fleet->may_step = 1;
    nodes_look(fleet);
    assert_int_equal(fleet->steps, 1);

    /* not while a node's stable has no live server */

    canary_away_meet(&fleet->nodes[2].away[STABLE],
                     fleet->nodes[2].rollout.number,
                     fleet->t + fleet->nodes[2].ahead);
    nodes_look(fleet);
    assert_int_equal(fleet->steps, 1);

    nodes_free(fleet);
}


static void
test_attempts_in_flight_are_left_out_by_node(void **state)
{
    nodes_t         *fleet;
    canary_result_t  result;

    (void) state;

    /* node 0 always has something in flight, of each 100 ms */

    fleet = fleet_of(4, errors(0));

    while (fleet->t < 3000) {
        if (fleet->t % 10 == 0) {
            nodes_attempt(fleet, 0, CANARY, good, 5000);
            nodes_attempt(fleet, 1, CANARY, good, 3);
            nodes_attempt(fleet, 2, CANARY, good, 3);
            nodes_attempt(fleet, 3, CANARY, good, 3);
        }

        if (nodes_tick(fleet)) {
            nodes_look(fleet);
        }

        if (fleet->t == 950) {
            result = nodes_result(fleet);
            assert_int_equal(result.started, 4 * 95);
            assert_in_range(result.decided, 3 * 95, 3 * 95);
            assert_int_equal(result.verdict, CANARY_PASSING);
        }
    }

    /* until they have been so for longer than any that ended */

    result = nodes_result(fleet);
    assert_in_range(result.overdue, 150, 200);
    assert_int_equal(result.verdict, CANARY_UNDECIDED);

    nodes_free(fleet);
}


/* a slot that a live node has not told of is not judged */

static void
test_slots_are_complete(void **state)
{
    nodes_t  *fleet;

    (void) state;

    fleet = fleet_of(2, errors(0));
    pass(fleet, 1000, 0, 2);

    /* it tells nothing new for 400 ms; what the other one tells is all bad */

    fleet->nodes[1].deaf = 1;
    pass(fleet, 400, 1, 2);
    assert_int_equal(fleet->broken, 0);
    assert_int_equal(nodes_result(fleet).rules[0].verdict, CANARY_UNDECIDED);

    /* then nobody waits any more */

    fleet->nodes[1].state = CANARY_NODE_SILENT;
    nodes_look(fleet);
    pass(fleet, 1000, 1, 2);
    assert_int_equal(fleet->broken + fleet->broken_alone, 1);

    nodes_free(fleet);
}


/* cohorts are few and short where all is well, and never too many */

static void
test_what_is_told_is_short(void **state)
{
    uint64_t  slot;
    nodes_t  *fleet;

    (void) state;

    fleet = fleet_of(4, errors(0));
    pass(fleet, 10000, 0, 2);

    assert_in_range(fleet->nodes[2].told.n, 12, 18);
    assert_true(fleet->nodes[2].bytes
                <= 50 + 14 * fleet->nodes[2].told.n);

    /* a leader that is silent: kept for 12 s */

    fleet->nodes[2].deaf = 1;
    fleet->nodes[2].state = CANARY_NODE_GONE;
    slot = fleet->nodes[1].told.cohorts[0].slot;
    fleet->orders.number = 0;
    pass(fleet, 8000, 0, 2);
    assert_int_equal(fleet->nodes[1].told.number, 1);
    assert_in_range(fleet->nodes[1].told.n, 12, 18);
    assert_true(fleet->nodes[1].told.cohorts[0].slot > slot);

    nodes_free(fleet);
}


static void
test_an_isolated_node_tells_it_later(void **state)
{
    nodes_t         *fleet;
    canary_result_t  result;

    (void) state;

    fleet = fleet_of(3, errors(0));
    fleet->share = 0;

    pass(fleet, 2000, 0, 2);
    fleet->nodes[2].deaf = 1;
    fleet->nodes[2].state = CANARY_NODE_SILENT;
    pass(fleet, 5000, 0, 2);

    result = nodes_result(fleet);
    assert_in_range(result.started, 2 * 1700 + 470, 2 * 1750 + 520);

    fleet->nodes[2].deaf = 0;
    fleet->nodes[2].state = CANARY_NODE_LIVE;
    pass(fleet, 2000, 0, 2);

    result = nodes_result(fleet);
    assert_int_equal(result.started, 3 * 9000 / 4);
    assert_in_range(fleet->nodes[2].told.n, 12, 18);

    nodes_free(fleet);
}


/* what was in flight at a node that is gone has no end, and is no evidence */

static void
test_a_node_that_is_gone(void **state)
{
    uint32_t         i;
    nodes_t         *fleet;
    canary_result_t  result;

    (void) state;

    fleet = fleet_of(2, errors(0));
    pass(fleet, 1000, 0, 2);

    for (i = 0; i < 30; i++) {
        nodes_attempt(fleet, 1, CANARY, bad, 8000);
    }

    pass(fleet, 100, 0, 2);
    fleet->nodes[1].state = CANARY_NODE_GONE;
    pass(fleet, 4000, 0, 2);

    result = nodes_result(fleet);
    assert_int_equal(result.overdue, 0);
    assert_in_range(result.decided, 1275 + 270, 1275 + 275);
    assert_int_equal(result.verdict, CANARY_PASSING);

    /* the other's cohorts are folded */

    assert_in_range(fleet->nodes[0].told.n, 12, 18);

    nodes_free(fleet);
}


/* the next leader goes on where the last one has left it */

static void
test_the_leader_changes(void **state)
{
    size_t            lens[2];
    uint8_t           bytes[2][CANARY_LEAD_BYTES];
    nodes_t          *fleet;
    canary_lead_t    *next;
    canary_result_t   before, after;
    canary_rule_t     rules[] = {
        errors(0),
        nodes_rule(CANARY_RULE_LATENCY_P90_MAX, 45000, 0,
                   (canary_rule_t) { 0 }),
        nodes_rule(CANARY_RULE_LATENCY_P99_MAX, 2 * CANARY_RATIO_ONE,
                   CANARY_GIVEN_BASELINE, (canary_rule_t) { .baseline = 1 }),
        nodes_rule(ERRORS, 20 * PERCENT,
                   CANARY_GIVEN_CONFIDENCE|CANARY_GIVEN_WINDOW,
                   (canary_rule_t) { .window = 3000 }),
        nodes_rule(CANARY_RULE_FAILED_REQUESTS_MAX, 1000, 0,
                   (canary_rule_t) { 0 }),
    };

    (void) state;

    fleet = nodes_new(3, rules, UNIT_LENGTH(rules), PATIENT);
    pass(fleet, 5000, 0, 5);

    before = nodes_result(fleet);
    lens[0] = canary_lead_save(fleet->lead, &fleet->nodes[0].rollout,
                               bytes[0], sizeof(bytes[0]));
    assert_true(lens[0] > 0 && lens[0] < 2500);

    next = unit_junk(canary_lead_size());
    canary_lead_begin(next, &fleet->nodes[1].rollout,
                      fleet->nodes[1].evidence, nodes_now(fleet));
    assert_true(canary_lead_load(next, &fleet->nodes[1].rollout, bytes[0],
                                 lens[0]));

    lens[1] = canary_lead_save(next, &fleet->nodes[1].rollout, bytes[1],
                               sizeof(bytes[1]));
    assert_int_equal(lens[0], lens[1]);
    assert_memory_equal(bytes[0], bytes[1], lens[0]);

    free(fleet->lead);
    fleet->lead = next;
    fleet->leader = 1;
    nodes_lead(fleet);

    after = nodes_result(fleet);
    assert_int_equal(before.started, after.started);
    assert_int_equal(before.rules[0].attempts, after.rules[0].attempts);
    assert_int_equal(before.rules[3].attempts, after.rules[3].attempts);
    assert_int_equal(before.rules[0].verdict, after.rules[0].verdict);

    nodes_free(fleet);
}


static void
test_states_that_are_none(void **state)
{
    size_t            i, len;
    uint8_t           bytes[CANARY_LEAD_BYTES], copy[CANARY_LEAD_BYTES];
    nodes_t          *fleet;
    canary_rollout_t  other;

    (void) state;

    fleet = fleet_of(2, errors(0));
    pass(fleet, 3000, 0, 5);

    len = canary_lead_save(fleet->lead, &fleet->nodes[0].rollout, bytes,
                           sizeof(bytes));
    assert_int_equal(canary_lead_save(fleet->lead, &fleet->nodes[0].rollout,
                                      copy, len - 1), 0);

    other = fleet->nodes[0].rollout;
    other.trial++;
    assert_int_equal(canary_lead_save(fleet->lead, &other, copy,
                                      sizeof(copy)), 0);

    for (i = 0; i < len; i++) {
        canary_lead_begin(fleet->lead, &fleet->nodes[0].rollout,
                          fleet->nodes[0].evidence, nodes_now(fleet));
        assert_false(canary_lead_load(fleet->lead, &fleet->nodes[0].rollout,
                                      bytes, i));
        assert_int_equal(fleet->lead->told_slot, 0);
    }

    canary_lead_begin(fleet->lead, &other, fleet->nodes[0].evidence,
                      nodes_now(fleet));
    assert_false(canary_lead_load(fleet->lead, &other, bytes, len));

    nodes_free(fleet);
}


/* what stable does everywhere as well is no reason to roll back */

static void
test_an_outage_of_both(void **state)
{
    uint32_t  i;
    nodes_t  *fleet;

    (void) state;

    fleet = fleet_of(4, errors(0));
    fleet->share = 0;
    pass(fleet, 3000, 0, 2);

    while (fleet->t < 6000) {
        for (i = 0; fleet->t % 4 == 0 && i < 4; i++) {
            nodes_attempt(fleet, i, STABLE, bad, 2);
            nodes_attempt(fleet, i, CANARY, bad, 2);
        }

        if (nodes_tick(fleet)) {
            nodes_look(fleet);
        }
    }

    assert_int_equal(fleet->broken, 0);
    assert_int_equal(fleet->holds, 1);
    assert_int_equal(canary_lead_held(fleet->lead), 0);
    assert_true(fleet->orders.discarded_to > fleet->orders.discarded_from);

    /* it is over after 10 s, and none of that counts, wherever it is kept */

    pass(fleet, 20000, 0, 2);

    assert_int_equal(fleet->broken, 0);
    assert_int_equal(canary_lead_held(fleet->lead), -1);
    assert_int_equal(nodes_result(fleet).rules[0].bad, 0);
    assert_true(nodes_result(fleet).started > 4000);

    pass(fleet, 2000, 4, 2);
    assert_int_equal(fleet->broken, 1);

    nodes_free(fleet);
}


/* a blip of all nodes is one observation, and in two slots as well */

static void
test_slots_in_pairs(void **state)
{
    uint32_t  i, width;
    nodes_t  *fleet;
    uint64_t  took[3];

    (void) state;

    for (width = 1; width <= 2; width++) {
        fleet = fleet_of(4, errors(0));
        fleet->width = width;
        fleet->share = 0;

        pass(fleet, 10120, 0, 2);

        /* 40 ms of each 2 s, where a slot ends */

        for (i = 0; i < 20; i++) {
            pass(fleet, 1960, 0, 2);
            pass(fleet, 40, 4, 2);
        }

        assert_int_equal(fleet->broken, 0);

        took[width] = fleet->t;
        pass(fleet, 5000, 4, 2);
        took[width] = fleet->t - took[width];
        assert_int_equal(fleet->broken, 1);

        nodes_free(fleet);
    }

    assert_true(took[2] > took[1]);
}


static void
test_a_canary_without_servers(void **state)
{
    uint32_t  i;
    node_t   *node;
    nodes_t  *fleet;

    (void) state;

    fleet = fleet_of(2, errors(0));
    fleet->patience = 3000;

    /* one of them: there the canary falls back, and steps wait */

    pass(fleet, 1000, 0, 2);
    node = &fleet->nodes[1];

    canary_away_meet(&node->away[CANARY], node->rollout.number,
                     fleet->t + node->ahead);
    node->answered[CANARY] = 1000000;
    nodes_look(fleet);

    for (i = 0; i < 5000; i++) {
        if (i % 4 == 0) {
            nodes_attempt(fleet, 0, CANARY, good, 2);
        }

        if (nodes_tick(fleet)) {
            nodes_look(fleet);
        }
    }

    assert_int_equal(fleet->unavailable, 0);
    assert_true(node->told.away[CANARY] >= 4900);

    /* and then nobody answers any more */

    for (i = 0; i < 4000 && fleet->unavailable == 0; i++) {
        if (nodes_tick(fleet)) {
            nodes_look(fleet);
        }
    }

    assert_int_equal(fleet->unavailable, 1);
    assert_in_range(i, 2900, 3200);

    nodes_free(fleet);
}


/* times that take as long as patience, and more than 10 s */

static void
test_long_patience(void **state)
{
    uint32_t         i;
    nodes_t         *fleet;
    canary_rule_t    rule;
    canary_result_t  result;

    (void) state;

    rule = errors(0);
    fleet = nodes_new(2, &rule, 1, 60000);

    for (i = 0; i < 80000; i++) {

        /* one hangs in each second at node 0; node 1 is quick */

        if (i % 1000 == 0 && i < 60000) {
            nodes_attempt(fleet, 0, CANARY, good, 16000);
        }

        if (i % 50 == 0) {
            nodes_attempt(fleet, 0, CANARY, good, 3);
            nodes_attempt(fleet, 1, CANARY, good, 3);
        }

        if (nodes_tick(fleet)) {
            nodes_look(fleet);
            assert_true(fleet->nodes[1].told.n <= 124);
        }
    }

    result = nodes_result(fleet);
    assert_int_equal(result.started, 2 * 1600 + 60);
    assert_int_equal(result.decided, result.started);
    assert_true(fleet->nodes[0].told.n <= 30);

    nodes_free(fleet);
}


static void
test_new_tests(void **state)
{
    uint32_t           i;
    nodes_t           *fleet;
    canary_command_t   command;
    canary_strategy_t  strategy;

    (void) state;

    fleet = fleet_of(2, errors(0));
    pass(fleet, 1000, 0, 2);

    strategy = fleet->nodes[0].rollout.strategy;
    strategy.rules[0].threshold = 30 * PERCENT;

    for (i = 0; i < 2; i++) {
        command = (canary_command_t) {
            .verb = CANARY_PATCH, .strategy = &strategy,
            .now = fleet->t + fleet->nodes[i].ahead
        };
        assert_int_equal(canary_rollout_apply(&fleet->nodes[i].rollout,
                                              &command), CANARY_CHANGED);

        if (i == 0) {
            assert_false(canary_lead_is_of(fleet->lead,
                                           &fleet->nodes[0].rollout));
            nodes_look(fleet);
            canary_lead_begin(fleet->lead, &fleet->nodes[0].rollout,
                              fleet->nodes[0].evidence, nodes_now(fleet));
            nodes_look(fleet);

            /* what the other tells is of the tests before */

            assert_int_equal(nodes_result(fleet).started, 0);
        }
    }

    pass(fleet, 1000, 0, 2);
    assert_in_range(nodes_result(fleet).started, 470, 500);

    nodes_free(fleet);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_dead_everywhere),
        cmocka_unit_test(test_dead_at_one),
        cmocka_unit_test(test_a_node_has_its_share),
        cmocka_unit_test(test_a_trip_has_its_share),
        cmocka_unit_test(test_without_statistics_the_leader_judges),
        cmocka_unit_test(test_budgets_are_of_all),
        cmocka_unit_test(test_steps_are_the_leaders),
        cmocka_unit_test(test_attempts_in_flight_are_left_out_by_node),
        cmocka_unit_test(test_slots_are_complete),
        cmocka_unit_test(test_what_is_told_is_short),
        cmocka_unit_test(test_an_isolated_node_tells_it_later),
        cmocka_unit_test(test_a_node_that_is_gone),
        cmocka_unit_test(test_the_leader_changes),
        cmocka_unit_test(test_states_that_are_none),
        cmocka_unit_test(test_an_outage_of_both),
        cmocka_unit_test(test_slots_in_pairs),
        cmocka_unit_test(test_a_canary_without_servers),
        cmocka_unit_test(test_long_patience),
        cmocka_unit_test(test_new_tests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
