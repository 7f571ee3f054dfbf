
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_key.h"
#include "canary_route.h"
#include "canary_rule.h"
#include "canary_strategy.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_attempt_layout.h"

#include "ngx_http_canary_compat.h"
#include "ngx_http_canary_conf.h"
#include "ngx_http_canary_upstream.h"


static ngx_int_t ngx_http_canary_check_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_canary_check_endpoint(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf, ngx_http_canary_srv_conf_t *cscf);
static ngx_int_t ngx_http_canary_find_upstream(ngx_conf_t *cf,
    ngx_canary_endpoint_t *endpoint, ngx_canary_release_t *release);
static void ngx_http_canary_warn_of_twin(ngx_conf_t *cf,
    ngx_canary_endpoint_t *endpoint, ngx_uint_t n);
static ngx_int_t ngx_http_canary_check_matches(ngx_conf_t *cf,
    ngx_http_canary_srv_conf_t *cscf);
static void ngx_http_canary_set_strategy(ngx_http_canary_srv_conf_t *cscf);
static void ngx_http_canary_set_endpoint(ngx_http_canary_srv_conf_t *cscf);
static ngx_int_t ngx_http_canary_check_keepalive(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf);


ngx_int_t
ngx_http_canary_init_upstream(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
    us->peer.init = ngx_http_canary_init_peer;

    return ngx_http_canary_check_keepalive(cf, us);
}


