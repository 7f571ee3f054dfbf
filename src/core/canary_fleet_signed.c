
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "canary_fleet_internal.h"


/* A fleet with a key: what a node knows of others by what these have signed. */


#define CANARY_FLEET_DRIFT  1024       /* a clock loses less than one in so
                                          many ms against another */
#define CANARY_FLEET_TERMS  1000000    /* no lease is that much later than the
                                          last one */


static canary_fleet_known_t *canary_fleet_find_known(canary_fleet_t *fleet,
    const char *name);
static canary_fleet_known_t *canary_fleet_know(canary_fleet_t *fleet,
    const char *name, uint64_t now);
static canary_fleet_member_t *canary_fleet_find_member(
    canary_fleet_t *fleet, const char *name);
static void canary_fleet_drop_member(canary_fleet_t *fleet,
    canary_fleet_member_t *member);
static void canary_fleet_add_member(canary_fleet_t *fleet, const char *name,
    uint64_t number, uint64_t now);
static int canary_fleet_believe(canary_fleet_t *fleet,
    canary_fleet_node_t *node, uint64_t server, uint64_t now);
static void canary_fleet_hear_forgot(canary_fleet_t *fleet,
    const canary_fleet_node_t *node, uint64_t now);
static void canary_fleet_drop_silent(canary_fleet_t *fleet, uint64_t now);
static int canary_fleet_is_led(canary_fleet_t *fleet, uint32_t term);
static void canary_fleet_hear_terms(canary_fleet_t *fleet, int leads);
static size_t canary_fleet_print_forgot(const canary_fleet_t *fleet,
    uint64_t now, char *text);


int
canary_fleet_is_me(const canary_fleet_t *fleet, const char *name)
{
    return strcmp(name, fleet->conf.name) == 0;
}


static canary_fleet_known_t *
canary_fleet_find_known(canary_fleet_t *fleet, const char *name)
{
    unsigned  i;

    for (i = 0; i < fleet->nknown; i++) {
        if (strcmp(fleet->known[i].name, name) == 0) {
            return &fleet->known[i];
        }
    }

    return NULL;
}


/* the one that was silent for longest gives way to another; it is no member */

static canary_fleet_known_t *
canary_fleet_know(canary_fleet_t *fleet, const char *name, uint64_t now)
{
    unsigned               i;
    canary_fleet_known_t  *known, *oldest;

    known = NULL;

    if (fleet->nknown < CANARY_FLEET_NODES) {
        known = &fleet->known[fleet->nknown++];
    }

    for (oldest = NULL, i = 0; known == NULL && i < fleet->nknown; i++) {
        if ((oldest == NULL || fleet->known[i].heard < oldest->heard)
            && canary_fleet_find_member(fleet, fleet->known[i].name) == NULL)
        {
            oldest = &fleet->known[i];
        }
    }

    known = known ? known : oldest;

    if (known) {
        memset(known, 0, sizeof(canary_fleet_known_t));
        strncat(known->name, name, CANARY_NAME_SIZE - 1);
        known->began = now;
        known->heard = now;
    }

    return known;
}


int64_t
canary_fleet_age(canary_fleet_t *fleet, const char *name,
    uint32_t incarnation, uint64_t serial, uint64_t now)
{
    int64_t                ahead, off;
    uint64_t               drift;
    canary_fleet_known_t  *known;

    known = canary_fleet_find_known(fleet, name);
    ahead = (int64_t) (serial - now);
    off = ahead - fleet->conf.ahead;

    if (known == NULL || known->incarnation != incarnation) {

        if ((known && serial <= known->serial) || off > CANARY_FLEET_STRANGER
            || off < -CANARY_FLEET_STRANGER)
        {
            return -1;
        }

        known = known ? known : canary_fleet_know(fleet, name, now);

        if (known == NULL) {
            return -1;
        }

        known->incarnation = incarnation;
        known->serial = serial;
        known->ahead = ahead;
        known->slack = now;
        known->heard = now;
    }

    if (serial > known->serial) {
        drift = (now - known->slack) / CANARY_FLEET_DRIFT;

        known->serial = serial;
        known->heard = now;
        known->ahead -= (int64_t) drift;
        known->slack += drift * CANARY_FLEET_DRIFT;

        if (ahead > known->ahead) {
            known->ahead = ahead;
        }
    }

    return (ahead < known->ahead) ? known->ahead - ahead : 0;
}


/* of what a node says of itself the newest is the only one that counts */

