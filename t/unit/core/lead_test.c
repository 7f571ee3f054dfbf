
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * The evidence of several nodes says what that of one machine with the same
 * attempts does: rule by rule, and bit by bit.
 */


#include "nodes.h"


#define ERRORS   CANARY_RULE_ERROR_5XX_RATE
#define MS       1000ull


/* What attempts do at a time, and how many of each side there are. */

typedef struct {
    double    bad_5xx;        /* shares */
    double    bad_4xx;
    double    left;
    uint32_t  ms;             /* at least, and so many more at most */
    uint32_t  more;
    uint32_t  slow;           /* ms, one in ten */
} deeds_t;


typedef struct {
    deeds_t   sides[CANARY_SIDES];
    deeds_t   then;           /* the canary, from the middle on */
    uint32_t  rate;           /* of the canary, per s; of stable 3 times that */
} scene_t;


static const scene_t  healthy = {
    { { .01, .02, .01, 3, 40, 42 }, { .01, .02, .01, 3, 40, 42 } },
    { .01, .02, .01, 3, 40, 42 }, 400
};

static const scene_t  breaks = {
    { { .01, .02, .01, 3, 40, 42 }, { .01, .02, .01, 3, 40, 42 } },
    { .3, .4, .3, 30, 40, 400 }, 400
};

/* in one cohort it comes and is over */

static const scene_t  instant = {
    { { .01, .02, .01, 1, 1, 1 }, { .02, .03, .02, 1, 1, 1 } },
    { .2, .3, .1, 1, 1, 1 }, 400
};


static int
happens(uint64_t *seed, double share)
{
    return unit_random(seed) < share * 4294967295.0;
}


static void
act(nodes_t *fleet, uint64_t *seed, unsigned side, const deeds_t *deeds)
{
    int              left;
    uint32_t         node, ms;
    canary_finish_t  finish;

    memset(&finish, 0, sizeof(canary_finish_t));

    node = unit_random(seed);
    ms = deeds->ms + unit_below(seed, deeds->more);

    if (happens(seed, .1)) {
        ms = deeds->slow;
    }

    finish.bad_5xx = happens(seed, deeds->bad_5xx);
    finish.bad_4xx = !finish.bad_5xx && happens(seed, deeds->bad_4xx);
    finish.timed = !finish.bad_5xx;
    left = happens(seed, deeds->left);

    nodes_stream(fleet, node, side, finish, ms, 1 + ms / 2,
                 left ? CANARY_END_LEFT : CANARY_END_OTHER);
}


static void
act_all(nodes_t *fleet, uint64_t *seed, const scene_t *scene, int then)
{
    int       i;
    unsigned  side;

    for (i = 0; i < 4; i++) {
        side = (i == 0) ? CANARY : STABLE;

        if (unit_below(seed, 1000) < scene->rate) {
            act(fleet, seed, side, (then && side == CANARY)
                                   ? &scene->then : &scene->sides[side]);
        }
    }
}


static void
assert_same_number(double a, double b)
{
    if (!isnan(a) || !isnan(b)) {
        assert_true(a == b);
    }
}


static void
assert_same_failing(const canary_result_t *a, const canary_result_t *b)
{
    uint32_t  i;

    assert_int_equal(a->n, b->n);
    assert_int_equal(a->started, b->started);
    assert_int_equal(a->stable_started, b->stable_started);

    for (i = 0; i < a->n; i++) {
        assert_int_equal(a->rules[i].attempts, b->rules[i].attempts);
        assert_int_equal(a->rules[i].bad, b->rules[i].bad);
        assert_same_number(a->rules[i].value, b->rules[i].value);
        assert_same_number(a->rules[i].low, b->rules[i].low);
        assert_int_equal(a->rules[i].verdict == CANARY_FAILING,
                         b->rules[i].verdict == CANARY_FAILING);
    }
}


static void
assert_same_result(const canary_result_t *a, const canary_result_t *b)
{
    uint32_t  i;

    assert_same_failing(a, b);
    assert_int_equal(a->verdict, b->verdict);
    assert_int_equal(a->decided, b->decided);
    assert_int_equal(a->overdue, b->overdue);

    for (i = 0; i < a->n; i++) {
        assert_int_equal(a->rules[i].verdict, b->rules[i].verdict);
        assert_int_equal(a->rules[i].needed, b->rules[i].needed);
        assert_same_number(a->rules[i].high, b->rules[i].high);
    }
}


static void
assert_same_state(nodes_t *a, nodes_t *b)
{
    size_t  lens[2];

    static uint8_t  bytes[2][CANARY_LEAD_BYTES];

    lens[0] = canary_lead_save(a->lead, &a->nodes[a->leader].rollout,
                               bytes[0], CANARY_LEAD_BYTES);
    lens[1] = canary_lead_save(b->lead, &b->nodes[b->leader].rollout,
                               bytes[1], CANARY_LEAD_BYTES);

    assert_true(lens[0] > 0);
    assert_int_equal(lens[0], lens[1]);
    assert_memory_equal(bytes[0], bytes[1], lens[0]);
}


