
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef KILLS_SCENARIOS_H
#define KILLS_SCENARIOS_H


#include "common.h"


/* What happens, from when and until when a process may die of it. */

typedef struct {
    const char   *name;
    void        (*prepare)(void);    /* undisturbed */
    void        (*act)(void);        /* dies before each of its stores */
    ngx_uint_t    parts;             /* of these: */
} kills_scenario_t;

#define KILLS_LOOSE   1    /* it makes several changes: what they come to is
                              between before and after */
#define KILLS_RELOAD  2    /* a reload follows, as the one that died */
#define KILLS_QUIET   8    /* without another attempt it comes to what it comes
                              to undisturbed, unless evidence is torn */
#define KILLS_OPEN    4    /* its rules take long to pass: a person promotes */


/* the last one has no name */

extern const kills_scenario_t  kills_scenarios[];


#endif /* KILLS_SCENARIOS_H */
