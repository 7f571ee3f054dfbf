
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* One look at a rollout: what its shell is asked for and told, in order. */


#include <math.h>
#include <stdio.h>

#include "sim.h"


#define ERRORS  CANARY_RULE_ERROR_5XX_RATE


/*
 * The calls, a letter each: t for times, T with all details, b when the times
 * of the step begin anew, c for a change, a for what follows from a side that
 * is away; and the last change.
 */

typedef struct {
    sim_t             *sim;
    char               calls[16];
    canary_command_t   command;
    canary_breach_t    breach;
    canary_result_t    result;
    canary_books_t    *books;
    int                carries_out;

    canary_away_t      away[CANARY_SIDES];
    uint64_t           answered[CANARY_SIDES];
    uint64_t           patience;
    canary_outage_t    outage;
} shell_t;


static void
called(shell_t *shell, char call)
{
    size_t  n;

    n = strlen(shell->calls);
    assert_true(n + 1 < sizeof(shell->calls));
    shell->calls[n] = call;
}


static const canary_times_t *
shell_times(void *data, int detail)
{
    shell_t  *shell = data;

    called(shell, detail ? 'T' : 't');

    return &shell->sim->times;
}


static void
shell_begin_step(void *data)
{
    shell_t  *shell = data;

    called(shell, 'b');
    sim_begin_step(shell->sim);
}


static void
shell_change(void *data, const canary_command_t *command,
    const canary_breach_t *breach, const canary_result_t *result)
{
    shell_t  *shell = data;

    called(shell, 'c');

    assert_int_equal(breach != NULL, command->verb != CANARY_TICK);

    /* a hold begins when it has been told */

    assert_false(canary_judge(shell->sim->evidence)->holding);
    assert_false(shell->sim->now < shell->sim->evidence->discard_to);

    shell->command = *command;
    shell->result = *result;

    if (breach) {
        shell->breach = *breach;
    }

    if (shell->carries_out) {
        assert_int_equal(canary_rollout_apply(&shell->sim->rollout, command),
                         CANARY_CHANGED);
    }

    /* evidence of a rollout that has ended may be another's */

    if (shell->sim->rollout.phase == CANARY_IDLE) {
        shell->books = shell->sim->evidence->books;
        shell->sim->evidence->books = NULL;
    }
}


static uint64_t
shell_answered(void *data, unsigned side)
{
    shell_t  *shell = data;

    return shell->answered[side];
}


static uint64_t
shell_patience(void *data)
{
    shell_t  *shell = data;

    return shell->patience;
}


static void
shell_absent(void *data, const canary_command_t *command,
    const canary_outage_t *outage)
{
    shell_t  *shell = data;

    called(shell, 'a');

    shell->command = *command;
    shell->outage = *outage;

    assert_int_equal(canary_rollout_apply(&shell->sim->rollout, command),
                     CANARY_CHANGED);
}


static canary_control_t
control_of(shell_t *shell)
{
    memset(shell->calls, 0, sizeof(shell->calls));

    return (canary_control_t) {
        .evidence = shell->sim->evidence, .rollout = &shell->sim->rollout,
        .now = shell->sim->now, .data = shell, .times = shell_times,
        .begin_step = shell_begin_step, .change = shell_change,
        .away = shell->away, .answered = shell_answered,
        .patience = shell_patience, .absent = shell_absent
    };
}


static const char *
look(shell_t *shell, int may_step)
{
    canary_control_t  control;

    control = control_of(shell);
    canary_control_look(&control, may_step);

    return shell->calls;
}


static const char *
trip(shell_t *shell, int immediate)
{
    canary_control_t  control;

    control = control_of(shell);
    canary_control_trip(&control, immediate);

    return shell->calls;
}


/* A rollout that has been looked at. */

static shell_t
watched(sim_t *sim)
{
    shell_t  shell;

    shell = (shell_t) { .sim = sim, .carries_out = 1 };
    (void) look(&shell, 1);

    return shell;
}


static void
pass_interval(sim_t *sim)
{
    sim->now += sim->rollout.strategy.interval;
}


static void
while_nothing_comes_nothing_is_asked_for(void **state)
{
    shell_t  shell;

    (void) state;

    shell = watched(sim_one(sim_default(CANARY_RULE_LATENCY_AVG_MAX, 1000)));

    shell.sim->now += 50;
    assert_string_equal(look(&shell, 1), "");

    /* an attempt in flight may become too slow by time alone */

    (void) sim_begin(shell.sim, CANARY);
    assert_string_equal(look(&shell, 1), "tt");
    sim_free(shell.sim);
}


