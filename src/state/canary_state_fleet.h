
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_STATE_FLEET_H
#define CANARY_STATE_FLEET_H


#include "canary_state_field.h"


/* What a state file has of a fleet; that of a machine alone has none of it. */


/* of a canary_state_t */
extern const canary_state_object_t  canary_state_fleet;

/* of a canary_state_endpoint_t */
extern const canary_state_object_t  canary_state_fleet_rollout;


#endif /* CANARY_STATE_FLEET_H */
