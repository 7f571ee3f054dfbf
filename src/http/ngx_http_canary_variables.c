
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_variables.h"

#include "canary_rollout.h"
#include "canary_route.h"
#include "canary_split.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_attempt_layout.h"

#include "ngx_http_canary_choice.h"
#include "ngx_http_canary_conf.h"
#include "ngx_http_canary_request.h"
#include "ngx_http_canary_upstream.h"


typedef enum {
    NGX_HTTP_CANARY_VAR_ENDPOINT = 0,
    NGX_HTTP_CANARY_VAR_RELEASE,
    NGX_HTTP_CANARY_VAR_ROLE,
    NGX_HTTP_CANARY_VAR_REASON,
    NGX_HTTP_CANARY_VAR_WEIGHT,
    NGX_HTTP_CANARY_VAR_PHASE
} ngx_http_canary_variable_e;


static ngx_int_t ngx_http_canary_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_canary_variable_name(ngx_conf_t *cf,
    ngx_str_t *endpoint, ngx_str_t *name);
static ngx_int_t ngx_http_canary_is_taken(ngx_conf_t *cf, ngx_str_t *names,
    ngx_uint_t n, ngx_canary_endpoint_t **endpoints);
static ngx_int_t ngx_http_canary_release_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_http_canary_choice_t *ngx_http_canary_present_choice(
    ngx_http_request_t *r);
static ngx_http_upstream_srv_conf_t *ngx_http_canary_request_upstream(
    ngx_http_request_t *r);
static void ngx_http_canary_note_cache_key(ngx_http_request_t *r,
    ngx_http_canary_choice_t *choice);
static ngx_int_t ngx_http_canary_weight(ngx_http_request_t *r,
    ngx_str_t *value, uint32_t weight);


/* values change with a fallback, so none may be cached */

