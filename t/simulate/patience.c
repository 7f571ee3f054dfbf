
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_control.h"
#include "canary_evidence_count.h"
#include "canary_evidence_places.h"
#include "canary_judge.h"

#include "patience.h"
#include "traffic.h"


#define LOOP_MS     50
#define ROLLOUT_MS  900000
#define RATE        20.0         /* attempts per second, all of the canary */
#define GOOD_MS     15000        /* an answer takes */
#define LIMIT       0.1          /* bad attempts of all */
#define FLIGHT      (1 << 16)    /* attempts in flight, at most */


typedef struct {
    canary_evidence_t  *evidence;
    canary_judged_t    *judged;
    canary_slot_t      *slot;
    canary_rollout_t    rollout;
    canary_times_t      times;
    uint64_t            now;
    int                 rolled_back;
    int                 match;             /* bad ones are those of a match,
                                              known when they end, as late */

    canary_ticket_t     flying[FLIGHT];
    uint64_t            ends[FLIGHT];      /* ms */
    unsigned            matched[FLIGHT];
    uint32_t            first;
    uint32_t            last;
} service_t;


static int table_rows(service_t *service, uint32_t runs);
static int service_init(service_t *service);
static void service_free(service_t *service);
static int service_run(service_t *service, uint64_t patience, uint32_t burst,
    double share, uint32_t seed);
static void service_begin(service_t *service, uint64_t patience,
    uint32_t burst);
static void service_tick(service_t *service, const tick_t *tick);
static void service_end(service_t *service, const canary_ticket_t *ticket,
    unsigned bad, uint32_t ms);
static const canary_times_t *service_times(void *data, int detail);
static void service_begin_step(void *data);
static void service_change(void *data, const canary_command_t *command,
    const canary_breach_t *breach, const canary_result_t *result);


int
table_patience(uint32_t runs)
{
    int         missed;
    service_t  *service;

    service = malloc(sizeof(service_t));

    if (service == NULL || !service_init(service)) {
        fprintf(stderr, "no memory\n");
        return 1;
    }

    printf("\nRollouts of %d minutes, %g attempts/s, that are rolled back; a "
           "good answer takes %d s, a bad one none; %u for each row:\n\n",
           ROLLOUT_MS / 60000, RATE, GOOD_MS / 1000, runs);

    missed = table_rows(service, runs);

    printf("\nThe same by match_rate, where an answer of the match takes as "
           "long as all others, and is known then:\n\n");

    service->match = 1;
    missed |= table_rows(service, runs);

    service_free(service);

    if (missed) {
        fprintf(stderr, "MISSED: healthy canaries are rolled back\n");
    }

    return missed;
}


static int
table_rows(service_t *service, uint32_t runs)
{
    int       missed;
    uint32_t  i, run, burst, rolled_back[2];

    static const uint64_t  patience[] = { 10000, 120000, 600000 };
    static const double    shares[] = { 0.5 * LIMIT, LIMIT };

    missed = 0;

    printf("| patience | bad attempts | burst=0 | burst=100ms |\n"
           "|---|---|---|---|\n");

    for (i = 0; i < 6; i++) {
        for (burst = 0; burst < 2; burst++) {
            rolled_back[burst] = 0;

            for (run = 0; run < runs; run++) {
                rolled_back[burst] += (uint32_t)
                    service_run(service, patience[i / 2], burst * 100,
                                shares[i % 2], run);
            }

            missed |= (i % 2 == 0 && rolled_back[burst] * 1000ull
                                     >= runs + (runs < 1000));
        }

        printf("| %u s | %g %% | %u, %.4g %% | %u, %.4g %% |\n",
               (unsigned) (patience[i / 2] / 1000), 100 * shares[i % 2],
               rolled_back[0], 100.0 * rolled_back[0] / runs,
               rolled_back[1], 100.0 * rolled_back[1] / runs);
        fflush(stdout);
    }

    return missed;
}


static int
service_init(service_t *service)
{
    memset(service, 0, sizeof(service_t));

    service->evidence = malloc(canary_evidence_size(1));
    service->judged = malloc(sizeof(canary_judged_t));
    service->slot = malloc(sizeof(canary_slot_t));

    if (service->evidence == NULL || service->judged == NULL
        || service->slot == NULL)
    {
        service_free(service);
        return 0;
    }

    canary_evidence_init(service->evidence, 1);
    canary_evidence_set_books(service->evidence, &service->judged->books);
    canary_evidence_use(service->evidence, service->slot);

    return 1;
}


static void
service_free(service_t *service)
{
    free(service->evidence);
    free(service->judged);
    free(service->slot);
    free(service);
}


/* returns 1 if it is rolled back */

