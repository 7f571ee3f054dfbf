
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_REPLAY_NAMES_H
#define CANARY_REPLAY_NAMES_H


#include "canary_replay_line.h"


/* The names that a log has, in the order in which they came. */


#define CANARY_REPLAY_NAMES_MAX  16


typedef struct {
    unsigned  n;
    int       more;                    /* than these */
    char      names[CANARY_REPLAY_NAMES_MAX][CANARY_REPLAY_NAME_MAX];
} canary_replay_names_t;


/* Adds a name that is not empty, and not there. */

void canary_replay_names_add(canary_replay_names_t *names, const char *name);

/* Whether it may be there: with more names than these, it may. */

int canary_replay_names_has(const canary_replay_names_t *names,
    const char *name);


#endif /* CANARY_REPLAY_NAMES_H */
