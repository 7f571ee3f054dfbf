
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVIDENCE_H
#define CANARY_EVIDENCE_H


#include <stddef.h>
#include <stdint.h>

#include "canary_rule.h"


/*
 * The evidence of one rollout, in shared memory.
 *
 * Workers count attempts in slots, each worker in its own, with atomic
 * additions: nobody waits and nobody shares a cache line.  Within a
 * slot attempts are kept apart by cohort: the attempts that began in the
 * same 100 ms or so.  An outcome is counted in the cohort in which its
 * attempt began, so for each cohort it is known how many attempts are still
 * in flight, and judgement need not wait for the slow ones nor be fooled by
 * the quick ones.
 *
 * Counters only rise, modulo 2^32.  What a cohort holds is the difference to
 * the sum over all slots when the cohort was opened.  A cohort that has no
 * attempts in flight any more, or that is CANARY_OVERDUE_MS old, is settled:
 * added to the sums of the step and of the rollout, and its place in the ring
 * is free.  What arrives for it then is counted beside the cohorts.
 *
 * "now" is the current cohort and the number of the present tests in one
 * word.  Opening and settling cohorts, and reading the sums, is for one
 * caller at a time; counting is for all at any time.
 */


#define CANARY_COHORTS        128     /* places in the ring */
#define CANARY_COHORT_MS      100     /* length of a cohort */
#define CANARY_COHORT_GRACE   50      /* ms after its end until it settles */


/* The two sides of a rollout. */

enum {
    CANARY_SIDE_STABLE = 0,
    CANARY_SIDE_CANARY,
    CANARY_SIDES
};


/*
 * The attempts of one cohort, side and slot.  Writers: the worker of the
 * slot, atomic additions; readers: anyone.
 */

typedef struct {
    uint32_t  started;
    uint32_t  voided;        /* turned out to be no evidence */
    uint32_t  done;          /* counted; so in flight is the rest */
    uint32_t  bad_4xx;
    uint32_t  bad_5xx;
    uint32_t  timed;
    uint64_t  time;          /* microseconds */
} canary_tally_t;


/*
 * What came when its cohort could not take it any more: the ends of attempts
 * that were overdue, bodies that broke off after their header was counted,
 * and times that end with the body.  Writers and readers as above, but for
 * overdue, which is written under the zone's lock as well.
 */

typedef struct {
    uint32_t  bad_4xx;
    uint32_t  bad_5xx;
    uint32_t  bad_both;      /* 4xx whose body then broke off */
    uint32_t  past_bad_5xx;  /* of earlier tests of this rollout */
    uint32_t  voided;
    uint32_t  overdue;       /* in flight, though their cohort is settled;
                                goes up and down */
    uint32_t  timed;
    uint32_t  reserved;
    uint64_t  time;          /* microseconds */
} canary_late_t;


/* The worker's own memory; the padding keeps slots off each other's lines. */

typedef struct {
    canary_tally_t  tallies[CANARY_SIDES][CANARY_COHORTS];
    canary_late_t   late[CANARY_SIDES];
    uint8_t         padding[128 + 48];
} canary_slot_t;


/* Writer: whoever holds the lock of the zone; "open" is read by workers. */

typedef struct {
    uint64_t        ended;              /* ms; 0: it is the current one */
    uint32_t        tests;
    canary_tally_t  base[CANARY_SIDES];
} canary_cohort_t;


typedef struct canary_evidence_s  canary_evidence_t;

struct canary_evidence_s {
    uint64_t          now;              /* tests << 32 | current cohort;
                                           written under the zone's lock,
                                           released; read by workers */
    uint32_t          nslots;           /* constant */
    uint32_t          oldest;           /* cohort that may be unsettled */
    uint32_t          first;            /* cohort of this rollout; written as
                                           "now" is, before it */
    uint64_t          opened;           /* ms, the current cohort */
    uint64_t          spent[CANARY_SIDES];
                                        /* 5xx since the rollout began, but
                                           for those of open cohorts and
                                           those since late_base */
    canary_counts_t   settled[CANARY_SIDES];
                                        /* of the present tests */
    canary_late_t     late_base[CANARY_SIDES];
                                        /* when the present tests began */

    uint32_t          open[CANARY_COHORTS];
                                        /* number of the cohort that uses
                                           this place, plus 1; 0: settled */
    canary_cohort_t   cohorts[CANARY_COHORTS];

    canary_evidence_t  *next;           /* for the owner: links those that */
    uint64_t            released;       /* are not in use; ms */

    canary_slot_t     slots[];          /* [nslots] */
};


/* What an attempt carries from its beginning to its end. */

