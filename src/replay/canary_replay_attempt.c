
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_replay_internal.h"


static int canary_replay_attempt_begins(canary_replay_t *replay,
    canary_replay_pending_t *pending);
static int canary_replay_attempt_header(canary_replay_t *replay,
    canary_replay_pending_t *pending);
static void canary_replay_attempt_ends(canary_replay_t *replay,
    const canary_replay_pending_t *pending);
static int canary_replay_is_followed(const canary_replay_t *replay,
    const canary_replay_pending_t *pending);
static void canary_replay_count(canary_replay_t *replay,
    const canary_replay_pending_t *pending, canary_finish_t *finish);
static void canary_replay_add_time(canary_replay_t *replay, unsigned side,
    uint64_t time);


int
canary_replay_attempt(canary_replay_t *replay,
    canary_replay_pending_t *pending)
{
    switch (pending->stage) {

    case CANARY_REPLAY_BEGINS:
        return canary_replay_attempt_begins(replay, pending);

    case CANARY_REPLAY_HEADER:
        return canary_replay_attempt_header(replay, pending);

    default: /* CANARY_REPLAY_ENDS */
        canary_replay_attempt_ends(replay, pending);
        return 0;
    }
}


static int
canary_replay_attempt_begins(canary_replay_t *replay,
    canary_replay_pending_t *pending)
{
    if (replay->clock == 0) {
        replay->summary.others += (replay->options.log_weight != 0);
        return 0;
    }

    if (replay->options.log_weight) {
        canary_replay_follow(replay, pending->weight);
    }

    canary_evidence_start(replay->evidence, 0, pending->side,
                          &pending->ticket);

    pending->stage = CANARY_REPLAY_HEADER;
    pending->due = pending->began + pending->attempt.header;

    return 1;
}


static int
canary_replay_attempt_header(canary_replay_t *replay,
    canary_replay_pending_t *pending)
{
    int              followed;
    unsigned         response_class;
    canary_finish_t  finish;

    canary_replay_count(replay, pending, &finish);

    followed = canary_replay_is_followed(replay, pending);

    if (followed) {
        canary_evidence_follow(replay->evidence, &pending->ticket);
    }

    if (!finish.untimed && !finish.voided) {
        canary_evidence_match(replay->evidence, &pending->ticket,
                              pending->attempt.matched);
    }

    canary_evidence_finish(replay->evidence, &pending->ticket, &finish);

    if (finish.timed && !finish.gave_up) {
        canary_replay_add_time(replay, pending->side, finish.time);
    }

    if (pending->side == CANARY_SIDE_CANARY
        && (finish.bad_4xx || finish.bad_5xx))
    {
        response_class = finish.bad_5xx ? 5 : 4;

        if (canary_evidence_burn(replay->evidence, response_class)) {
            canary_replay_trip(replay, pending->due / 1000);
        }
    }

    if (!finish.untimed && !followed) {
        return 0;
    }

    pending->untimed = finish.untimed;
    pending->followed = followed;

    pending->stage = CANARY_REPLAY_ENDS;
    pending->due = pending->began + pending->attempt.duration;

    return 1;
}


static void
canary_replay_attempt_ends(canary_replay_t *replay,
    const canary_replay_pending_t *pending)
{
    if (pending->untimed) {
        canary_evidence_match(replay->evidence, &pending->ticket,
                              pending->attempt.matched);
        canary_evidence_time(replay->evidence, &pending->ticket,
                             pending->attempt.duration, 1);
        canary_replay_add_time(replay, pending->side,
                               pending->attempt.duration);
    }

    if (pending->followed) {
        canary_evidence_ended(replay->evidence, &pending->ticket,
                              pending->attempt.left ? CANARY_END_LEFT
                                                    : CANARY_END_OTHER);
    }
}


static int
canary_replay_is_followed(const canary_replay_t *replay,
    const canary_replay_pending_t *pending)
{
    return replay->evidence->follows
           && pending->attempt.outcome == CANARY_REPLAY_ANSWERED
           && pending->attempt.status != 101;
}


/* as the accounting of attempts in nginx does */

static void
canary_replay_count(canary_replay_t *replay,
    const canary_replay_pending_t *pending, canary_finish_t *finish)
{
    unsigned                        response_class;
    canary_replay_side_t           *side;
    const canary_replay_attempt_t  *attempt;

    attempt = &pending->attempt;
    side = &replay->summary.sides[pending->side];

    memset(finish, 0, sizeof(canary_finish_t));

    finish->time = attempt->header;

    if (attempt->outcome == CANARY_REPLAY_ABORTED) {
        side->aborted++;
        finish->voided = 1;
        finish->left = attempt->left && replay->evidence->follows;

        if (canary_judge_too_long(replay->evidence, &replay->rollout.strategy,
                                  pending->side, finish->time))
        {
            finish->gave_up = 1;
            finish->timed = 1;
        }

        return;
    }

    side->attempts++;

    if (attempt->outcome != CANARY_REPLAY_ANSWERED) {
        side->failed++;
        side->bad_5xx++;
        finish->bad_5xx = 1;
        finish->timed = (attempt->outcome == CANARY_REPLAY_TIMEOUT);
        return;
    }

    response_class = attempt->status / 100;

    finish->bad_4xx = (response_class == 4);
    finish->bad_5xx = (response_class == 5);
    finish->untimed = (replay->options.by_response && attempt->status != 101);
    finish->timed = !finish->untimed;

    side->bad_4xx += finish->bad_4xx;
    side->bad_5xx += finish->bad_5xx;
}


static void
canary_replay_add_time(canary_replay_t *replay, unsigned side, uint64_t time)
{
    replay->times.sides[side].counts[canary_histogram_index(time)]++;
}