ngx_int_t
ngx_http_canary_check_upstreams(ngx_conf_t *cf, ngx_canary_main_conf_t *cmcf)
{
    ngx_uint_t                      i;
    ngx_http_upstream_srv_conf_t  **uscfp;
    ngx_http_upstream_main_conf_t  *umcf;

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        /* an upstream that only a proxy_pass names has no configuration */

        if (uscfp[i]->srv_conf == NULL) {
            continue;
        }

        if (ngx_http_canary_check_upstream(cf, uscfp[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_check_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_http_canary_srv_conf_t  *cscf;

    cscf = ngx_http_conf_upstream_srv_conf(uscf, ngx_http_canary_module);

    if (cscf->endpoint) {
        return ngx_http_canary_check_endpoint(cf, uscf, cscf);
    }

    if (cscf->file) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" in upstream \"%V\", which has no "
                      "\"canary_release\", in %s:%ui",
                      &cscf->directive, &uscf->host, cscf->file, cscf->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_check_endpoint(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf, ngx_http_canary_srv_conf_t *cscf)
{
    char                   *wrong;
    ngx_uint_t              i;
    ngx_canary_release_t   *releases;
    ngx_canary_endpoint_t  *endpoint;

    endpoint = cscf->endpoint;
    releases = endpoint->releases.elts;
    wrong = NULL;

    if (uscf->peer.init_upstream != ngx_http_canary_init_upstream) {
        wrong = "\"canary_release\" cannot be combined with load balancing "
                "directives in one upstream, put them into the upstreams of "
                "the releases";

    } else if (uscf->servers->nelts > 1) {
        wrong = "\"canary_release\" cannot be combined with \"server\" in one "
                "upstream, put the servers into the upstreams of the releases";

#if (NGX_HTTP_UPSTREAM_ZONE)
    } else if (uscf->shm_zone) {
        wrong = "\"canary_release\" cannot be combined with \"zone\" in one "
                "upstream, put it into the upstreams of the releases";
#endif
    }

    if (wrong) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s: upstream \"%V\" in %s:%ui",
                      wrong, &uscf->host, releases[0].file, releases[0].line);
        return NGX_ERROR;
    }

    /* the placeholder has done its work */

    uscf->servers->nelts = 0;

    /*
     * Others have wrapped peer.init by now, as keepalive does for every
     * upstream in nginx 1.29.7 and later: here it must be the first.
     */

    uscf->peer.init = ngx_http_canary_init_peer;

    for (i = 0; i < endpoint->releases.nelts; i++) {
        if (ngx_http_canary_find_upstream(cf, endpoint, &releases[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_http_canary_warn_of_twin(cf, endpoint, i);
    }

    if (ngx_http_canary_check_matches(cf, cscf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_canary_set_strategy(cscf);
    ngx_http_canary_set_endpoint(cscf);

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_find_upstream(ngx_conf_t *cf,
    ngx_canary_endpoint_t *endpoint, ngx_canary_release_t *release)
{
    ngx_str_t                      *name;
    ngx_uint_t                      i;
    ngx_http_canary_srv_conf_t          *cscf;
    ngx_http_upstream_srv_conf_t  **uscfp;
    ngx_http_upstream_main_conf_t  *umcf;

    name = &release->upstream_name;

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (!(uscfp[i]->flags & NGX_HTTP_UPSTREAM_CREATE)
            || uscfp[i]->host.len != name->len
            || ngx_strncasecmp(uscfp[i]->host.data, name->data, name->len)
               != 0)
        {
            continue;
        }

        cscf = ngx_http_conf_upstream_srv_conf(uscfp[i],
                                               ngx_http_canary_module);

        if (cscf->endpoint) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "release \"%V\" names upstream \"%V\", which has "
                          "releases itself, it must be an upstream with "
                          "servers, in %s:%ui",
                          &release->name, name, release->file, release->line);
            return NGX_ERROR;
        }

        release->upstream = uscfp[i];

        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "release \"%V\" names unknown upstream \"%V\", "
                  "there must be an \"upstream %V { ... }\", in %s:%ui",
                  &release->name, name, name, release->file, release->line);

    return NGX_ERROR;
}


/* a rollout from one to the other would compare servers with themselves */

static void
ngx_http_canary_warn_of_twin(ngx_conf_t *cf, ngx_canary_endpoint_t *endpoint,
    ngx_uint_t n)
{
    ngx_uint_t             i;
    ngx_canary_release_t  *releases;

    releases = endpoint->releases.elts;

    for (i = 0; i < n; i++) {
        if (releases[i].upstream == releases[n].upstream) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "release \"%V\" of upstream \"%V\" has the upstream "
                          "\"%V\" of release \"%V\" in %s:%ui, so that they "
                          "are the same servers: give it one of its own, in "
                          "%s:%ui",
                          &releases[n].name, &endpoint->name,
                          &releases[n].upstream_name, &releases[i].name,
                          releases[i].file, releases[i].line,
                          releases[n].file, releases[n].line);
            return;
        }
    }
}


/* of the rules, the first that is about one that there is not */

static ngx_int_t
ngx_http_canary_check_matches(ngx_conf_t *cf, ngx_http_canary_srv_conf_t *cscf)
{
    char        *name;
    unsigned     missing;
    ngx_uint_t   i;

    missing = canary_match_missing(&cscf->asked, &cscf->matches);

    if (missing == 0) {
        return NGX_OK;
    }

    for (i = 0; !(missing & 1u << i); i++) { /* void */ }

    name = cscf->asked.names[i];

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "rule \"match_rate\" names \"match=%s\", there must be a "
                  "\"canary_match %s ...\" in upstream \"%V\", in %s:%ui",
                  name, name, &cscf->endpoint->name, cscf->asked_file[i],
                  cscf->asked_line[i]);

    return NGX_ERROR;
}


/* upstream{} blocks are never merged, so the defaults are set here */

static void
ngx_http_canary_set_strategy(ngx_http_canary_srv_conf_t *cscf)
{
    uint32_t            at;
    canary_strategy_t  *strategy;

    strategy = &cscf->endpoint->strategy;

    canary_strategy_init(strategy);

    ngx_conf_init_msec_value(cscf->interval, strategy->interval);
    ngx_conf_init_msec_value(cscf->bake, 0);
    ngx_conf_init_msec_value(cscf->warmup, 0);
    ngx_conf_init_msec_value(cscf->patience, strategy->patience);
    ngx_conf_init_uint_value(cscf->on_undecided, CANARY_HOLD);
    ngx_conf_init_uint_value(cscf->on_violation, CANARY_ROLL_BACK);
    ngx_conf_init_uint_value(cscf->approval, CANARY_APPROVAL_OFF);
    ngx_conf_init_uint_value(cscf->latency, NGX_CANARY_LATENCY_HEADER);
    ngx_conf_init_msec_value(cscf->unavailable, 30000);
    ngx_conf_init_value(cscf->fallback, 1);

    strategy->interval = cscf->interval;
    strategy->bake = cscf->bake;
    strategy->patience = cscf->patience;
    strategy->on_undecided = cscf->on_undecided;
    strategy->on_violation = cscf->on_violation;
    strategy->approval = cscf->approval;

    if (cscf->steps) {
        (void) canary_strategy_set_steps(strategy, cscf->steps->elts,
                                         cscf->steps->nelts, &at);
    }

    if (cscf->rules) {
        strategy->nrules = cscf->rules->nelts;
        ngx_memcpy(strategy->rules, cscf->rules->elts,
                   cscf->rules->nelts * sizeof(canary_rule_t));

        strategy->matches = cscf->asked;
    }
}


static void
ngx_http_canary_set_endpoint(ngx_http_canary_srv_conf_t *cscf)
{
    ngx_canary_endpoint_t  *endpoint;

    endpoint = cscf->endpoint;

    endpoint->latency = cscf->latency;
    endpoint->unavailable = cscf->unavailable;
    endpoint->fallback = cscf->fallback;
    endpoint->key = cscf->key;
    endpoint->force = cscf->force;
    endpoint->only = cscf->only;
    endpoint->exclude = cscf->exclude;
    endpoint->matches = cscf->matches;
    ngx_memcpy(endpoint->matched, cscf->matched, sizeof(cscf->matched));
    endpoint->warmup = cscf->warmup;
    endpoint->once = cscf->once;
    endpoint->selects = endpoint->exclude.value || endpoint->warmup;
    endpoint->by_key = (endpoint->warmup || endpoint->once)
                           ? NGX_CANARY_BY_KEY_WARMING : NGX_CANARY_BY_KEY;
    endpoint->salt = canary_key_salt(endpoint->name.data, endpoint->name.len);
    endpoint->routing.word = CANARY_NO_WORD;
}


/*
 * Called when a location is merged, after grpc_pass has been.  The module of
 * gRPC keeps its configuration to itself, but it begins with what it shares
 * with all modules that have an upstream.
 */

void
ngx_http_canary_check_grpc(ngx_conf_t *cf)
{
#if (NGX_HTTP_CANARY_GRPC_RETRY_UNSAFE)

    ngx_module_t                  *module;
    ngx_http_conf_ctx_t           *ctx;
    ngx_http_upstream_conf_t      *conf;
    ngx_canary_release_t          *release;
    ngx_http_canary_srv_conf_t         *cscf;
    ngx_canary_main_conf_t        *cmcf;
    ngx_http_upstream_srv_conf_t  *uscf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_canary_module);

    if (cmcf->endpoints.nelts == 0) {
        return;
    }

    module = ngx_http_canary_find_module(cf, "ngx_http_grpc_module");

    if (module == NULL) {
        return;
    }

    ctx = cf->ctx;
    conf = ctx->loc_conf[module->ctx_index];
    uscf = conf->upstream;

    if (uscf == NULL || uscf->srv_conf == NULL) {
        return;
    }

    cscf = ngx_http_conf_upstream_srv_conf(uscf, ngx_http_canary_module);

    if (cscf->endpoint == NULL || cscf->fallback == 0 || cscf->grpc_warned) {
        return;
    }

    cscf->grpc_warned = 1;
    release = cscf->endpoint->releases.elts;

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "gRPC requests to \"%V\" are not finished on another "
                  "release after a failure, since nginx %s would use freed "
                  "memory: use nginx 1.28.2, 1.29.5 or later, or say "
                  "\"canary_fallback off\", in %s:%ui",
                  &uscf->host, NGINX_VERSION, release->file, release->line);

#endif
}


