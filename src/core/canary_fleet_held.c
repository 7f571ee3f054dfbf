
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_fleet_internal.h"

#include "canary_key.h"


/* A fleet with a key: who has which records, by what nodes have signed. */


static int canary_fleet_node_holds(const canary_fleet_node_t *node,
    uint64_t hash);
static void canary_fleet_settle(const canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoint);
static void canary_fleet_count_held(canary_fleet_t *fleet,
    const canary_fleet_node_t *node);


/* SplitMix64's last step: any two records differ, but by chance */

uint64_t
canary_fleet_record_hash(uint64_t endpoint, uint64_t generation, uint32_t uid)
{
    uint64_t  z;

    z = endpoint + generation * 0x9e3779b97f4a7c15
        + (uint64_t) uid * 0xbf58476d1ce4e5b9;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;

    return z ^ z >> 31;
}


void
canary_fleet_hash_print(uint64_t hash, char text[CANARY_FLEET_HASH])
{
    unsigned  i;

    for (i = 0; i < CANARY_FLEET_HASH; i++) {
        text[i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 15];
    }
}


int
canary_fleet_hash_parse(const char text[CANARY_FLEET_HASH], uint64_t *hash)
{
    char      c;
    unsigned  i;

    *hash = 0;

    for (i = 0; i < CANARY_FLEET_HASH; i++) {
        c = text[i];

        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return 0;
        }

        *hash = *hash << 4 | (uint64_t) (c <= '9' ? c - '0' : c - 'a' + 10);
    }

    return 1;
}


void
canary_fleet_endpoint_name(canary_fleet_endpoint_t *endpoint, const char *name)
{
    endpoint->name = name;
    endpoint->key = canary_key_salt(name, strlen(name));
}


/* Records. */


static int
canary_fleet_node_holds(const canary_fleet_node_t *node, uint64_t hash)
{
    char    text[CANARY_FLEET_HASH];
    size_t  i;

    canary_fleet_hash_print(hash, text);

    for (i = 0; i + CANARY_FLEET_HASH <= node->holds_len;
         i += CANARY_FLEET_HASH)
    {
        if (memcmp(node->holds + i, text, CANARY_FLEET_HASH) == 0) {
            return 1;
        }
    }

    return 0;
}


int
canary_fleet_holds_theirs(const canary_fleet_endpoint_t *endpoint,
    const canary_fleet_node_t *node)
{
    return canary_fleet_node_holds(node, endpoint->hash);
}


/* how many others have "theirs" in their files */

void
canary_fleet_count_holders(const canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoint)
{
    unsigned                    i;
    const canary_fleet_node_t  *node;

    endpoint->holders = 0;
    endpoint->hash = canary_fleet_record_hash(endpoint->key,
                                              endpoint->theirs.generation,
                                              endpoint->theirs.uid);

    for (i = 0; i < fleet->nnodes; i++) {
        node = &fleet->nodes[i];

        if (!canary_fleet_is_me(fleet, node->name)
            && canary_fleet_is_fresh(fleet, node)
            && canary_fleet_holds_theirs(endpoint, node))
        {
            endpoint->holders++;
        }
    }

    canary_fleet_settle(fleet, endpoint);
}


/* most have had it: whoever exposes knows of it */

static void
canary_fleet_settle(const canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoint)
{
    if (endpoint->theirs.generation > 0
        && canary_fleet_majority(endpoint->holders
                                 + (uint32_t) canary_fleet_in_file(endpoint),
                                 canary_fleet_size(fleet)))
    {
        endpoint->settled = endpoint->theirs.generation;
        endpoint->settled_uid = endpoint->theirs.uid;
    }
}


int
canary_fleet_is_settled(const canary_fleet_endpoint_t *endpoint)
{
    return endpoint->settled == endpoint->theirs.generation
           && endpoint->settled_uid == endpoint->theirs.uid;
}


/* nodes tell of endpoints in about the same order */

void
canary_fleet_count_all(canary_fleet_t *fleet)
{
    unsigned  i, k;

    for (k = 0; k < fleet->nendpoints; k++) {
        fleet->endpoints[k].holders = 0;
    }

    for (i = 0; i < fleet->nnodes; i++) {
        if (!canary_fleet_is_me(fleet, fleet->nodes[i].name)
            && canary_fleet_is_fresh(fleet, &fleet->nodes[i]))
        {
            canary_fleet_count_held(fleet, &fleet->nodes[i]);
        }
    }

    for (k = 0; k < fleet->nendpoints; k++) {
        canary_fleet_settle(fleet, &fleet->endpoints[k]);
    }
}


