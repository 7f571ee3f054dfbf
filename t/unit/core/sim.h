
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef UNIT_SIM_H
#define UNIT_SIM_H


/*
 * A rollout under simulated traffic: workers that count attempts, and the
 * control loop that looks at it each 50 ms.  A rule that is broken changes
 * nothing here, and no step is taken.  Times are milliseconds of no clock at
 * all.
 */


#include <stdlib.h>
#include <string.h>

#include "canary_control.h"

#include "memory.h"
#include "unit.h"


#define SIM_SLOTS    3
#define SIM_BEGIN    1000000
#define SIM_LOOP     50
#define SIM_ENDS     (1 << 18)     /* ms that an attempt takes at most */
#define SIM_FLIGHT   (1 << 18)     /* attempts in flight */
#define SIM_NEVER    UINT32_MAX    /* it hangs */

#define STABLE       CANARY_SIDE_STABLE
#define CANARY       CANARY_SIDE_CANARY

#define PERCENT      (CANARY_RATIO_ONE / 100)


typedef struct {
    canary_ticket_t    ticket;
    canary_finish_t    finish;
    uint32_t           rest;       /* ms from its header to its end; 0: the
                                      latter is not followed, or is next */
    int                followed;
    canary_end_t       end;
    uint32_t           next;
} sim_attempt_t;


/* Attempts of a release: how many, how many of them are bad, how quick. */

typedef struct {
    double             rate;       /* per second */
    double             bad;        /* share */
    uint32_t           bad_in;     /* as many in a row */
    uint32_t           good_ms;
    uint32_t           bad_ms;
} sim_traffic_t;


typedef struct {
    canary_evidence_t  *evidence;
    canary_rollout_t    rollout;
    canary_times_t      times;
    canary_result_t     result;
    uint64_t            now;
    uint64_t            seed;

    sim_traffic_t       traffic[CANARY_SIDES];
    double              due[CANARY_SIDES];
    uint32_t            row[CANARY_SIDES];

    uint32_t            ends[SIM_ENDS];
    sim_attempt_t       attempts[SIM_FLIGHT];
    uint32_t            nattempts;
    uint32_t            unused;

    uint32_t            bad;       /* attempts of the canary that were */
    uint32_t            tripped;   /* of these, past a fuse */
    uint64_t            holds;     /* how often */
    canary_outage_t     outage;    /* of the last */
    int                 broken;    /* a rule is, and stable's is not */
} sim_t;


static inline canary_rule_t
sim_rule(canary_rule_kind_t kind, uint64_t threshold, unsigned given,
    canary_rule_t more)
{
    more.kind = kind;
    more.threshold = threshold;

    assert_null(canary_rule_complete(&more, given));

    return more;
}


/* A rule with all defaults, one of single attempts, and a plain one. */

static inline canary_rule_t
sim_default(canary_rule_kind_t kind, uint64_t threshold)
{
    return sim_rule(kind, threshold, 0, (canary_rule_t) { 0 });
}


static inline canary_rule_t
sim_single(canary_rule_kind_t kind, uint64_t threshold)
{
    return sim_rule(kind, threshold, CANARY_GIVEN_BURST,
                    (canary_rule_t) { 0 });
}


static inline canary_rule_t
sim_plain(canary_rule_kind_t kind, uint64_t threshold, uint32_t min_requests)
{
    return sim_rule(kind, threshold,
                    CANARY_GIVEN_CONFIDENCE|CANARY_GIVEN_MIN_REQUESTS,
                    (canary_rule_t) { .min_requests = min_requests });
}


static inline canary_rule_t
sim_relative(canary_rule_kind_t kind, uint64_t threshold)
{
    return sim_rule(kind, threshold, CANARY_GIVEN_BASELINE,
                    (canary_rule_t) { .baseline = 1 });
}


static inline void
sim_judge(sim_t *sim)
{
    canary_judge_rules(sim->evidence, &sim->rollout, sim->now, &sim->times,
                       1, &sim->result);
}


static inline canary_verdict_t
sim_verdict(sim_t *sim, uint32_t rule)
{
    sim_judge(sim);

    return sim->result.rules[rule].verdict;
}


static inline uint64_t
sim_needed(sim_t *sim, uint32_t rule)
{
    sim_judge(sim);

    return sim->result.rules[rule].needed;
}


/* Memory is that of somebody else before; the weight is in percent. */

