
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * A node of a fleet with a key, by hand: Redis says what it likes, and other
 * nodes what they have signed.
 */


#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "canary_fleet.h"
#include "canary_key.h"

#include "fleet_records.h"
#include "unit.h"


#define BEGIN    100000
#define REDIS    1700000000000ull       /* its clock is so far ahead, */
#define WALL     1800000000000ull       /* and what is signed, by this node's */
#define MINUTE   60000


static canary_fleet_t           fleet;
static canary_fleet_endpoint_t  endpoints[1];
static canary_fleet_todo_t      todo;
static canary_fleet_ticked_t    ticked;
static canary_fleet_offer_t     offer;
static canary_fleet_node_t      heard[4], view[4];
static char                     said[4][512];
static uint64_t                 now;


/* web1, that was in the fleet with web2 and web3 */

static void
begin(const canary_fleet_record_t *ours, int members)
{
    int                  i;
    canary_fleet_conf_t  conf;
    canary_fleet_kept_t  kept;

    memset(&kept, 0, sizeof(kept));
    memset(&conf, 0, sizeof(conf));
    memset(&ticked, 0, sizeof(ticked));
    memset(heard, 0, sizeof(heard));

    kept.incarnation = 1;
    kept.nseeds = (members > 0);
    kept.version = 20;
    kept.term = 5;
    strcpy(kept.seeds[0], "s1");
    kept.nmembers = (uint32_t) members;

    for (i = 0; i < members; i++) {
        sprintf(kept.members[i].name, "web%d", i + 1);
        kept.members[i].number = (uint64_t) i + 1;
    }

    conf.name = "web1";
    conf.timeout = 500;
    conf.random = 7;
    conf.keyed = 1;
    conf.ahead = (int64_t) WALL;

    now = BEGIN;

    canary_fleet_endpoint_init(&endpoints[0], ours, 1);
    canary_fleet_endpoint_name(&endpoints[0], "shop");
    canary_fleet_init(&fleet, &conf, &kept, endpoints, 1, now);
}


static canary_fleet_act_t
next(void)
{
    canary_fleet_next(&fleet, now, &todo);

    return todo.act;
}


static canary_fleet_what_t
join(const canary_fleet_record_t *theirs, int foreign)
{
    canary_fleet_join_t  answer;

    memset(&answer, 0, sizeof(answer));
    memset(&offer, 0, sizeof(offer));

    assert_int_equal(next(), CANARY_FLEET_CONNECT);
    canary_fleet_connected(&fleet, now);
    assert_int_equal(next(), CANARY_FLEET_JOIN);

    answer.sent = answer.received = now;
    answer.now = now + REDIS;
    answer.age = MINUTE;
    answer.foreign = foreign;
    answer.nseeds = 1;
    strcpy(answer.seeds[0], "s1");
    answer.version = 20;
    answer.noffers = theirs->generation > 0;
    answer.offers = &offer;
    offer.record = *theirs;

    canary_fleet_join_answer(&fleet, &answer, now);

    return offer.what;
}


/* What a node has signed, with its clock so far behind: a place of "heard" */

static void
hear(unsigned i, const char *name, const char *words, uint64_t behind)
{
    int  len;

    len = sprintf(said[i], "%x 1 1 1 10.0.0.1:80 0 %s\n", i + 1, words);

    assert_true(canary_fleet_node_parse(name, strlen(name), said[i],
                                        (size_t) len, &heard[i]));
    heard[i].serial = now + WALL - behind;
}


/* web1 and others, each with its newest word: what it holds, and counts */

static void
hear_all(unsigned n, const canary_fleet_record_t *holds, unsigned members)
{
    char      words[64], name[16], hash[CANARY_FLEET_HASH + 1] = "-";
    unsigned  i;

    if (holds) {
        canary_fleet_hash_print(canary_fleet_record_hash(
                                    canary_key_salt("shop", 4),
                                    holds->generation, holds->uid), hash);
        hash[CANARY_FLEET_HASH] = '\0';
    }

    for (i = 0; i < n; i++) {
        sprintf(name, "web%u", i + 1);
        sprintf(words, "20 0 %u %s - -", members, i ? hash : "-");
        hear(i, name, words, 0);
    }
}


