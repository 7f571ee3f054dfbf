
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* A fleet's records, clocks, shares and nodes. */


#include <stdio.h>
#include <string.h>

#include "canary_fleet_clock.h"
#include "canary_fleet_nodes.h"
#include "canary_fleet_record.h"
#include "canary_fleet_share.h"

#include "fleet_records.h"
#include "unit.h"


/* Records */


static void
a_line_is_read_as_it_was_written(void **state)
{
    char                   line[CANARY_FLEET_LINE_SIZE], text[512];
    size_t                 len;
    canary_fleet_record_t  is, was;

    (void) state;

    was = record(18, 7, CANARY_PROGRESSING, 20);
    was.uid = 0x9f3c01aa;

    len = canary_fleet_record_print(&was, line);
    assert_string_equal(line, "18 9f3c01aa 7 progressing 200000 v2 none\n");
    assert_int_equal(len, strlen(line));

    snprintf(text, sizeof(text), "%s{\"any\": \"thing\"}", line);
    assert_int_equal(canary_fleet_record_parse(text, strlen(text), &is), len);
    assert_memory_equal(&is, &was, sizeof(was));

    was = ended(UINT64_MAX / 2, UINT32_MAX, CANARY_ROLLED_BACK);
    len = canary_fleet_record_print(&was, line);
    assert_int_equal(canary_fleet_record_parse(line, len, &is), len);
    assert_memory_equal(&is, &was, sizeof(was));

    was = record(1, 1, CANARY_PAUSED, 0);
    memset(was.canary, '%', CANARY_NAME_SIZE - 1);
    len = canary_fleet_record_print(&was, line);
    assert_true(len < CANARY_FLEET_LINE_SIZE);
    assert_int_equal(canary_fleet_record_parse(line, len, &is), len);
    assert_memory_equal(&is, &was, sizeof(was));

    assert_int_equal(canary_fleet_record_base(&was, text), 10);
    assert_string_equal(text, "1 00000001");
    assert_int_equal(canary_fleet_record_base(&none, text), 0);
    assert_string_equal(text, "");
}


static void
what_is_no_line_is_not_read(void **state)
{
    size_t                 i, len;
    canary_fleet_record_t  is, was;

    static const char *const  lines[] = {
        "", "\n", "18\n",
        "18 9f3c01aa 7 progressing 200000 v2 none",
        "18 9f3c01aa 7 progressing 200000 v2\n",
        "18 9f3c01aa 7 progressing 200000 v2 none more\n",
        "18  9f3c01aa 7 progressing 200000 v2 none\n",
        " 18 9f3c01aa 7 progressing 200000 v2 none\n",
        "018 9f3c01aa 7 progressing 200000 v2 none\n",
        "-18 9f3c01aa 7 progressing 200000 v2 none\n",
        "0 9f3c01aa 7 progressing 200000 v2 none\n",
        "9223372036854775808 9f3c01aa 7 progressing 200000 v2 none\n",
        "99999999999999999999999 9f3c01aa 7 progressing 200000 v2 none\n",
        "18 9f3c01a 7 progressing 200000 v2 none\n",
        "18 9F3C01AA 7 progressing 200000 v2 none\n",
        "18 9f3c01aa 4294967296 progressing 200000 v2 none\n",
        "18 9f3c01aa 7 going 200000 v2 none\n",
        "18 9f3c01aa 7 progressing 1000001 v2 none\n",
        "18 9f3c01aa 7 progressing 200000 v2 lost\n",
        "18 9f3c01aa 7 progressing 200000 @v2 none\n",
        "18 9f3c01aa 7 progressing 200000 v%2 none\n",
        "18 9f3c01aa 7 progressing 200000 v%00 none\n",
        "18 9f3c01aa 7 progressing 200000 v%0a none\n",
        "18 9f3c01aa 7 progressing 200000 - none\n",
        "18 9f3c01aa 0 progressing 200000 v2 none\n",
        "18 9f3c01aa 7 progressing 200000 v2 promoted\n",
        "18 9f3c01aa 7 idle 200000 - promoted\n",
        "18 9f3c01aa 7 progressing 200000 "
        "1234567890123456789012345678901234567890123456789012345678901234 "
        "none\n"
    };

    (void) state;

    memset(&was, 0x5a, sizeof(was));
    is = was;

    for (i = 0; i < UNIT_LENGTH(lines); i++) {
        len = canary_fleet_record_parse(lines[i], strlen(lines[i]), &is);

        if (len != 0) {
            fail_msg("read: %s", lines[i]);
        }
    }

    assert_memory_equal(&is, &was, sizeof(was));
}


