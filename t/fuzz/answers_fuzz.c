
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_fleet.h"
#include "canary_reply.h"
#include "canary_rollout.h"
#include "canary_state_json.h"

#include "fuzz.h"


/*
 * A node of a fleet beside a Redis that answers whatever it likes: bytes come
 * in pieces, as long as the first byte says, through hiredis' reader, and each
 * answer is that to whatever the node has asked last.  A byte between answers
 * would be the time that passes; the third and fourth of the input are.
 */


#define FUZZ_ENDPOINTS  3
#define FUZZ_BEGIN      1000000ull     /* ms of the node's clock */


typedef struct {
    canary_fleet_t           fleet;
    canary_fleet_endpoint_t  endpoints[FUZZ_ENDPOINTS];
    canary_fleet_member_t    members[CANARY_FLEET_NODES];
    canary_fleet_node_t      nodes[CANARY_FLEET_NODES];
    canary_fleet_offer_t     offers[CANARY_FLEET_NODES];
    char                    *lacks;    /* the texts of the nodes */
    uint64_t                 now;
    uint64_t                 sent;
    uint8_t                  step;     /* ms between two answers */
    uint8_t                  acts;     /* what the node does by itself */
} fuzz_node_t;


typedef struct {
    const char  *text;
    size_t       len;
} fuzz_text_t;


static void fuzz_begin(fuzz_node_t *node, const uint8_t *how);
static void fuzz_answer(fuzz_node_t *node, const redisReply *reply);
static void fuzz_asks(fuzz_node_t *node, canary_fleet_todo_t *todo);
static void fuzz_acts(fuzz_node_t *node);
static int fuzz_kind(const redisReply *reply, canary_fleet_reply_t *kind);
static uint64_t fuzz_number(const redisReply *reply, size_t i);
static fuzz_text_t fuzz_word(const redisReply *reply, size_t i);
static const redisReply *fuzz_list(const redisReply *reply, size_t i);
static void fuzz_joined(fuzz_node_t *node, const redisReply *reply,
    canary_fleet_reply_t kind);
static void fuzz_ticked(fuzz_node_t *node, const redisReply *reply,
    canary_fleet_reply_t kind);
static void fuzz_committed(fuzz_node_t *node, unsigned endpoint,
    const redisReply *reply, canary_fleet_reply_t kind);
static unsigned fuzz_members(fuzz_node_t *node, const redisReply *reply,
    size_t i);
static unsigned fuzz_offers(fuzz_node_t *node, const redisReply *list,
    size_t size);
static unsigned fuzz_nodes(fuzz_node_t *node, const redisReply *live);
static void fuzz_taken(fuzz_node_t *node, canary_fleet_offer_t *offer);
static void fuzz_body(const fuzz_text_t *text);


static const char *const  fuzz_words[FUZZ_ENDPOINTS] = {
    "shop", "cart", "a%40b"
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          piece, at;
    redisReply     *got;
    canary_reply_t  reply;

    static fuzz_node_t  node;

    if (size < 4) {
        return 0;
    }

    fuzz_begin(&node, data);
    fuzz_assert(canary_reply_init(&reply));

    for (at = 4; at < size; at += piece) {
        piece = 1 + (size_t) data[0] * data[0];
        piece = (piece < size - at) ? piece : size - at;

        if (!canary_reply_feed(&reply, (const char *) data + at, piece)) {
            break;
        }

        while ((got = canary_reply_next(&reply)) != NULL) {
            fuzz_answer(&node, got);
            freeReplyObject(got);
        }

        if (reply.error) {
            break;
        }
    }

    canary_reply_free(&reply);
    free(node.lacks);

    return 0;
}


static void
fuzz_begin(fuzz_node_t *node, const uint8_t *how)
{
    unsigned               i;
    canary_fleet_conf_t    conf;
    canary_fleet_kept_t    kept;
    canary_fleet_record_t  ours;

    memset(node, 0, sizeof(fuzz_node_t));
    memset(&conf, 0, sizeof(conf));
    memset(&kept, 0, sizeof(kept));
    memset(&ours, 0, sizeof(ours));

    kept.incarnation = 1;

    if (how[1] & 1) {
        kept.nseeds = 1;
        kept.version = 20;
        strcpy(kept.seeds[0], "s1");
    }

    conf.name = "n1";
    conf.timeout = 500;
    conf.random = how[1];
    conf.goes_on = (how[1] >> 1) & 1;

    node->now = FUZZ_BEGIN;
    node->step = how[2];
    node->acts = how[3];

    for (i = 0; i < FUZZ_ENDPOINTS; i++) {
        canary_fleet_endpoint_init(&node->endpoints[i], &ours, 1);

        ours.generation = 5 + i;
        ours.uid = 7;
        ours.number = 3;
        ours.phase = CANARY_PROGRESSING;
        ours.weight = 200000;
        strcpy(ours.canary, "v2");
    }

    canary_fleet_init(&node->fleet, &conf, &kept, node->endpoints,
                      FUZZ_ENDPOINTS, node->now);
}