static int
service_run(service_t *service, uint64_t patience, uint32_t burst,
    double share, uint32_t seed)
{
    tick_t     tick;
    traffic_t  traffic;
    uint64_t   until;

    service_begin(service, patience, burst);
    traffic_init(&traffic, seed, RATE * LOOP_MS / 1000, share, 1);

    until = service->now + ROLLOUT_MS;

    while (service->now < until && !service->rolled_back) {
        traffic_tick(&traffic, &tick);
        service_tick(service, &tick);
    }

    return service->rolled_back;
}


static void
service_begin(service_t *service, uint64_t patience, uint32_t burst)
{
    uint32_t            step, at;
    canary_command_t    command;
    canary_strategy_t   strategy;

    canary_strategy_init(&strategy);

    step = CANARY_ONE / 2;
    (void) canary_strategy_set_steps(&strategy, &step, 1, &at);

    strategy.interval = ROLLOUT_MS;
    strategy.patience = patience;
    strategy.nrules = 1;
    strategy.rules[0].kind = CANARY_RULE_ERROR_5XX_RATE;

    if (service->match) {
        strategy.rules[0].kind = CANARY_RULE_MATCH_RATE;
        strategy.rules[0].match = (uint16_t) canary_match_add(
                                                 &strategy.matches, "m", 1);
    }

    strategy.rules[0].threshold = (uint64_t) (LIMIT * CANARY_RATIO_ONE);
    strategy.rules[0].burst = burst;
    (void) canary_rule_complete(&strategy.rules[0],
                                CANARY_GIVEN_BURST
                                | (service->match ? CANARY_GIVEN_MATCH : 0));

    memset(&command, 0, sizeof(canary_command_t));
    command.verb = CANARY_START;
    command.now = ++service->now;
    command.release = 1;
    command.strategy = &strategy;

    canary_rollout_init(&service->rollout, 0);
    (void) canary_rollout_apply(&service->rollout, &command);

    memset(&service->times, 0, sizeof(canary_times_t));
    service->first = 0;
    service->last = 0;
    service->rolled_back = 0;

    canary_judge_begin(service->evidence, &service->rollout, service->now,
                       &service->times);
}


/* attempts, what ends of those before, and a look at it */

static void
service_tick(service_t *service, const tick_t *tick)
{
    uint32_t           i, bad, is_bad, n;
    canary_ticket_t    ticket;
    canary_control_t   control;

    for (i = 1, bad = 0; i <= tick->attempts; i++) {
        canary_evidence_start(service->evidence, 0, CANARY_SIDE_CANARY,
                              &ticket);

        is_bad = (bad < tick->bad && tick->place[bad] == i);
        bad += is_bad;

        if (is_bad && !service->match) {
            service_end(service, &ticket, 1, 1);

        } else {
            n = service->last++ % FLIGHT;

            service->flying[n] = ticket;
            service->matched[n] = is_bad;
            service->ends[n] = service->now + GOOD_MS;
        }
    }

    service->now += LOOP_MS;

    while (service->first != service->last
           && service->ends[service->first % FLIGHT] <= service->now)
    {
        n = service->first++ % FLIGHT;

        canary_evidence_match(service->evidence, &service->flying[n],
                              service->matched[n]);
        service_end(service, &service->flying[n], 0, GOOD_MS);
    }

    memset(&control, 0, sizeof(canary_control_t));
    control.evidence = service->evidence;
    control.rollout = &service->rollout;
    control.now = service->now;
    control.data = service;
    control.times = service_times;
    control.begin_step = service_begin_step;
    control.change = service_change;

    canary_control_look(&control, 0);
}


static void
service_end(service_t *service, const canary_ticket_t *ticket, unsigned bad,
    uint32_t ms)
{
    uint32_t         bucket;
    canary_finish_t  finish;

    memset(&finish, 0, sizeof(canary_finish_t));
    finish.bad_5xx = bad;
    finish.timed = 1;
    finish.time = ms * 1000ull;

    bucket = canary_histogram_index(finish.time);
    service->times.sides[CANARY_SIDE_CANARY].counts[bucket]++;
    service->times.step[CANARY_SIDE_CANARY].counts[bucket]++;

    canary_evidence_finish(service->evidence, ticket, &finish);
}


static const canary_times_t *
service_times(void *data, int detail)
{
    service_t  *service = data;

    (void) detail;

    return &service->times;
}


static void
service_begin_step(void *data)
{
    (void) data;
}


static void
service_change(void *data, const canary_command_t *command,
    const canary_breach_t *breach, const canary_result_t *result)
{
    service_t  *service = data;

    (void) breach;
    (void) result;

    service->rolled_back = (command->verb == CANARY_VIOLATION);
}
