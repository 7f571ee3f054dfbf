
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* What a leader lets all nodes show: what it is made of, and on its way. */


#include "canary_view.h"

#include "nodes.h"


#define ERRORS  CANARY_RULE_ERROR_5XX_RATE


static const canary_finish_t  good = { .timed = 1 };
static const canary_finish_t  bad = { .bad_5xx = 1 };


static canary_view_t
some_view(canary_view_node_t nodes[2])
{
    canary_view_t  view = {
        .at = NODES_BEGIN + 1234, .number = 3, .trial = 2, .step = 7,
        .held = 1, .stable_away = 1, .pace = { NODES_BEGIN, 400 },
        .result = {
            .of_fleet = 1, .decided = 900, .started = 1000,
            .stable_started = 9000, .overdue = 2,
            .verdict = CANARY_UNDECIDED, .n = 2
        },
        .waits = "node web7 is silent", .nnodes = 2
    };

    view.result.rules[0] = (canary_judgement_t) {
        .verdict = CANARY_PASSING, .value = 0.02, .attempts = 900,
        .bad = 18, .low = 0.011, .high = 0.031
    };

    view.result.rules[1] = (canary_judgement_t) {
        .verdict = CANARY_UNDECIDED, .value = NAN, .needed = 100,
        .low = -0.5, .high = NAN
    };

    nodes[0] = (canary_view_node_t) {
        .name = "web1", .verdict = CANARY_FAILING, .bad = 300,
        .started = { 8000, 700 }
    };

    nodes[1] = (canary_view_node_t) {
        .name = "web2", .started = { 1000, 300 }
    };

    return view;
}


static void
it_comes_as_it_was(void **state)
{
    size_t              len;
    uint8_t             bytes[CANARY_VIEW_BYTES];
    canary_view_t       view, came;
    canary_judgement_t *rule;
    canary_view_node_t  nodes[2], those[CANARY_FLEET_NODES];

    (void) state;

    view = some_view(nodes);
    len = canary_view_encode(&view, nodes, bytes, sizeof(bytes));

    assert_int_not_equal(len, 0);
    assert_true(canary_view_decode(bytes, len, &came, those));

    assert_int_equal(came.at, view.at);
    assert_int_equal(came.held, 1);
    assert_int_equal(came.stable_away, 1);
    assert_int_equal(came.pace.begun, 400);
    assert_int_equal(came.result.decided, 900);
    assert_int_equal(came.result.n, 2);
    assert_string_equal(came.waits, view.waits);

    rule = came.result.rules;

    assert_int_equal(rule[0].verdict, CANARY_PASSING);
    assert_true(rule[0].value == 0.02 && rule[0].high == 0.031);
    assert_true(isnan(rule[1].value) && isnan(rule[1].high));
    assert_true(rule[1].low == -0.5);
    assert_int_equal(rule[1].needed, 100);

    assert_int_equal(came.nnodes, 2);
    assert_string_equal(those[0].name, "web1");
    assert_int_equal(those[0].verdict, CANARY_FAILING);
    assert_int_equal(those[0].bad, 300);
    assert_int_equal(those[1].started[STABLE], 1000);
    assert_int_equal(those[1].started[CANARY], 300);

    /* without nodes it is the same, and too little room is none */

    assert_true(canary_view_decode(bytes, len, &came, NULL));
    assert_int_equal(came.nnodes, 2);

    while (len > 0) {
        assert_int_equal(canary_view_encode(&view, nodes, bytes, --len), 0);
    }
}


/* no byte is read beyond its end, wherever that is */

static void
a_part_is_none(void **state)
{
    size_t              len, cut;
    uint8_t             bytes[CANARY_VIEW_BYTES], *copy;
    canary_view_t       view, came;
    canary_view_node_t  nodes[2];

    (void) state;

    view = some_view(nodes);
    len = canary_view_encode(&view, nodes, bytes, sizeof(bytes));

    for (cut = 0; cut < len; cut++) {
        copy = malloc(cut + 1);
        assert_non_null(copy);
        memcpy(copy + 1, bytes, cut);

        assert_false(canary_view_decode(copy + 1, cut, &came, NULL));

        free(copy);
    }

    bytes[len] = 0;
    assert_false(canary_view_decode(bytes, len + 1, &came, NULL));
}


static void
wrong(canary_view_t view, const canary_view_node_t *nodes)
{
    size_t         len;
    uint8_t        bytes[CANARY_VIEW_BYTES];
    canary_view_t  came;

    len = canary_view_encode(&view, nodes, bytes, sizeof(bytes));

    assert_int_not_equal(len, 0);
    assert_false(canary_view_decode(bytes, len, &came, NULL));
}


static void
what_nobody_writes_is_none(void **state)
{
    canary_view_t       view;
    canary_view_node_t  nodes[2];

    (void) state;

    view = some_view(nodes);
    view.held = 2;
    wrong(view, nodes);

    view.held = -2;
    wrong(view, nodes);

    view = some_view(nodes);
    view.result.rules[0].verdict = (canary_verdict_t) 3;
    wrong(view, nodes);

    view = some_view(nodes);
    view.result.verdict = (canary_verdict_t) 3;
    wrong(view, nodes);

    view = some_view(nodes);
    strcpy(nodes[1].name, "no name");
    wrong(view, nodes);

    view = some_view(nodes);
    nodes[0].verdict = 3;
    wrong(view, nodes);
}


