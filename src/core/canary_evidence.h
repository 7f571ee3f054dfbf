
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
 * Counters of cohorts only rise, modulo 2^32: sums of a step or a rollout are
 * of 64 bits.  What a cohort holds is the difference to the sum over all slots
 * when the cohort was opened.  A cohort that has no
 * attempts in flight any more, or that is CANARY_OVERDUE_MS old, is settled:
 * what it holds is final, and what arrives for it then is counted beside the
 * cohorts, and belongs to the cohort that is current when it arrives.  A
 * settled cohort of some age is folded into the sums of the step, in order,
 * and into a part of the last seconds, for canary_evidence_last().
 *
 * A cohort that is not folded has a place, and so do its counters.  Places are
 * used again and again, those with low numbers first, so that no more memory
 * is touched than there are cohorts in flight: some 25 of quick attempts, all
 * while attempts take 10 s.
 *
 * "now" is the current cohort and the number of the present step in one
 * word.  Opening, settling and folding cohorts, and reading the sums, is for
 * one caller at a time; counting is for all at any time.
 *
 * A step is what figures are shown of and what a rule without statistics
 * judges; tests are what a rule with statistics judges, and go on over many
 * steps.  Both have numbers that rise.
 */


#define CANARY_COHORTS        128     /* that can be kept */
#define CANARY_COHORT_MS      100     /* length of a cohort */
#define CANARY_COHORT_GRACE   50      /* ms after its end until it settles */
#define CANARY_DISCARD_MS     1000    /* before and after a hold, see
                                         canary_evidence_discard() */
#define CANARY_FOLD_MS        1200    /* after it settled until it is folded:
                                         it might yet be discarded */
#define CANARY_REST_MS        1000    /* after that until its place is used
                                         again: a process may be slow */
#define CANARY_PARTS          22      /* of what has been folded, */
#define CANARY_PART_MS        500     /* of so many milliseconds each */
#define CANARY_LIMIT_SETS     16      /* kept, see canary_evidence_limits() */


/* Kinds of bad attempts that rules are about. */

enum {
    CANARY_FUSE_4XX = 0,
    CANARY_FUSE_5XX,
    CANARY_FUSE_ANY,
    CANARY_FUSES
};


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
    uint32_t  untimed;       /* of those done, whose time is yet to come */
    uint32_t  timed;
    uint32_t  gave_up;       /* of the voided: no evidence but of time */
    uint64_t  time;          /* microseconds */
} canary_tally_t;


/* Attempts that took longer than the limits; as above. */

typedef struct {
    uint32_t  slow[CANARY_LIMITS_MAX];
} canary_slow_t;


/* Bad attempts that are counted when they end, not when they began. */

typedef struct {
    uint32_t  bad_4xx;
    uint32_t  bad_5xx;
    uint32_t  bad_both;      /* 4xx whose body then broke off */
} canary_bad_t;


/*
 * What came when its cohort could not take it any more: the ends of attempts
 * that were overdue, bodies that broke off after their header was counted,
 * and times that end with the body.  Writers and readers as above, but for
 * overdue, which is written under the zone's lock as well.
 *
 * Where all attempts are long, all come late; a step may have more of them
 * than 32 bits can count.
 */

typedef struct {
    uint64_t            bad_4xx;
    uint64_t            bad_5xx;
    uint64_t            bad_both;
} canary_late_bad_t;


typedef struct {
    uint64_t            slow[CANARY_LIMITS_MAX];
} canary_late_slow_t;


typedef struct {
    canary_late_bad_t   step;     /* of the present step */
    canary_late_bad_t   past;     /* of steps before it, of the same tests */
    uint64_t            voided;
    uint32_t            overdue;  /* in flight, though their cohort is
                                     settled; goes up and down */
    uint32_t            pending;  /* as overdue, but only their time is
                                     missing */
    uint64_t            gave_up;
    uint64_t            timed;
    uint64_t            time;     /* microseconds */
    uint64_t            spent;    /* all 5xx, late or not, evidence or not */
    canary_late_slow_t  slow;     /* of the present step */
    canary_late_slow_t  past_slow;
} canary_late_t;


