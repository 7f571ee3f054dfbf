
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_FEED_H
#define CTL_FEED_H


#include "ctl_format.h"
#include "ctl_http.h"


typedef struct {
    ctl_http_t  *http;
    const char  *name;                    /* of the endpoint; NULL: all */
    int          json;
    int          lost;                    /* it was told that there is no
                                             answer */
    double       last;                    /* the last event that was shown */
    size_t       nevents;                 /* of the last answers */
} ctl_feed_t;


/*
 * The events after the last one, the oldest first; NULL: the answer tells
 * what went wrong.  Both are to be freed.
 */

cJSON *ctl_feed_get(ctl_feed_t *feed, ctl_answer_t *answer);


#endif /* CTL_FEED_H */
