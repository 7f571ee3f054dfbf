
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_FEED_H
#define CTL_FEED_H


#include "ctl_format.h"
#include "ctl_http.h"
#include "ctl_position.h"


typedef struct {
    ctl_http_t  *http;
    const char  *name;                    /* of the endpoint; NULL: all */
    const char  *exec;                    /* a command for each event; NULL:
                                             it is shown */
    int          json;
    int          lost;                    /* it was told that there is no
                                             answer */
    int          now;                     /* begins with what comes */
    size_t       nevents;                 /* of the last answers, */
    size_t       most;                    /* and of the endpoint with most */
    ctl_position_t
                 position;                /* the last event that was told */
} ctl_feed_t;


/*
 * The events after that one, the oldest first; NULL: the answer tells what
 * went wrong.  Both are to be freed.
 */

cJSON *ctl_feed_get(ctl_feed_t *feed, double after, ctl_answer_t *answer);


#endif /* CTL_FEED_H */
