
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_replay_internal.h"


static int canary_replay_take_fallback(canary_replay_t *replay,
    const canary_replay_line_t *line, uint64_t *starts);
static int canary_replay_push(canary_replay_t *replay,
    const canary_replay_line_t *line, unsigned i, unsigned side,
    uint64_t start);


/*
 * Attempts of one request are made one after the other; of when the first
 * began the log tells best if it has the time of the whole request.
 */

int
canary_replay_take(canary_replay_t *replay, const canary_replay_line_t *line)
{
    int       side;
    uint64_t  start, length, starts[CANARY_REPLAY_ATTEMPTS_MAX];
    unsigned  i;

    for (i = 0, length = 0; i < line->n; i++) {
        length += line->attempts[i].duration;
    }

    if (line->request_time != CANARY_REPLAY_UNKNOWN) {
        length = line->request_time;
    }

    start = (line->time > length + 1000) ? line->time - length : 1000;

    for (i = 0; i < line->n; i++) {
        starts[i] = start;
        start += line->attempts[i].duration;
    }

    if (line->n && line->reason == CANARY_REPLAY_BY_FALLBACK) {
        return canary_replay_take_fallback(replay, line, starts);
    }

    side = (strcmp(line->release, replay->options.canary) == 0)
           ? CANARY_SIDE_CANARY
           : (strcmp(line->release, replay->options.stable) == 0)
             ? CANARY_SIDE_STABLE : -1;

    if (side == -1 || line->reason == CANARY_REPLAY_BY_FORCE
        || line->reason == CANARY_REPLAY_BY_ONLY)
    {
        replay->summary.others += line->n;
        return 1;
    }

    for (i = 0; i < line->n; i++) {
        if (!canary_replay_push(replay, line, i, (unsigned) side, starts[i])) {
            return 0;
        }
    }

    return 1;
}


/*
 * A request that another release has finished than it was sent to.  From the
 * canary to stable it goes after the first attempt that failed, or without an
 * attempt if the canary has no live peer; from stable to the canary only if
 * stable has none.  What was made by fallback is no evidence, and to have no
 * live peer is no attempt.
 */

static int
canary_replay_take_fallback(canary_replay_t *replay,
    const canary_replay_line_t *line, uint64_t *starts)
{
    unsigned  i;

    if (line->n == 1) {
        replay->summary.others++;
        return 1;
    }

    if (strcmp(line->release, replay->options.stable) == 0) {
        replay->summary.others += line->n - 1;
        return canary_replay_push(replay, line, 0, CANARY_SIDE_CANARY,
                                  starts[0]);
    }

    replay->summary.others++;

    if (strcmp(line->release, replay->options.canary) != 0) {
        replay->summary.others += line->n - 1;
        return 1;
    }

    for (i = 0; i < line->n - 1; i++) {
        if (!canary_replay_push(replay, line, i, CANARY_SIDE_STABLE,
                                starts[i]))
        {
            return 0;
        }
    }

    return 1;
}


static int
canary_replay_push(canary_replay_t *replay, const canary_replay_line_t *line,
    unsigned i, unsigned side, uint64_t start)
{
    canary_replay_pending_t  pending;

    if (start < replay->clock) {
        replay->summary.late++;
        start = replay->clock;
    }

    memset(&pending, 0, sizeof(canary_replay_pending_t));

    pending.due = start;
    pending.began = start;
    pending.attempt = line->attempts[i];
    pending.weight = line->weight;
    pending.side = (uint8_t) side;
    pending.stage = CANARY_REPLAY_BEGINS;

    return canary_replay_queue_add(&replay->queue, &pending);
}