static void
a_broken_rule_is_told_with_all_details(void **state)
{
    shell_t  shell;

    (void) state;

    shell = watched(sim_one(sim_single(ERRORS, 10 * PERCENT)));
    sim_attempts(shell.sim, CANARY, 20, sim_bad(1));
    pass_interval(shell.sim);

    assert_string_equal(look(&shell, 1), "ttTc");
    assert_int_equal(shell.command.verb, CANARY_VIOLATION);
    assert_int_equal(shell.command.now, shell.sim->now);
    assert_int_equal(shell.breach.rule, 0);
    assert_int_equal(shell.result.rules[0].bad, 20);
    assert_false(isnan(shell.result.rules[0].low));

    assert_int_equal(shell.sim->rollout.phase, CANARY_IDLE);

    shell.sim->evidence->books = shell.books;
    assert_false(canary_judge(shell.sim->evidence)->holding);
    sim_free(shell.sim);
}


/* What was told of is discarded then, and the step goes no further. */

static void
a_hold_is_told_before_it_begins(void **state)
{
    shell_t  shell;

    (void) state;

    shell = watched(sim_one(sim_single(ERRORS, 10 * PERCENT)));
    sim_attempts(shell.sim, STABLE, 100, sim_bad(1));
    sim_attempts(shell.sim, CANARY, 100, sim_bad(1));

    assert_string_equal(look(&shell, 1), "ttTc");
    assert_int_equal(shell.command.verb, CANARY_HOLDING);
    assert_int_equal(shell.breach.outage.attempts, 100);
    assert_int_equal(shell.result.rules[0].bad, 100);

    assert_true(canary_judge(shell.sim->evidence)->holding);
    assert_int_equal(sim_verdict(shell.sim, 0), CANARY_UNDECIDED);
    assert_int_equal(shell.sim->result.rules[0].bad, 0);
    sim_free(shell.sim);
}


static void
a_step_waits_for_the_end_of_a_hold(void **state)
{
    uint64_t  over;
    shell_t   shell;

    (void) state;

    shell = watched(sim_one(sim_plain(ERRORS, 10 * PERCENT, 1)));
    shell.sim->rollout.strategy.interval = 100;

    sim_attempts(shell.sim, CANARY, 100, sim_good(1));
    sim_goes_on(shell.sim, 3000);
    sim_attempts(shell.sim, STABLE, 100, sim_bad(1));
    sim_attempts(shell.sim, CANARY, 100, sim_bad(1));

    assert_string_equal(look(&shell, 1), "ttTc");
    assert_int_equal(shell.command.verb, CANARY_HOLDING);

    /* the rule passes by what came before, and the interval is over */

    while (canary_judge(shell.sim->evidence)->holding) {
        shell.sim->now += 50;
        assert_non_null(strchr(look(&shell, 1), 'b'));
        assert_null(strchr(shell.calls, 'c'));
    }

    over = shell.sim->now;
    assert_int_equal(canary_judge(shell.sim->evidence)->verdict,
                     CANARY_PASSING);

    do {
        shell.sim->now += 50;
        (void) look(&shell, 1);
    } while (shell.command.verb == CANARY_HOLDING);

    assert_int_equal(shell.command.verb, CANARY_TICK);
    assert_null(strchr(shell.calls, 'b'));
    assert_int_equal(shell.sim->now, over + CANARY_DISCARD_MS);
    sim_free(shell.sim);
}


/* The canary is slow to fail, stable is quick. */

static void
times_of_a_hold_are_not_those_of_the_step(void **state)
{
    uint32_t       n;
    shell_t        shell;
    canary_rule_t  rules[2];

    (void) state;

    rules[0] = sim_single(ERRORS, 10 * PERCENT);
    rules[1] = sim_rule(CANARY_RULE_LATENCY_P50_MAX, 2 * CANARY_RATIO_ONE,
                        CANARY_GIVEN_BASELINE|CANARY_GIVEN_CONFIDENCE
                        |CANARY_GIVEN_MIN_REQUESTS,
                        (canary_rule_t) { .baseline = 1,
                                          .min_requests = 10 });

    shell = watched(sim_new(rules, 2, 10));
    sim_attempts(shell.sim, STABLE, 100, sim_good(10));
    sim_attempts(shell.sim, CANARY, 100, sim_good(10));
    sim_goes_on(shell.sim, 3000);

    assert_int_equal(sim_verdict(shell.sim, 1), CANARY_PASSING);

    for (n = 0; n < 60; n++) {
        sim_attempts(shell.sim, STABLE, 10, (canary_finish_t) {
            .bad_5xx = 1, .timed = 1, .time = 10000 });
        sim_attempts(shell.sim, CANARY, 10, (canary_finish_t) {
            .bad_5xx = 1, .timed = 1, .time = 400000 });

        (void) look(&shell, 1);
        shell.sim->now += 50;
    }

    assert_int_equal(shell.command.verb, CANARY_HOLDING);
    assert_string_equal(look(&shell, 1), "tbt");
    sim_free(shell.sim);
}