/* an answer with n nodes of those that were heard, and a record */

static canary_fleet_what_t
tick(unsigned n, const canary_fleet_record_t *theirs, uint64_t version)
{
    memset(&offer, 0, sizeof(offer));

    /* what they say is as old as this then */

    while (next() != CANARY_FLEET_SEND_TICK) {
        now += 10;
    }

    ticked.sent = ticked.received = now;
    ticked.now = now + REDIS;
    ticked.age = MINUTE;
    ticked.version = ticked.upto = version;
    ticked.noffers = theirs->generation > 0;
    ticked.offers = &offer;
    memcpy(view, heard, sizeof(view));
    ticked.nodes = n ? view : NULL;
    ticked.nnodes = n;
    offer.version = version;
    offer.record = *theirs;

    canary_fleet_tick_answer(&fleet, &ticked, now);

    return offer.what;
}


static void
follow(const canary_fleet_record_t *ours)
{
    begin(ours, 3);
    assert_int_equal(join(ours, 0), CANARY_FLEET_SAME);
    hear_all(3, NULL, 3);
    tick(3, &none, 20);
}


/* Dates */


static void
what_is_played_back_is_old(void **state)
{
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    begin(&ours, 3);

    /* nothing is known of web2: its clock has to be right, about */

    assert_int_equal(canary_fleet_age(&fleet, "web2", 7,
                                      now + WALL - MINUTE - 1, now), -1);
    assert_int_equal(canary_fleet_age(&fleet, "web2", 7,
                                      now + WALL + MINUTE + 1, now), -1);
    assert_int_equal(canary_fleet_age(&fleet, "web2", 7,
                                      now + WALL - 30000, now), 0);

    /* from then on it is as old as it is late */

    now += 1000;
    assert_int_equal(canary_fleet_age(&fleet, "web2", 7,
                                      now + WALL - 30000, now), 0);
    assert_int_equal(canary_fleet_age(&fleet, "web2", 7,
                                      now + WALL - 30700, now), 700);
    now += 5000;
    assert_in_range(canary_fleet_age(&fleet, "web2", 7,
                                     now + WALL - 35000, now), 4990, 5000);

    /* who was restarted is another one, and never the one before again */

    assert_int_equal(canary_fleet_age(&fleet, "web2", 8, now + WALL - 36001,
                                      now), -1);
    assert_int_equal(canary_fleet_age(&fleet, "web2", 8, now + WALL, now), 0);
    assert_int_equal(canary_fleet_age(&fleet, "web2", 7, now + WALL - 1, now),
                     -1);
}


static void
clocks_that_drift_are_no_silence(void **state)
{
    unsigned               i;
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    begin(&ours, 3);

    /* a day of a clock that loses 8 s in it */

    for (i = 0; i < 86400; i++) {
        assert_in_range(canary_fleet_age(&fleet, "web2", 7,
                                         now + WALL - i / 10, now), 0, 100);
        now += 1000;
    }
}


/* Members */


static void
redis_makes_no_majority_of_few(void **state)
{
    canary_fleet_member_t  members[4];
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    follow(&ours);
    assert_int_equal(canary_fleet_size(&fleet), 3);

    /* others are gone from Redis, strangers are there */

    memset(members, 0, sizeof(members));
    strcpy(members[0].name, "web1");
    members[0].number = 9;
    strcpy(members[1].name, "x");
    ticked.members = members;
    ticked.nmembers = 2;
    hear_all(1, NULL, 3);
    tick(1, &none, 21);

    assert_int_equal(canary_fleet_size(&fleet), 3);
    assert_int_equal(fleet.kept.members[0].number, 9);

    /* a start is not even asked for */

    ours = record(6, 4, CANARY_PROGRESSING, 10);
    assert_true(canary_fleet_propose(&fleet, 0, &ours, CANARY_FLEET_EXPOSE,
                                     now));
    assert_int_equal(next(), CANARY_FLEET_CONCLUDE);
    assert_int_equal(todo.result, CANARY_FLEET_WAIT);
    assert_string_equal(todo.reason, "1 of 3 nodes: forget those that will "
                                     "not return");
}


