
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STATE_EVENT_H
#define CANARY_STATE_EVENT_H


#include "canary_route.h"
#include "canary_state.h"
#include "canary_state_field.h"


extern const char *const  canary_state_phases[CANARY_PHASES];
extern const char *const  canary_state_verbs[CANARY_STATE_VERBS];

/* A canary_event_t, each member as exact as it is. */

extern const canary_state_object_t  canary_state_event;


#endif /* CANARY_STATE_EVENT_H */