static int
canary_fleet_believe(canary_fleet_t *fleet, canary_fleet_node_t *node,
    uint64_t server, uint64_t now)
{
    int64_t                      age;
    const canary_fleet_known_t  *known;

    age = node->has_signed
          ? canary_fleet_age(fleet, node->name, node->incarnation,
                             node->serial, now)
          : -1;

    if (age < 0) {
        return 0;
    }

    known = canary_fleet_find_known(fleet, node->name);

    if (known == NULL || node->serial < known->serial) {
        return 0;
    }

    node->last = (server > (uint64_t) age) ? server - (uint64_t) age : 0;

    return 1;
}


int
canary_fleet_is_fresh(const canary_fleet_t *fleet,
    const canary_fleet_node_t *node)
{
    return canary_fleet_node_age(node, fleet->nodes_at, fleet->conf.timeout)
           == CANARY_FLEET_LIVE;
}


/* Members. */


static canary_fleet_member_t *
canary_fleet_find_member(canary_fleet_t *fleet, const char *name)
{
    uint32_t  i;

    for (i = 0; i < fleet->kept.nmembers; i++) {
        if (strcmp(fleet->kept.members[i].name, name) == 0) {
            return &fleet->kept.members[i];
        }
    }

    return NULL;
}


static void
canary_fleet_drop_member(canary_fleet_t *fleet, canary_fleet_member_t *member)
{
    *member = fleet->kept.members[--fleet->kept.nmembers];
    fleet->changed++;
}


static void
canary_fleet_add_member(canary_fleet_t *fleet, const char *name,
    uint64_t number, uint64_t now)
{
    canary_fleet_known_t   *known;
    canary_fleet_member_t  *member;

    if (fleet->kept.nmembers == CANARY_FLEET_NODES) {
        return;
    }

    member = &fleet->kept.members[fleet->kept.nmembers++];

    memset(member, 0, sizeof(canary_fleet_member_t));
    strncat(member->name, name, CANARY_NAME_SIZE - 1);
    member->number = number;

    known = canary_fleet_find_known(fleet, name);

    if (known) {
        known->began = now;
        known->is_new = 1;
    }

    fleet->changed++;
}


/* Redis numbers them, and is believed that, but not who is one */

void
canary_fleet_number_members(canary_fleet_t *fleet,
    const canary_fleet_member_t *members, unsigned n, uint64_t now)
{
    unsigned                i;
    canary_fleet_member_t  *member;

    for (i = 0; i < n; i++) {
        member = canary_fleet_find_member(fleet, members[i].name);

        if (member == NULL && canary_fleet_is_me(fleet, members[i].name)) {
            canary_fleet_add_member(fleet, members[i].name,
                                    members[i].number, now);

        } else if (member && member->number != members[i].number) {
            member->number = members[i].number;
            fleet->changed++;
        }
    }
}


unsigned
canary_fleet_size(const canary_fleet_t *fleet)
{
    unsigned                    i, size;
    const canary_fleet_node_t  *node;

    size = fleet->kept.nmembers;

    for (i = 0; fleet->conf.keyed && i < fleet->nnodes; i++) {
        node = &fleet->nodes[i];

        if (node->members > size && canary_fleet_is_fresh(fleet, node)) {
            size = node->members;
        }
    }

    return size;
}


unsigned
canary_fleet_live(const canary_fleet_t *fleet)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < fleet->nnodes; i++) {
        n += (unsigned) canary_fleet_is_fresh(fleet, &fleet->nodes[i]);
    }

    return n;
}


int
canary_fleet_knows_most(const canary_fleet_t *fleet)
{
    return fleet->strange[0] == '\0'
           || canary_fleet_majority(canary_fleet_live(fleet),
                                    canary_fleet_size(fleet));
}


int
canary_fleet_forget(canary_fleet_t *fleet, const char *name, uint64_t now)
{
    unsigned                i;
    canary_fleet_known_t   *known;
    canary_fleet_forgot_t  *forgot;
    canary_fleet_member_t  *member;

    member = canary_fleet_find_member(fleet, name);
    known = canary_fleet_find_known(fleet, name);

    if (member == NULL || canary_fleet_is_me(fleet, name)
        || (known && now - known->heard < CANARY_FLEET_GONE))
    {
        return 0;
    }

    canary_fleet_drop_member(fleet, member);

    forgot = &fleet->forgot[0];

    for (i = 1; i < CANARY_FLEET_FORGETS; i++) {
        if (fleet->forgot[i].till < forgot->till) {
            forgot = &fleet->forgot[i];
        }
    }

    memset(forgot, 0, sizeof(canary_fleet_forgot_t));
    strncat(forgot->name, name, CANARY_NAME_SIZE - 1);

    /* others may have heard later words of it */

    forgot->serial = now - CANARY_FLEET_GONE
                     + (uint64_t) ((known && known->incarnation)
                                   ? known->ahead : fleet->conf.ahead);
    forgot->till = now + CANARY_FLEET_FORGOT;

    return 1;
}