static void
any_name_is_a_word(void **state)
{
    char                       word[CANARY_FLEET_WORD(64)], name[65];
    size_t                     i, len;

    static const char *const  names[][2] = {
        { "shop", "shop" },
        { "-", "%2D" },
        { "a-b", "a-b" },
        { "@seed", "%40seed" },
        { "my shop\n", "my%20shop%0A" },
        { "100%", "100%25" },
        { "\xc3\xa4", "%C3%A4" },
        { "", "" }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(names); i++) {
        len = canary_fleet_escape(names[i][0], strlen(names[i][0]), word);
        assert_string_equal(word, names[i][1]);
        assert_int_equal(len, strlen(word));
        assert_int_equal(canary_fleet_unescape(word, len, name, sizeof(name)),
                         strlen(names[i][0]));
        assert_memory_equal(name, names[i][0], strlen(names[i][0]));
    }

    assert_int_equal(canary_fleet_unescape("shop", 4, name, 4), 0);
    assert_int_equal(canary_fleet_unescape("shop", 4, name, 5), 4);
}


static void
which_record_stands(void **state)
{
    size_t                 i, j;
    canary_fleet_record_t  rising[12];

    (void) state;

    /* each stands against all that are before it */

    rising[0] = none;
    rising[1] = ended(5, 0, CANARY_NO_RESULT);
    rising[2] = ended(9, 6, CANARY_PROMOTED);
    rising[3] = record(3, 7, CANARY_PROGRESSING, 10);
    rising[4] = record(4, 7, CANARY_PROGRESSING, 30);
    rising[5] = record(4, 7, CANARY_PROGRESSING, 20);
    rising[6] = rising[5];
    rising[7] = record(5, 7, CANARY_PAUSED, 20);
    rising[8] = ended(2, 7, CANARY_ROLLED_BACK);
    rising[9] = ended(6, 7, CANARY_ROLLED_BACK);
    rising[10] = ended(5, 7, CANARY_PROMOTED);
    rising[11] = record(1, 8, CANARY_PROGRESSING, 1);

    for (i = 1; i < UNIT_LENGTH(rising); i++) {
        rising[i].uid = (uint32_t) i;
    }

    rising[4].uid = 77;

    for (i = 0; i < UNIT_LENGTH(rising); i++) {
        for (j = 0; j < UNIT_LENGTH(rising); j++) {
            int  order = canary_fleet_record_order(&rising[i], &rising[j]);

            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(canary_fleet_record_same(&rising[i], &rising[j]),
                             i == j);
        }
    }
}


