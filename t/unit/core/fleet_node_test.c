
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/* One node of a fleet, by hand: what has happened, and what it does then. */


#include <stdio.h>
#include <string.h>

#include "canary_fleet.h"

#include "fleet_records.h"
#include "unit.h"


#define BEGIN    100000
#define REDIS    1700000000000ull       /* its clock is so far ahead */


static canary_fleet_t           fleet;
static canary_fleet_endpoint_t  endpoints[2];
static canary_fleet_todo_t      todo;
static uint64_t                 now;


/* A node that was in the fleet before, with one endpoint. */

static void
begin(const canary_fleet_record_t *ours, int goes_on)
{
    canary_fleet_conf_t  conf;
    canary_fleet_kept_t  kept;

    memset(&kept, 0, sizeof(kept));
    memset(&conf, 0, sizeof(conf));

    kept.incarnation = 1;
    kept.nseeds = 1;
    kept.version = 20;
    strcpy(kept.seeds[0], "s1");

    conf.name = "web1";
    conf.timeout = 500;
    conf.random = 7;
    conf.goes_on = goes_on;

    now = BEGIN;

    canary_fleet_endpoint_init(&endpoints[0], ours, 1);
    canary_fleet_init(&fleet, &conf, &kept, endpoints, 1, now);
}


static canary_fleet_act_t
next(void)
{
    canary_fleet_next(&fleet, now, &todo);

    return todo.act;
}


/* what it does up to a time */

static canary_fleet_act_t
next_until(uint64_t until)
{
    for ( ;; ) {
        if (next() != CANARY_FLEET_NOTHING || now >= until) {
            return todo.act;
        }

        now = canary_fleet_due(&fleet, now);
        now = (now < until) ? now : until;
    }
}


static void
connect(void)
{
    assert_int_equal(next(), CANARY_FLEET_CONNECT);
    assert_int_equal(next(), CANARY_FLEET_NOTHING);
    canary_fleet_connected(&fleet, now);
    assert_int_equal(next(), CANARY_FLEET_JOIN);
}


static canary_fleet_offer_t  offer;


/* the fleet has this, of data that are so old */

