
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_attempt.h"

#include "canary_away.h"
#include "canary_evidence_count.h"
#include "canary_evidence_layout.h"
#include "canary_judge_times.h"
#include "canary_once.h"
#include "canary_outcome.h"
#include "canary_totals.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_failures.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_judge.h"
#include "ngx_canary_attempt_layout.h"


/*
 * Accounting of attempts.
 *
 * Totals are counted for every attempt, as long as there is a zone.  Evidence
 * is counted for those that began in the rollout that is under way: an
 * attempt takes a ticket when it begins and hands it in when it ends.
 */


static ngx_inline void ngx_canary_take_ticket_of_key(
    ngx_canary_attempt_t *attempt, ngx_canary_routing_t *routing);
static void ngx_canary_give_key_back(ngx_canary_attempt_t *attempt);
static void ngx_canary_failed(ngx_canary_attempt_t *attempt,
    ngx_canary_how_e how, uint64_t elapsed);
static void ngx_canary_aborted(ngx_canary_attempt_t *attempt,
    ngx_uint_t left, uint64_t elapsed);
static void ngx_canary_cut(ngx_canary_attempt_t *attempt,
    ngx_uint_t timedout, uint64_t elapsed);
static void ngx_canary_responded(ngx_canary_attempt_t *attempt,
    const canary_facts_t *facts, canary_outcome_t outcome,
    ngx_int_t header_grpc_status, uint64_t elapsed);
static void ngx_canary_rejected(ngx_canary_attempt_t *attempt,
    uint64_t elapsed);
static canary_end_t ngx_canary_cancelled(ngx_canary_attempt_t *attempt);
static void ngx_canary_attempt_followed(ngx_canary_attempt_t *attempt,
    canary_end_t end);
static ngx_uint_t ngx_canary_matches_at_end(ngx_canary_attempt_t *attempt);
static void ngx_canary_match(ngx_canary_attempt_t *attempt);
static ngx_uint_t ngx_canary_matched(ngx_canary_attempt_t *attempt);
static void ngx_canary_ignored(ngx_canary_attempt_t *attempt);
static void ngx_canary_follow_attempt(ngx_canary_attempt_t *attempt);
static void ngx_canary_end_time(ngx_canary_attempt_t *attempt,
    ngx_uint_t complete, uint64_t elapsed);
static void ngx_canary_hand_in(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence, canary_finish_t *finish);
static void ngx_canary_record_failure(
    ngx_canary_attempt_t *attempt, uint64_t elapsed);
static void ngx_canary_burn(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence, ngx_uint_t response_class, uint64_t elapsed);


/* ms, monotonic */

static ngx_inline uint64_t
ngx_canary_began(ngx_canary_attempt_t *attempt)
{
    return (uint64_t) attempt->started.tv_sec * 1000
           + (uint64_t) attempt->started.tv_nsec / 1000000;
}


static ngx_inline ngx_uint_t
ngx_canary_is_timeless(ngx_canary_attempt_t *attempt)
{
    return (attempt->special & NGX_CANARY_TIMELESS) != 0;
}


void
ngx_canary_void_ticket(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence)
{
    canary_finish_t  finish;

    ngx_memzero(&finish, sizeof(canary_finish_t));

    finish.voided = 1;
    finish.timeless = ngx_canary_is_timeless(attempt);

    canary_evidence_finish(evidence, &attempt->ticket, &finish);

    attempt->evidence = 0;
}