typedef struct {
    uint32_t  cohort;
    uint32_t  tests;
    uint32_t  slot;
    uint8_t   side;
} canary_ticket_t;


/* How a finished attempt counts. */

typedef struct {
    unsigned  voided:1;      /* no evidence for error rules */
    unsigned  bad_4xx:1;
    unsigned  bad_5xx:1;
    unsigned  timed:1;       /* time is known */
    uint64_t  time;          /* microseconds */
} canary_finish_t;


/* The bytes that evidence with so many slots takes. */

size_t canary_evidence_size(uint32_t nslots);

/*
 * init once, on zeroed memory; begin for each rollout: what began before it
 * counts no more, whenever it ends.
 */

void canary_evidence_init(canary_evidence_t *evidence, uint32_t nslots);
void canary_evidence_begin(canary_evidence_t *evidence, uint32_t tests,
    uint64_t now);


/* Workers, without a lock.  More workers than slots share them. */

static inline void canary_evidence_start(canary_evidence_t *evidence,
    uint32_t slot, unsigned side, canary_ticket_t *ticket);

void canary_evidence_finish(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, const canary_finish_t *finish);

/* the same for one that is no evidence of anything bad */
static inline void canary_evidence_finish_good(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned timed, uint64_t time);

/* the same, whether or not its cohort has been settled */
void canary_evidence_finish_any_good(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned timed, uint64_t time);

/*
 * An attempt whose response was counted already, and whose body then broke
 * off; the class is that of the response.
 */

void canary_evidence_cut(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, unsigned response_class);

/* The time of an attempt that was counted already. */

void canary_evidence_time(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t time);


/* Under the lock of the zone. */

/* Opens a cohort when it is time to, or at once when the tests are other. */

void canary_evidence_tick(canary_evidence_t *evidence, uint32_t tests,
    uint64_t now);

/* Takes out what a process that died has left in flight in its slot. */

void canary_evidence_reap(canary_evidence_t *evidence, uint32_t slot);

void canary_evidence_view(const canary_evidence_t *evidence, unsigned side,
    canary_evidence_view_t *view);


/* What each attempt of a rollout goes through is to be inlined. */


static inline uint64_t
canary_evidence_now(const canary_evidence_t *evidence)
{
    return __atomic_load_n(&evidence->now, __ATOMIC_ACQUIRE);
}


static inline canary_slot_t *
canary_evidence_slot(const canary_evidence_t *evidence, uint32_t slot)
{
    return (canary_slot_t *) &evidence->slots[slot];
}


static inline canary_tally_t *
canary_evidence_tally(const canary_evidence_t *evidence, uint32_t slot,
    unsigned side, uint32_t cohort)
{
    return &canary_evidence_slot(evidence, slot)
                ->tallies[side][cohort % CANARY_COHORTS];
}


/*
 * Counters that depend on each other are added to in the order opposite to
 * that in which canary_evidence_sum() reads them.
 */

static inline void
canary_add(uint32_t *counter, uint32_t n)
{
    (void) __atomic_fetch_add(counter, n, __ATOMIC_RELEASE);
}


static inline void
canary_add64(uint64_t *counter, uint64_t n)
{
    (void) __atomic_fetch_add(counter, n, __ATOMIC_RELEASE);
}


static inline void
canary_evidence_start(canary_evidence_t *evidence, uint32_t slot,
    unsigned side, canary_ticket_t *ticket)
{
    uint64_t         now;
    canary_tally_t  *tally;

    if (slot >= evidence->nslots) {
        slot %= evidence->nslots;
    }

    now = canary_evidence_now(evidence);

    ticket->cohort = (uint32_t) now;
    ticket->tests = (uint32_t) (now >> 32);
    ticket->slot = slot;
    ticket->side = (uint8_t) side;

    tally = canary_evidence_tally(evidence, slot, side, ticket->cohort);

    canary_add(&tally->started, 1);
}


/* where an attempt is counted that ends; NULL: its cohort has been settled */

static inline canary_tally_t *
canary_evidence_open_tally(canary_evidence_t *evidence,
    const canary_ticket_t *ticket)
{
    uint32_t  place;

    place = ticket->cohort % CANARY_COHORTS;

    if (__atomic_load_n(&evidence->open[place], __ATOMIC_ACQUIRE)
        != ticket->cohort + 1)
    {
        return NULL;
    }

    return canary_evidence_tally(evidence, ticket->slot, ticket->side,
                                 ticket->cohort);
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
        canary_add(&tally->timed, 1);
        canary_add64(&tally->time, time);
    }

    /* last: a cohort with nothing in flight may be settled at once */

    canary_add(&tally->done, 1);
}


#endif /* CANARY_EVIDENCE_H */
