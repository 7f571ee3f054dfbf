
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_OUTCOME_H
#define CANARY_OUTCOME_H


#include <stdint.h>


/*
 * What became of one attempt: one connection to one peer of a release, from
 * the moment the balancer chose the peer.
 *
 * A server knows an attempt's end only by traces: a state handed to the
 * balancer, a status that may be a leftover, a header time, a return code.
 * canary_outcome() reads these traces.  They are plain facts here, so that
 * each way an attempt can end is one row of a table test.
 */


typedef enum {
    CANARY_OUTCOME_IGNORED = 0,  /* the server's own failure: no evidence */
    CANARY_OUTCOME_RESPONSE,     /* a response with a status */
    CANARY_OUTCOME_FAILED,       /* no response: refused, reset, invalid... */
    CANARY_OUTCOME_TIMEOUT,      /* no response: FAILED by a timeout */
    CANARY_OUTCOME_ABORTED,      /* the client left before the header */
    CANARY_OUTCOME_CUT,          /* a response whose body then broke off */
    CANARY_OUTCOME_REJECTED,     /* a response whose trailers then blamed the
                                    request, as 4xx does */
    CANARY_OUTCOME_CANCELLED     /* a response whose trailers then told that
                                    the client had cancelled it */
} canary_outcome_t;


#define CANARY_SWITCHING_PROTOCOLS  101   /* of a header: then a tunnel */


/*
 * What the server knows when an attempt ends.  A status is a number of three
 * digits; 0 is none.  Flags are 0 or 1.
 */

typedef struct {
    unsigned  status;            /* of the header; only valid with header */
    unsigned  rc;                /* how the request ended: a status made by
                                    the server itself (499, 502, 504...),
                                    or 0 */
    unsigned  failed:1;          /* the server gave the attempt up and may
                                    try another peer */
    unsigned  header:1;          /* a whole response header was received */
    unsigned  connected:1;       /* a socket was made at all */
    unsigned  cached:1;          /* on a connection kept from before */
    unsigned  resent:1;          /* if it was dead: the server sends the
                                    request again by itself */
    unsigned  received:1;        /* any byte of an answer was received */
    unsigned  timedout:1;        /* a timer of the connection ran out */
    unsigned  error:1;           /* ended with an error of the server's */
    unsigned  torn_down:1;       /* the request was destroyed from outside */
    unsigned  client_gone:1;     /* the client's connection broke */
    unsigned  given_up:1;        /* by the server, which waited for the client
                                    for too long */
    unsigned  exiting:1;         /* the process closes its connections; not
                                    while it still serves them */
    unsigned  upgraded:1;        /* 101: what follows is a tunnel */
    unsigned  grpc:1;            /* the response is gRPC */
    unsigned  complete:1;        /* the body was read to its end */
    unsigned  cancelled:1;       /* by the client, as a gRPC status in the
                                    header tells */
    int       grpc_status;       /* in the trailers; -1: none seen */
} canary_facts_t;


/* The outcome of an attempt that has ended. */

canary_outcome_t canary_outcome(const canary_facts_t *facts);


/*
 * Whether the client left after the header and before it had the whole
 * response, of its own accord.
 */

static inline int
canary_abandoned(const canary_facts_t *facts)
{
    return facts->header && !facts->upgraded && !facts->exiting
           && !facts->given_up && (facts->client_gone || facts->torn_down);
}


/* The same of an attempt that was aborted, before its header. */

static inline int
canary_aborted_by_client(const canary_facts_t *facts)
{
    return !facts->given_up && (facts->client_gone || facts->torn_down
                                || facts->cancelled || facts->rc == 499);
}


/*
 * The class of a gRPC status, by the HTTP status that it is mapped to: 2 for OK
 * (0), 4 for one that blames the request, 5 for one that blames the server
 * (UNKNOWN 2, DEADLINE_EXCEEDED 4, UNIMPLEMENTED 12, INTERNAL 13, UNAVAILABLE
 * 14, DATA_LOSS 15, and what gRPC does not know, as UNKNOWN); 0 for none (-1),
 * and for CANCELLED (1), which is the client's.
 * Source: gRPC, "Status codes and their use in gRPC"; google.rpc.Code.
 */

#define CANARY_GRPC_CANCELLED  1

static inline unsigned
canary_grpc_class(int grpc_status)
{
    if (grpc_status < 0 || grpc_status == CANARY_GRPC_CANCELLED) {
        return 0;
    }

    if (grpc_status == 0) {
        return 2;
    }

    return (grpc_status > 16
            || ((1 << 2 | 1 << 4 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15)
                & 1 << grpc_status))
           ? 5 : 4;
}


/*
 * The class of a response: 1 to 5 by its status, or that of its gRPC status
 * if that is a worse one; 0 if the status is none of these, which is no valid
 * answer and counts as a failed attempt.
 */

static inline unsigned
canary_response_class(unsigned status, int grpc_status)
{
    unsigned  grpc_class;

    if (status < 100 || status > 599) {
        return 0;
    }

    grpc_class = canary_grpc_class(grpc_status);

    return (grpc_class >= 4 && grpc_class > status / 100) ? grpc_class
                                                          : status / 100;
}


#endif /* CANARY_OUTCOME_H */