/*
 * The worker's own memory; the padding keeps slots off each other's lines.
 * Places are touched when they are first used, and what is about limits only
 * if there are limits.
 */

typedef struct {
    canary_late_t   late[CANARY_SIDES];
    canary_tally_t  tallies[CANARY_COHORTS][CANARY_SIDES];
    canary_slow_t   slows[CANARY_COHORTS][CANARY_SIDES];
    uint8_t         padding[128];
} canary_slot_t;


/*
 * Writer: whoever holds the lock of the zone.  A cohort that is open has in
 * "base" the sums when it was opened; one that is settled, what it holds.
 */

typedef struct {
    uint64_t        began;              /* ms */
    uint64_t        ended;              /* ms; 0: it is the current one */
    uint64_t        settled;            /* ms; if it is */
    uint64_t        freed;              /* ms; 0: the place is in use */
    uint32_t        step;
    canary_tally_t  base[CANARY_SIDES];
    canary_bad_t    late[CANARY_SIDES]; /* came while it was current */
} canary_cohort_t;


typedef struct {
    canary_slow_t   base[CANARY_SIDES];
    canary_slow_t   late[CANARY_SIDES];
} canary_cohort_slow_t;


/* What folded cohorts of the present tests held of the stable release. */

typedef struct {
    uint64_t        began;              /* ms */
    uint64_t        ended;              /* ms */
    uint64_t        time;               /* microseconds */
    uint32_t        started;
    uint32_t        timed;
    uint32_t        gave_up;
    uint32_t        bad;
    uint32_t        bad_4xx;
    uint32_t        bad_5xx;
} canary_part_t;


/* Microseconds; an attempt is slow if it takes longer. */

typedef struct {
    uint64_t        limits[CANARY_SIDES][CANARY_LIMITS_MAX];
} canary_limits_t;


/*
 * What only the holder of the lock looks at.  A worker may still count for a
 * rollout that has just ended, but never here: evidence that is not in use can
 * do without, and the memory be another's.
 *
 * Of places that are not used yet nothing is touched, nor what is about limits
 * without limits.
 */

typedef struct {
    canary_cohort_t       cohorts[CANARY_COHORTS];
    canary_cohort_slow_t  slows[CANARY_COHORTS];
    canary_slow_t         part_slows[CANARY_PARTS];
} canary_places_t;


typedef struct {
    canary_places_t      *places;
    canary_part_t         parts[CANARY_PARTS];
} canary_books_t;


typedef struct canary_evidence_s  canary_evidence_t;

struct canary_evidence_s {

    /* read by workers, written under the zone's lock */

    uint64_t          now;              /* step << 32 | current cohort;
                                           released */
    uint32_t          nslots;           /* constant */
    uint32_t          nlimits;          /* constant while there are tests */
    uint32_t          first;            /* cohort of this rollout; written
                                           before "now" is */
    uint32_t          first_tested;     /* cohort of the present tests */
    uint32_t          discarded_from;   /* cohorts that are no evidence, but */
    uint32_t          discarded_to;     /* not the last one; equal: none */
    uint32_t          limit_set;        /* the present one */

    uint8_t           place_of[CANARY_COHORTS];
                                        /* by number modulo their count */
    uint32_t          open[CANARY_COHORTS];
                                        /* by place: number of the cohort that
                                           uses it, plus 1; 0: settled */
    uint8_t           set_of[CANARY_COHORTS];
                                        /* limits, by place */
    canary_limits_t   sets[CANARY_LIMIT_SETS];

    /*
     * Bad attempts of the canary as they come: written by all workers, but
     * only by a bad attempt.  Past one of the fuses the rules are judged.
     */

    uint8_t           padding[128];
    uint64_t          bad[CANARY_FUSES];
    uint64_t          fuses[CANARY_FUSES];

    /* under the zone's lock */

