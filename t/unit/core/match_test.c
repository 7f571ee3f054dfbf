
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Classes of answers of one's own: how attempts of a match count. */


#include "canary_evidence_settle.h"
#include "canary_match.h"
#include "canary_rule.h"

#include "sim.h"


#define PATIENCE  CANARY_PATIENCE_MIN


static const canary_finish_t  header = { .timed = 1, .time = 1000 };
static const canary_finish_t  no_header = { .voided = 1 };
static const canary_finish_t  no_time = { .untimed = 1, .time = 1000 };
static const canary_finish_t  timeless = { .untimed = 1, .timeless = 1 };
static const canary_finish_t  failure = { .bad_5xx = 1 };


static canary_rule_t
match_rule(uint16_t match, uint64_t threshold, canary_rule_t more,
    unsigned given)
{
    more.match = match;

    return sim_rule(CANARY_RULE_MATCH_RATE, threshold,
                    given | CANARY_GIVEN_MATCH, more);
}


/* Rules about the first two of three names, and one about a quantile. */

static sim_t *
sim_matches(void)
{
    sim_t              *sim;
    canary_rule_t       rules[3];
    canary_strategy_t   strategy;

    rules[0] = match_rule(2, 10 * PERCENT, (canary_rule_t) { 0 }, 0);
    rules[1] = sim_default(CANARY_RULE_LATENCY_P90_MAX, 100000);
    rules[2] = match_rule(1, 20 * PERCENT, (canary_rule_t) { 0 }, 0);

    sim = sim_new(rules, 3, 10);
    strategy = sim->rollout.strategy;

    assert_int_equal(canary_match_add(&strategy.matches, "first", 5), 1);
    assert_int_equal(canary_match_add(&strategy.matches, "second", 6), 2);

    sim_command(sim, (canary_command_t) { .verb = CANARY_PATCH,
                                          .strategy = &strategy });

    return sim;
}


static canary_measure_t
measure(sim_t *sim, uint32_t number, int passing)
{
    canary_tail_t           tail;
    canary_rule_t          *rule;
    canary_trial_t         *trial;
    canary_evidence_view_t  view;

    rule = &sim->rollout.strategy.rules[number];
    trial = &canary_judge(sim->evidence)->trials[number];

    canary_evidence_tail(sim->evidence, sim->now, &tail);
    canary_evidence_view(sim->evidence, &tail, CANARY, &view);

    return passing ? canary_rule_passing_measure(rule, trial->limit, &view)
                   : canary_rule_measure(rule, trial->limit, &view.failing);
}


static void
assert_matched(sim_t *sim, uint32_t number, uint64_t bad, uint64_t attempts,
    uint64_t passing_bad, uint64_t passing_attempts)
{
    canary_measure_t  failing, passing;

    failing = measure(sim, number, 0);
    passing = measure(sim, number, 1);

    assert_int_equal(failing.sum, bad);
    assert_int_equal(failing.attempts, attempts);
    assert_int_equal(passing.sum, passing_bad);
    assert_int_equal(passing.attempts, passing_attempts);
}


static void
sim_matched(sim_t *sim, canary_ticket_t ticket, canary_finish_t finish,
    unsigned matched)
{
    canary_evidence_match(sim->evidence, &ticket, matched);
    canary_evidence_finish(sim->evidence, &ticket, &finish);
}


static void
attempts(sim_t *sim, uint32_t n, canary_finish_t finish, unsigned matched)
{
    while (n--) {
        sim_matched(sim, sim_begin(sim, CANARY), finish, matched);
    }
}


static void
names_have_places(void **state)
{
    canary_matches_t  matches, others;

    static const char  longest[] = "1234567890123456789012345678901";

    (void) state;

    memset(&matches, 0, sizeof(canary_matches_t));
    memset(&others, 0, sizeof(canary_matches_t));

    assert_null(canary_match_bad_name("Model_error-2.1", 15));
    assert_null(canary_match_bad_name(longest, 31));
    assert_non_null(canary_match_bad_name("12345678901234567890123456789012",
                                          32));
    assert_non_null(canary_match_bad_name("", 0));
    assert_non_null(canary_match_bad_name("a b", 3));
    assert_non_null(canary_match_bad_name("a=", 2));
    assert_non_null(canary_match_bad_name("\xc3\xa4", 2));

    assert_int_equal(canary_match_find(&matches, "", 0), 0);
    assert_int_equal(canary_match_find(&matches, "a", 1), 0);
    assert_int_equal(canary_match_add(&matches, "a", 1), 1);
    assert_int_equal(canary_match_add(&matches, "ab", 2), 2);
    assert_int_equal(canary_match_add(&matches, "a", 1), 1);
    assert_int_equal(canary_match_add(&matches, longest, 31), 3);
    assert_int_equal(canary_match_add(&matches, "d", 1), 4);
    assert_int_equal(canary_match_add(&matches, "e", 1), 0);
    assert_int_equal(canary_match_find(&matches, longest, 31), 3);
    assert_int_equal(canary_match_find(&matches, longest, 30), 0);

    assert_int_equal(canary_match_missing(&matches, &others), 0xf);
    (void) canary_match_add(&others, "d", 1);
    (void) canary_match_add(&others, "ab", 2);
    assert_int_equal(canary_match_missing(&matches, &others), 0x5);
    assert_int_equal(canary_match_missing(&others, &matches), 0);
}