/*
 * The same attempts at one node and at several; "exact": what passes is the
 * same at any time too, since nothing is in flight for long.  Returns what
 * came of it.
 */

static canary_verdict_t
compare(const canary_rule_t *rules, uint32_t nrules, const scene_t *scene,
    uint32_t n, int exact)
{
    int                alone, then;
    uint64_t           seeds[2] = { 4711, 4711 };
    nodes_t           *one, *many;
    canary_result_t    a, b;
    canary_verdict_t   verdict;

    /* a budget is judged by a node alone as well, who has not spent as much */

    alone = (rules[0].kind == CANARY_RULE_FAILED_REQUESTS_MAX);

    one = nodes_new(1, rules, nrules, CANARY_PATIENCE_MIN);
    many = nodes_new(n, rules, nrules, CANARY_PATIENCE_MIN);

    while (one->t < 9000) {
        then = (one->t >= 5000);

        if (one->t == 3030 || one->t == 4500) {
            nodes_advance(one);
            nodes_advance(many);
        }

        if (one->t < 7000 && !(exact && one->t % NODES_LOOP > 40)) {
            act_all(one, &seeds[0], scene, then);
            act_all(many, &seeds[1], scene, then);
        }

        if (!(nodes_tick(one) + nodes_tick(many))) {
            continue;
        }

        nodes_look(one);
        nodes_look(many);

        a = nodes_result(one);
        b = nodes_result(many);

        assert_same_failing(&a, &b);
        assert_true(alone || one->calls == many->calls);

        if (exact) {
            assert_same_result(&a, &b);
            assert_same_state(one, many);
        }
    }

    assert_same_result(&a, &b);
    assert_true(alone || one->broken_at == many->broken_at);

    verdict = a.verdict;

    nodes_free(one);
    nodes_free(many);

    return verdict;
}


/*
 * And what a machine says that knows of no fleet, whose cohorts are folded at
 * the same times.
 */

static void
compare_alone(canary_rule_t rule, const scene_t *scene)
{
    uint64_t          seeds[2] = { 815, 815 };
    nodes_t          *one, *alone;
    canary_trial_t   *trials[2];
    canary_result_t   a, b;

    one = nodes_new(1, &rule, 1, CANARY_PATIENCE_MIN);
    alone = nodes_new(1, &rule, 1, CANARY_PATIENCE_MIN);

    trials[0] = ((canary_judged_t *) one->lead)->judge.trials;
    trials[1] = canary_judge(alone->nodes[0].evidence)->trials;

    while (one->t < 9000) {
        act_all(one, &seeds[0], scene, one->t >= 5000);
        act_all(alone, &seeds[1], scene, one->t >= 5000);

        if (nodes_tick(one) + nodes_tick(alone)) {
            nodes_look(one);
            nodes_look_alone(alone);

            a = nodes_result(one);
            canary_judge_rules(alone->nodes[0].evidence,
                               &alone->nodes[0].rollout,
                               alone->t + alone->nodes[0].ahead,
                               &alone->nodes[0].times, 1, &b);

            assert_same_result(&a, &b);
            assert_memory_equal(&trials[0]->mixture, &trials[1]->mixture,
                                sizeof(canary_mixture_t));
        }
    }

    assert_int_equal(one->broken, alone->broken_alone);
    assert_int_equal(one->holds, alone->holds);

    nodes_free(one);
    nodes_free(alone);
}


static void
compare_all(canary_rule_t rule)
{
    compare_alone(rule, &healthy);
    compare_alone(rule, &breaks);

    (void) compare(&rule, 1, &healthy, 4, 0);
    assert_int_equal(compare(&rule, 1, &breaks, 4, 0), CANARY_FAILING);
    (void) compare(&rule, 1, &instant, 4, 1);
    (void) compare(&rule, 1, &breaks, 7, 0);
}


static void
test_rates(void **state)
{
    (void) state;

    compare_all(nodes_rule(ERRORS, 10 * PERCENT, 0, (canary_rule_t) { 0 }));
    compare_all(nodes_rule(CANARY_RULE_ERROR_4XX_RATE, 10 * PERCENT, 0,
                           (canary_rule_t) { 0 }));
    compare_all(nodes_rule(CANARY_RULE_ERROR_RATE, 20 * PERCENT, 0,
                           (canary_rule_t) { 0 }));
}


static void
test_bursts(void **state)
{
    (void) state;

    compare_all(nodes_rule(ERRORS, 10 * PERCENT, CANARY_GIVEN_BURST,
                           (canary_rule_t) { 0 }));
    compare_all(nodes_rule(ERRORS, 2 * PERCENT, CANARY_GIVEN_BURST,
                           (canary_rule_t) { .burst = 300 }));
}


static void
test_beside_stable(void **state)
{
    canary_rule_t  beside = { .baseline = 1 };

    (void) state;

    compare_all(nodes_rule(ERRORS, 5 * PERCENT, CANARY_GIVEN_BASELINE,
                           beside));
    compare_all(nodes_rule(CANARY_RULE_ERROR_4XX_RATE, 5 * PERCENT,
                           CANARY_GIVEN_BASELINE, beside));
}


