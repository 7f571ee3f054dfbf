
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_BODY_H
#define CTL_BODY_H


#include <cjson/cJSON.h>

#include "ctl.h"


/*
 * The body of the request that starts a rollout, from the options and the
 * file that they name.  NULL: what is wrong has been told, and the status is
 * set.
 */

cJSON *ctl_body(const ctl_options_t *options, ctl_exit_t *rc);


#endif /* CTL_BODY_H */