static void
what_raises(void **state)
{
    size_t  i;

    (void) state;

    const struct {
        canary_fleet_record_t  from;
        canary_fleet_record_t  to;
        int                    raises;
    } cases[] = {
        { none, record(1, 1, CANARY_PROGRESSING, 1), 1 },
        { none, ended(1, 1, CANARY_ROLLED_BACK), 0 },
        { none, ended(1, 1, CANARY_PROMOTED), 1 },
        { record(1, 1, CANARY_PROGRESSING, 10),
          record(2, 1, CANARY_PROGRESSING, 20), 1 },
        { record(1, 1, CANARY_PROGRESSING, 20),
          record(2, 1, CANARY_PROGRESSING, 20), 0 },
        { record(1, 1, CANARY_PAUSED, 20),
          record(2, 1, CANARY_PROGRESSING, 20), 0 },
        { record(1, 1, CANARY_PROGRESSING, 20),
          record(2, 1, CANARY_PROGRESSING, 10), 0 },
        { record(1, 1, CANARY_BAKING, 100), ended(2, 1, CANARY_PROMOTED), 1 },
        { record(1, 1, CANARY_BAKING, 100),
          ended(2, 1, CANARY_ROLLED_BACK), 0 },
        { ended(1, 1, CANARY_PROMOTED), ended(2, 1, CANARY_PROMOTED), 0 },
        { ended(1, 1, CANARY_PROMOTED),
          record(2, 2, CANARY_PROGRESSING, 1), 1 },
        { record(1, 1, CANARY_PROGRESSING, 50),
          record(2, 2, CANARY_PROGRESSING, 10), 1 },
        { record(1, 1, CANARY_PROGRESSING, 50),
          ended(2, 2, CANARY_ROLLED_BACK), 0 }
    };

    for (i = 0; i < UNIT_LENGTH(cases); i++) {
        assert_int_equal(canary_fleet_record_raises(&cases[i].from,
                                                    &cases[i].to),
                         cases[i].raises);
    }
}


static void
what_is_told(void **state)
{
    canary_fleet_record_t  ours, theirs, told;

    (void) state;

    /* to a fleet that has nothing, or what it follows: as it is */

    ours = record(8, 7, CANARY_PROGRESSING, 20);
    canary_fleet_record_tell(&ours, &none, 99, &told);
    assert_memory_equal(&told, &ours, sizeof(told));

    ours = ended(8, 7, CANARY_ROLLED_BACK);
    theirs = record(7, 7, CANARY_PROGRESSING, 20);
    canary_fleet_record_tell(&ours, &theirs, 99, &told);
    assert_memory_equal(&told, &ours, sizeof(told));

    /* generations go on */

    theirs.generation = 8;
    canary_fleet_record_tell(&ours, &theirs, 99, &told);
    assert_int_equal(told.generation, 9);
    assert_int_equal(told.uid, 99);
    assert_int_equal(told.phase, CANARY_IDLE);

    /* and nothing rises by it */

    ours = record(8, 7, CANARY_PROGRESSING, 30);
    theirs = record(6, 7, CANARY_PROGRESSING, 20);
    canary_fleet_record_tell(&ours, &theirs, 99, &told);
    assert_int_equal(told.generation, 8);
    assert_int_equal(told.uid, 99);
    assert_int_equal(told.phase, CANARY_PAUSED);
    assert_int_equal(told.weight, 20 * PERCENT);
    assert_false(canary_fleet_record_raises(&theirs, &told));

    theirs = record(6, 6, CANARY_PROGRESSING, 80);
    canary_fleet_record_tell(&ours, &theirs, 99, &told);
    assert_int_equal(told.phase, CANARY_PAUSED);
    assert_int_equal(told.weight, 0);
}


/* Clocks */


