
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef UNIT_FLEET_SIM_H
#define UNIT_FLEET_SIM_H


/*
 * A whole fleet in one process: nodes with files and connections, a Redis, a
 * network that delays and cuts, clocks that differ, and what must never be.
 * All that happens follows from one seed.
 */


#include "fleet_redis.h"


#define PIPE     16            /* requests and answers under way */
#define TIMEOUT  500
#define STEP     100000        /* parts per million */
#define NEVER    UINT64_MAX
#define WALL     1700000000000ull  /* ms since 1970 when a simulation begins */


typedef enum {
    DOWN = 0,
    CONNECTING,
    UP
} line_t;


/* One direction of a connection. */

typedef struct {
    unsigned   head;
    unsigned   n;
    uint64_t   at[PIPE];
    unsigned   line[PIPE];     /* which connection of the node it is of */
} pipe_t;


typedef struct {
    int                      alive;
    canary_fleet_t           fleet;
    canary_fleet_endpoint_t  endpoints[ENDPOINTS];
    char                     name[CANARY_NAME_SIZE];
    int64_t                  skew;             /* of its clock */

    content_t                ours[ENDPOINTS];  /* in effect */
    content_t                proposed[ENDPOINTS];

    content_t                filing[ENDPOINTS];
    uint64_t                 filed_at[ENDPOINTS];    /* NEVER: nothing is */
    int                      raise[ENDPOINTS];       /* takes effect then */
    int                      held[ENDPOINTS];        /* or when most have it
                                                      */

    content_t                file[ENDPOINTS];
    canary_fleet_kept_t      kept;             /* of the file */
    uint32_t                 changed;
    int                      refuses;          /* the disk does */

    line_t                   line;
    unsigned                 lines;            /* so many were made */
    uint64_t                 line_at;          /* CONNECTING: until */
    int                      cut;
    pipe_t                   out;
    request_t                requests[PIPE];
    pipe_t                   in;
    reply_t                 *replies;          /* [PIPE] */
    canary_fleet_node_t      view[NODES];
    char                     said[NODES][SAID];

    uint64_t                 wake;
} node_t;


typedef struct {
    int       node;
    unsigned  endpoint;
    int       stops;
    int       acknowledged;
    uint64_t  acknowledged_at;
    int       dropped;         /* as the order of records says */
} write_t;


typedef struct {
    uint64_t   seed;
    uint64_t   random;
    uint64_t   now;
    unsigned   n;
    unsigned   delay;          /* ms at most, one way */
    node_t    *nodes;
    int        keyed;

    redis_t    redis;
    redis_t    older;          /* a replica that is behind */
    int        up;
    int        hangs;
    int64_t    clock;          /* of Redis */
    uint64_t   jumped;         /* when it did */

    unsigned   nwrites;
    write_t    writes[WRITES];

    /* what came of it all */

    unsigned   acknowledged;
    unsigned   dropped;
    unsigned   steps;
    unsigned   raised;
    unsigned   told;
} sim_t;


static void sim_drain(sim_t *sim, int n);
static void sim_held(sim_t *sim, int n, unsigned endpoint);


