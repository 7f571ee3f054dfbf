
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "canary_event.h"
#include "canary_rollout.h"


const char *
canary_event_type(const canary_event_t *event)
{
    switch (event->verb) {

    case CANARY_START:
        return "started";

    case CANARY_DIRECT:
        return "direct";

    case CANARY_PATCH:
        return "changed";

    case CANARY_PAUSE:
        return "paused";

    case CANARY_RESUME:
        return "resumed";

    case CANARY_HOLDING:
        return "holding";

    case CANARY_STABLE_UNAVAILABLE:
        return "stable_unavailable";

    case CANARY_STABLE_AVAILABLE:
        return "stable_available";

    case CANARY_ROLLBACK:
    case CANARY_VIOLATION:
    case CANARY_RELEASE_GONE:
        return (event->to_phase == CANARY_HALTED) ? "halted"
               : (event->from_phase == CANARY_IDLE) ? "changed"
                                                    : "rolled_back";

    default: /* CANARY_TICK, CANARY_ADVANCE, CANARY_PROMOTE */
        return (event->to_phase == CANARY_IDLE) ? "promoted"
               : (event->to_phase == CANARY_BAKING) ? "baking" : "step";
    }
}
