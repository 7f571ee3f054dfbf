
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_node.h"
#include "ngx_canary_fleet_seal.h"

#include "canary_fleet.h"
#include "canary_rollout.h"

#include "ngx_canary_redis.h"


/*
 * What the scripts answer.  Nothing of it is trusted: what is not as it should
 * be ends the connection.
 */


typedef struct {
    ngx_uint_t             n;
    canary_fleet_offer_t  *offers;
    ngx_str_t             *texts;      /* of the records, after their heads */
} ngx_canary_fleet_offers_t;


static ngx_uint_t ngx_canary_fleet_no_answer(ngx_canary_fleet_node_t *node,
    redisReply *reply, const char *what);
static ngx_int_t ngx_canary_fleet_reply(redisReply *reply,
    canary_fleet_reply_t *kind);
static uint64_t ngx_canary_fleet_number(redisReply *reply, size_t i);
static ngx_str_t *ngx_canary_fleet_printable(ngx_str_t *text);
static redisReply *ngx_canary_fleet_list(redisReply *reply, size_t i);
static ngx_int_t ngx_canary_fleet_offers(ngx_canary_fleet_node_t *node,
    redisReply *list, size_t size, ngx_canary_fleet_offers_t *offers);
static void ngx_canary_fleet_take_all(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_offers_t *offers, uint64_t now);
static void ngx_canary_fleet_free_offers(ngx_canary_fleet_offers_t *offers);
static ngx_int_t ngx_canary_fleet_seeds(redisReply *reply, size_t i,
    canary_fleet_join_t *join);
static ngx_int_t ngx_canary_fleet_members(ngx_canary_fleet_node_t *node,
    redisReply *reply, size_t i, unsigned *n, canary_fleet_member_t **members);
static ngx_int_t ngx_canary_fleet_offer(ngx_canary_fleet_node_t *node,
    ngx_str_t *word, ngx_str_t *text, canary_fleet_offer_t *offer);
static void ngx_canary_fleet_nodes(ngx_canary_fleet_node_t *node,
    redisReply *reply, canary_fleet_ticked_t *tick);
static ngx_int_t ngx_canary_fleet_other(ngx_canary_fleet_node_t *node,
    ngx_str_t *name, ngx_str_t *text, uint64_t now,
    canary_fleet_node_t *other);
static ngx_int_t ngx_canary_fleet_believe(ngx_canary_fleet_node_t *node,
    const ngx_canary_fleet_author_t *author, uint64_t now,
    canary_fleet_node_t *other);
static ngx_int_t ngx_canary_fleet_read_tick(ngx_canary_fleet_node_t *node,
    redisReply *reply, canary_fleet_ticked_t *tick,
    ngx_canary_fleet_offers_t *offers);
static void ngx_canary_fleet_hear_evidence(ngx_canary_fleet_node_t *node,
    redisReply *reply, const canary_fleet_ticked_t *tick, uint64_t now);
static void ngx_canary_fleet_nonsense(ngx_canary_fleet_node_t *node,
    const char *what);


/* 1: there is none, or an error of Redis' */

static ngx_uint_t
ngx_canary_fleet_no_answer(ngx_canary_fleet_node_t *node, redisReply *reply,
    const char *what)
{
    /* the connection has ended: core knows, or is about to */

    if (reply == NULL) {
        return 1;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_canary_redis_close(node->redis, reply->str);
        canary_fleet_disconnected(&node->core, ngx_canary_milliseconds());
        ngx_canary_fleet_pass(node);
        return 1;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2) {
        ngx_canary_fleet_nonsense(node, what);
        return 1;
    }

    return 0;
}


static void
ngx_canary_fleet_nonsense(ngx_canary_fleet_node_t *node, const char *what)
{
    u_char  why[NGX_CANARY_REDIS_ERROR];

    (void) ngx_snprintf(why, sizeof(why), "the answer to %s makes no sense%Z",
                        what);

    ngx_canary_redis_close(node->redis, (char *) why);
    canary_fleet_disconnected(&node->core, ngx_canary_milliseconds());
    ngx_canary_fleet_pass(node);
}