static void
fuzz_answer(fuzz_node_t *node, const redisReply *reply)
{
    canary_fleet_todo_t   todo;
    canary_fleet_reply_t  kind;

    fuzz_acts(node);
    fuzz_asks(node, &todo);

    node->now += node->step;

    if (todo.act == CANARY_FLEET_NOTHING) {
        return;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2
        || !fuzz_kind(reply, &kind))
    {
        canary_fleet_disconnected(&node->fleet, node->now);
        return;
    }

    switch (todo.act) {

    case CANARY_FLEET_JOIN:
        fuzz_joined(node, reply, kind);
        break;

    case CANARY_FLEET_SEND_TICK:
        fuzz_ticked(node, reply, kind);
        break;

    default: /* CANARY_FLEET_TELL, CANARY_FLEET_COMMIT */
        fuzz_committed(node, todo.endpoint, reply, kind);
        break;
    }
}


/* until it has asked for something, or has nothing to do for a while */

static void
fuzz_asks(fuzz_node_t *node, canary_fleet_todo_t *todo)
{
    unsigned  i;
    uint64_t  due;

    for (i = 0; i < 100; i++) {
        canary_fleet_next(&node->fleet, node->now, todo);

        switch (todo->act) {

        case CANARY_FLEET_CONNECT:
            canary_fleet_connected(&node->fleet, node->now);
            break;

        case CANARY_FLEET_JOIN:
        case CANARY_FLEET_SEND_TICK:
        case CANARY_FLEET_TELL:
        case CANARY_FLEET_COMMIT:
            node->sent = node->now;
            return;

        case CANARY_FLEET_END:
            canary_fleet_stopped(&node->fleet, todo->endpoint, &todo->record);
            break;

        case CANARY_FLEET_CONCLUDE:
            fuzz_assert(todo->reason != NULL);

            if (todo->result == CANARY_FLEET_DONE) {
                canary_fleet_effective(&node->fleet, todo->endpoint,
                                       &todo->record);
                canary_fleet_filed(&node->fleet, todo->endpoint,
                                   &todo->record);
            }
            break;

        case CANARY_FLEET_NOTHING:
            due = canary_fleet_due(&node->fleet, node->now);
            fuzz_assert(due > node->now && due <= node->now + 1000);
            node->now = due;
            break;

        default: /* CANARY_FLEET_DISCONNECT */
            break;
        }
    }

    todo->act = CANARY_FLEET_NOTHING;
}


/* what people and the judge of this node do */

static void
fuzz_acts(fuzz_node_t *node)
{
    unsigned               i;
    canary_fleet_record_t  record;

    i = node->acts % FUZZ_ENDPOINTS;
    record = node->endpoints[i].ours;

    if (record.generation == 0) {
        return;
    }

    record.generation++;
    record.uid = canary_fleet_uid(&node->fleet);

    switch (node->acts / FUZZ_ENDPOINTS % 5) {

    case 0:
        record.phase = CANARY_IDLE;
        record.weight = 0;
        record.result = CANARY_ROLLED_BACK;
        canary_fleet_stopped(&node->fleet, i, &record);
        break;

    case 1:
        if (record.phase != CANARY_IDLE) {
            record.phase = CANARY_PAUSED;
            canary_fleet_stopped(&node->fleet, i, &record);
        }
        break;

    case 2:
        record.weight = CANARY_ONE;
        (void) canary_fleet_propose(&node->fleet, i, &record,
                                    CANARY_FLEET_EXPOSE, node->now);
        break;

    case 3:
        record.weight = CANARY_ONE;
        (void) canary_fleet_propose(&node->fleet, i, &record,
                                    CANARY_FLEET_STEP, node->now);
        break;

    default:
        canary_fleet_set(&node->fleet, 1, node->acts & 1);
        break;
    }

    node->acts += 7;
}


static int
fuzz_kind(const redisReply *reply, canary_fleet_reply_t *kind)
{
    unsigned     i;
    fuzz_text_t  text;

    static const char *const  names[] = {
        "OK", "EMPTY", "LOST", "DUP", "CONFLICT", "WAIT"
    };

    text = fuzz_word(reply, 0);

    for (i = 0; i < 6; i++) {
        if (text.len == strlen(names[i])
            && memcmp(text.text, names[i], text.len) == 0)
        {
            *kind = (canary_fleet_reply_t) i;
            return 1;
        }
    }

    return 0;
}