static void
a_clock_follows_the_fleets(void **state)
{
    unsigned              i;
    uint64_t              now;
    canary_fleet_clock_t  clock;

    (void) state;

    memset(&clock, 0, sizeof(clock));
    assert_int_equal(canary_fleet_time(&clock, 1000), 0);

    canary_fleet_clock_sample(&clock, 1000, 1010, 500005);
    assert_int_equal(canary_fleet_time(&clock, 1005), 500005);

    /* by at most 5 ms at once */

    canary_fleet_clock_sample(&clock, 2000, 2010, 501025);
    assert_int_equal(canary_fleet_time(&clock, 2005), 501010);
    canary_fleet_clock_sample(&clock, 3000, 3010, 501985);
    assert_int_equal(canary_fleet_time(&clock, 3005), 502005);

    /* not by an answer that came late */

    canary_fleet_clock_sample(&clock, 4000, 4040, 503990);
    assert_int_equal(canary_fleet_time(&clock, 4005), 503005);
    canary_fleet_clock_sample(&clock, 4000, 4006, 503006);
    assert_int_equal(canary_fleet_time(&clock, 4005), 503008);
    canary_fleet_clock_sample(&clock, 5000, 5011, 504000);
    assert_int_equal(canary_fleet_time(&clock, 5005), 504008);

    /* unless all do from now on */

    now = 6000;

    for (i = 0; i < 10000; i++) {
        canary_fleet_clock_sample(&clock, now, now + 40, now + 499000 + 20);
        now += 50;
    }

    assert_int_equal(canary_fleet_time(&clock, now), now + 499000);
    assert_true(canary_fleet_clock_error(&clock) <= 21);

    /* or the connection is another */

    canary_fleet_clock_reconnect(&clock);
    canary_fleet_clock_sample(&clock, now, now + 90, now + 499000 + 45 - 3);
    assert_int_equal(canary_fleet_time(&clock, now), now + 499000 - 3);
    assert_int_equal(canary_fleet_clock_error(&clock), 46);
}


static void
nodes_call_one_after_another(void **state)
{
    char      name[16];
    unsigned  i, phase, seen[32] = { 0 };

    (void) state;

    for (i = 0; i < 64; i++) {
        snprintf(name, sizeof(name), "web%u", i);
        phase = canary_fleet_phase(name, 0);
        assert_in_range(phase, 2, 21);
        assert_int_equal(canary_fleet_phase(name, 1), 30);
        seen[phase]++;
    }

    for (i = 2; i < 22; i++) {
        assert_in_range(seen[i], 0, 10);
    }

    assert_int_equal(canary_fleet_beat(1000, 50, 7), 1007);
    assert_int_equal(canary_fleet_beat(1006, 50, 7), 1007);
    assert_int_equal(canary_fleet_beat(1007, 50, 7), 1057);
    assert_int_equal(canary_fleet_beat(1049, 50, 7), 1057);
    assert_int_equal(canary_fleet_beat(1050, 250, 30), 1280);
}


static void
connects_are_tried_less_and_less_often(void **state)
{
    size_t    i, j;
    uint32_t  least, most, backoff;

    static const uint32_t  backoffs[] = { 50, 100, 200, 400, 500, 500, 500 };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(backoffs); i++) {
        least = UINT32_MAX;
        most = 0;

        for (j = 0; j < 1000; j++) {
            backoff = canary_fleet_backoff((uint32_t) i + 1, (uint32_t) j);
            least = (backoff < least) ? backoff : least;
            most = (backoff > most) ? backoff : most;
        }

        assert_int_equal(least, backoffs[i] / 2);
        assert_int_equal(most, backoffs[i]);
    }

    assert_in_range(canary_fleet_backoff(UINT32_MAX, 7), 250, 500);
}


/* Shares */


static void
seats_are_twice_the_members_at_least(void **state)
{
    uint32_t  seats;
    unsigned  i;
    uint64_t  number, have;

    static const uint32_t  of[][2] = {
        { 1, 8 }, { 4, 8 }, { 5, 16 }, { 8, 16 }, { 9, 32 }, { 64, 128 },
        { 256, 512 }
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(of); i++) {
        seats = canary_fleet_seats(of[i][0]);
        assert_int_equal(seats, of[i][1]);

        /* members joined as the last ones up to number 1000 */

        have = of[i][0];

        for (number = 1001; number < 3000; number++) {
            have += canary_fleet_has_seat(seats, of[i][0], 1000, number) != 0;
        }

        assert_int_equal(have, seats);

        /* all of alpha, and no more */

        assert_true(canary_fleet_share(1)
                    + canary_fleet_node_share(1, seats) * (double) have
                    <= 1 + 1e-12);
    }

    assert_true(canary_fleet_share(0) == 1);
    assert_true(canary_fleet_node_share(0, 8) == 0);
}


