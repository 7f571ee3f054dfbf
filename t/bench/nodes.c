
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * nodes PORT FLEET COUNT REAL SCRIPTS: so many nodes of a fleet at the Redis
 * on this port of 127.0.0.1, that tick every 50 ms by tick.lua of the
 * directory SCRIPTS, as nginx does.  They never lead, lack nothing, have what
 * changes in their files at once, and tell the evidence of the node REAL for
 * their own, every 100 ms.
 *
 * When all of them have seen a change, a line tells its version, the phase,
 * the endpoint and, of each node, when: microseconds of the monotonic clock.
 */


#define _GNU_SOURCE

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include <hiredis/hiredis.h>


#define NODES    256
#define CHANGES  64              /* that not all have seen yet */
#define TICK     50000           /* us */
#define SCRIPT   65536
#define WORDS    32

#define KNOWN    20              /* elements of a tick's answer */
#define UPTO     4
#define CHANGED  14


typedef struct {
    redisContext  *redis;
    char           name[16];
    char           version[24];      /* that it knows */
    uint64_t       next;             /* when it ticks */
    uint32_t       ticks;
    int            asked;
} node_t;


typedef struct {
    long long      version;          /* 0: none */
    unsigned       seen;             /* nodes that have */
    char           phase[16];
    char           endpoint[64];
    uint64_t       at[NODES];
} change_t;


typedef struct {
    const char  *words[WORDS];
    size_t       len[WORDS];
    int          n;
} command_t;


static unsigned      count;
static char          keys[7][96];
static char          sha1[41];
static char          seed[64];
static const char   *real;
static node_t        nodes[NODES];
static change_t      changes[CHANGES];
static redisContext *control;
static redisReply   *evidence;


static void
fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}


static uint64_t
now(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}


static redisContext *
dial(int port)
{
    redisContext  *redis;

    redis = redisConnect("127.0.0.1", port);

    if (redis == NULL || redis->err) {
        fail("connect", redis ? redis->errstr : "no memory");
    }

    return redis;
}


static void
add(command_t *command, const char *word, size_t len)
{
    command->words[command->n] = word;
    command->len[command->n++] = len;
}


static void
add_text(command_t *command, const char *word)
{
    add(command, word, strlen(word));
}


/* how each script begins */

static void
begin(command_t *command, const char *verb, const char *script,
    const char *node)
{
    unsigned  i;

    command->n = 0;

    add_text(command, verb);
    add_text(command, script);
    add_text(command, "7");

    for (i = 0; i < 7; i++) {
        add_text(command, keys[i]);
    }

    add_text(command, node);
    add_text(command, "b");          /* incarnation */
    add_text(command, "0");          /* and the one before */
}


static char *
load(const char *directory, const char *name)
{
    FILE         *file;
    size_t        len;
    char          path[1024];
    static char   text[SCRIPT];

    snprintf(path, sizeof(path), "%s/%s.lua", directory, name);
    file = fopen(path, "r");

    if (file == NULL) {
        fail(path, "cannot be opened");
    }

    len = fread(text, 1, SCRIPT - 1, file);
    text[len] = '\0';
    fclose(file);

    return text;
}


static redisReply *
good(redisReply *reply, const char *what)
{
    if (reply == NULL) {
        fail(what, "no answer");
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        fail(what, reply->str);
    }

    return reply;
}


/* the data are there: an nginx has made them */

static void
join(node_t *node, const char *script)
{
    command_t    command;
    const char  *last;
    redisReply  *reply;

    begin(&command, "EVAL", script, node->name);
    add_text(&command, "none");      /* seed */
    add_text(&command, "0");
    add_text(&command, "0");
    add_text(&command, "0");

    reply = good(redisCommandArgv(node->redis, command.n, command.words,
                                  command.len), "join");

    if (reply->elements < 6 || strcmp(reply->element[0]->str, "OK") != 0
        || reply->element[2]->integer != 0)
    {
        fail("join", "there is no fleet");
    }

    last = strrchr(reply->element[4]->str, ' ');
    snprintf(seed, sizeof(seed), "%s",
             last ? last + 1 : reply->element[4]->str);
    snprintf(node->version, sizeof(node->version), "%lld",
             reply->element[5]->integer);

    freeReplyObject(reply);
}


static void
tick(node_t *node)
{
    int        written;
    command_t  command;

    begin(&command, "EVALSHA", sha1, node->name);
    add_text(&command, seed);
    add_text(&command, node->version);
    add_text(&command, node->version);           /* its file has it */
    add_text(&command, "500");
    add_text(&command, "0");                     /* it does not lead */
    add_text(&command, "0");
    add_text(&command, "");
    add_text(&command, (node->ticks % 20 == 0) ? "1" : "0");
    add_text(&command, "127.0.0.1:1 1\n");

    if (node->ticks++ % 2 == 0 && evidence->type == REDIS_REPLY_STRING) {
        add(&command, evidence->str, (size_t) evidence->len);

    } else {
        add_text(&command, "");
    }

    add_text(&command, "");                      /* what leaders send */
    add_text(&command, "");
    add_text(&command, "");

    redisAppendCommandArgv(node->redis, command.n, command.words,
                           command.len);

    do {
        if (redisBufferWrite(node->redis, &written) != REDIS_OK) {
            fail("tick", node->redis->errstr);
        }
    } while (!written);

    node->asked = 1;
}