static void
a_rule_is_about_one_and_no_other_rule_is(void **state)
{
    canary_rule_t  rule;

    (void) state;

    rule = (canary_rule_t) { .kind = CANARY_RULE_MATCH_RATE };
    assert_non_null(canary_rule_complete(&rule, 0));
    assert_null(canary_rule_complete(&rule, CANARY_GIVEN_MATCH));

    rule = (canary_rule_t) { .kind = CANARY_RULE_ERROR_RATE };
    assert_non_null(canary_rule_complete(&rule, CANARY_GIVEN_MATCH));
}


static void
each_counts_those_of_its_match(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_matches();

    attempts(sim, 10, header, 0);
    attempts(sim, 5, header, 1);
    attempts(sim, 3, header, 2);
    attempts(sim, 2, header, 3);
    attempts(sim, 1, failure, 2);
    attempts(sim, 4, no_header, 0);
    sim_pass(sim, 1000);

    assert_matched(sim, 0, 6, 21, 6, 21);
    assert_matched(sim, 2, 7, 21, 7, 21);
    assert_int_equal(measure(sim, 1, 0).sum, 0);

    sim_pass(sim, 5000);
    assert_matched(sim, 0, 6, 21, 6, 21);

    sim_free(sim);
}


/* with the time of the response: what is not known is neither */

static void
until_it_is_known_it_is_in_flight(void **state)
{
    sim_t            *sim;
    canary_ticket_t   plain, upload;

    (void) state;

    sim = sim_matches();

    plain = sim_begin(sim, CANARY);
    upload = sim_begin(sim, CANARY);
    canary_evidence_no_time(sim->evidence, &upload);

    canary_evidence_finish(sim->evidence, &plain, &no_time);
    canary_evidence_finish(sim->evidence, &upload, &timeless);
    sim_pass(sim, 1000);
    assert_matched(sim, 0, 0, 2, 0, 0);

    canary_evidence_match(sim->evidence, &plain, 2);
    canary_evidence_time(sim->evidence, &plain, 1000000, 1);
    sim_pass(sim, 1000);
    assert_matched(sim, 0, 1, 2, 0, 0);

    canary_evidence_match(sim->evidence, &upload, 2);
    canary_evidence_no_time_ended(sim->evidence, &upload);
    sim_pass(sim, 1000);
    assert_matched(sim, 0, 2, 2, 2, 2);

    /* of the times there is one, and it is too long */

    assert_int_equal(measure(sim, 1, 0).sum, 1);
    assert_int_equal(measure(sim, 1, 0).attempts, 1);

    sim_free(sim);
}


static void
what_is_known_too_late_counts_when_it_comes(void **state)
{
    uint32_t          i;
    sim_t            *sim;
    canary_ticket_t   late[4];

    (void) state;

    sim = sim_matches();

    for (i = 0; i < 4; i++) {
        late[i] = sim_begin(sim, CANARY);
    }

    canary_evidence_finish(sim->evidence, &late[2], &no_time);
    canary_evidence_no_time(sim->evidence, &late[3]);
    canary_evidence_finish(sim->evidence, &late[3], &timeless);

    /* until then they let nothing pass */

    sim_pass(sim, PATIENCE + 500);
    assert_matched(sim, 0, 0, 4, 4, 4);

    sim_matched(sim, late[0], header, 2);
    sim_matched(sim, late[1], header, 0);
    canary_evidence_match(sim->evidence, &late[2], 2);
    canary_evidence_time(sim->evidence, &late[2], 10000000, 1);
    canary_evidence_match(sim->evidence, &late[3], 1);
    canary_evidence_no_time_ended(sim->evidence, &late[3]);

    assert_matched(sim, 0, 2, 4, 2, 4);
    assert_matched(sim, 2, 1, 4, 1, 4);

    sim_free(sim);
}


/* its client had cancelled it, as trailers told */

static void
one_that_is_withdrawn_is_of_none(void **state)
{
    sim_t            *sim;
    canary_ticket_t   soon, late;

    (void) state;

    sim = sim_matches();

    soon = sim_begin(sim, CANARY);
    late = sim_begin(sim, CANARY);
    attempts(sim, 1, header, 2);

    sim_matched(sim, soon, header, 2);
    canary_evidence_withdraw(sim->evidence, &soon, 2);
    assert_matched(sim, 0, 1, 2, 0, 0);

    sim_matched(sim, late, header, 2);
    sim_pass(sim, 3000);
    assert_matched(sim, 0, 2, 2, 2, 2);

    /* never more than there are */

    canary_evidence_withdraw(sim->evidence, &late, 2);
    assert_matched(sim, 0, 1, 1, 1, 1);

    sim_free(sim);
}


