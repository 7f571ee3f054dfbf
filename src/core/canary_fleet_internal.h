
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_FLEET_INTERNAL_H
#define CANARY_FLEET_INTERNAL_H


#include "canary_fleet.h"


/* What the files of the state machine share. */


enum {
    CANARY_FLEET_DOWN = 0,       /* canary_fleet_t.connection */
    CANARY_FLEET_CONNECTING,
    CANARY_FLEET_UP
};

enum {
    CANARY_FLEET_NO_PROPOSAL = 0,    /* canary_fleet_endpoint_t.proposal */
    CANARY_FLEET_PROPOSED,           /* to be sent */
    CANARY_FLEET_PROPOSAL_SENT,
    CANARY_FLEET_CONCLUDED           /* to be said */
};

enum {
    CANARY_FLEET_NO_FLIGHT = 0,      /* canary_fleet_endpoint_t.flight */
    CANARY_FLEET_TELL_SENT,
    CANARY_FLEET_COMMIT_SENT
};

enum {
    CANARY_FLEET_NO_END = 0,         /* canary_fleet_endpoint_t.ends */
    CANARY_FLEET_TO_END,             /* to be said */
    CANARY_FLEET_ENDING
};


/* An answer has come. */

void canary_fleet_landed(canary_fleet_t *fleet, uint64_t now);

/* This node has to join before anything else. */

void canary_fleet_leave(canary_fleet_t *fleet);

void canary_fleet_conclude(canary_fleet_endpoint_t *endpoint,
    canary_fleet_result_t result);

/* Joins again at this time, or earlier. */

void canary_fleet_join_at(canary_fleet_t *fleet, uint64_t at);

/*
 * Whether this node's record stands against this one of the fleet, and is to
 * be told.
 */

int canary_fleet_ours_stands(const canary_fleet_endpoint_t *endpoint,
    const canary_fleet_record_t *theirs);

/* Whether it is a rollout that has neither ended nor been stopped. */

int canary_fleet_goes_on(const canary_fleet_record_t *record);

/* Whether the file has the fleet's record. */

int canary_fleet_in_file(const canary_fleet_endpoint_t *endpoint);


/*
 * Where there is a key: canary_fleet_signed.c.
 *
 * Nodes of an answer, of which "nodes_at" is known: those that are not to be
 * believed are taken out.
 */

void canary_fleet_hear_nodes(canary_fleet_t *fleet,
    canary_fleet_node_t *nodes, unsigned n, uint64_t now);

/* Members as Redis has them. */

void canary_fleet_number_members(canary_fleet_t *fleet,
    const canary_fleet_member_t *members, unsigned n, uint64_t now);

/* How many nodes live. */

unsigned canary_fleet_live(const canary_fleet_t *fleet);

/* Whether it is not the one whose key differs, and may lead. */

int canary_fleet_knows_most(const canary_fleet_t *fleet);

/* Who leads, after the nodes of the answer have been heard. */

void canary_fleet_lead_signed(canary_fleet_t *fleet,
    const canary_fleet_ticked_t *tick, uint64_t now);

/* "theirs" of an endpoint is another one. */

void canary_fleet_count_holders(const canary_fleet_t *fleet,
    canary_fleet_endpoint_t *endpoint);

/* Whether that node has it in its file; whether most have had it. */

int canary_fleet_holds_theirs(const canary_fleet_endpoint_t *endpoint,
    const canary_fleet_node_t *node);
int canary_fleet_is_settled(const canary_fleet_endpoint_t *endpoint);

/* Whether it may be one that the fleet has refused, or nobody has made. */

int canary_fleet_is_doubted(const canary_fleet_t *fleet,
    const canary_fleet_endpoint_t *endpoint);

/* Whether it is certain that this one of the fleet was not done. */

int canary_fleet_is_denied(const canary_fleet_endpoint_t *endpoint,
    const canary_fleet_record_t *theirs);

/* Between what is known of nodes, and of who has which records. */

int canary_fleet_is_me(const canary_fleet_t *fleet, const char *name);
int canary_fleet_is_fresh(const canary_fleet_t *fleet,
    const canary_fleet_node_t *node);
void canary_fleet_count_all(canary_fleet_t *fleet);
void canary_fleet_hear_asks(canary_fleet_t *fleet,
    const canary_fleet_node_t *node, uint64_t now);
int canary_fleet_asks(const canary_fleet_endpoint_t *endpoint);
int canary_fleet_is_told_of(const canary_fleet_endpoint_t *endpoint,
    uint64_t now);

/* Whether others are to be listened to with each tick. */

int canary_fleet_has_questions(const canary_fleet_t *fleet);

/*
 * Why a change of this mode is not to be asked for: the length, 0: it may be.
 */

size_t canary_fleet_refuses(const canary_fleet_t *fleet, unsigned endpoint,
    uint64_t now, char *text, size_t size);


#endif /* CANARY_FLEET_INTERNAL_H */