void
ngx_canary_attempt_end(ngx_canary_attempt_t *attempt,
    canary_facts_t *facts, ngx_int_t header_grpc_status, uint64_t elapsed)
{
    canary_outcome_t  outcome;

    if (attempt->state == NGX_CANARY_ENDED) {
        return;
    }

    facts->upgraded = attempt->special & NGX_CANARY_UPGRADED;
    outcome = canary_outcome(facts);

    switch (outcome) {

    case CANARY_OUTCOME_RESPONSE:
    case CANARY_OUTCOME_CUT:
    case CANARY_OUTCOME_REJECTED:
    case CANARY_OUTCOME_CANCELLED:

        ngx_canary_responded(attempt, facts, outcome, header_grpc_status,
                             elapsed);
        break;

    case CANARY_OUTCOME_FAILED:
    case CANARY_OUTCOME_TIMEOUT:
        ngx_canary_failed(attempt,
                          (outcome == CANARY_OUTCOME_TIMEOUT)
                          ? NGX_CANARY_TIMEOUT
                          : NGX_CANARY_CLOSED,
                          elapsed);
        break;

    case CANARY_OUTCOME_ABORTED:
        ngx_canary_aborted(attempt, canary_aborted_by_client(facts), elapsed);
        break;

    default: /* CANARY_OUTCOME_IGNORED */
        ngx_canary_ignored(attempt);
        break;
    }

    attempt->state = NGX_CANARY_ENDED;
}


/* the end of an attempt that had a header, whether that is counted or not */

static void
ngx_canary_responded(ngx_canary_attempt_t *attempt,
    const canary_facts_t *facts, canary_outcome_t outcome,
    ngx_int_t header_grpc_status, uint64_t elapsed)
{
    canary_end_t  end;

    if (!attempt->response) {
        ngx_canary_attempt_any_header(attempt, facts->status,
                                      header_grpc_status, 0, elapsed);
    }

    if (outcome != CANARY_OUTCOME_CANCELLED
        && ngx_canary_matches_at_end(attempt))
    {
        ngx_canary_match(attempt);
    }

    ngx_canary_end_time(attempt,
                        outcome != CANARY_OUTCOME_CUT
                        && facts->complete && !facts->client_gone,
                        elapsed);

    end = CANARY_END_OTHER;

    if (canary_abandoned(facts)) {
        end = CANARY_END_LEFT;
        ngx_canary_add(&ngx_canary_meter(attempt)->totals.abandoned, 1);
    }

    switch (outcome) {

    case CANARY_OUTCOME_CUT:
        ngx_canary_cut(attempt, facts->timedout, elapsed);
        break;

    case CANARY_OUTCOME_REJECTED:
        ngx_canary_rejected(attempt, elapsed);
        break;

    case CANARY_OUTCOME_CANCELLED:
        end = ngx_canary_cancelled(attempt);
        break;

    default:
        break;
    }

    ngx_canary_attempt_followed(attempt, end);
}


void
ngx_canary_attempt_any_header(ngx_canary_attempt_t *attempt,
    ngx_uint_t status, ngx_int_t grpc_status, ngx_uint_t trailers,
    uint64_t elapsed)
{
    ngx_canary_attempt_header(attempt, status, grpc_status, trailers,
                              elapsed);
}


void
ngx_canary_count_no_live(ngx_canary_attempt_t *attempt, ngx_uint_t served)
{
    uint64_t              now;
    canary_route_t        route;
    ngx_canary_shared_t  *shared;

    ngx_canary_add(&ngx_canary_meter(attempt)->totals.no_live, 1);

    route = ngx_canary_route(attempt->endpoint);

    if (route.phase == CANARY_IDLE) {
        return;
    }

    shared = attempt->endpoint->shared;
    now = ngx_canary_milliseconds();

    if (attempt->release->id == route.stable) {

        if (served) {
            canary_away_meet(&shared->away[CANARY_SIDE_STABLE], route.epoch,
                             now);
        }

    } else if (attempt->release->id == route.canary
               && ngx_canary_may_be_evidence(attempt))
    {
        canary_away_meet(&shared->away[CANARY_SIDE_CANARY], route.epoch, now);
    }
}


void
ngx_canary_attempt_no_live(ngx_canary_attempt_t *attempt)
{
    ngx_canary_count_no_live(attempt, 0);
    ngx_canary_attempt_begin(attempt);
    ngx_canary_failed(attempt, NGX_CANARY_NO_LIVE, 0);

    attempt->state = NGX_CANARY_ENDED;
}


/*
 * An upload that nginx passes on as it comes takes the time that the client
 * takes, and a release that has just been started that of its start.  Of a key
 * there may have been an attempt already.
 */

