
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * What became of an attempt: each way it can end is one row.  The numbers
 * are those of the table of what a balancer sees at the end of an attempt
 * (design notes, A2); a row that has several cases is here several times.
 * Rows that are about what nginx hands over (24, 27, 28, 29, 31) are tested
 * as the facts they come to.
 */


#include <stdio.h>

#include "canary_outcome.h"

#include "unit.h"


#define NO_GRPC  -1


typedef struct {
    const char        *name;
    canary_facts_t     facts;
    canary_outcome_t   outcome;
    unsigned           class;      /* of a response; else 0 */
} row_t;


typedef struct {
    int                status;
    const char        *name;
    unsigned           class;
} grpc_code_t;


static const row_t  rows[] = {

    { "row 1: connection refused at once",
      { .failed = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 2: connection refused a moment later",
      { .failed = 1, .connected = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 3: connect timeout",
      { .failed = 1, .connected = 1, .timedout = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_TIMEOUT, 0 },

    { "row 4: TLS handshake or certificate failed",
      { .failed = 1, .connected = 1, .error = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 4: TLS handshake timed out",
      { .failed = 1, .connected = 1, .timedout = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_TIMEOUT, 0 },

    { "row 5: no socket, no worker connection left",
      { .rc = 500, .error = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_IGNORED, 0 },

    { "row 5: no socket, and the client has gone as well",
      { .rc = 499, .client_gone = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_IGNORED, 0 },

    { "row 5: nginx's own failure after the connection was made",
      { .rc = 500, .connected = 1, .error = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_IGNORED, 0 },

    { "row 5: an end that nothing is known of",
      { .connected = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_IGNORED, 0 },

    { "row 6: send timeout",
      { .failed = 1, .connected = 1, .timedout = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_TIMEOUT, 0 },

    { "row 6: error while sending",
      { .failed = 1, .connected = 1, .error = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 7: read timeout before the header",
      { .failed = 1, .connected = 1, .timedout = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_TIMEOUT, 0 },

    { "row 7: read timeout in the header, status line already parsed",
      { .status = 200, .failed = 1, .connected = 1, .received = 1,
        .timedout = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_TIMEOUT, 0 },

    { "row 7: read timeout on a cached connection: it was not dead",
      { .failed = 1, .connected = 1, .cached = 1, .timedout = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_TIMEOUT, 0 },

    { "row 8: dead cached connection, and the request cannot be sent again",
      { .failed = 1, .connected = 1, .cached = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 8: dead cached connection",
      { .failed = 1, .connected = 1, .cached = 1, .resent = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_IGNORED, 0 },

    { "row 9: closed or reset before the header",
      { .failed = 1, .connected = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 9: reset in the header, on a cached connection",
      { .failed = 1, .connected = 1, .cached = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 10: invalid or too big header, a status of 200 left over",
      { .status = 200, .failed = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 11: 500, to be tried again elsewhere",
      { .status = 500, .failed = 1, .header = 1, .connected = 1,
        .received = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 11: 502, to be tried again elsewhere",
      { .status = 502, .failed = 1, .header = 1, .connected = 1,
        .received = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 11: 504, to be tried again elsewhere",
      { .status = 504, .failed = 1, .header = 1, .connected = 1,
        .received = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 11: 429, to be tried again elsewhere",
      { .status = 429, .failed = 1, .header = 1, .connected = 1,
        .received = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 4 },

    { "row 11: 503 on a cached connection, to be tried again elsewhere",
      { .status = 503, .failed = 1, .header = 1, .connected = 1,
        .cached = 1, .received = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 12: 404, to be tried again elsewhere, no failure of the peer",
      { .status = 404, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 4 },

    { "row 12: 403, to be tried again elsewhere, given as failed",
      { .status = 403, .failed = 1, .header = 1, .connected = 1,
        .received = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 4 },

    { "row 13: 500, passed to the client",
      { .status = 500, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 13: 500, replaced by an error page",
      { .status = 500, .rc = 500, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 13: 502 of the release's own, replaced by an error page",
      { .status = 502, .rc = 502, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 13: 504 of the release's own, replaced by an error page",
      { .status = 504, .rc = 504, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 13: 404, replaced by an error page",
      { .status = 404, .rc = 404, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 4 },

    { "row 14: 200, complete",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 14: 302, complete, on a cached connection",
      { .status = 302, .header = 1, .connected = 1, .cached = 1,
        .received = 1, .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 3 },

    { "row 15: X-Accel-Redirect, the body not read",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 16: HEAD, auth_request, mirror: the header only",
      { .status = 204, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 16: 401 to an auth_request, the header only",
      { .status = 401, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 4 },

    { "row 17: body cut short",
      { .status = 200, .rc = 502, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_CUT, 0 },

    { "row 17: read timeout in the body",
      { .status = 200, .rc = 504, .header = 1, .connected = 1, .received = 1,
        .timedout = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_CUT, 0 },

    { "row 17: body of a 404 cut short",
      { .status = 404, .rc = 502, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_CUT, 0 },

    { "row 17: body of a 500 cut short",
      { .status = 500, .rc = 502, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_CUT, 0 },

    { "row 18: bad chunk, reset in the body",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .error = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_CUT, 0 },

    { "row 19: the client left before the header",
      { .rc = 499, .connected = 1, .client_gone = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_ABORTED, 0 },

    { "row 19: the client left before the header, no 499",
      { .connected = 1, .error = 1, .client_gone = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_ABORTED, 0 },

    { "row 19: the client left before the header, seen by the 499 only",
      { .rc = 499, .connected = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_ABORTED, 0 },

    { "row 19: the client left in the header",
      { .status = 200, .rc = 499, .connected = 1, .received = 1,
        .client_gone = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_ABORTED, 0 },

    { "row 19: the client left, on a cached connection",
      { .rc = 499, .connected = 1, .cached = 1, .client_gone = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_ABORTED, 0 },

    { "row 20: the client left in the body, 499",
      { .status = 200, .rc = 499, .header = 1, .connected = 1, .received = 1,
        .client_gone = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 20: the client left in the body, seen as an error",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .error = 1, .client_gone = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 20: the client left in the body of a 500",
      { .status = 500, .rc = 499, .header = 1, .connected = 1, .received = 1,
        .client_gone = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 21: the client was too slow, 408",
      { .rc = 408, .connected = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_ABORTED, 0 },

    { "row 21: the client's body was invalid, 400",
      { .rc = 400, .connected = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_ABORTED, 0 },

    { "row 21: the client's body was too large, 413",
      { .rc = 413, .connected = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_ABORTED, 0 },

    { "row 21: the client was too slow, after a 200",
      { .status = 200, .rc = 408, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 22: the request was torn down before the header",
      { .connected = 1, .torn_down = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_ABORTED, 0 },

    { "row 22: the request was torn down in the body",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .torn_down = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 22: the request was torn down in the body, as an error",
      { .status = 503, .header = 1, .connected = 1, .received = 1,
        .error = 1, .torn_down = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 23: 101, the tunnel closed",
      { .status = 101, .header = 1, .connected = 1, .received = 1,
        .upgraded = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 1 },

    { "row 23: 101, the tunnel broke",
      { .status = 101, .header = 1, .connected = 1, .received = 1,
        .error = 1, .upgraded = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 1 },

    { "row 23: 101, the tunnel timed out",
      { .status = 101, .rc = 504, .header = 1, .connected = 1,
        .received = 1, .timedout = 1, .upgraded = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 1 },

    { "row 24: 103, then 200: the status is that of the final header",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 24: 103, then 500: the status is that of the final header",
      { .status = 500, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 24: 103, then nothing: no whole header came",
      { .status = 103, .failed = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 25: gRPC, OK in the trailers",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .grpc = 1, .complete = 1, .grpc_status = 0 },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 25: gRPC, NOT_FOUND in the trailers: the request is to blame",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .grpc = 1, .complete = 1, .grpc_status = 5 },
      CANARY_OUTCOME_REJECTED, 0 },

    { "row 25: gRPC, CANCELLED in the trailers",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .grpc = 1, .complete = 1, .grpc_status = 1 },
      CANARY_OUTCOME_CANCELLED, 0 },

    { "row 25: gRPC, CANCELLED in the header",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .cancelled = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_ABORTED, 0 },

    { "row 25: gRPC, UNAVAILABLE in the trailers",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .grpc = 1, .complete = 1, .grpc_status = 14 },
      CANARY_OUTCOME_CUT, 0 },

    { "row 25: gRPC, no trailers came",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .grpc = 1, .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_CUT, 0 },

    { "row 25: gRPC, the body not read to its end: nothing is missing",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .grpc = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 25: gRPC, the client left before the trailers",
      { .status = 200, .rc = 499, .header = 1, .connected = 1, .received = 1,
        .client_gone = 1, .grpc = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 25: gRPC, a plain 503 without any grpc-status",
      { .status = 503, .header = 1, .connected = 1, .received = 1,
        .grpc = 1, .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 25: gRPC, reset before the header",
      { .failed = 1, .connected = 1, .received = 1, .grpc = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 25: not gRPC, so no trailers are missed",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 26: FastCGI, closed in the middle of the header",
      { .failed = 1, .connected = 1, .received = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 26: FastCGI, 200",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 27: answered from the cache: no attempt, no facts",
      { .grpc_status = NO_GRPC },
      CANARY_OUTCOME_IGNORED, 0 },

    { "row 28: cache update in the background, 500: as in front",
      { .status = 500, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 28: cache update in the background, cut short: as in front",
      { .status = 200, .rc = 502, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_CUT, 0 },

    { "row 29: stale answer instead of an error: the attempt failed",
      { .failed = 1, .connected = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 29: stale answer instead of a 500: the attempt's is 500",
      { .status = 500, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 29: stale answer instead of a 503, given as failed",
      { .status = 503, .failed = 1, .header = 1, .connected = 1,
        .received = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 5 },

    { "row 30: revalidated, 304",
      { .status = 304, .header = 1, .connected = 1, .received = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 3 },

    { "row 31: no live peer",
      { .failed = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 32: refused, after an attempt that was answered 500",
      { .status = 500, .failed = 1, .connected = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 32: timed out, after an attempt that was answered 500",
      { .status = 500, .failed = 1, .connected = 1, .timedout = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_TIMEOUT, 0 },

    { "row 33: failed while the client is gone: still a failure",
      { .failed = 1, .connected = 1, .client_gone = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "row 33: timed out while the client is gone: still a timeout",
      { .failed = 1, .connected = 1, .timedout = 1, .client_gone = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_TIMEOUT, 0 },

    { "row 34: worker shutdown before the header",
      { .rc = 499, .connected = 1, .exiting = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_IGNORED, 0 },

    { "row 34: worker shutdown before the header, torn down",
      { .connected = 1, .torn_down = 1, .exiting = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_IGNORED, 0 },

    { "row 34: worker shutdown before the header, the client's end seen",
      { .rc = 499, .connected = 1, .client_gone = 1, .exiting = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_IGNORED, 0 },

    { "row 34: worker shutdown before the header, seen as a failure",
      { .failed = 1, .connected = 1, .error = 1, .exiting = 1,
        .grpc_status = NO_GRPC },
      CANARY_OUTCOME_IGNORED, 0 },

    { "row 34: worker shutdown in the body, 499",
      { .status = 200, .rc = 499, .header = 1, .connected = 1, .received = 1,
        .exiting = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 34: worker shutdown in the body, torn down",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .torn_down = 1, .exiting = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 34: worker shutdown in the body, seen as an error",
      { .status = 200, .header = 1, .connected = 1, .received = 1,
        .error = 1, .exiting = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "row 34: worker shutdown in the body, seen as 502",
      { .status = 200, .rc = 502, .header = 1, .connected = 1, .received = 1,
        .exiting = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_RESPONSE, 2 },

    { "an answer without a status line",
      { .status = 0, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "a status of 999",
      { .status = 999, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "a status of 99",
      { .status = 99, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 },

    { "a status of 600",
      { .status = 600, .header = 1, .connected = 1, .received = 1,
        .complete = 1, .grpc_status = NO_GRPC },
      CANARY_OUTCOME_FAILED, 0 }
};


/* https://grpc.github.io/grpc/core/md_doc_statuscodes.html */

static const grpc_code_t  grpc_codes[] = {
    { NO_GRPC, "none", 0 },
    { 0, "OK", 2 },
    { 1, "CANCELLED", 0 },
    { 2, "UNKNOWN", 5 },
    { 3, "INVALID_ARGUMENT", 4 },
    { 4, "DEADLINE_EXCEEDED", 5 },
    { 5, "NOT_FOUND", 4 },
    { 6, "ALREADY_EXISTS", 4 },
    { 7, "PERMISSION_DENIED", 4 },
    { 8, "RESOURCE_EXHAUSTED", 4 },
    { 9, "FAILED_PRECONDITION", 4 },
    { 10, "ABORTED", 4 },
    { 11, "OUT_OF_RANGE", 4 },
    { 12, "UNIMPLEMENTED", 5 },
    { 13, "INTERNAL", 5 },
    { 14, "UNAVAILABLE", 5 },
    { 15, "DATA_LOSS", 5 },
    { 16, "UNAUTHENTICATED", 4 },
    { 17, "17, which is none", 5 },
    { 999, "999, which is none", 5 }
};


static const char *
outcome_name(canary_outcome_t outcome)
{
    static const char *const  names[] = {
        "ignored", "response", "failed", "timeout", "aborted", "cut",
        "rejected", "cancelled"
    };

    return names[outcome];
}


static void
ends_as_its_row_says(void **state)
{
    unsigned           class;
    const row_t       *row = *state;
    canary_outcome_t   outcome;

    outcome = canary_outcome(&row->facts);

    if (outcome != row->outcome) {
        fail_msg("is \"%s\", not \"%s\"", outcome_name(outcome),
                 outcome_name(row->outcome));
    }

    if (outcome == CANARY_OUTCOME_RESPONSE) {
        class = canary_response_class(row->facts.status,
                                      row->facts.grpc_status);

        assert_int_equal(class, row->class);
    }
}


static void
the_table_is_whole(void **state)
{
    size_t    i;
    unsigned  number, seen[35] = { 0 };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(rows); i++) {
        if (sscanf(rows[i].name, "row %u:", &number) == 1) {
            assert_in_range(number, 1, 34);
            seen[number] = 1;
        }
    }

    for (number = 1; number <= 34; number++) {
        assert_int_equal(seen[number], 1);
    }
}


static void
the_class_of_a_response_is_its_first_digit(void **state)
{
    unsigned  status;

    (void) state;

    for (status = 100; status <= 599; status++) {
        assert_int_equal(canary_response_class(status, NO_GRPC),
                         status / 100);
    }
}


static void
a_status_outside_100_to_599_has_no_class(void **state)
{
    size_t  i;

    static const unsigned  invalid[] = {
        0, 1, 9, 99, 600, 700, 999, 1000, 65736 /* 200 + 2^16 */,
        UINT32_MAX
    };

    (void) state;

    for (i = 0; i < UNIT_LENGTH(invalid); i++) {
        assert_int_equal(canary_response_class(invalid[i], NO_GRPC), 0);
        assert_int_equal(canary_response_class(invalid[i], 14), 0);
    }
}


static void
grpc_codes_have_the_class_of_their_http_status(void **state)
{
    size_t              i;
    unsigned            class;
    const grpc_code_t  *code;

    (void) state;

    for (i = 0; i < UNIT_LENGTH(grpc_codes); i++) {
        code = &grpc_codes[i];
        class = code->class;

        if (canary_grpc_class(code->status) != class) {
            fail_msg("%s (%d)", code->name, code->status);
        }

        assert_int_equal(canary_response_class(200, code->status),
                         class ? class : 2);
        assert_int_equal(canary_response_class(404, code->status),
                         (class == 5) ? 5 : 4);
        assert_int_equal(canary_response_class(503, code->status), 5);
    }
}


static void
grpc_codes_in_trailers_blame_server_request_or_client(void **state)
{
    size_t             i;
    canary_facts_t     facts;
    canary_outcome_t   outcome;

    (void) state;

    for (i = 1; i < UNIT_LENGTH(grpc_codes); i++) {
        facts = (canary_facts_t) {
            .status = 200, .header = 1, .connected = 1, .received = 1,
            .grpc = 1, .complete = 1, .grpc_status = grpc_codes[i].status
        };

        switch (grpc_codes[i].class) {

        case 2:
            outcome = CANARY_OUTCOME_RESPONSE;
            break;

        case 4:
            outcome = CANARY_OUTCOME_REJECTED;
            break;

        case 5:
            outcome = CANARY_OUTCOME_CUT;
            break;

        default:
            outcome = CANARY_OUTCOME_CANCELLED;
            break;
        }

        assert_int_equal(canary_outcome(&facts), outcome);
    }
}


/* What holds for any facts whatever, also those that nginx never gives. */

static void
check_any_facts(const canary_facts_t *facts)
{
    int               blamed;
    canary_outcome_t  outcome;

    outcome = canary_outcome(facts);

    blamed = (outcome == CANARY_OUTCOME_FAILED
              || outcome == CANARY_OUTCOME_TIMEOUT
              || outcome == CANARY_OUTCOME_CUT);

    if (facts->header) {

        /* it was answered: it stays counted as a response */

        assert_true(outcome == CANARY_OUTCOME_RESPONSE
                    || outcome == CANARY_OUTCOME_CUT
                    || outcome == CANARY_OUTCOME_REJECTED
                    || outcome == CANARY_OUTCOME_CANCELLED);

    } else {
        assert_true(outcome != CANARY_OUTCOME_RESPONSE);
        assert_true(outcome != CANARY_OUTCOME_CUT);
    }

    if (facts->exiting) {
        assert_false(blamed);
        assert_true(outcome != CANARY_OUTCOME_ABORTED);
    }

    if (blamed && !facts->header) {
        assert_true(facts->failed);
        assert_true(!facts->cached || !facts->resent || facts->received
                    || facts->timedout);
    }

    if (blamed && facts->header) {
        assert_false(facts->client_gone);
        assert_false(facts->torn_down);
        assert_false(facts->upgraded);
        assert_false(facts->failed);
    }

    if (outcome == CANARY_OUTCOME_TIMEOUT) {
        assert_true(facts->timedout);
    }

    if (outcome == CANARY_OUTCOME_ABORTED) {
        assert_true(facts->connected);
        assert_false(facts->failed);
    }
}


static void
no_facts_whatever_blame_a_release_wrongly(void **state)
{
    size_t          s, rc, grpc;
    unsigned        bits;
    canary_facts_t  facts;

    static const unsigned  statuses[] = { 101, 200, 404, 502, 504 };
    static const unsigned  rcs[] = { 0, 200, 408, 499, 500, 502, 504 };
    static const int       codes[] = { NO_GRPC, 0, 1, 5, 14 };

    (void) state;

    for (bits = 0; bits < 1u << 14; bits++) {
        facts = (canary_facts_t) {
            .failed = bits & 1, .header = bits >> 1 & 1,
            .connected = bits >> 2 & 1, .cached = bits >> 3 & 1,
            .received = bits >> 4 & 1, .timedout = bits >> 5 & 1,
            .error = bits >> 6 & 1, .torn_down = bits >> 7 & 1,
            .client_gone = bits >> 8 & 1, .exiting = bits >> 9 & 1,
            .upgraded = bits >> 10 & 1, .grpc = bits >> 11 & 1,
            .complete = bits >> 12 & 1, .resent = bits >> 13 & 1
        };

        for (s = 0; s < UNIT_LENGTH(statuses); s++) {
            for (rc = 0; rc < UNIT_LENGTH(rcs); rc++) {
                for (grpc = 0; grpc < UNIT_LENGTH(codes); grpc++) {
                    facts.status = statuses[s];
                    facts.rc = rcs[rc];
                    facts.grpc_status = codes[grpc];

                    check_any_facts(&facts);
                }
            }
        }
    }
}


int
main(void)
{
    size_t  i, n;

    static const struct CMUnitTest  outcome[] = {
        cmocka_unit_test(the_table_is_whole),
        cmocka_unit_test(the_class_of_a_response_is_its_first_digit),
        cmocka_unit_test(a_status_outside_100_to_599_has_no_class),
        cmocka_unit_test(grpc_codes_have_the_class_of_their_http_status),
        cmocka_unit_test(
            grpc_codes_in_trailers_blame_server_request_or_client),
        cmocka_unit_test(no_facts_whatever_blame_a_release_wrongly)
    };

    struct CMUnitTest  tests[UNIT_LENGTH(rows) + UNIT_LENGTH(outcome)];

    n = 0;

    for (i = 0; i < UNIT_LENGTH(rows); i++) {
        tests[n++] = (struct CMUnitTest) {
            rows[i].name, ends_as_its_row_says, NULL, NULL, (void *) &rows[i]
        };
    }

    for (i = 0; i < UNIT_LENGTH(outcome); i++) {
        tests[n++] = outcome[i];
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
