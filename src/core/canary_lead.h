
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_LEAD_H
#define CANARY_LEAD_H


#include <stddef.h>
#include <stdint.h>

#include "canary_cohorts.h"
#include "canary_orders.h"
#include "canary_pace.h"
#include "canary_verdict.h"


/*
 * The fleet's test of a rollout, which its leader runs: cohorts of all nodes
 * that began in the same slots are one, and the rules are judged by these as
 * by those of one machine.
 *
 * It lives in memory of the leading process, nobody else's, without a lock,
 * some 200 KB for each rollout that goes on.  Times are of the fleet's clock.
 *
 *     canary_lead_begin()      when it gets the lease, or a rollout or its
 *                              tests begin (number or trial differ)
 *     canary_lead_load()       then, if another leader has left its state
 *
 *     canary_lead_open()       each tick that evidence came with:
 *     canary_lead_add()        for each node of which evidence is known
 *     canary_lead_close()
 *     canary_control_look()    with the role CANARY_LEADER
 *     canary_lead_orders()     for all nodes, and
 *     canary_lead_save()       for the next leader
 */


#define CANARY_LEAD_BYTES   32768      /* of a state, at most; some 300 a rule,
                                          and a window's 500 more */
#define CANARY_LEAD_NODES   256        /* whose figures are told apart */


typedef struct canary_lead_s  canary_lead_t;


/* bytes; no memory needs to be zeroed */

size_t canary_lead_size(void);

/*
 * New tests at "now", ms of the fleet's clock.  Limits that nodes count by at
 * the moment are found in "evidence", this node's own, under the zone's lock.
 */

void canary_lead_begin(canary_lead_t *lead, const canary_rollout_t *rollout,
    const canary_evidence_t *evidence, uint64_t now);

/*
 * Whether these are the tests of this rollout; if not, nothing but
 * canary_lead_begin() is to be done with them.
 */

int canary_lead_is_of(const canary_lead_t *lead,
    const canary_rollout_t *rollout);

/*
 * The state of the tests, to bytes and back.  canary_lead_load() is for tests
 * that have just begun; it returns 0, and has changed nothing, if the bytes
 * are not the state of these tests: the tests go on from the beginning.
 */

size_t canary_lead_save(const canary_lead_t *lead,
    const canary_rollout_t *rollout, uint8_t *bytes, size_t size);
int canary_lead_load(canary_lead_t *lead, const canary_rollout_t *rollout,
    const uint8_t *bytes, size_t len);


/*
 * The evidence of all nodes at "now".  "width": slots that are one
 * observation, 1, or 2 where clocks are off by more than CANARY_FLEET_STEADY.
 */

void canary_lead_open(canary_lead_t *lead, const canary_rollout_t *rollout,
    uint64_t now, uint32_t width);

/*
 * A node's, the leader's own too.  "key": 64 bits of a hash of its name.
 *
 * "live": seen within the timeout.  A slot is complete when all live nodes
 * have told it.  What was last known of the others is to be added as well, as
 * long as it is known: while they are "silent" (up to 10 s) nothing is folded
 * that they have yet to tell.
 *
 * Cohorts of another rollout or other tests do nothing; a node that is not
 * added, is not waited for.
 *
 * "times": CANARY_SIDES of them for this node, zeroed when it is new, and kept
 * from tick to tick; NULL if canary_lead_needs_times() is 0.
 */

typedef enum {
    CANARY_NODE_LIVE = 0,
    CANARY_NODE_SILENT,
    CANARY_NODE_GONE
} canary_node_t;

int canary_lead_needs_times(const canary_rollout_t *rollout);

void canary_lead_add(canary_lead_t *lead, uint64_t key, canary_node_t state,
    const canary_cohorts_t *cohorts, canary_times_mark_t *times);

void canary_lead_close(canary_lead_t *lead);


/* To be shown: as canary_judge_rules() does, of the whole fleet. */

void canary_lead_judge(canary_lead_t *lead, const canary_rollout_t *rollout,
    int detail, canary_result_t *result);

/* What it has found last, of all rules. */

canary_verdict_t canary_lead_verdict(const canary_lead_t *lead);

/* How many attempts come, at all nodes. */

const canary_pace_t *canary_lead_pace(const canary_lead_t *lead);

/* The place of the rule that stable breaks as well; -1: there is no hold. */

int canary_lead_held(const canary_lead_t *lead);

void canary_lead_orders(canary_lead_t *lead, canary_orders_t *orders);


#endif /* CANARY_LEAD_H */
