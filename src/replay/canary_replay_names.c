
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <string.h>

#include "canary_replay_names.h"


static int canary_replay_names_find(const canary_replay_names_t *names,
    const char *name);


void
canary_replay_names_add(canary_replay_names_t *names, const char *name)
{
    if (name[0] == '\0' || canary_replay_names_find(names, name)) {
        return;
    }

    if (names->n == CANARY_REPLAY_NAMES_MAX) {
        names->more = 1;
        return;
    }

    strcpy(names->names[names->n++], name);
}


int
canary_replay_names_has(const canary_replay_names_t *names, const char *name)
{
    return names->more || canary_replay_names_find(names, name);
}


static int
canary_replay_names_find(const canary_replay_names_t *names, const char *name)
{
    unsigned  i;

    for (i = 0; i < names->n; i++) {
        if (strcmp(names->names[i], name) == 0) {
            return 1;
        }
    }

    return 0;
}
