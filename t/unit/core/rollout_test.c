
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* A rollout: what applies when, what it does, and what others see. */


#include <stdio.h>

#include "rollout.h"


/* One cell of the matrix of situations and verbs: a test of its own. */

typedef struct {
    const situation_t  *situation;
    canary_verb_t       verb;
    int                 applies;
    char                name[80];
} cell_t;


/* What applies when */


static void
applies_as_the_manual_says(void **state)
{
    const cell_t       *cell = *state;
    canary_status_t     status;
    canary_command_t    command;
    canary_rollout_t    rollout, before;
    canary_strategy_t   strategy;

    rollout = rollout_in(cell->situation);
    strategy = strategy_of(10 * PERCENT);
    memcpy(&before, &rollout, sizeof(canary_rollout_t));

    command = (canary_command_t) {
        .verb = cell->verb, .now = BEGIN + 2000, .release = CANARY,
        .weight = 35 * PERCENT, .has_weight = 1, .strategy = &strategy
    };

    assert_int_equal(canary_rollout_verbs(&rollout) >> cell->verb & 1,
                     cell->applies);

    status = canary_rollout_apply(&rollout, &command);

    if (cell->applies) {
        assert_int_equal(status, CANARY_CHANGED);
        assert_int_equal(rollout.generation, before.generation + 1);

    } else {
        assert_int_equal(status, CANARY_NOT_NOW);
        assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
    }
}


static void
no_other_verb_applies_in_any_situation(void **state)
{
    size_t            i;
    canary_rollout_t  rollout;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);

        assert_int_equal(canary_rollout_verbs(&rollout),
                         situations[i].applies);
    }
}


static void
rules_have_consequences_in_progressing_paused_and_baking(void **state)
{
    size_t            i;
    int               guarded;
    canary_rollout_t  rollout, before;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);
        memcpy(&before, &rollout, sizeof(canary_rollout_t));

        guarded = (situations[i].phase == CANARY_PROGRESSING
                   || situations[i].phase == CANARY_PAUSED
                   || situations[i].phase == CANARY_BAKING);

        assert_int_equal(canary_rollout_guarded(&rollout), guarded);

        if (guarded) {
            assert_int_equal(apply(&rollout, CANARY_VIOLATION, BEGIN + 2000),
                             CANARY_CHANGED);
            assert_state(&rollout, CANARY_HALTED, situations[i].weight, 1);
            assert_int_equal(rollout.generation, before.generation + 1);

        } else {
            assert_int_equal(apply(&rollout, CANARY_VIOLATION, BEGIN + 2000),
                             CANARY_UNCHANGED);
            assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
        }
    }
}


static void
time_alone_changes_nothing_but_progressing_and_baking(void **state)
{
    size_t            i;
    canary_rollout_t  rollout, before;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);
        memcpy(&before, &rollout, sizeof(canary_rollout_t));

        if (situations[i].phase == CANARY_PROGRESSING
            || situations[i].phase == CANARY_BAKING)
        {
            assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_PASSING, 100),
                             CANARY_CHANGED);
            assert_int_equal(rollout.generation, before.generation + 1);

        } else {
            assert_int_equal(tick(&rollout, BEGIN * 2, CANARY_PASSING, 100),
                             CANARY_UNCHANGED);
            assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
        }
    }
}


static void
an_unknown_verb_changes_nothing(void **state)
{
    size_t            i;
    canary_rollout_t  rollout, before;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        rollout = rollout_in(&situations[i]);
        memcpy(&before, &rollout, sizeof(canary_rollout_t));

        assert_int_equal(apply(&rollout,
                               (canary_verb_t) (CANARY_STABLE_AVAILABLE + 1),
                               BEGIN),
                         CANARY_NOT_NOW);
        assert_memory_equal(&rollout, &before, sizeof(canary_rollout_t));
    }
}


/* The matrix: each situation with each verb of the manual. */

static void
name_cells(cell_t *cells)
{
    size_t          i;
    cell_t         *cell;
    canary_verb_t   verb;

    static const char *const  verbs[CANARY_VERBS] = {
        "start", "direct", "PATCH", "advance", "pause", "resume", "promote",
        "rollback"
    };

    cell = cells;

    for (i = 0; i < UNIT_LENGTH(situations); i++) {
        for (verb = CANARY_START; verb < CANARY_VERBS; verb++) {
            cell->situation = &situations[i];
            cell->verb = verb;
            cell->applies = situations[i].applies >> verb & 1;

            (void) snprintf(cell->name, sizeof(cell->name), "%s: %s %s",
                            situations[i].name, verbs[verb],
                            cell->applies ? "applies" : "does not apply");

            cell++;
        }
    }
}


/* What others see */