static canary_fleet_what_t
join(const canary_fleet_record_t *theirs, uint64_t age, int foreign)
{
    canary_fleet_join_t  answer;

    memset(&answer, 0, sizeof(answer));
    memset(&offer, 0, sizeof(offer));

    answer.sent = answer.received = now;
    answer.now = now + REDIS;
    answer.age = age;
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


static canary_fleet_ticked_t  ticked;


/* an answer to a tick; with what has changed, if anything has */

static canary_fleet_what_t
tick(const canary_fleet_record_t *theirs, uint64_t version, uint64_t age)
{
    memset(&offer, 0, sizeof(offer));

    ticked.sent = ticked.received = now;
    ticked.now = now + REDIS;
    ticked.shifted = 1;
    ticked.age = age;
    ticked.version = ticked.upto = version;
    ticked.noffers = theirs->generation > 0;
    ticked.offers = &offer;
    offer.version = version;
    offer.record = *theirs;

    canary_fleet_tick_answer(&fleet, &ticked, now);

    return offer.what;
}


static canary_fleet_committed_t  committed;


static void
commit_answer(canary_fleet_reply_t reply)
{
    committed.reply = reply;
    canary_fleet_commit_answer(&fleet, 0, &committed, now);
}


/* A follower at what the fleet has, whose first tick is answered. */

static void
follow(const canary_fleet_record_t *ours)
{
    memset(&ticked, 0, sizeof(ticked));
    memset(&committed, 0, sizeof(committed));

    begin(ours, 0);
    connect();
    assert_int_equal(join(ours, 60000, 0), CANARY_FLEET_SAME);
    assert_int_equal(next(), CANARY_FLEET_SEND_TICK);
    strcpy(ticked.leader, "web2");
    tick(&none, 20, 60000);
    assert_int_equal(fleet.state, CANARY_FLEET_FOLLOWER);
    assert_int_equal(next(), CANARY_FLEET_NOTHING);
}


static void
propose(const canary_fleet_record_t *proposed, canary_fleet_mode_t mode)
{
    assert_true(canary_fleet_propose(&fleet, 0, proposed, mode, now));
}


static void
expect_conclusion(canary_fleet_result_t result)
{
    assert_int_equal(next(), CANARY_FLEET_CONCLUDE);
    assert_int_equal(todo.endpoint, 0);
    assert_int_equal(todo.result, result);
}


/* Coming and going */


static void
a_node_starts(void **state)
{
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    memset(&ticked, 0, sizeof(ticked));
    begin(&ours, 0);
    assert_int_equal(fleet.state, CANARY_FLEET_JOINING);
    connect();
    assert_int_equal(strlen(todo.seed), 16);
    assert_int_equal(next(), CANARY_FLEET_NOTHING);

    join(&none, 0, 0);
    assert_int_equal(fleet.state, CANARY_FLEET_FOLLOWER);

    /* what it tells goes ahead of its first tick */

    assert_int_equal(next(), CANARY_FLEET_TELL);
    assert_int_equal(todo.record.generation, 5);
    assert_int_equal(todo.base.generation, 0);
    assert_int_equal(todo.mode, CANARY_FLEET_ANY);
    assert_int_equal(todo.not_after, 0);
    assert_int_equal(next(), CANARY_FLEET_SEND_TICK);
    assert_string_equal(todo.seed, "s1");
    assert_int_equal(todo.version, 20);
    assert_true(todo.may_lead);
    assert_true(todo.second);
    assert_int_equal(todo.time, 0);
    assert_int_equal(next(), CANARY_FLEET_NOTHING);

    /* the first has the lease */

    commit_answer(CANARY_FLEET_OK);
    ticked.leads = 1;
    ticked.term = 4;
    strcpy(ticked.leader, "web1");
    tick(&none, 21, 10);
    assert_int_equal(fleet.state, CANARY_FLEET_LEADER);
    assert_int_equal(fleet.kept.term, 4);

    /* a leader calls 30 ms after the beat of the fleet's clock */

    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    assert_int_equal(todo.term, 4);
    assert_int_equal(todo.version, 21);
    assert_true(todo.evidence);
    tick(&none, 21, 10);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    assert_int_equal(todo.time % CANARY_FLEET_TICK_IDLE, 30);
    assert_false(todo.second);
}


static void
the_beat_is_faster_with_a_rollout(void **state)
{
    unsigned               i, evidence, second, ticks;
    canary_fleet_record_t  ours = record(5, 3, CANARY_PROGRESSING, 10);

    (void) state;

    follow(&ours);
    canary_fleet_set(&fleet, 1, 1);
    assert_int_equal(next(), CANARY_FLEET_SEND_TICK);
    tick(&none, 20, 60000);

    evidence = second = 0;
    ticks = 0;

    for (i = 0; i < 200; i++) {
        assert_int_equal(next_until(now + 60), CANARY_FLEET_SEND_TICK);
        evidence += todo.evidence;
        second += todo.second;
        ticks++;
        tick(&none, 20, 60000);
    }

    assert_in_range(now - BEGIN, 9900, 10100);
    assert_in_range(evidence, ticks / 2 - 1, ticks / 2 + 1);
    assert_in_range(second, 9, 11);
}


static void
a_node_starts_without_redis(void **state)
{
    unsigned               tries;
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    begin(&ours, 0);

    for (tries = 0; now < BEGIN + 999; ) {
        if (next_until(BEGIN + 999) == CANARY_FLEET_CONNECT) {
            tries++;
            canary_fleet_disconnected(&fleet, now);
        }
    }

    assert_in_range(tries, 4, 9);
    assert_int_equal(fleet.state, CANARY_FLEET_JOINING);

    next_until(BEGIN + 1000);
    assert_int_equal(fleet.state, CANARY_FLEET_ISOLATED);
    assert_false(canary_fleet_reached(&fleet));

    /* a connect that hangs is given up */

    while (next_until(now + 1000) != CANARY_FLEET_CONNECT) { }
    tries = (unsigned) now;
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_DISCONNECT);
    assert_int_equal(now, tries + 501);
}


static void
a_node_is_isolated(void **state)
{
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    /* the connection breaks: that is not it yet */

    follow(&ours);
    canary_fleet_disconnected(&fleet, now);
    next();
    assert_int_equal(fleet.state, CANARY_FLEET_FOLLOWER);
    now += 500;
    next();
    assert_int_equal(fleet.state, CANARY_FLEET_FOLLOWER);
    now++;
    next();
    assert_int_equal(fleet.state, CANARY_FLEET_ISOLATED);
    assert_string_equal(fleet.leader, "");

    /* or nothing is answered */

    follow(&ours);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    assert_int_equal(next_until(now + 400), CANARY_FLEET_NOTHING);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_DISCONNECT);
    assert_int_equal(fleet.state, CANARY_FLEET_ISOLATED);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_CONNECT);
    canary_fleet_connected(&fleet, now);
    assert_int_equal(next(), CANARY_FLEET_JOIN);
    join(&ours, 60000, 0);
    assert_int_equal(fleet.state, CANARY_FLEET_FOLLOWER);
}


static void
a_reload_goes_on(void **state)
{
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    begin(&ours, 1);
    assert_int_equal(fleet.state, CANARY_FLEET_FOLLOWER);
    now += 501;
    next();
    assert_int_equal(fleet.state, CANARY_FLEET_ISOLATED);
}