static ngx_int_t
ngx_canary_fleet_reply(redisReply *reply, canary_fleet_reply_t *kind)
{
    ngx_uint_t  i;
    ngx_str_t   text;

    static const char *const  names[] = {
        "OK", "EMPTY", "LOST", "DUP", "CONFLICT", "WAIT"
    };

    text = ngx_canary_fleet_text(reply, 0);

    for (i = 0; i < 6; i++) {
        if (text.len == ngx_strlen(names[i])
            && ngx_memcmp(text.data, names[i], text.len) == 0)
        {
            *kind = (canary_fleet_reply_t) i;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


/* what is not there is 0, empty, or an empty list */

static uint64_t
ngx_canary_fleet_number(redisReply *reply, size_t i)
{
    redisReply  *r;

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


ngx_str_t
ngx_canary_fleet_text(redisReply *reply, size_t i)
{
    ngx_str_t    text;
    redisReply  *r;

    ngx_str_set(&text, "");

    if (i >= reply->elements) {
        return text;
    }

    r = reply->element[i];

    if (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS) {
        text.data = (u_char *) r->str;
        text.len = r->len;
    }

    return text;
}


/* for the log; it is the answer's, and changed there */

static ngx_str_t *
ngx_canary_fleet_printable(ngx_str_t *text)
{
    size_t  i;

    text->len = ngx_min(text->len, 255);

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < 0x20 || text->data[i] > 0x7e) {
            text->data[i] = '?';
        }
    }

    return text;
}


static redisReply *
ngx_canary_fleet_list(redisReply *reply, size_t i)
{
    static redisReply  none;

    if (i >= reply->elements || reply->element[i]->type != REDIS_REPLY_ARRAY) {
        return &none;
    }

    return reply->element[i];
}


/* {endpoint, [version,] record ...} */

static ngx_int_t
ngx_canary_fleet_offers(ngx_canary_fleet_node_t *node, redisReply *list,
    size_t size, ngx_canary_fleet_offers_t *offers)
{
    size_t                 i;
    ngx_str_t              word, text;
    canary_fleet_offer_t  *offer;

    ngx_memzero(offers, sizeof(ngx_canary_fleet_offers_t));

    offers->offers = calloc(list->elements / size + 1,
                            sizeof(canary_fleet_offer_t));
    offers->texts = calloc(list->elements / size + 1, sizeof(ngx_str_t));

    if (offers->offers == NULL || offers->texts == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i + size <= list->elements; i += size) {
        word = ngx_canary_fleet_text(list, i);
        text = ngx_canary_fleet_text(list, i + size - 1);

        offer = &offers->offers[offers->n];

        if (ngx_canary_fleet_offer(node, &word, &text, offer) != NGX_OK) {
            continue;
        }

        offer->version = (size == 3) ? ngx_canary_fleet_number(list, i + 1)
                                     : 0;
        offers->texts[offers->n++] = text;
    }

    return NGX_OK;
}


/*
 * The text becomes what follows its first line.  Of one that does not verify
 * nothing is read, but that this node's is to be there instead.
 */

static ngx_int_t
ngx_canary_fleet_offer(ngx_canary_fleet_node_t *node, ngx_str_t *word,
    ngx_str_t *text, canary_fleet_offer_t *offer)
{
    size_t                     line;
    ngx_int_t                  endpoint;
    ngx_canary_fleet_author_t  author;
    char                       field[CANARY_FLEET_WORD(
                                         CANARY_STATE_ENDPOINT_NAME)];

    (void) ngx_cpystrn((u_char *) field, word->data,
                       ngx_min(word->len + 1, sizeof(field)));

    offer->forged = ngx_canary_fleet_unseal(node, NGX_CANARY_FLEET_REC, field,
                                            text, &author)
                    != NGX_OK;

    line = offer->forged ? 0
           : canary_fleet_record_parse((char *) text->data, text->len,
                                       &offer->record);

    /* nor is an endpoint made of what nobody has signed */

    endpoint = (line || offer->forged)
               ? ngx_canary_fleet_find(node, (char *) word->data, word->len,
                                       !offer->forged)
               : -1;

    if (endpoint == -1) {
        if (!offer->forged) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "canary: the record of \"%V\" in the fleet makes "
                          "no sense", ngx_canary_fleet_printable(word));
        }

        return NGX_DECLINED;
    }

    offer->endpoint = (unsigned) endpoint;

    text->data += line;
    text->len -= line;

    return NGX_OK;
}


