
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef UNIT_FLEET_REDIS_H
#define UNIT_FLEET_REDIS_H


/*
 * What src/fleet/ *.lua do, on data in memory: nodes are numbers here, and a
 * record is its head, the step that it is at and the writes that led to it.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_fleet.h"

#include "unit.h"


#define NODES      64
#define ENDPOINTS  2
#define WRITES     512         /* of a schedule: the rest are refused */


typedef struct {
    canary_fleet_record_t  head;
    unsigned               step;
    uint64_t               begun;       /* when its rollout was */
    uint64_t               writes[WRITES / 64];
} content_t;


typedef struct {
    canary_fleet_act_t     act;
    uint64_t               sent;        /* by the simulation's clock */
    int                    node;
    uint32_t               incarnation;
    uint32_t               before;
    uint64_t               timeout;
    canary_fleet_todo_t    todo;
    content_t              content;     /* TELL, COMMIT */

    /* JOIN: what it knows */

    unsigned               nseeds;
    char                   seeds[CANARY_FLEET_SEEDS][CANARY_FLEET_SEED_SIZE];
    uint64_t               version;
    uint64_t               members[NODES];    /* join numbers; 0: none */
} request_t;


typedef struct {
    request_t                of;
    canary_fleet_join_t      join;
    canary_fleet_ticked_t    tick;
    canary_fleet_committed_t commit;
    canary_fleet_offer_t     offers[ENDPOINTS];
    content_t                contents[ENDPOINTS];
    canary_fleet_member_t    members[NODES];
    canary_fleet_node_t      nodes[NODES];
} reply_t;


/* What is replicated, and what is not. */

typedef struct {
    int        exists;
    unsigned   nseeds;
    char       seeds[CANARY_FLEET_SEEDS][CANARY_FLEET_SEED_SIZE];
    uint64_t   version;
    uint64_t   born;
    uint64_t   made;                    /* when that was by the simulation's
                                           clock, which does not jump */
    uint64_t   joined;
    uint64_t   members[NODES];
    content_t  records[ENDPOINTS];
    uint64_t   changes[ENDPOINTS];      /* versions + 1; 0: none */
    uint64_t   changed_members;
    uint64_t   floor;
} data_t;

typedef struct {
    int        exists;
    uint32_t   incarnation;
    uint64_t   last;
    uint64_t   version;
} presence_t;

typedef struct {
    data_t      data;
    presence_t  live[NODES];

    struct {
        int       node;                 /* -1: none */
        uint32_t  incarnation;
        uint32_t  term;
        uint64_t  until;
        uint64_t  since;
        uint64_t  quorum;
    } lease;

    int         shifted;
    int64_t     shift;
} redis_t;


static void
redis_forget(redis_t *redis)
{
    memset(redis->live, 0, sizeof(redis->live));
    redis->lease.node = -1;
    redis->lease.until = 0;
}


static void
redis_init(redis_t *redis)
{
    memset(redis, 0, sizeof(redis_t));
    redis_forget(redis);
}


static uint64_t
redis_max(uint64_t one, uint64_t two)
{
    return (one > two) ? one : two;
}


/* the version of the last change, + 1; 0: none */

static uint64_t
redis_top(const data_t *data)
{
    unsigned  i;
    uint64_t  top;

    top = redis_max(data->changed_members, data->floor);

    for (i = 0; i < ENDPOINTS; i++) {
        top = redis_max(top, data->changes[i]);
    }

    return top;
}


static unsigned
redis_members(const data_t *data)
{
    unsigned  i, n;

    n = 0;

    for (i = 0; i < NODES; i++) {
        n += data->members[i] != 0;
    }

    return n;
}


static unsigned
redis_give_members(const data_t *data, canary_fleet_member_t *members)
{
    unsigned  i, n;

    n = 0;

    for (i = 0; i < NODES; i++) {
        if (data->members[i]) {
            snprintf(members[n].name, CANARY_NAME_SIZE, "n%u", i);
            members[n++].number = data->members[i];
        }
    }

    return n;
}


static int
redis_other(const redis_t *redis, const request_t *request, uint64_t now)
{
    const presence_t  *is;

    is = &redis->live[request->node];

    return is->exists && is->incarnation != request->incarnation
           && is->incarnation != request->before
           && now >= is->last && now - is->last < CANARY_FLEET_GONE;
}


