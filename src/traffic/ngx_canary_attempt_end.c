
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
#include "canary_outcome.h"
#include "canary_totals.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_attempt_layout.h"


/* How attempts end, those too that no peer was found for. */


static void ngx_canary_responded(ngx_canary_attempt_t *attempt,
    const canary_facts_t *facts, canary_outcome_t outcome,
    ngx_int_t header_grpc_status, uint64_t elapsed);
static void ngx_canary_failed(ngx_canary_attempt_t *attempt,
    ngx_canary_how_e how, uint64_t elapsed);
static void ngx_canary_aborted(ngx_canary_attempt_t *attempt,
    ngx_uint_t left, uint64_t elapsed);
static void ngx_canary_ignored(ngx_canary_attempt_t *attempt);
static void ngx_canary_cut(ngx_canary_attempt_t *attempt,
    ngx_uint_t timedout, uint64_t elapsed);
static void ngx_canary_rejected(ngx_canary_attempt_t *attempt,
    uint64_t elapsed);
static canary_end_t ngx_canary_cancelled(ngx_canary_attempt_t *attempt);
static void ngx_canary_end_time(ngx_canary_attempt_t *attempt,
    ngx_uint_t complete, uint64_t elapsed);
static void ngx_canary_attempt_followed(ngx_canary_attempt_t *attempt,
    canary_end_t end);


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
ngx_canary_attempt_no_live(ngx_canary_attempt_t *attempt)
{
    ngx_canary_count_no_live(attempt, 0);
    ngx_canary_attempt_begin(attempt);
    ngx_canary_failed(attempt, NGX_CANARY_NO_LIVE, 0);

    attempt->state = NGX_CANARY_ENDED;
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