static void
show(change_t *change)
{
    unsigned  i;

    printf("%lld %s %s", change->version, change->phase, change->endpoint);

    for (i = 0; i < count; i++) {
        printf(" %" PRIu64, change->at[i]);
    }

    printf("\n");
    fflush(stdout);

    change->version = 0;
}


/* {endpoint, version, record}; GENERATION UID NUMBER PHASE ... */

static void
see(unsigned which, redisReply *const *of, uint64_t at)
{
    change_t  *change;

    change = &changes[of[1]->integer % CHANGES];

    if (change->version != of[1]->integer) {
        memset(change, 0, sizeof(change_t));
        change->version = of[1]->integer;
        snprintf(change->endpoint, sizeof(change->endpoint), "%s",
                 of[0]->str);
        sscanf(of[2]->str, "%*s %*s %*s %15s", change->phase);
    }

    change->at[which] = at;

    if (++change->seen == count) {
        show(change);
    }
}


static void
answer(unsigned which)
{
    void        *got = NULL;
    size_t       i;
    node_t      *node;
    uint64_t     at;
    redisReply  *reply, *changed;

    node = &nodes[which];

    if (redisBufferRead(node->redis) != REDIS_OK
        || redisGetReplyFromReader(node->redis, &got) != REDIS_OK)
    {
        fail("tick", node->redis->errstr);
    }

    if (got == NULL) {
        return;
    }

    at = now();
    reply = good(got, "tick");

    if (reply->elements < KNOWN) {
        fail("tick", reply->element[0]->str);
    }

    changed = reply->element[CHANGED];

    for (i = 0; i + 2 < changed->elements; i += 3) {
        see(which, &changed->element[i], at);
    }

    snprintf(node->version, sizeof(node->version), "%lld",
             reply->element[UPTO]->integer);
    node->asked = 0;

    freeReplyObject(reply);
}


static void
look_at_evidence(void)
{
    freeReplyObject(evidence);
    evidence = good(redisCommand(control, "HGET %s %s", keys[4], real),
                    "HGET");
}


/* those that are due; until when there are none, us */

static uint64_t
ticks(void)
{
    unsigned  i;
    uint64_t  due, at;

    at = now();
    due = at + TICK;

    for (i = 0; i < count; i++) {
        if (nodes[i].asked) {
            continue;
        }

        if (nodes[i].next <= at) {
            tick(&nodes[i]);

            while (nodes[i].next <= at) {
                nodes[i].next += TICK;
            }
        }

        due = (nodes[i].next < due) ? nodes[i].next : due;
    }

    return due;
}


static void
run(int epoll)
{
    int                 i, n;
    uint64_t            due, at, look;
    struct epoll_event  events[NODES];

    look = now();

    for ( ;; ) {
        due = ticks();
        at = now();

        if (at >= look) {
            look_at_evidence();
            look += 2 * TICK;
        }

        due = (look < due) ? look : due;
        n = epoll_wait(epoll, events, NODES,
                       (due > at) ? (int) ((due - at) / 1000) + 1 : 0);

        for (i = 0; i < n; i++) {
            answer(events[i].data.u32);
        }
    }
}


static void
prepare(int port, const char *fleet, const char *scripts)
{
    unsigned     i;
    redisReply  *reply;

    static const char *const  names[] = {
        "rec", "chg", "log", "live", "ev", "trial", "view"
    };

    for (i = 0; i < 7; i++) {
        snprintf(keys[i], sizeof(keys[i]), "canary:{%s}:%s", fleet, names[i]);
    }

    control = dial(port);

    reply = good(redisCommand(control, "SCRIPT LOAD %s",
                              load(scripts, "tick")), "SCRIPT LOAD");
    snprintf(sha1, sizeof(sha1), "%s", reply->str);
    freeReplyObject(reply);
}


int
main(int argc, char **argv)
{
    int                 port, epoll;
    char               *script;
    unsigned            i;
    struct epoll_event  event = { .events = EPOLLIN };

    if (argc != 6) {
        fail("usage", "nodes PORT FLEET COUNT REAL SCRIPTS");
    }

    port = atoi(argv[1]);
    count = (unsigned) atoi(argv[3]);
    real = argv[4];

    if (count == 0 || count > NODES) {
        fail(argv[3], "is no number of nodes");
    }

    prepare(port, argv[2], argv[5]);
    look_at_evidence();

    script = load(argv[5], "join");
    epoll = epoll_create1(0);

    for (i = 0; i < count; i++) {
        snprintf(nodes[i].name, sizeof(nodes[i].name), "load-%u", i);
        nodes[i].redis = dial(port);
        nodes[i].next = now() + TICK * i / count;

        join(&nodes[i], script);

        event.data.u32 = i;
        epoll_ctl(epoll, EPOLL_CTL_ADD, nodes[i].redis->fd, &event);
    }

    run(epoll);

    return 0;
}
