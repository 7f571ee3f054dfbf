
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "world.h"

#include "canary_evidence_count.h"
#include "canary_evidence_layout.h"
#include "canary_histogram.h"
#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_rule.h"
#include "canary_split.h"
#include "canary_strategy.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_meter.h"
#include "ngx_canary_process.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_change.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_routing.h"
#include "ngx_canary_control.h"


#define KILLS_GOOD_US  1000


static void kills_attempt(ngx_canary_endpoint_t *endpoint,
    ngx_uint_t bad_stable, ngx_uint_t bad_canary);
static void kills_measure(ngx_canary_endpoint_t *endpoint, uint32_t id,
    ngx_uint_t bad);
static void kills_add_rule(canary_strategy_t *strategy,
    canary_rule_kind_t kind, uint64_t threshold, unsigned given,
    uint32_t value);
static void kills_make_strategy(canary_strategy_t *strategy,
    kills_rules_e rules);
static ngx_uint_t kills_is_settled(void);
static uint32_t kills_other_release(ngx_canary_endpoint_t *endpoint);


/* what counts, while traffic does not */

static int  kills_kind;


void
kills_become(ngx_uint_t process)
{
    ngx_process = process;
    ngx_pid = ngx_getpid();
}


void
kills_tick(void)
{
    kills->now += KILLS_TICK * 1000;

    (void) ngx_canary_tick(kills_conf());
}


void
kills_ticks(ngx_uint_t n)
{
    while (n--) {
        kills_tick();
    }
}


void
kills_pass(ngx_uint_t n, ngx_uint_t attempts, ngx_uint_t bad_stable,
    ngx_uint_t bad_canary)
{
    ngx_uint_t  i;

    while (n--) {
        for (i = 0; i < kills_conf()->endpoints.nelts; i++) {
            kills_traffic(kills_endpoint(i), attempts, bad_stable,
                          bad_canary);
        }

        kills_tick();
    }
}


void
kills_traffic(ngx_canary_endpoint_t *endpoint, ngx_uint_t attempts,
    ngx_uint_t bad_stable, ngx_uint_t bad_canary)
{
    kills_kind = kills->kind;
    kills->kind = 0;

    while (attempts--) {
        kills_attempt(endpoint, bad_stable, bad_canary);
    }

    kills->kind = kills_kind;
}


/* as workers do, by the word; that a rule is broken may be the end of one */

static void
kills_attempt(ngx_canary_endpoint_t *endpoint, ngx_uint_t bad_stable,
    ngx_uint_t bad_canary)
{
    ngx_uint_t          bad;
    ngx_uint_t          side;
    canary_route_t      route;
    canary_finish_t     finish;
    canary_ticket_t     ticket;
    canary_evidence_t  *evidence;

    static uint32_t  turn;

    route = ngx_canary_route(endpoint);

    turn += route.weight;
    side = CANARY_SIDE_STABLE;

    if (turn >= CANARY_ONE) {
        turn -= CANARY_ONE;
        side = CANARY_SIDE_CANARY;
    }

    bad = (side == CANARY_SIDE_CANARY) ? bad_canary : bad_stable;
    evidence = (route.phase == CANARY_IDLE) ? NULL
                                            : endpoint->shared->evidence;

    if (evidence) {
        canary_evidence_start(evidence, (uint32_t) ngx_canary_slot,
                              (unsigned) side, &ticket);
    }

    kills_measure(endpoint, (side == CANARY_SIDE_CANARY) ? route.canary
                                                         : route.stable,
                  bad);

    if (evidence == NULL) {
        return;
    }

    ngx_memzero(&finish, sizeof(canary_finish_t));

    finish.bad_5xx = bad ? 1 : 0;
    finish.timed = !bad;
    finish.time = KILLS_GOOD_US;

    canary_evidence_finish(evidence, &ticket, &finish);

    if (bad && side == CANARY_SIDE_CANARY
        && (canary_evidence_burn(evidence, 5)
            || ngx_canary_milliseconds()
               >= kills_conf()->zone->heartbeat + NGX_CANARY_STALE))
    {
        kills->kind = kills_kind;
        ngx_canary_trip(endpoint, route.epoch, ngx_cycle->log);
        kills->kind = 0;
    }
}


static void
kills_measure(ngx_canary_endpoint_t *endpoint, uint32_t id,
    ngx_uint_t bad)
{
    ngx_canary_meter_t    *meter;
    ngx_canary_release_t  *release;

    release = ngx_canary_stable(endpoint, id);
    meter = release->meter;

    if (meter == NULL) {
        meter = ngx_canary_make_meter(endpoint, release);
    }

    meter->totals.responses[bad ? 4 : 1]++;

    if (!bad) {
        meter->totals.timed++;
        meter->totals.time += KILLS_GOOD_US;
        meter->histogram[canary_histogram_index(KILLS_GOOD_US)]++;
    }
}


void
kills_settle(void)
{
    ngx_uint_t  n;

    for (n = 0; n < 400; n++) {
        kills_tick();

        /* by then the lock of the state file has been looked at, too */

        if (n > 3 && kills_is_settled()) {
            return;
        }
    }

    kills_fail("20 s later something is pending, or not in the file");
}


static ngx_uint_t
kills_is_settled(void)
{
    ngx_canary_zone_t    *zone;
    ngx_canary_shared_t  *shared;

    zone = kills_conf()->zone;

    if (zone->durable < zone->sequence || zone->failing || zone->foreign) {
        return 0;
    }

    for (shared = zone->endpoints; shared; shared = shared->next) {
        if (shared->pending.sequence) {
            return 0;
        }
    }

    return 1;
}


