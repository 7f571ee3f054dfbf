
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef UNIT_NODES_H
#define UNIT_NODES_H


/*
 * A fleet in one process: nodes that count attempts, each with a clock of its
 * own, that look at them each 50 ms and tell what they have, in bytes; one of
 * them leads.  Nothing that is decided is carried out.
 */


#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_control.h"

#include "memory.h"
#include "unit.h"


#define NODES        8
#define NODES_BEGIN  1764527400000ull     /* of the fleet's clock */
#define NODES_LOOP   50
#define NODES_ENDS   16384                /* ms that an attempt takes at most */
#define NODES_FLIGHT 65536

#define STABLE       CANARY_SIDE_STABLE
#define CANARY       CANARY_SIDE_CANARY

#define PERCENT      (CANARY_RATIO_ONE / 100)


typedef struct nodes_s  nodes_t;

typedef struct {
    nodes_t             *fleet;
    canary_evidence_t   *evidence;
    canary_rollout_t     rollout;
    canary_times_t       times;
    canary_times_mark_t  marks[CANARY_SIDES];    /* the leader's, of it */
    canary_away_t        away[CANARY_SIDES];
    uint64_t             answered[CANARY_SIDES];
    uint64_t             ahead;                  /* ms, of its clock */
    canary_node_t        state;
    int                  deaf;                   /* nothing comes or goes */
    canary_cohorts_t     told;
    int                  has_told;
    size_t               bytes;                  /* of that */
} node_t;


typedef struct {
    canary_ticket_t      ticket;
    canary_finish_t      finish;
    uint32_t             node;
    uint32_t             rest;
    canary_end_t         end;
    unsigned             matched;
    uint32_t             next;
} nodes_attempt_t;


struct nodes_s {
    uint32_t             n;
    node_t               nodes[NODES];
    canary_lead_t       *lead;
    uint32_t             leader;
    uint64_t             t;                      /* ms since it began */
    double               common;                 /* shares of alpha */
    double               share;
    uint32_t             width;
    int                  may_step;
    uint64_t             patience;               /* of the canary's absence */
    canary_orders_t      orders;

    uint32_t             ends[NODES_ENDS];
    nodes_attempt_t      attempts[NODES_FLIGHT];
    uint32_t             nattempts;
    uint32_t             unused;

    /* what has been decided */

    uint32_t             calls;
    uint32_t             holds;
    uint32_t             steps;
    uint32_t             broken;                 /* by the fleet's test, */
    uint32_t             broken_alone;           /* by a node's */
    uint32_t             unavailable;
    uint64_t             broken_at;              /* t, the first of all */
    uint32_t             rule;
};


static inline canary_rule_t
nodes_rule(canary_rule_kind_t kind, uint64_t threshold, unsigned given,
    canary_rule_t more)
{
    more.kind = kind;
    more.threshold = threshold;

    assert_null(canary_rule_complete(&more, given));

    return more;
}


static inline const canary_times_t *
nodes_times(void *data, int detail)
{
    node_t  *node = data;

    (void) detail;

    return &node->times;
}


static inline void
nodes_begin_step(void *data)
{
    node_t  *node = data;

    memset(node->times.step, 0, sizeof(node->times.step));
}


static inline void
nodes_change(void *data, const canary_command_t *command,
    const canary_breach_t *breach, const canary_result_t *result)
{
    node_t   *node = data;

    nodes_t  *fleet = node->fleet;

    fleet->calls++;

    if (command->verb == CANARY_HOLDING) {
        fleet->holds++;
        return;
    }

    if (command->verb == CANARY_TICK) {
        fleet->steps++;
        return;
    }

    if (fleet->broken + fleet->broken_alone == 0) {
        fleet->broken_at = fleet->t;
        fleet->rule = breach->rule;
    }

    if (result->of_fleet) {
        fleet->broken++;

    } else {
        fleet->broken_alone++;
    }
}


