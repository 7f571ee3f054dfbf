
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_RECORD_H_INCLUDED_
#define _NGX_HTTP_CANARY_RECORD_H_INCLUDED_


#include "ngx_http_canary_shared.h"


/* The record of an endpoint, and the routing word that follows from it. */


/* publishes the routing word again, if a process died before it could */
void ngx_http_canary_repair(ngx_http_canary_shared_t *shared);


#endif /* _NGX_HTTP_CANARY_RECORD_H_INCLUDED_ */
