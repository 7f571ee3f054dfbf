
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_REPLAY_H
#define CANARY_REPLAY_H


#include <stdint.h>

#include "canary_outage.h"
#include "canary_replay_line.h"
#include "canary_rollout.h"
#include "canary_verdict.h"


/*
 * A rollout as it would have gone with the attempts of a log: they are handed
 * to the same evidence, judge and rollout as in nginx, with their own times as
 * the clock.
 *
 * Lines come in the order in which requests ended, attempts count in that in
 * which they began: so each is kept until no line may bring an earlier one,
 * which is taken to be CANARY_REPLAY_AHEAD_MS after it, or as long as the
 * strategy has patience.
 */


#define CANARY_REPLAY_TICK_MS      50
#define CANARY_REPLAY_AHEAD_MS     90000
#define CANARY_REPLAY_AHEAD_MAX    4000000    /* attempts; then the oldest
                                                 does not wait any longer */
#define CANARY_REPLAY_REASON       192


/* What there was of one side of the rollout. */

typedef struct {
    uint64_t                  attempts;       /* that are evidence */
    uint64_t                  bad_4xx;
    uint64_t                  bad_5xx;        /* with those that failed */
    uint64_t                  failed;
    uint64_t                  aborted;        /* no attempts */
} canary_replay_side_t;


typedef struct {
    uint64_t                  time;           /* ms since 1970 */
    canary_verb_t             verb;
    uint32_t                  from_phase;
    uint32_t                  from_weight;
    uint32_t                  to_phase;
    uint32_t                  to_weight;
    const canary_rule_t      *rule;           /* that broke, or NULL */
    canary_judgement_t        judgement;      /* of that rule */
    canary_outage_t           outage;         /* CANARY_HOLDING */
    canary_verdict_t          verdict;        /* CANARY_TICK: of all, */
    uint64_t                  attempts;       /* and of the step */
} canary_replay_event_t;


typedef struct {
    const canary_strategy_t  *strategy;
    const char               *stable;         /* names of the releases */
    const char               *canary;
    const char               *endpoint;       /* NULL: any */
    int                       by_response;    /* as canary_latency response */
    int                       log_weight;     /* steps are those of the log */
    void                    (*report)(void *data,
                                      const canary_replay_event_t *event);
    void                     *data;
} canary_replay_options_t;


typedef enum {
    CANARY_REPLAY_RUNNING = 0,
    CANARY_REPLAY_PROMOTED,
    CANARY_REPLAY_ROLLED_BACK,
    CANARY_REPLAY_HALTED
} canary_replay_end_t;


typedef struct {
    canary_replay_end_t       end;
    uint64_t                  began;          /* ms; 0: it did not begin */
    uint64_t                  now;            /* ms: when it ended, or the log
                                                 did */
    uint64_t                  late;           /* attempts that came too late
                                                 to count when they began */
    uint64_t                  others;         /* that are no evidence: forced,
                                                 fallbacks, other releases */
    canary_replay_side_t      sides[CANARY_SIDES];
    canary_rollout_t          rollout;        /* before it ended */
    canary_result_t           result;         /* then, with all details */
} canary_replay_summary_t;


typedef struct canary_replay_s  canary_replay_t;

/* NULL: no memory. */

canary_replay_t *canary_replay_create(const canary_replay_options_t *options);
void canary_replay_destroy(canary_replay_t *replay);

/* Returns 0 when no more lines are needed, -1 without memory, else 1. */

int canary_replay_add(canary_replay_t *replay,
    const canary_replay_line_t *line);

/* After the last line; the summary is good until the replay is destroyed. */

const canary_replay_summary_t *canary_replay_finish(canary_replay_t *replay);


#endif /* CANARY_REPLAY_H */