void
ngx_canary_take_special_ticket(ngx_canary_attempt_t *attempt,
    ngx_canary_routing_t *routing)
{
    ngx_uint_t              timeless;
    canary_evidence_t      *evidence;
    ngx_canary_endpoint_t  *endpoint;

    if (attempt->reason < NGX_CANARY_BY_WEIGHT_WARMING) {
        return;
    }

    endpoint = attempt->endpoint;
    timeless = (attempt->reason >= NGX_CANARY_BY_WEIGHT_UPLOAD);

    if (routing->route.phase != CANARY_IDLE) {

        if (endpoint->once
            && (attempt->reason == NGX_CANARY_BY_KEY_WARMING
                || attempt->reason == NGX_CANARY_BY_KEY_UPLOAD))
        {
            ngx_canary_take_ticket_of_key(attempt, routing);

        } else {
            ngx_canary_take_ticket(attempt, routing);
        }

        attempt->special = routing->route.watched ? NGX_CANARY_WATCHED : 0;
        attempt->matched = 0;
    }

    if (!timeless && endpoint->warmup == 0) {
        return;
    }

    evidence = NULL;

    if (attempt->evidence) {
        evidence = __atomic_load_n(&endpoint->shared->evidence,
                                   __ATOMIC_ACQUIRE);
    }

    if (evidence && endpoint->warmup) {
        timeless |= canary_evidence_is_warming(evidence, attempt->ticket.side,
                                               endpoint->warmup,
                                               ngx_canary_began(attempt));
    }

    if (!timeless) {
        return;
    }

    attempt->special |= NGX_CANARY_TIMELESS;

    if (evidence) {
        canary_evidence_no_time(evidence, &attempt->ticket);
    }
}


/* none for a key that has counted; its next attempts may count if this one has
   found no evidence to be a part of */

static ngx_inline void
ngx_canary_take_ticket_of_key(ngx_canary_attempt_t *attempt,
    ngx_canary_routing_t *routing)
{
    ngx_canary_endpoint_t  *endpoint;

    endpoint = attempt->endpoint;

    attempt->key = canary_once_take(endpoint->shared->keys,
                                    endpoint->shell->key(attempt),
                                    ngx_canary_began(attempt), endpoint->once);

    if (attempt->key == 0) {
        attempt->reason = NGX_CANARY_BY_KEY_EXCLUDED;
        return;
    }

    ngx_canary_take_ticket(attempt, routing);

    if (attempt->evidence) {
        attempt->evidence = NGX_CANARY_TICKET_OF_KEY;

    } else {
        ngx_canary_give_key_back(attempt);
    }
}


static void
ngx_canary_give_key_back(ngx_canary_attempt_t *attempt)
{
    ngx_canary_endpoint_t  *endpoint;

    endpoint = attempt->endpoint;

    canary_once_give_back(endpoint->shared->keys,
                          endpoint->shell->key(attempt), endpoint->once,
                          attempt->key);
}


void
ngx_canary_special_response(ngx_canary_attempt_t *attempt,
    ngx_uint_t response_class, ngx_uint_t timed, uint64_t elapsed)
{
    ngx_uint_t           measured;
    canary_finish_t      finish;
    canary_evidence_t   *evidence;
    ngx_canary_meter_t  *meter;

    if (attempt->special & NGX_CANARY_UPGRADED) {
        timed = 1;

    } else if (attempt->special & NGX_CANARY_WATCHED) {
        ngx_canary_follow_attempt(attempt);
    }

    if (!ngx_canary_matches_at_end(attempt)) {
        ngx_canary_match(attempt);
    }

    if (!(attempt->special & NGX_CANARY_TIMELESS)) {
        ngx_canary_response(attempt, response_class, timed, elapsed);
        return;
    }

    attempt->response = response_class;
    attempt->how = NGX_CANARY_ANSWERED;

    meter = ngx_canary_attempt_meter(attempt);
    evidence = ngx_canary_evidence(attempt, &measured);

    ngx_canary_add(&meter->totals.responses[response_class - 1], 1);

    ngx_memzero(&finish, sizeof(canary_finish_t));

    finish.bad_4xx = (response_class == 4);
    finish.bad_5xx = (response_class == 5);
    finish.timeless = 1;
    finish.time = elapsed;

    if ((attempt->special & NGX_CANARY_WATCHED)
        && ngx_canary_matches_at_end(attempt)
        && evidence && canary_get(&evidence->matches))
    {
        attempt->special |= NGX_CANARY_AWAITED;
        finish.untimed = 1;
    }

    ngx_canary_hand_in(attempt, evidence, &finish);
}


