
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_evidence_count.h"


static void canary_evidence_finish_late(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, const canary_finish_t *finish);
static int canary_evidence_is_ours(const canary_evidence_t *evidence,
    const canary_ticket_t *ticket);
static canary_late_bad_t *canary_evidence_late_bad(
    canary_evidence_t *evidence, const canary_ticket_t *ticket, uint64_t now);
static void canary_evidence_count_matched(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned matched, uint32_t n);
static void canary_evidence_count_late_slow(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t now, uint64_t time);
static int canary_is_of_match(uint64_t limit, unsigned matched);


static inline void
canary_evidence_spend(const canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    canary_evidence_add64(&canary_evidence_late(evidence, ticket->slot,
                                                ticket->side)->spent,
                          1);
}


static inline uint64_t
canary_evidence_now(const canary_evidence_t *evidence)
{
    return canary_get64(&evidence->now);
}


/* Whether an attempt began in this rollout; "now" has been read before. */

static int
canary_evidence_is_ours(const canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    return (int32_t) (ticket->cohort - canary_get(&evidence->first)) >= 0;
}


/* where a bad attempt counts that comes too late; NULL: it is no evidence */

static canary_late_bad_t *
canary_evidence_late_bad(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t now)
{
    canary_late_t  *late;

    late = canary_evidence_late(evidence, ticket->slot, ticket->side);

    if ((int32_t) (ticket->cohort - canary_get(&evidence->first_tested)) < 0
        || canary_evidence_is_discarded(evidence, ticket->cohort))
    {
        return NULL;
    }

    return ((uint32_t) (now >> 32) == ticket->step) ? &late->step
                                                    : &late->past;
}


void
canary_evidence_no_time(canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    canary_tally_t  *tally;

    tally = canary_evidence_tally(evidence, ticket->slot, ticket->side,
                                  ticket->place);

    canary_evidence_add(&tally->time_only, (uint32_t) -1);
    canary_evidence_add(&tally->timeless, 1);
}


void
canary_evidence_finish(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, const canary_finish_t *finish)
{
    canary_tally_t  *tally;

    tally = canary_evidence_open_tally(evidence, ticket);

    if (tally == NULL) {
        canary_evidence_finish_late(evidence, ticket, finish);
        return;
    }

    if (finish->bad_4xx) {
        canary_evidence_add(&tally->bad_4xx, 1);
    }

    if (finish->bad_5xx) {
        canary_evidence_spend(evidence, ticket);
        canary_evidence_add(&tally->bad_5xx, 1);
    }

    if (finish->timed) {
        canary_evidence_add(&tally->timed, 1);
        canary_evidence_add64(&tally->time, finish->time);
    }

    if (finish->untimed) {
        canary_evidence_add(&tally->untimed, 1);

    } else if (!finish->timeless && (!finish->voided || finish->gave_up)) {
        canary_evidence_count_slow(evidence, ticket, finish->time);
    }

    if (finish->timeless && !finish->untimed) {
        canary_evidence_add(&tally->timeless, (uint32_t) -1);
    }

    if (finish->gave_up || (finish->timeless && finish->voided)) {
        canary_evidence_add(&tally->time_only, 1);
    }

    if (finish->left) {
        canary_evidence_add(&tally->left, 1);
        canary_evidence_add(&tally->left_only, 1);
    }

    /* last: a cohort with nothing in flight may be settled at once */

    canary_evidence_add(finish->voided ? &tally->voided : &tally->done, 1);
}


