
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_FOLLOW_H_INCLUDED_
#define _NGX_CANARY_FOLLOW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


/* what another nginx has written; "own" if from now on we do; returns whether
   the file is one that another nginx has written */
ngx_uint_t ngx_canary_follow(ngx_canary_main_conf_t *cmcf,
    ngx_uint_t own, uint64_t now, ngx_log_t *log);


#endif /* _NGX_CANARY_FOLLOW_H_INCLUDED_ */