static void
a_step_is_taken_when_rules_pass_and_its_interval_is_over(void **state)
{
    shell_t  shell;

    (void) state;

    shell = watched(sim_one(sim_plain(ERRORS, 10 * PERCENT, 1)));
    sim_attempts(shell.sim, CANARY, 100, sim_good(1));

    while (canary_rollout_remaining(&shell.sim->rollout, shell.sim->now)) {
        (void) look(&shell, 1);
        assert_null(strchr(shell.calls, 'c'));
        shell.sim->now += 50;
    }

    /* though nothing has come since the last look */

    assert_string_equal(look(&shell, 1), "tTc");
    assert_int_equal(shell.command.verb, CANARY_TICK);
    assert_int_equal(shell.command.now, shell.sim->now);
    assert_int_equal(shell.command.verdict, CANARY_PASSING);
    assert_int_equal(shell.command.attempts, 100);
    assert_int_equal(shell.result.rules[0].attempts, 100);
    assert_int_equal(shell.sim->rollout.step, 2);
    sim_free(shell.sim);
}


/* What nobody needs in order to judge is worked out for those who read. */

static void
a_step_is_told_with_all_details(void **state)
{
    sim_t          *sim;
    shell_t         shell;
    canary_rule_t   rules[2];

    (void) state;

    rules[0] = sim_single(ERRORS, 10 * PERCENT);
    rules[1] = sim_default(CANARY_RULE_LATENCY_P90_MAX, 1000000);

    sim = sim_new(rules, 2, 10);
    shell = watched(sim);
    sim_attempts(sim, CANARY, 1000, sim_good(20));
    pass_interval(sim);

    assert_string_equal(look(&shell, 1), "ttTc");
    assert_int_equal(shell.command.verb, CANARY_TICK);
    assert_int_equal(shell.result.rules[0].verdict, CANARY_PASSING);
    assert_true(shell.result.rules[0].high <= 0.1);
    assert_int_equal(shell.result.rules[1].verdict, CANARY_PASSING);
    assert_true(shell.result.rules[1].value > 19000);
    assert_true(shell.result.rules[1].value < 21000);
    assert_true(shell.result.rules[1].high <= 1000000);

    sim_free(sim);
}


static void
without_steps_rules_are_guarded(void **state)
{
    shell_t  shell;

    (void) state;

    shell = watched(sim_one(sim_plain(ERRORS, 10 * PERCENT, 1)));
    sim_attempts(shell.sim, CANARY, 100, sim_good(1));
    pass_interval(shell.sim);

    assert_string_equal(look(&shell, 0), "tt");
    assert_string_equal(look(&shell, 0), "");

    sim_attempts(shell.sim, CANARY, 100, sim_bad(1));

    assert_string_equal(look(&shell, 0), "ttTc");
    assert_int_equal(shell.command.verb, CANARY_VIOLATION);

    shell.sim->evidence->books = shell.books;
    sim_free(shell.sim);
}


/* A change that cannot be carried out takes no step either. */

static void
what_follows_is_one_thing(void **state)
{
    shell_t        shell;
    canary_rule_t  rules[2];

    (void) state;

    rules[0] = sim_plain(ERRORS, 10 * PERCENT, 1);
    rules[1] = sim_default(CANARY_RULE_FAILED_REQUESTS_MAX, 50);

    shell = watched(sim_new(rules, 2, 10));
    shell.carries_out = 0;

    sim_attempts(shell.sim, STABLE, 100, sim_bad(1));
    sim_attempts(shell.sim, CANARY, 100, sim_bad(1));
    pass_interval(shell.sim);

    /* a violation comes before a hold */

    assert_string_equal(look(&shell, 1), "ttTc");
    assert_int_equal(shell.command.verb, CANARY_VIOLATION);
    assert_int_equal(shell.breach.rule, 1);
    assert_false(canary_judge(shell.sim->evidence)->holding);
    sim_free(shell.sim);
}


/* canary_rule_immediate() */

