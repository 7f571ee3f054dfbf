
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_attempt.h"

#include "canary_evidence_count.h"
#include "canary_evidence_layout.h"
#include "canary_once.h"

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
static void ngx_canary_follow_attempt(ngx_canary_attempt_t *attempt);
static ngx_uint_t ngx_canary_matched(ngx_canary_attempt_t *attempt);
static void ngx_canary_record_failure(
    ngx_canary_attempt_t *attempt, uint64_t elapsed);


/* ms, monotonic */

static ngx_inline uint64_t
ngx_canary_began(ngx_canary_attempt_t *attempt)
{
    return (uint64_t) attempt->started.tv_sec * 1000
           + (uint64_t) attempt->started.tv_nsec / 1000000;
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


void
ngx_canary_match_watched(ngx_canary_attempt_t *attempt)
{
    ngx_uint_t          measured;
    canary_evidence_t  *evidence;

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


void
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


void
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