/* before its header is counted, so that its cohort waits for its end */

static void
ngx_canary_follow_attempt(ngx_canary_attempt_t *attempt)
{
    ngx_uint_t          measured;
    canary_evidence_t  *evidence;

    evidence = ngx_canary_evidence(attempt, &measured);

    if (evidence && canary_get(&evidence->follows)) {
        canary_evidence_follow(evidence, &attempt->ticket);

        attempt->special |= NGX_CANARY_FOLLOWED;
        attempt->state = NGX_CANARY_RESPONDED;
    }
}


static void
ngx_canary_attempt_followed(ngx_canary_attempt_t *attempt, canary_end_t end)
{
    ngx_uint_t          measured;
    canary_evidence_t  *evidence;

    if (!(attempt->special & NGX_CANARY_FOLLOWED)) {
        return;
    }

    evidence = ngx_canary_evidence(attempt, &measured);

    if (evidence) {
        canary_evidence_ended(evidence, &attempt->ticket, end);
    }
}


/* whether matches are looked at when an answer has ended, not at its header */

static ngx_uint_t
ngx_canary_matches_at_end(ngx_canary_attempt_t *attempt)
{
    return attempt->endpoint->latency == NGX_CANARY_LATENCY_RESPONSE
           && !(attempt->special & NGX_CANARY_UPGRADED);
}


/* before what it is a part of is counted, so that its cohort waits for it */

static void
ngx_canary_match(ngx_canary_attempt_t *attempt)
{
    ngx_uint_t          measured;
    canary_evidence_t  *evidence;

    if (!(attempt->special & NGX_CANARY_WATCHED)) {
        return;
    }

    evidence = ngx_canary_evidence(attempt, &measured);

    if (evidence && canary_get(&evidence->matches)) {
        attempt->matched = (uint8_t) ngx_canary_matched(attempt);

        canary_evidence_match(evidence, &attempt->ticket, attempt->matched);
    }
}


/*
 * A bit for each name of the strategy.  One that changes while it is read was
 * that of other tests than the attempt is evidence for.
 */

static ngx_uint_t
ngx_canary_matched(ngx_canary_attempt_t *attempt)
{
    char                    name[CANARY_MATCH_SIZE];
    ngx_uint_t              i, place, matched;
    canary_matches_t       *matches;
    ngx_canary_endpoint_t  *endpoint;

    endpoint = attempt->endpoint;
    matches = &ngx_canary_record(endpoint->shared)->rollout.strategy.matches;

    for (i = 0, matched = 0; i < CANARY_MATCHES_MAX; i++) {
        ngx_memcpy(name, matches->names[i], CANARY_MATCH_SIZE);
        name[CANARY_MATCH_SIZE - 1] = '\0';

        place = canary_match_find(&endpoint->matches, name, ngx_strlen(name));

        if (place
            && endpoint->shell->is_set(attempt, &endpoint->matched[place - 1]))
        {
            matched |= 1u << i;
        }
    }

    return matched;
}


/* what is left out of the histogram, but for forced requests and fallbacks, is
   left out of averages as well */

void
ngx_canary_add_other_time(ngx_canary_attempt_t *attempt,
    ngx_canary_meter_t *meter, uint64_t elapsed)
{
    if (attempt->reason > NGX_CANARY_BY_ONLY) {
        return;
    }

    ngx_canary_add(&meter->totals.timed, 1);
    ngx_canary_add(&meter->totals.other_time, elapsed);
}


void
ngx_canary_bad_response(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence, ngx_uint_t timed, uint64_t elapsed)
{
    canary_finish_t  finish;

    attempt->how = NGX_CANARY_ANSWERED;

    ngx_memzero(&finish, sizeof(canary_finish_t));

    finish.bad_4xx = (attempt->response == 4);
    finish.bad_5xx = (attempt->response == 5);
    finish.timed = timed;
    finish.untimed = !timed;
    finish.time = elapsed;

    ngx_canary_hand_in(attempt, evidence, &finish);
}