    uint32_t          oldest;           /* cohort that is not folded */
    uint32_t          nused;            /* slots that are in use */
    uint32_t          limited;          /* slots whose part about limits is */
    uint32_t          nplaces;          /* that have ever been used */
    uint32_t          nparts;           /* that are in use, */
    uint32_t          part;             /* and the one that grows */
    uint64_t          opened;           /* ms, the current cohort */
    uint64_t          discard_to;       /* ms; not this moment itself */
    uint64_t          spent_base[CANARY_SIDES];
                                        /* 5xx when the rollout began */
    canary_counts_t   folded[CANARY_SIDES];
                                        /* of the present step */
    canary_late_t     late_base[CANARY_SIDES];
                                        /* when the present step began */
    canary_late_t     late_opened[CANARY_SIDES];
                                        /* when the current cohort was
                                           opened */

    canary_evidence_t  *next;           /* for the owner: links those that */
    uint64_t            released;       /* are not in use; ms; and the last */
    uint64_t            serial;         /* configuration that used it */

    canary_books_t     *books;          /* NULL: none, or taken away */
    canary_slot_t      *slots[];        /* [nslots], of which nused are set;
                                           one may be the same as the first */
};


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
    uint64_t  time;          /* until now, microseconds */
} canary_finish_t;


/* What a cohort holds of one side. */

typedef struct {
    uint32_t       started;  /* less those that are no evidence */
    uint32_t       in_flight;
    uint32_t       untimed;  /* in flight, or their time is yet to come */
    uint32_t       gave_up;
    uint32_t       bad_4xx;
    uint32_t       bad_5xx;
    uint32_t       timed;
    uint64_t       time;
    canary_slow_t  slow;     /* with those in flight for longer */
    canary_bad_t   late;     /* of cohorts before, that came meanwhile */
    canary_slow_t  late_slow;
} canary_sums_t;


typedef struct {
    uint32_t       number;
    uint32_t       step;
    uint64_t       began;    /* ms */
    uint64_t       ended;    /* ms; 0: it is the current one */
    uint32_t       limit_set;
    int            settled;
    int            discarded;
    canary_sums_t  sides[CANARY_SIDES];
} canary_cohort_view_t;


/* Those that are not folded, oldest first. */

typedef struct {
    uint32_t              n;
    canary_cohort_view_t  cohorts[CANARY_COHORTS];
} canary_tail_t;


/* The bytes that evidence takes, without its slots and books. */

size_t canary_evidence_size(uint32_t nslots);

/*
 * No memory needs to be zeroed.  Evidence is init once, and given memory for
 * one slot after the other before they are counted in; NULL: there is none,
 * so that slot is the first one again, which there has to be.  Before it
 * begins it needs books, with their places, whose own may be taken away when
 * the rollout has ended.
 */

void canary_evidence_init(canary_evidence_t *evidence, uint32_t nslots);
void canary_evidence_set_books(canary_evidence_t *evidence,
    canary_books_t *books, canary_places_t *places);
void canary_evidence_use(canary_evidence_t *evidence, canary_slot_t *memory);

/*
 * For each rollout, and for new tests: what began before the rollout counts
 * no more, whenever it ends; what began before the tests counts for budgets.
 */

void canary_evidence_begin(canary_evidence_t *evidence, uint32_t step,
    uint64_t now);
void canary_evidence_new_tests(canary_evidence_t *evidence);

/* Begins anew where a process died while it had the lock: budgets remain. */

void canary_evidence_repair(canary_evidence_t *evidence, uint32_t step,
    uint64_t now);

/* What a side has spent before, of a rollout that goes on here. */

void canary_evidence_spent(canary_evidence_t *evidence, unsigned side,
    uint64_t spent);

/* What others have spent of it, besides; and what it comes to. */

void canary_evidence_add_spent(canary_evidence_t *evidence, unsigned side,
    uint64_t more);
uint64_t canary_evidence_spent_by(const canary_evidence_t *evidence,
    unsigned side);

