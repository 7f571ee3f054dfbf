
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_ORDERS_H
#define CANARY_ORDERS_H


#include <stddef.h>
#include <stdint.h>

#include "canary_evidence_layout.h"
#include "canary_rollout.h"


/*
 * What the leader tells all nodes of a rollout, with each of its ticks: up to
 * where it has folded their cohorts, which they need not keep any more; what
 * is no evidence of the step; and the limits to count times against.  It is a
 * state too: who misses one has the next.  Without any, nodes keep cohorts for
 * patience and 2 s more, and quantiles beside stable prove nothing.
 */


#define CANARY_ORDERS_BYTES  320       /* at most */


typedef struct {
    uint32_t         number;           /* of the rollout, */
    uint32_t         trial;            /* and its tests */
    uint32_t         step;             /* folded are cohorts of steps before */
    uint64_t         folded;           /* this, and of this up to this slot */
    uint64_t         discarded_from;   /* slots, */
    uint64_t         discarded_to;     /* but not this; equal: none */
    uint32_t         set;              /* of limits; 0: those of the rules */
    uint32_t         nlimits;
    uint64_t         set_from;         /* slot */
    canary_limits_t  limits;
} canary_orders_t;


/* As canary_cohorts_encode() and _decode(). */

size_t canary_orders_encode(const canary_orders_t *orders, uint8_t *bytes,
    size_t size);
int canary_orders_decode(const uint8_t *bytes, size_t len,
    canary_orders_t *orders);
int canary_orders_newer(const uint8_t *bytes, size_t len);

/*
 * At each node, the leader too, under the zone's lock, before
 * canary_control_look() at "slot".  Those of another rollout, other tests, or
 * that are older than what was obeyed before do nothing.
 */

void canary_orders_obey(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t slot,
    const canary_orders_t *orders);


#endif /* CANARY_ORDERS_H */
