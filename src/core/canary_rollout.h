
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_ROLLOUT_H
#define CANARY_ROLLOUT_H


#include <stdint.h>

#include "canary_route.h"
#include "canary_strategy.h"


/*
 * The life of a rollout as a pure function: state, command and time in,
 * new state and what changed out.
 *
 *   idle - start -> progressing - (paused, halted, baking) -> idle
 *
 * Times are milliseconds of a clock that never goes back; which one is up to
 * the caller.
 */


typedef enum {
    CANARY_START = 0,      /* a rollout of command.release */
    CANARY_DIRECT,         /* command.release is stable at once */
    CANARY_PATCH,          /* another weight and/or another strategy */
    CANARY_ADVANCE,        /* to the next step now; from the last: promote */
    CANARY_PAUSE,
    CANARY_RESUME,
    CANARY_PROMOTE,
    CANARY_ROLLBACK,
    CANARY_VERBS,          /* the number of verbs that people have */

    CANARY_TICK = CANARY_VERBS,
                           /* time has passed; command.verdict is known */
    CANARY_VIOLATION,      /* a rule is failing */
    CANARY_HOLDING,        /* a rule is failing, but stable breaks it too:
                              only an event */
    CANARY_RELEASE_GONE,   /* stable or canary left the configuration;
                              command.release is stable from now on */
    CANARY_STABLE_UNAVAILABLE,
                           /* stable has no live server, and the canary serves
                              in its place: only an event */
    CANARY_STABLE_AVAILABLE
                           /* it has answered again: only an event */
} canary_verb_t;


typedef enum {
    CANARY_CHANGED = 0,
    CANARY_UNCHANGED,      /* nothing to do (CANARY_TICK) */
    CANARY_NOT_NOW,        /* the verb does not apply in this phase */
    CANARY_IS_STABLE,      /* the release to roll out is stable already */
    CANARY_NO_RULE,        /* a rollout needs at least one rule */
    CANARY_NO_BASELINE,    /* at 100 % there is nothing to compare with, and
                              all rules do */
    CANARY_BAD_WEIGHT      /* not above 0, or not below 1 */
} canary_status_t;


typedef enum {
    CANARY_NO_RESULT = 0,
    CANARY_PROMOTED,
    CANARY_ROLLED_BACK
} canary_rollout_result_t;


/*
 * Plain data: may be copied, compared by generation, and kept.  Releases are
 * ids that the caller gives meaning to.
 */

typedef struct {
    uint64_t           generation;   /* rises with each change */
    uint32_t           number;       /* of this or the last rollout; from 1,
                                        and after the last number again */
    uint32_t           phase;        /* canary_phase_t */
    uint32_t           stable;       /* release id */
    uint32_t           canary;       /* release id or CANARY_NO_RELEASE */
    uint32_t           weight;       /* of the canary, parts per million */
    uint32_t           step;         /* 0..canary_strategy_steps() */
    uint32_t           tests;        /* number of the present evidence:
                                        rises with each step, and whenever
                                        evidence begins anew */
    uint32_t           trial;        /* number of the present tests with
                                        confidence, which go on from step to
                                        step */
    uint64_t           since;        /* when the clock of the interval or the
                                        bake began; not while paused */
    uint64_t           elapsed;      /* what it showed when paused */
    canary_strategy_t  strategy;     /* of this or the last rollout */

    uint32_t           last_number;  /* the last rollout that ended; 0: none */
    uint32_t           last_release; /* that was rolled out */
    uint32_t           last_result;  /* canary_rollout_result_t */

    uint32_t           uid;          /* of a fleet: random, of the change that
                                        made this generation; 0: of none */
    uint32_t           members;      /* of the fleet, as the tests began; 0:
                                        not known, */
    uint64_t           joined;       /* and the last one's number */
} canary_rollout_t;


typedef struct {
    canary_verb_t             verb;
    uint64_t                  now;       /* ms */
    uint32_t                  release;   /* START, DIRECT, RELEASE_GONE */
    uint32_t                  weight;    /* PATCH; only with has_weight */
    int                       has_weight;
    const canary_strategy_t  *strategy;  /* START; PATCH, or NULL */
    canary_verdict_t          verdict;   /* TICK: of all rules together */
    uint64_t                  attempts;  /* TICK: of the step, that ended */
} canary_command_t;


/* An endpoint that never saw a rollout. */

void canary_rollout_init(canary_rollout_t *rollout, uint32_t stable);

/*
 * Carries out a command.  The rollout changes only if CANARY_CHANGED is
 * returned; its generation is then higher by one.
 */

canary_status_t canary_rollout_apply(canary_rollout_t *rollout,
    const canary_command_t *command);

/*
 * The process that knew the evidence and the clock is gone: the tests of the
 * step and its interval or bake begin anew, all else goes on as it was, and
 * so does the generation.
 */

void canary_rollout_restart(canary_rollout_t *rollout, uint64_t now);

/*
 * A change was decided at one time and takes effect at another: a clock that
 * it began, begins then.
 */

void canary_rollout_delay(const canary_rollout_t *before,
    canary_rollout_t *after, uint64_t delay);

/* The verbs that apply now, a bit 1 << canary_verb_t each. */

uint32_t canary_rollout_verbs(const canary_rollout_t *rollout);

/*
 * Whether a command may put more traffic on the canary, or leave it there for
 * good: then it has to be known to last before it takes effect.
 */

int canary_verb_exposes(canary_verb_t verb);

/* Whether a command changes nothing, and only makes an event. */

static inline int
canary_verb_only_tells(canary_verb_t verb)
{
    return verb == CANARY_HOLDING || verb == CANARY_STABLE_UNAVAILABLE
           || verb == CANARY_STABLE_AVAILABLE;
}


/* Whether broken rules have consequences now. */

int canary_rollout_guarded(const canary_rollout_t *rollout);

/*
 * Milliseconds until the clock of the interval or the bake runs out, 0 if it
 * has; -1 when there is no clock (idle, halted).
 */

int64_t canary_rollout_remaining(const canary_rollout_t *rollout,
    uint64_t now);

/*
 * Whether a tick would take the next step, or promote, did that not need a
 * person.
 */

int canary_rollout_awaits_approval(const canary_rollout_t *rollout,
    const canary_command_t *tick);

/* What requests are routed by. */

canary_route_t canary_rollout_route(const canary_rollout_t *rollout);

const char *canary_verb_name(canary_verb_t verb);
const char *canary_phase_name(uint32_t phase);
const char *canary_result_name(uint32_t result);


#endif /* CANARY_ROLLOUT_H */
