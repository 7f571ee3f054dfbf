
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_replay_internal.h"


static void canary_replay_run(canary_replay_t *replay, uint64_t until);
static void canary_replay_advance(canary_replay_t *replay, uint64_t until);
static uint64_t canary_replay_next_tick(const canary_replay_t *replay,
    uint64_t until);


canary_replay_t *
canary_replay_create(const canary_replay_options_t *options)
{
    uint32_t          i;
    canary_replay_t  *replay;

    replay = calloc(1, sizeof(canary_replay_t));

    if (replay == NULL) {
        return NULL;
    }

    replay->options = *options;
    replay->evidence = malloc(canary_evidence_size(1));
    replay->books = malloc(sizeof(canary_judged_t));
    replay->slot = malloc(sizeof(canary_slot_t));

    if (replay->evidence == NULL || replay->books == NULL
        || replay->slot == NULL)
    {
        canary_replay_destroy(replay);
        return NULL;
    }

    canary_evidence_init(replay->evidence, 1);
    canary_evidence_set_books(replay->evidence, &replay->books->books);
    canary_evidence_use(replay->evidence, replay->slot);

    canary_rollout_init(&replay->rollout, CANARY_REPLAY_STABLE_ID);

    for (i = 0; i < options->strategy->nrules; i++) {
        if (options->strategy->rules[i].window > replay->window) {
            replay->window = options->strategy->rules[i].window;
        }
    }

    return replay;
}


void
canary_replay_destroy(canary_replay_t *replay)
{
    free(replay->queue.heap);
    free(replay->evidence);
    free(replay->books);
    free(replay->slot);
    free(replay);
}


int
canary_replay_add(canary_replay_t *replay, const canary_replay_line_t *line)
{
    uint64_t  ahead;

    if (replay->ended) {
        return 0;
    }

    if (replay->options.endpoint
        && strcmp(line->endpoint, replay->options.endpoint) != 0)
    {
        return 1;
    }

    if (!canary_replay_take(replay, line)) {
        return -1;
    }

    if (line->time > replay->latest) {
        replay->latest = line->time;
    }

    ahead = replay->options.strategy->patience;
    ahead = (ahead > CANARY_REPLAY_AHEAD_MS) ? ahead : CANARY_REPLAY_AHEAD_MS;

    if (replay->latest > ahead * 1000) {
        canary_replay_run(replay, replay->latest - ahead * 1000);
    }

    while (replay->queue.n > CANARY_REPLAY_AHEAD_MAX && !replay->ended) {
        canary_replay_run(replay,
                          canary_replay_queue_first(&replay->queue)->due);
    }

    return !replay->ended;
}


const canary_replay_summary_t *
canary_replay_finish(canary_replay_t *replay)
{
    uint64_t                  now;
    canary_replay_summary_t  *summary;

    canary_replay_run(replay, UINT64_MAX);

    summary = &replay->summary;

    if (replay->clock && !replay->ended) {
        now = replay->tick;
        canary_replay_tick(replay, now);

        if (!replay->ended) {
            summary->now = now;
            summary->rollout = replay->rollout;
            canary_replay_last_verdicts(replay, now);
        }
    }

    return summary;
}


/* all that is due until then */

static void
canary_replay_run(canary_replay_t *replay, uint64_t until)
{
    canary_replay_queue_t    *queue;
    canary_replay_pending_t  *first;

    queue = &replay->queue;

    while (queue->n && !replay->ended) {
        first = canary_replay_queue_first(queue);

        if (first->due > until) {
            return;
        }

        if (replay->clock == 0) {
            canary_replay_begin(replay, first);
        }

        canary_replay_advance(replay, first->due);

        if (replay->ended) {
            return;
        }

        if (canary_replay_attempt(replay, first)) {
            canary_replay_queue_later(queue);

        } else {
            canary_replay_queue_remove(queue);
        }
    }
}


static void
canary_replay_advance(canary_replay_t *replay, uint64_t until)
{
    if (replay->clock == 0) {
        return;
    }

    while (replay->tick <= until / 1000 && !replay->ended) {
        canary_replay_tick(replay, replay->tick);

        replay->tick = canary_replay_next_tick(replay, until / 1000);
    }

    if (until > replay->clock) {
        replay->clock = until;
    }

    replay->active = until / 1000;
}


/*
 * A log may have gaps of days.  When everything in flight is long settled,
 * time alone can only end an interval, or move the window of a rule.
 */

static uint64_t
canary_replay_next_tick(const canary_replay_t *replay, uint64_t until)
{
    int64_t   remaining;
    uint64_t  settled, quiet, next;

    settled = 2 * replay->rollout.strategy.patience;
    quiet = replay->tick - replay->active;

    if (quiet < settled) {
        return replay->tick + CANARY_REPLAY_TICK_MS;
    }

    if (quiet < settled + replay->window) {
        return replay->tick + 1000;
    }

    remaining = canary_rollout_remaining(&replay->rollout, replay->tick);
    next = replay->tick + (uint64_t) remaining;

    return (remaining > 0 && next <= until) ? next : until + 1;
}
