
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_access.h"
#include "ngx_http_canary_api.h"
#include "ngx_http_canary_dialect.h"
#include "ngx_http_canary_gate.h"
#include "ngx_http_canary_guard.h"
#include "ngx_http_canary_metrics.h"
#include "ngx_http_canary_tokens.h"


/* The module of the APIs: directives of locations, and nothing else. */


static void *ngx_http_canary_api_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_canary_api_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void ngx_http_canary_take_body_limit(ngx_http_core_loc_conf_t *clcf,
    ngx_http_canary_loc_conf_t *lcf);
static ngx_int_t ngx_http_canary_api_init(ngx_conf_t *cf);
static char *ngx_http_canary_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_canary_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_canary_api_commands[] = {

    { ngx_string("canary_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_canary_api,
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
    ngx_http_canary_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_canary_loc_conf_t));

    if (lcf) {
        lcf->tokens = NGX_CONF_UNSET_PTR;
    }

    return lcf;
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

    if (clcf->noname && clcf->handler == NULL && prev->dialect) {
        conf->dialect = prev->dialect;
        conf->write = prev->write;
        clcf->handler = ngx_http_canary_gate;
    }

    ngx_conf_merge_ptr_value(conf->tokens, prev->tokens, NULL);

    if (conf->dialect && clcf->handler != ngx_http_canary_gate) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" is in location \"%V\" with another handler, "
                      "such as \"proxy_pass\", it must have a location of its "
                      "own, in %s:%ui", conf->dialect->directive, &clcf->name,
                      conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    if (conf->file) {
        ngx_http_canary_check_guard(cf, conf);
    }

    if (conf->dialect && conf->dialect->write) {
        ngx_http_canary_take_body_limit(clcf, conf);
    }

    return NGX_CONF_OK;
}


/*
 * The limit of bodies, which nginx would answer itself, is left to the API.
 * Locations inside of this one have taken theirs from it before.  The buffer
 * is the window that a stream of HTTP/2 begins with, and nginx reads 256k of a
 * connection at one time: what is too large is to be answered, and not to be
 * a breach of the protocol.
 */

static void
ngx_http_canary_take_body_limit(ngx_http_core_loc_conf_t *clcf,
    ngx_http_canary_loc_conf_t *lcf)
{
    lcf->body_max = NGX_HTTP_CANARY_BODY_MAX;

    if (clcf->client_max_body_size
        && clcf->client_max_body_size < lcf->body_max)
    {
        lcf->body_max = clcf->client_max_body_size;
    }

    clcf->client_max_body_size = 0;
    clcf->client_body_buffer_size = ngx_max(clcf->client_body_buffer_size,
                                            NGX_HTTP_CANARY_BODY_BUFFER);
}


static ngx_int_t
ngx_http_canary_api_init(ngx_conf_t *cf)
{
    ngx_http_canary_find_basic(cf);

    return NGX_OK;
}


char *
ngx_http_canary_speak(ngx_conf_t *cf, const ngx_http_canary_dialect_t *dialect)
{
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_canary_loc_conf_t  *lcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_canary_api_module);

    if (lcf->dialect == dialect) {
        return "is duplicate";
    }

    if (lcf->dialect) {
        return "cannot be in a location with another API, use one of its own";
    }

    if (clcf->handler) {
        return "is in a location with another handler, such as "
               "\"proxy_pass\", use a location of its own";
    }

    /* one that is only read has no paths below its location */

    if (dialect->write && clcf->exact_match) {
        return "cannot be in a location by \"=\", which has nothing below it, "
               "use one by prefix";
    }

    if (dialect->write && clcf->named) {
        return "cannot be in a named location, use one by prefix";
    }

    /* regex is under NGX_PCRE, as are locations by regular expression */

#if (NGX_PCRE)
    if (dialect->write && clcf->regex) {
        return "cannot be in a location by regular expression, "
               "use one by prefix";
    }
#endif

    lcf->dialect = dialect;
    lcf->file = cf->conf_file->file.name.data;
    lcf->line = cf->conf_file->line;
    clcf->handler = ngx_http_canary_gate;

    return NGX_CONF_OK;
}


static char *
ngx_http_canary_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_loc_conf_t *lcf = conf;

    char                      *rv;
    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    rv = ngx_http_canary_speak(cf, &ngx_http_canary_api_dialect);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (cf->args->nelts == 2) {
        value = cf->args->elts;

        if (ngx_strcmp(value[1].data, "write=on") == 0) {
            lcf->write = 1;

        } else if (ngx_strcmp(value[1].data, "write=off") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", it must be "
                               "\"write=on\" or \"write=off\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    /* from /canary to /canary/, as proxy_pass does */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->name.len && clcf->name.data[clcf->name.len - 1] == '/') {
        clcf->auto_redirect = 1;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_canary_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_loc_conf_t *lcf = conf;

    if (lcf->dialect == &ngx_http_canary_api_dialect) {
        return "cannot be in one location with \"canary_api\", which has "
               "them at \"metrics\"";
    }

    return ngx_http_canary_speak(cf, &ngx_http_canary_metrics_dialect);
}
