
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_TRANSFER_H_INCLUDED_
#define _NGX_CANARY_TRANSFER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"


/* puts what the zone cmcf->old knows into the new one, when the configuration
   is certain: nothing changes in the old one from then on */
void ngx_canary_transfer(ngx_canary_main_conf_t *cmcf, ngx_log_t *log);


#endif /* _NGX_CANARY_TRANSFER_H_INCLUDED_ */