static inline sim_t *
sim_new(const canary_rule_t *rules, uint32_t nrules, uint32_t weight)
{
    sim_t              *sim;
    uint32_t            at, step;
    canary_command_t    command;
    canary_strategy_t   strategy;

    sim = calloc(1, sizeof(sim_t));
    assert_non_null(sim);

    sim->evidence = unit_evidence(SIM_SLOTS,
                                  SIM_SLOTS);

    sim->now = SIM_BEGIN;
    sim->seed = 1;
    memset(sim->ends, 0xff, sizeof(sim->ends));
    sim->unused = UINT32_MAX;

    canary_strategy_init(&strategy);
    step = weight * (CANARY_ONE / 100);
    assert_int_equal(canary_strategy_set_steps(&strategy, &step, 1, &at),
                     CANARY_STEPS_OK);

    strategy.nrules = nrules;
    memcpy(strategy.rules, rules, nrules * sizeof(canary_rule_t));

    canary_rollout_init(&sim->rollout, 0);

    command = (canary_command_t) {
        .verb = CANARY_START, .now = sim->now, .release = 1,
        .strategy = &strategy
    };

    assert_int_equal(canary_rollout_apply(&sim->rollout, &command),
                     CANARY_CHANGED);

    canary_judge_begin(sim->evidence, &sim->rollout, sim->now, &sim->times);

    return sim;
}


static inline sim_t *
sim_one(canary_rule_t rule)
{
    return sim_new(&rule, 1, 10);
}


static inline void
sim_free(sim_t *sim)
{
    unit_free_evidence(sim->evidence);
    free(sim);
}


static inline int
sim_tick(sim_t *sim)
{
    int  moved;

    moved = canary_judge_tick(sim->evidence, &sim->rollout, sim->now);

    if (moved) {
        canary_judge_measure(sim->evidence, &sim->rollout, sim->now,
                             &sim->times);
    }

    return moved;
}


static inline void
sim_begin_step(void *data)
{
    sim_t  *sim = data;

    memset(sim->times.step, 0, sizeof(sim->times.step));
}


/* Another step, or other tests. */

static inline void
sim_command(sim_t *sim, canary_command_t command)
{
    uint32_t  tests;

    tests = sim->rollout.tests;
    command.now = sim->now;

    assert_int_equal(canary_rollout_apply(&sim->rollout, &command),
                     CANARY_CHANGED);

    if (tests != sim->rollout.tests) {
        sim_begin_step(sim);
    }

    sim_tick(sim);
}


static inline void
sim_advance(sim_t *sim)
{
    sim_command(sim, (canary_command_t) { .verb = CANARY_ADVANCE });
}


static inline void
sim_patch(sim_t *sim, const canary_rule_t *rules, uint32_t nrules)
{
    canary_strategy_t  strategy;

    strategy = sim->rollout.strategy;
    memset(strategy.rules, 0, sizeof(strategy.rules));
    memcpy(strategy.rules, rules, nrules * sizeof(canary_rule_t));
    strategy.nrules = nrules;

    sim_command(sim, (canary_command_t) { .verb = CANARY_PATCH,
                                          .strategy = &strategy });
}


static inline canary_ticket_t
sim_begin(sim_t *sim, unsigned side)
{
    canary_ticket_t  ticket;

    canary_evidence_start(sim->evidence, unit_below(&sim->seed, SIM_SLOTS),
                          side, &ticket);

    return ticket;
}


/* Returns 1 when the rules are to be judged at once. */

static inline int
sim_end(sim_t *sim, canary_ticket_t ticket, canary_finish_t finish)
{
    uint32_t  bucket;

    if (finish.timed && !finish.gave_up) {
        bucket = canary_histogram_index(finish.time);
        sim->times.sides[ticket.side].counts[bucket]++;

        if (ticket.step == sim->rollout.tests) {
            sim->times.step[ticket.side].counts[bucket]++;
        }
    }

    if (finish.bad_4xx || finish.bad_5xx || finish.voided) {
        canary_evidence_finish(sim->evidence, &ticket, &finish);

    } else {
        canary_evidence_finish_good(sim->evidence, &ticket, finish.timed,
                                    finish.time);
    }

    if (ticket.side == STABLE || !(finish.bad_4xx || finish.bad_5xx)) {
        return 0;
    }

    sim->bad++;

    if (canary_evidence_burn(sim->evidence, finish.bad_5xx ? 5 : 4)) {
        sim->tripped++;
        return 1;
    }

    return 0;
}


static inline canary_finish_t
sim_good(uint32_t ms)
{
    return (canary_finish_t) { .timed = 1, .time = 1000ull * ms };
}


static inline canary_finish_t
sim_bad(uint32_t ms)
{
    return (canary_finish_t) { .bad_5xx = 1, .time = 1000ull * ms };
}


static inline void
sim_queue(sim_t *sim, uint32_t n, uint32_t ms)
{
    uint32_t  *end;

    if (ms == SIM_NEVER) {
        return;
    }

    assert_true(ms < SIM_ENDS);

    end = &sim->ends[(sim->now + (ms ? ms : 1)) % SIM_ENDS];
    sim->attempts[n].next = *end;
    *end = n;
}


/*
 * An attempt that begins now, and how and when it ends: if it is followed,
 * "rest" after its header.
 */