static void
ngx_canary_fleet_take_all(ngx_canary_fleet_node_t *node,
    ngx_canary_fleet_offers_t *offers, uint64_t now)
{
    ngx_uint_t             i;
    canary_fleet_offer_t  *offer;

    for (i = 0; i < offers->n; i++) {
        offer = &offers->offers[i];

        if (offer->dropped) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "canary: a stop of \"%s\" by this node, which could "
                          "not be told, is lost: the fleet has ended that "
                          "rollout otherwise",
                          node->endpoints[offer->endpoint].word);
        }

        ngx_canary_fleet_take(node, offer, (char *) offers->texts[i].data,
                              offers->texts[i].len, now);
    }
}


static void
ngx_canary_fleet_free_offers(ngx_canary_fleet_offers_t *offers)
{
    free(offers->offers);
    free(offers->texts);
}


void
ngx_canary_fleet_joined(ngx_canary_redis_t *redis, redisReply *reply,
    void *data)
{
    ngx_canary_fleet_node_t *node = data;

    uint64_t                   now;
    ngx_str_t                  other;
    canary_fleet_join_t        join;
    ngx_canary_fleet_offers_t  offers;

    if (ngx_canary_fleet_no_answer(node, reply, "join")) {
        return;
    }

    now = ngx_canary_milliseconds();

    ngx_memzero(&join, sizeof(canary_fleet_join_t));
    ngx_memzero(&offers, sizeof(ngx_canary_fleet_offers_t));

    if (ngx_canary_fleet_reply(reply, &join.reply) != NGX_OK) {
        ngx_canary_fleet_nonsense(node, "join");
        return;
    }

    if (join.reply == CANARY_FLEET_OK) {

        if (reply->elements < 10
            || ngx_canary_fleet_seeds(reply, 4, &join) != NGX_OK
            || ngx_canary_fleet_members(node, reply, 7, &join.nmembers,
                                        &join.members)
               != NGX_OK
            || ngx_canary_fleet_offers(node, ngx_canary_fleet_list(reply, 8),
                                       2, &offers)
               != NGX_OK)
        {
            ngx_canary_fleet_free_offers(&offers);
            ngx_canary_fleet_nonsense(node, "join");
            return;
        }

    } else if (node->core.state != CANARY_FLEET_KEPT_OUT) {
        other = ngx_canary_fleet_text(reply, 2);

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "canary: fleet \"%V\" has another node \"%V\", at %V: "
                      "this one is kept out, and serves the stable releases",
                      &node->conf->name, &node->conf->node,
                      ngx_canary_fleet_printable(&other));
    }

    join.sent = node->join_sent;
    join.received = now;
    join.now = ngx_canary_fleet_number(reply, 1);
    join.foreign = ngx_canary_fleet_number(reply, 3) != 0;
    join.version = ngx_canary_fleet_number(reply, 5);
    join.age = ngx_canary_fleet_number(reply, 6);
    join.noffers = (unsigned) offers.n;
    join.offers = offers.offers;

    canary_fleet_join_answer(&node->core, &join, now);

    ngx_canary_fleet_take_all(node, &offers, now);
    ngx_canary_fleet_free_offers(&offers);

    ngx_canary_fleet_pass(node);
}