static void
the_largest_count_of_those_who_live_counts(void **state)
{
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    begin(&ours, 1);
    (void) join(&ours, 0);
    hear_all(2, NULL, 5);
    tick(2, &none, 20);
    assert_int_equal(canary_fleet_size(&fleet), 5);
    assert_int_equal(fleet.kept.nmembers, 2);

    /* when it is silent nobody knows, but it lives no more either */

    now += 1000;
    hear(0, "web1", "20 0 2 - - -", 0);
    tick(2, &none, 20);
    assert_int_equal(canary_fleet_size(&fleet), 2);
}


static void
members_leave(void **state)
{
    unsigned               i;
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    /* by saying so, which cannot be said again later */

    follow(&ours);
    now += 100;
    hear_all(3, NULL, 2);
    hear(2, "web3", "20 0 0 - - -", 0);
    tick(3, &none, 20);
    assert_int_equal(canary_fleet_size(&fleet), 2);

    now += 20000;
    hear_all(2, NULL, 2);
    hear(2, "web3", "20 0 3 - - -", 0);
    heard[2].incarnation = 9;
    tick(3, &none, 20);
    assert_int_equal(canary_fleet_size(&fleet), 3);
    hear(2, "web3", "20 0 0 - - -", 20000);
    tick(3, &none, 20);
    assert_int_equal(canary_fleet_size(&fleet), 3);

    /* when they were silent for ten minutes, and most are here */

    follow(&ours);

    while (fleet.kept.nmembers == 3) {
        now += 1000;
        hear_all(2, NULL, 2);
        tick(2, &none, 20);
    }

    assert_in_range(now - BEGIN, 600000, 603000);

    follow(&ours);

    for (i = 0; i < 1000; i++) {
        now += 1000;
        hear_all(1, NULL, 2);
        tick(1, &none, 20);
    }

    assert_int_equal(fleet.kept.nmembers, 3);
}


static void
members_are_forgotten(void **state)
{
    size_t                 len;
    char                   text[1024], forgot[128];
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    follow(&ours);
    assert_false(canary_fleet_forget(&fleet, "web3", now));
    assert_false(canary_fleet_forget(&fleet, "web1", now));
    assert_false(canary_fleet_forget(&fleet, "web9", now));

    now += CANARY_FLEET_GONE;
    hear_all(2, NULL, 3);
    tick(2, &none, 20);
    assert_true(canary_fleet_forget(&fleet, "web3", now));
    assert_int_equal(fleet.kept.nmembers, 2);

    /* what it has said before does not bring it back */

    tick(3, &none, 20);
    assert_int_equal(fleet.kept.nmembers, 2);

    /* others are told, and believe it */

    assert_true(canary_fleet_signed_room(&fleet) < sizeof(text));
    len = canary_fleet_signed_print(&fleet, 0, now, text);
    text[len] = '\0';
    assert_non_null(strstr(text, "web3:"));
    strcpy(forgot, strstr(text, "web3:"));

    follow(&ours);
    now += CANARY_FLEET_GONE;
    hear_all(2, NULL, 2);
    sprintf(text, "20 0 2 - - %s", forgot);
    hear(1, "web2", text, 0);
    tick(2, &none, 20);
    assert_int_equal(fleet.kept.nmembers, 2);

    /* but not of one who has spoken since */

    begin(&ours, 3);
    now += CANARY_FLEET_GONE;
    (void) join(&ours, 0);
    hear_all(3, NULL, 3);
    hear(1, "web2", text, 0);
    tick(3, &none, 20);
    assert_int_equal(fleet.kept.nmembers, 3);
}


/* Records */


