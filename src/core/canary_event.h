
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVENT_H
#define CANARY_EVENT_H


#include <stdint.h>

#include "canary_match.h"
#include "canary_outage.h"
#include "canary_route.h"
#include "canary_rule.h"


/*
 * What happened to a rollout, as shared memory, files and answers have it;
 * and the sizes of what they all keep of an endpoint.
 */


#define CANARY_NAME_SIZE    64    /* bytes of a name of a release, an actor or
                                     an address; ends with a zero */
#define CANARY_REASON_SIZE  192   /* bytes, ends with a zero */
#define CANARY_FIGURES      8     /* rules shown in an event; the one that
                                     broke is the first */
#define CANARY_EVENTS       64    /* kept of an endpoint: the last ones */
#define CANARY_RELEASES     48    /* of an endpoint, remembered */

_Static_assert(CANARY_RELEASES <= CANARY_NO_RELEASE,
               "each release that is remembered has an id in a routing word");


/* The figures of one rule in an event, in the rule's own units. */

typedef struct {
    canary_rule_t       rule;
    canary_judgement_t  judgement;
} canary_figure_t;


typedef struct {
    unsigned char       name[CANARY_NAME_SIZE];
    unsigned char       address[CANARY_NAME_SIZE];    /* may be empty */
} canary_actor_t;


typedef struct {
    uint64_t            id;             /* rising; of all endpoints */
    uint64_t            generation;
    uint64_t            time;           /* ms since 1970 */
    uint64_t            attempts;       /* of the step; only with figures */
    uint32_t            rollout;        /* its number */
    uint32_t            verb;           /* canary_verb_t */
    uint32_t            from_phase;
    uint32_t            from_weight;
    uint32_t            to_phase;
    uint32_t            to_weight;
    uint32_t            nfigures;
    canary_figure_t     figures[CANARY_FIGURES];
    canary_matches_t    matches;        /* that these are about */
    canary_outage_t     outage;         /* of stable, if that holds the
                                           rollout, or for how long it was
                                           away, else 0 */
    canary_actor_t      actor;
    unsigned char       reason[CANARY_REASON_SIZE];
    unsigned char       release[CANARY_NAME_SIZE];    /* the canary, or what
                                           was made stable at once; empty:
                                           none, or not known */
} canary_event_t;


/*
 * What happened, not what was asked for: "started", "step", "baking",
 * "promoted", "rolled_back", "halted", "holding", "paused", "resumed",
 * "changed", "direct", "stable_unavailable", "stable_available".
 */

const char *canary_event_type(const canary_event_t *event);


#endif /* CANARY_EVENT_H */
