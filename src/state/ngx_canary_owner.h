
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_OWNER_H_INCLUDED_
#define _NGX_CANARY_OWNER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "canary_state_file.h"

#include "ngx_canary_endpoint.h"


/* whose a state path is: one nginx is one prefix and one configuration file,
   over reloads and binary upgrades */


void ngx_canary_owner(ngx_canary_main_conf_t *cmcf,
    char owner[CANARY_STATE_OWNER]);

/* whether the lock file names another nginx, and which; not for the process
   that has the lock */
ngx_uint_t ngx_canary_owned_by_other(ngx_canary_main_conf_t *cmcf,
    char owner[CANARY_STATE_OWNER]);


#endif /* _NGX_CANARY_OWNER_H_INCLUDED_ */
