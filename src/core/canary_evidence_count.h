
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVIDENCE_COUNT_H
#define CANARY_EVIDENCE_COUNT_H


#include <stdint.h>

#include "canary_evidence_layout.h"


/* What workers do, without a lock: counting. */


/* What an attempt carries from its beginning to its end. */

typedef struct {
    uint32_t  cohort;
    uint32_t  step;
    uint32_t  slot;
    uint8_t   side;
    uint8_t   place;         /* of the cohort */
} canary_ticket_t;


/* How a finished attempt counts. */

typedef struct {
    unsigned  voided:1;      /* no evidence for error rules */
    unsigned  bad_4xx:1;
    unsigned  bad_5xx:1;
    unsigned  timed:1;       /* the time is one for averages */
    unsigned  untimed:1;     /* it comes later, canary_evidence_time() */
    unsigned  gave_up:1;     /* voided, but evidence of its time */
    unsigned  left:1;        /* voided, since its client left */
    unsigned  timeless:1;    /* began so: its time is no evidence; not timed,
                                and untimed only for a match, which is told
                                before canary_evidence_no_time_ended() */
    uint64_t  time;          /* until now, microseconds */
} canary_finish_t;


/* A slot is the number of one that is in use. */

static inline void canary_evidence_start(canary_evidence_t *evidence,
    uint32_t slot, unsigned side, canary_ticket_t *ticket);

/* of one that has just begun: its time will be no evidence */
void canary_evidence_no_time(canary_evidence_t *evidence,
    const canary_ticket_t *ticket);

void canary_evidence_finish(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, const canary_finish_t *finish);

/* whether an attempt that begins now, ms, does so within that time, ms, of the
   first one of the canary, which it may be itself */
int canary_evidence_is_warming(canary_evidence_t *evidence, unsigned side,
    uint64_t warmup, uint64_t now);

/* the same for one that is not bad; unless "timed", it is "untimed" */
static inline void canary_evidence_finish_good(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned timed, uint64_t time);

/* the same, whether or not its cohort has been settled */
void canary_evidence_finish_any_good(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned timed, uint64_t time);

/*
 * An attempt that is about to be counted, or its time if that comes later: the
 * matches that it is of, a bit 1 << place - 1 each.
 */

void canary_evidence_match(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned matched);

/* counts it where it is longer than a limit of its cohort */
void canary_evidence_count_slow(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t time);

/*
 * An attempt whose response is about to be counted, and whose end is then told
 * by canary_evidence_ended(): by then its client may have left, or have
 * cancelled it, so that it was withdrawn before.
 */

typedef enum {
    CANARY_END_OTHER = 0,
    CANARY_END_LEFT,
    CANARY_END_LEFT_WITHDRAWN
} canary_end_t;

void canary_evidence_follow(canary_evidence_t *evidence,
    const canary_ticket_t *ticket);
void canary_evidence_ended(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, canary_end_t end);

/*
 * An attempt whose response was counted already, and whose body then broke
 * off; the class is that of the response.
 */

void canary_evidence_cut(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned response_class);

/*
 * An attempt that was counted as a good one, and turned out to be bad for the
 * rules about 4xx; or to be no evidence of errors, though of its time, nor of
 * the matches that it had been counted for.
 */

void canary_evidence_reject(canary_evidence_t *evidence,
    const canary_ticket_t *ticket);
void canary_evidence_withdraw(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned matched);

/*
 * The time of an attempt that was counted as "untimed"; unless "timed" it is
 * none for averages, since the response was not complete.  Or the end of one
 * that was counted as "timeless" as well.
 */

void canary_evidence_time(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t time, int timed);
void canary_evidence_no_time_ended(canary_evidence_t *evidence,
    const canary_ticket_t *ticket);

/*
 * A bad attempt of the canary, whose class is 4 or 5: returns 1 when so many
 * have come that the rules are to be judged.
 */

int canary_evidence_burn(canary_evidence_t *evidence, unsigned response_class);


static inline void
canary_evidence_start(canary_evidence_t *evidence, uint32_t slot,
    unsigned side, canary_ticket_t *ticket)
{
    uint64_t  now;

    now = __atomic_load_n(&evidence->now, __ATOMIC_ACQUIRE);

    ticket->cohort = (uint32_t) now;
    ticket->step = (uint32_t) (now >> 32);
    ticket->slot = slot;
    ticket->side = (uint8_t) side;
    ticket->place = __atomic_load_n(&evidence->place_of[ticket->cohort
                                                        % CANARY_COHORTS],
                                    __ATOMIC_RELAXED);

    canary_evidence_add(&canary_evidence_tally(evidence, slot, side,
                                               ticket->place)->started,
                        1);
}


/* where an attempt is counted that ends; NULL: its cohort has been settled */

static inline canary_tally_t *
canary_evidence_open_tally(canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    if (__builtin_expect(__atomic_load_n(&evidence->open[ticket->place],
                                         __ATOMIC_ACQUIRE)
                         != ticket->cohort + 1, 0))
    {
        return NULL;
    }

    return canary_evidence_tally(evidence, ticket->slot, ticket->side,
                                 ticket->place);
}


static inline void
canary_evidence_finish_good(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned timed, uint64_t time)
{
    canary_tally_t  *tally;

    tally = canary_evidence_open_tally(evidence, ticket);

    if (tally == NULL) {
        canary_evidence_finish_any_good(evidence, ticket, timed, time);
        return;
    }

    if (timed) {
        canary_evidence_add(&tally->timed, 1);
        (void) __atomic_fetch_add(&tally->time, time, __ATOMIC_RELEASE);

        if (evidence->nlimits) {
            canary_evidence_count_slow(evidence, ticket, time);
        }

    } else {
        canary_evidence_add(&tally->untimed, 1);
    }

    /* last: a cohort with nothing in flight may be settled at once */

    canary_evidence_add(&tally->done, 1);
}


#endif /* CANARY_EVIDENCE_COUNT_H */
