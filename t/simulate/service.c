
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "canary_evidence_places.h"
#include "canary_judge.h"

#include "service.h"


#define COLD_FACTOR  10


static void service_begin(service_t *service, const service_kind_t *kind);
static void service_strategy(const service_kind_t *kind,
    canary_strategy_t *strategy);
static void service_tick(service_t *service, const tick_t *tick);
static void service_start(service_t *service, unsigned bad);
static void service_push(service_queue_t *queue,
    const service_flight_t *flight, uint64_t due);
static service_flight_t *service_pop(service_queue_t *queue, uint64_t now);
static void service_header(service_t *service,
    const service_flight_t *flight);
static void service_end(service_t *service, const service_flight_t *flight);
static void service_count(service_t *service, const service_flight_t *flight,
    int ended);
static void service_time(service_t *service, uint32_t ms);
static const canary_times_t *service_times(void *data, int detail);
static void service_begin_step(void *data);
static void service_change(void *data, const canary_command_t *command,
    const canary_breach_t *breach, const canary_result_t *result);


service_t *
service_new(void)
{
    service_t  *service;

    service = calloc(1, sizeof(service_t));

    if (service == NULL) {
        return NULL;
    }

    service->evidence = malloc(canary_evidence_size(1));
    service->judged = malloc(sizeof(canary_judged_t));
    service->slot = malloc(sizeof(canary_slot_t));

    if (service->evidence == NULL || service->judged == NULL
        || service->slot == NULL)
    {
        service_free(service);
        return NULL;
    }

    canary_evidence_init(service->evidence, 1);
    canary_evidence_set_books(service->evidence, &service->judged->books);
    canary_evidence_use(service->evidence, service->slot);

    return service;
}


void
service_free(service_t *service)
{
    free(service->evidence);
    free(service->judged);
    free(service->slot);
    free(service);
}


int64_t
service_run(service_t *service, const service_kind_t *kind, uint32_t seed)
{
    int        broke;
    tick_t     tick;
    uint64_t   since;
    traffic_t  traffic;

    service_begin(service, kind);
    traffic_init(&traffic, seed, kind->rate * SERVICE_LOOP_MS / 1000,
                 kind->share, 1);

    broke = 0;
    since = service->began;

    while (service->now - service->began < kind->length) {

        if (kind->breaks && !broke
            && service->now - service->began >= kind->breaks)
        {
            broke = 1;
            since = service->now;
            traffic_change(&traffic, kind->broken);
        }

        traffic_tick(&traffic, &tick);
        service_tick(service, &tick);

        if (service->rolled_back) {
            return (kind->breaks && !broke) ? 0
                                            : (int64_t) (service->now - since);
        }
    }

    return -1;
}


static void
service_begin(service_t *service, const service_kind_t *kind)
{
    uint32_t           i;
    canary_command_t   command;
    canary_strategy_t  strategy;

    service->kind = kind;

    service_strategy(kind, &strategy);

    memset(&command, 0, sizeof(canary_command_t));
    command.verb = CANARY_START;
    command.now = ++service->now;
    command.release = 1;
    command.strategy = &strategy;

    canary_rollout_init(&service->rollout, 0);
    (void) canary_rollout_apply(&service->rollout, &command);

    memset(&service->times, 0, sizeof(canary_times_t));
    service->began = service->now;
    service->rolled_back = 0;
    service->headers.first = service->headers.last;

    for (i = 0; i < SERVICE_ENDS; i++) {
        service->ends[i].first = service->ends[i].last;
    }

    canary_judge_begin(service->evidence, &service->rollout, service->now,
                       &service->times);
}


static void
service_strategy(const service_kind_t *kind, canary_strategy_t *strategy)
{
    uint32_t        step, at, given;
    canary_rule_t  *rule;

    canary_strategy_init(strategy);

    step = CANARY_ONE / 2;
    (void) canary_strategy_set_steps(strategy, &step, 1, &at);

    strategy->interval = kind->length;
    strategy->patience = kind->patience;
    strategy->nrules = 1;

    rule = &strategy->rules[0];
    rule->kind = (uint32_t) canary_rule_by_name(kind->rule,
                                                strlen(kind->rule));
    rule->threshold = (uint64_t) (kind->threshold
                                  * (canary_rule_info[rule->kind].unit
                                     == CANARY_UNIT_RATIO
                                     ? CANARY_RATIO_ONE : 1000));
    rule->burst = kind->burst;
    given = CANARY_GIVEN_BURST;

    if (rule->kind == CANARY_RULE_MATCH_RATE) {
        rule->match = (uint16_t) canary_match_add(&strategy->matches, "m", 1);
        given |= CANARY_GIVEN_MATCH;
    }

    (void) canary_rule_complete(rule, given);
}