static inline uint64_t
nodes_answered(void *data, unsigned side)
{
    node_t  *node = data;

    return node->answered[side];
}


static inline uint64_t
nodes_patience(void *data)
{
    node_t  *node = data;

    return node->fleet->patience;
}


static inline void
nodes_absent(void *data, const canary_command_t *command,
    const canary_outage_t *outage)
{
    node_t  *node = data;

    (void) outage;

    if (command->verb == CANARY_VIOLATION) {
        node->fleet->unavailable++;
    }
}


static inline canary_rollout_t
nodes_rollout(const canary_rule_t *rules, uint32_t nrules, uint64_t now,
    uint64_t patience)
{
    uint32_t           at, steps[] = { 100000, 200000, 300000 };
    canary_command_t   command;
    canary_rollout_t   rollout;
    canary_strategy_t  strategy;

    canary_strategy_init(&strategy);
    assert_int_equal(canary_strategy_set_steps(&strategy, steps, 3, &at),
                     CANARY_STEPS_OK);

    strategy.nrules = nrules;
    strategy.patience = patience;
    memcpy(strategy.rules, rules, nrules * sizeof(canary_rule_t));

    canary_rollout_init(&rollout, 0);

    command = (canary_command_t) {
        .verb = CANARY_START, .now = now, .release = 1, .strategy = &strategy
    };

    assert_int_equal(canary_rollout_apply(&rollout, &command),
                     CANARY_CHANGED);

    return rollout;
}


static inline uint64_t
nodes_now(const nodes_t *fleet)
{
    return NODES_BEGIN + fleet->t;
}


static inline nodes_t *
nodes_new(uint32_t n, const canary_rule_t *rules, uint32_t nrules,
    uint64_t patience)
{
    uint32_t   i;
    node_t    *node;
    nodes_t   *fleet;

    fleet = calloc(1, sizeof(nodes_t));
    assert_non_null(fleet);

    fleet->n = n;
    fleet->common = 1;
    fleet->width = 1;
    fleet->unused = UINT32_MAX;
    memset(fleet->ends, 0xff, sizeof(fleet->ends));

    for (i = 0; i < n; i++) {
        node = &fleet->nodes[i];

        node->fleet = fleet;
        node->ahead = NODES_BEGIN + 12345678ull * i;
        node->evidence = unit_evidence(2, 2);
        node->rollout = nodes_rollout(rules, nrules, node->ahead, patience);

        canary_judge_begin(node->evidence, &node->rollout, node->ahead,
                           &node->times);
    }

    fleet->lead = unit_junk(canary_lead_size());
    canary_lead_begin(fleet->lead, &fleet->nodes[0].rollout,
                      fleet->nodes[0].evidence, nodes_now(fleet));

    return fleet;
}


static inline void
nodes_free(nodes_t *fleet)
{
    uint32_t  i;

    for (i = 0; i < fleet->n; i++) {
        unit_free_evidence(fleet->nodes[i].evidence);
    }

    free(fleet->lead);
    free(fleet);
}


static inline canary_member_t
nodes_member(const nodes_t *fleet, canary_role_t role)
{
    return (canary_member_t) {
        .role = role, .now = nodes_now(fleet), .share = fleet->share,
        .common = fleet->common, .lead = fleet->lead
    };
}


static inline canary_control_t
nodes_control(node_t *node, const canary_member_t *member)
{
    return (canary_control_t) {
        .evidence = node->evidence, .rollout = &node->rollout,
        .now = node->fleet->t + node->ahead, .away = node->away,
        .member = member, .data = node, .times = nodes_times,
        .begin_step = nodes_begin_step, .change = nodes_change,
        .answered = nodes_answered, .patience = nodes_patience,
        .absent = nodes_absent
    };
}


/* What it has, by way of bytes. */

