
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_strategy.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_zone.h"
#include "ngx_canary_fleet.h"
#include "ngx_canary_module.h"
#include "ngx_canary_state_path.h"

#include "ngx_http_canary_choice.h"
#include "ngx_http_canary_conf.h"
#include "ngx_http_canary_header.h"
#include "ngx_http_canary_variables.h"


static void *ngx_http_canary_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_canary_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_canary_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_canary_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_canary_postconfiguration(ngx_conf_t *cf);
static void ngx_http_canary_exit_process(ngx_cycle_t *cycle);


static ngx_conf_enum_t  ngx_http_canary_on_undecided[] = {
    { ngx_string("hold"), CANARY_HOLD },
    { ngx_string("advance"), CANARY_ADVANCE_UNDECIDED },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_canary_on_violation[] = {
    { ngx_string("rollback"), CANARY_ROLL_BACK },
    { ngx_string("halt"), CANARY_HALT },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_canary_approval[] = {
    { ngx_string("off"), CANARY_APPROVAL_OFF },
    { ngx_string("step"), CANARY_APPROVAL_STEP },
    { ngx_string("promotion"), CANARY_APPROVAL_PROMOTION },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_canary_latency[] = {
    { ngx_string("header"), NGX_CANARY_LATENCY_HEADER },
    { ngx_string("response"), NGX_CANARY_LATENCY_RESPONSE },
    { ngx_null_string, 0 }
};


static ngx_conf_post_t  ngx_http_canary_interval_post = {
    ngx_http_canary_check_positive
};

static ngx_conf_post_t  ngx_http_canary_patience_post = {
    ngx_http_canary_check_patience
};


/* one release for all requests, as while the other is repaired */

static ngx_uint_t  ngx_http_canary_any_string;


static ngx_command_t  ngx_http_canary_commands[] = {

    { ngx_string("canary_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_canary_zone_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("canary_state_path"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_canary_state_path,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("canary_fleet"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_canary_fleet_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("canary_release"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE23|NGX_CONF_TAKE4,
      ngx_http_canary_add_release,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("canary_interval"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_endpoint_msec,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, interval),
      &ngx_http_canary_interval_post },

    { ngx_string("canary_step"),
      NGX_HTTP_UPS_CONF|NGX_CONF_1MORE,
      ngx_http_canary_step,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("canary_rule"),
      NGX_HTTP_UPS_CONF|NGX_CONF_2MORE,
      ngx_http_canary_add_rule,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("canary_on_undecided"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_endpoint_enum,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, on_undecided),
      ngx_http_canary_on_undecided },

    { ngx_string("canary_on_violation"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_endpoint_enum,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, on_violation),
      ngx_http_canary_on_violation },

    { ngx_string("canary_bake"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_endpoint_msec,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, bake),
      NULL },

    { ngx_string("canary_patience"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_endpoint_msec,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, patience),
      &ngx_http_canary_patience_post },

    { ngx_string("canary_approval"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_endpoint_enum,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, approval),
      ngx_http_canary_approval },

    { ngx_string("canary_warmup"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_endpoint_msec,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, warmup),
      NULL },

    { ngx_string("canary_key"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE12,
      ngx_http_canary_key,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, key),
      NULL },

    { ngx_string("canary_force"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_string,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, force),
      &ngx_http_canary_any_string },

    { ngx_string("canary_only"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_string,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, only),
      NULL },

    { ngx_string("canary_exclude"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_string,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, exclude),
      NULL },

    { ngx_string("canary_match"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE2,
      ngx_http_canary_add_match,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("canary_unavailable"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_endpoint_msec,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, unavailable),
      NULL },

    { ngx_string("canary_latency"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      ngx_http_canary_endpoint_enum,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, latency),
      ngx_http_canary_latency },

    { ngx_string("canary_fallback"),
      NGX_HTTP_UPS_CONF|NGX_CONF_FLAG,
      ngx_http_canary_endpoint_flag,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_canary_srv_conf_t, fallback),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_canary_module_ctx = {
    ngx_http_canary_preconfiguration,      /* preconfiguration */
    ngx_http_canary_postconfiguration,     /* postconfiguration */

    ngx_http_canary_create_main_conf,      /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_canary_create_srv_conf,       /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    ngx_http_canary_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_canary_module = {
    NGX_MODULE_V1,
    &ngx_http_canary_module_ctx,           /* module context */
    ngx_http_canary_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_canary_exit_process,          /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* that of the cycle, which other shells share */

static void *
ngx_http_canary_create_main_conf(ngx_conf_t *cf)
{
    return ngx_canary_conf(cf->cycle);
}


static void *
ngx_http_canary_create_srv_conf(ngx_conf_t *cf)
{
    ngx_http_canary_srv_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_canary_srv_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->endpoint = NULL;
     *     conf->key = { NULL, 0 };
     *     conf->once = 0;
     *     conf->force = { NULL, 0 };
     *     conf->only = { NULL, 0 };
     *     conf->exclude = { NULL, 0 };
     *     conf->matches = { { { 0 } } };
     *     conf->matched = { { NULL, 0 } };
     *     conf->asked = { { { 0 } } };
     *     conf->steps = NULL;
     *     conf->rules = NULL;
     *     conf->file = NULL;
     */

    conf->interval = NGX_CONF_UNSET_MSEC;
    conf->bake = NGX_CONF_UNSET_MSEC;
    conf->warmup = NGX_CONF_UNSET_MSEC;
    conf->patience = NGX_CONF_UNSET_MSEC;
    conf->on_undecided = NGX_CONF_UNSET_UINT;
    conf->on_violation = NGX_CONF_UNSET_UINT;
    conf->approval = NGX_CONF_UNSET_UINT;
    conf->latency = NGX_CONF_UNSET_UINT;
    conf->unavailable = NGX_CONF_UNSET_MSEC;
    conf->fallback = NGX_CONF_UNSET;

    return conf;
}


/* there is nothing to merge, but now it is known what passes requests on */

static char *
ngx_http_canary_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_canary_check_grpc(cf);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_canary_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_canary_add_variables(cf);
}


static ngx_int_t
ngx_http_canary_postconfiguration(ngx_conf_t *cf)
{
    ngx_int_t                  rc;
    ngx_canary_main_conf_t    *cmcf;
    ngx_http_core_loc_conf_t  *clcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_canary_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_http_canary_check_upstreams(cf, cmcf) != NGX_OK
        || ngx_http_canary_add_release_variables(cf, cmcf) != NGX_OK
        || ngx_canary_fleet_resolver(cf, cmcf, clcf->resolver,
                                     clcf->resolver_timeout)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_canary_configure(cf);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    ngx_http_canary_add_header_filter();

    return NGX_OK;
}


static void
ngx_http_canary_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_canary_free_spare();
}