static uint64_t
fuzz_number(const redisReply *reply, size_t i)
{
    const redisReply  *r;

    if (i >= reply->elements) {
        return 0;
    }

    r = reply->element[i];

    if (r->type == REDIS_REPLY_INTEGER) {
        return (uint64_t) r->integer;
    }

    return (r->type == REDIS_REPLY_STRING)
           ? (uint64_t) strtoll(r->str, NULL, 10) : 0;
}


static fuzz_text_t
fuzz_word(const redisReply *reply, size_t i)
{
    fuzz_text_t        text = { "", 0 };
    const redisReply  *r;

    if (i >= reply->elements) {
        return text;
    }

    r = reply->element[i];

    if (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS) {
        text.text = r->str;
        text.len = (size_t) r->len;
    }

    return text;
}


static const redisReply *
fuzz_list(const redisReply *reply, size_t i)
{
    static const redisReply  none;

    if (i >= reply->elements || reply->element[i]->type != REDIS_REPLY_ARRAY) {
        return &none;
    }

    return reply->element[i];
}


static void
fuzz_joined(fuzz_node_t *node, const redisReply *reply,
    canary_fleet_reply_t kind)
{
    unsigned             i;
    fuzz_text_t          seed;
    canary_fleet_join_t  join;

    memset(&join, 0, sizeof(join));

    seed = fuzz_word(reply, 4);

    if (seed.len > 0 && seed.len < CANARY_FLEET_SEED_SIZE) {
        memcpy(join.seeds[join.nseeds++], seed.text, seed.len);
    }

    join.reply = kind;
    join.sent = node->sent;
    join.received = node->now;
    join.now = fuzz_number(reply, 1);
    join.foreign = fuzz_number(reply, 3) != 0;
    join.version = fuzz_number(reply, 5);
    join.age = fuzz_number(reply, 6);
    join.nmembers = fuzz_members(node, reply, 7);
    join.members = node->members;
    join.noffers = fuzz_offers(node, fuzz_list(reply, 8), 2);
    join.offers = node->offers;

    canary_fleet_join_answer(&node->fleet, &join, node->now);

    for (i = 0; i < join.noffers; i++) {
        fuzz_taken(node, &node->offers[i]);
    }
}


static void
fuzz_ticked(fuzz_node_t *node, const redisReply *reply,
    canary_fleet_reply_t kind)
{
    char                   text[CANARY_REASON_SIZE];
    unsigned               i;
    fuzz_text_t            leader;
    canary_fleet_ticked_t  tick;

    memset(&tick, 0, sizeof(tick));

    leader = fuzz_word(reply, 6);

    if (leader.len < CANARY_NAME_SIZE) {
        memcpy(tick.leader, leader.text, leader.len);
    }

    tick.reply = kind;
    tick.sent = node->sent;
    tick.received = node->now;
    tick.now = fuzz_number(reply, 1);
    tick.shifted = fuzz_word(reply, 2).len != 0;
    tick.shift = (int64_t) fuzz_number(reply, 2);
    tick.version = fuzz_number(reply, 3);
    tick.upto = fuzz_number(reply, 4);
    tick.leads = fuzz_number(reply, 5) != 0;
    tick.term = (uint32_t) fuzz_number(reply, 7);
    tick.since = fuzz_number(reply, 8);
    tick.age = fuzz_number(reply, 9);
    tick.quorum = fuzz_number(reply, 10);
    tick.nmembers = fuzz_members(node, reply, 13);
    tick.members = tick.nmembers ? node->members : NULL;
    tick.noffers = fuzz_offers(node, fuzz_list(reply, 14), 3);
    tick.offers = node->offers;
    tick.nnodes = fuzz_nodes(node, fuzz_list(reply, 16));
    tick.nodes = fuzz_list(reply, 16)->elements ? node->nodes : NULL;

    canary_fleet_tick_answer(&node->fleet, &tick, node->now);

    for (i = 0; i < tick.noffers; i++) {
        fuzz_taken(node, &node->offers[i]);
    }

    for (i = 0; i < FUZZ_ENDPOINTS; i++) {
        fuzz_assert(canary_fleet_waits(&node->fleet, i, fuzz_words[i],
                                       node->now, text, sizeof(text))
                    == strlen(text));
        (void) canary_fleet_told(&node->fleet, i);
    }
}