static void
those_that_no_process_knows_are_undecided(void **state)
{
    sim_t  *sim;

    (void) state;

    sim = sim_matches();

    attempts(sim, 200, header, 2);
    sim->evidence->missing = 2;
    sim_pass(sim, 1000);

    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);
    assert_int_equal(sim_needed(sim, 0), 0);
    assert_false(sim->broken);
    assert_int_equal(sim_verdict(sim, 2), CANARY_PASSING);

    sim->evidence->missing = 0;
    assert_int_equal(sim_verdict(sim, 2), CANARY_PASSING);

    sim_free(sim);
}


/* as the loop does when a configuration has it again: what nobody looked at is
   in no figure of the new step, nor is what began before that */

static void
what_came_while_it_was_missing_is_no_evidence_to_pass_by(void **state)
{
    sim_t            *sim;
    uint32_t          n;
    canary_ticket_t   ticket;

    (void) state;

    sim = sim_one(match_rule(1, 10 * PERCENT, (canary_rule_t) { 0 }, 0));

    attempts(sim, 100, header, 0);
    sim_pass(sim, 1000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_PASSING);

    sim->evidence->missing = 1;
    ticket = sim_begin(sim, CANARY);
    attempts(sim, 300, header, 0);
    sim_pass(sim, 1000);
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);

    sim->evidence->missing = 0;
    sim->rollout.tests++;
    sim_begin_step(sim);
    sim_tick(sim);
    sim_matched(sim, ticket, header, 1);
    sim_pass(sim, 1000);

    assert_matched(sim, 0, 0, 0, 0, 0);
    assert_int_equal(sim_verdict(sim, 0), CANARY_UNDECIDED);

    for (n = 0; n < 20 && !sim->broken; n++) {
        attempts(sim, 5, header, 1);
        sim_pass(sim, 100);
    }

    assert_true(sim->broken);
    sim_free(sim);
}


/* with confidence, single attempts, longer bursts, without, and compared */

static void
it_breaks_as_any_rate(void **state)
{
    size_t          i;
    uint32_t        n;
    sim_t          *sim;
    canary_rule_t   rules[5];

    (void) state;

    rules[0] = match_rule(1, 10 * PERCENT, (canary_rule_t) { 0 }, 0);
    rules[1] = match_rule(1, 10 * PERCENT, (canary_rule_t) { 0 },
                          CANARY_GIVEN_BURST);
    rules[2] = match_rule(1, 10 * PERCENT, (canary_rule_t) { .burst = 500 },
                          CANARY_GIVEN_BURST);
    rules[3] = match_rule(1, 10 * PERCENT,
                          (canary_rule_t) { .window = 2000 },
                          CANARY_GIVEN_CONFIDENCE|CANARY_GIVEN_WINDOW);
    rules[4] = match_rule(1, 10 * PERCENT, (canary_rule_t) { .baseline = 1 },
                          CANARY_GIVEN_BASELINE);

    for (i = 0; i < UNIT_LENGTH(rules); i++) {
        sim = sim_one(rules[i]);

        for (n = 0; n < 3000 && !sim->broken; n++) {
            sim_matched(sim, sim_begin(sim, STABLE), header, n % 20 == 0);
            sim_matched(sim, sim_begin(sim, CANARY), header, n % 20 == 0);
            sim_pass(sim, 5);
        }

        if (sim->broken) {
            fail_msg("rule %u: a good one is condemned", (unsigned) i);
        }

        for (n = 0; n < 3000 && !sim->broken; n++) {
            sim_matched(sim, sim_begin(sim, STABLE), header, n % 20 == 0);
            sim_matched(sim, sim_begin(sim, CANARY), header, n % 2 == 0);
            sim_pass(sim, 5);
        }

        if (!sim->broken) {
            fail_msg("rule %u: a bad one is not condemned", (unsigned) i);
        }

        sim_free(sim);
    }
}


static void
an_outage_of_both_holds_the_rollout(void **state)
{
    uint32_t   n;
    sim_t     *sim;

    (void) state;

    sim = sim_one(match_rule(1, 10 * PERCENT, (canary_rule_t) { 0 }, 0));

    for (n = 0; n < 1000; n++) {
        sim_matched(sim, sim_begin(sim, STABLE), header, 1);
        sim_matched(sim, sim_begin(sim, CANARY), header, 1);
        sim_pass(sim, 5);
    }

    assert_false(sim->broken);
    assert_true(sim->holds != 0);

    sim_free(sim);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(names_have_places),
        cmocka_unit_test(a_rule_is_about_one_and_no_other_rule_is),
        cmocka_unit_test(each_counts_those_of_its_match),
        cmocka_unit_test(until_it_is_known_it_is_in_flight),
        cmocka_unit_test(what_is_known_too_late_counts_when_it_comes),
        cmocka_unit_test(one_that_is_withdrawn_is_of_none),
        cmocka_unit_test(those_that_no_process_knows_are_undecided),
        cmocka_unit_test(
            what_came_while_it_was_missing_is_no_evidence_to_pass_by),
        cmocka_unit_test(it_breaks_as_any_rate),
        cmocka_unit_test(an_outage_of_both_holds_the_rollout)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
