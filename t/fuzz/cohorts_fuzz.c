
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_evidence_places.h"
#include "canary_judge.h"
#include "canary_lead.h"
#include "canary_orders.h"
#include "canary_view.h"

#include "fuzz.h"


/*
 * What nodes of a fleet send each other, by the first byte: cohorts of a node,
 * which the leader then judges; orders of the leader; the state of its tests;
 * and what it shows.  Whatever is taken is sent as bytes that are taken too, and that are
 * sent the same.
 */


#define FUZZ_SLOT  17645274000ull


static void fuzz_cohorts(const uint8_t *data, size_t size);
static void fuzz_lead(const canary_cohorts_t *cohorts);
static void fuzz_orders(const uint8_t *data, size_t size);
static void fuzz_state(const uint8_t *data, size_t size);
static void fuzz_view(const uint8_t *data, size_t size);
static canary_lead_t *fuzz_begin(unsigned which, canary_rollout_t *rollout);
static void fuzz_start(canary_rollout_t *rollout);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }

    switch (data[0] % 4) {

    case 0:
        fuzz_cohorts(data + 1, size - 1);
        break;

    case 1:
        fuzz_orders(data + 1, size - 1);
        break;

    case 2:
        fuzz_state(data + 1, size - 1);
        break;

    default:
        fuzz_view(data + 1, size - 1);
        break;
    }

    return 0;
}


static void
fuzz_cohorts(const uint8_t *data, size_t size)
{
    size_t  len, again;

    static uint8_t           bytes[2][CANARY_COHORTS_BYTES];
    static canary_cohorts_t  cohorts;

    memset(&cohorts, 0xa5, sizeof(canary_cohorts_t));

    if (!canary_cohorts_decode(data, size, &cohorts)) {
        return;
    }

    len = canary_cohorts_encode(&cohorts, bytes[0], CANARY_COHORTS_BYTES);
    fuzz_assert(len != 0);

    fuzz_lead(&cohorts);

    memset(&cohorts, 0x5a, sizeof(canary_cohorts_t));
    fuzz_assert(canary_cohorts_decode(bytes[0], len, &cohorts));

    again = canary_cohorts_encode(&cohorts, bytes[1], CANARY_COHORTS_BYTES);
    fuzz_assert(again == len && memcmp(bytes[0], bytes[1], len) == 0);
}


/* as two nodes, live and gone, beside what the judge makes of it */

static void
fuzz_lead(const canary_cohorts_t *cohorts)
{
    uint32_t           i;
    canary_lead_t     *lead;
    canary_result_t    result;
    canary_rollout_t   rollout;

    static canary_cohorts_t     ours;
    static canary_times_mark_t  times[2][CANARY_SIDES];

    lead = fuzz_begin(0, &rollout);
    memset(times, 0, sizeof(times));

    ours = *cohorts;
    ours.number = rollout.number;
    ours.trial = rollout.trial;
    ours.nlimits = 2;

    for (i = 0; i < 4; i++) {
        canary_lead_open(lead, &rollout,
                         (FUZZ_SLOT + 50 * i) * CANARY_SLOT_MS, 1 + i % 2);
        canary_lead_add(lead, 1, CANARY_NODE_LIVE, &ours, times[0]);
        canary_lead_add(lead, 2, (canary_node_t) (i % 3), &ours, times[1]);
        canary_lead_close(lead);
        canary_lead_judge(lead, &rollout, 1, &result);
    }
}


static void
fuzz_orders(const uint8_t *data, size_t size)
{
    size_t           len, again;
    uint8_t          bytes[2][CANARY_ORDERS_BYTES];
    canary_orders_t  orders;

    if (!canary_orders_decode(data, size, &orders)) {
        return;
    }

    len = canary_orders_encode(&orders, bytes[0], CANARY_ORDERS_BYTES);
    fuzz_assert(len != 0);
    fuzz_assert(canary_orders_decode(bytes[0], len, &orders));

    again = canary_orders_encode(&orders, bytes[1], CANARY_ORDERS_BYTES);
    fuzz_assert(again == len && memcmp(bytes[0], bytes[1], len) == 0);
}