static void
fuzz_committed(fuzz_node_t *node, unsigned endpoint, const redisReply *reply,
    canary_fleet_reply_t kind)
{
    char                      reason[CANARY_REASON_SIZE];
    size_t                    line;
    fuzz_text_t               text;
    canary_fleet_committed_t  commit;

    memset(&commit, 0, sizeof(commit));

    text = fuzz_word(reply, 2);
    line = 0;

    if (kind == CANARY_FLEET_CONFLICTS && text.len) {
        line = canary_fleet_record_parse(text.text, text.len,
                                         &commit.offer.record);
        if (line == 0) {
            canary_fleet_disconnected(&node->fleet, node->now);
            return;
        }
    }

    reason[0] = '\0';
    strncat(reason, text.text, sizeof(reason) - 1);

    commit.reply = kind;
    commit.version = fuzz_number(reply, 2);
    commit.reason = reason;

    canary_fleet_commit_answer(&node->fleet, endpoint, &commit, node->now);
    fuzz_taken(node, &commit.offer);
}


static unsigned
fuzz_members(fuzz_node_t *node, const redisReply *reply, size_t i)
{
    int          n;
    fuzz_text_t  text;

    text = fuzz_word(reply, i);
    n = canary_fleet_members_parse(text.text, text.len, node->members);

    return (n > 0) ? (unsigned) n : 0;
}


static unsigned
fuzz_offers(fuzz_node_t *node, const redisReply *list, size_t size)
{
    size_t                 i, line;
    unsigned               n, k;
    fuzz_text_t            word, text;
    canary_fleet_offer_t  *offer;

    n = 0;

    for (i = 0; i + size <= list->elements && n < CANARY_FLEET_NODES;
         i += size)
    {
        word = fuzz_word(list, i);
        text = fuzz_word(list, i + size - 1);
        offer = &node->offers[n];
        line = canary_fleet_record_parse(text.text, text.len, &offer->record);

        for (k = 0; line && k < FUZZ_ENDPOINTS; k++) {
            if (word.len != strlen(fuzz_words[k])
                || memcmp(word.text, fuzz_words[k], word.len) != 0)
            {
                continue;
            }

            offer->endpoint = k;
            offer->version = (size == 3) ? fuzz_number(list, i + 1) : 0;
            n++;

            text.text += line;
            text.len -= line;
            fuzz_body(&text);
            break;
        }
    }

    return n;
}


static unsigned
fuzz_nodes(fuzz_node_t *node, const redisReply *live)
{
    char         *p;
    size_t        i, size;
    unsigned      n;
    fuzz_text_t   name, text;

    if (live->elements == 0) {
        return 0;
    }

    for (i = 0, size = 1; i < live->elements; i++) {
        size += fuzz_word(live, i).len;
    }

    free(node->lacks);

    n = 0;
    p = node->lacks = malloc(size);
    fuzz_assert(p != NULL);

    for (i = 0; i + 1 < live->elements && n < CANARY_FLEET_NODES; i += 2) {
        name = fuzz_word(live, i);
        text = fuzz_word(live, i + 1);
        memcpy(p, text.text, text.len);

        n += canary_fleet_node_parse(name.text, name.len, p, text.len,
                                     &node->nodes[n]) != 0;
        p += text.len;
    }

    return n;
}


/* as the shell does what follows from an offer */

static void
fuzz_taken(fuzz_node_t *node, canary_fleet_offer_t *offer)
{
    switch (offer->what) {

    case CANARY_FLEET_ADOPT:
    case CANARY_FLEET_RENAME:
        canary_fleet_effective(&node->fleet, offer->endpoint, &offer->record);
        canary_fleet_filed(&node->fleet, offer->endpoint, &offer->record);
        break;

    case CANARY_FLEET_RAISE:
        canary_fleet_filed(&node->fleet, offer->endpoint, &offer->record);

        if (canary_fleet_may_raise(&node->fleet, node->now)) {
            canary_fleet_effective(&node->fleet, offer->endpoint,
                                   &offer->record);
        } else {
            canary_fleet_not_filed(&node->fleet, offer->endpoint, node->now);
        }
        break;

    case CANARY_FLEET_APPLY:
        (void) canary_fleet_propose(&node->fleet, offer->endpoint,
                                    &offer->record, CANARY_FLEET_ANY,
                                    node->now);
        break;

    default:
        break;
    }
}


/* what follows the first line of a record */

static void
fuzz_body(const fuzz_text_t *text)
{
    char             error[CANARY_STATE_ERROR], *copy;
    canary_state_t  *state;

    copy = fuzz_text((const uint8_t *) text->text, text->len);
    state = canary_state_json_read(copy, text->len, error);

    if (state) {
        canary_state_destroy(state);
    }

    free(copy);
}
