
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence_last.h"


static void canary_evidence_next_part(canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort);
static uint64_t canary_cohort_since(const canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort);
static void canary_count_cohort(const canary_sums_t *sums,
    canary_counts_t *counts);
static void canary_count_part(const canary_evidence_t *evidence,
    uint32_t place, canary_counts_t *counts);


/* a cohort that is folded */

void
canary_evidence_remember(canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort)
{
    uint32_t          i;
    canary_part_t    *part;
    canary_counts_t   counts;

    if ((int32_t) (cohort->number - evidence->first_tested) < 0) {
        return;
    }

    if (evidence->nparts == 0
        || canary_elapsed(cohort->began,
                          evidence->books->parts[evidence->part].began)
           >= CANARY_LAST_PART_MS)
    {
        canary_evidence_next_part(evidence, cohort);
    }

    memset(&counts, 0, sizeof(canary_counts_t));
    canary_count_cohort(&cohort->sides[CANARY_SIDE_STABLE], &counts);

    part = &evidence->books->parts[evidence->part];

    part->ended = cohort->ended;
    part->started += (uint32_t) counts.started;
    part->timed += (uint32_t) counts.timed;
    part->time_only += (uint32_t) counts.time_only;
    part->bad += (uint32_t) counts.bad;
    part->bad_4xx += (uint32_t) counts.bad_4xx;
    part->bad_5xx += (uint32_t) counts.bad_5xx;
    part->left += (uint32_t) counts.left;
    part->left_only += (uint32_t) counts.left_only;
    part->time += counts.time;

    for (i = 0; i < evidence->nlimits; i++) {
        evidence->books->part_slows[evidence->part].slow[i]
            += (uint32_t) counts.slow[i];
    }
}


static void
canary_evidence_next_part(canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort)
{
    canary_part_t  *part;

    if (evidence->nparts < CANARY_LAST_PARTS) {
        evidence->nparts++;
    }

    evidence->part = (evidence->part + 1) % CANARY_LAST_PARTS;

    part = &evidence->books->parts[evidence->part];

    memset(part, 0, sizeof(canary_part_t));
    part->began = cohort->began;

    if (evidence->nlimits) {
        memset(&evidence->books->part_slows[evidence->part], 0,
               sizeof(canary_slow_t));
    }
}


void
canary_evidence_last(const canary_evidence_t *evidence,
    const canary_tail_t *tail, uint64_t now, uint64_t ms,
    canary_counts_t *counts)
{
    uint32_t                     i, place;
    const canary_part_t         *part;
    const canary_cohort_view_t  *cohort;

    memset(counts, 0, sizeof(canary_counts_t));

    for (i = tail->n; i > 0; i--) {
        cohort = &tail->cohorts[i - 1];

        if ((int32_t) (cohort->number - evidence->first_tested) < 0
            || (cohort->ended
                && canary_elapsed(now, canary_cohort_since(evidence, cohort))
                   >= ms))
        {
            return;
        }

        canary_count_cohort(&cohort->sides[CANARY_SIDE_STABLE], counts);
    }

    for (i = 0; i < evidence->nparts; i++) {
        place = (evidence->part + CANARY_LAST_PARTS - i) % CANARY_LAST_PARTS;
        part = &evidence->books->parts[place];

        if (canary_elapsed(now, part->began
                                + canary_elapsed(part->ended, part->began) / 2)
            >= ms)
        {
            return;
        }

        canary_count_part(evidence, place, counts);
    }
}


/*
 * Up to when a cohort counts: where they may be longer than a part, as a part
 * does, by its middle, lest what was good before hides an outage.
 */

static uint64_t
canary_cohort_since(const canary_evidence_t *evidence,
    const canary_cohort_view_t *cohort)
{
    if (canary_evidence_length(evidence) <= CANARY_LAST_PART_MS) {
        return cohort->ended;
    }

    return cohort->began + canary_elapsed(cohort->ended, cohort->began) / 2;
}


/* those that came late as attempts of their own, since they began before */

static void
canary_count_cohort(const canary_sums_t *sums, canary_counts_t *counts)
{
    uint32_t  i, bad;

    canary_evidence_count_sums(sums, counts);

    bad = sums->late.bad_4xx + sums->late.bad_5xx - sums->late.bad_both;

    counts->started += bad;
    counts->bad += bad;
    counts->bad_4xx += sums->late.bad_4xx;
    counts->bad_5xx += sums->late.bad_5xx;

    for (i = 0; i < CANARY_LIMITS_MAX; i++) {
        counts->slow[i] += sums->late_slow.slow[i];
    }
}


static void
canary_count_part(const canary_evidence_t *evidence, uint32_t place,
    canary_counts_t *counts)
{
    uint32_t              i;
    const canary_part_t  *part;

    part = &evidence->books->parts[place];

    counts->started += part->started;
    counts->timed += part->timed;
    counts->time_only += (uint64_t) (int32_t) part->time_only;
    counts->bad += part->bad;
    counts->bad_4xx += part->bad_4xx;
    counts->bad_5xx += part->bad_5xx;
    counts->left += part->left;
    counts->left_only += part->left_only;
    counts->time += part->time;

    for (i = 0; i < evidence->nlimits; i++) {
        counts->slow[i] += evidence->books->part_slows[place].slow[i];
    }
}