static ngx_http_variable_t  ngx_http_canary_vars[] = {

    { ngx_string("canary_endpoint"), NULL, ngx_http_canary_variable,
      NGX_HTTP_CANARY_VAR_ENDPOINT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("canary_release"), NULL, ngx_http_canary_variable,
      NGX_HTTP_CANARY_VAR_RELEASE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("canary_role"), NULL, ngx_http_canary_variable,
      NGX_HTTP_CANARY_VAR_ROLE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("canary_reason"), NULL, ngx_http_canary_variable,
      NGX_HTTP_CANARY_VAR_REASON, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("canary_weight"), NULL, ngx_http_canary_variable,
      NGX_HTTP_CANARY_VAR_WEIGHT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("canary_phase"), NULL, ngx_http_canary_variable,
      NGX_HTTP_CANARY_VAR_PHASE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* by ngx_canary_role_e and ngx_canary_reason_e */

static ngx_str_t  ngx_http_canary_roles[] = {
    ngx_string("stable"),
    ngx_string("canary"),
    ngx_null_string
};


static ngx_str_t  ngx_http_canary_reasons[] = {
    ngx_string("weight"),
    ngx_string("key"),
    ngx_string("force"),
    ngx_string("fallback"),
    ngx_string("only"),
    ngx_string("weight"),
    ngx_string("key"),
    ngx_string("weight"),
    ngx_string("key"),
    ngx_string("weight"),
    ngx_string("key")
};


ngx_int_t
ngx_http_canary_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_canary_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/*
 * $canary_release_NAME for each endpoint, now that all are known.  Who uses one
 * in the configuration finds it without the hash of variables, into which long
 * names might not fit.
 */

ngx_int_t
ngx_http_canary_add_release_variables(ngx_conf_t *cf,
    ngx_canary_main_conf_t *cmcf)
{
    ngx_str_t               *names;
    ngx_uint_t               i, n;
    ngx_http_variable_t     *var;
    ngx_canary_endpoint_t  **endpoints;

    endpoints = cmcf->endpoints.elts;
    n = cmcf->endpoints.nelts;

    names = ngx_palloc(cf->temp_pool, n * sizeof(ngx_str_t) + 1);
    if (names == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (ngx_http_canary_variable_name(cf, &endpoints[i]->name, &names[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        switch (ngx_http_canary_is_taken(cf, names, i, endpoints)) {

        case NGX_OK:
            continue;

        case NGX_ERROR:
            return NGX_ERROR;
        }

        var = ngx_http_add_variable(cf, &names[i], NGX_HTTP_VAR_NOHASH);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = ngx_http_canary_release_variable;
        var->data = (uintptr_t) endpoints[i];
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_variable_name(ngx_conf_t *cf, ngx_str_t *endpoint,
    ngx_str_t *name)
{
    u_char      c, *p;
    ngx_uint_t  i;

    static ngx_str_t  prefix = ngx_string("canary_release_");

    name->len = prefix.len + endpoint->len;
    name->data = ngx_pnalloc(cf->pool, name->len);

    if (name->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(name->data, prefix.data, prefix.len);

    for (i = 0; i < endpoint->len; i++) {
        c = ngx_tolower(endpoint->data[i]);

        *p++ = ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) ? c : '_';
    }

    return NGX_OK;
}


/*
 * Whether an endpoint before has the same variable: NGX_ERROR if it is used,
 * since nobody can know which is meant; NGX_DECLINED: none has.
 */

static ngx_int_t
ngx_http_canary_is_taken(ngx_conf_t *cf, ngx_str_t *names, ngx_uint_t n,
    ngx_canary_endpoint_t **endpoints)
{
    ngx_uint_t                  i, k;
    ngx_http_variable_t        *used;
    ngx_http_core_main_conf_t  *cmcf;

    for (i = 0; i < n; i++) {
        if (names[i].len == names[n].len
            && ngx_memcmp(names[i].data, names[n].data, names[n].len) == 0)
        {
            break;
        }
    }

    if (i == n) {
        return NGX_DECLINED;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    used = cmcf->variables.elts;

    for (k = 0; k < cmcf->variables.nelts; k++) {
        if (used[k].name.len == names[n].len
            && ngx_strncasecmp(used[k].name.data, names[n].data, names[n].len)
               == 0)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"$%V\" may be of endpoint \"%V\" or \"%V\", "
                          "one of them must have another name", &names[n],
                          &endpoints[i]->name, &endpoints[n]->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_release_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_canary_endpoint_t  *endpoint = (ngx_canary_endpoint_t *) data;

    ngx_canary_release_t  *release;

    release = ngx_http_canary_ask(r, endpoint);
    if (release == NULL) {
        return NGX_ERROR;
    }

    v->data = release->name.data;
    v->len = release->name.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                  value;
    ngx_canary_attempt_t       last, *attempt;
    ngx_http_canary_choice_t  *choice;

    choice = ngx_http_canary_present_choice(r);

    if (choice == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_http_canary_note_cache_key(r, choice);

    /* other requests for the same client may have gone elsewhere since */

    attempt = ngx_http_canary_last_attempt(r);

    if (attempt == NULL) {
        attempt = &last;
        attempt->release = choice->release;
        attempt->role = choice->role;
        attempt->reason = choice->reason;
    }

    switch (data) {

    case NGX_HTTP_CANARY_VAR_ENDPOINT:
        value = choice->endpoint->name;
        break;

    case NGX_HTTP_CANARY_VAR_RELEASE:
        value = attempt->release->name;
        break;

    case NGX_HTTP_CANARY_VAR_ROLE:
        value = ngx_http_canary_roles[attempt->role];
        break;

    case NGX_HTTP_CANARY_VAR_REASON:
        value = ngx_http_canary_reasons[attempt->reason];
        break;

    case NGX_HTTP_CANARY_VAR_WEIGHT:

        if (ngx_http_canary_weight(r, &value,
                                   (choice->reason == NGX_CANARY_BY_ONLY)
                                   ? 0
                                   : canary_route_decode(choice->word).weight)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        break;

    default: /* NGX_HTTP_CANARY_VAR_PHASE */
        value.data = (u_char *) canary_phase_name(
                                   canary_route_decode(choice->word).phase);
        value.len = ngx_strlen(value.data);
        break;
    }

    v->data = value.data;
    v->len = value.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/*
 * A request that is about to go to an endpoint, and has no choice yet, gets
 * it here: for its cache key, its headers and its body are made before the
 * balancer is asked.
 */

static ngx_http_canary_choice_t *
ngx_http_canary_present_choice(ngx_http_request_t *r)
{
    ngx_http_canary_ctx_t         *ctx;
    ngx_http_canary_srv_conf_t    *cscf;
    ngx_http_upstream_srv_conf_t  *uscf;

    /* answered from the cache: it goes nowhere */

    if (r->cached) {
        return ngx_http_canary_last_choice(r);
    }

    uscf = ngx_http_canary_request_upstream(r);

    if (uscf && uscf->srv_conf) {
        cscf = ngx_http_conf_upstream_srv_conf(uscf, ngx_http_canary_module);

        if (cscf->endpoint && cscf->endpoint->shared) {
            ctx = ngx_http_canary_choose(r, cscf->endpoint);

            return ctx ? ctx->last : NULL;
        }
    }

    return ngx_http_canary_last_choice(r);
}


/* the upstream{} that a request is going to, found as nginx itself does */

static ngx_http_upstream_srv_conf_t *
ngx_http_canary_request_upstream(ngx_http_request_t *r)
{
    ngx_str_t                      *host;
    ngx_uint_t                      i;
    ngx_http_upstream_t            *u;
    ngx_http_upstream_srv_conf_t  **uscfp;
    ngx_http_upstream_main_conf_t  *umcf;

    u = r->upstream;

    if (u == NULL || u->conf == NULL) {
        return NULL;
    }

    if (u->resolved == NULL) {
        return u->conf->upstream;
    }

    host = &u->resolved->host;

    umcf = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscfp[i]->host.len == host->len
            && ((uscfp[i]->port == 0 && u->resolved->no_port)
                || uscfp[i]->port == u->resolved->port)
            && ngx_strncasecmp(uscfp[i]->host.data, host->data, host->len)
               == 0)
        {
            return uscfp[i];
        }
    }

    return NULL;
}


/*
 * While nginx makes the key of a cached response it has its cache, but not
 * yet the place of the header that follows the key.
 */

static void
ngx_http_canary_note_cache_key(ngx_http_request_t *r,
    ngx_http_canary_choice_t *choice)
{
#if (NGX_HTTP_CACHE)

    if (r->cache && r->cache->header_start == 0) {
        choice->in_cache_key = 1;
    }

#endif
}


/* a ratio of six decimal places at most, without trailing zeros */

static ngx_int_t
ngx_http_canary_weight(ngx_http_request_t *r, ngx_str_t *value,
    uint32_t weight)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, sizeof("1.000000") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;

    p = ngx_sprintf(p, "%ud.%06ud", weight / CANARY_ONE, weight % CANARY_ONE);

    while (p[-1] == '0') {
        p--;
    }

    if (p[-1] == '.') {
        p--;
    }

    value->len = p - value->data;

    return NGX_OK;
}