/*
 * Up to nginx 1.29.6 "keepalive" is a balancer, and refused as one.  Later it
 * only sets a number, with which the configuration of its module begins: that
 * is compared with a configuration in which nothing is set, before the module
 * sets its defaults.
 */

static ngx_int_t
ngx_http_canary_check_keepalive(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf)
{
#if (NGX_HTTP_CANARY_KEEPALIVE_NO_BALANCER)

    ngx_uint_t                  *set, *unset;
    ngx_module_t                *module;
    ngx_http_module_t           *ctx;
    ngx_canary_release_t        *release;
    ngx_http_canary_srv_conf_t       *cscf;

    module = ngx_http_canary_find_module(cf,
                                         "ngx_http_upstream_keepalive_module");
    if (module == NULL) {
        return NGX_OK;
    }

    ctx = module->ctx;
    unset = ctx->create_srv_conf(cf);

    if (unset == NULL) {
        return NGX_ERROR;
    }

    set = ngx_http_conf_upstream_srv_conf(uscf, (*module));

    if (*set == *unset) {
        return NGX_OK;
    }

    cscf = ngx_http_conf_upstream_srv_conf(uscf, ngx_http_canary_module);
    release = cscf->endpoint->releases.elts;

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"canary_release\" cannot be combined with \"keepalive\" "
                  "in one upstream, put it into the upstreams of the "
                  "releases: upstream \"%V\" in %s:%ui",
                  &uscf->host, release->file, release->line);

    return NGX_ERROR;

#else

    return NGX_OK;

#endif
}


ngx_module_t *
ngx_http_canary_find_module(ngx_conf_t *cf, char *name)
{
    ngx_uint_t  i;

    for (i = 0; cf->cycle->modules[i]; i++) {
        if (ngx_strcmp(cf->cycle->modules[i]->name, name) == 0) {
            break;
        }
    }

    return cf->cycle->modules[i];
}
