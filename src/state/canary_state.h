
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STATE_H
#define CANARY_STATE_H


#include <stddef.h>
#include <stdint.h>

#include "canary_kept.h"
#include "canary_event.h"
#include "canary_evidence_layout.h"
#include "canary_fleet.h"
#include "canary_outage.h"
#include "canary_rollout.h"
#include "canary_totals.h"


/*
 * What survives a restart, in memory: canary_state_json.h says how it is
 * written, canary_events.h where its events are.
 */


#define CANARY_STATE_SUM_MAX        (1ull << 63)  /* of times, microseconds */
#define CANARY_STATE_TIME_MAX       253402300799999ull
                                    /* ms since 1970: the end of 9999 */

#define CANARY_STATE_ENDPOINT_NAME  4096          /* bytes, with a zero */

#define CANARY_STATE_VERBS          (CANARY_STABLE_AVAILABLE + 1)


typedef struct {
    char                     name[CANARY_NAME_SIZE];
    canary_totals_t          totals;
    canary_totals_t          seen;          /* for the owner: what the file
                                               had before */
} canary_state_release_t;


/*
 * An endpoint.  Of the rollout, generation, number, phase, weight and step
 * are kept, the strategy while it is not idle, and last_number and
 * last_result; releases by their names beside it, the rest begins anew.
 */

typedef struct {
    char                    *name;          /* allocated, zero-terminated */
    canary_rollout_t         rollout;
    char                     stable[CANARY_NAME_SIZE];
    char                     canary[CANARY_NAME_SIZE];     /* or empty */
    uint64_t                 spent_stable;  /* of budgets, so far */
    uint64_t                 spent_canary;
    canary_state_spent_t     seen;          /* for the owner, as above */

    char                     last_release[CANARY_NAME_SIZE];
    char                     last_reason[CANARY_REASON_SIZE];
    uint64_t                 ended;         /* ms since 1970 */
    uint32_t                 last_verb;     /* canary_verb_t; 0: not known */

    unsigned                 nreleases;
    canary_state_release_t  *releases;
    unsigned                 nevents;
    canary_event_t          *events;        /* oldest first */
    uint64_t                 appended;      /* id of the last one that the
                                               file of events has; 0: none */
    int                      loaded;        /* those of that file are here */
    int                      here;          /* it is of this machine's memory:
                                               the times of the rollout are of
                                               this clock, and the events are
                                               in the zone */

    unsigned                 nvoid;
    uint64_t                 voids[CANARY_STATE_VOIDS];
                                            /* ids of events that might be in
                                               the file, and are none */
    uint64_t                 told;          /* for the owner: voids ever, with
                                               these */
} canary_state_endpoint_t;


/* The fleet that this nginx was in. */

#define CANARY_STATE_SEEDS    (CANARY_FLEET_SEEDS * CANARY_FLEET_SEED_SIZE)
#define CANARY_STATE_MEMBERS  (CANARY_FLEET_NODES * (CANARY_NAME_SIZE + 21))

/*
 * A record of an endpoint that is not configured here, as the fleet has it:
 * text behind the endpoint's word, both of which end with a zero.
 */

typedef struct canary_state_other_s  canary_state_other_t;

struct canary_state_other_s {
    canary_state_other_t    *next;
    const char              *record;
    char                     word[];
};


typedef struct {
    char                     name[CANARY_NAME_SIZE];       /* empty: none */
    canary_fleet_kept_t      kept;          /* but for the clock */
    uint64_t                 contact;       /* ms since 1970: when it last
                                               answered; 0: not known */
    canary_state_other_t    *others;
} canary_state_fleet_t;


typedef struct {
    uint64_t                 writer;        /* whoever wrote it: a number
                                               that nobody else has */
    uint64_t                 last_event;    /* id, 0: none */
    uint64_t                 configuration; /* serial number, as shown; 0: not
                                               known */
    unsigned                 nendpoints;
    canary_state_endpoint_t *endpoints;
    canary_state_fleet_t     fleet;
} canary_state_t;


/* A state of n endpoints, all zero, without names.  NULL: no memory. */

canary_state_t *canary_state_create(unsigned n);
void canary_state_destroy(canary_state_t *state);

/* Room for so many of each, none of which is set; 0: no memory. */

int canary_state_reserve(canary_state_endpoint_t *endpoint,
    unsigned nreleases, unsigned nevents);

/* A copy of a name of len bytes; 0: no memory. */

int canary_state_set_name(canary_state_endpoint_t *endpoint,
    const char *name, size_t len);

/* 0: no memory */

int canary_state_add_other(canary_state_fleet_t *fleet, const char *word,
    size_t word_len, const char *record, size_t len);

void canary_state_free_events(canary_state_endpoint_t *endpoint);

/*
 * What totals have gained since they were seen, and makes them so; 0: nothing.
 * Some may be less than they were: an older file was put there.
 */

int canary_state_gain(canary_totals_t *seen,
    const canary_totals_t *totals, canary_totals_t *gain);


#endif /* CANARY_STATE_H */