static void
a_trip_is_about_immediate_rules_unless_nobody_looks(void **state)
{
    shell_t        shell;
    canary_rule_t  rules[2];

    (void) state;

    rules[0] = sim_plain(CANARY_RULE_LATENCY_AVG_MAX, 1000, 1);
    rules[1] = sim_default(CANARY_RULE_FAILED_REQUESTS_MAX, 30);

    shell = watched(sim_new(rules, 2, 10));
    shell.carries_out = 0;
    sim_attempts(shell.sim, CANARY, 100, sim_good(10));

    assert_string_equal(trip(&shell, 1), "t");
    assert_string_equal(trip(&shell, 0), "tTc");
    assert_int_equal(shell.breach.rule, 0);

    sim_attempts(shell.sim, CANARY, 31, sim_bad(1));

    assert_string_equal(trip(&shell, 1), "tTc");
    assert_int_equal(shell.breach.rule, 1);
    assert_int_equal(shell.command.verb, CANARY_VIOLATION);
    sim_free(shell.sim);
}


static void
a_trip_may_begin_a_hold(void **state)
{
    shell_t  shell;

    (void) state;

    shell = watched(sim_one(sim_single(ERRORS, 10 * PERCENT)));
    sim_attempts(shell.sim, STABLE, 100, sim_bad(1));
    sim_attempts(shell.sim, CANARY, 100, sim_bad(1));

    assert_string_equal(trip(&shell, 1), "tTc");
    assert_int_equal(shell.command.verb, CANARY_HOLDING);
    assert_true(canary_judge(shell.sim->evidence)->holding);

    assert_string_equal(trip(&shell, 1), "t");
    assert_string_equal(look(&shell, 1), "tbt");
    sim_free(shell.sim);
}


static void
a_halted_rollout_is_measured_but_not_judged(void **state)
{
    shell_t  shell;

    (void) state;

    shell = watched(sim_one(sim_single(ERRORS, 10 * PERCENT)));
    shell.sim->rollout.phase = CANARY_HALTED;
    sim_attempts(shell.sim, CANARY, 100, sim_bad(1));

    assert_string_equal(look(&shell, 1), "t");
    assert_string_equal(trip(&shell, 1), "");
    assert_string_equal(trip(&shell, 0), "");
    sim_free(shell.sim);
}


/* A rollout that was looked at, with a side that a request finds away. */

static shell_t
deserted(unsigned side, canary_phase_t phase)
{
    shell_t  shell;

    shell = watched(sim_one(sim_single(ERRORS, 10 * PERCENT)));
    shell.sim->rollout.phase = phase;
    shell.patience = 30000;

    canary_away_meet(&shell.away[side], shell.sim->rollout.number,
                     shell.sim->now);

    return shell;
}


static void
a_canary_that_stays_away_breaks_the_rollout(void **state)
{
    size_t   i;
    shell_t  shell;

    static const canary_phase_t  guarded[] = {
        CANARY_PROGRESSING, CANARY_PAUSED, CANARY_BAKING
    };

    (void) state;

    for (i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++) {
        shell = deserted(CANARY, guarded[i]);

        shell.sim->now += 29999;
        assert_string_equal(look(&shell, 1), "");

        shell.sim->now++;
        assert_string_equal(look(&shell, 1), "a");
        assert_int_equal(shell.command.verb, CANARY_VIOLATION);
        assert_int_equal(shell.command.now, shell.sim->now);
        assert_int_equal(shell.outage.ms, 30000);
        assert_int_equal(shell.sim->rollout.last_result, CANARY_ROLLED_BACK);
        sim_free(shell.sim);
    }
}


static void
a_canary_that_answers_breaks_nothing(void **state)
{
    shell_t  shell;

    (void) state;

    shell = deserted(CANARY, CANARY_PROGRESSING);
    (void) look(&shell, 1);

    shell.answered[CANARY] = 1;
    shell.sim->now += 30000;
    assert_string_equal(look(&shell, 1), "");
    assert_int_equal(shell.away[CANARY].mark, 0);

    /* nor does one that nobody asks, or that may stay away */

    shell.sim->now += 60000;
    assert_string_equal(look(&shell, 1), "");

    shell.patience = 0;
    canary_away_meet(&shell.away[CANARY], shell.sim->rollout.number,
                     shell.sim->now);
    shell.sim->now += 600000;
    assert_string_equal(look(&shell, 1), "");

    /* a reload makes it 30 s */

    shell.patience = 30000;
    assert_string_equal(look(&shell, 1), "a");
    sim_free(shell.sim);
}


