
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_conf_location.h"

#include "ngx_http_canary_api.h"
#include "ngx_http_canary_metrics.h"


/* The directives of a location: canary_api and canary_metrics. */


char *
ngx_http_canary_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_loc_conf_t *lcf = conf;

    char                      *rv;
    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (lcf->api != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    if (lcf->metrics != NGX_CONF_UNSET) {
        return "cannot be in one location with \"canary_metrics\"";
    }

    rv = ngx_http_canary_check_location(cf, lcf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    lcf->api = 1;
    lcf->write = 0;

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

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_canary_api_handler;

    /* from /canary to /canary/, as proxy_pass does */

    if (clcf->name.len && clcf->name.data[clcf->name.len - 1] == '/') {
        clcf->auto_redirect = 1;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_canary_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_loc_conf_t *lcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (lcf->metrics != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    if (lcf->api != NGX_CONF_UNSET) {
        return "cannot be in one location with \"canary_api\", which has "
               "them at \"metrics\"";
    }

    if (lcf->verta == 1) {
        return "cannot be in one location with \"canary_verta_api\"";
    }

    lcf->metrics = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_canary_metrics_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_canary_check_location(ngx_conf_t *cf, ngx_http_canary_loc_conf_t *lcf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* regex is under NGX_PCRE, as are locations by regular expression */

#if (NGX_PCRE)
    if (clcf->regex) {
        return "cannot be in a location by regular expression, "
               "use one by prefix";
    }
#endif

    if (clcf->named) {
        return "cannot be in a named location, use one by prefix";
    }

    if (lcf->api == 1 || lcf->verta == 1 || lcf->metrics == 1) {
        return "cannot be in a location with another API, "
               "use one of its own";
    }

    return NGX_CONF_OK;
}


/*
 * Locations inside of this one have taken theirs from it before.  The buffer
 * is the window that a stream of HTTP/2 begins with, and nginx reads 256k of a
 * connection at one time: what is too large is to be answered, and not to be
 * a breach of the protocol.
 */

void
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