/* attempts, what comes of those before, and a look at it */

static void
service_tick(service_t *service, const tick_t *tick)
{
    uint32_t           i, bad, is_bad;
    canary_control_t   control;
    service_flight_t  *flight;

    for (i = 1, bad = 0; i <= tick->attempts; i++) {
        is_bad = (bad < tick->bad && tick->place[bad] == i);
        bad += is_bad;

        service_start(service, is_bad);
    }

    service->now += SERVICE_LOOP_MS;

    while ((flight = service_pop(&service->headers, service->now)) != NULL) {
        service_header(service, flight);
    }

    for (i = 0; i < SERVICE_ENDS; i++) {
        while ((flight = service_pop(&service->ends[i], service->now))
               != NULL)
        {
            service_end(service, flight);
        }
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
service_start(service_t *service, unsigned bad)
{
    uint32_t               end;
    service_flight_t       flight;
    const service_kind_t  *kind;

    kind = service->kind;
    end = bad;

    canary_evidence_start(service->evidence, 0, CANARY_SIDE_CANARY,
                          &flight.ticket);

    flight.bad = (bad != 0);
    flight.took = bad ? kind->bad : kind->good;
    flight.timeless = 0;

    if (service->now - service->began < kind->cold) {
        flight.took *= COLD_FACTOR;
        end += 2;
    }

    if (kind->warmup
        && canary_evidence_is_warming(service->evidence, CANARY_SIDE_CANARY,
                                      kind->warmup, service->now))
    {
        flight.timeless = 1;
        canary_evidence_no_time(service->evidence, &flight.ticket);
    }

    if (kind->header) {
        service_push(&service->headers, &flight, service->now + kind->header);
    }

    service_push(&service->ends[end], &flight, service->now + flight.took);
}


static void
service_push(service_queue_t *queue, const service_flight_t *flight,
    uint64_t due)
{
    service_flight_t  *last;

    last = &queue->flights[queue->last++ % SERVICE_FLIGHT];

    *last = *flight;
    last->due = due;
}


static service_flight_t *
service_pop(service_queue_t *queue, uint64_t now)
{
    service_flight_t  *flight;

    flight = &queue->flights[queue->first % SERVICE_FLIGHT];

    if (queue->first == queue->last || flight->due > now) {
        return NULL;
    }

    queue->first++;

    return flight;
}


/* all is known by now but how it ends */

static void
service_header(service_t *service, const service_flight_t *flight)
{
    if (canary_get(&service->evidence->follows)) {
        canary_evidence_follow(service->evidence, &flight->ticket);
    }

    service_count(service, flight, 0);
}


static void
service_end(service_t *service, const service_flight_t *flight)
{
    if (!flight->timeless) {
        service_time(service, flight->took);
    }

    if (canary_get(&service->evidence->matches)) {
        canary_evidence_match(service->evidence, &flight->ticket,
                              flight->bad);
    }

    if (!service->kind->header) {
        service_count(service, flight, 1);
        return;
    }

    canary_evidence_time(service->evidence, &flight->ticket,
                         flight->took * 1000ull, 1);

    if (canary_get(&service->evidence->follows)) {
        canary_evidence_ended(service->evidence, &flight->ticket,
                              flight->bad ? CANARY_END_LEFT : CANARY_END_OTHER);
    }
}


static void
service_count(service_t *service, const service_flight_t *flight, int ended)
{
    canary_finish_t  finish;

    memset(&finish, 0, sizeof(canary_finish_t));

    finish.bad_5xx = flight->bad
                     && service->rollout.strategy.rules[0].kind
                        == CANARY_RULE_ERROR_5XX_RATE;
    finish.timeless = flight->timeless;
    finish.timed = ended && !flight->timeless;
    finish.untimed = !ended;
    finish.time = flight->took * 1000ull;

    canary_evidence_finish(service->evidence, &flight->ticket, &finish);
}


static void
service_time(service_t *service, uint32_t ms)
{
    uint32_t  bucket;

    bucket = canary_histogram_index(ms * 1000ull);

    service->times.sides[CANARY_SIDE_CANARY].counts[bucket]++;
    service->times.step[CANARY_SIDE_CANARY].counts[bucket]++;
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
