
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_VIEW_H
#define CANARY_VIEW_H


#include <stddef.h>
#include <stdint.h>

#include "canary_cohorts.h"
#include "canary_event.h"
#include "canary_fleet_nodes.h"
#include "canary_lead.h"
#include "canary_pace.h"
#include "canary_verdict.h"


/*
 * What the leader of a fleet lets all nodes show of a rollout: figures and
 * verdicts of its tests, what the next step waits for, and what each node has
 * told.  Nothing is decided by it.
 */


#define CANARY_VIEW_BYTES  32768       /* at most */
#define CANARY_VIEW_FRESH  5000        /* ms: an older one is not shown */


/* A node, by the attempts of the step that it has told of. */

typedef struct {
    char                  name[CANARY_NAME_SIZE];
    uint32_t              verdict;     /* of its own test */
    uint64_t              bad;         /* of the canary's: 5xx or failed */
    uint64_t              started[CANARY_SIDES];
} canary_view_node_t;


typedef struct {
    uint64_t              at;          /* ms of the fleet's clock */
    uint32_t              number;      /* of the rollout, */
    uint32_t              trial;       /* its tests */
    uint32_t              step;        /* and step: rollout.tests */
    int                   held;        /* rule that stable breaks too; -1 */
    int                   stable_away; /* from any node */
    canary_pace_sample_t  pace;        /* on that clock; ms 0: not known */
    canary_result_t       result;
    char                  waits[CANARY_REASON_SIZE];
                                       /* what a step waits for in the fleet; or
                                          empty */
    uint32_t              nnodes;
} canary_view_t;


/*
 * Of the leader's tests, without waits and nodes; as canary_lead_judge(), at
 * most of which this costs.
 */

void canary_view_take(canary_lead_t *lead, const canary_rollout_t *rollout,
    canary_view_t *view);

/*
 * A node, by what it tells: all but its name.  0: it tells of another rollout,
 * or of another step of it.
 */

int canary_view_take_node(const canary_cohorts_t *cohorts,
    const canary_rollout_t *rollout, canary_view_node_t *node);

/* To bytes, as canary_cohorts_encode(); "nodes" are view->nnodes. */

size_t canary_view_encode(const canary_view_t *view,
    const canary_view_node_t *nodes, uint8_t *bytes, size_t size);

/*
 * And from bytes that anybody may have written.  1, or 0 if this is not a view:
 * then it is of no use.  "nodes" may be NULL.
 */

int canary_view_decode(const uint8_t *bytes, size_t len, canary_view_t *view,
    canary_view_node_t nodes[CANARY_FLEET_NODES]);

/*
 * Whether it is of a rollout as it is now, and not too old at "time" of the
 * fleet's clock.
 */

int canary_view_is_of(const canary_view_t *view,
    const canary_rollout_t *rollout, uint64_t time);


#endif /* CANARY_VIEW_H */