static int
redis_shares(const data_t *data, const request_t *request)
{
    unsigned  i, j;

    for (i = 0; i < request->nseeds; i++) {
        for (j = 0; j < data->nseeds; j++) {
            if (strcmp(request->seeds[i], data->seeds[j]) == 0) {
                return 1;
            }
        }
    }

    return 0;
}


static void
redis_seeds(data_t *data, const request_t *request, int fresh)
{
    char      all[2 * CANARY_FLEET_SEEDS + 1][CANARY_FLEET_SEED_SIZE];
    unsigned  i, j, n, first;

    n = 0;

    for (i = 0; i < request->nseeds; i++) {
        for (j = 0; j < data->nseeds; j++) {
            if (strcmp(request->seeds[i], data->seeds[j]) == 0) {
                break;
            }
        }

        if (j == data->nseeds) {
            memcpy(all[n++], request->seeds[i], CANARY_FLEET_SEED_SIZE);
        }
    }

    for (j = 0; j < data->nseeds; j++) {
        memcpy(all[n++], data->seeds[j], CANARY_FLEET_SEED_SIZE);
    }

    if (fresh) {
        memcpy(all[n++], request->todo.seed, CANARY_FLEET_SEED_SIZE);
    }

    first = (n > CANARY_FLEET_SEEDS) ? n - CANARY_FLEET_SEEDS : 0;
    data->nseeds = n - first;
    memcpy(data->seeds, all[first], data->nseeds * CANARY_FLEET_SEED_SIZE);
}


static void
redis_make(data_t *data, uint64_t now)
{
    data->exists = 1;
    data->nseeds = 0;
    data->version = 0;
    data->born = now;
    data->joined = 0;
    memset(data->members, 0, sizeof(data->members));
    memset(data->records, 0, sizeof(data->records));
}


/* whether there were any */

static int
redis_add_members(data_t *data, const request_t *request)
{
    int       added;
    unsigned  i;

    added = 0;

    for (i = 0; i < NODES; i++) {
        if (request->members[i] && !data->members[i]) {
            data->members[i] = request->members[i];
            added = 1;
        }

        data->joined = redis_max(data->joined, request->members[i]);
    }

    return added;
}


/* if what had changed is not known, then all has */

static void
redis_all(data_t *data, int broken, reply_t *reply)
{
    unsigned               i;
    canary_fleet_offer_t  *offer;

    for (i = 0; i < ENDPOINTS; i++) {
        if (data->records[i].head.generation == 0) {
            continue;
        }

        if (broken) {
            data->changes[i] = ++data->version + 1;
        }

        offer = &reply->offers[reply->join.noffers];
        offer->endpoint = i;
        offer->version = 0;
        offer->record = data->records[i].head;
        reply->contents[reply->join.noffers++] = data->records[i];
    }
}


static void
redis_join(redis_t *redis, const request_t *request, uint64_t now,
    reply_t *reply)
{
    int                   fresh, shared, lost, broken, added;
    data_t               *data;
    uint64_t              least;
    canary_fleet_join_t  *join;

    data = &redis->data;
    join = &reply->join;

    memset(join, 0, sizeof(canary_fleet_join_t));

    if (redis_other(redis, request, now)) {
        join->reply = CANARY_FLEET_DUP;
        return;
    }

    fresh = !data->exists;

    if (fresh) {
        redis_make(data, now);
    }

    shared = redis_shares(data, request)
             || (request->nseeds > 0
                 && (fresh || now < data->born + CANARY_FLEET_YOUNG));
    least = redis_max(data->version,
                      redis_top(data) ? redis_top(data) - 1 : 0);
    lost = fresh || (shared && data->version < request->version);
    broken = !fresh && redis_top(data) != data->version + 1;

    if (shared) {
        least = redis_max(least, request->version);
    }

    if (lost) {
        data->born = now;
    }

    if (shared || fresh) {
        redis_seeds(data, request, fresh);
    }

    added = shared && redis_add_members(data, request);

    if (least != data->version || fresh) {
        data->version = least;
        data->floor = least + 1;
    }

    if (added || broken) {
        data->changed_members = ++data->version + 1;
    }

    redis_all(data, broken, reply);

    if (lost) {
        redis_forget(redis);
    }

    join->reply = CANARY_FLEET_OK;
    join->now = now;
    join->age = (now > data->born) ? now - data->born : 0;
    join->foreign = !shared;
    join->nseeds = data->nseeds;
    memcpy(join->seeds, data->seeds, sizeof(join->seeds));
    join->version = data->version;
    join->members = reply->members;
    join->nmembers = redis_give_members(data, reply->members);
    join->offers = reply->offers;
}


