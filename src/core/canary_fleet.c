
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "canary_fleet_internal.h"


/* A node of a fleet: what has happened to it, and what it does next. */


#define CANARY_FLEET_LATE(timeout)  ((timeout) / 5 * 4)
                             /* ms after which a change that exposes is not to
                                be made any more: its caller has waited for the
                                timeout at most */


static uint64_t canary_fleet_random(canary_fleet_t *fleet);
static void canary_fleet_sent(canary_fleet_t *fleet, uint64_t now);
static void canary_fleet_drop_flights(canary_fleet_t *fleet);
static void canary_fleet_look_at_clock(canary_fleet_t *fleet, uint64_t now);
static int canary_fleet_next_said(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo);
static int canary_fleet_say(canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoint, uint64_t now,
    canary_fleet_todo_t *todo);
static int canary_fleet_next_line(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo);
static int canary_fleet_next_join(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo);
static int canary_fleet_next_commit(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo);
static int canary_fleet_tell(canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoint, uint64_t now,
    canary_fleet_todo_t *todo);
static int canary_fleet_commit(canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoint, uint64_t now,
    canary_fleet_todo_t *todo);
static void canary_fleet_send(canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoint, uint64_t now,
    canary_fleet_todo_t *todo);
static int canary_fleet_next_tick(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo);
static uint64_t canary_fleet_next_beat(const canary_fleet_t *fleet,
    uint64_t now);
static uint64_t canary_fleet_earlier(uint64_t one, uint64_t two);


void
canary_fleet_endpoint_init(canary_fleet_endpoint_t *endpoint,
    const canary_fleet_record_t *ours, int filed)
{
    memset(endpoint, 0, sizeof(canary_fleet_endpoint_t));

    endpoint->ours = *ours;

    if (filed) {
        endpoint->filed = ours->generation;
        endpoint->filed_uid = ours->uid;
    }
}


void
canary_fleet_init(canary_fleet_t *fleet, const canary_fleet_conf_t *conf,
    const canary_fleet_kept_t *kept, canary_fleet_endpoint_t *endpoints,
    unsigned nendpoints, uint64_t now)
{
    memset(fleet, 0, sizeof(canary_fleet_t));

    fleet->conf = *conf;
    fleet->kept = *kept;
    fleet->endpoints = endpoints;
    fleet->nendpoints = nendpoints;
    fleet->random = conf->random;
    fleet->started = now;
    fleet->connect_at = now;
    fleet->may_lead = 1;
    fleet->state = CANARY_FLEET_JOINING;

    if (conf->goes_on) {
        fleet->state = CANARY_FLEET_FOLLOWER;
        fleet->last = now;
    }
}


void
canary_fleet_endpoints(canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoints, unsigned nendpoints)
{
    fleet->endpoints = endpoints;
    fleet->nendpoints = nendpoints;
}


/* SplitMix64, by S. Vigna: any state will do */

