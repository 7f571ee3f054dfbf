
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


#endif /* CANARY_FLEET_INTERNAL_H */