static uint64_t
redis_moved(uint64_t at, uint64_t now, int64_t jump)
{
    if ((jump > 0 && now > at && now - at > (uint64_t) jump / 2)
        || (jump < 0 && at > now))
    {
        return at + (uint64_t) jump;
    }

    return at;
}


/* what was written by a clock that has jumped since */

static void
redis_jumped(redis_t *redis, uint64_t now, int64_t jump)
{
    unsigned  i;

    redis->data.born = redis_moved(redis->data.born, now, jump);
    redis->lease.since = redis_moved(redis->lease.since, now, jump);

    for (i = 0; i < NODES; i++) {
        redis->live[i].last = redis_moved(redis->live[i].last, now, jump);
    }
}


/* whether the node leads now; *valid: somebody does */

static int
redis_lease(redis_t *redis, const request_t *request, uint64_t now, int *valid)
{
    int                         leads;
    int64_t                     jump;
    const canary_fleet_todo_t  *todo;

    todo = &request->todo;

    *valid = redis->lease.node >= 0 && redis->lease.until > now
             && redis->lease.until <= now + CANARY_FLEET_LEASE;
    leads = *valid && redis->lease.node == request->node
            && redis->lease.incarnation == request->incarnation;

    if (!*valid && todo->may_lead) {
        redis->lease.node = request->node;
        redis->lease.incarnation = request->incarnation;
        redis->lease.term = (uint32_t) redis_max(redis->lease.term,
                                                 todo->term) + 1;
        redis->lease.since = now;
        leads = 1;
    }

    if (!leads) {
        return 0;
    }

    jump = (int64_t) (now - todo->time) + redis->shift;

    if (todo->time && (!redis->shifted || jump > 200 || jump < -200)) {
        if (redis->shifted) {
            redis_jumped(redis, now, jump);
        }

        redis->shift = (int64_t) (todo->time - now);
    }

    if (redis->data.born > now) {
        redis->data.born = now;
    }

    redis->shifted = 1;
    redis->lease.until = now + CANARY_FLEET_LEASE;
    redis->lease.quorum = todo->quorum;
    *valid = 1;

    return 1;
}


static void
redis_changes(const redis_t *redis, uint64_t known, reply_t *reply)
{
    unsigned       i, best;
    uint64_t       after;
    const data_t  *data;

    data = &redis->data;
    after = known + 1;

    for ( ;; ) {
        best = ENDPOINTS;

        for (i = 0; i < ENDPOINTS; i++) {
            if (data->changes[i] > after
                && (best == ENDPOINTS || data->changes[i]
                                         < data->changes[best]))
            {
                best = i;
            }
        }

        if (best == ENDPOINTS) {
            break;
        }

        after = data->changes[best];
        reply->contents[reply->tick.noffers] = data->records[best];
        reply->offers[reply->tick.noffers].endpoint = best;
        reply->offers[reply->tick.noffers].version = after - 1;
        reply->offers[reply->tick.noffers++].record = data->records[best].head;
    }

    if (data->changed_members > known + 1) {
        reply->tick.members = reply->members;
        reply->tick.nmembers = redis_give_members(data, reply->members);
    }
}


static void
redis_view(const redis_t *redis, reply_t *reply)
{
    unsigned              i;
    canary_fleet_node_t  *node;

    reply->tick.nodes = reply->nodes;

    for (i = 0; i < NODES; i++) {
        if (redis->live[i].exists) {
            node = &reply->nodes[reply->tick.nnodes++];
            memset(node, 0, sizeof(canary_fleet_node_t));
            snprintf(node->name, CANARY_NAME_SIZE, "n%u", i);
            node->last = redis->live[i].last;
            node->version = redis->live[i].version;
        }
    }
}


