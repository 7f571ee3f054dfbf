
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_FLEET_RECORD_H
#define CANARY_FLEET_RECORD_H


#include <stddef.h>
#include <stdint.h>

#include "canary_event.h"
#include "canary_rollout.h"


/*
 * What nodes of a fleet tell each other of an endpoint: a record, whose first
 * line is
 *
 *     GENERATION UID NUMBER PHASE WEIGHT CANARY RESULT
 *     18 9f3c01aa 7 progressing 200000 v2 none
 *
 * and what follows it is the endpoint's object of the state file, which is
 * none of this file's business.  The line never changes its form.  Generation
 * and uid name a version of the record: two nodes that do not know of each
 * other may come to the same generation, but not to the same uid.
 */


typedef struct {
    uint64_t  generation;                /* 0: there is no record */
    uint32_t  uid;                       /* random, of the change; 8 digits */
    uint32_t  number;                    /* of this or the last rollout */
    uint32_t  phase;                     /* canary_phase_t */
    uint32_t  weight;                    /* parts per million */
    uint32_t  result;                    /* canary_rollout_result_t of that
                                            number; none: it goes on, or
                                            never began */
    char      canary[CANARY_NAME_SIZE];  /* empty: none */
} canary_fleet_record_t;


/*
 * Names of endpoints and releases as fields of Redis and words of a line: all
 * but printable ASCII, and "%", "@" and a leading "-", as %XX.
 */

#define CANARY_FLEET_WORD(len)   (3 * (len) + 1)   /* bytes, with the zero */

#define CANARY_FLEET_LINE_SIZE   (64 + CANARY_FLEET_WORD(CANARY_NAME_SIZE))
                                 /* bytes of a first line, with the zero */

/* Ends with a zero; the length without it. */

size_t canary_fleet_escape(const char *name, size_t len, char *word);

/* The length of the name, which gets a zero; 0: not a word, or no room. */

size_t canary_fleet_unescape(const char *word, size_t len, char *name,
    size_t size);

/* The line with its "\n" and a zero; the length without the zero. */

size_t canary_fleet_record_print(const canary_fleet_record_t *record,
    char line[CANARY_FLEET_LINE_SIZE]);

/*
 * What a commit is based on, "GENERATION UID"; empty if there is no record.
 * Ends with a zero; the length without it.
 */

size_t canary_fleet_record_base(const canary_fleet_record_t *record,
    char base[32]);

/*
 * Reads the first line of len bytes of text; the length of the line with its
 * "\n", so what follows begins there; 0: that is not a record's.
 */

size_t canary_fleet_record_parse(const char *text, size_t len,
    canary_fleet_record_t *record);

/* Whether they are one version. */

int canary_fleet_record_same(const canary_fleet_record_t *one,
    const canary_fleet_record_t *two);

/*
 * Which of two stands, if neither is known to follow the other: the higher
 * number; promoted before rolled back before all else; the higher generation;
 * the lower weight; the higher uid.  A total order, so all nodes agree whoever
 * comes first.  Above 0: one does, below 0: two does, 0: they are the same.
 * No record loses against any.
 */

int canary_fleet_record_order(const canary_fleet_record_t *one,
    const canary_fleet_record_t *two);

/*
 * Whether a node at "from" would send more traffic to a canary at "to", or
 * leave it there for good: then "to" takes effect after the file has it, and
 * not while the fleet's data are young.
 */

int canary_fleet_record_raises(const canary_fleet_record_t *from,
    const canary_fleet_record_t *to);

/*
 * The record as which "ours", which stands, is told to a fleet that has
 * "theirs" (generation 0: nothing): above both generations, and paused at the
 * fleet's weight if it is above that.  "uid" is its uid unless it is "ours" as
 * it is.
 */

void canary_fleet_record_tell(const canary_fleet_record_t *ours,
    const canary_fleet_record_t *theirs, uint32_t uid,
    canary_fleet_record_t *told);


#endif /* CANARY_FLEET_RECORD_H */
