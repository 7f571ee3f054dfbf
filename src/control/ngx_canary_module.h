
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_MODULE_H_INCLUDED_
#define _NGX_CANARY_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * For a shell whose endpoints are all in the configuration of the cycle: adds
 * its zone and state path.  NGX_DECLINED: there is nothing to be done, now or
 * later; NGX_ERROR: what is wrong is in the log.
 */

ngx_int_t ngx_canary_configure(ngx_conf_t *cf);


#endif /* _NGX_CANARY_MODULE_H_INCLUDED_ */
