
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_bytes.h"
#include "canary_lead.h"
#include "canary_lead_layout.h"


/*
 * The state of a leader's tests, to bytes and back: what they have folded, how
 * far, and what is held.  What they begin with is known to whoever goes on.
 */


#define CANARY_LEAD_VERSION   1

#define CANARY_LEAD_LOG_MAX   1e15      /* of ln R_j, see canary_mixture.c */
#define CANARY_LEAD_FOLDED    1e15      /* cohorts */
#define CANARY_LEAD_MEAN      1e15      /* microseconds */


/*
 * One walk over the state for both ways: what is written is what is read.  Of
 * a reader numbers are between 0 and the greatest that is right.
 */

typedef struct {
    canary_writer_t  *writer;    /* NULL: it is read */
    canary_reader_t   reader;
} canary_walk_t;


static void canary_walk_lead(canary_walk_t *walk, canary_lead_t *lead,
    const canary_rollout_t *rollout);
static void canary_walk_held(canary_walk_t *walk, canary_lead_t *lead,
    const canary_rollout_t *rollout);
static void canary_walk_trial(canary_walk_t *walk, canary_trial_t *trial,
    const canary_rule_t *rule);
static void canary_walk_mixture(canary_walk_t *walk,
    canary_mixture_t *mixture);
static void canary_walk_window(canary_walk_t *walk, canary_window_t *window);
static void canary_walk_last(canary_walk_t *walk, canary_evidence_t *ours);
static void canary_walk_part(canary_walk_t *walk, canary_part_t *part,
    canary_slow_t *slow, uint32_t nlimits);
static void canary_walk_spent(canary_walk_t *walk, canary_lead_t *lead,
    const canary_strategy_t *strategy);


static void
canary_walk64(canary_walk_t *walk, uint64_t *n, uint64_t max)
{
    if (walk->writer) {
        canary_put(walk->writer, *n);

    } else {
        *n = canary_take(&walk->reader, max);
    }
}


static void
canary_walk32(canary_walk_t *walk, uint32_t *n, uint32_t max)
{
    uint64_t  wide;

    wide = *n;
    canary_walk64(walk, &wide, max);
    *n = (uint32_t) wide;
}


static void
canary_walk_double(canary_walk_t *walk, double *n, double min, double max)
{
    if (walk->writer) {
        canary_put_double(walk->writer, *n);

    } else {
        *n = canary_take_double(&walk->reader, min, max);
    }
}


/* it is not written to: the walk is the same as for reading */

size_t
canary_lead_save(const canary_lead_t *lead, const canary_rollout_t *rollout,
    uint8_t *bytes, size_t size)
{
    canary_walk_t    walk;
    canary_writer_t  writer = { bytes, bytes + size, 0 };

    if (!canary_lead_is_of(lead, rollout)) {
        return 0;
    }

    memset(&walk, 0, sizeof(canary_walk_t));
    walk.writer = &writer;

    canary_put_tests(&writer, CANARY_LEAD_VERSION, rollout->number,
                     rollout->trial);

    canary_walk_lead(&walk, (canary_lead_t *) lead, rollout);

    return writer.full ? 0 : (size_t) (writer.next - bytes);
}


int
canary_lead_load(canary_lead_t *lead, const canary_rollout_t *rollout,
    const uint8_t *bytes, size_t len)
{
    uint32_t       number, trial;
    canary_walk_t  walk;

    memset(&walk, 0, sizeof(canary_walk_t));
    walk.reader.next = bytes;
    walk.reader.end = bytes + len;

    if (!canary_lead_is_of(lead, rollout)
        || !canary_take_tests(&walk.reader, CANARY_LEAD_VERSION, &number,
                              &trial)
        || number != rollout->number || trial != rollout->trial)
    {
        return 0;
    }

    canary_walk_lead(&walk, lead, rollout);

    if (walk.reader.wrong || walk.reader.next != walk.reader.end) {
        canary_lead_reset(lead, rollout, lead->now);
        return 0;
    }

    lead->loaded = rollout->tests + 1;

    return 1;
}


static void
canary_walk_lead(canary_walk_t *walk, canary_lead_t *lead,
    const canary_rollout_t *rollout)
{
    uint32_t  i;

    canary_walk32(walk, &lead->told_step, UINT32_MAX);
    canary_walk64(walk, &lead->told_slot, UINT64_MAX);

    canary_walk_held(walk, lead, rollout);

    for (i = 0; i < rollout->strategy.nrules; i++) {
        canary_walk_trial(walk, &lead->judged.judge.trials[i],
                          &rollout->strategy.rules[i]);
    }

    canary_walk_last(walk, canary_lead_evidence(lead));
    canary_walk_spent(walk, lead, &rollout->strategy);
}


static void
canary_walk_held(canary_walk_t *walk, canary_lead_t *lead,
    const canary_rollout_t *rollout)
{
    canary_judge_t     *judge;
    canary_evidence_t  *ours;

    judge = &lead->judged.judge;
    ours = canary_lead_evidence(lead);

    canary_walk32(walk, &judge->first, UINT32_MAX);
    canary_walk32(walk, &judge->holding, 1);
    canary_walk32(walk, &judge->held_rule, rollout->strategy.nrules - 1);
    canary_walk32(walk, &judge->verdict, CANARY_FAILING);
    canary_walk64(walk, &judge->decided, UINT64_MAX);

    canary_walk32(walk, &ours->discarded_from, UINT32_MAX);
    canary_walk32(walk, &ours->discarded_to, UINT32_MAX);
    canary_walk64(walk, &ours->discard_to, UINT64_MAX);
}