static void
who_resumes_a_halt_begins_the_count_anew(void **state)
{
    shell_t  shell;

    (void) state;

    shell = deserted(CANARY, CANARY_PROGRESSING);
    shell.sim->rollout.strategy.on_violation = CANARY_HALT;

    shell.sim->now += 30000;
    assert_string_equal(look(&shell, 1), "a");
    assert_int_equal(shell.sim->rollout.phase, CANARY_HALTED);

    canary_away_meet(&shell.away[CANARY], shell.sim->rollout.number,
                     shell.sim->now);
    shell.sim->now += 60000;
    assert_string_equal(look(&shell, 1), "");
    assert_int_equal(shell.away[CANARY].mark, 0);
    sim_free(shell.sim);
}


static void
no_step_while_stable_is_away(void **state)
{
    shell_t  shell;

    (void) state;

    shell = deserted(STABLE, CANARY_PROGRESSING);

    sim_attempts(shell.sim, CANARY, 1000, sim_good(1));
    pass_interval(shell.sim);

    assert_string_equal(look(&shell, 1), "tat");
    assert_int_equal(shell.command.verb, CANARY_STABLE_UNAVAILABLE);
    assert_int_equal(shell.sim->rollout.step, 1);

    canary_away_meet(&shell.away[STABLE], shell.sim->rollout.number,
                     shell.sim->now);
    shell.sim->now += 500;
    (void) look(&shell, 1);
    assert_int_equal(shell.command.verb, CANARY_STABLE_UNAVAILABLE);

    shell.sim->now += 500;
    shell.answered[STABLE] = 1;
    assert_non_null(strchr(look(&shell, 1), 'a'));
    assert_int_equal(shell.command.verb, CANARY_TICK);
    assert_int_equal(shell.outage.attempts, 2);
    assert_int_equal(shell.outage.ms,
                     shell.sim->rollout.strategy.interval + 1000);
    assert_int_equal(shell.sim->rollout.step, 2);
    sim_free(shell.sim);
}


/* There nobody asks stable, so it cannot come back. */

static void
at_100_percent_nothing_waits_for_stable(void **state)
{
    shell_t  shell;

    (void) state;

    shell = deserted(STABLE, CANARY_BAKING);
    shell.sim->rollout.weight = CANARY_ONE;

    sim_attempts(shell.sim, CANARY, 1000, sim_good(1));
    pass_interval(shell.sim);

    assert_string_equal(look(&shell, 1), "tatTc");
    assert_int_equal(shell.command.verb, CANARY_TICK);
    assert_int_equal(shell.sim->rollout.last_result, CANARY_PROMOTED);

    shell.sim->evidence->books = shell.books;
    sim_free(shell.sim);
}


/* A mark that a straggler of the rollout before has left. */

static void
marks_of_another_rollout_are_nothing(void **state)
{
    unsigned  side;
    shell_t   shell;

    (void) state;

    for (side = 0; side < CANARY_SIDES; side++) {
        shell = deserted(side, CANARY_PROGRESSING);
        shell.sim->rollout.number++;

        shell.sim->now += 60000;
        assert_string_equal(look(&shell, 0), "");
        sim_free(shell.sim);
    }
}


int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(while_nothing_comes_nothing_is_asked_for),
        cmocka_unit_test(a_broken_rule_is_told_with_all_details),
        cmocka_unit_test(a_hold_is_told_before_it_begins),
        cmocka_unit_test(a_step_waits_for_the_end_of_a_hold),
        cmocka_unit_test(times_of_a_hold_are_not_those_of_the_step),
        cmocka_unit_test(
            a_step_is_taken_when_rules_pass_and_its_interval_is_over),
        cmocka_unit_test(a_step_is_told_with_all_details),
        cmocka_unit_test(without_steps_rules_are_guarded),
        cmocka_unit_test(what_follows_is_one_thing),
        cmocka_unit_test(a_trip_is_about_immediate_rules_unless_nobody_looks),
        cmocka_unit_test(a_trip_may_begin_a_hold),
        cmocka_unit_test(a_halted_rollout_is_measured_but_not_judged),
        cmocka_unit_test(a_canary_that_stays_away_breaks_the_rollout),
        cmocka_unit_test(a_canary_that_answers_breaks_nothing),
        cmocka_unit_test(who_resumes_a_halt_begins_the_count_anew),
        cmocka_unit_test(no_step_while_stable_is_away),
        cmocka_unit_test(at_100_percent_nothing_waits_for_stable),
        cmocka_unit_test(marks_of_another_rollout_are_nothing)
    };

    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