static void
test_quantiles(void **state)
{
    canary_rule_t  rule;

    (void) state;

    rule = nodes_rule(CANARY_RULE_LATENCY_P90_MAX, 120 * MS, 0,
                      (canary_rule_t) { 0 });

    (void) compare(&rule, 1, &healthy, 4, 0);
    (void) compare(&rule, 1, &instant, 4, 1);
    assert_int_equal(compare(&rule, 1, &breaks, 4, 0), CANARY_UNDECIDED);

    rule.threshold = 45 * MS;
    assert_int_equal(compare(&rule, 1, &breaks, 4, 0), CANARY_FAILING);
}


static void
test_quantiles_beside_stable(void **state)
{
    canary_rule_t  rule;

    (void) state;

    rule = nodes_rule(CANARY_RULE_LATENCY_P50_MAX, 3 * CANARY_RATIO_ONE / 2,
                      CANARY_GIVEN_BASELINE,
                      (canary_rule_t) { .baseline = 1 });

    (void) compare(&rule, 1, &healthy, 4, 0);
    (void) compare(&rule, 1, &instant, 4, 1);
    assert_int_equal(compare(&rule, 1, &breaks, 4, 0), CANARY_FAILING);
}


static void
test_averages(void **state)
{
    canary_rule_t  rule;

    (void) state;

    rule = nodes_rule(CANARY_RULE_LATENCY_AVG_MAX, 35 * MS, 0,
                      (canary_rule_t) { 0 });

    (void) compare(&rule, 1, &healthy, 4, 0);
    (void) compare(&rule, 1, &instant, 4, 1);
    assert_int_equal(compare(&rule, 1, &breaks, 4, 0), CANARY_FAILING);

    rule = nodes_rule(CANARY_RULE_LATENCY_AVG_MAX, 3 * CANARY_RATIO_ONE / 2,
                      CANARY_GIVEN_BASELINE,
                      (canary_rule_t) { .baseline = 1 });

    assert_int_equal(compare(&rule, 1, &breaks, 4, 0), CANARY_FAILING);
}


static void
test_clients_that_leave(void **state)
{
    (void) state;

    compare_all(nodes_rule(CANARY_RULE_ABANDONED_RATE, 8 * PERCENT, 0,
                           (canary_rule_t) { 0 }));
}


static void
test_matches(void **state)
{
    canary_rule_t  rule;

    (void) state;

    rule = nodes_rule(CANARY_RULE_MATCH_RATE, 10 * PERCENT, CANARY_GIVEN_MATCH,
                      (canary_rule_t) { .match = 1 });

    compare_alone(rule, &breaks);
    assert_int_equal(compare(&rule, 1, &breaks, 4, 0), CANARY_FAILING);
}


static void
test_without_statistics(void **state)
{
    canary_rule_t  rule;

    (void) state;

    rule = nodes_rule(ERRORS, 10 * PERCENT, CANARY_GIVEN_CONFIDENCE,
                      (canary_rule_t) { 0 });
    compare_all(rule);

    rule = nodes_rule(ERRORS, 10 * PERCENT,
                      CANARY_GIVEN_CONFIDENCE|CANARY_GIVEN_WINDOW,
                      (canary_rule_t) { .window = 3000 });
    compare_all(rule);
}


static void
test_budgets(void **state)
{
    canary_rule_t  rule;

    (void) state;

    rule = nodes_rule(CANARY_RULE_FAILED_REQUESTS_MAX, 100, 0,
                      (canary_rule_t) { 0 });

    (void) compare(&rule, 1, &healthy, 4, 0);
    (void) compare(&rule, 1, &breaks, 4, 0);
}


static void
test_many_rules(void **state)
{
    canary_rule_t  rules[] = {
        nodes_rule(ERRORS, 10 * PERCENT, 0, (canary_rule_t) { 0 }),
        nodes_rule(CANARY_RULE_LATENCY_P90_MAX, 45 * MS, 0,
                   (canary_rule_t) { 0 }),
        nodes_rule(CANARY_RULE_LATENCY_P99_MAX, 2 * CANARY_RATIO_ONE,
                   CANARY_GIVEN_BASELINE, (canary_rule_t) { .baseline = 1 }),
        nodes_rule(CANARY_RULE_ERROR_RATE, 20 * PERCENT,
                   CANARY_GIVEN_CONFIDENCE, (canary_rule_t) { 0 }),
    };

    (void) state;

    (void) compare(rules, UNIT_LENGTH(rules), &healthy, 4, 0);
    (void) compare(rules, UNIT_LENGTH(rules), &instant, 8, 1);
    (void) compare(rules, UNIT_LENGTH(rules), &breaks, 4, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_bursts),
        cmocka_unit_test(test_beside_stable),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_quantiles_beside_stable),
        cmocka_unit_test(test_averages),
        cmocka_unit_test(test_clients_that_leave),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_without_statistics),
        cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_many_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