static void
canary_walk_trial(canary_walk_t *walk, canary_trial_t *trial,
    const canary_rule_t *rule)
{
    canary_walk32(walk, &trial->verdict, CANARY_FAILING);

    if (rule->window) {
        canary_walk_window(walk, trial->window);
    }

    if (rule->confidence == 0) {
        return;
    }

    canary_walk32(walk, &trial->step, UINT32_MAX);
    canary_walk64(walk, &trial->bad, UINT64_MAX);
    canary_walk64(walk, &trial->block_began, UINT64_MAX);
    canary_walk64(walk, &trial->block.canary, UINT32_MAX);
    canary_walk64(walk, &trial->block.canary_bad, UINT32_MAX);
    canary_walk64(walk, &trial->block.stable, UINT32_MAX);
    canary_walk64(walk, &trial->block.stable_bad, UINT32_MAX);

    canary_walk_mixture(walk, &trial->mixture);

    if (rule->kind == CANARY_RULE_LATENCY_AVG_MAX && rule->baseline) {
        canary_walk_double(walk, &trial->average.mean, 0, CANARY_LEAD_MEAN);
    }
}


static void
canary_walk_mixture(canary_walk_t *walk, canary_mixture_t *mixture)
{
    int  j;

    for (j = 0; j < CANARY_ALTERNATIVES; j++) {
        canary_walk_double(walk, &mixture->log_r[j], -CANARY_LEAD_LOG_MAX,
                           CANARY_LEAD_LOG_MAX);
    }

    canary_walk_double(walk, &mixture->step_pot, -1, 1);
    canary_walk_double(walk, &mixture->tick_pot, -1, 1);
    canary_walk_double(walk, &mixture->folded, 0, CANARY_LEAD_FOLDED);
}


static void
canary_walk_window(canary_walk_t *walk, canary_window_t *window)
{
    unsigned               side;
    uint32_t               i;
    canary_window_part_t  *part;

    canary_walk32(walk, &window->last, CANARY_WINDOW_PARTS);

    for (i = 0; i <= CANARY_WINDOW_PARTS; i++) {
        part = &window->parts[i];

        canary_walk64(walk, &part->ended, UINT64_MAX);

        for (side = 0; part->ended && side < CANARY_SIDES; side++) {
            canary_walk64(walk, &part->sides[side].sum, UINT64_MAX);
            canary_walk64(walk, &part->sides[side].attempts, UINT64_MAX);
        }
    }
}


/* what stable did, for holds */

static void
canary_walk_last(canary_walk_t *walk, canary_evidence_t *ours)
{
    uint32_t         i;
    canary_books_t  *books;

    books = ours->books;

    canary_walk32(walk, &ours->nparts, CANARY_LAST_PARTS);
    canary_walk32(walk, &ours->part, CANARY_LAST_PARTS - 1);

    for (i = 0; i < CANARY_LAST_PARTS; i++) {
        canary_walk_part(walk, &books->parts[i], &books->part_slows[i],
                         ours->nlimits);
    }
}


static void
canary_walk_part(canary_walk_t *walk, canary_part_t *part,
    canary_slow_t *slow, uint32_t nlimits)
{
    uint32_t  i;

    canary_walk64(walk, &part->began, UINT64_MAX);

    if (part->began == 0) {
        return;
    }

    canary_walk64(walk, &part->ended, UINT64_MAX);
    canary_walk64(walk, &part->time, UINT64_MAX);
    canary_walk32(walk, &part->started, UINT32_MAX);
    canary_walk32(walk, &part->timed, UINT32_MAX);
    canary_walk32(walk, &part->time_only, UINT32_MAX);
    canary_walk32(walk, &part->bad, UINT32_MAX);
    canary_walk32(walk, &part->bad_4xx, UINT32_MAX);
    canary_walk32(walk, &part->bad_5xx, UINT32_MAX);
    canary_walk32(walk, &part->left, UINT32_MAX);
    canary_walk32(walk, &part->left_only, UINT32_MAX);

    for (i = 0; i < nlimits; i++) {
        canary_walk32(walk, &slow->slow[i], UINT32_MAX);
    }
}


/* budgets: by node, since those that are gone may come back */

static void
canary_walk_spent(canary_walk_t *walk, canary_lead_t *lead,
    const canary_strategy_t *strategy)
{
    uint32_t             i, n;
    canary_lead_node_t  *node;

    for (i = 0, n = 0; i < strategy->nrules; i++) {
        if (strategy->rules[i].kind == CANARY_RULE_FAILED_REQUESTS_MAX) {
            n = lead->nnodes;
        }
    }

    canary_walk32(walk, &n, CANARY_LEAD_NODES);

    for (i = 0; i < n; i++) {
        node = &lead->nodes[i];

        if (walk->writer == NULL) {
            memset(node, 0, sizeof(canary_lead_node_t));
            node->answered_at = lead->now;
            node->times_step = lead->judged.judge.step - 1;
        }

        canary_walk64(walk, &node->key, UINT64_MAX);
        canary_walk64(walk, &node->spent[CANARY_SIDE_CANARY], UINT64_MAX);
    }

    if (walk->writer == NULL) {
        lead->nnodes = n;
    }
}
