
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_SAME_H
#define CTL_SAME_H


#include <cjson/cJSON.h>

#include "canary_strategy.h"


/* Whether an endpoint is already what the body of a start asks for. */

typedef enum {
    CTL_SAME_NOT = 0,
    CTL_SAME_RELEASE,                     /* it is being rolled out, but with
                                             another strategy */
    CTL_SAME_STABLE,                      /* it is stable, and nothing else is
                                             being rolled out */
    CTL_SAME_ROLLOUT
} ctl_same_t;


/*
 * Of the strategy only what the body says has to be the same: the rest is
 * that of nginx.conf as the rollout was started with it.
 */

ctl_same_t ctl_same(const cJSON *body, const cJSON *endpoint);

/*
 * Reads what an object, a body or that of an endpoint, says of a strategy over
 * what there is.  Returns 0 if it cannot be read.
 */

int ctl_strategy_read(const cJSON *object, canary_strategy_t *strategy);

/* "some-path: v2 is stable already", on standard output */

void ctl_same_say(ctl_same_t same, const cJSON *endpoint);


#endif /* CTL_SAME_H */