static void
canary_fleet_hear_forgot(canary_fleet_t *fleet,
    const canary_fleet_node_t *node, uint64_t now)
{
    int                     used;
    char                    name[CANARY_NAME_SIZE];
    const char             *at, *end;
    uint64_t                serial;
    canary_fleet_known_t   *known;
    canary_fleet_member_t  *member;
    char                    text[CANARY_FLEET_FORGETS
                                 * (CANARY_NAME_SIZE + 22)];

    if (node->forgot_len == 0 || node->forgot_len >= sizeof(text)) {
        return;
    }

    memcpy(text, node->forgot, node->forgot_len);
    text[node->forgot_len] = '\0';
    end = text + node->forgot_len;

    for (at = text; at < end; at += used + 1) {
        used = 0;

        if (sscanf(at, "%63[^:]:%" SCNu64 "%n", name, &serial, &used) != 2) {
            return;
        }

        known = canary_fleet_find_known(fleet, name);
        member = canary_fleet_find_member(fleet, name);

        if (member && !canary_fleet_is_me(fleet, name)
            && (known == NULL || known->serial <= serial
                || now - known->heard >= CANARY_FLEET_DROPPED))
        {
            canary_fleet_drop_member(fleet, member);
        }
    }
}


/* each node sees for itself who has been silent for too long */

static void
canary_fleet_drop_silent(canary_fleet_t *fleet, uint64_t now)
{
    uint32_t                i;
    uint64_t                silent;
    canary_fleet_known_t   *known;
    canary_fleet_member_t  *member;

    if (!canary_fleet_majority(canary_fleet_live(fleet),
                               canary_fleet_size(fleet)))
    {
        return;
    }

    for (i = fleet->kept.nmembers; i-- > 0; /* void */ ) {
        member = &fleet->kept.members[i];

        if (canary_fleet_is_me(fleet, member->name)) {
            continue;
        }

        known = canary_fleet_find_known(fleet, member->name);

        if (known == NULL) {

            /* from now on it is known for how long */

            (void) canary_fleet_know(fleet, member->name, now);
            continue;
        }

        silent = now - known->heard;

        if (silent >= CANARY_FLEET_DROPPED
            || (silent >= CANARY_FLEET_GONE && known->is_new
                && known->heard - known->began < CANARY_FLEET_NEW))
        {
            canary_fleet_drop_member(fleet, member);
        }
    }
}


/* Nodes. */


void
canary_fleet_hear_nodes(canary_fleet_t *fleet, canary_fleet_node_t *nodes,
    unsigned n, uint64_t now)
{
    unsigned                i, kept;
    canary_fleet_known_t   *known;
    canary_fleet_member_t  *member;

    for (i = 0, kept = 0; i < n; i++) {

        if (!canary_fleet_believe(fleet, &nodes[i], fleet->nodes_at, now)) {
            continue;
        }

        member = canary_fleet_find_member(fleet, nodes[i].name);

        if (nodes[i].members == 0) {

            if (member && !canary_fleet_is_me(fleet, nodes[i].name)) {
                canary_fleet_drop_member(fleet, member);
            }

            continue;
        }

        /* one that was forgotten has to say something before it is again */

        known = canary_fleet_find_known(fleet, nodes[i].name);

        if (member == NULL && known && now - known->heard < CANARY_FLEET_GONE)
        {
            canary_fleet_add_member(fleet, nodes[i].name, 0, now);
        }

        nodes[kept++] = nodes[i];
    }

    fleet->nnodes = kept;
    fleet->nodes = nodes;

    for (i = 0; i < kept; i++) {
        if (canary_fleet_is_fresh(fleet, &nodes[i])) {
            canary_fleet_hear_asks(fleet, &nodes[i], now);
            canary_fleet_hear_forgot(fleet, &nodes[i], now);
        }
    }

    canary_fleet_drop_silent(fleet, now);
    canary_fleet_count_all(fleet);
}


/*
 * A lease is nothing that could be signed, since it is given by a script.  So
 * each says that it has one, and who sees another one that leads in a later
 * term, or in the same under a lower name, does not.
 */