static void
canary_fleet_count_held(canary_fleet_t *fleet, const canary_fleet_node_t *node)
{
    size_t    at;
    uint64_t  hash;
    unsigned  k, n, next;

    next = 0;

    for (at = 0; at + CANARY_FLEET_HASH <= node->holds_len;
         at += CANARY_FLEET_HASH)
    {
        if (!canary_fleet_hash_parse(node->holds + at, &hash)) {
            continue;
        }

        for (n = 0; n < fleet->nendpoints; n++) {
            k = (next + n) % fleet->nendpoints;

            if (fleet->endpoints[k].hash == hash) {
                fleet->endpoints[k].holders++;
                next = k + 1;
                break;
            }
        }
    }
}


void
canary_fleet_hear_asks(canary_fleet_t *fleet, const canary_fleet_node_t *node,
    uint64_t now)
{
    size_t                    at;
    uint64_t                  hash;
    unsigned                  k;
    canary_fleet_endpoint_t  *endpoint;

    for (at = 0; at + CANARY_FLEET_HASH <= node->asks_len;
         at += CANARY_FLEET_HASH)
    {
        if (!canary_fleet_hash_parse(node->asks + at, &hash)) {
            continue;
        }

        for (k = 0; k < fleet->nendpoints; k++) {
            endpoint = &fleet->endpoints[k];

            if (canary_fleet_record_hash(endpoint->key, endpoint->filed,
                                         endpoint->filed_uid)
                == hash)
            {
                endpoint->hot = now + CANARY_FLEET_HOT;
            }
        }
    }
}


int
canary_fleet_may_take(canary_fleet_t *fleet, unsigned i,
    const canary_fleet_record_t *record, uint64_t now)
{
    canary_fleet_endpoint_t  *endpoint;

    endpoint = &fleet->endpoints[i];

    if (!fleet->conf.keyed) {
        return 1;
    }

    if (!canary_fleet_reached(fleet) || !fleet->joined) {
        endpoint->strayed = 0;
        return 0;
    }

    if (canary_fleet_record_same(record, &endpoint->theirs)) {
        endpoint->strayed = 0;
        return canary_fleet_is_settled(endpoint);
    }

    /* whoever has it in effect tells it within that time */

    if (endpoint->strayed == 0) {
        endpoint->strayed = now;
    }

    return (now - endpoint->strayed > CANARY_FLEET_YOUNG) ? -1 : 0;
}


/* until it is known that most have it */

int
canary_fleet_asks(const canary_fleet_endpoint_t *endpoint)
{
    return endpoint->theirs.generation > 0
           && !canary_fleet_is_settled(endpoint);
}


int
canary_fleet_has_questions(const canary_fleet_t *fleet)
{
    unsigned  i;

    for (i = 0; fleet->conf.keyed && i < fleet->nendpoints; i++) {
        if (canary_fleet_asks(&fleet->endpoints[i])) {
            return 1;
        }
    }

    return 0;
}


/*
 * What stops may be adopted from whoever has signed it.  All else may have been
 * refused when it was signed: somebody has to have it in the file.
 */

int
canary_fleet_is_doubted(const canary_fleet_t *fleet,
    const canary_fleet_endpoint_t *endpoint)
{
    const canary_fleet_record_t  *ours, *theirs;

    ours = &endpoint->ours;
    theirs = &endpoint->theirs;

    if (!fleet->conf.keyed) {
        return 0;
    }

    if (endpoint->forged) {
        return 1;
    }

    if (endpoint->holders > 0 || canary_fleet_is_settled(endpoint)
        || theirs->generation == 0
        || (endpoint->filed == theirs->generation
            && endpoint->filed_uid == theirs->uid))
    {
        return 0;
    }

    if (theirs->phase == CANARY_IDLE) {
        return theirs->result == CANARY_PROMOTED;
    }

    return theirs->phase == CANARY_PROGRESSING
           || theirs->phase == CANARY_BAKING
           || canary_fleet_record_raises(ours, theirs);
}


int
canary_fleet_is_denied(const canary_fleet_endpoint_t *endpoint,
    const canary_fleet_record_t *theirs)
{
    return theirs->generation > 0
           && canary_fleet_record_same(&endpoint->denied, theirs);
}


int
canary_fleet_is_told_of(const canary_fleet_endpoint_t *endpoint, uint64_t now)
{
    return endpoint->filed > 0
           && (endpoint->ours.phase != CANARY_IDLE
               || endpoint->theirs.phase != CANARY_IDLE
               || now < endpoint->hot);
}
