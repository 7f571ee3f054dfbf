
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_attempt.h"


/*
 * Accounting of attempts.
 *
 * Totals are counted for every attempt, as long as there is a zone.  Evidence
 * is counted for those that began in the rollout that is under way: an
 * attempt takes a ticket when it begins and hands it in when it ends.
 */


static void ngx_http_canary_failed(ngx_http_canary_attempt_t *attempt,
    ngx_uint_t timedout, uint64_t elapsed);
static void ngx_http_canary_aborted(ngx_http_canary_attempt_t *attempt,
    uint64_t elapsed);
static void ngx_http_canary_cut(ngx_http_canary_attempt_t *attempt,
    ngx_uint_t timedout);
static void ngx_http_canary_time(ngx_http_canary_attempt_t *attempt,
    uint64_t elapsed);
static ngx_uint_t ngx_http_canary_too_long(
    ngx_http_canary_attempt_t *attempt, uint64_t elapsed);
static ngx_uint_t ngx_http_canary_minds_4xx(
    ngx_http_canary_attempt_t *attempt);
static void ngx_http_canary_hand_in(ngx_http_canary_attempt_t *attempt,
    canary_finish_t *finish);


void
ngx_http_canary_void_ticket(ngx_http_canary_attempt_t *attempt,
    canary_evidence_t *evidence)
{
    canary_finish_t  finish;

    ngx_memzero(&finish, sizeof(canary_finish_t));

    finish.voided = 1;

    canary_evidence_finish(evidence, &attempt->ticket, &finish);

    attempt->evidence = 0;
}


void
ngx_http_canary_attempt_end(ngx_http_canary_attempt_t *attempt,
    canary_facts_t *facts, ngx_int_t header_grpc_status, uint64_t elapsed)
{
    canary_finish_t   finish;
    canary_outcome_t  outcome;

    if (attempt->state == NGX_HTTP_CANARY_ENDED) {
        return;
    }

    facts->upgraded = attempt->upgraded;
    outcome = canary_outcome(facts);

    switch (outcome) {

    case CANARY_OUTCOME_RESPONSE:
    case CANARY_OUTCOME_CUT:

        if (!attempt->response) {
            ngx_http_canary_attempt_any_header(attempt, facts->status,
                                               header_grpc_status, 0, elapsed);
        }

        if (outcome == CANARY_OUTCOME_CUT) {
            ngx_http_canary_cut(attempt, facts->timedout);

        } else if (attempt->endpoint->latency
                       == NGX_HTTP_CANARY_LATENCY_RESPONSE
                   && facts->complete && !facts->client_gone
                   && !attempt->upgraded)
        {
            ngx_http_canary_time(attempt, elapsed);
        }

        break;

    case CANARY_OUTCOME_FAILED:
    case CANARY_OUTCOME_TIMEOUT:
        ngx_http_canary_failed(attempt, outcome == CANARY_OUTCOME_TIMEOUT,
                               elapsed);
        break;

    case CANARY_OUTCOME_ABORTED:
        ngx_http_canary_aborted(attempt, elapsed);
        break;

    default: /* CANARY_OUTCOME_IGNORED */

        if (!attempt->response) {
            ngx_memzero(&finish, sizeof(canary_finish_t));
            finish.voided = 1;
            ngx_http_canary_hand_in(attempt, &finish);
        }

        break;
    }

    attempt->state = NGX_HTTP_CANARY_ENDED;
}


void
ngx_http_canary_attempt_any_header(ngx_http_canary_attempt_t *attempt,
    ngx_uint_t status, ngx_int_t grpc_status, ngx_uint_t trailers,
    uint64_t elapsed)
{
    ngx_http_canary_attempt_header(attempt, status, grpc_status, trailers,
                                   elapsed);
}


void
ngx_http_canary_attempt_no_live(ngx_http_canary_attempt_t *attempt)
{
    ngx_http_canary_attempt_begin(attempt);
    ngx_http_canary_failed(attempt, 0, 0);

    attempt->state = NGX_HTTP_CANARY_ENDED;
}


void
ngx_http_canary_bad_response(ngx_http_canary_attempt_t *attempt,
    ngx_uint_t timed, uint64_t elapsed)
{
    canary_finish_t  finish;

    ngx_memzero(&finish, sizeof(canary_finish_t));

    finish.bad_4xx = (attempt->response == 4);
    finish.bad_5xx = (attempt->response == 5);
    finish.timed = timed;
    finish.time = elapsed;

    ngx_http_canary_hand_in(attempt, &finish);
}


/*
 * How long a failure took says nothing of how quick the release is, except
 * for a timeout: that long at least it took.
 */