int
canary_evidence_is_warming(canary_evidence_t *evidence, unsigned side,
    uint64_t warmup, uint64_t now)
{
    uint64_t  since;

    since = __atomic_load_n(&evidence->warm_since, __ATOMIC_RELAXED);

    if (since == 0 && side == CANARY_SIDE_CANARY
        && __atomic_compare_exchange_n(&evidence->warm_since, &since, now, 0,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    {
        return 1;
    }

    return since && canary_elapsed(now, since) < warmup;
}


void
canary_evidence_finish_any_good(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned timed, uint64_t time)
{
    canary_finish_t  finish;

    memset(&finish, 0, sizeof(canary_finish_t));

    finish.timed = timed;
    finish.untimed = !timed;
    finish.time = time;

    canary_evidence_finish(evidence, ticket, &finish);
}


static void
canary_evidence_finish_late(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, const canary_finish_t *finish)
{
    uint64_t            now;
    canary_late_t      *late;
    canary_late_bad_t  *bad;

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)) {
        return;
    }

    late = canary_evidence_late(evidence, ticket->slot, ticket->side);
    bad = canary_evidence_late_bad(evidence, ticket, now);

    if (finish->bad_4xx && bad) {
        canary_evidence_add64(&bad->bad_4xx, 1);
    }

    if (finish->bad_5xx) {
        canary_evidence_spend(evidence, ticket);

        if (bad) {
            canary_evidence_add64(&bad->bad_5xx, 1);
        }
    }

    if (bad && !finish->untimed && !finish->timeless
        && (!finish->voided || finish->gave_up))
    {
        canary_evidence_count_late_slow(evidence, ticket, now, finish->time);
    }

    if ((uint32_t) (now >> 32) != ticket->step) {
        return;
    }

    if (bad && finish->timed) {
        canary_evidence_add64(&late->timed, 1);
        canary_evidence_add64(&late->time, finish->time);
    }

    if (bad && finish->voided) {
        canary_evidence_add64(&late->voided, 1);

        if (finish->gave_up || finish->timeless) {
            canary_evidence_add64(&late->time_only, 1);
        }

        if (finish->left) {
            canary_evidence_add64(&late->left, 1);
            canary_evidence_add64(&late->left_only, 1);
        }
    }

    if (finish->untimed) {
        canary_evidence_add(&late->pending, 1);
    }

    canary_evidence_add(&late->overdue, (uint32_t) -1);
}


void
canary_evidence_cut(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned response_class)
{
    uint64_t            now;
    canary_late_bad_t  *bad;

    if (response_class == 5) {
        return;
    }

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)) {
        return;
    }

    canary_evidence_spend(evidence, ticket);

    bad = canary_evidence_late_bad(evidence, ticket, now);

    if (bad == NULL) {
        return;
    }

    canary_evidence_add64(&bad->bad_5xx, 1);

    if (response_class == 4) {
        canary_evidence_add64(&bad->bad_both, 1);
    }
}


void
canary_evidence_reject(canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    uint64_t            now;
    canary_late_bad_t  *bad;

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)) {
        return;
    }

    bad = canary_evidence_late_bad(evidence, ticket, now);

    if (bad) {
        canary_evidence_add64(&bad->bad_4xx, 1);
    }
}


/*
 * It stays among those whose time is evidence.  Where its cohort has been
 * given to the tests it stays there too, as what it was: they do not take
 * back.
 */

void
canary_evidence_withdraw(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned matched)
{
    uint64_t         now;
    canary_late_t   *late;
    canary_tally_t  *tally;

    tally = canary_evidence_open_tally(evidence, ticket);

    if (tally) {
        canary_evidence_count_matched(evidence, ticket, matched,
                                      (uint32_t) -1);
        canary_evidence_add(&tally->time_only, 1);
        canary_evidence_add(&tally->voided, 1);
        canary_evidence_add(&tally->done, (uint32_t) -1);
        return;
    }

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)
        || canary_evidence_late_bad(evidence, ticket, now) == NULL
        || (uint32_t) (now >> 32) != ticket->step)
    {
        return;
    }

    late = canary_evidence_late(evidence, ticket->slot, ticket->side);

    canary_evidence_add64(&late->time_only, 1);
    canary_evidence_add64(&late->voided, 1);
}


