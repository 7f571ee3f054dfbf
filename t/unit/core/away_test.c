
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* Releases without a live server: when they have answered again. */


#include <string.h>

#include "unit.h"
#include "canary_away.h"


#define EPOCH  7
#define BEGIN  (UINT64_C(1) << 36)    /* ms: a machine that is up for long */


/* A mark of a first request, looked at with no more answers than "before". */

static canary_away_t
met(uint64_t before)
{
    canary_away_t  away;

    memset(&away, 0, sizeof(canary_away_t));
    canary_away_meet(&away, EPOCH, BEGIN);

    assert_int_equal(canary_away_lasts(&away, before, BEGIN), 1);

    return away;
}


static void
the_first_request_counts(void **state)
{
    canary_away_t  away;

    (void) state;

    away = met(5);

    canary_away_meet(&away, EPOCH, BEGIN + 100);
    canary_away_meet(&away, EPOCH, BEGIN + 200);

    assert_int_equal(canary_away_lasts(&away, 5, BEGIN + 250), 250);
    assert_int_equal(away.last, BEGIN + 200);
    assert_int_equal(away.met, 3);

    /* a look that is late does not know a time before it */

    assert_int_equal(canary_away_lasts(&away, 5, BEGIN - 1), 1);
}


static void
a_mark_is_of_its_rollout(void **state)
{
    canary_away_t  away;

    (void) state;

    memset(&away, 0, sizeof(canary_away_t));
    assert_false(canary_away_marked(&away, 0));

    away = met(0);

    assert_true(canary_away_marked(&away, EPOCH));
    assert_true(canary_away_marked(&away, EPOCH + CANARY_EPOCH_MASK + 1));
    assert_false(canary_away_marked(&away, EPOCH + 1));

    canary_away_meet(&away, EPOCH + 1, BEGIN + 1000);

    assert_false(canary_away_marked(&away, EPOCH));
    assert_true(canary_away_marked(&away, EPOCH + 1));
    assert_int_equal(canary_away_lasts(&away, 0, BEGIN + 1030), 30);
}


static void
an_answer_begins_the_count_anew(void **state)
{
    canary_away_t  away;

    (void) state;

    away = met(5);

    assert_int_equal(canary_away_lasts(&away, 6, BEGIN + 900), 0);
    assert_false(canary_away_marked(&away, EPOCH));

    canary_away_meet(&away, EPOCH, BEGIN + 1000);
    assert_int_equal(away.met, 1);

    assert_int_equal(canary_away_lasts(&away, 6, BEGIN + 1040), 40);
    assert_int_equal(canary_away_lasts(&away, 6, BEGIN + 2000), 1000);
}


/* Answers go on beside requests that meet the cap of max_conns. */

static void
one_that_answers_some_is_not_away(void **state)
{
    uint64_t       now, answered;
    canary_away_t  away;

    (void) state;

    away = met(0);

    for (now = BEGIN, answered = 0; now < BEGIN + 60000; now += 50) {
        canary_away_meet(&away, EPOCH, now);
        answered += ((now - BEGIN) % 400 == 0);
        assert_true(canary_away_lasts(&away, answered, now) <= 500);
    }
}


static void
it_ends_with_an_answer_and_some_quiet(void **state)
{
    uint64_t       ms;
    canary_away_t  away;

    (void) state;

    away = met(5);

    assert_false(canary_away_ended(&away, 5, BEGIN + 50, &ms));
    assert_false(canary_away_ended(&away, 5, BEGIN + 5000, &ms));

    canary_away_meet(&away, EPOCH, BEGIN + 6000);
    assert_false(canary_away_ended(&away, 5, BEGIN + 6050, &ms));
    assert_false(canary_away_ended(&away, 6, BEGIN + 6500, &ms));

    /* it was away until it answered */

    assert_true(canary_away_ended(&away, 7, BEGIN + 7000, &ms));
    assert_int_equal(ms, 6500);
    assert_int_equal(away.met, 2);
}


static void
while_any_meet_none_it_goes_on(void **state)
{
    uint64_t       now, answered, ms;
    canary_away_t  away;

    (void) state;

    away = met(0);

    for (now = BEGIN, answered = 0; now < BEGIN + 10000; now += 50) {
        if ((now - BEGIN) % 500 == 0) {
            canary_away_meet(&away, EPOCH, now);
        }

        assert_false(canary_away_ended(&away, answered++, now, &ms));
    }
}


/* Stores of a process that dies on its way: whoever looks next sees anew. */

static void
what_is_half_seen_or_forgotten_is_seen_anew(void **state)
{
    uint64_t       ms;
    canary_away_t  away;

    (void) state;

    /* "seen" is the last store of a look */

    away = met(5);
    away.seen = 0;
    away.answered = 2;
    assert_int_equal(canary_away_lasts(&away, 6, BEGIN + 900), 900);

    /* the mark is the first to be forgotten */

    away = met(5);
    away.told = away.mark;
    away.mark = 0;
    canary_away_meet(&away, EPOCH, BEGIN + 100);

    assert_int_not_equal(away.told, away.mark);
    assert_int_equal(canary_away_lasts(&away, 9, BEGIN + 150), 50);
    assert_false(canary_away_ended(&away, 9, BEGIN + 5000, &ms));
}


int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_request_counts),
        cmocka_unit_test(a_mark_is_of_its_rollout),
        cmocka_unit_test(an_answer_begins_the_count_anew),
        cmocka_unit_test(one_that_answers_some_is_not_away),
        cmocka_unit_test(it_ends_with_an_answer_and_some_quiet),
        cmocka_unit_test(while_any_meet_none_it_goes_on),
        cmocka_unit_test(what_is_half_seen_or_forgotten_is_seen_anew)
    };

    return cmocka_run_group_tests_name("away", tests, NULL, NULL);
}
