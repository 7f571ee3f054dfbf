
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_conf.h"

#include "ngx_http_canary_dialect.h"
#include "ngx_http_canary_verta.h"


/* The module of the Verta API: the directive of its locations. */


#define NGX_HTTP_CANARY_VERTA_SUFFIX  "/api/v1/"


static void *ngx_http_canary_verta_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_canary_verta_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_canary_verta_number(ngx_conf_t *cf);
static ngx_uint_t ngx_http_canary_verta_taken(ngx_canary_main_conf_t *cmcf,
    ngx_uint_t n, ngx_uint_t number);
static char *ngx_http_canary_verta_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_canary_verta_parameter(ngx_conf_t *cf,
    ngx_http_canary_verta_loc_conf_t *vlcf, ngx_str_t *value);


static ngx_command_t  ngx_http_canary_verta_commands[] = {

    { ngx_string("canary_verta_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_canary_verta_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_canary_verta_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_canary_verta_number,          /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_canary_verta_create_loc_conf, /* create location configuration */
    ngx_http_canary_verta_merge_loc_conf   /* merge location configuration */
};


ngx_module_t  ngx_http_canary_verta_module = {
    NGX_MODULE_V1,
    &ngx_http_canary_verta_module_ctx,     /* module context */
    ngx_http_canary_verta_commands,        /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_canary_verta_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_canary_verta_loc_conf_t));
}


/* for the blocks of if and limit_except: others have a directive or no API */

static char *
ngx_http_canary_verta_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_canary_verta_loc_conf_t  *prev = parent;
    ngx_http_canary_verta_loc_conf_t  *conf = child;

    ngx_conf_merge_str_value(conf->workspace, prev->workspace, "");

    return NGX_CONF_OK;
}


/*
 * A client keeps the id of an endpoint, so it has to be the same when others
 * come or go, and after a restart: it is made of the name, with 31 bits.
 */

static ngx_int_t
ngx_http_canary_verta_number(ngx_conf_t *cf)
{
    ngx_str_t               *name;
    ngx_uint_t               i, number;
    ngx_canary_endpoint_t  **endpoints;
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_canary_module);

    endpoints = cmcf->endpoints.elts;

    for (i = 0; i < cmcf->endpoints.nelts; i++) {
        name = &endpoints[i]->name;

        number = ngx_crc32_long(name->data, name->len) & 0x7fffffff;

        while (number == 0 || ngx_http_canary_verta_taken(cmcf, i, number)) {
            number++;
        }

        endpoints[i]->number = number;
    }

    return NGX_OK;
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


static char *
ngx_http_canary_verta_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_verta_loc_conf_t *vlcf = conf;

    char                      *rv;
    size_t                     len;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    rv = ngx_http_canary_speak(cf, &ngx_http_canary_verta_dialect);

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

    ngx_str_set(&vlcf->workspace, "personal");

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_canary_verta_parameter(cf, vlcf, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_canary_verta_parameter(ngx_conf_t *cf,
    ngx_http_canary_verta_loc_conf_t *vlcf, ngx_str_t *value)
{
    ngx_http_canary_loc_conf_t  *lcf;

    static const size_t  skip = sizeof("workspace=") - 1;

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_canary_api_module);

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
        vlcf->workspace.data = value->data + skip;
        vlcf->workspace.len = value->len - skip;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", it must be \"write=on\", "
                       "\"write=off\" or \"workspace=name\"", value);

    return NGX_CONF_ERROR;
}
