
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_KEPT_H
#define CANARY_KEPT_H


#include <stdint.h>

#include "canary_evidence_layout.h"


/* What shared memory and the state file both have, beside events and totals. */


#define CANARY_STATE_NUMBER_MAX     (1ull << 53)
#define CANARY_STATE_VOIDS          16            /* of an endpoint at once */


/* What budgets have spent, by sides of a rollout. */

typedef struct {
    uint64_t                 sides[CANARY_SIDES];
    uint32_t                 rollout;       /* its number */
} canary_state_spent_t;


/* Which file it was: another one after each write; all zero: none. */

typedef struct {
    uint64_t     device;
    uint64_t     inode;
    uint64_t     size;
    uint64_t     mtime;                 /* ns since 1970 */
} canary_state_file_id_t;


#endif /* CANARY_KEPT_H */
