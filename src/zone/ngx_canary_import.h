
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_IMPORT_H_INCLUDED_
#define _NGX_CANARY_IMPORT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


/* copies the state of the endpoints of another zone, cmcf->old; NGX_ERROR: the
   zone is too small for those that are configured */
ngx_int_t ngx_canary_import(ngx_canary_main_conf_t *cmcf, ngx_log_t *log);


#endif /* _NGX_CANARY_IMPORT_H_INCLUDED_ */
