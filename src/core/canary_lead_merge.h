
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_LEAD_MERGE_H
#define CANARY_LEAD_MERGE_H


#include <stdint.h>

#include "canary_lead_layout.h"


/* What the files that merge evidence have of each other. */


/*
 * A cohort that a node tells.  "lead->hint" is the place of the node's last
 * one: they come in order.
 */

void canary_lead_add_cohort(canary_lead_t *lead, canary_node_t state,
    const canary_cohort_view_t *cohort);

/* Of the merged ones, that at a place. */

void canary_lead_remove(canary_lead_t *lead, uint32_t place);

/*
 * Times come as sums of the node's step.  Those that a leader before has seen
 * are not known to be evidence that is not counted yet; sums that fell are of
 * a node that began anew.  "times" as of canary_lead_add().
 */

void canary_lead_add_times(canary_lead_t *lead, canary_lead_node_t *node,
    const canary_cohorts_t *cohorts, canary_times_mark_t *times);

/*
 * When all nodes were added: which cohorts are complete and settled, and folds
 * into the tests those that are over.
 */

void canary_lead_fold(canary_lead_t *lead);


#endif /* CANARY_LEAD_MERGE_H */