/*
 * How long a failure took says nothing of how quick the release is, except
 * for a timeout: that long at least it took.
 */

static void
ngx_canary_failed(ngx_canary_attempt_t *attempt,
    ngx_canary_how_e how, uint64_t elapsed)
{
    ngx_uint_t           measured, timedout;
    canary_finish_t      finish;
    canary_evidence_t   *evidence;
    ngx_canary_meter_t  *meter;

    ngx_canary_match(attempt);

    meter = ngx_canary_attempt_meter(attempt);
    evidence = ngx_canary_evidence(attempt, &measured);
    timedout = (how == NGX_CANARY_TIMEOUT);

    attempt->how = how;

    if (timedout) {
        ngx_canary_add(&meter->totals.timeouts, 1);
        ngx_canary_add_time(attempt, meter, measured, elapsed);

    } else {
        ngx_canary_add(&meter->totals.failed, 1);
    }

    ngx_memzero(&finish, sizeof(canary_finish_t));

    finish.bad_5xx = 1;
    finish.timeless = ngx_canary_is_timeless(attempt);
    finish.timed = timedout && !finish.timeless;
    finish.time = elapsed;

    ngx_canary_hand_in(attempt, evidence, &finish);
}


static void
ngx_canary_aborted(ngx_canary_attempt_t *attempt, ngx_uint_t left,
    uint64_t elapsed)
{
    ngx_uint_t            measured;
    canary_finish_t       finish;
    canary_evidence_t    *evidence;
    ngx_canary_meter_t   *meter;
    ngx_canary_record_t  *record;

    meter = ngx_canary_attempt_meter(attempt);
    evidence = ngx_canary_evidence(attempt, &measured);

    ngx_canary_add(&meter->totals.aborted, 1);

    ngx_memzero(&finish, sizeof(canary_finish_t));

    finish.voided = 1;
    finish.timeless = ngx_canary_is_timeless(attempt);
    finish.time = elapsed;

    record = ngx_canary_record(attempt->endpoint->shared);

    if (evidence && !finish.timeless
        && canary_judge_too_long(evidence, &record->rollout.strategy,
                                 attempt->ticket.side, elapsed))
    {
        finish.gave_up = 1;
        finish.timed = 1;
    }

    finish.left = left && evidence && canary_get(&evidence->follows);

    ngx_canary_hand_in(attempt, evidence, &finish);
}


static void
ngx_canary_ignored(ngx_canary_attempt_t *attempt)
{
    ngx_uint_t          measured;
    canary_finish_t     finish;
    canary_evidence_t  *evidence;

    evidence = ngx_canary_evidence(attempt, &measured);

    if (attempt->response) {
        ngx_canary_end_time(attempt, 0, 0);
        ngx_canary_attempt_followed(attempt, CANARY_END_OTHER);
        return;
    }

    ngx_memzero(&finish, sizeof(canary_finish_t));

    finish.voided = 1;
    finish.timeless = ngx_canary_is_timeless(attempt);

    ngx_canary_hand_in(attempt, evidence, &finish);
}


static void
ngx_canary_cut(ngx_canary_attempt_t *attempt, ngx_uint_t timedout,
    uint64_t elapsed)
{
    ngx_uint_t          measured;
    canary_totals_t    *totals;
    canary_evidence_t  *evidence;

    totals = &ngx_canary_meter(attempt)->totals;

    ngx_canary_add(timedout ? &totals->cut_timeouts : &totals->cut, 1);

    evidence = ngx_canary_evidence(attempt, &measured);

    if (evidence == NULL) {
        return;
    }

    canary_evidence_cut(evidence, &attempt->ticket, attempt->response);

    if (attempt->response != 5) {
        attempt->how = timedout ? NGX_CANARY_CUT_TIMEOUT
                                : NGX_CANARY_CUT;

        ngx_canary_burn(attempt, evidence, 5, elapsed);
    }
}


/* its class stays counted, and is bad beside that for the rules about 4xx */

