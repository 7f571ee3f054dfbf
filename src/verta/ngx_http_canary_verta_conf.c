
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_conf_location.h"
#include "ngx_http_canary_verta.h"


#define NGX_HTTP_CANARY_VERTA_SUFFIX  "/api/v1/"


static char *ngx_http_canary_verta_parameter(ngx_conf_t *cf,
    ngx_http_canary_loc_conf_t *lcf, ngx_str_t *value);
static ngx_uint_t ngx_http_canary_verta_taken(
    ngx_canary_main_conf_t *cmcf, ngx_uint_t n, ngx_uint_t number);


char *
ngx_http_canary_verta_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_loc_conf_t  *lcf = conf;

    char                      *rv;
    size_t                     len;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    if (lcf->verta != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    rv = ngx_http_canary_check_location(cf, lcf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    len = sizeof(NGX_HTTP_CANARY_VERTA_SUFFIX) - 1;

    if (clcf->name.len < len
        || ngx_memcmp(clcf->name.data + clcf->name.len - len,
                      NGX_HTTP_CANARY_VERTA_SUFFIX, len)
           != 0)
    {
        return "has to be in a location that ends with \"/api/v1/\", "
               "where the client looks for it";
    }

    lcf->verta = 1;
    lcf->write = 0;
    ngx_str_set(&lcf->workspace, "personal");

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_canary_verta_parameter(cf, lcf, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    clcf->handler = ngx_http_canary_verta_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_canary_verta_parameter(ngx_conf_t *cf,
    ngx_http_canary_loc_conf_t *lcf, ngx_str_t *value)
{
    static const size_t  skip = sizeof("workspace=") - 1;

    if (ngx_strcmp(value->data, "write=on") == 0) {
        lcf->write = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value->data, "write=off") == 0) {
        lcf->write = 0;
        return NGX_CONF_OK;
    }

    if (value->len > skip
        && ngx_strncmp(value->data, "workspace=", skip) == 0
        && ngx_strlchr(value->data + skip, value->data + value->len, '/')
           == NULL)
    {
        lcf->workspace.data = value->data + skip;
        lcf->workspace.len = value->len - skip;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", it must be \"write=on\", "
                       "\"write=off\" or \"workspace=name\"", value);

    return NGX_CONF_ERROR;
}


void
ngx_http_canary_verta_merge(ngx_conf_t *cf, ngx_http_canary_loc_conf_t *prev,
    ngx_http_canary_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && clcf->handler == NULL
        && conf->verta == NGX_CONF_UNSET && prev->verta == 1)
    {
        conf->verta = 1;
        conf->write = prev->write;
        conf->workspace = prev->workspace;
        clcf->handler = ngx_http_canary_verta_handler;
    }

    ngx_conf_init_value(conf->verta, 0);
}


/*
 * A client keeps the id of an endpoint, so it has to be the same when others
 * come or go, and after a restart: it is made of the name, with 31 bits.
 */

void
ngx_http_canary_verta_number(ngx_canary_main_conf_t *cmcf)
{
    ngx_str_t               *name;
    ngx_uint_t               i, number;
    ngx_canary_endpoint_t  **endpoints;

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        name = &endpoints[i]->name;

        number = ngx_crc32_long(name->data, name->len) & 0x7fffffff;

        while (number == 0
               || ngx_http_canary_verta_taken(cmcf, i, number))
        {
            number++;
        }

        endpoints[i]->number = number;
    }
}


static ngx_uint_t
ngx_http_canary_verta_taken(ngx_canary_main_conf_t *cmcf, ngx_uint_t n,
    ngx_uint_t number)
{
    ngx_uint_t               i;
    ngx_canary_endpoint_t  **endpoints;

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < n; i++) {
        if (endpoints[i]->number == number) {
            return 1;
        }
    }

    return 0;
}
