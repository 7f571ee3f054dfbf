
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_DELIVER_H
#define CTL_DELIVER_H


#include <cjson/cJSON.h>

#include "ctl_position.h"


/*
 * Hands an event, in JSON, to the standard input of a command of the shell,
 * and puts down that it was told when the command has ended well.  Both are
 * done by a process of their own, which a kill of this one does not end: so
 * the next canaryctl, which waits for the lock of the position, knows.
 *
 * A command that fails, and a position that cannot be put down, are tried
 * again each 5 seconds.  Returns 0 if the program is to end before that.
 */

int ctl_deliver(const char *command, ctl_position_t *position,
    const cJSON *event);


#endif /* CTL_DELIVER_H */