#define sim_check(sim, what, ...)                                             \
    if (!(what)) { sim_fail(sim, #what " " __VA_ARGS__); }


static void
sim_fail(const sim_t *sim, const char *what)
{
    fail_msg("seed %llu at %llu ms: %s", (unsigned long long) sim->seed,
             (unsigned long long) sim->now, what);
}


static uint64_t
sim_server(const sim_t *sim)
{
    return sim->now + (uint64_t) sim->clock;
}


static uint64_t
sim_local(const sim_t *sim, int n)
{
    return sim->now + (uint64_t) sim->nodes[n].skew;
}


static int
sim_has(const content_t *content, unsigned write)
{
    return content->writes[write / 64] >> write % 64 & 1;
}


static int
sim_follows(const content_t *content, const content_t *before)
{
    unsigned  i;

    for (i = 0; i < WRITES / 64; i++) {
        if (before->writes[i] & ~content->writes[i]) {
            return 0;
        }
    }

    return 1;
}


/* Writes that "lost" had and "stands" has not. */

static void
sim_drop(sim_t *sim, const content_t *lost, const content_t *stands)
{
    unsigned  i;

    for (i = 0; i < sim->nwrites; i++) {
        if (!sim_has(lost, i) || sim_has(stands, i) || sim->writes[i].dropped)
        {
            continue;
        }

        /* who starts a rollout is one of a majority, and knows */

        sim_check(sim, !sim->writes[i].acknowledged
                       || lost->head.number == stands->head.number
                       || sim->writes[i].acknowledged_at >= stands->begun,
                  "an acknowledged write is undone by another rollout");

        sim->writes[i].dropped = 1;
        sim->dropped++;
    }
}


static void
sim_acknowledge(sim_t *sim, int n)
{
    node_t   *node;
    write_t  *write;
    unsigned  i;

    node = &sim->nodes[n];

    for (i = 0; i < sim->nwrites; i++) {
        write = &sim->writes[i];

        if (write->node == n && !write->acknowledged && !write->dropped
            && sim_has(&node->ours[write->endpoint], i)
            && canary_fleet_told(&node->fleet, write->endpoint)
               == CANARY_FLEET_DURABLE)
        {
            write->acknowledged = 1;
            write->acknowledged_at = sim->now;
            sim->acknowledged++;
        }
    }
}


/* What nodes have in effect. */


static void
sim_effect(sim_t *sim, int n, unsigned endpoint, const content_t *content)
{
    node_t    *node;
    uint64_t   age;

    node = &sim->nodes[n];

    if (canary_fleet_record_raises(&node->ours[endpoint].head, &content->head))
    {
        sim->raised++;

        sim_check(sim, canary_fleet_reached(&node->fleet),
                  "a weight rises while isolated");

        /*
         * A node that has not heard of a loss will be isolated by then.  How
         * old data are is not known when Redis' clock jumps in these seconds,
         * and some nodes were not there.
         */

        age = sim->now - sim->redis.data.made;

        sim_check(sim, !sim->redis.data.exists || age <= TIMEOUT + 100
                       || age >= CANARY_FLEET_YOUNG
                       || sim->jumped + TIMEOUT > sim->redis.data.made,
                  "a weight rises while the data are young");
    }

    node->ours[endpoint] = *content;
}


static void
sim_file(sim_t *sim, int n, unsigned endpoint, const content_t *content,
    int raise)
{
    node_t  *node;

    node = &sim->nodes[n];

    node->held[endpoint] = 0;
    node->filing[endpoint] = *content;
    node->raise[endpoint] = raise;
    node->filed_at[endpoint] = sim->now + 1 + unit_below(&sim->random, 20);
}


/* what does not raise takes effect at once */

static void
sim_take(sim_t *sim, int n, unsigned endpoint, const content_t *content)
{
    int      raise;
    node_t  *node;

    node = &sim->nodes[n];
    raise = canary_fleet_record_raises(&node->ours[endpoint].head,
                                       &content->head);

    if (raise && node->filed_at[endpoint] != NEVER && node->raise[endpoint]
        && canary_fleet_record_same(&node->filing[endpoint].head,
                                    &content->head))
    {
        return;
    }

    if (!raise) {
        sim_effect(sim, n, endpoint, content);
        canary_fleet_effective(&node->fleet, endpoint, &content->head);
    }

    sim_file(sim, n, endpoint, content, raise);
}


/* a change that does not happen leaves the file with what is in effect */

static void
sim_not_raised(sim_t *sim, int n, unsigned endpoint)
{
    node_t  *node;

    node = &sim->nodes[n];

    canary_fleet_not_filed(&node->fleet, endpoint, sim_local(sim, n));
    sim_file(sim, n, endpoint, &node->ours[endpoint], 0);
}


static void
sim_filed(sim_t *sim, int n, unsigned endpoint)
{
    int         raise;
    node_t     *node;
    content_t   content;

    node = &sim->nodes[n];
    content = node->filing[endpoint];
    raise = node->raise[endpoint];
    node->filed_at[endpoint] = NEVER;

    if (node->refuses) {
        if (raise) {
            sim_not_raised(sim, n, endpoint);

        } else {
            sim_file(sim, n, endpoint, &content, 0);
        }

        return;
    }

    node->file[endpoint] = content;
    canary_fleet_filed(&node->fleet, endpoint, &content.head);

    node->kept = node->fleet.kept;
    node->kept.version = canary_fleet_filed_version(&node->fleet);

    if (!raise) {
        return;
    }

    node->held[endpoint] = 1;
    sim_held(sim, n, endpoint);
}


/* what raises takes effect when it may */

static void
sim_held(sim_t *sim, int n, unsigned endpoint)
{
    node_t     *node;
    content_t  *content;

    node = &sim->nodes[n];
    content = &node->file[endpoint];

    if (!canary_fleet_may_raise(&node->fleet, sim_local(sim, n))) {

        /* others count on it that the file has it */

        if (!sim->keyed) {
            sim_not_raised(sim, n, endpoint);
        }

        return;
    }

    switch (canary_fleet_may_take(&node->fleet, endpoint, &content->head,
                                  sim_local(sim, n)))
    {

    case 1:
        break;

    case 0:
        return;

    default:
        sim_not_raised(sim, n, endpoint);
        return;
    }

    node->held[endpoint] = 0;
    sim_effect(sim, n, endpoint, content);
    canary_fleet_effective(&node->fleet, endpoint, &content->head);
}


/* Lives and deaths. */


static void
sim_begin(sim_t *sim, int n, int reload)
{
    node_t                *node;
    unsigned               i;
    uint8_t                untold[ENDPOINTS];
    canary_fleet_kept_t    kept;
    canary_fleet_conf_t    conf;

    node = &sim->nodes[n];
    kept = reload ? node->fleet.kept : node->kept;

    if (reload) {
        kept.version = canary_fleet_filed_version(&node->fleet);

    } else {
        kept.before = kept.incarnation;
        kept.incarnation = unit_random(&sim->random) | 1;
        memset(&kept.clock, 0, sizeof(kept.clock));
    }

    memset(&conf, 0, sizeof(canary_fleet_conf_t));

    conf.name = node->name;
    conf.timeout = TIMEOUT;
    conf.random = (uint64_t) unit_random(&sim->random) << 32
                  | unit_random(&sim->random);
    conf.goes_on = reload && canary_fleet_reached(&node->fleet);
    conf.keyed = sim->keyed;
    conf.ahead = (int64_t) WALL - node->skew + 3000 * n;

    for (i = 0; i < ENDPOINTS; i++) {
        untold[i] = reload && node->endpoints[i].untold
                    && node->endpoints[i].stopped;

        if (!reload) {
            node->ours[i] = node->file[i];
        }

        node->filed_at[i] = NEVER;
        node->held[i] = reload && node->held[i];

        canary_fleet_endpoint_init(&node->endpoints[i], &node->ours[i].head,
                                   canary_fleet_record_same(
                                       &node->ours[i].head,
                                       &node->file[i].head));
        canary_fleet_endpoint_name(&node->endpoints[i], i ? "shop" : "api");
    }

    canary_fleet_init(&node->fleet, &conf, &kept, node->endpoints, ENDPOINTS,
                      sim_local(sim, n));

    for (i = 0; i < ENDPOINTS; i++) {
        if (untold[i]) {
            canary_fleet_stopped(&node->fleet, i, &node->ours[i].head);
        }

        if (node->held[i]) {
            canary_fleet_filed(&node->fleet, i, &node->file[i].head);

        } else if (reload) {
            sim_file(sim, n, i, &node->ours[i], 0);
        }
    }

    node->kept.incarnation = kept.incarnation;
    node->alive = 1;
    node->line = DOWN;
    node->lines++;
    node->in.n = 0;
    node->wake = sim->now;
}


static void
sim_die(sim_t *sim, int n)
{
    unsigned  i;
    node_t   *node;

    node = &sim->nodes[n];

    node->alive = 0;
    node->line = DOWN;
    node->lines++;
    node->in.n = 0;

    for (i = 0; i < ENDPOINTS; i++) {
        node->filed_at[i] = NEVER;
        node->held[i] = 0;
    }

    /* nobody waits for an answer any more */

    for (i = 0; i < sim->nwrites; i++) {
        if (sim->writes[i].node == n) {
            sim->writes[i].node = -1;
        }
    }
}


/* Messages. */


static uint64_t
sim_arrives(sim_t *sim, const pipe_t *pipe)
{
    uint64_t  at, before;

    at = sim->now + unit_below(&sim->random, sim->delay + 1);

    if (pipe->n > 0) {
        before = pipe->at[(pipe->head + pipe->n - 1) % PIPE];
        at = (at > before) ? at : before;
    }

    return at;
}


static void
sim_send(sim_t *sim, int n, const canary_fleet_todo_t *todo)
{
    node_t                     *node;
    unsigned                    i, slot;
    request_t                  *request;
    const canary_fleet_kept_t  *kept;

    node = &sim->nodes[n];

    sim_check(sim, node->out.n < PIPE);

    slot = (node->out.head + node->out.n) % PIPE;
    node->out.at[slot] = sim_arrives(sim, &node->out);
    node->out.line[slot] = node->lines;
    node->out.n++;

    kept = &node->fleet.kept;
    request = &node->requests[slot];
    memset(request, 0, sizeof(request_t));

    request->act = todo->act;
    request->sent = sim->now;
    request->node = n;
    request->incarnation = kept->incarnation;
    request->before = kept->before;
    request->timeout = TIMEOUT;
    request->todo = *todo;

    switch (todo->act) {

    case CANARY_FLEET_JOIN:
        request->nseeds = kept->nseeds;
        memcpy(request->seeds, kept->seeds, sizeof(kept->seeds));
        request->version = kept->version;

        for (i = 0; i < kept->nmembers; i++) {
            request->members[atoi(kept->members[i].name + 1)]
                = kept->members[i].number;
        }

        return;

    case CANARY_FLEET_TELL:
        request->content = node->ours[todo->endpoint];
        request->content.head = todo->record;
        request->content.step = todo->record.weight / STEP;
        return;

    case CANARY_FLEET_COMMIT:
        request->content = node->proposed[todo->endpoint];
        sim_check(sim, canary_fleet_record_same(&request->content.head,
                                                &todo->record));
        return;

    case CANARY_FLEET_SEND_TICK:
        sim_check(sim, canary_fleet_signed_room(&node->fleet) < SAID);
        i = (unsigned) canary_fleet_signed_print(&node->fleet, 0,
                                                 sim_local(sim, n),
                                                 request->said);
        request->said[i] = '\0';
        request->serial = sim_local(sim, n)
                          + (uint64_t) node->fleet.conf.ahead;
        return;

    default:
        return;
    }
}


/* what nodes have signed, read where it stays */

static void
sim_view(sim_t *sim, int n, reply_t *reply)
{
    int                   len;
    char                 *text;
    unsigned              i;
    node_t               *node;
    canary_fleet_node_t  *view, *from;

    node = &sim->nodes[n];

    for (i = 0; i < reply->tick.nnodes; i++) {
        view = &node->view[i];
        from = &reply->nodes[i];
        *view = *from;

        if (reply->said[i][0] == '\0') {
            continue;
        }

        text = node->said[i];
        len = snprintf(text, SAID, "%x 0 0 0 - 0%s\n", from->incarnation,
                       reply->said[i]);

        sim_check(sim, len < SAID
                       && canary_fleet_node_parse(from->name,
                                                  strlen(from->name), text,
                                                  (size_t) len, view));
        view->last = from->last;
        view->serial = from->serial;
    }

    reply->tick.nodes = node->view;
}


/*
 * All nodes that are not gone have a record in their files, or what follows;
 * or have stopped it just now, before it took effect there.
 */

static void
sim_expect_at(sim_t *sim, unsigned endpoint, const content_t *content)
{
    unsigned           i;
    const presence_t  *live;

    for (i = 0; i < sim->n; i++) {
        live = &sim->redis.live[i];

        sim_check(sim, !live->exists || sim->jumped + CANARY_FLEET_GONE
                                        > sim->now
                       || sim_server(sim) - live->last >= CANARY_FLEET_GONE
                       || (sim->keyed
                           && sim->nodes[i].endpoints[endpoint].untold)
                       || sim_follows(&sim->nodes[i].file[endpoint], content),
                  "a step that a node was not ready for");
    }
}


/* What a commit must have been, now that it is done. */

static void
sim_committed(sim_t *sim, const request_t *request, const content_t *was)
{
    unsigned          i;
    const content_t  *is;

    is = &request->content;

    sim_check(sim, is->head.generation > was->head.generation);

    if (request->act == CANARY_FLEET_TELL) {
        sim->told++;
        sim_check(sim, was->head.generation == 0
                       || is->head.result == CANARY_PROMOTED
                       || !canary_fleet_record_raises(&was->head, &is->head),
                  "what is told raises a weight");
        sim_drop(sim, was, is);
        return;
    }

    if (request->todo.mode == CANARY_FLEET_ANY) {
        return;
    }

    sim_check(sim, sim->now - sim->redis.data.made >= CANARY_FLEET_YOUNG
                   || sim->jumped + TIMEOUT > sim->redis.data.made,
              "exposed while the data are young");

    sim_check(sim, sim->now - request->sent < TIMEOUT
                   || sim->jumped + 2 * TIMEOUT > request->sent,
              "done after it was refused");

    for (i = 0; i < sim->nwrites; i++) {
        sim_check(sim, !sim->writes[i].acknowledged || sim->writes[i].dropped
                       || sim->writes[i].endpoint != request->todo.endpoint
                       || sim_has(is, i),
                  "exposed by one who does not know what was acknowledged");
    }

    if (request->todo.mode == CANARY_FLEET_STEP) {
        sim->steps++;
        sim_expect_at(sim, request->todo.endpoint, was);
        sim_check(sim, is->step == was->step + 1
                       && is->head.weight == was->head.weight + STEP
                       && is->head.number == was->head.number);
    }
}


static void
sim_serve(sim_t *sim, int n)
{
    node_t     *node;
    reply_t    *reply, lost;
    uint64_t    born;
    unsigned    slot;
    content_t   was;
    request_t  *request;

    node = &sim->nodes[n];
    request = &node->requests[node->out.head];
    reply = &lost;

    if (node->out.line[node->out.head] == node->lines && node->line == UP) {
        slot = (node->in.head + node->in.n) % PIPE;
        sim_check(sim, node->in.n < PIPE);
        node->in.at[slot] = sim_arrives(sim, &node->in);
        node->in.n++;
        reply = &node->replies[slot];
    }

    was = sim->redis.data.records[request->todo.endpoint];
    born = sim->redis.data.born;

    redis_call(&sim->redis, request, sim_server(sim), reply);

    if (request->act == CANARY_FLEET_JOIN && sim->redis.data.born != born) {
        sim->redis.data.made = sim->now;
    }

    if ((request->act == CANARY_FLEET_TELL
         || request->act == CANARY_FLEET_COMMIT)
        && reply->commit.reply == CANARY_FLEET_OK)
    {
        sim_committed(sim, request, &was);
    }

    node->out.head = (node->out.head + 1) % PIPE;
    node->out.n--;
}


static void
sim_offer(sim_t *sim, int n, const canary_fleet_offer_t *offer,
    const content_t *theirs)
{
    node_t     *node;
    unsigned    i;
    content_t   content, *ours;

    node = &sim->nodes[n];
    ours = &node->ours[offer->endpoint];

    switch (offer->what) {

    case CANARY_FLEET_ADOPT:
    case CANARY_FLEET_RAISE:
        sim_drop(sim, ours, theirs);
        sim_check(sim, offer->what == CANARY_FLEET_ADOPT
                       || canary_fleet_record_raises(&ours->head,
                                                     &theirs->head));
        sim_take(sim, n, offer->endpoint, theirs);
        return;

    case CANARY_FLEET_LATER:
        if (offer->dropped) {
            sim_drop(sim, ours, theirs);
        }

        return;

    case CANARY_FLEET_APPLY:
        content = *theirs;
        content.head = offer->record;
        content.step = content.head.weight / STEP;

        for (i = 0; i < WRITES / 64; i++) {
            content.writes[i] |= ours->writes[i];
        }

        if (canary_fleet_propose(&node->fleet, offer->endpoint, &content.head,
                                 CANARY_FLEET_ANY, sim_local(sim, n)))
        {
            node->proposed[offer->endpoint] = content;
        }

        return;

    case CANARY_FLEET_RENAME:
        content = *ours;
        content.head = offer->record;
        content.step = content.head.weight / STEP;
        sim_check(sim, !canary_fleet_record_raises(&ours->head,
                                                   &content.head));
        sim_take(sim, n, offer->endpoint, &content);
        return;

    default:
        return;
    }
}


static void
sim_answer(sim_t *sim, int n)
{
    node_t    *node;
    reply_t   *reply;
    unsigned   i, noffers;
    uint64_t   now;

    node = &sim->nodes[n];
    now = sim_local(sim, n);
    reply = &node->replies[node->in.head];
    noffers = 0;

    switch (reply->of.act) {

    case CANARY_FLEET_JOIN:
        reply->join.sent = reply->join.received = now;
        canary_fleet_join_answer(&node->fleet, &reply->join, now);
        noffers = (reply->join.reply == CANARY_FLEET_OK) ? reply->join.noffers
                                                         : 0;
        break;

    case CANARY_FLEET_SEND_TICK:
        reply->tick.sent = reply->tick.received = now;

        if (reply->tick.nodes) {
            sim_view(sim, n, reply);
        }

        canary_fleet_tick_answer(&node->fleet, &reply->tick, now);
        noffers = (reply->tick.reply == CANARY_FLEET_OK) ? reply->tick.noffers
                                                         : 0;
        break;

    default:
        canary_fleet_commit_answer(&node->fleet, reply->of.todo.endpoint,
                                   &reply->commit, now);
        sim_offer(sim, n, &reply->commit.offer, &reply->contents[0]);
    }

    for (i = 0; i < noffers; i++) {
        sim_offer(sim, n, &reply->offers[i], &reply->contents[i]);
    }

    node->in.head = (node->in.head + 1) % PIPE;
    node->in.n--;
}


/* What a client has sent may be read after it has gone. */

static void
sim_close(sim_t *sim, int n)
{
    node_t  *node;

    node = &sim->nodes[n];

    node->line = DOWN;
    node->lines++;
    node->in.n = 0;

    if (node->out.n > PIPE / 2 || unit_one_in(&sim->random, 2)) {
        node->out.n = 0;
    }
}


static void
sim_drain(sim_t *sim, int n)
{
    node_t               *node;
    unsigned              i;
    uint64_t              now;
    canary_fleet_todo_t   todo;

    node = &sim->nodes[n];
    now = sim_local(sim, n);

    for ( ;; ) {
        canary_fleet_next(&node->fleet, now, &todo);

        switch (todo.act) {

        case CANARY_FLEET_NOTHING:
            break;

        case CANARY_FLEET_CONNECT:
            node->line = CONNECTING;
            node->line_at = sim->now + 1;
            continue;

        case CANARY_FLEET_DISCONNECT:
            sim_close(sim, n);
            continue;

        case CANARY_FLEET_CONCLUDE:
            if (todo.result == CANARY_FLEET_DONE) {
                sim_take(sim, n, todo.endpoint,
                         &node->proposed[todo.endpoint]);
            }

            continue;

        case CANARY_FLEET_END:
            sim_fail(sim, "all are of this fleet");
            continue;

        default:
            sim_send(sim, n, &todo);
            continue;
        }

        break;
    }

    if (node->changed != node->fleet.changed) {
        node->changed = node->fleet.changed;
        node->kept = node->fleet.kept;
        node->kept.version = canary_fleet_filed_version(&node->fleet);
    }

    for (i = 0; i < ENDPOINTS; i++) {
        if (node->held[i]) {
            sim_held(sim, n, i);
        }
    }

    sim_acknowledge(sim, n);

    node->wake = canary_fleet_due(&node->fleet, now) - (uint64_t) node->skew;
}


/* The next thing that happens, at "until" at the latest. */

static uint64_t
sim_node_next(const sim_t *sim, const node_t *node)
{
    unsigned  i;
    uint64_t  next;

    next = node->alive ? node->wake : NEVER;

    for (i = 0; i < ENDPOINTS; i++) {
        next = (node->filed_at[i] < next) ? node->filed_at[i] : next;
    }

    if (node->cut) {
        return next;
    }

    if (node->line == CONNECTING && node->line_at < next) {
        next = node->line_at;
    }

    if (node->in.n > 0 && node->in.at[node->in.head] < next) {
        next = node->in.at[node->in.head];
    }

    if (sim->up && !sim->hangs && node->out.n > 0
        && node->out.at[node->out.head] < next)
    {
        next = node->out.at[node->out.head];
    }

    return next;
}


static void
sim_node_turn(sim_t *sim, int n)
{
    node_t    *node;
    unsigned   i;

    node = &sim->nodes[n];

    if (!node->cut && sim->up && !sim->hangs && node->out.n > 0
        && node->out.at[node->out.head] <= sim->now)
    {
        sim_serve(sim, n);
        return;
    }

    if (!node->alive) {
        return;
    }

    for (i = 0; i < ENDPOINTS; i++) {
        if (node->filed_at[i] <= sim->now) {
            sim_filed(sim, n, i);
        }
    }

    if (!node->cut && node->line == CONNECTING && node->line_at <= sim->now) {
        if (sim->up) {
            node->line = UP;
            canary_fleet_connected(&node->fleet, sim_local(sim, n));

        } else {
            sim_close(sim, n);
            canary_fleet_disconnected(&node->fleet, sim_local(sim, n));
        }
    }

    if (!node->cut && node->in.n > 0
        && node->in.at[node->in.head] <= sim->now)
    {
        sim_answer(sim, n);
    }

    sim_drain(sim, n);
}


static void
sim_run(sim_t *sim, uint64_t until)
{
    unsigned  i, first;
    uint64_t  next, at;

    for ( ;; ) {
        next = until;
        first = sim->n;

        for (i = 0; i < sim->n; i++) {
            at = sim_node_next(sim, &sim->nodes[i]);

            if (at < next) {
                next = at;
                first = i;
            }
        }

        sim->now = (next > sim->now) ? next : sim->now;

        if (first == sim->n) {
            return;
        }

        sim_node_turn(sim, (int) first);
    }
}


static void
sim_init(sim_t *sim, uint64_t seed, unsigned n)
{
    int        keyed;
    node_t    *node;
    reply_t   *replies;
    unsigned   i, j;

    node = sim->nodes;
    keyed = sim->keyed;
    memset(sim, 0, sizeof(sim_t));
    sim->nodes = node;
    sim->keyed = keyed;

    sim->seed = seed;
    sim->random = seed * 0x9e3779b97f4a7c15 | 1;
    (void) unit_random(&sim->random);

    sim->n = n;
    sim->now = 1000000;
    sim->delay = 1 + unit_below(&sim->random, 3);
    sim->clock = 1700000000000 + unit_below(&sim->random, 10000);
    sim->up = 1;

    redis_init(&sim->redis);
    redis_init(&sim->older);

    for (i = 0; i < n; i++) {
        node = &sim->nodes[i];
        replies = node->replies;
        memset(node, 0, sizeof(node_t));
        node->replies = replies;
        snprintf(node->name, CANARY_NAME_SIZE, "n%u", i);
        node->skew = unit_below(&sim->random, 20000);
        node->skew -= 10000;

        for (j = 0; j < ENDPOINTS; j++) {
            node->file[j].head.generation = 1;
        }

        sim_begin(sim, (int) i, 0);
    }
}


#endif /* UNIT_FLEET_SIM_H */