void
canary_evidence_follow(canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    uint64_t         now;
    canary_tally_t  *tally;

    tally = canary_evidence_open_tally(evidence, ticket);

    if (tally) {
        canary_evidence_add(&tally->unended, 1);
        return;
    }

    now = canary_evidence_now(evidence);

    if (canary_evidence_is_ours(evidence, ticket)
        && (uint32_t) (now >> 32) == ticket->step)
    {
        canary_evidence_add(&canary_evidence_late(evidence, ticket->slot,
                                                  ticket->side)->unended,
                            1);
    }
}


void
canary_evidence_ended(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, canary_end_t end)
{
    uint64_t         now;
    canary_late_t   *late;
    canary_tally_t  *tally;

    tally = canary_evidence_open_tally(evidence, ticket);

    if (tally) {
        canary_evidence_add(&tally->left, end != CANARY_END_OTHER);
        canary_evidence_add(&tally->left_only,
                            end == CANARY_END_LEFT_WITHDRAWN);

        /* last, see canary_evidence_finish() */

        canary_evidence_add(&tally->unended, (uint32_t) -1);

        return;
    }

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)
        || (uint32_t) (now >> 32) != ticket->step)
    {
        return;
    }

    late = canary_evidence_late(evidence, ticket->slot, ticket->side);

    if (canary_evidence_late_bad(evidence, ticket, now)) {
        canary_evidence_add64(&late->left, end != CANARY_END_OTHER);
        canary_evidence_add64(&late->left_only,
                              end == CANARY_END_LEFT_WITHDRAWN);
    }

    canary_evidence_add(&late->unended, (uint32_t) -1);
}


void
canary_evidence_time(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t time, int timed)
{
    int              counts;
    uint64_t         now;
    canary_late_t   *late;
    canary_tally_t  *tally;

    tally = canary_evidence_open_tally(evidence, ticket);

    if (tally) {
        if (timed) {
            canary_evidence_add(&tally->timed, 1);
            canary_evidence_add64(&tally->time, time);
        }

        canary_evidence_count_slow(evidence, ticket, time);

        /* last, see canary_evidence_finish() */

        canary_evidence_add(&tally->untimed, (uint32_t) -1);

        return;
    }

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)) {
        return;
    }

    counts = (canary_evidence_late_bad(evidence, ticket, now) != NULL);

    if (counts) {
        canary_evidence_count_late_slow(evidence, ticket, now, time);
    }

    if ((uint32_t) (now >> 32) != ticket->step) {
        return;
    }

    late = canary_evidence_late(evidence, ticket->slot, ticket->side);

    if (counts && timed) {
        canary_evidence_add64(&late->timed, 1);
        canary_evidence_add64(&late->time, time);
    }

    canary_evidence_add(&late->pending, (uint32_t) -1);
}


/* it has no time, but its end was waited for */

void
canary_evidence_no_time_ended(canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    uint64_t         now;
    canary_tally_t  *tally;

    tally = canary_evidence_open_tally(evidence, ticket);

    if (tally) {
        canary_evidence_add(&tally->timeless, (uint32_t) -1);
        canary_evidence_add(&tally->untimed, (uint32_t) -1);
        return;
    }

    now = canary_evidence_now(evidence);

    if (canary_evidence_is_ours(evidence, ticket)
        && (uint32_t) (now >> 32) == ticket->step)
    {
        canary_evidence_add(&canary_evidence_late(evidence, ticket->slot,
                                                  ticket->side)->pending,
                            (uint32_t) -1);
    }
}