static void
another_has_the_name(void **state)
{
    canary_fleet_join_t    answer;
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    memset(&answer, 0, sizeof(answer));
    answer.reply = CANARY_FLEET_DUP;

    begin(&ours, 0);
    connect();
    canary_fleet_join_answer(&fleet, &answer, now);
    assert_int_equal(fleet.state, CANARY_FLEET_KEPT_OUT);
    assert_false(canary_fleet_reached(&fleet));

    /* it tries again each second, and does nothing else */

    assert_int_equal(next_until(now + 999), CANARY_FLEET_NOTHING);
    assert_int_equal(next_until(now + 1), CANARY_FLEET_JOIN);
    join(&ours, 60000, 0);
    assert_int_equal(fleet.state, CANARY_FLEET_FOLLOWER);

    /* a tick may find that too */

    assert_int_equal(next(), CANARY_FLEET_SEND_TICK);
    ticked.reply = CANARY_FLEET_DUP;
    tick(&none, 0, 0);
    ticked.reply = CANARY_FLEET_OK;
    assert_int_equal(fleet.state, CANARY_FLEET_KEPT_OUT);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_JOIN);
}


static void
data_have_no_seed(void **state)
{
    canary_fleet_join_t    answer;
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    memset(&answer, 0, sizeof(answer));

    begin(&ours, 0);
    connect();
    canary_fleet_join_answer(&fleet, &answer, now);
    assert_int_equal(fleet.state, CANARY_FLEET_JOINING);
    assert_int_equal(next_until(now + 999), CANARY_FLEET_NOTHING);
    assert_int_equal(next_until(now + 1), CANARY_FLEET_JOIN);
    join(&ours, 60000, 0);
    assert_int_equal(fleet.state, CANARY_FLEET_FOLLOWER);
}


static void
data_are_lost(void **state)
{
    canary_fleet_reply_t   reply;
    canary_fleet_record_t  ours = ended(5, 3, CANARY_PROMOTED);

    (void) state;

    for (reply = CANARY_FLEET_EMPTY; reply <= CANARY_FLEET_LOST; reply++) {
        follow(&ours);
        assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
        ticked.leads = 1;
        ticked.quorum = 20;
        tick(&none, 20, 60000);
        assert_int_equal(fleet.state, CANARY_FLEET_LEADER);
        assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_DURABLE);

        assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
        ticked.reply = reply;
        tick(&none, 0, 0);
        assert_int_equal(fleet.state, CANARY_FLEET_FOLLOWER);

        /* what was durable there has to be so again */

        assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_TOLD);
        assert_int_equal(next(), CANARY_FLEET_JOIN);
        join(&none, 0, 0);
        assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_NOT_TOLD);
        assert_int_equal(next(), CANARY_FLEET_TELL);
        committed.version = 21;
        commit_answer(CANARY_FLEET_OK);
        assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_TOLD);
        assert_int_equal(next(), CANARY_FLEET_SEND_TICK);
    }
}


static void
a_fleet_that_is_not_ones_own(void **state)
{
    canary_fleet_record_t  ours, theirs;

    (void) state;

    /* numbers mean nothing: what the fleet has, is */

    ours = ended(90, 30, CANARY_ROLLED_BACK);
    theirs = ended(3, 2, CANARY_PROMOTED);
    begin(&ours, 0);
    connect();
    assert_int_equal(join(&theirs, 60000, 1), CANARY_FLEET_RAISE);

    theirs = ended(3, 2, CANARY_ROLLED_BACK);
    begin(&ours, 0);
    connect();
    assert_int_equal(join(&theirs, 60000, 1), CANARY_FLEET_ADOPT);

    /* and what it has not, it gets, if it is idle */

    begin(&ours, 0);
    connect();
    join(&none, 60000, 1);
    assert_int_equal(next(), CANARY_FLEET_TELL);

    ours = record(90, 30, CANARY_PROGRESSING, 10);
    begin(&ours, 0);
    connect();
    join(&none, 60000, 1);
    assert_int_equal(next(), CANARY_FLEET_END);
    assert_int_equal(next(), CANARY_FLEET_SEND_TICK);
    ours = ended(91, 30, CANARY_ROLLED_BACK);
    canary_fleet_stopped(&fleet, 0, &ours);
    assert_int_equal(next(), CANARY_FLEET_TELL);
    assert_int_equal(todo.record.generation, 91);
}


/* What others do */


