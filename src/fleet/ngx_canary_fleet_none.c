
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet.h"


/* What there is of a fleet in a module that was built without hiredis. */


char *
ngx_canary_fleet_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"canary_fleet\" needs the module to be built with "
                       "hiredis (libhiredis-dev), and this one was not");

    return NGX_CONF_ERROR;
}


ngx_int_t
ngx_canary_fleet_resolver(ngx_conf_t *cf, ngx_canary_main_conf_t *cmcf,
    ngx_resolver_t *resolver, ngx_msec_t timeout)
{
    return NGX_OK;
}


void
ngx_canary_fleet_begin(ngx_canary_main_conf_t *cmcf, ngx_log_t *log)
{
}


void
ngx_canary_fleet(ngx_canary_main_conf_t *cmcf, uint64_t now)
{
}


canary_lead_t *
ngx_canary_fleet_lead(ngx_canary_shared_t *shared, uint64_t now)
{
    return NULL;
}


void
ngx_canary_fleet_finish(ngx_canary_main_conf_t *cmcf)
{
}
