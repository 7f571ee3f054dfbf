
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_REPLAY_INTERNAL_H
#define CANARY_REPLAY_INTERNAL_H


/* What the parts of a replay share. */


#include "canary_control.h"
#include "canary_evidence_count.h"
#include "canary_evidence_places.h"
#include "canary_judge.h"
#include "canary_judge_times.h"
#include "canary_replay.h"
#include "canary_replay_queue.h"


#define CANARY_REPLAY_STABLE_ID  0
#define CANARY_REPLAY_CANARY_ID  1


struct canary_replay_s {
    canary_replay_options_t   options;
    canary_replay_summary_t   summary;
    canary_rollout_t          rollout;
    canary_evidence_t        *evidence;
    canary_judged_t         *books;
    canary_slot_t            *slot;       /* of it, the only one */
    canary_times_t            times;
    canary_histogram_t        before[CANARY_SIDES];
                                       /* times before the present step */

    canary_replay_queue_t     queue;
    uint64_t                  latest;  /* end of a line, microseconds */

    uint64_t                  clock;   /* microseconds; 0: not begun */
    uint64_t                  tick;    /* ms: the next one */
    uint64_t                  active;  /* ms: when something was due last */
    uint64_t                  window;  /* ms: the longest of a rule */

    uint32_t                  left_weight;
    uint64_t                  left_at; /* ms: see canary_replay_follow() */
    int                       ended;
};


/* canary_replay_take.c: the attempts of a line; 0 without memory */

int canary_replay_take(canary_replay_t *replay,
    const canary_replay_line_t *line);


/* canary_replay_attempt.c: what is due of an attempt; 0 if nothing more is */

int canary_replay_attempt(canary_replay_t *replay,
    canary_replay_pending_t *pending);


/* canary_replay_rollout.c */

/* Begins it, if it does with that attempt. */

void canary_replay_begin(canary_replay_t *replay,
    const canary_replay_pending_t *first);

/* A change of the weight that the log has, with canary_replay_options_t. */

void canary_replay_follow(canary_replay_t *replay, uint32_t weight);

/* What the control loop of nginx does, and a worker at a failed attempt. */

void canary_replay_tick(canary_replay_t *replay, uint64_t now);
void canary_replay_trip(canary_replay_t *replay, uint64_t now);

/* The verdicts at the end of the log, with all details. */

void canary_replay_last_verdicts(canary_replay_t *replay, uint64_t now);


#endif /* CANARY_REPLAY_INTERNAL_H */
