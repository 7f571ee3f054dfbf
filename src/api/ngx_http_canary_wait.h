
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_WAIT_H_INCLUDED_
#define _NGX_HTTP_CANARY_WAIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_canary_write_layout.h"


/* until it is to go on, with w->over(), or its request ends */
void ngx_http_canary_wait(ngx_http_canary_write_t *w);

/* it waits for nothing any more */
void ngx_http_canary_wait_leave(ngx_http_canary_write_t *w);

/* whether it may be over, so that it is worth while to take the lock */
ngx_uint_t ngx_http_canary_wait_due(ngx_http_canary_write_t *w, uint64_t now);

/* whether what it did will last: the file has it, and if there is a fleet the
   files of most of its nodes */
ngx_uint_t ngx_http_canary_will_last(ngx_http_canary_write_t *w);

/* whether it has waited for too long */
ngx_uint_t ngx_http_canary_too_late(ngx_http_canary_write_t *w, uint64_t now);


#endif /* _NGX_HTTP_CANARY_WAIT_H_INCLUDED_ */