static uint64_t
canary_fleet_random(canary_fleet_t *fleet)
{
    uint64_t  z;

    z = (fleet->random += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;

    return z ^ z >> 31;
}


uint32_t
canary_fleet_uid(canary_fleet_t *fleet)
{
    uint32_t  uid;

    do {
        uid = (uint32_t) canary_fleet_random(fleet);
    } while (uid == 0);

    return uid;
}


void
canary_fleet_connected(canary_fleet_t *fleet, uint64_t now)
{
    fleet->connection = CANARY_FLEET_UP;
    fleet->again = now;

    canary_fleet_clock_reconnect(&fleet->kept.clock);
}


void
canary_fleet_disconnected(canary_fleet_t *fleet, uint64_t now)
{
    fleet->connection = CANARY_FLEET_DOWN;
    fleet->failures++;
    fleet->connect_at = now
                        + canary_fleet_backoff(fleet->failures,
                                               canary_fleet_uid(fleet));

    canary_fleet_leave(fleet);
    canary_fleet_drop_flights(fleet);
}


static void
canary_fleet_drop_flights(canary_fleet_t *fleet)
{
    unsigned                  i;
    canary_fleet_endpoint_t  *endpoint;

    fleet->flight = 0;
    fleet->joining = 0;
    fleet->ticking = 0;

    for (i = 0; i < fleet->nendpoints; i++) {
        endpoint = &fleet->endpoints[i];
        endpoint->flight = CANARY_FLEET_NO_FLIGHT;

        if (endpoint->proposal == CANARY_FLEET_PROPOSAL_SENT) {
            canary_fleet_conclude(endpoint, CANARY_FLEET_UNKNOWN);
        }
    }
}


void
canary_fleet_leave(canary_fleet_t *fleet)
{
    fleet->joined = 0;
    fleet->again = 0;

    /* versions are those of the data that were */

    fleet->quorum = 0;
}


void
canary_fleet_join_at(canary_fleet_t *fleet, uint64_t at)
{
    if (fleet->again == 0 || fleet->again > at) {
        fleet->again = at;
    }
}


void
canary_fleet_conclude(canary_fleet_endpoint_t *endpoint,
    canary_fleet_result_t result)
{
    endpoint->proposal = CANARY_FLEET_CONCLUDED;
    endpoint->result = (uint8_t) result;
}


static void
canary_fleet_sent(canary_fleet_t *fleet, uint64_t now)
{
    if (fleet->flight++ == 0) {
        fleet->waiting = now;
    }
}


void
canary_fleet_landed(canary_fleet_t *fleet, uint64_t now)
{
    fleet->flight--;
    fleet->waiting = now;
    fleet->last = now;
}


int
canary_fleet_reached(const canary_fleet_t *fleet)
{
    return fleet->state == CANARY_FLEET_FOLLOWER
           || fleet->state == CANARY_FLEET_LEADER;
}


int
canary_fleet_may_raise(const canary_fleet_t *fleet, uint64_t now)
{
    uint64_t  from, until;

    canary_fleet_raises(fleet, &from, &until);

    return now >= from && now <= until;
}


void
canary_fleet_raises(const canary_fleet_t *fleet, uint64_t *from,
    uint64_t *until)
{
    *from = fleet->kept.clock.born + CANARY_FLEET_YOUNG;
    *until = (canary_fleet_reached(fleet) && fleet->joined)
             ? fleet->last + fleet->conf.timeout : 0;
}


int
canary_fleet_propose(canary_fleet_t *fleet, unsigned endpoint,
    const canary_fleet_record_t *record, canary_fleet_mode_t mode,
    uint64_t now)
{
    canary_fleet_endpoint_t  *ep;

    ep = &fleet->endpoints[endpoint];

    if (!canary_fleet_reached(fleet)
        || (mode == CANARY_FLEET_STEP && fleet->state != CANARY_FLEET_LEADER)
        || ep->proposal != CANARY_FLEET_NO_PROPOSAL)
    {
        return 0;
    }

    ep->proposed = *record;
    ep->base = ep->apply ? ep->theirs : ep->ours;
    ep->mode = (uint8_t) mode;
    ep->asked = now;
    ep->proposal = CANARY_FLEET_PROPOSED;

    return 1;
}


void
canary_fleet_stopped(canary_fleet_t *fleet, unsigned endpoint,
    const canary_fleet_record_t *record)
{
    canary_fleet_endpoint_t  *ep;

    ep = &fleet->endpoints[endpoint];

    if (!ep->untold && !ep->apply) {
        ep->root = ep->ours;
    }

    ep->ours = *record;
    ep->untold = 1;
    ep->stopped = 1;
    ep->apply = 0;
    ep->ends = CANARY_FLEET_NO_END;

    if (ep->proposal == CANARY_FLEET_PROPOSED) {
        canary_fleet_conclude(ep, CANARY_FLEET_CONFLICT);
    }
}


void
canary_fleet_effective(canary_fleet_t *fleet, unsigned endpoint,
    const canary_fleet_record_t *record)
{
    fleet->endpoints[endpoint].ours = *record;
}


void
canary_fleet_filed(canary_fleet_t *fleet, unsigned endpoint,
    const canary_fleet_record_t *record)
{
    fleet->endpoints[endpoint].filed = record->generation;
    fleet->endpoints[endpoint].filed_uid = record->uid;
}


void
canary_fleet_not_filed(canary_fleet_t *fleet, unsigned endpoint, uint64_t now)
{
    (void) endpoint;

    canary_fleet_join_at(fleet, now + CANARY_FLEET_RETRY);
}


int
canary_fleet_in_file(const canary_fleet_endpoint_t *endpoint)
{
    return endpoint->theirs.generation == 0
           || (endpoint->filed == endpoint->theirs.generation
               && endpoint->filed_uid == endpoint->theirs.uid);
}


uint64_t
canary_fleet_filed_version(const canary_fleet_t *fleet)
{
    unsigned                        i;
    uint64_t                        version;
    const canary_fleet_endpoint_t  *endpoint;

    version = fleet->kept.version;

    for (i = 0; i < fleet->nendpoints; i++) {
        endpoint = &fleet->endpoints[i];

        if (!canary_fleet_in_file(endpoint) && endpoint->before < version) {
            version = endpoint->before;
        }
    }

    return version;
}


canary_fleet_told_t
canary_fleet_told(const canary_fleet_t *fleet, unsigned endpoint)
{
    const canary_fleet_endpoint_t  *ep;

    ep = &fleet->endpoints[endpoint];

    if (ep->untold || !ep->known
        || !canary_fleet_record_same(&ep->ours, &ep->theirs))
    {
        return CANARY_FLEET_NOT_TOLD;
    }

    return (canary_fleet_in_file(ep) && fleet->quorum >= ep->version)
           ? CANARY_FLEET_DURABLE : CANARY_FLEET_TOLD;
}


void
canary_fleet_set(canary_fleet_t *fleet, int may_lead, int busy)
{
    fleet->may_lead = may_lead != 0;

    if (busy && !fleet->busy) {
        fleet->tick_at = 0;
    }

    fleet->busy = busy != 0;
}


void
canary_fleet_next(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo)
{
    memset(todo, 0, sizeof(canary_fleet_todo_t));

    canary_fleet_look_at_clock(fleet, now);

    /*
     * What is told goes ahead of the first tick after a join: who is counted
     * as live has told what it knows.
     */

    if (canary_fleet_next_said(fleet, now, todo)
        || canary_fleet_next_line(fleet, now, todo)
        || canary_fleet_next_join(fleet, now, todo)
        || canary_fleet_next_commit(fleet, now, todo)
        || canary_fleet_next_tick(fleet, now, todo))
    {
        return;
    }
}


static void
canary_fleet_look_at_clock(canary_fleet_t *fleet, uint64_t now)
{
    if (fleet->state == CANARY_FLEET_JOINING
        && now - fleet->started >= CANARY_FLEET_STARTING)
    {
        fleet->state = CANARY_FLEET_ISOLATED;
    }

    if (canary_fleet_reached(fleet)
        && now - fleet->last > fleet->conf.timeout)
    {
        fleet->state = CANARY_FLEET_ISOLATED;
        fleet->leader[0] = '\0';
    }
}


/* what the shell is to hear */

static int
canary_fleet_next_said(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo)
{
    unsigned  i;

    for (i = 0; i < fleet->nendpoints; i++) {
        if (canary_fleet_say(fleet, &fleet->endpoints[i], now, todo)) {
            todo->endpoint = i;
            return 1;
        }
    }

    return 0;
}


static int
canary_fleet_say(canary_fleet_t *fleet, canary_fleet_endpoint_t *endpoint,
    uint64_t now, canary_fleet_todo_t *todo)
{
    if (endpoint->ends == CANARY_FLEET_TO_END) {
        endpoint->ends = CANARY_FLEET_ENDING;
        todo->act = CANARY_FLEET_END;
        return 1;
    }

    if (endpoint->proposal == CANARY_FLEET_PROPOSED
        && (!canary_fleet_reached(fleet)
            || now - endpoint->asked >= fleet->conf.timeout))
    {
        canary_fleet_conclude(endpoint, CANARY_FLEET_UNREACHED);
    }

    if (endpoint->proposal != CANARY_FLEET_CONCLUDED) {
        return 0;
    }

    endpoint->proposal = CANARY_FLEET_NO_PROPOSAL;

    todo->act = CANARY_FLEET_CONCLUDE;
    todo->record = endpoint->proposed;
    todo->base = endpoint->base;
    todo->mode = (canary_fleet_mode_t) endpoint->mode;
    todo->result = (canary_fleet_result_t) endpoint->result;
    todo->reason = (todo->result == CANARY_FLEET_WAIT) ? fleet->reason : "";

    return 1;
}


static int
canary_fleet_next_line(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo)
{
    if (fleet->connection == CANARY_FLEET_DOWN) {
        if (now < fleet->connect_at) {
            return 0;
        }

        fleet->connection = CANARY_FLEET_CONNECTING;
        fleet->waiting = now;
        todo->act = CANARY_FLEET_CONNECT;

        return 1;
    }

    if ((fleet->connection == CANARY_FLEET_CONNECTING || fleet->flight > 0)
        && now - fleet->waiting > fleet->conf.timeout)
    {
        canary_fleet_disconnected(fleet, now);
        todo->act = CANARY_FLEET_DISCONNECT;

        return 1;
    }

    return 0;
}


static int
canary_fleet_next_join(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo)
{
    if (fleet->connection != CANARY_FLEET_UP || fleet->joining
        || (fleet->joined && fleet->again == 0) || now < fleet->again)
    {
        return 0;
    }

    fleet->again = 0;
    fleet->joining = 1;

    canary_fleet_sent(fleet, now);

    snprintf(todo->seed, CANARY_FLEET_SEED_SIZE, "%016" PRIx64,
             canary_fleet_random(fleet));
    todo->act = CANARY_FLEET_JOIN;

    return 1;
}


static int
canary_fleet_next_commit(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo)
{
    unsigned                  i;
    canary_fleet_endpoint_t  *endpoint;

    if (!fleet->joined) {
        return 0;
    }

    for (i = 0; i < fleet->nendpoints; i++) {
        endpoint = &fleet->endpoints[i];

        /* the shell was asked for a proposal, and could not make it */

        if (endpoint->apply && endpoint->proposal == CANARY_FLEET_NO_PROPOSAL
            && !fleet->joining)
        {
            canary_fleet_join_at(fleet, now + CANARY_FLEET_TICK);
        }

        if (endpoint->flight == CANARY_FLEET_NO_FLIGHT
            && (canary_fleet_tell(fleet, endpoint, now, todo)
                || canary_fleet_commit(fleet, endpoint, now, todo)))
        {
            todo->endpoint = i;
            return 1;
        }
    }

    return 0;
}


static int
canary_fleet_tell(canary_fleet_t *fleet, canary_fleet_endpoint_t *endpoint,
    uint64_t now, canary_fleet_todo_t *todo)
{
    if (!endpoint->untold) {
        return 0;
    }

    /*
     * A change that came meanwhile stands: its record has to be here before
     * it can be said what becomes of this one.
     */

    if (!canary_fleet_ours_stands(endpoint, &endpoint->theirs)) {
        if (!fleet->joining) {
            canary_fleet_join_at(fleet, now);
        }

        return 0;
    }

    canary_fleet_record_tell(&endpoint->ours, &endpoint->theirs,
                             canary_fleet_uid(fleet), &endpoint->sent);

    endpoint->flight = CANARY_FLEET_TELL_SENT;
    todo->act = CANARY_FLEET_TELL;
    todo->mode = CANARY_FLEET_ANY;

    canary_fleet_send(fleet, endpoint, now, todo);

    return 1;
}


static int
canary_fleet_commit(canary_fleet_t *fleet, canary_fleet_endpoint_t *endpoint,
    uint64_t now, canary_fleet_todo_t *todo)
{
    if (endpoint->proposal != CANARY_FLEET_PROPOSED || endpoint->untold) {
        return 0;
    }

    if (!canary_fleet_record_same(&endpoint->base, &endpoint->theirs)) {
        canary_fleet_conclude(endpoint, CANARY_FLEET_CONFLICT);
        (void) canary_fleet_say(fleet, endpoint, now, todo);
        return 1;
    }

    endpoint->sent = endpoint->proposed;
    endpoint->proposal = CANARY_FLEET_PROPOSAL_SENT;
    endpoint->flight = CANARY_FLEET_COMMIT_SENT;

    todo->act = CANARY_FLEET_COMMIT;
    todo->mode = (canary_fleet_mode_t) endpoint->mode;

    if (todo->mode != CANARY_FLEET_ANY) {
        todo->not_after = endpoint->asked + (uint64_t) fleet->kept.clock.server
                          + CANARY_FLEET_LATE(fleet->conf.timeout);
    }

    canary_fleet_send(fleet, endpoint, now, todo);

    return 1;
}


static void
canary_fleet_send(canary_fleet_t *fleet, canary_fleet_endpoint_t *endpoint,
    uint64_t now, canary_fleet_todo_t *todo)
{
    endpoint->sent_of = endpoint->ours;
    todo->record = endpoint->sent;
    todo->base = endpoint->theirs;

    canary_fleet_sent(fleet, now);
}


static int
canary_fleet_next_tick(canary_fleet_t *fleet, uint64_t now,
    canary_fleet_todo_t *todo)
{
    uint64_t                    slot;
    const canary_fleet_kept_t  *kept;

    if (!fleet->joined || fleet->ticking || now < fleet->tick_at) {
        return 0;
    }

    kept = &fleet->kept;

    todo->act = CANARY_FLEET_SEND_TICK;
    memcpy(todo->seed, kept->seeds[kept->nseeds - 1], CANARY_FLEET_SEED_SIZE);
    todo->version = kept->version;
    todo->filed = canary_fleet_filed_version(fleet);
    todo->term = kept->term;
    todo->may_lead = fleet->may_lead;
    todo->time = canary_fleet_time(&kept->clock, now);
    todo->quorum = (fleet->state == CANARY_FLEET_LEADER) ? fleet->quorum : 0;

    slot = todo->time / CANARY_FLEET_SLOT;

    todo->evidence = slot != fleet->slot;
    fleet->slot = slot;

    if (now - fleet->second >= 1000) {
        fleet->second = now;
        todo->second = 1;
    }

    fleet->ticking = 1;
    fleet->tick_at = canary_fleet_next_beat(fleet, now);

    canary_fleet_sent(fleet, now);

    return 1;
}


static uint64_t
canary_fleet_next_beat(const canary_fleet_t *fleet, uint64_t now)
{
    uint32_t  beat, phase;
    uint64_t  time;

    beat = fleet->busy ? CANARY_FLEET_TICK : CANARY_FLEET_TICK_IDLE;
    time = canary_fleet_time(&fleet->kept.clock, now);

    if (time == 0) {
        return now + beat;
    }

    phase = canary_fleet_phase(fleet->conf.name,
                               fleet->state == CANARY_FLEET_LEADER);

    return now + canary_fleet_beat(time, beat, phase) - time;
}


uint64_t
canary_fleet_due(const canary_fleet_t *fleet, uint64_t now)
{
    unsigned                        i;
    uint64_t                        due, timeout;
    const canary_fleet_endpoint_t  *endpoint;

    due = now + 1000;
    timeout = fleet->conf.timeout;

    if (fleet->connection == CANARY_FLEET_DOWN) {
        due = canary_fleet_earlier(due, fleet->connect_at);

    } else if (fleet->connection == CANARY_FLEET_CONNECTING
               || fleet->flight > 0)
    {
        due = canary_fleet_earlier(due, fleet->waiting + timeout + 1);
    }

    if (fleet->connection == CANARY_FLEET_UP && !fleet->joining
        && (!fleet->joined || fleet->again > 0))
    {
        due = canary_fleet_earlier(due, fleet->again);
    }

    if (fleet->joined && !fleet->ticking) {
        due = canary_fleet_earlier(due, fleet->tick_at);
    }

    if (fleet->state == CANARY_FLEET_JOINING) {
        due = canary_fleet_earlier(due,
                                   fleet->started + CANARY_FLEET_STARTING);

    } else if (canary_fleet_reached(fleet)) {
        due = canary_fleet_earlier(due, fleet->last + timeout + 1);
    }

    for (i = 0; i < fleet->nendpoints; i++) {
        endpoint = &fleet->endpoints[i];

        if (endpoint->proposal == CANARY_FLEET_PROPOSED) {
            due = canary_fleet_earlier(due, endpoint->asked + timeout);
        }
    }

    return (due > now) ? due : now + 1;
}


static uint64_t
canary_fleet_earlier(uint64_t one, uint64_t two)
{
    return (one < two) ? one : two;
}