static void
others_change_something(void **state)
{
    canary_fleet_record_t  ours, theirs;

    (void) state;

    ours = record(5, 3, CANARY_PROGRESSING, 20);
    follow(&ours);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    assert_int_equal(todo.filed, 20);

    theirs = record(6, 3, CANARY_PROGRESSING, 30);
    assert_int_equal(tick(&theirs, 24, 60000), CANARY_FLEET_RAISE);

    /* the file lacks it, but has all that was before */

    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    assert_int_equal(todo.version, 24);
    assert_int_equal(todo.filed, 23);
    assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_NOT_TOLD);

    canary_fleet_filed(&fleet, 0, &theirs);
    assert_true(canary_fleet_may_raise(&fleet, now));
    assert_false(canary_fleet_may_raise(&fleet, now + fleet.conf.timeout
                                               + 1));
    canary_fleet_effective(&fleet, 0, &theirs);
    assert_int_equal(canary_fleet_filed_version(&fleet), 24);
    assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_TOLD);

    ticked.quorum = 24;
    theirs = ended(7, 3, CANARY_ROLLED_BACK);
    assert_int_equal(tick(&theirs, 25, 60000), CANARY_FLEET_ADOPT);
    assert_false(offer.dropped);
    canary_fleet_effective(&fleet, 0, &theirs);
    canary_fleet_filed(&fleet, 0, &theirs);
    assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_TOLD);

    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    ticked.quorum = 25;
    tick(&none, 25, 60000);
    assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_DURABLE);
}


static void
nothing_rises_while_data_are_young(void **state)
{
    canary_fleet_record_t  ours, theirs;

    (void) state;

    ours = record(5, 3, CANARY_PROGRESSING, 20);
    theirs = record(6, 3, CANARY_PROGRESSING, 30);
    follow(&ours);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    ticked.reply = CANARY_FLEET_LOST;
    tick(&none, 0, 0);
    ticked.reply = CANARY_FLEET_OK;
    assert_int_equal(next(), CANARY_FLEET_JOIN);
    assert_int_equal(join(&theirs, 1000, 0), CANARY_FLEET_LATER);
    assert_false(canary_fleet_may_raise(&fleet, now));
    assert_int_equal(next(), CANARY_FLEET_SEND_TICK);
    tick(&none, 20, 1000);

    /* it comes again when they are not */

    for ( ;; ) {
        if (next_until(now + 1000) == CANARY_FLEET_JOIN) {
            break;
        }

        assert_int_equal(todo.act, CANARY_FLEET_SEND_TICK);
        tick(&none, 20, 1000 + now - BEGIN);
    }

    assert_in_range(now, BEGIN + 2000, BEGIN + 2300);
    assert_int_equal(join(&theirs, 3000 + 1, 0), CANARY_FLEET_RAISE);
    assert_true(canary_fleet_may_raise(&fleet, now));

    /* and when the file had refused it */

    canary_fleet_not_filed(&fleet, 0, now);
    assert_int_equal(next(), CANARY_FLEET_SEND_TICK);
    tick(&none, 20, 5000);

    while (next_until(now + 1000) == CANARY_FLEET_SEND_TICK) {
        tick(&none, 20, 5000);
    }

    assert_int_equal(todo.act, CANARY_FLEET_JOIN);
    assert_int_equal(join(&theirs, 6000, 0), CANARY_FLEET_RAISE);
}


static void
redis_clock_jumps(void **state)
{
    canary_fleet_record_t  ours, theirs;

    (void) state;

    ours = record(5, 3, CANARY_PROGRESSING, 20);
    theirs = record(6, 3, CANARY_PROGRESSING, 30);
    follow(&ours);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    ticked.now = 0;
    now += 5;

    /* by its clock the data are old: who knows */

    ticked.sent = ticked.received = now;
    ticked.now = now + REDIS + 60000;
    ticked.age = 61000;
    ticked.version = ticked.upto = 21;
    memset(&offer, 0, sizeof(offer));
    offer.record = theirs;
    offer.version = 21;
    ticked.noffers = 1;
    ticked.offers = &offer;
    canary_fleet_tick_answer(&fleet, &ticked, now);
    assert_int_equal(offer.what, CANARY_FLEET_LATER);
}


/* and says anything at all */

static void
redis_clock_is_none(void **state)
{
    unsigned               i;
    canary_fleet_record_t  ours = record(5, 3, CANARY_PROGRESSING, 20);

    static const uint64_t  nows[] = {
        INT64_MAX, (uint64_t) INT64_MIN, 0, UINT64_MAX, INT64_MAX
    };

    (void) state;

    follow(&ours);

    for (i = 0; i < sizeof(nows) / sizeof(nows[0]); i++) {
        assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
        memset(&offer, 0, sizeof(offer));

        ticked.sent = ticked.received = now;
        ticked.now = nows[i];
        ticked.shift = (i % 2) ? INT64_MIN : INT64_MAX;
        ticked.age = UINT64_MAX;
        ticked.noffers = 0;
        canary_fleet_tick_answer(&fleet, &ticked, now);

        assert_false(canary_fleet_may_raise(&fleet, now));
        assert_true(canary_fleet_due(&fleet, now) <= now + 1000);
    }
}