static void
what_nobody_has_is_not_adopted(void **state)
{
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);
    canary_fleet_record_t  start = record(6, 4, CANARY_PROGRESSING, 10);
    canary_fleet_record_t  back = ended(7, 4, CANARY_ROLLED_BACK);

    (void) state;

    follow(&ours);
    hear_all(3, &ours, 3);
    assert_int_equal(tick(3, &start, 21), CANARY_FLEET_LATER);
    assert_int_equal(fleet.kept.version, 20);
    assert_true(canary_fleet_reached(&fleet));

    /* it is asked for with each tick, until somebody has it */

    now += 60;
    hear_all(3, &start, 3);
    assert_int_equal(tick(3, &start, 21), CANARY_FLEET_RAISE);
    assert_true(todo.second);
    assert_int_equal(fleet.kept.version, 21);

    /* what stops needs nobody */

    follow(&ours);
    hear_all(3, &ours, 3);
    assert_int_equal(tick(3, &back, 21), CANARY_FLEET_ADOPT);

    /* nor does one without a past take up what nobody has */

    begin(&ours, 0);
    endpoints[0].ours = record(1, 0, CANARY_IDLE, 0);
    assert_int_equal(join(&start, 1), CANARY_FLEET_LATER);
}


static void
what_is_raised_is_in_most_files(void **state)
{
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);
    canary_fleet_record_t  start = record(6, 4, CANARY_PROGRESSING, 10);

    (void) state;

    begin(&ours, 3);
    fleet.kept.nmembers = 5;
    strcpy(fleet.kept.members[3].name, "web4");
    strcpy(fleet.kept.members[4].name, "web5");
    (void) join(&ours, 0);

    hear_all(3, &start, 5);
    hear(2, "web3", "20 0 5 - - -", 0);
    assert_int_equal(tick(3, &start, 21), CANARY_FLEET_RAISE);
    assert_false(canary_fleet_may_take(&fleet, 0, &start, now));

    canary_fleet_filed(&fleet, 0, &start);
    now += 60;
    hear_all(3, &start, 5);
    hear(2, "web3", "20 0 5 - - -", 0);
    tick(3, &none, 21);
    assert_int_equal(canary_fleet_may_take(&fleet, 0, &start, now), 0);
    assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_NOT_TOLD);

    /* a third one, but by what it said before */

    now += 60;
    hear_all(3, &start, 5);
    heard[2].serial -= 700;
    tick(3, &none, 21);
    assert_int_equal(canary_fleet_may_take(&fleet, 0, &start, now), 0);

    now += 60;
    hear_all(3, &start, 5);
    tick(3, &none, 21);
    assert_int_equal(canary_fleet_may_take(&fleet, 0, &start, now), 1);

    canary_fleet_effective(&fleet, 0, &start);
    assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_DURABLE);
}


/* a change that was in Redis when its node died, or that Redis has refused */

static void
what_nobody_has_done_is_replaced(void **state)
{
    uint64_t               since;
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);
    canary_fleet_record_t  start = record(6, 4, CANARY_PROGRESSING, 10);

    (void) state;

    follow(&ours);
    since = now;

    while (now - since < CANARY_FLEET_YOUNG) {
        hear_all(3, &ours, 3);
        assert_int_equal(tick(3, &start, 21), CANARY_FLEET_LATER);
    }

    /* alone one does not know */

    now += 1000;
    hear_all(1, &ours, 3);
    assert_int_equal(tick(1, &start, 21), CANARY_FLEET_LATER);

    hear_all(3, &ours, 3);
    assert_int_equal(tick(3, &start, 21), CANARY_FLEET_OURS);
    assert_int_equal(next(), CANARY_FLEET_TELL);
    assert_int_equal(todo.record.generation, 7);
    assert_int_equal(todo.record.number, 3);
    assert_int_equal(todo.base.generation, 6);
    assert_false(todo.over);
}


static void
what_does_not_verify_is_written_over(void **state)
{
    canary_fleet_record_t  ours = record(5, 3, CANARY_PROGRESSING, 10);

    (void) state;

    follow(&ours);

    while (next() != CANARY_FLEET_SEND_TICK) {
        now += 10;
    }

    memset(&offer, 0, sizeof(offer));
    offer.forged = 1;
    offer.version = 21;
    ticked.sent = ticked.received = now;
    ticked.now = now + REDIS;
    ticked.noffers = 1;
    ticked.offers = &offer;
    ticked.nodes = NULL;
    ticked.version = ticked.upto = 21;
    canary_fleet_tick_answer(&fleet, &ticked, now);

    /* not while it might be this node whose key is another one */

    assert_int_equal(offer.what, CANARY_FLEET_OURS);
    view[1].last = view[2].last = 0;
    assert_int_equal(next(), CANARY_FLEET_NOTHING);

    hear_all(3, &ours, 3);
    tick(3, &none, 21);
    assert_int_equal(next(), CANARY_FLEET_TELL);
    assert_true(todo.over);
    assert_int_equal(todo.record.generation, 5);
    assert_int_equal(todo.record.uid, ours.uid);
    assert_int_equal(todo.record.phase, CANARY_PROGRESSING);
}


