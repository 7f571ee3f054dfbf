
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include "ngx_http_canary_module.h"


/*
 * The clock of nginx is that of the last event, in milliseconds; attempts are
 * timed more finely, and processes that share memory need the same time.
 */


uint64_t
ngx_http_canary_microseconds(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


uint64_t
ngx_http_canary_milliseconds(void)
{
    return ngx_http_canary_microseconds() / 1000;
}