static inline void
nodes_tell(node_t *node, const canary_control_t *control)
{
    canary_cohorts_t  told;

    static uint8_t  bytes[CANARY_COHORTS_BYTES];

    memset(&told, 0xa5, sizeof(canary_cohorts_t));
    memset(&node->told, 0x5a, sizeof(canary_cohorts_t));

    canary_control_tell(control, &told);

    node->bytes = canary_cohorts_encode(&told, bytes, sizeof(bytes));
    assert_true(node->bytes > 0);
    assert_true(canary_cohorts_decode(bytes, node->bytes, &node->told));

    node->has_told = 1;
}


static inline void
nodes_obey(node_t *node, const canary_orders_t *orders, uint64_t slot)
{
    size_t           len;
    uint8_t          bytes[CANARY_ORDERS_BYTES];
    canary_orders_t  copy;

    if (orders->number == 0) {
        return;
    }

    len = canary_orders_encode(orders, bytes, sizeof(bytes));
    assert_true(len > 0);
    assert_true(canary_orders_decode(bytes, len, &copy));

    canary_orders_obey(node->evidence, &node->rollout, slot, &copy);
}


/* The leader's part: all that it knows, and a look at it. */

static inline void
nodes_lead(nodes_t *fleet)
{
    uint32_t           i;
    node_t            *node;
    canary_member_t    member;
    canary_control_t   control;

    canary_lead_open(fleet->lead, &fleet->nodes[fleet->leader].rollout,
                     nodes_now(fleet), fleet->width);

    for (i = 0; i < fleet->n; i++) {
        node = &fleet->nodes[i];

        if (node->has_told) {
            canary_lead_add(fleet->lead, 77 + i, node->state, &node->told,
                            node->marks);
        }
    }

    canary_lead_close(fleet->lead);

    member = nodes_member(fleet, CANARY_LEADER);
    control = nodes_control(&fleet->nodes[fleet->leader], &member);

    canary_control_look(&control, fleet->may_step);
    canary_lead_orders(fleet->lead, &fleet->orders);
}


static inline void
nodes_look(nodes_t *fleet)
{
    uint32_t           i;
    node_t            *node;
    canary_member_t    member;
    canary_control_t   control;

    for (i = 0; i < fleet->n; i++) {
        node = &fleet->nodes[i];

        if (node->state == CANARY_NODE_GONE) {
            continue;
        }

        member = nodes_member(fleet, node->deaf ? CANARY_ISOLATED
                                                : CANARY_FOLLOWER);
        control = nodes_control(node, &member);

        if (!node->deaf) {
            nodes_obey(node, &fleet->orders, nodes_now(fleet)
                                             / CANARY_SLOT_MS);
        }

        canary_control_look(&control, fleet->may_step);

        if (!node->deaf) {
            nodes_tell(node, &control);
        }
    }

    nodes_lead(fleet);
}


/* One machine that knows of no fleet. */

static inline void
nodes_look_alone(nodes_t *fleet)
{
    canary_control_t  control;

    control = nodes_control(&fleet->nodes[0], NULL);
    canary_control_look(&control, fleet->may_step);
}


static inline void
nodes_queue(nodes_t *fleet, uint32_t n, uint32_t ms)
{
    uint32_t  *end;

    assert_true(ms < NODES_ENDS);

    end = &fleet->ends[(fleet->t + (ms ? ms : 1)) % NODES_ENDS];
    fleet->attempts[n].next = *end;
    *end = n;
}


/*
 * An attempt that begins now; with "rest" its end is followed.  One that is
 * bad for the rules about 4xx is of the first match.
 */

