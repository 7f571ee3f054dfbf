
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_histogram.h"
#include "canary_lead.h"
#include "canary_lead_layout.h"
#include "canary_lead_merge.h"


/* The times of all nodes, of which each tells its sums. */


static void canary_lead_add_side(canary_lead_t *lead, int from_here,
    unsigned side, const canary_times_mark_t *now,
    const canary_times_mark_t *before);


int
canary_lead_needs_times(const canary_rollout_t *rollout)
{
    return canary_cohorts_need_times(rollout, 0) != 0;
}


void
canary_lead_add_times(canary_lead_t *lead, canary_lead_node_t *node,
    const canary_cohorts_t *cohorts, canary_times_mark_t *times)
{
    int       from_here;
    unsigned  side;
    uint32_t  i;

    if (node->times_step != cohorts->step) {
        memset(times, 0, CANARY_SIDES * sizeof(canary_times_mark_t));
        node->times_step = cohorts->step;

        /* all of a step that began while this one leads */

        node->timed = (lead->loaded == cohorts->step + 1)
                      ? 0 : (1u << CANARY_SIDES) - 1;
    }

    for (side = 0; side < CANARY_SIDES; side++) {

        if (!(cohorts->timed & 1u << side)) {
            continue;
        }

        from_here = !(node->timed & 1u << side);
        node->timed |= 1u << side;

        /* most have none that are new */

        if (memcmp(&times[side], &cohorts->times[side],
                   sizeof(canary_times_mark_t))
            == 0)
        {
            continue;
        }

        for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
            if (cohorts->times[side].counts[i] < times[side].counts[i]) {
                memset(&times[side], 0, sizeof(canary_times_mark_t));
                break;
            }
        }

        canary_lead_add_side(lead, from_here, side, &cohorts->times[side],
                             &times[side]);
        times[side] = cohorts->times[side];
    }
}


static void
canary_lead_add_side(canary_lead_t *lead, int from_here, unsigned side,
    const canary_times_mark_t *now, const canary_times_mark_t *before)
{
    uint32_t  i, more;

    for (i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
        more = now->counts[i] - before->counts[i];

        lead->times.step[side].counts[i] += more;

        if (!from_here) {
            lead->times.sides[side].counts[i] += more;
        }
    }
}