static void
ngx_http_canary_failed(ngx_http_canary_attempt_t *attempt,
    ngx_uint_t timedout, uint64_t elapsed)
{
    canary_finish_t            finish;
    ngx_http_canary_totals_t  *totals;

    totals = ngx_http_canary_attempt_totals(attempt);

    ngx_http_canary_add(&totals->failed, 1);

    ngx_memzero(&finish, sizeof(canary_finish_t));

    finish.bad_5xx = 1;

    if (timedout) {
        ngx_http_canary_add(&totals->timeouts, 1);
        ngx_http_canary_add(&totals->timed, 1);
        ngx_http_canary_add(&totals->time, elapsed);

        finish.timed = 1;
        finish.time = elapsed;
    }

    ngx_http_canary_hand_in(attempt, &finish);
}


static void
ngx_http_canary_aborted(ngx_http_canary_attempt_t *attempt, uint64_t elapsed)
{
    canary_finish_t  finish;

    ngx_http_canary_add(&ngx_http_canary_attempt_totals(attempt)->aborted, 1);

    ngx_memzero(&finish, sizeof(canary_finish_t));

    finish.voided = 1;

    if (attempt->evidence && ngx_http_canary_too_long(attempt, elapsed)) {
        finish.timed = 1;
        finish.time = elapsed;
    }

    ngx_http_canary_hand_in(attempt, &finish);
}


static void
ngx_http_canary_cut(ngx_http_canary_attempt_t *attempt, ngx_uint_t timedout)
{
    canary_evidence_t         *evidence;
    ngx_http_canary_totals_t  *totals;

    totals = ngx_http_canary_slot_totals(attempt);

    ngx_http_canary_add(&totals->failed, 1);
    ngx_http_canary_add(&totals->cut, 1);

    if (timedout) {
        ngx_http_canary_add(&totals->timeouts, 1);
    }

    evidence = ngx_http_canary_evidence(attempt);

    if (evidence == NULL) {
        return;
    }

    canary_evidence_cut(evidence, &attempt->ticket, attempt->response);

    if (attempt->role == NGX_HTTP_CANARY_CANARY) {
        ngx_http_canary_trip(attempt->endpoint, attempt->epoch,
                             ngx_cycle->log);
    }
}


static void
ngx_http_canary_time(ngx_http_canary_attempt_t *attempt, uint64_t elapsed)
{
    canary_evidence_t         *evidence;
    ngx_http_canary_totals_t  *totals;

    totals = ngx_http_canary_slot_totals(attempt);

    ngx_http_canary_add(&totals->timed, 1);
    ngx_http_canary_add(&totals->time, elapsed);

    evidence = ngx_http_canary_evidence(attempt);

    if (evidence) {
        canary_evidence_time(evidence, &attempt->ticket, elapsed);
    }
}


/*
 * Whether a client that gave up had waited longer than a latency rule of the
 * rollout allows.  The record is read without the lock, here and below: rules
 * change but rarely, and a torn read could only misjudge one attempt, or
 * leave it to the control loop.
 */

static ngx_uint_t
ngx_http_canary_too_long(ngx_http_canary_attempt_t *attempt,
    uint64_t elapsed)
{
    ngx_uint_t          i;
    canary_strategy_t  *strategy;

    strategy = &ngx_http_canary_record(attempt->endpoint->shared)
                   ->rollout.strategy;

    for (i = 0; i < strategy->nrules && i < CANARY_RULES_MAX; i++) {
        if (strategy->rules[i].kind == CANARY_RULE_LATENCY_AVG_MAX
            && elapsed > strategy->rules[i].threshold)
        {
            return 1;
        }
    }

    return 0;
}


/* whether an answer of 4xx may break a rule of the rollout */

static ngx_uint_t
ngx_http_canary_minds_4xx(ngx_http_canary_attempt_t *attempt)
{
    ngx_uint_t          i;
    canary_strategy_t  *strategy;

    strategy = &ngx_http_canary_record(attempt->endpoint->shared)
                   ->rollout.strategy;

    for (i = 0; i < strategy->nrules && i < CANARY_RULES_MAX; i++) {
        if (strategy->rules[i].kind == CANARY_RULE_ERROR_4XX_RATE
            || strategy->rules[i].kind == CANARY_RULE_ERROR_RATE)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_canary_hand_in(ngx_http_canary_attempt_t *attempt,
    canary_finish_t *finish)
{
    canary_evidence_t  *evidence;

    evidence = ngx_http_canary_evidence(attempt);

    if (evidence == NULL) {
        return;
    }

    canary_evidence_finish(evidence, &attempt->ticket, finish);

    if (attempt->role == NGX_HTTP_CANARY_CANARY
        && (finish->bad_5xx
            || (finish->bad_4xx && ngx_http_canary_minds_4xx(attempt))))
    {
        ngx_http_canary_trip(attempt->endpoint, attempt->epoch,
                             ngx_cycle->log);
    }
}
