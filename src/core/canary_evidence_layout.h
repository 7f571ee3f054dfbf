
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_EVIDENCE_LAYOUT_H
#define CANARY_EVIDENCE_LAYOUT_H


#include <stddef.h>
#include <stdint.h>

#include "canary_rule.h"


/*
 * The evidence of one rollout, in shared memory.
 *
 * Workers count attempts in slots, each worker in its own, with atomic
 * additions: nobody waits and nobody shares a cache line.  Within a
 * slot attempts are kept apart by cohort: the attempts that began in the
 * same 100 ms or so, or up to a hundredth of patience where that is more.  An
 * outcome is counted in the cohort in which its attempt began, so for each
 * cohort it is known how many attempts are still in flight, and judgement
 * need not wait for the slow ones nor be fooled by the quick ones.
 *
 * Counters of cohorts only rise, modulo 2^32: sums of a step or a rollout are
 * of 64 bits.  What a cohort holds is the difference to the sum over all slots
 * when the cohort was opened.  A cohort that has no
 * attempts in flight any more, or that is older than patience, is settled:
 * what it holds is final, and what arrives for it then is counted beside the
 * cohorts, and belongs to the cohort that is current when it arrives.  A
 * settled cohort of some age is folded into the sums of the step, in order,
 * and into a part of the last seconds, for canary_evidence_last().
 *
 * Where a rule is about clients that leave, attempts are followed until their
 * response has ended, and a cohort waits for that as for those in flight.  A
 * client that leaves when its cohort has been settled counts in the step, and
 * in no test: a test would see who leaves late without those who stay, whom it
 * has counted before, as a cohort of nothing but bad attempts.
 *
 * A cohort that is not folded has a place, and so do its counters.  Places are
 * used again and again, those with low numbers first, so that no more memory
 * is busy than there are cohorts in flight: some 25 of quick attempts, all
 * while attempts take as long as patience.
 *
 * "now" is the current cohort and the number of the present step in one
 * word.  Opening, settling and folding cohorts, and reading the sums, is for
 * one caller at a time; counting is for all at any time.
 *
 * A step is what figures are shown of and what a rule without statistics
 * judges; tests are what a rule with statistics judges, and go on over many
 * steps.  Both have numbers that rise.
 *
 * In a fleet a cohort ends where a slot of the fleet's clock does, so that
 * those of all nodes may be put together; it is kept until the fleet's leader
 * has folded it too, for patience and CANARY_KEPT_MS at most.  A slot is that
 * clock's time in ms since 1970, divided by CANARY_SLOT_MS.
 */


#define CANARY_COHORTS        128     /* that can be kept */
#define CANARY_COHORT_MS      100     /* length of a cohort at least, */
#define CANARY_COHORT_PART    100     /* at most this part of patience */
#define CANARY_COHORT_GRACE   50      /* ms after its end until it settles */
#define CANARY_LONG_MS        1000    /* in flight for at least so long after
                                         its cohort: maybe it hangs */
#define CANARY_DISCARD_MS     1000    /* before and after a hold, see
                                         canary_evidence_discard() */
#define CANARY_FOLD_MS        1200    /* after it settled until it is folded:
                                         it might yet be discarded */
#define CANARY_REST_MS        1000    /* after that until its place is used
                                         again: a process may be slow */
#define CANARY_KEPT_MS        2000    /* after patience, in a fleet */
#define CANARY_LAST_PARTS     22      /* of what has been folded, */
#define CANARY_LAST_PART_MS   500     /* of so many milliseconds each */
#define CANARY_LIMIT_SETS     16      /* kept, see canary_evidence_limits() */
#define CANARY_SET_RULES      0       /* number of one: of the rules alone, */
#define CANARY_SET_OWN        UINT32_MAX  /* and that no leader has found */
#define CANARY_SLOT_MS        100     /* of the clock of a fleet */


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
 * slot, atomic additions; readers: anyone.  Its size is a power of two, so
 * that a worker finds one without a multiplication.
 */

typedef struct {
    uint32_t  started;
    uint32_t  voided;        /* turned out to be no evidence */
    uint32_t  done;          /* counted; so in flight is the rest */
    uint32_t  bad_4xx;
    uint32_t  bad_5xx;
    uint32_t  untimed;       /* of those done, whose time is yet to come */
    uint32_t  timed;
    uint32_t  time_only;     /* of the voided: no evidence but of time; less
                                those that are evidence, but not of time */
    uint32_t  timeless;      /* of the latter, those in flight */
    uint32_t  unended;       /* of those done, if their ends are followed */
    uint32_t  left;          /* ended since their client left, and of these */
    uint32_t  left_only;     /* the voided */
    uint64_t  time;          /* microseconds */
    uint64_t  unused;
} canary_tally_t;