/* What this node does */


static void
a_change_is_proposed(void **state)
{
    canary_fleet_record_t  ours, next_one;

    (void) state;

    ours = ended(5, 3, CANARY_PROMOTED);
    next_one = record(6, 4, CANARY_PROGRESSING, 10);
    follow(&ours);
    propose(&next_one, CANARY_FLEET_EXPOSE);
    assert_false(canary_fleet_propose(&fleet, 0, &next_one,
                                      CANARY_FLEET_EXPOSE, now));

    assert_int_equal(next(), CANARY_FLEET_COMMIT);
    assert_memory_equal(&todo.record, &next_one, sizeof(next_one));
    assert_memory_equal(&todo.base, &ours, sizeof(ours));
    assert_int_equal(todo.mode, CANARY_FLEET_EXPOSE);
    assert_int_equal(todo.not_after, now + REDIS + 400);
    assert_int_equal(next(), CANARY_FLEET_NOTHING);

    committed.version = 21;
    commit_answer(CANARY_FLEET_OK);
    expect_conclusion(CANARY_FLEET_DONE);
    assert_memory_equal(&todo.record, &next_one, sizeof(next_one));

    canary_fleet_filed(&fleet, 0, &next_one);
    canary_fleet_effective(&fleet, 0, &next_one);
    assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_TOLD);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    assert_int_equal(tick(&next_one, 21, 60000), CANARY_FLEET_SAME);
    assert_int_equal(canary_fleet_filed_version(&fleet), 21);

    /* a step is a leader's */

    ours = next_one;
    next_one = record(7, 4, CANARY_PROGRESSING, 20);
    assert_false(canary_fleet_propose(&fleet, 0, &next_one,
                                      CANARY_FLEET_STEP, now));
}


static void
a_change_is_refused(void **state)
{
    canary_fleet_record_t  ours, next_one, theirs;

    (void) state;

    ours = record(5, 3, CANARY_PROGRESSING, 10);
    next_one = record(6, 3, CANARY_PROGRESSING, 20);

    follow(&ours);
    propose(&next_one, CANARY_FLEET_EXPOSE);
    assert_int_equal(next(), CANARY_FLEET_COMMIT);
    committed.reason = "1 of 3 nodes";
    commit_answer(CANARY_FLEET_WAITS);
    expect_conclusion(CANARY_FLEET_WAIT);
    assert_string_equal(todo.reason, "1 of 3 nodes");

    /* another came first */

    propose(&next_one, CANARY_FLEET_EXPOSE);
    assert_int_equal(next(), CANARY_FLEET_COMMIT);
    theirs = ended(6, 3, CANARY_ROLLED_BACK);
    committed.offer.record = theirs;
    commit_answer(CANARY_FLEET_CONFLICTS);
    assert_int_equal(committed.offer.what, CANARY_FLEET_ADOPT);
    expect_conclusion(CANARY_FLEET_CONFLICT);

    /* or is here already, on its way into the file */

    follow(&ours);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    theirs = record(6, 3, CANARY_PROGRESSING, 30);
    assert_int_equal(tick(&theirs, 21, 60000), CANARY_FLEET_RAISE);
    propose(&next_one, CANARY_FLEET_EXPOSE);
    expect_conclusion(CANARY_FLEET_CONFLICT);

    /* data are lost */

    follow(&ours);
    propose(&next_one, CANARY_FLEET_EXPOSE);
    assert_int_equal(next(), CANARY_FLEET_COMMIT);
    commit_answer(CANARY_FLEET_EMPTY);
    expect_conclusion(CANARY_FLEET_WAIT);
    assert_string_equal(todo.reason, "nodes gather");
    assert_int_equal(next(), CANARY_FLEET_JOIN);
}


static void
a_change_is_not_answered(void **state)
{
    canary_fleet_record_t  ours, next_one;

    (void) state;

    ours = record(5, 3, CANARY_PROGRESSING, 10);
    next_one = record(6, 3, CANARY_PROGRESSING, 20);

    /* it was sent, so it may have happened */

    follow(&ours);
    propose(&next_one, CANARY_FLEET_EXPOSE);
    assert_int_equal(next(), CANARY_FLEET_COMMIT);
    canary_fleet_disconnected(&fleet, now);
    expect_conclusion(CANARY_FLEET_UNKNOWN);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_CONNECT);

    /* it was not */

    propose(&next_one, CANARY_FLEET_EXPOSE);
    assert_int_equal(next_until(BEGIN + 500), CANARY_FLEET_NOTHING);
    assert_int_equal(next_until(BEGIN + 501), CANARY_FLEET_CONCLUDE);
    assert_int_equal(todo.result, CANARY_FLEET_UNREACHED);
    assert_int_equal(fleet.state, CANARY_FLEET_ISOLATED);
    assert_false(canary_fleet_propose(&fleet, 0, &next_one,
                                      CANARY_FLEET_EXPOSE, now));
}