/*
 * Limits of time from the next cohort on; their number is to change only with
 * the tests.  The last CANARY_LIMIT_SETS are remembered: of more than one in
 * a second, cohorts in flight might lose theirs.
 */

void canary_evidence_limits(canary_evidence_t *evidence, uint32_t nlimits,
    const canary_limits_t *limits);


/* Workers, without a lock; a slot is the number of one that is in use. */

static inline void canary_evidence_start(canary_evidence_t *evidence,
    uint32_t slot, unsigned side, canary_ticket_t *ticket);

void canary_evidence_finish(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, const canary_finish_t *finish);

/* the same for one that is not bad; unless "timed", it is "untimed" */
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

/*
 * The time of an attempt that was counted as "untimed"; unless "timed" it is
 * none for averages, since the response was not complete.
 */

void canary_evidence_time(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t time, int timed);

/*
 * A bad attempt of the canary, whose class is 4 or 5: returns 1 when so many
 * have come that the rules are to be judged.
 */

int canary_evidence_burn(canary_evidence_t *evidence,
    unsigned response_class);


/* Under the lock of the zone. */

/* Opens a cohort when it is time to, or at once when the step is another. */

void canary_evidence_tick(canary_evidence_t *evidence, uint32_t step,
    uint64_t now);

/*
 * Folds the oldest cohort if it is time to, and tells what it held; 0: not
 * yet.  To be called until then, after each tick.
 */

int canary_evidence_fold(canary_evidence_t *evidence, uint64_t now,
    canary_cohort_view_t *cohort);

/*
 * A number that is another one when anything has come, and whether something
 * is in flight, so that it may become too slow by time alone.
 */

uint64_t canary_evidence_pulse(const canary_evidence_t *evidence,
    int *in_flight);

/*
 * Evidence that came from CANARY_DISCARD_MS before "now" on counts no more,
 * until CANARY_DISCARD_MS after canary_evidence_keep(): the cohorts of that
 * time, and those before that had not settled by then.
 */

void canary_evidence_discard(canary_evidence_t *evidence, uint64_t now);
void canary_evidence_keep(canary_evidence_t *evidence, uint64_t now);

/*
 * Takes out what a process that died has left in flight in its slot; not if
 * that is another's slot too, since nobody can tell whose attempts are whose.
 */

void canary_evidence_reap(canary_evidence_t *evidence, uint32_t slot);

/* What is not folded, and with it the sums of the step. */

void canary_evidence_tail(const canary_evidence_t *evidence, uint64_t now,
    canary_tail_t *tail);
void canary_evidence_view(const canary_evidence_t *evidence,
    const canary_tail_t *tail, unsigned side, canary_evidence_view_t *view);

/*
 * What the cohorts of the last "ms" hold of the stable release, discarded or
 * not; only those of the present tests.  Those that are folded already are
 * known by parts of CANARY_PART_MS: one counts if its middle is in that time.
 * At least 10 s are remembered.
 */

void canary_evidence_last(const canary_evidence_t *evidence,
    const canary_tail_t *tail, uint64_t now, uint64_t ms,
    canary_counts_t *counts);


/* Internal. */

void canary_evidence_count_slow(canary_evidence_t *evidence,
    const canary_ticket_t *ticket, uint64_t time);


/*
 * Counters that depend on each other are added to in the order opposite to
 * that in which they are read.
 */

static inline void
canary_evidence_add(uint32_t *counter, uint32_t n)
{
    (void) __atomic_fetch_add(counter, n, __ATOMIC_RELEASE);
}


static inline void
canary_evidence_add64(uint64_t *counter, uint64_t n)
{
    (void) __atomic_fetch_add(counter, n, __ATOMIC_RELEASE);
}


static inline canary_tally_t *
canary_evidence_tally(const canary_evidence_t *evidence, uint32_t slot,
    unsigned side, uint32_t place)
{
    return &evidence->slots[slot]->tallies[place][side];
}


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


#endif /* CANARY_EVIDENCE_H */