static void
a_quorum_is_more_than_half(void **state)
{
    static const uint64_t  versions[] = { 7, 3, 9, 5, 7 };

    (void) state;

    assert_false(canary_fleet_majority(0, 0));
    assert_true(canary_fleet_majority(1, 1));
    assert_false(canary_fleet_majority(1, 2));
    assert_true(canary_fleet_majority(2, 3));
    assert_false(canary_fleet_majority(2, 4));

    assert_int_equal(canary_fleet_quorum(versions, 5, 5), 7);
    assert_int_equal(canary_fleet_quorum(versions, 5, 6), 5);
    assert_int_equal(canary_fleet_quorum(versions, 5, 9), 3);
    assert_int_equal(canary_fleet_quorum(versions, 5, 10), 0);
    assert_int_equal(canary_fleet_quorum(versions, 1, 1), 7);
    assert_int_equal(canary_fleet_quorum(versions, 0, 0), 0);
}


/* Nodes */


static int
parse(const char *name, const char *text, canary_fleet_node_t *node)
{
    return canary_fleet_node_parse(name, strlen(name), text, strlen(text),
                                   node);
}


static void
a_node_is_read(void **state)
{
    size_t               i;
    canary_fleet_node_t  node;

    static const char *const  bad[] = {
        "", "a", "a 1 2", "a 1 2 3", "a 1 2 3 x", "a 1 2 3 10.0.0.1:80",
        "x 1 2 3 10.0.0.1:80 4", "a -1 2 3 10.0.0.1:80 4",
        "a 1 2 3 @ 4", "a 1  2 3 10.0.0.1:80 4", "123456789 1 2 3 a 4",
        "a 1 2 3 a 4294967296", "a 1234567890123456789 2 3 a 4"
    };

    (void) state;

    assert_true(parse("web-1.x", "9f3c01aa 1700000000000 18 30000 10.0.0.1:80 "
                      "4 more\nshop release v3\n- version\n", &node));
    assert_string_equal(node.name, "web-1.x");
    assert_string_equal(node.address, "10.0.0.1:80");
    assert_int_equal(node.incarnation, 0x9f3c01aa);
    assert_int_equal(node.last, 1700000000000);
    assert_int_equal(node.version, 18);
    assert_int_equal(node.error, 4);
    assert_int_equal(node.lacks_len, strlen("shop release v3\n- version\n"));

    assert_true(parse("n", "0 5 0 0 - 0\n", &node));
    assert_string_equal(node.address, "");
    assert_int_equal(node.lacks_len, 0);

    for (i = 0; i < UNIT_LENGTH(bad); i++) {
        if (parse("n", bad[i], &node)) {
            fail_msg("read: %s", bad[i]);
        }
    }

    assert_false(parse("@lead", "a 1 2 3 10.0.0.1:80 4", &node));
    assert_false(parse("", "a 1 2 3 10.0.0.1:80 4", &node));
}


static void
members_are_read(void **state)
{
    int                    i;
    char                   text[16 * (CANARY_FLEET_NODES + 1)], *p;
    canary_fleet_member_t  members[CANARY_FLEET_NODES];

    (void) state;

    assert_int_equal(canary_fleet_members_parse("", 0, members), 0);
    assert_int_equal(canary_fleet_members_parse("a 1 b 12", 8, members), 2);
    assert_string_equal(members[1].name, "b");
    assert_int_equal(members[1].number, 12);

    assert_int_equal(canary_fleet_members_parse("a", 1, members), -1);
    assert_int_equal(canary_fleet_members_parse("a x", 3, members), -1);
    assert_int_equal(canary_fleet_members_parse("@ 1", 3, members), -1);

    p = text;

    for (i = 0; i <= CANARY_FLEET_NODES; i++) {
        p += sprintf(p, "n%d %d ", i, i);

        assert_int_equal(canary_fleet_members_parse(text, (size_t) (p - text),
                                                    members),
                         (i < CANARY_FLEET_NODES) ? i + 1 : -1);
    }
}


