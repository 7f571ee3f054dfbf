
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_RECONCILE_H_INCLUDED_
#define _NGX_CANARY_RECONCILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


/* a new configuration is certain */


/* forgets what no one refers to, and rolls back what has lost its release */
void ngx_canary_reconcile(ngx_canary_main_conf_t *cmcf, ngx_log_t *log);


#endif /* _NGX_CANARY_RECONCILE_H_INCLUDED_ */
