
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_API_WAIT_H_INCLUDED_
#define _NGX_HTTP_CANARY_API_WAIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_change.h"

#include "ngx_http_canary_api_write.h"


/* the first attempt; NGX_DECLINED: the request waits, and is finalized when
   that is over */
ngx_int_t ngx_http_canary_write_begin(ngx_http_canary_write_t *w);

/* the change, in its section; BUSY where the state file is about to be ours */
ngx_canary_section_e ngx_http_canary_write_change(
    ngx_http_canary_write_t *w);

/* it waits for nothing any more */
void ngx_http_canary_write_leave(ngx_http_canary_write_t *w);


#endif /* _NGX_HTTP_CANARY_API_WAIT_H_INCLUDED_ */