static inline void
nodes_stream(nodes_t *fleet, uint32_t which, unsigned side,
    canary_finish_t finish, uint32_t ms, uint32_t rest, canary_end_t end)
{
    uint32_t          n;
    nodes_attempt_t  *attempt;

    n = fleet->unused;

    if (n != UINT32_MAX) {
        fleet->unused = fleet->attempts[n].next;

    } else {
        n = fleet->nattempts++;
        assert_true(n < NODES_FLIGHT);
    }

    attempt = &fleet->attempts[n];
    attempt->node = which % fleet->n;
    attempt->finish = finish;
    attempt->finish.time = 1000ull * ms;
    attempt->rest = rest;
    attempt->end = end;
    attempt->matched = finish.bad_4xx;

    canary_evidence_start(fleet->nodes[attempt->node].evidence, which % 2,
                          side, &attempt->ticket);

    nodes_queue(fleet, n, ms);
}


static inline void
nodes_attempt(nodes_t *fleet, uint32_t which, unsigned side,
    canary_finish_t finish, uint32_t ms)
{
    nodes_stream(fleet, which, side, finish, ms, 0, CANARY_END_OTHER);
}


static inline void
nodes_finish_one(node_t *node, const nodes_attempt_t *attempt)
{
    uint32_t                bucket;
    const canary_ticket_t  *ticket;
    const canary_finish_t  *finish;

    ticket = &attempt->ticket;
    finish = &attempt->finish;

    if (finish->timed) {
        bucket = canary_histogram_index(finish->time);
        node->times.sides[ticket->side].counts[bucket]++;

        if (ticket->step == node->rollout.tests) {
            node->times.step[ticket->side].counts[bucket]++;
        }
    }

    if (attempt->matched) {
        canary_evidence_match(node->evidence, ticket, attempt->matched);
    }

    node->answered[ticket->side]++;
    canary_evidence_finish(node->evidence, ticket, finish);

    if (ticket->side == CANARY && (finish->bad_4xx || finish->bad_5xx)) {
        (void) canary_evidence_burn(node->evidence, finish->bad_5xx ? 5 : 4);
    }
}


static inline void
nodes_finish(nodes_t *fleet)
{
    uint32_t          n, next, rest, *end;
    node_t           *node;
    nodes_attempt_t  *attempt;

    end = &fleet->ends[fleet->t % NODES_ENDS];

    for (n = *end, *end = UINT32_MAX; n != UINT32_MAX; n = next) {
        attempt = &fleet->attempts[n];
        next = attempt->next;
        node = &fleet->nodes[attempt->node];
        rest = attempt->rest;

        if (rest == UINT32_MAX) {
            canary_evidence_ended(node->evidence, &attempt->ticket,
                                  attempt->end);
        } else {
            if (rest) {
                canary_evidence_follow(node->evidence, &attempt->ticket);
            }

            nodes_finish_one(node, attempt);
        }

        if (rest && rest != UINT32_MAX) {
            attempt->rest = UINT32_MAX;
            nodes_queue(fleet, n, rest);
            continue;
        }

        attempt->next = fleet->unused;
        fleet->unused = n;
    }
}


/* One ms on; returns 1 when it is time to look. */

static inline int
nodes_tick(nodes_t *fleet)
{
    fleet->t++;
    nodes_finish(fleet);

    return fleet->t % NODES_LOOP == 0;
}


static inline canary_result_t
nodes_result(nodes_t *fleet)
{
    canary_result_t  result;

    canary_lead_judge(fleet->lead, &fleet->nodes[fleet->leader].rollout, 1,
                      &result);

    return result;
}


/* The next step, at all nodes at once. */

static inline void
nodes_advance(nodes_t *fleet)
{
    uint32_t          i;
    node_t           *node;
    canary_command_t  command;

    for (i = 0; i < fleet->n; i++) {
        node = &fleet->nodes[i];

        command = (canary_command_t) { .verb = CANARY_ADVANCE,
                                       .now = fleet->t + node->ahead };

        assert_int_equal(canary_rollout_apply(&node->rollout, &command),
                         CANARY_CHANGED);
        nodes_begin_step(node);
        (void) canary_judge_tick(node->evidence, &node->rollout,
                                 fleet->t + node->ahead);
    }
}


#endif /* UNIT_NODES_H */