/* data of "another fleet" */

static void
who_was_in_the_fleet_adopts_no_other(void **state)
{
    canary_fleet_record_t  ours = ended(5, 3, CANARY_ROLLED_BACK);
    canary_fleet_record_t  before = record(4, 3, CANARY_PROGRESSING, 60);

    (void) state;

    begin(&ours, 3);
    assert_int_equal(join(&before, 1), CANARY_FLEET_OURS);
}


/* The lease */


static void
of_two_leaders_one_leads(void **state)
{
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    follow(&ours);
    ticked.leads = 1;
    ticked.term = 6;
    ticked.since = 1;
    strcpy(ticked.leader, "web1");
    hear_all(3, &ours, 3);
    tick(3, &none, 20);
    assert_int_equal(fleet.state, CANARY_FLEET_LEADER);
    assert_int_equal(fleet.kept.term, 6);
    assert_int_equal(fleet.since, now + REDIS);

    /* whatever Redis says, it leads since then */

    now += 1000;
    hear_all(3, &ours, 3);
    tick(3, &none, 20);
    assert_in_range(now + REDIS - fleet.since, 1000, 1100);

    /* another one has signed that it leads since */

    hear_all(3, &ours, 3);
    hear(2, "web3", "20 7 3 - - -", 0);
    tick(3, &none, 20);
    assert_int_equal(fleet.state, CANARY_FLEET_FOLLOWER);
    assert_string_equal(fleet.leader, "web3");
    assert_int_equal(fleet.kept.term, 7);

    /* no lease is so late that none could come after it */

    follow(&ours);
    ticked.leads = 1;
    ticked.term = 4294967290u;
    hear_all(3, &ours, 3);
    tick(3, &none, 20);
    assert_int_equal(fleet.state, CANARY_FLEET_FOLLOWER);
    assert_int_equal(fleet.kept.term, 5);
}


static void
a_node_without_the_key_is_waited_for(void **state)
{
    char                   text[CANARY_REASON_SIZE];
    canary_fleet_record_t  ours = record(5, 3, CANARY_PROGRESSING, 10);

    (void) state;

    follow(&ours);
    ticked.leads = 1;
    ticked.term = 6;
    strcpy(ticked.leader, "web1");
    hear_all(3, &ours, 3);
    tick(3, &none, 20);

    strcpy(fleet.strange, "web7");
    assert_true(canary_fleet_waits(&fleet, 0, "shop", now, text, sizeof(text))
                > 0);
    assert_string_equal(text, "node web7 has no key, or another one");

    /* it is the others who have another one, if these are most */

    while (next() != CANARY_FLEET_SEND_TICK) {
        now += 10;
    }

    assert_true(todo.may_lead);

    follow(&ours);
    strcpy(fleet.strange, "web2");
    hear_all(1, &ours, 3);
    tick(1, &none, 20);

    while (next() != CANARY_FLEET_SEND_TICK) {
        now += 10;
    }

    assert_false(todo.may_lead);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(what_is_played_back_is_old),
        cmocka_unit_test(clocks_that_drift_are_no_silence),
        cmocka_unit_test(redis_makes_no_majority_of_few),
        cmocka_unit_test(the_largest_count_of_those_who_live_counts),
        cmocka_unit_test(members_leave),
        cmocka_unit_test(members_are_forgotten),
        cmocka_unit_test(what_nobody_has_is_not_adopted),
        cmocka_unit_test(what_is_raised_is_in_most_files),
        cmocka_unit_test(what_nobody_has_done_is_replaced),
        cmocka_unit_test(what_does_not_verify_is_written_over),
        cmocka_unit_test(who_was_in_the_fleet_adopts_no_other),
        cmocka_unit_test(of_two_leaders_one_leads),
        cmocka_unit_test(a_node_without_the_key_is_waited_for)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