static ngx_int_t
ngx_canary_fleet_seeds(redisReply *reply, size_t i, canary_fleet_join_t *join)
{
    u_char     *p, *last, *end;
    ngx_str_t   text;

    text = ngx_canary_fleet_text(reply, i);
    last = text.data + text.len;

    for (p = text.data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, ' ');
        end = end ? end : last;

        if (end == p || end - p >= CANARY_FLEET_SEED_SIZE
            || join->nseeds == CANARY_FLEET_SEEDS)
        {
            return NGX_ERROR;
        }

        ngx_memcpy(join->seeds[join->nseeds++], p, end - p);
    }

    return join->nseeds ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_canary_fleet_members(ngx_canary_fleet_node_t *node, redisReply *reply,
    size_t i, unsigned *n, canary_fleet_member_t **members)
{
    int        rc;
    ngx_str_t  text;

    text = ngx_canary_fleet_text(reply, i);

    *n = 0;
    *members = NULL;

    if (text.len == 0) {
        return NGX_OK;
    }

    rc = canary_fleet_members_parse((char *) text.data, text.len,
                                    node->members);
    if (rc < 0) {
        return NGX_ERROR;
    }

    *n = (unsigned) rc;
    *members = node->members;

    return NGX_OK;
}


void
ngx_canary_fleet_ticked(ngx_canary_redis_t *redis, redisReply *reply,
    void *data)
{
    ngx_canary_fleet_node_t *node = data;

    uint64_t                   now;
    canary_fleet_ticked_t      tick;
    ngx_canary_fleet_offers_t  offers;

    if (ngx_canary_fleet_no_answer(node, reply, "tick")) {
        return;
    }

    now = ngx_canary_milliseconds();

    ngx_memzero(&tick, sizeof(canary_fleet_ticked_t));
    ngx_memzero(&offers, sizeof(ngx_canary_fleet_offers_t));

    if (ngx_canary_fleet_reply(reply, &tick.reply) != NGX_OK) {
        ngx_canary_fleet_nonsense(node, "tick");
        return;
    }

    if (tick.reply == CANARY_FLEET_OK
        && ngx_canary_fleet_read_tick(node, reply, &tick, &offers) != NGX_OK)
    {
        ngx_canary_fleet_free_offers(&offers);
        ngx_canary_fleet_nonsense(node, "tick");
        return;
    }

    tick.sent = node->tick_sent;
    tick.received = now;
    tick.noffers = (unsigned) offers.n;
    tick.offers = offers.offers;

    canary_fleet_tick_answer(&node->core, &tick, now);

    ngx_canary_fleet_take_all(node, &offers, now);
    ngx_canary_fleet_free_offers(&offers);

    if (tick.reply == CANARY_FLEET_OK) {
        ngx_canary_fleet_hear_evidence(node, reply, &tick, now);
        ngx_canary_fleet_hear_figures(node, ngx_canary_fleet_list(reply, 17));
    }

    ngx_canary_fleet_pass(node);
}


