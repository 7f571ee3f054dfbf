
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_RECORD_H_INCLUDED_
#define _NGX_CANARY_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_shared.h"


/* The record of an endpoint, and the routing word that follows from it. */


/* publishes the routing word again, if a process died before it could */
void ngx_canary_repair(ngx_canary_shared_t *shared);


#endif /* _NGX_CANARY_RECORD_H_INCLUDED_ */
