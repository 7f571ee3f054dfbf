
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_HTTP_CANARY_GUARD_H_INCLUDED_
#define _NGX_HTTP_CANARY_GUARD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_dialect.h"


/* what of nginx keeps others out of a location that moves traffic */


/*
 * How the configuration of auth_basic begins, which is private to it; the
 * second one is 0 without a file of users.
 */

typedef struct {
    ngx_http_complex_value_t  *realm;
    uintptr_t                  user_file;
} ngx_http_canary_basic_conf_t;


/* warns of a location that may write and that nobody guards; when it is
   merged, after those who guard */
void ngx_http_canary_check_guard(ngx_conf_t *cf,
    ngx_http_canary_loc_conf_t *lcf);


#endif /* _NGX_HTTP_CANARY_GUARD_H_INCLUDED_ */
