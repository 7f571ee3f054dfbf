
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_FORGET_H_INCLUDED_
#define _NGX_HTTP_CANARY_FORGET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_dialect.h"


/* DELETE fleet/nodes/NAME */
ngx_int_t ngx_http_canary_forget(ngx_http_request_t *r,
    ngx_http_canary_target_t *target);


#endif /* _NGX_HTTP_CANARY_FORGET_H_INCLUDED_ */