static ngx_int_t
ngx_canary_fleet_read_tick(ngx_canary_fleet_node_t *node, redisReply *reply,
    canary_fleet_ticked_t *tick, ngx_canary_fleet_offers_t *offers)
{
    ngx_str_t  leader;

    tick->now = ngx_canary_fleet_number(reply, 1);
    tick->shifted = (ngx_canary_fleet_text(reply, 2).len != 0);
    tick->shift = (int64_t) ngx_canary_fleet_number(reply, 2);
    tick->version = ngx_canary_fleet_number(reply, 3);
    tick->upto = ngx_canary_fleet_number(reply, 4);
    tick->leads = ngx_canary_fleet_number(reply, 5) != 0;
    tick->term = (uint32_t) ngx_canary_fleet_number(reply, 7);
    tick->since = ngx_canary_fleet_number(reply, 8);
    tick->age = ngx_canary_fleet_number(reply, 9);
    tick->quorum = ngx_canary_fleet_number(reply, 10);

    leader = ngx_canary_fleet_text(reply, 6);

    if (reply->elements < 20 || leader.len >= CANARY_NAME_SIZE
        || ngx_canary_fleet_members(node, reply, 13, &tick->nmembers,
                                    &tick->members)
           != NGX_OK
        || ngx_canary_fleet_offers(node, ngx_canary_fleet_list(reply, 14), 3,
                                   offers)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(tick->leader, leader.data, leader.len);
    ngx_canary_fleet_nodes(node, reply, tick);

    return NGX_OK;
}


/* what is signed, and too old or not verified, is as if it were not there */

static void
ngx_canary_fleet_hear_evidence(ngx_canary_fleet_node_t *node,
    redisReply *reply, const canary_fleet_ticked_t *tick, uint64_t now)
{
    ngx_canary_fleet_heard_t  heard;

    heard.now = tick->now;
    heard.term = tick->term;
    heard.mark = ngx_canary_fleet_text(reply, 11);
    heard.evidence = ngx_canary_fleet_list(reply, 18);
    heard.tests = ngx_canary_fleet_text(reply, 19);

    if (ngx_canary_fleet_unseal_young(node, NGX_CANARY_FLEET_LIVE, "@lead",
                                      NULL, &heard.mark)
        != NGX_OK)
    {
        heard.mark.len = 0;
    }

    if (ngx_canary_fleet_unseal_young(node, NGX_CANARY_FLEET_TRIAL, "", NULL,
                                      &heard.tests)
        != NGX_OK)
    {
        heard.tests.len = 0;
    }

    ngx_canary_fleet_hear(node, &heard, now);
}


/* {field, value ...}; the texts stay until others come */

static void
ngx_canary_fleet_nodes(ngx_canary_fleet_node_t *node, redisReply *reply,
    canary_fleet_ticked_t *tick)
{
    size_t       i;
    ngx_str_t    name, text;
    redisReply  *live;

    live = ngx_canary_fleet_list(reply, 16);

    if (live->elements == 0) {
        return;
    }

    node->core.strange[0] = '\0';

    for (i = 0; i + 1 < live->elements
                && tick->nnodes < CANARY_FLEET_NODES; i += 2)
    {
        name = ngx_canary_fleet_text(live, i);
        text = ngx_canary_fleet_text(live, i + 1);

        if (ngx_canary_fleet_other(node, &name, &text, tick->now,
                                   &node->nodes[tick->nnodes])
            == NGX_OK)
        {
            tick->nnodes++;
        }
    }

    tick->nodes = node->nodes;
    node->nodes_at = tick->now;

    freeReplyObject(node->live);

    node->live = live;
    reply->element[16] = NULL;
}


static ngx_int_t
ngx_canary_fleet_other(ngx_canary_fleet_node_t *node, ngx_str_t *name,
    ngx_str_t *text, uint64_t now, canary_fleet_node_t *other)
{
    u_char                     *p, *last;
    ngx_str_t                   said;
    ngx_uint_t                  n;
    ngx_canary_fleet_author_t   author;

    if (!canary_fleet_node_parse((char *) name->data, name->len,
                                 (char *) text->data, text->len, other))
    {
        return NGX_DECLINED;
    }

    /* the node has signed what follows four words of the script */

    last = text->data + text->len;

    for (p = text->data, n = 0; p < last && n < 4; p++) {
        n += (*p == ' ');
    }

    said.data = p;
    said.len = last - p;

    /* the script has written down that there is a member */

    if (node->conf->nkeys && other->incarnation == 0) {
        return NGX_DECLINED;
    }

    if (ngx_canary_fleet_unseal(node, NGX_CANARY_FLEET_LIVE, other->name,
                                &said, &author)
        != NGX_OK)
    {
        if (now - other->last < CANARY_FLEET_GONE) {
            ngx_memcpy(node->core.strange, other->name, CANARY_NAME_SIZE);
        }

        return NGX_DECLINED;
    }

    if (!canary_fleet_node_parse((char *) name->data, name->len,
                                 (char *) text->data,
                                 said.data + said.len - text->data, other))
    {
        return NGX_DECLINED;
    }

    return (node->conf->nkeys == 0)
           ? NGX_OK : ngx_canary_fleet_believe(node, &author, now, other);
}


/* whether the author is this node, and said it just now */

static ngx_int_t
ngx_canary_fleet_believe(ngx_canary_fleet_node_t *node,
    const ngx_canary_fleet_author_t *author, uint64_t now,
    canary_fleet_node_t *other)
{
    int64_t  age;

    if (ngx_strcmp(author->name, other->name) != 0
        || author->incarnation != other->incarnation)
    {
        ngx_canary_fleet_alarm(node, NGX_CANARY_FLEET_LIVE, other->name,
                               "is signed by another node");
        return NGX_DECLINED;
    }

    other->serial = author->serial;

    age = canary_fleet_age(&node->core, author->name, author->incarnation,
                           author->serial, ngx_canary_milliseconds());

    if (now - other->last < CANARY_FLEET_GONE
        && (age < 0 || age > CANARY_FLEET_GONE))
    {
        ngx_canary_fleet_alarm(node, NGX_CANARY_FLEET_LIVE, other->name,
                               "is played back, or the clock of that node, or "
                               "of this one, is off by more than a minute");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


void
ngx_canary_fleet_committed(ngx_canary_redis_t *redis, redisReply *reply,
    void *data)
{
    uint64_t                  now;
    unsigned                  endpoint, untold;
    ngx_str_t                 text, why, word;
    canary_fleet_committed_t  commit;
    ngx_canary_fleet_node_t  *node;
    char                      reason[CANARY_REASON_SIZE];

    endpoint = (unsigned) (uintptr_t) data;
    node = ngx_canary_redis_data(redis);

    if (ngx_canary_fleet_no_answer(node, reply, "commit")) {
        return;
    }

    now = ngx_canary_milliseconds();

    ngx_memzero(&commit, sizeof(canary_fleet_committed_t));

    if (ngx_canary_fleet_reply(reply, &commit.reply) != NGX_OK) {
        ngx_canary_fleet_nonsense(node, "commit");
        return;
    }

    ngx_canary_fleet_count(node, (commit.reply == CANARY_FLEET_OK)
                                 ? NGX_CANARY_FLEET_DID
                                 : (commit.reply == CANARY_FLEET_CONFLICTS)
                                 ? NGX_CANARY_FLEET_CONFLICTED
                                 : NGX_CANARY_FLEET_REFUSED);

    text = ngx_canary_fleet_text(reply, 2);
    why = text;

    if (commit.reply == CANARY_FLEET_CONFLICTS && text.len) {
        word.data = (u_char *) node->endpoints[endpoint].word;
        word.len = ngx_strlen(word.data);

        if (ngx_canary_fleet_offer(node, &word, &text, &commit.offer)
            != NGX_OK)
        {
            ngx_canary_fleet_nonsense(node, "commit");
            return;
        }
    }

    (void) ngx_cpystrn((u_char *) reason, why.data,
                       ngx_min(why.len + 1, sizeof(reason)));

    commit.version = ngx_canary_fleet_number(reply, 2);
    commit.reason = reason;

    untold = node->states[endpoint].untold;

    canary_fleet_commit_answer(&node->core, endpoint, &commit, now);

    if (untold && !node->states[endpoint].untold) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "canary: told the fleet that \"%s\" is %s",
                      node->endpoints[endpoint].word,
                      (node->states[endpoint].ours.result
                       == CANARY_ROLLED_BACK)
                      ? "rolled back"
                      : canary_phase_name(node->states[endpoint].ours.phase));
    }

    ngx_canary_fleet_take(node, &commit.offer, (char *) text.data, text.len,
                          now);

    ngx_canary_fleet_pass(node);
}