static void
redis_tick(redis_t *redis, const request_t *request, uint64_t now,
    reply_t *reply)
{
    int                         valid;
    data_t                     *data;
    canary_fleet_ticked_t      *tick;
    const canary_fleet_todo_t  *todo;

    data = &redis->data;
    todo = &request->todo;
    tick = &reply->tick;

    memset(tick, 0, sizeof(canary_fleet_ticked_t));

    if (!data->exists) {
        tick->reply = CANARY_FLEET_EMPTY;
        return;
    }

    if (strcmp(data->seeds[data->nseeds - 1], todo->seed) != 0
        || data->version < todo->version
        || redis_top(data) != data->version + 1)
    {
        tick->reply = CANARY_FLEET_LOST;
        return;
    }

    if (redis_other(redis, request, now)) {
        tick->reply = CANARY_FLEET_DUP;
        return;
    }

    if (!data->members[request->node]) {
        data->members[request->node] = ++data->joined;
        data->changed_members = ++data->version + 1;
    }

    redis->live[request->node] = (presence_t) {
        1, request->incarnation, now, todo->filed
    };

    tick->leads = redis_lease(redis, request, now, &valid);

    if (valid) {
        snprintf(tick->leader, CANARY_NAME_SIZE, "n%d", redis->lease.node);
        tick->term = redis->lease.term;
        tick->since = redis->lease.since;
        tick->quorum = redis->lease.quorum;
    }

    tick->now = now;
    tick->shift = redis->shift;
    tick->shifted = redis->shifted;
    tick->version = data->version;
    tick->upto = data->version;
    tick->age = (now > data->born) ? now - data->born : 0;
    tick->offers = reply->offers;

    redis_changes(redis, todo->version, reply);

    if (tick->leads || todo->second) {
        redis_view(redis, reply);
    }
}


/* why a commit has to wait; NULL: it need not */

static const char *
redis_waits(const redis_t *redis, const request_t *request, uint64_t now)
{
    uint64_t                    age;
    unsigned                    i, live;
    const data_t               *data;
    const canary_fleet_todo_t  *todo;

    data = &redis->data;
    todo = &request->todo;

    if (now < data->born + CANARY_FLEET_YOUNG) {
        return "nodes gather";
    }

    live = 0;

    for (i = 0; i < NODES; i++) {
        live += redis->live[i].exists && data->members[i]
                && now - redis->live[i].last <= request->timeout;
    }

    if (live * 2 <= redis_members(data)) {
        return "nodes: forget those that will not return";
    }

    if (todo->mode != CANARY_FLEET_STEP) {
        return NULL;
    }

    if (redis->lease.node != request->node || redis->lease.until <= now
        || redis->lease.incarnation != request->incarnation
        || now - redis->lease.since < CANARY_FLEET_YOUNG)
    {
        return "a new leader";
    }

    for (i = 0; i < NODES; i++) {
        if (!redis->live[i].exists) {
            continue;
        }

        age = now - redis->live[i].last;

        if (age > request->timeout && age < CANARY_FLEET_GONE) {
            return "silent";
        }

        if (age <= request->timeout
            && redis->live[i].version + 1 < data->changes[todo->endpoint])
        {
            return "at an older step";
        }
    }

    return NULL;
}


static void
redis_commit(redis_t *redis, const request_t *request, uint64_t now,
    reply_t *reply)
{
    content_t                  *is;
    const canary_fleet_todo_t  *todo;
    canary_fleet_committed_t   *commit;

    todo = &request->todo;
    commit = &reply->commit;
    is = &redis->data.records[todo->endpoint];

    memset(commit, 0, sizeof(canary_fleet_committed_t));

    commit->reply = CANARY_FLEET_WAITS;

    if (!redis->data.exists) {
        commit->reply = CANARY_FLEET_EMPTY;

    } else if (redis_top(&redis->data) != redis->data.version + 1) {
        commit->reply = CANARY_FLEET_LOST;

    } else if (todo->not_after && now > todo->not_after) {
        commit->reason = "too late";

    } else if (!canary_fleet_record_same(&is->head, &todo->base)) {
        commit->reply = CANARY_FLEET_CONFLICTS;
        commit->offer.record = is->head;
        reply->contents[0] = *is;

    } else {
        if (todo->mode != CANARY_FLEET_ANY) {
            commit->reason = redis_waits(redis, request, now);
        }

        if (commit->reason == NULL) {
            *is = request->content;
            commit->reply = CANARY_FLEET_OK;
            commit->version = ++redis->data.version;
            redis->data.changes[todo->endpoint] = commit->version + 1;
        }
    }
}


static void
redis_call(redis_t *redis, const request_t *request, uint64_t now,
    reply_t *reply)
{
    reply->of = *request;

    switch (request->act) {

    case CANARY_FLEET_JOIN:
        redis_join(redis, request, now, reply);
        return;

    case CANARY_FLEET_SEND_TICK:
        redis_tick(redis, request, now, reply);
        return;

    default:
        redis_commit(redis, request, now, reply);
    }
}


#endif /* UNIT_FLEET_REDIS_H */