static void
a_stop_is_told(void **state)
{
    canary_fleet_record_t  ours, stop, theirs;

    (void) state;

    ours = record(5, 3, CANARY_PROGRESSING, 10);
    stop = record(6, 3, CANARY_PAUSED, 10);
    follow(&ours);
    canary_fleet_stopped(&fleet, 0, &stop);
    assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_NOT_TOLD);
    assert_int_equal(next(), CANARY_FLEET_TELL);
    assert_memory_equal(&todo.record, &stop, sizeof(stop));
    assert_memory_equal(&todo.base, &ours, sizeof(ours));
    assert_int_equal(next(), CANARY_FLEET_NOTHING);

    /* and one that comes meanwhile, then */

    stop = ended(7, 3, CANARY_ROLLED_BACK);
    canary_fleet_stopped(&fleet, 0, &stop);
    assert_int_equal(next(), CANARY_FLEET_NOTHING);
    committed.version = 21;
    commit_answer(CANARY_FLEET_OK);
    assert_int_equal(committed.offer.what, CANARY_FLEET_SAME);
    assert_int_equal(next(), CANARY_FLEET_TELL);
    assert_int_equal(todo.base.generation, 6);

    /* whatever happens to the connection */

    canary_fleet_disconnected(&fleet, now);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_CONNECT);
    canary_fleet_connected(&fleet, now);
    assert_int_equal(next(), CANARY_FLEET_JOIN);

    theirs = record(8, 3, CANARY_PROGRESSING, 30);
    assert_int_equal(join(&theirs, 60000, 0), CANARY_FLEET_OURS);
    assert_int_equal(next(), CANARY_FLEET_TELL);
    assert_int_equal(todo.record.generation, 9);
    assert_int_equal(todo.record.phase, CANARY_IDLE);

    /* under another generation, which is this node's then */

    theirs = todo.record;
    commit_answer(CANARY_FLEET_OK);
    assert_int_equal(committed.offer.what, CANARY_FLEET_RENAME);
    assert_memory_equal(&committed.offer.record, &theirs, sizeof(theirs));
    canary_fleet_effective(&fleet, 0, &theirs);
    assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_TOLD);
}


static void
a_stop_overtakes_a_change(void **state)
{
    canary_fleet_record_t  ours, next_one, stop;

    (void) state;

    ours = record(5, 3, CANARY_PROGRESSING, 10);
    next_one = record(6, 3, CANARY_PROGRESSING, 20);
    stop = ended(6, 3, CANARY_ROLLED_BACK);
    stop.uid = 66;

    /* that was sent */

    follow(&ours);
    propose(&next_one, CANARY_FLEET_EXPOSE);
    assert_int_equal(next(), CANARY_FLEET_COMMIT);
    canary_fleet_stopped(&fleet, 0, &stop);
    commit_answer(CANARY_FLEET_OK);
    expect_conclusion(CANARY_FLEET_OVERTAKEN);
    assert_int_equal(next(), CANARY_FLEET_TELL);
    assert_int_equal(todo.record.generation, 7);
    assert_int_equal(todo.base.uid, next_one.uid);

    /* or was not */

    follow(&ours);
    propose(&next_one, CANARY_FLEET_EXPOSE);
    canary_fleet_stopped(&fleet, 0, &stop);
    expect_conclusion(CANARY_FLEET_CONFLICT);
    assert_int_equal(next(), CANARY_FLEET_TELL);

    /* but what was promoted is */

    follow(&ours);
    next_one = ended(6, 3, CANARY_PROMOTED);
    propose(&next_one, CANARY_FLEET_EXPOSE);
    assert_int_equal(next(), CANARY_FLEET_COMMIT);
    canary_fleet_stopped(&fleet, 0, &stop);
    commit_answer(CANARY_FLEET_OK);
    expect_conclusion(CANARY_FLEET_OVERTAKEN);
    assert_int_equal(next_until(now + 1), CANARY_FLEET_JOIN);
    assert_int_equal(join(&next_one, 60000, 0), CANARY_FLEET_RAISE);
    assert_true(offer.dropped);
}