static inline void
sim_stream(sim_t *sim, unsigned side, canary_finish_t finish, uint32_t ms,
    uint32_t rest, canary_end_t end)
{
    uint32_t        n;
    sim_attempt_t  *attempt;

    n = sim->unused;

    if (n != UINT32_MAX) {
        sim->unused = sim->attempts[n].next;

    } else {
        n = sim->nattempts++;
        assert_true(n < SIM_FLIGHT);
    }

    attempt = &sim->attempts[n];
    attempt->ticket = sim_begin(sim, side);
    attempt->finish = finish;
    attempt->rest = rest;
    attempt->followed = 0;
    attempt->end = end;

    sim_queue(sim, n, ms);
}


static inline void
sim_attempt(sim_t *sim, unsigned side, canary_finish_t finish, uint32_t ms)
{
    sim_stream(sim, side, finish, ms, 0, CANARY_END_OTHER);
}


static inline void
sim_attempts(sim_t *sim, unsigned side, uint32_t n, canary_finish_t finish)
{
    while (n--) {
        (void) sim_end(sim, sim_begin(sim, side), finish);
    }
}


static inline void
sim_come(sim_t *sim, unsigned side)
{
    sim_traffic_t  *traffic;

    traffic = &sim->traffic[side];
    sim->due[side] += traffic->rate / 1000;

    while (sim->due[side] >= 1) {
        sim->due[side] -= 1;

        if (sim->row[side] == 0
            && unit_random(&sim->seed) < traffic->bad / (traffic->bad_in
                                                         ? traffic->bad_in
                                                         : 1) * 4294967295.0)
        {
            sim->row[side] = traffic->bad_in ? traffic->bad_in : 1;
        }

        if (sim->row[side]) {
            sim->row[side]--;
            sim_attempt(sim, side, sim_bad(traffic->bad_ms),
                        traffic->bad_ms);
        } else {
            sim_attempt(sim, side, sim_good(traffic->good_ms),
                        traffic->good_ms);
        }
    }
}


static inline void
sim_finish(sim_t *sim)
{
    uint32_t        n, next, *end;
    sim_attempt_t  *attempt;

    end = &sim->ends[sim->now % SIM_ENDS];

    for (n = *end, *end = UINT32_MAX; n != UINT32_MAX; n = next) {
        attempt = &sim->attempts[n];
        next = attempt->next;

        if (attempt->rest) {
            canary_evidence_follow(sim->evidence, &attempt->ticket);
            attempt->followed = 1;
        }

        if (attempt->rest || !attempt->followed) {
            (void) sim_end(sim, attempt->ticket, attempt->finish);
        }

        if (attempt->rest) {
            sim_queue(sim, n, attempt->rest);
            attempt->rest = 0;
            continue;
        }

        if (attempt->followed) {
            canary_evidence_ended(sim->evidence, &attempt->ticket,
                                  attempt->end);
        }

        attempt->next = sim->unused;
        sim->unused = n;
    }
}


static inline const canary_times_t *
sim_times(void *data, int detail)
{
    sim_t  *sim = data;

    (void) detail;

    return &sim->times;
}


static inline void
sim_change(void *data, const canary_command_t *command,
    const canary_breach_t *breach, const canary_result_t *result)
{
    sim_t  *sim = data;

    (void) result;

    if (command->verb == CANARY_HOLDING) {
        sim->outage = breach->outage;
        sim->holds++;

    } else {
        sim->broken = 1;
    }
}


static inline void
sim_control(sim_t *sim)
{
    canary_control_t  control;

    control = (canary_control_t) {
        .evidence = sim->evidence, .rollout = &sim->rollout, .now = sim->now,
        .data = sim, .times = sim_times, .begin_step = sim_begin_step,
        .change = sim_change
    };

    canary_control_look(&control, 0);
}


/* Until a rule is broken, at most so long; returns how long it took. */

static inline uint64_t
sim_pass(sim_t *sim, uint64_t ms)
{
    uint64_t  began;

    for (began = sim->now; sim->now < began + ms && !sim->broken; ) {
        sim_come(sim, STABLE);
        sim_come(sim, CANARY);

        sim->now++;

        sim_finish(sim);

        if (sim->now % SIM_LOOP == 0) {
            sim_control(sim);
        }
    }

    return sim->now - began;
}


/* Whatever is broken meanwhile. */

static inline void
sim_goes_on(sim_t *sim, uint64_t ms)
{
    uint64_t  until;

    for (until = sim->now + ms; sim->now < until; ) {
        sim->broken = 0;
        sim_pass(sim, until - sim->now);
    }

    sim->broken = 0;
}


/* Nothing is broken for so long. */

static inline void
sim_survives(sim_t *sim, uint64_t ms)
{
    uint64_t  passed;

    passed = sim_pass(sim, ms);

    if (sim->broken) {
        fail_msg("broken after %u ms", (unsigned) passed);
    }
}


#endif /* UNIT_SIM_H */