/* a text that is not one line, and what nodes tell that is too much */

static void
what_is_written_is_read(void **state)
{
    size_t              len;
    uint8_t             bytes[CANARY_VIEW_BYTES];
    canary_view_t       view, came;
    canary_view_node_t  nodes[2], those[CANARY_FLEET_NODES];

    (void) state;

    view = some_view(nodes);
    strcpy(view.waits, "a\nb\x7f" "c");
    view.result.started = UINT64_MAX;
    view.result.rules[0].value = INFINITY;
    nodes[0].bad = UINT64_MAX;

    len = canary_view_encode(&view, nodes, bytes, sizeof(bytes));

    assert_true(canary_view_decode(bytes, len, &came, those));
    assert_string_equal(came.waits, "a?b?c");
    assert_true(isnan(came.result.rules[0].value));
    assert_true(those[0].bad >= 1ull << 60);
}


static void
it_is_of_a_step_for_a_while(void **state)
{
    canary_view_t       view;
    canary_rollout_t    rollout;
    canary_view_node_t  nodes[2];

    (void) state;

    view = some_view(nodes);
    memset(&rollout, 0, sizeof(canary_rollout_t));

    rollout.number = 3;
    rollout.trial = 2;
    rollout.tests = 7;
    rollout.strategy.nrules = 2;

    assert_true(canary_view_is_of(&view, &rollout, view.at));
    assert_true(canary_view_is_of(&view, &rollout, view.at + 4999));
    assert_true(canary_view_is_of(&view, &rollout, view.at - 4999));
    assert_false(canary_view_is_of(&view, &rollout, view.at + 5000));
    assert_false(canary_view_is_of(&view, &rollout, view.at - 5000));
    assert_false(canary_view_is_of(&view, &rollout, 0));

    rollout.tests = 8;
    assert_false(canary_view_is_of(&view, &rollout, view.at));
    rollout.tests = 7;

    rollout.trial = 3;
    assert_false(canary_view_is_of(&view, &rollout, view.at));
    rollout.trial = 2;

    rollout.number = 4;
    assert_false(canary_view_is_of(&view, &rollout, view.at));
    rollout.number = 3;

    rollout.strategy.nrules = 1;
    assert_false(canary_view_is_of(&view, &rollout, view.at));
}


/* of the leader: sums of all; and each node by what it has told, folded or not */

static void
it_has_all_nodes(void **state)
{
    nodes_t            *fleet;
    uint32_t            i;
    uint64_t            sum, stable, nbad;
    canary_rule_t       rule;
    canary_view_t       view;
    canary_rollout_t   *rollout;
    canary_view_node_t  node;

    (void) state;

    rule = nodes_rule(ERRORS, 90 * PERCENT, 0, (canary_rule_t) { 0 });
    fleet = nodes_new(3, &rule, 1, CANARY_PATIENCE_MIN);

    while (fleet->t < 6000) {
        for (i = 0; i < fleet->n && fleet->t % 10 == 0; i++) {
            nodes_attempt(fleet, i, STABLE, good, 3);

            if (i > 0) {
                nodes_attempt(fleet, i, CANARY, i == 2 ? bad : good, 3);
            }
        }

        if (nodes_tick(fleet)) {
            nodes_look(fleet);
        }
    }

    rollout = &fleet->nodes[fleet->leader].rollout;

    canary_view_take(fleet->lead, rollout, &view);

    assert_true(canary_view_is_of(&view, rollout, view.at));
    assert_int_equal(view.held, -1);
    assert_int_equal(view.result.n, 1);
    assert_int_not_equal(view.pace.ms, 0);

    sum = 0;
    stable = 0;
    nbad = 0;

    for (i = 0; i < fleet->n; i++) {
        memset(&node, 0, sizeof(canary_view_node_t));

        assert_true(canary_view_take_node(&fleet->nodes[i].told, rollout,
                                          &node));
        assert_int_equal(node.started[CANARY] == 0, i == 0);
        assert_int_equal(node.bad == 0, i < 2);

        sum += node.started[CANARY];
        stable += node.started[STABLE];
        nbad += node.bad;
    }

    assert_int_equal(view.result.started, sum);
    assert_int_equal(view.result.stable_started, stable);
    assert_int_equal(view.result.rules[0].bad, nbad);
    assert_true(sum > 1000);

    rollout->tests++;
    assert_false(canary_view_take_node(&fleet->nodes[0].told, rollout, &node));

    nodes_free(fleet);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(it_comes_as_it_was),
        cmocka_unit_test(a_part_is_none),
        cmocka_unit_test(what_nobody_writes_is_none),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(it_is_of_a_step_for_a_while),
        cmocka_unit_test(it_has_all_nodes)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