static void
a_pause_while_the_rollout_goes_on(void **state)
{
    canary_fleet_record_t  ours, stop, theirs, applied;

    (void) state;

    ours = record(5, 3, CANARY_PROGRESSING, 20);
    stop = record(6, 3, CANARY_HALTED, 20);
    follow(&ours);
    canary_fleet_disconnected(&fleet, now);
    canary_fleet_stopped(&fleet, 0, &stop);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_CONNECT);
    canary_fleet_connected(&fleet, now);
    assert_int_equal(next(), CANARY_FLEET_JOIN);

    /* even if it would lose by its generation and weight */

    theirs = record(6, 3, CANARY_PROGRESSING, 30);
    theirs.uid = 66;
    assert_int_equal(join(&theirs, 60000, 0), CANARY_FLEET_APPLY);
    applied = offer.record;
    assert_int_equal(applied.generation, 7);
    assert_int_equal(applied.phase, CANARY_HALTED);
    assert_int_equal(applied.weight, 20 * PERCENT);

    propose(&applied, CANARY_FLEET_ANY);
    assert_int_equal(next(), CANARY_FLEET_COMMIT);
    assert_int_equal(todo.base.uid, 66);
    assert_int_equal(todo.not_after, 0);

    /* until it has been done */

    theirs = record(8, 3, CANARY_PROGRESSING, 40);
    committed.offer.record = theirs;
    commit_answer(CANARY_FLEET_CONFLICTS);
    assert_int_equal(committed.offer.what, CANARY_FLEET_APPLY);
    applied = committed.offer.record;
    assert_int_equal(applied.generation, 9);

    /* a proposal that could not be made is asked for again */

    expect_conclusion(CANARY_FLEET_CONFLICT);
    assert_int_equal(next(), CANARY_FLEET_SEND_TICK);
    tick(&none, 20, 60000);
    assert_int_equal(next_until(now + 60), CANARY_FLEET_JOIN);
    assert_int_equal(join(&theirs, 60000, 0), CANARY_FLEET_APPLY);
    applied = offer.record;
    propose(&applied, CANARY_FLEET_ANY);
    assert_int_equal(next(), CANARY_FLEET_COMMIT);
    committed.version = 25;
    commit_answer(CANARY_FLEET_OK);
    expect_conclusion(CANARY_FLEET_DONE);
    canary_fleet_effective(&fleet, 0, &applied);
    assert_int_equal(canary_fleet_told(&fleet, 0), CANARY_FLEET_TOLD);

    /* one that has ended is not paused */

    ours = record(5, 3, CANARY_PROGRESSING, 20);
    follow(&ours);
    canary_fleet_stopped(&fleet, 0, &stop);
    assert_int_equal(next(), CANARY_FLEET_TELL);
    committed.offer.record = ended(6, 3, CANARY_PROMOTED);
    committed.offer.record.uid = 66;
    commit_answer(CANARY_FLEET_CONFLICTS);
    assert_int_equal(committed.offer.what, CANARY_FLEET_RAISE);
    assert_true(committed.offer.dropped);
}


/* Why steps wait */


static void
expect_waits_of(const char *word, const char *text)
{
    char    is[256];
    size_t  len;

    len = canary_fleet_waits(&fleet, 0, word, now, is, sizeof(is));
    assert_string_equal(is, text);
    assert_int_equal(len, strlen(text));
}


static void
expect_waits(const char *text)
{
    expect_waits_of("shop", text);
}


static canary_fleet_member_t  members[4] = {
    { "web1", 1 }, { "web2", 2 }, { "web3", 3 }, { "web4", 4 }
};


/* nodes, in an answer of the leader's */

static void
look_at(unsigned n, const char *const *texts)
{
    char                        *p;
    unsigned                     i;
    static char                  lines[4][256];
    static canary_fleet_node_t   nodes[4];

    for (i = 0; i < n; i++) {
        p = lines[i];
        snprintf(p, sizeof(lines[i]), texts[i],
                 (unsigned long long) (now + REDIS));
        assert_true(canary_fleet_node_parse(members[i].name, 4, p, strlen(p),
                                            &nodes[i]));
    }

    ticked.nnodes = n;
    ticked.nodes = nodes;
    tick(&none, ticked.version, 60000);
}


/* all of them members */

static void
see(unsigned n, const char *const *texts)
{
    ticked.nmembers = n;
    ticked.members = members;
    look_at(n, texts);
}


/* what most files have, of all members: they are told only when they change */

