
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_FOLLOW_H
#define CTL_FOLLOW_H


#include "ctl_feed.h"


/* Shows what there is and what comes, until the program is to end. */

ctl_exit_t ctl_follow(ctl_feed_t *feed);


#endif /* CTL_FOLLOW_H */