static int
canary_fleet_is_led(canary_fleet_t *fleet, uint32_t term)
{
    unsigned                    i;
    const canary_fleet_node_t  *node;

    if (term > fleet->kept.term
        && term - fleet->kept.term > CANARY_FLEET_TERMS)
    {
        return 1;
    }

    for (i = 0; i < fleet->nnodes; i++) {
        node = &fleet->nodes[i];

        if (!canary_fleet_is_me(fleet, node->name)
            && canary_fleet_is_fresh(fleet, node)
            && (node->term > term
                || (node->term == term
                    && strcmp(node->name, fleet->conf.name) < 0)))
        {
            return 1;
        }
    }

    return 0;
}


void
canary_fleet_lead_signed(canary_fleet_t *fleet,
    const canary_fleet_ticked_t *tick, uint64_t now)
{
    int  leads;

    leads = tick->leads && !canary_fleet_is_led(fleet, tick->term);

    fleet->state = leads ? CANARY_FLEET_LEADER : CANARY_FLEET_FOLLOWER;

    if (!leads) {
        fleet->lead_at = 0;

    } else if (fleet->lead_at == 0) {
        fleet->lead_at = now;
    }

    fleet->since = leads ? tick->now - (now - fleet->lead_at) : tick->since;

    memcpy(fleet->leader, tick->leader, CANARY_NAME_SIZE);

    if (leads && tick->term > fleet->kept.term) {
        fleet->kept.term = tick->term;
        fleet->changed++;
    }

    canary_fleet_hear_terms(fleet, leads);
}


static void
canary_fleet_hear_terms(canary_fleet_t *fleet, int leads)
{
    unsigned                    i;
    const canary_fleet_node_t  *node;

    for (i = 0; i < fleet->nnodes; i++) {
        node = &fleet->nodes[i];

        if (node->term <= fleet->kept.term
            || !canary_fleet_is_fresh(fleet, node))
        {
            continue;
        }

        fleet->kept.term = node->term;
        fleet->changed++;

        if (!leads) {
            memcpy(fleet->leader, node->name, CANARY_NAME_SIZE);
        }
    }
}


/* What this node says. */


size_t
canary_fleet_signed_room(const canary_fleet_t *fleet)
{
    return 64 + 2 * CANARY_FLEET_HASH * (size_t) fleet->nendpoints
           + CANARY_FLEET_FORGETS * (CANARY_NAME_SIZE + 22);
}


size_t
canary_fleet_signed_print(const canary_fleet_t *fleet, int leaves,
    uint64_t now, char *text)
{
    char                           *p, *start;
    unsigned                        i;
    const canary_fleet_endpoint_t  *endpoint;

    if (!fleet->conf.keyed) {
        return 0;
    }

    p = text + sprintf(text, " %" PRIu64 " %" PRIu32 " %u ",
                       canary_fleet_filed_version(fleet),
                       (fleet->state == CANARY_FLEET_LEADER && !leaves)
                       ? fleet->kept.term : 0,
                       leaves ? 0 : fleet->kept.nmembers
                                    + (fleet->kept.nmembers == 0));

    for (start = p, i = 0; i < fleet->nendpoints; i++) {
        endpoint = &fleet->endpoints[i];

        if (canary_fleet_is_told_of(endpoint, now)) {
            canary_fleet_hash_print(canary_fleet_record_hash(
                                        endpoint->key, endpoint->filed,
                                        endpoint->filed_uid), p);
            p += CANARY_FLEET_HASH;
        }
    }

    p += sprintf(p, (p == start) ? "- " : " ");

    for (start = p, i = 0; i < fleet->nendpoints; i++) {
        endpoint = &fleet->endpoints[i];

        if (canary_fleet_asks(endpoint)) {
            canary_fleet_hash_print(endpoint->hash, p);
            p += CANARY_FLEET_HASH;
        }
    }

    p += sprintf(p, (p == start) ? "- " : " ");
    p += canary_fleet_print_forgot(fleet, now, p);

    return (size_t) (p - text);
}


static size_t
canary_fleet_print_forgot(const canary_fleet_t *fleet, uint64_t now,
    char *text)
{
    char      *p;
    unsigned   i;

    p = text;

    for (i = 0; i < CANARY_FLEET_FORGETS; i++) {
        if (now < fleet->forgot[i].till) {
            p += sprintf(p, "%s%s:%" PRIu64, (p == text) ? "" : ",",
                         fleet->forgot[i].name, fleet->forgot[i].serial);
        }
    }

    if (p == text) {
        *p++ = '-';
    }

    return (size_t) (p - text);
}