static void
a_quorum_is_of_all_members(void **state)
{
    canary_fleet_record_t  ours = record(5, 3, CANARY_PROGRESSING, 20);

    (void) state;

    follow(&ours);
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    ticked.leads = 1;
    ticked.version = 20;
    see(3, (const char *const []) {
        "1 %llu 20 0 a 1", "1 %llu 18 0 a 1", "1 %llu 17 0 a 1" });
    assert_int_equal(fleet.quorum, 18);

    ticked.members = NULL;
    ticked.nmembers = 0;
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    look_at(3, (const char *const []) {
        "1 %llu 20 0 a 1", "1 %llu 19 0 a 1", "1 %llu 17 0 a 1" });
    assert_int_equal(fleet.quorum, 19);

    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    look_at(1, (const char *const []) { "1 %llu 20 0 a 1" });
    assert_int_equal(fleet.quorum, 19);
}


static void
why_steps_wait(void **state)
{
    char                   small[10];
    canary_fleet_record_t  ours = record(5, 3, CANARY_PROGRESSING, 20);

    (void) state;

    begin(&ours, 0);
    expect_waits("the fleet cannot be reached");

    follow(&ours);
    expect_waits("");
    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    ticked.leader[0] = '\0';
    tick(&none, 20, 60000);
    expect_waits("a new leader");

    assert_int_equal(next_until(now + 1000), CANARY_FLEET_SEND_TICK);
    ticked.leads = 1;
    strcpy(ticked.leader, "web1");
    ticked.since = now + REDIS - 2000;
    see(1, (const char *const []) { "1 %llu 20 0 a 1" });
    expect_waits("a new leader");

    ticked.since = now + REDIS - 3100;
    see(1, (const char *const []) { "1 %llu 20 0 a 1" });
    expect_waits("");

    see(3, (const char *const []) {
        "1 %llu 20 0 a 1", "1 0 20 0 a 1", "1 0 20 0 a 1" });
    expect_waits("1 of 3 nodes: forget those that will not return");

    now += 600;
    see(4, (const char *const []) {
        "1 %llu 20 0 a 1", "1 %llu 20 0 a 1", "1 %llu 20 0 a 1",
        "1 1700000100000 20 0 a 1" });
    expect_waits("node web4 is silent");

    see(3, (const char *const []) {
        "1 %llu 20 0 a 1", "1 %llu 19 0 a 1", "1 %llu 18 0 a 1" });
    expect_waits("nodes web2, web3 are at an older step");

    see(3, (const char *const []) {
        "1 %llu 20 0 a 1\nshop release v3\n",
        "1 %llu 20 0 a 1\ncart endpoint\nshop endpoint\n",
        "1 %llu 20 0 a 1\n- version\n" });
    expect_waits("node web1 has no release v3, node web2 has no endpoint "
                 "shop, node web3 is of an older version");

    assert_int_equal(canary_fleet_waits(&fleet, 0, "shop", now, small,
                                        sizeof(small)),
                     9);
    assert_string_equal(small, "node web1");

    see(2, (const char *const []) {
        "1 %llu 20 0 a 1\na%%40b release v%%203\n",
        "1 %llu 20 0 a 1\na%%40b endpoint\n" });
    expect_waits_of("a%40b", "node web1 has no release v 3, node web2 has no "
                    "endpoint a@b");

    see(3, (const char *const []) {
        "1 %llu 20 0 a 1\ncart release v3\nshopp endpoint\n",
        "1 %llu 20 0 a 1\nshop server v%%202\n", "1 %llu 20 0 a 1" });
    expect_waits("node web2: no live server in v 2");

    see(3, (const char *const []) {
        "1 %llu 20 0 a 1", "1 %llu 20 0 a 1", "1 0 0 0 a 1" });
    expect_waits("");

    /* a leader counts, more than half of the members */

    assert_int_equal(fleet.quorum, 20);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(a_node_starts),
        cmocka_unit_test(the_beat_is_faster_with_a_rollout),
        cmocka_unit_test(a_node_starts_without_redis),
        cmocka_unit_test(a_node_is_isolated),
        cmocka_unit_test(a_reload_goes_on),
        cmocka_unit_test(another_has_the_name),
        cmocka_unit_test(data_have_no_seed),
        cmocka_unit_test(data_are_lost),
        cmocka_unit_test(a_fleet_that_is_not_ones_own),
        cmocka_unit_test(others_change_something),
        cmocka_unit_test(nothing_rises_while_data_are_young),
        cmocka_unit_test(redis_clock_jumps),
        cmocka_unit_test(redis_clock_is_none),
        cmocka_unit_test(a_change_is_proposed),
        cmocka_unit_test(a_change_is_refused),
        cmocka_unit_test(a_change_is_not_answered),
        cmocka_unit_test(a_stop_is_told),
        cmocka_unit_test(a_stop_overtakes_a_change),
        cmocka_unit_test(a_pause_while_the_rollout_goes_on),
        cmocka_unit_test(a_quorum_is_of_all_members),
        cmocka_unit_test(why_steps_wait)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