ngx_canary_section_e
kills_command(ngx_canary_endpoint_t *endpoint, canary_verb_t verb,
    kills_rules_e rules)
{
    canary_strategy_t    strategy;
    ngx_canary_change_t  change;

    ngx_memzero(&change, sizeof(ngx_canary_change_t));

    kills_make_strategy(&strategy, rules);

    change.command.verb = verb;
    change.command.release = kills_other_release(endpoint);
    change.command.strategy = &strategy;

    if (verb == CANARY_PATCH && rules == KILLS_PLAIN) {
        change.command.has_weight = 1;
        change.command.weight = CANARY_ONE / 4;
        change.command.strategy = NULL;
    }

    (void) ngx_cpystrn(change.actor.name, (u_char *) "kills",
                       sizeof(change.actor.name));

    return ngx_canary_change(endpoint, &change);
}


void
kills_do(ngx_canary_endpoint_t *endpoint, canary_verb_t verb,
    kills_rules_e rules)
{
    uint64_t              generation;
    ngx_uint_t            n;
    ngx_canary_section_e  rc;

    generation = kills_rollout(endpoint)->generation;

    for (n = 0; n < 200; n++) {
        rc = kills_command(endpoint, verb, rules);

        if (rc == NGX_CANARY_DONE || rc == NGX_CANARY_PENDING) {
            break;
        }

        kills_tick();
    }

    for (n = 0; n < 200; n++) {
        if (kills_rollout(endpoint)->generation > generation) {
            return;
        }

        kills_tick();
    }

    kills_fail("%s of \"%.*s\" has no effect: it is %s",
               canary_verb_name(verb), (int) endpoint->name.len,
               endpoint->name.data,
               canary_phase_name(kills_rollout(endpoint)->phase));
}


static uint32_t
kills_other_release(ngx_canary_endpoint_t *endpoint)
{
    uint32_t               stable;
    ngx_canary_release_t  *releases;

    stable = kills_rollout(endpoint)->stable;
    releases = endpoint->releases.elts;

    return (releases[0].id == stable && endpoint->releases.nelts > 1)
           ? releases[1].id : releases[0].id;
}


static void
kills_make_strategy(canary_strategy_t *strategy, kills_rules_e rules)
{
    uint32_t  at;

    static const uint32_t  steps[] = { CANARY_ONE / 2, CANARY_ONE };

    canary_strategy_init(strategy);

    (void) canary_strategy_set_schedule(strategy, steps, 2, &at);

    strategy->interval = 1000;
    strategy->bake = 200;
    strategy->on_violation = (rules == KILLS_HALTS) ? CANARY_HALT
                                                    : CANARY_ROLL_BACK;

    kills_add_rule(strategy, CANARY_RULE_ERROR_5XX_RATE,
                   CANARY_RATIO_ONE / 4, CANARY_GIVEN_MIN_REQUESTS, 10);

    /* a hold comes at once: each attempt is an observation */

    if (rules == KILLS_WAITS) {
        strategy->rules[0].burst = 0;
    }

    if (rules == KILLS_WAITS) {
        strategy->interval = 3600 * 1000;

    } else if (rules != KILLS_ALL) {
        return;
    }

    strategy->on_undecided = CANARY_ADVANCE_UNDECIDED;

    kills_add_rule(strategy, CANARY_RULE_ERROR_RATE, CANARY_RATIO_ONE / 2,
                   CANARY_GIVEN_BASELINE, 1);
    kills_add_rule(strategy, CANARY_RULE_LATENCY_P99_MAX, 3000000000ull,
                   CANARY_GIVEN_BASELINE, 1);
    kills_add_rule(strategy, CANARY_RULE_LATENCY_AVG_MAX, 3000000000ull,
                   CANARY_GIVEN_BASELINE, 1);
    kills_add_rule(strategy, CANARY_RULE_LATENCY_AVG_MAX, 900000, 0, 0);
    kills_add_rule(strategy, CANARY_RULE_LATENCY_P90_MAX, 900000, 0, 0);
    kills_add_rule(strategy, CANARY_RULE_ERROR_4XX_RATE,
                   CANARY_RATIO_ONE / 4, CANARY_GIVEN_WINDOW, 10000);
    kills_add_rule(strategy, CANARY_RULE_FAILED_REQUESTS_MAX, 100000, 0, 0);
}


static void
kills_add_rule(canary_strategy_t *strategy, canary_rule_kind_t kind,
    uint64_t threshold, unsigned given, uint32_t value)
{
    const char     *wrong;
    canary_rule_t  *rule;

    rule = &strategy->rules[strategy->nrules++];

    ngx_memzero(rule, sizeof(canary_rule_t));

    rule->kind = kind;
    rule->threshold = threshold;

    switch (given) {

    case CANARY_GIVEN_MIN_REQUESTS:
        rule->min_requests = value;
        break;

    case CANARY_GIVEN_BASELINE:
        rule->baseline = value;
        break;

    case CANARY_GIVEN_WINDOW:
        rule->window = value;
        given |= CANARY_GIVEN_CONFIDENCE;    /* off */
        break;

    default:
        break;
    }

    wrong = canary_rule_complete(rule, given);

    if (wrong) {
        kills_fail("%s %s", canary_rule_info[kind].name, wrong);
    }
}


/* as the master does */

void
kills_reload(void)
{
    ngx_cycle_t  *cycle;

    cycle = ngx_init_cycle((ngx_cycle_t *) ngx_cycle);
    if (cycle == NULL) {
        kills_fail("a reload failed");
    }

    ngx_cycle = cycle;
}
