
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_LEAD_LAYOUT_H
#define CANARY_LEAD_LAYOUT_H


#include <stdint.h>

#include "canary_lead.h"


/*
 * The leader's tests: evidence without workers, whose tail and views are given
 * (canary_given_t), so that it is judged as that of one machine is.  A cohort
 * has the number of its first slot, modulo 2^32.
 */


/* What is known of a node beside its cohorts. */

typedef struct {
    uint64_t  key;
    uint64_t  spent[CANARY_SIDES];
    uint64_t  answered;               /* of the canary */
    uint64_t  answered_at;            /* ms: when that rose last, seen here */
    uint32_t  times_step;             /* of the times that are known of it */
    uint32_t  timed;                  /* sides, of these */
    uint32_t  added;                  /* since the last canary_lead_open() */
} canary_lead_node_t;


/* When a cohort was found to be settled. */

typedef struct {
    uint64_t  slot;
    uint64_t  at;                     /* ms */
    uint32_t  step;
} canary_lead_settled_t;


struct canary_lead_s {
    canary_judged_t          judged;
    canary_given_t           given;
    canary_over_t            over[CANARY_COHORTS];
    canary_times_t           times;

    const canary_rollout_t  *rollout;  /* from open to close */
    uint64_t                 now;      /* ms */
    uint32_t                 number;   /* of the rollout */
    uint32_t                 width;    /* slots */
    uint32_t                 moved;    /* since the last look */
    uint32_t                 closed;   /* at least once */
    uint32_t                 loaded;   /* step in which it took over, plus 1;
                                          0: the tests began here */

    uint32_t                 told_step;    /* as in canary_evidence_t */
    uint64_t                 told_slot;
    uint32_t                 least_step;   /* what others have been told of it
                                              when it began */
    uint64_t                 least_slot;
    uint32_t                 set;      /* of limits: number of the last one */
    uint64_t                 set_from; /* slot */

    /* of the evidence since canary_lead_open() */

    uint64_t                 complete; /* slots before this are */
    uint64_t                 heard;    /* and of these the silent told too */
    uint64_t                 longest;  /* microseconds */
    uint64_t                 voided[CANARY_SIDES];
    uint32_t                 hint;     /* place of the last cohort that came */
    uint64_t                 away[CANARY_SIDES];   /* ms, any node's */
    uint64_t                 absent;   /* ms: no live node's canary answered */

    uint32_t                 nsettled;
    canary_lead_settled_t    settled[CANARY_COHORTS];

    uint32_t                 nnodes;
    canary_lead_node_t       nodes[CANARY_LEAD_NODES];

    /* a canary_evidence_t follows */
};


static inline uint64_t
canary_lead_slot(const canary_lead_t *lead)
{
    return lead->now / CANARY_SLOT_MS;
}


/* the place of what is behind the struct is one for any type */

static inline canary_evidence_t *
canary_lead_evidence(const canary_lead_t *lead)
{
    return (canary_evidence_t *) (lead + 1);
}


/* Begins as canary_lead_begin() does, with the limits that are known. */

void canary_lead_reset(canary_lead_t *lead, const canary_rollout_t *rollout,
    uint64_t now);

/* Whether a cohort of these slots is no evidence, by the leader's holds. */

int canary_lead_is_discarded(const canary_lead_t *lead, uint64_t slot,
    uint64_t slot_end);


#endif /* CANARY_LEAD_LAYOUT_H */