static void
requests_are_routed_by_weight_roles_phase_and_number(void **state)
{
    canary_route_t    route;
    canary_rollout_t  rollout;

    (void) state;

    canary_rollout_init(&rollout, STABLE);
    rollout.number = CANARY_EPOCH_MASK;

    route = canary_rollout_route(&rollout);

    assert_int_equal(route.weight, 0);
    assert_int_equal(route.stable, STABLE);
    assert_int_equal(route.canary, CANARY_NO_RELEASE);
    assert_int_equal(route.phase, CANARY_IDLE);
    assert_int_equal(route.epoch, CANARY_EPOCH_MASK);

    rollout = started_linear(20);

    route = canary_rollout_route(&rollout);

    assert_int_equal(route.weight, 20 * PERCENT);
    assert_int_equal(route.stable, STABLE);
    assert_int_equal(route.canary, CANARY);
    assert_int_equal(route.phase, CANARY_PROGRESSING);
    assert_int_equal(route.epoch, 1);

    rollout.number = CANARY_EPOCH_MASK + 8;

    assert_int_equal(canary_rollout_route(&rollout).epoch, 7);
}


static void
there_is_no_clock_when_idle_or_halted(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    canary_rollout_init(&rollout, STABLE);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN), -1);

    rollout = halted(20);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN), -1);
}


/* One process may have read the clock before another. */

static void
a_time_before_the_step_began_counts_as_its_beginning(void **state)
{
    canary_rollout_t  rollout;

    (void) state;

    rollout = started_linear(20);

    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN - 1), INTERVAL);
    assert_int_equal(tick(&rollout, BEGIN - 1, CANARY_PASSING, 1),
                     CANARY_UNCHANGED);

    assert_int_equal(apply(&rollout, CANARY_PAUSE, BEGIN - 1),
                     CANARY_CHANGED);
    assert_int_equal(canary_rollout_remaining(&rollout, BEGIN), INTERVAL);
}


static void
verbs_phases_and_results_have_the_names_of_the_manual(void **state)
{
    (void) state;

    assert_string_equal(canary_phase_name(CANARY_IDLE), "idle");
    assert_string_equal(canary_phase_name(CANARY_PROGRESSING), "progressing");
    assert_string_equal(canary_phase_name(CANARY_PAUSED), "paused");
    assert_string_equal(canary_phase_name(CANARY_HALTED), "halted");
    assert_string_equal(canary_phase_name(CANARY_BAKING), "baking");

    assert_string_equal(canary_verb_name(CANARY_START), "start");
    assert_string_equal(canary_verb_name(CANARY_DIRECT), "start");
    assert_string_equal(canary_verb_name(CANARY_PATCH), "PATCH");
    assert_string_equal(canary_verb_name(CANARY_ADVANCE), "advance");
    assert_string_equal(canary_verb_name(CANARY_PAUSE), "pause");
    assert_string_equal(canary_verb_name(CANARY_RESUME), "resume");
    assert_string_equal(canary_verb_name(CANARY_PROMOTE), "promote");
    assert_string_equal(canary_verb_name(CANARY_ROLLBACK), "rollback");
    assert_string_equal(canary_verb_name(CANARY_TICK), "tick");
    assert_string_equal(canary_verb_name(CANARY_VIOLATION), "violation");
    assert_string_equal(canary_verb_name(CANARY_HOLDING), "holding");
    assert_string_equal(canary_verb_name(CANARY_STABLE_UNAVAILABLE),
                        "stable unavailable");
    assert_string_equal(canary_verb_name(CANARY_STABLE_AVAILABLE),
                        "stable available");
    assert_string_equal(canary_verb_name(CANARY_RELEASE_GONE),
                        "release gone");

    assert_string_equal(canary_result_name(CANARY_PROMOTED), "promoted");
    assert_string_equal(canary_result_name(CANARY_ROLLED_BACK),
                        "rolled_back");
}


int
main(void)
{
    size_t  i, n;
    cell_t  cells[UNIT_LENGTH(situations) * CANARY_VERBS];

    static const struct CMUnitTest  rollout[] = {
        cmocka_unit_test(no_other_verb_applies_in_any_situation),
        cmocka_unit_test(
            rules_have_consequences_in_progressing_paused_and_baking),
        cmocka_unit_test(
            time_alone_changes_nothing_but_progressing_and_baking),
        cmocka_unit_test(an_unknown_verb_changes_nothing),

        cmocka_unit_test(requests_are_routed_by_weight_roles_phase_and_number),
        cmocka_unit_test(there_is_no_clock_when_idle_or_halted),
        cmocka_unit_test(
            a_time_before_the_step_began_counts_as_its_beginning),
        cmocka_unit_test(
            verbs_phases_and_results_have_the_names_of_the_manual)
    };

    struct CMUnitTest  tests[UNIT_LENGTH(cells) + UNIT_LENGTH(rollout)];

    name_cells(cells);
    n = 0;

    for (i = 0; i < UNIT_LENGTH(cells); i++) {
        tests[n++] = (struct CMUnitTest) {
            cells[i].name, applies_as_the_manual_says, NULL, NULL, &cells[i]
        };
    }

    for (i = 0; i < UNIT_LENGTH(rollout); i++) {
        tests[n++] = rollout[i];
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