/* Attempts that took longer than the limits, or are of a match; as above. */

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
    uint64_t            left;
    uint64_t            left_only;
    uint32_t            overdue;  /* in flight, though their cohort is
                                     settled; goes up and down */
    uint32_t            pending;  /* as overdue, but only their time is
                                     missing */
    uint32_t            unended;  /* or only whether their client leaves */
    uint64_t            time_only;  /* may be below zero */
    uint64_t            timed;
    uint64_t            time;     /* microseconds */
    uint64_t            spent;    /* all 5xx, late or not, evidence or not */
    canary_late_slow_t  slow;     /* of the present step */
    canary_late_slow_t  past_slow;
} canary_late_t;


/* The worker's own memory; the padding keeps slots off each other's lines. */

typedef struct canary_slot_s  canary_slot_t;

struct canary_slot_s {
    canary_late_t   late[CANARY_SIDES];
    canary_tally_t  tallies[CANARY_COHORTS][CANARY_SIDES];
    canary_slow_t   slows[CANARY_COHORTS][CANARY_SIDES];
    canary_slot_t  *next;    /* of all that the evidence has */
    uint8_t         padding[128];
};


/*
 * Writer: whoever holds the lock of the zone.  A cohort that is open has in
 * "base" the sums when it was opened; one that is settled, what it holds.
 */

typedef struct {
    uint64_t        began;              /* ms */
    uint64_t        ended;              /* ms; 0: it is the current one */
    uint64_t        settled;            /* ms; if it is */
    uint64_t        freed;              /* ms; 0: the place is in use */
    uint64_t        slot;               /* in which it began; 0: no fleet, or
                                           not known yet */
    uint64_t        slot_end;           /* at which it ended */
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
    uint32_t        time_only;
    uint32_t        bad;
    uint32_t        bad_4xx;
    uint32_t        bad_5xx;
    uint32_t        left;
    uint32_t        left_only;
} canary_part_t;


/*
 * Microseconds; an attempt is slow if it takes longer.  One of a match, which
 * no time is, tells which: attempts of that count as such.
 */

#define CANARY_LIMIT_OF_MATCH  (UINT64_MAX / 2)

typedef struct {
    uint64_t        limits[CANARY_SIDES][CANARY_LIMITS_MAX];
} canary_limits_t;


static inline uint64_t
canary_match_limit(const canary_rule_t *rule)
{
    return CANARY_LIMIT_OF_MATCH + rule->match - 1;
}


/*
 * What only the holder of the lock looks at, and only while the rollout runs:
 * a worker may still count for one that has just ended, but never here, so the
 * memory may be another's then.
 */

typedef struct {
    canary_cohort_t       cohorts[CANARY_COHORTS];
    canary_cohort_slow_t  slows[CANARY_COHORTS];
    canary_part_t         parts[CANARY_LAST_PARTS];
    canary_slow_t         part_slows[CANARY_LAST_PARTS];
} canary_books_t;


typedef struct canary_evidence_s  canary_evidence_t;
typedef struct canary_given_s  canary_given_t;

struct canary_evidence_s {

    /* read by workers, written under the zone's lock */

    uint64_t          now;              /* step << 32 | current cohort;
                                           released */
    uint32_t          nslots;           /* constant */
    uint32_t          nlimits;          /* constant while there are tests */
    uint32_t          patience;         /* ms; too */
    uint32_t          first;            /* cohort of this rollout; written
                                           before "now" is */
    uint32_t          first_tested;     /* cohort of the present tests */
    uint32_t          discarded_from;   /* cohorts that are no evidence, but */
    uint32_t          discarded_to;     /* not the last one; equal: none */
    uint32_t          limit_set;        /* the present one */
    uint32_t          follows;          /* ends of attempts; constant while
                                           there are tests */
    uint32_t          matches;          /* whether there are any; too */
    uint32_t          missing;          /* of these, those that no process
                                           knows: canary_match_missing() */
    uint64_t          warm_since;       /* ms: the canary's first attempt, 0:
                                           none yet; written by the worker that
                                           makes it, and only if there is a
                                           warm-up */