void
canary_evidence_match(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned matched)
{
    uint32_t             i, nlimits;
    uint64_t             now;
    canary_late_t       *late;
    const uint64_t      *limits;
    canary_late_slow_t  *slow;

    if (canary_evidence_open_tally(evidence, ticket)) {
        canary_evidence_count_matched(evidence, ticket, matched, 1);
        return;
    }

    now = canary_evidence_now(evidence);

    if (!canary_evidence_is_ours(evidence, ticket)
        || canary_evidence_late_bad(evidence, ticket, now) == NULL)
    {
        return;
    }

    late = canary_evidence_late(evidence, ticket->slot, ticket->side);
    slow = ((uint32_t) (now >> 32) == ticket->step) ? &late->slow
                                                    : &late->past_slow;

    nlimits = canary_get(&evidence->nlimits);
    limits = evidence->sets[canary_get(&evidence->limit_set)]
                     .limits[ticket->side];

    for (i = 0; i < nlimits; i++) {
        if (canary_is_of_match(limits[i], matched)) {
            canary_evidence_add64(&slow->slow[i], 1);
        }
    }
}


/* where the cohort of the attempt is open */

static void
canary_evidence_count_matched(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned matched, uint32_t n)
{
    uint32_t         i, place, nlimits;
    canary_slow_t   *slow;
    const uint64_t  *limits;

    place = ticket->place;
    nlimits = canary_get(&evidence->nlimits);

    slow = &evidence->slots[ticket->slot]->slows[place][ticket->side];
    limits = evidence->sets[evidence->set_of[place]].limits[ticket->side];

    for (i = 0; i < nlimits; i++) {
        if (canary_is_of_match(limits[i], matched)) {
            canary_evidence_add(&slow->slow[i], n);
        }
    }
}


static int
canary_is_of_match(uint64_t limit, unsigned matched)
{
    return limit >= CANARY_LIMIT_OF_MATCH
           && limit < CANARY_LIMIT_OF_MATCH + CANARY_MATCHES_MAX
           && (matched & 1u << (limit - CANARY_LIMIT_OF_MATCH));
}


void
canary_evidence_count_slow(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t time)
{
    uint32_t         i, place, nlimits;
    canary_slow_t   *slow;
    const uint64_t  *limits;

    place = ticket->place;
    nlimits = canary_get(&evidence->nlimits);

    slow = &evidence->slots[ticket->slot]->slows[place][ticket->side];
    limits = evidence->sets[evidence->set_of[place]].limits[ticket->side];

    for (i = 0; i < nlimits; i++) {
        if (time > limits[i]) {
            canary_evidence_add(&slow->slow[i], 1);
        }
    }
}


/*
 * An attempt whose cohort was settled while it was in flight is counted as
 * slow already if the limit is shorter than that took.
 */

static void
canary_evidence_count_late_slow(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t now, uint64_t time)
{
    uint32_t             i, nlimits;
    uint64_t             patience;
    canary_late_t       *late;
    const uint64_t      *limits;
    canary_late_slow_t  *slow;

    late = canary_evidence_late(evidence, ticket->slot, ticket->side);
    slow = ((uint32_t) (now >> 32) == ticket->step) ? &late->slow
                                                    : &late->past_slow;

    patience = canary_get(&evidence->patience) * 1000ull;
    nlimits = canary_get(&evidence->nlimits);
    limits = evidence->sets[canary_get(&evidence->limit_set)]
                     .limits[ticket->side];

    for (i = 0; i < nlimits; i++) {
        if (limits[i] > patience && time > limits[i]) {
            canary_evidence_add64(&slow->slow[i], 1);
        }
    }
}


int
canary_evidence_burn(canary_evidence_t *evidence, unsigned response_class)
{
    uint64_t  n, any;
    unsigned  fuse;

    fuse = (response_class == 4) ? CANARY_FUSE_4XX : CANARY_FUSE_5XX;

    n = __atomic_add_fetch(&evidence->bad[fuse], 1, __ATOMIC_RELAXED);
    any = __atomic_add_fetch(&evidence->bad[CANARY_FUSE_ANY], 1,
                             __ATOMIC_RELAXED);

    return n >= canary_get64(&evidence->fuses[fuse])
           || any >= canary_get64(&evidence->fuses[CANARY_FUSE_ANY]);
}
