
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_outcome.h"


static canary_outcome_t canary_outcome_without_header(
    const canary_facts_t *facts);
static canary_outcome_t canary_outcome_with_header(
    const canary_facts_t *facts);
static canary_outcome_t canary_outcome_of_trailers(int grpc_status);


canary_outcome_t
canary_outcome(const canary_facts_t *facts)
{
    if (!facts->header) {
        return canary_outcome_without_header(facts);
    }

    return canary_outcome_with_header(facts);
}


static canary_outcome_t
canary_outcome_without_header(const canary_facts_t *facts)
{
    if (facts->exiting) {
        return CANARY_OUTCOME_IGNORED;
    }

    if (facts->failed) {

        /*
         * A kept connection that the peer had closed in the meantime tells
         * nothing of the release; the server tries again by itself.
         */

        if (facts->cached && facts->resent
            && !facts->received && !facts->timedout)
        {
            return CANARY_OUTCOME_IGNORED;
        }

        return facts->timedout ? CANARY_OUTCOME_TIMEOUT
                               : CANARY_OUTCOME_FAILED;
    }

    /* no socket, no memory: the server's own trouble */

    if (!facts->connected) {
        return CANARY_OUTCOME_IGNORED;
    }

    if (facts->client_gone || facts->torn_down
        || (facts->rc >= 400 && facts->rc < 500))
    {
        return CANARY_OUTCOME_ABORTED;
    }

    return CANARY_OUTCOME_IGNORED;
}


static canary_outcome_t
canary_outcome_with_header(const canary_facts_t *facts)
{
    if (canary_response_class(facts->status, -1) == 0) {
        return CANARY_OUTCOME_FAILED;
    }

    if (facts->cancelled) {
        return CANARY_OUTCOME_ABORTED;
    }

    if (facts->failed || facts->upgraded || facts->client_gone
        || facts->torn_down || facts->exiting)
    {
        return CANARY_OUTCOME_RESPONSE;
    }

    /* 502 and 504 that are not the answer's own: its body broke off */

    if ((facts->rc == 502 || facts->rc == 504) && facts->rc != facts->status) {
        return CANARY_OUTCOME_CUT;
    }

    if (facts->error) {
        return CANARY_OUTCOME_CUT;
    }

    if (facts->grpc && facts->complete && facts->status == 200) {
        return canary_outcome_of_trailers(facts->grpc_status);
    }

    return CANARY_OUTCOME_RESPONSE;
}


static canary_outcome_t
canary_outcome_of_trailers(int grpc_status)
{
    if (grpc_status == CANARY_GRPC_CANCELLED) {
        return CANARY_OUTCOME_CANCELLED;
    }

    switch (canary_grpc_class(grpc_status)) {

    case 2:
        return CANARY_OUTCOME_RESPONSE;

    case 4:
        return CANARY_OUTCOME_REJECTED;

    default: /* a bad one, or none */
        return CANARY_OUTCOME_CUT;
    }
}