static void
ngx_canary_rejected(ngx_canary_attempt_t *attempt, uint64_t elapsed)
{
    ngx_uint_t          measured;
    canary_evidence_t  *evidence;

    evidence = ngx_canary_evidence(attempt, &measured);

    if (evidence && attempt->response < 4) {
        canary_evidence_reject(evidence, &attempt->ticket);
        ngx_canary_burn(attempt, evidence, 4, elapsed);
    }
}


static canary_end_t
ngx_canary_cancelled(ngx_canary_attempt_t *attempt)
{
    ngx_uint_t          measured;
    canary_evidence_t  *evidence;

    ngx_canary_add(&ngx_canary_meter(attempt)->totals.cancelled, 1);

    evidence = ngx_canary_evidence(attempt, &measured);

    if (evidence && attempt->response < 4) {
        canary_evidence_withdraw(evidence, &attempt->ticket,
                                 (attempt->special & NGX_CANARY_WATCHED)
                                 ? attempt->matched : 0);
        return CANARY_END_LEFT_WITHDRAWN;
    }

    return CANARY_END_LEFT;
}


/*
 * The time of a response that ends with its body.  One that was not completed
 * has none, but is known to have taken so long.
 */

static void
ngx_canary_end_time(ngx_canary_attempt_t *attempt,
    ngx_uint_t complete, uint64_t elapsed)
{
    ngx_uint_t          measured;
    canary_evidence_t  *evidence;

    if (attempt->endpoint->latency != NGX_CANARY_LATENCY_RESPONSE
        || (attempt->special & NGX_CANARY_UPGRADED))
    {
        return;
    }

    evidence = ngx_canary_evidence(attempt, &measured);

    if (ngx_canary_is_timeless(attempt)) {
        if (attempt->special & NGX_CANARY_AWAITED) {
            canary_evidence_no_time_ended(evidence, &attempt->ticket);
        }

        return;
    }

    if (complete) {
        ngx_canary_add_time(attempt, ngx_canary_meter(attempt),
                            measured, elapsed);
    }

    if (evidence) {
        canary_evidence_time(evidence, &attempt->ticket, elapsed, complete);
    }
}


static void
ngx_canary_hand_in(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence, canary_finish_t *finish)
{
    if (evidence == NULL) {
        return;
    }

    canary_evidence_finish(evidence, &attempt->ticket, finish);

    if (finish->voided && !finish->gave_up
        && attempt->evidence == NGX_CANARY_TICKET_OF_KEY)
    {
        ngx_canary_give_key_back(attempt);
    }

    if (finish->bad_5xx || finish->bad_4xx) {
        ngx_canary_burn(attempt, evidence, finish->bad_5xx ? 5 : 4,
                        finish->time);
    }
}


/*
 * One more bad attempt of the canary: the rules are judged if one may break,
 * or if the control loop does not.
 */

static void
ngx_canary_burn(ngx_canary_attempt_t *attempt,
    canary_evidence_t *evidence, ngx_uint_t response_class, uint64_t elapsed)
{
    uint64_t  heartbeat, now;

    if (attempt->role != NGX_CANARY_CANARY) {
        return;
    }

    /* before the rollout may end by it */

    if (response_class == 5) {
        ngx_canary_record_failure(attempt, elapsed);
    }

    if (!canary_evidence_burn(evidence, response_class)) {

        heartbeat = __atomic_load_n(&attempt->endpoint->main->zone->heartbeat,
                                    __ATOMIC_RELAXED);
        now = ngx_canary_milliseconds();

        if (now < heartbeat + NGX_CANARY_STALE) {
            return;
        }
    }

    ngx_canary_trip(attempt->endpoint, attempt->epoch, ngx_cycle->log);
}


static void
ngx_canary_record_failure(ngx_canary_attempt_t *attempt, uint64_t elapsed)
{
    ngx_canary_failure_t    failure;
    ngx_canary_endpoint_t  *endpoint;

    endpoint = attempt->endpoint;

    endpoint->shell->describe(attempt, elapsed, &failure);

    ngx_canary_add_failure(endpoint, attempt->epoch, &failure);
}