static void
nodes_age(void **state)
{
    canary_fleet_node_t  node;

    (void) state;

    memset(&node, 0, sizeof(node));
    node.last = 100000;

    assert_int_equal(canary_fleet_node_age(&node, 100500, 500),
                     CANARY_FLEET_LIVE);
    assert_int_equal(canary_fleet_node_age(&node, 100501, 500),
                     CANARY_FLEET_SILENT);
    assert_int_equal(canary_fleet_node_age(&node, 109999, 500),
                     CANARY_FLEET_SILENT);
    assert_int_equal(canary_fleet_node_age(&node, 110000, 500),
                     CANARY_FLEET_NODE_GONE);
    assert_int_equal(canary_fleet_node_age(&node, 99999, 500),
                     CANARY_FLEET_SILENT);
}


static void
what_nobody_has(void **state)
{
    char                 line[CANARY_FLEET_LACK_SIZE];
    canary_fleet_node_t  nodes[3];

    (void) state;

    canary_fleet_lack_print(CANARY_FLEET_LACKS_VERSION, NULL, NULL, line);
    assert_string_equal(line, "- version\n");
    canary_fleet_lack_print(CANARY_FLEET_LACKS_ENDPOINT, "my shop", NULL,
                            line);
    assert_string_equal(line, "my%20shop endpoint\n");
    assert_int_equal(canary_fleet_lack_print(CANARY_FLEET_LACKS_RELEASE,
                                             "shop", "v 3", line),
                     strlen("shop release v%203\n"));
    assert_string_equal(line, "shop release v%203\n");

    assert_false(canary_fleet_nobody_has(nodes, 0, 1000, 500, line));

    assert_true(parse("a", "a 900 0 0 x 0\ncart release v%203\n"
                      "shop release v%203\n", &nodes[0]));
    assert_true(parse("b", "b 800 0 0 x 0\nshop endpoint\n", &nodes[1]));
    assert_true(parse("c", "c 400 0 0 x 0\n", &nodes[2]));

    assert_true(canary_fleet_nobody_has(nodes, 3, 1000, 500, line));
    assert_false(canary_fleet_nobody_has(nodes, 3, 900, 500, line));
    assert_false(canary_fleet_nobody_has(&nodes[2], 1, 1000, 500, line));

    assert_true(parse("b", "b 800 0 0 x 0\nshop release v%2033\n",
                      &nodes[1]));
    assert_false(canary_fleet_nobody_has(nodes, 2, 1000, 500, line));
    assert_true(parse("b", "b 800 0 0 x 0\nshop release v%20", &nodes[1]));
    assert_false(canary_fleet_nobody_has(nodes, 2, 1000, 500, line));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_line_is_read_as_it_was_written),
        cmocka_unit_test(what_is_no_line_is_not_read),
        cmocka_unit_test(any_name_is_a_word),
        cmocka_unit_test(which_record_stands),
        cmocka_unit_test(what_raises),
        cmocka_unit_test(what_is_told),
        cmocka_unit_test(a_clock_follows_the_fleets),
        cmocka_unit_test(nodes_call_one_after_another),
        cmocka_unit_test(connects_are_tried_less_and_less_often),
        cmocka_unit_test(seats_are_twice_the_members_at_least),
        cmocka_unit_test(a_quorum_is_more_than_half),
        cmocka_unit_test(a_node_is_read),
        cmocka_unit_test(members_are_read),
        cmocka_unit_test(nodes_age),
        cmocka_unit_test(what_nobody_has)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