static void
fuzz_state(const uint8_t *data, size_t size)
{
    size_t             len, again;
    canary_lead_t     *lead, *next;
    canary_result_t    result;
    canary_rollout_t   rollout;

    static uint8_t  bytes[2][CANARY_LEAD_BYTES];

    lead = fuzz_begin(0, &rollout);

    if (canary_lead_load(lead, &rollout, data, size)) {
        len = canary_lead_save(lead, &rollout, bytes[0], CANARY_LEAD_BYTES);
        fuzz_assert(len != 0);

        next = fuzz_begin(1, &rollout);
        fuzz_assert(canary_lead_load(next, &rollout, bytes[0], len));

        again = canary_lead_save(next, &rollout, bytes[1], CANARY_LEAD_BYTES);
        fuzz_assert(again == len && memcmp(bytes[0], bytes[1], len) == 0);

        canary_lead_open(lead, &rollout, FUZZ_SLOT * CANARY_SLOT_MS, 1);
        canary_lead_close(lead);
        canary_lead_judge(lead, &rollout, 1, &result);
    }
}


static void
fuzz_view(const uint8_t *data, size_t size)
{
    size_t         len, again;
    canary_view_t  view;

    static uint8_t             bytes[2][CANARY_VIEW_BYTES];
    static canary_view_node_t  nodes[CANARY_FLEET_NODES];

    if (!canary_view_decode(data, size, &view, nodes)) {
        return;
    }

    len = canary_view_encode(&view, nodes, bytes[0], CANARY_VIEW_BYTES);
    fuzz_assert(len != 0);
    fuzz_assert(canary_view_decode(bytes[0], len, &view, nodes));

    again = canary_view_encode(&view, nodes, bytes[1], CANARY_VIEW_BYTES);
    fuzz_assert(again == len && memcmp(bytes[0], bytes[1], len) == 0);
}


/* memory that is used again: what is new each time is what begins there */

static canary_lead_t *
fuzz_begin(unsigned which, canary_rollout_t *rollout)
{
    static canary_times_t      times;
    static canary_judged_t     judged;
    static canary_lead_t      *leads[2];
    static canary_rollout_t    template;
    static canary_evidence_t  *evidence;

    if (evidence == NULL) {
        evidence = calloc(1, canary_evidence_size(0));
        leads[0] = malloc(canary_lead_size());
        leads[1] = malloc(canary_lead_size());
        fuzz_assert(evidence && leads[0] && leads[1]);

        fuzz_start(&template);
        canary_evidence_init(evidence, 0);
        canary_evidence_set_books(evidence, &judged.books);
        canary_judge_begin(evidence, &template, 1, &times);
    }

    *rollout = template;
    canary_lead_begin(leads[which], rollout, evidence,
                      FUZZ_SLOT * CANARY_SLOT_MS);

    return leads[which];
}


static void
fuzz_start(canary_rollout_t *rollout)
{
    canary_command_t   command;
    canary_strategy_t  strategy;

    static const canary_rule_t  rules[] = {
        { .kind = CANARY_RULE_ERROR_5XX_RATE, .threshold = 100000000,
          .confidence = CANARY_CONFIDENCE_DEFAULT, .burst = 100,
          .min_requests = 1 },
        { .kind = CANARY_RULE_LATENCY_P90_MAX, .threshold = 2000000000,
          .confidence = CANARY_CONFIDENCE_DEFAULT, .burst = 100,
          .min_requests = 1, .baseline = 1 },
        { .kind = CANARY_RULE_LATENCY_P99_MAX, .threshold = 20000,
          .window = 3000, .min_requests = 50 },
        { .kind = CANARY_RULE_LATENCY_AVG_MAX, .threshold = 2000000000,
          .confidence = CANARY_CONFIDENCE_DEFAULT, .min_requests = 1,
          .baseline = 1 },
        { .kind = CANARY_RULE_FAILED_REQUESTS_MAX, .threshold = 10,
          .min_requests = 1 },
        { .kind = CANARY_RULE_ABANDONED_RATE, .threshold = 100000000,
          .confidence = CANARY_CONFIDENCE_DEFAULT, .burst = 0,
          .min_requests = 1 }
    };

    canary_strategy_init(&strategy);
    strategy.nrules = sizeof(rules) / sizeof(rules[0]);
    memcpy(strategy.rules, rules, sizeof(rules));

    command = (canary_command_t) {
        .verb = CANARY_START, .now = 1, .release = 1, .strategy = &strategy
    };

    canary_rollout_init(rollout, 0);
    fuzz_assert(canary_rollout_apply(rollout, &command) == CANARY_CHANGED);
}
