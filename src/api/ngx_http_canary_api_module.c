
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_conf.h"

#include "ngx_http_canary_access.h"
#include "ngx_http_canary_api.h"
#include "ngx_http_canary_conf_location.h"
#include "ngx_http_canary_metrics.h"
#include "ngx_http_canary_tokens.h"


/* The module of the APIs: directives of locations, and nothing else. */


static void *ngx_http_canary_api_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_canary_api_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_canary_api_init(ngx_conf_t *cf);


static ngx_command_t  ngx_http_canary_api_commands[] = {

    { ngx_string("canary_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_canary_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("canary_verta_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_canary_verta_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("canary_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_canary_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("canary_api_tokens"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_api_tokens,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_canary_api_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_canary_api_init,              /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_canary_api_create_loc_conf,   /* create location configuration */
    ngx_http_canary_api_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_canary_api_module = {
    NGX_MODULE_V1,
    &ngx_http_canary_api_module_ctx,       /* module context */
    ngx_http_canary_api_commands,          /* module directives */
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
ngx_http_canary_api_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_canary_loc_conf_t  *clcf;

    clcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_canary_loc_conf_t));
    if (clcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     clcf->workspace = { 0, NULL };
     */

    clcf->api = NGX_CONF_UNSET;
    clcf->verta = NGX_CONF_UNSET;
    clcf->write = NGX_CONF_UNSET;
    clcf->metrics = NGX_CONF_UNSET;
    clcf->tokens = NGX_CONF_UNSET_PTR;

    return clcf;
}


/*
 * A location below has a handler of its own, or none.  The blocks of if and
 * limit_except are still the location that they stand in.
 */

static char *
ngx_http_canary_api_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_canary_loc_conf_t  *prev = parent;
    ngx_http_canary_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && clcf->handler == NULL) {

        if (prev->api == 1) {
            conf->api = 1;
            conf->write = prev->write;
            clcf->handler = ngx_http_canary_api_handler;

        } else if (prev->metrics == 1) {
            conf->metrics = 1;
            clcf->handler = ngx_http_canary_metrics_handler;
        }
    }

    ngx_http_canary_verta_merge(cf, prev, conf);

    ngx_conf_init_value(conf->api, 0);
    ngx_conf_init_value(conf->write, 0);
    ngx_conf_init_value(conf->metrics, 0);
    ngx_conf_merge_ptr_value(conf->tokens, prev->tokens, NULL);

    if (conf->api || conf->verta) {
        ngx_http_canary_take_body_limit(clcf, conf);
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_canary_api_init(ngx_conf_t *cf)
{
    ngx_canary_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_canary_module);

    ngx_http_canary_find_basic(cf);
    ngx_http_canary_verta_number(cmcf);

    return NGX_OK;
}
