
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_bytes.h"
#include "canary_evidence.h"
#include "canary_judge_layout.h"
#include "canary_orders.h"


#define CANARY_ORDERS_VERSION  1


static int canary_orders_are_old(const canary_evidence_t *evidence,
    const canary_orders_t *orders);
static void canary_orders_set_limits(canary_evidence_t *evidence,
    const canary_orders_t *orders);


size_t
canary_orders_encode(const canary_orders_t *orders, uint8_t *bytes,
    size_t size)
{
    unsigned         side;
    uint32_t         i;
    canary_writer_t  writer = { bytes, bytes + size, 0 };

    canary_put_tests(&writer, CANARY_ORDERS_VERSION, orders->number,
                     orders->trial);
    canary_put(&writer, orders->step);
    canary_put(&writer, orders->folded);
    canary_put(&writer, orders->discarded_from);
    canary_put(&writer, orders->discarded_to);
    canary_put(&writer, orders->set);

    if (orders->set) {
        canary_put(&writer, orders->set_from);
        canary_put(&writer, orders->nlimits);

        for (side = 0; side < CANARY_SIDES; side++) {
            for (i = 0; i < orders->nlimits; i++) {
                canary_put(&writer, orders->limits.limits[side][i] + 1);
            }
        }
    }

    return writer.full ? 0 : (size_t) (writer.next - bytes);
}


int
canary_orders_decode(const uint8_t *bytes, size_t len,
    canary_orders_t *orders)
{
    unsigned         side;
    uint32_t         i;
    canary_reader_t  reader = { bytes, bytes + len, 0 };

    memset(orders, 0, sizeof(canary_orders_t));

    if (!canary_take_tests(&reader, CANARY_ORDERS_VERSION, &orders->number,
                           &orders->trial))
    {
        return 0;
    }

    orders->step = (uint32_t) canary_take(&reader, UINT32_MAX);
    orders->folded = canary_take(&reader, UINT64_MAX);
    orders->discarded_from = canary_take(&reader, UINT64_MAX);
    orders->discarded_to = canary_take(&reader, UINT64_MAX);
    orders->set = (uint32_t) canary_take(&reader, CANARY_SET_OWN - 1);

    if (orders->set) {
        orders->set_from = canary_take(&reader, UINT64_MAX);
        orders->nlimits = (uint32_t) canary_take(&reader, CANARY_LIMITS_MAX);

        for (side = 0; side < CANARY_SIDES; side++) {
            for (i = 0; i < orders->nlimits; i++) {
                orders->limits.limits[side][i]
                    = canary_take(&reader, UINT64_MAX) - 1;
            }
        }
    }

    return !reader.wrong && reader.next == reader.end;
}


int
canary_orders_newer(const uint8_t *bytes, size_t len)
{
    return canary_bytes_newer(bytes, len, CANARY_ORDERS_VERSION);
}


void
canary_orders_obey(canary_evidence_t *evidence,
    const canary_rollout_t *rollout, uint64_t slot,
    const canary_orders_t *orders)
{
    if (orders->number != rollout->number || orders->trial != rollout->trial
        || orders->trial != canary_judge(evidence)->tests
        || canary_orders_are_old(evidence, orders))
    {
        return;
    }

    evidence->told_step = orders->step;
    evidence->told_slot = orders->folded;
    evidence->void_from = orders->discarded_from;
    evidence->void_to = orders->discarded_to;

    if (orders->set && slot >= orders->set_from
        && orders->set != evidence->set_numbers[evidence->limit_set]
        && orders->nlimits == evidence->nlimits)
    {
        canary_orders_set_limits(evidence, orders);
    }
}


static int
canary_orders_are_old(const canary_evidence_t *evidence,
    const canary_orders_t *orders)
{
    return (int32_t) (orders->step - evidence->told_step) < 0
           || (orders->step == evidence->told_step
               && orders->folded < evidence->told_slot);
}


/* as nodes find limits themselves, these are by what stable was before */

static void
canary_orders_set_limits(canary_evidence_t *evidence,
    const canary_orders_t *orders)
{
    canary_evidence_limits(evidence, orders->nlimits, &orders->limits);

    evidence->set_numbers[evidence->limit_set] = orders->set;
    canary_judge(evidence)->comparable |= 1u << evidence->limit_set;
}
