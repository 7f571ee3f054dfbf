
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_REPLAY_LINE_H
#define CANARY_REPLAY_LINE_H


#include <stddef.h>
#include <stdint.h>

#include "canary_match.h"


/*
 * A line of a log, of one request: its attempts in the order in which they
 * were made.  There are two ways to write one,
 *
 *   time=1763859729.760 endpoint=ep release=v2 reason=weight weight=0.1
 *       status="200" header_time="0.012" duration="0.015" request_time=0.016
 *
 * and an object in JSON with the same members, whose values are texts or
 * numbers.  "time" is when the request ended, in seconds since 1970 or as RFC
 * 3339 has it; "endpoint", "reason", "weight", "header_time", "request_time"
 * and "abandoned" may be missing, and other members are ignored.  "abandoned"
 * is 1 if the client left before the answer was complete, else 0.  "match_NAME"
 * is what the "canary_match" of that name came to: of a match are those where
 * it is neither missing, empty, "-" nor 0.
 *
 * "status", "header_time" and "duration" are lists with a value for each
 * attempt, as nginx has them in $upstream_status, $upstream_header_time and
 * $upstream_response_time: separated by ", " or " : ", with "-" for what there
 * was not.  A status may also be "failed", "timeout" or "aborted".
 */


#define CANARY_REPLAY_ATTEMPTS_MAX  32       /* of a line */
#define CANARY_REPLAY_NAME_MAX      256      /* with the zero at its end */
#define CANARY_REPLAY_LINE_MAX      65536    /* bytes, with the zero */
#define CANARY_REPLAY_UNKNOWN       UINT64_MAX
#define CANARY_REPLAY_NO_WEIGHT     UINT32_MAX

#define CANARY_REPLAY_DURATION_MAX  86400000000ull
                                             /* microseconds: a day */


typedef enum {
    CANARY_REPLAY_AUTO = 0,        /* JSON if the line begins as an object */
    CANARY_REPLAY_LOG,
    CANARY_REPLAY_JSON
} canary_replay_format_t;


typedef enum {
    CANARY_REPLAY_ANSWERED = 0,    /* with a status */
    CANARY_REPLAY_FAILED,          /* without one */
    CANARY_REPLAY_TIMEOUT,
    CANARY_REPLAY_ABORTED          /* by the client, or by nginx itself */
} canary_replay_outcome_t;


typedef enum {
    CANARY_REPLAY_BY_WEIGHT = 0,
    CANARY_REPLAY_BY_KEY,
    CANARY_REPLAY_BY_FORCE,
    CANARY_REPLAY_BY_FALLBACK,
    CANARY_REPLAY_BY_ONLY,         /* outside the rollout */
    CANARY_REPLAY_REASONS
} canary_replay_reason_t;


typedef struct {
    canary_replay_outcome_t  outcome;
    unsigned                 status;       /* 100..599, if answered */
    uint64_t                 header;       /* microseconds until the header, */
    uint64_t                 duration;     /* and until the end; not less */
    int                      left;         /* its client had left by then */
    unsigned                 matched;      /* canary_evidence_match() */
} canary_replay_attempt_t;


typedef struct {
    uint64_t                 time;         /* microseconds since 1970 */
    uint64_t                 request_time; /* microseconds, or UNKNOWN */
    uint32_t                 weight;       /* parts per million, or
                                              NO_WEIGHT */
    canary_replay_reason_t   reason;
    char                     endpoint[CANARY_REPLAY_NAME_MAX];
    char                     release[CANARY_REPLAY_NAME_MAX];
                                           /* empty: none */
    unsigned                 n;            /* attempts; 0: a request without
                                              one, as one that a cache
                                              answered */
    canary_replay_attempt_t  attempts[CANARY_REPLAY_ATTEMPTS_MAX];
} canary_replay_line_t;


/*
 * Reads a line without its end, and of the matches in it those that have a
 * name here; text[len] must be zero, and the text is changed.  Returns NULL, or
 * what is wrong: a phrase for people that has nothing of the line in it.
 */

const char *canary_replay_line_read(char *text, size_t len,
    canary_replay_format_t format, const canary_matches_t *matches,
    canary_replay_line_t *line);


#endif /* CANARY_REPLAY_LINE_H */