    uint8_t           place_of[CANARY_COHORTS];
                                        /* by number modulo their count */
    uint32_t          open[CANARY_COHORTS];
                                        /* by place: number of the cohort that
                                           uses it, plus 1; 0: settled */
    uint8_t           set_of[CANARY_COHORTS];
                                        /* limits, by place */
    canary_limits_t   sets[CANARY_LIMIT_SETS];
    uint32_t          set_numbers[CANARY_LIMIT_SETS];
                                        /* that the fleet has for them */

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
    uint32_t          nparts;           /* that are in use, */
    uint32_t          part;             /* and the one that grows */
    uint64_t          opened;           /* ms, the current cohort */
    uint64_t          discard_to;       /* ms; not this moment itself */
    uint64_t          slot;             /* the present one; 0: no fleet */
    uint32_t          led;              /* a leader is there */
    uint32_t          told_step;        /* it has folded steps before this, */
    uint64_t          told_slot;        /* and of this up to this slot */
    uint64_t          void_from;        /* slots that are no evidence to it, */
    uint64_t          void_to;          /* but not this one */
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

    canary_books_t     *books;          /* NULL: taken away */
    const canary_given_t *given;        /* what there is to see, if that is of
                                           other machines; else NULL */
    canary_slot_t      *all;            /* a list of the slots, each once */
    canary_slot_t      *slots[];        /* [nslots], of which nused are set;
                                           one may be the same as the first */
};


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


static inline uint32_t
canary_get(const uint32_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}


static inline uint64_t
canary_get64(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}


static inline void
canary_set(uint32_t *variable, uint32_t value)
{
    __atomic_store_n(variable, value, __ATOMIC_RELEASE);
}


/* ms, of a cohort where attempts are slow */

static inline uint32_t
canary_evidence_length(const canary_evidence_t *evidence)
{
    return evidence->patience / CANARY_COHORT_PART;
}


/* the same in slots: there is room for somewhat fewer */

static inline uint32_t
canary_evidence_slots(const canary_evidence_t *evidence)
{
    return (evidence->patience <= CANARY_COHORT_PART * CANARY_SLOT_MS)
           ? 1 : (evidence->patience - 1)
                 / ((CANARY_COHORT_PART - 4) * CANARY_SLOT_MS) + 1;
}


static inline uint64_t
canary_elapsed(uint64_t now, uint64_t since)
{
    return (now > since) ? now - since : 0;
}


/* a process may have slept through the settling of the cohort it counts in */

static inline uint32_t
canary_not_negative(uint32_t n)
{
    return ((int32_t) n < 0) ? 0 : n;
}


static inline canary_tally_t *
canary_evidence_tally(const canary_evidence_t *evidence, uint32_t slot,
    unsigned side, uint32_t place)
{
    return &evidence->slots[slot]->tallies[place][side];
}


static inline canary_late_t *
canary_evidence_late(const canary_evidence_t *evidence, uint32_t slot,
    unsigned side)
{
    return &evidence->slots[slot]->late[side];
}


static inline uint32_t
canary_evidence_current(const canary_evidence_t *evidence)
{
    return (uint32_t) evidence->now;
}


static inline uint32_t
canary_evidence_step(const canary_evidence_t *evidence)
{
    return (uint32_t) (evidence->now >> 32);
}


/* of a cohort that is not folded */

static inline uint32_t
canary_evidence_place(const canary_evidence_t *evidence, uint32_t number)
{
    return evidence->place_of[number % CANARY_COHORTS];
}


static inline canary_cohort_t *
canary_evidence_cohort(const canary_evidence_t *evidence, uint32_t number)
{
    return &evidence->books->cohorts[canary_evidence_place(evidence, number)];
}


static inline int
canary_evidence_is_open(const canary_evidence_t *evidence, uint32_t number)
{
    return evidence->open[canary_evidence_place(evidence, number)]
           == number + 1;
}


/* whether the leader has folded what began in this slot of a step */

static inline int
canary_evidence_is_told(const canary_evidence_t *evidence, uint32_t step,
    uint64_t slot)
{
    return (int32_t) (step - evidence->told_step) < 0
           || (step == evidence->told_step && slot <= evidence->told_slot);
}


static inline int
canary_evidence_is_discarded(const canary_evidence_t *evidence,
    uint32_t number)
{
    uint32_t  from, to;

    from = __atomic_load_n(&evidence->discarded_from, __ATOMIC_RELAXED);
    to = __atomic_load_n(&evidence->discarded_to, __ATOMIC_RELAXED);

    return number - from < to - from;
}


#endif /* CANARY_EVIDENCE_LAYOUT_H */
