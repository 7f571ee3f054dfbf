
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_choice.h"

#include "canary_key.h"
#include "canary_route.h"
#include "canary_split.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_shared.h"
#include "ngx_canary_attempt_layout.h"
#include "ngx_canary_routing.h"

#include "ngx_http_canary_conf.h"
#include "ngx_http_canary_request.h"


static ngx_http_canary_ctx_t *ngx_http_canary_choose_any(
    ngx_http_request_t *r, ngx_canary_endpoint_t *endpoint);
static ngx_inline ngx_http_canary_ctx_t *ngx_http_canary_decide(
    ngx_http_request_t *r, ngx_http_canary_ctx_t *ctx,
    ngx_http_canary_choice_t *choice, ngx_canary_endpoint_t *endpoint,
    ngx_canary_routing_t *routing);
static ngx_http_canary_choice_t *ngx_http_canary_next_choice(
    ngx_http_request_t *r, ngx_http_canary_ctx_t *ctx,
    ngx_canary_endpoint_t *endpoint);
static ngx_http_canary_choice_t *ngx_http_canary_find_choice(
    ngx_http_canary_ctx_t *ctx, ngx_canary_endpoint_t *endpoint);
static ngx_http_canary_ctx_t *ngx_http_canary_get_ctx(ngx_http_request_t *r);
static ngx_http_canary_ctx_t *ngx_http_canary_find_ctx(ngx_http_request_t *r);
static ngx_http_canary_ctx_t *ngx_http_canary_take_ctx(ngx_http_request_t *r);
static ngx_inline void ngx_http_canary_set_ctx(ngx_http_request_t *r,
    ngx_http_canary_ctx_t *ctx);
static void ngx_http_canary_cleanup(void *data);
static ngx_http_canary_ctx_t *ngx_http_canary_decide_by_key(
    ngx_http_request_t *r, ngx_http_canary_ctx_t *ctx,
    ngx_http_canary_choice_t *choice);
static ngx_http_canary_ctx_t *ngx_http_canary_decide_by_strings(
    ngx_http_request_t *r, ngx_http_canary_ctx_t *ctx,
    ngx_http_canary_choice_t *choice);
static ngx_inline void ngx_http_canary_split(ngx_http_request_t *r,
    ngx_http_canary_choice_t *choice);
static void ngx_http_canary_select(ngx_http_request_t *r,
    ngx_http_canary_choice_t *choice);
static ngx_uint_t ngx_http_canary_is_set(ngx_http_request_t *r,
    ngx_canary_string_t *string);
static ngx_inline ngx_int_t ngx_http_canary_value(ngx_http_request_t *r,
    ngx_canary_string_t *string, ngx_str_t *value);
static ngx_uint_t ngx_http_canary_force(ngx_http_request_t *r,
    ngx_http_canary_choice_t *choice);
static ngx_canary_release_t *ngx_http_canary_release_named(
    ngx_http_canary_choice_t *choice, ngx_str_t *name);
static ngx_inline ngx_uint_t ngx_http_canary_is_for_canary(
    ngx_http_request_t *r, ngx_http_canary_choice_t *choice);
static ngx_inline ngx_uint_t ngx_http_canary_by_key(
    ngx_http_canary_choice_t *choice, u_char *key, size_t len);


static ngx_http_canary_ctx_t  *ngx_http_canary_spare;


/*
 * Most requests come here once, and find a spare context and the routing word
 * that they found before: all that they need is here, and nothing is called.
 */

ngx_http_canary_ctx_t *
ngx_http_canary_choose(ngx_http_request_t *r, ngx_canary_endpoint_t *endpoint)
{
    ngx_http_request_t     *mr;
    ngx_canary_routing_t   *routing;
    ngx_http_canary_ctx_t  *ctx;

    mr = r->main;
    ctx = ngx_http_canary_spare;
    routing = &endpoint->routing;

    if (ctx == NULL || ngx_http_get_module_ctx(mr, ngx_http_canary_module)
        || mr->internal || mr->filter_finalize
        || routing->word != ngx_canary_word(endpoint))
    {
        return ngx_http_canary_choose_any(r, endpoint);
    }

    ngx_http_canary_spare = ctx->spare;

    ngx_http_canary_set_ctx(mr, ctx);

    return ngx_http_canary_decide(r, ctx, &ctx->choice, endpoint, routing);
}


static ngx_canary_noinline ngx_http_canary_ctx_t *
ngx_http_canary_choose_any(ngx_http_request_t *r,
    ngx_canary_endpoint_t *endpoint)
{
    ngx_http_canary_ctx_t     *ctx;
    ngx_http_canary_choice_t  *choice;

    ctx = ngx_http_canary_get_ctx(r->main);
    if (ctx == NULL) {
        return NULL;
    }

    choice = &ctx->choice;

    if (ctx->last) {
        choice = ngx_http_canary_next_choice(r, ctx, endpoint);
        if (choice == NULL) {
            return NULL;
        }

        if (choice->endpoint) {
            choice->asked = 0;
            ctx->last = choice;
            return ctx;
        }
    }

    return ngx_http_canary_decide(r, ctx, choice, endpoint,
                                  ngx_canary_routing(endpoint));
}


/*
 * The choice is that of stable first, and complete: strings that decide may
 * themselves ask for the choice.
 */

static ngx_inline ngx_http_canary_ctx_t *
ngx_http_canary_decide(ngx_http_request_t *r, ngx_http_canary_ctx_t *ctx,
    ngx_http_canary_choice_t *choice, ngx_canary_endpoint_t *endpoint,
    ngx_canary_routing_t *routing)
{
    choice->word = routing->word;
    choice->endpoint = endpoint;
    choice->release = routing->stable;
    choice->reason = NGX_CANARY_BY_WEIGHT;
    choice->role = NGX_CANARY_STABLE;
    choice->in_cache_key = 0;
    choice->asked = 0;
    choice->moved = 0;

    ctx->last = choice;

    if (routing->by_strings) {
        return (routing->by_strings == NGX_CANARY_KEY_ALONE)
               ? ngx_http_canary_decide_by_key(r, ctx, choice)
               : ngx_http_canary_decide_by_strings(r, ctx, choice);
    }

    if (routing->step && canary_split_take(routing->phase, routing->step)) {
        choice->release = routing->canary;
        choice->role = NGX_CANARY_CANARY;
    }

    return ctx;
}


/* the choice of the endpoint, or else a new one, without an endpoint yet */

static ngx_canary_noinline ngx_http_canary_choice_t *
ngx_http_canary_next_choice(ngx_http_request_t *r, ngx_http_canary_ctx_t *ctx,
    ngx_canary_endpoint_t *endpoint)
{
    ngx_http_canary_choice_t  *choice;

    choice = ngx_http_canary_find_choice(ctx, endpoint);

    if (choice) {
        return choice;
    }

    choice = ngx_pcalloc(r->main->pool, sizeof(ngx_http_canary_choice_t));
    if (choice == NULL) {
        return NULL;
    }

    choice->next = ctx->choice.next;
    ctx->choice.next = choice;

    return choice;
}


/* of those that have been made; NULL: none */

static ngx_http_canary_choice_t *
ngx_http_canary_find_choice(ngx_http_canary_ctx_t *ctx,
    ngx_canary_endpoint_t *endpoint)
{
    ngx_http_canary_choice_t  *choice;

    for (choice = &ctx->choice; choice; choice = choice->next) {
        if (choice->endpoint == endpoint) {
            return choice;
        }
    }

    return NULL;
}


/*
 * Where the key is the only string, all else is known from the routing, unless
 * that has become another one while the key was made.  The key may have asked
 * for other choices.
 */

static ngx_canary_noinline ngx_http_canary_ctx_t *
ngx_http_canary_decide_by_key(ngx_http_request_t *r,
    ngx_http_canary_ctx_t *ctx, ngx_http_canary_choice_t *choice)
{
    uint64_t                hash;
    ngx_str_t               key;
    ngx_uint_t              canary;
    ngx_canary_routing_t   *routing;
    ngx_canary_endpoint_t  *endpoint;

    endpoint = choice->endpoint;
    routing = &endpoint->routing;

    if (routing->canary == NULL) {
        return ctx;
    }

    if (ngx_canary_rarely(ngx_http_canary_value(r->main, &endpoint->key, &key)
                          != NGX_OK
                          || routing->word != choice->word))
    {
        return ngx_http_canary_decide_by_strings(r, ctx, choice);
    }

    if (key.len) {
        hash = canary_key_hash(endpoint->salt, routing->route.epoch, key.data,
                               key.len);

        choice->reason = (uint8_t) endpoint->by_key;
        choice->key = (uint32_t) hash;

        canary = (canary_key_place(hash) < routing->route.weight);

    } else {
        canary = canary_split_take(routing->phase, routing->step);
    }

    if (canary) {
        choice->release = routing->canary;
        choice->role = NGX_CANARY_CANARY;
    }

    ctx->last = choice;

    return ctx;
}


static ngx_canary_noinline ngx_http_canary_ctx_t *
ngx_http_canary_decide_by_strings(ngx_http_request_t *r,
    ngx_http_canary_ctx_t *ctx, ngx_http_canary_choice_t *choice)
{
    ngx_canary_endpoint_t  *endpoint;

    endpoint = choice->endpoint;
    r = r->main;

    if (endpoint->force.value && ngx_http_canary_force(r, choice)) {
        goto done;
    }

    if (endpoint->only.value && !ngx_http_canary_is_set(r, &endpoint->only)) {
        choice->reason = NGX_CANARY_BY_ONLY;
        goto done;
    }

    ngx_http_canary_split(r, choice);

    if (endpoint->selects || canary_route_decode(choice->word).watched) {
        ngx_http_canary_select(r, choice);
    }

done:

    /* strings may have asked for other choices */

    ctx->last = choice;

    return ctx;
}


static ngx_inline void
ngx_http_canary_split(ngx_http_request_t *r, ngx_http_canary_choice_t *choice)
{
    canary_route_t         route;
    ngx_canary_release_t  *release;

    route = canary_route_decode(choice->word);

    if (route.phase == CANARY_IDLE || route.canary == CANARY_NO_RELEASE
        || !ngx_http_canary_is_for_canary(r, choice))
    {
        return;
    }

    release = ngx_canary_release(choice->endpoint, route.canary);

    if (release) {
        choice->release = release;
        choice->role = NGX_CANARY_CANARY;
    }
}


/* what may be no evidence, or not of its time */

static ngx_canary_noinline void
ngx_http_canary_select(ngx_http_request_t *r, ngx_http_canary_choice_t *choice)
{
    ngx_uint_t              by_key;
    ngx_canary_endpoint_t  *endpoint;

    endpoint = choice->endpoint;
    by_key = (choice->reason != NGX_CANARY_BY_WEIGHT);

    if (endpoint->exclude.value
        && ngx_http_canary_is_set(r, &endpoint->exclude))
    {
        choice->reason = by_key ? NGX_CANARY_BY_KEY_EXCLUDED
                                : NGX_CANARY_BY_WEIGHT_EXCLUDED;

    } else if (endpoint->warmup
               || canary_route_decode(choice->word).watched)
    {
        choice->reason = by_key ? NGX_CANARY_BY_KEY_WARMING
                                : NGX_CANARY_BY_WEIGHT_WARMING;
    }
}


/* whether a string is neither empty nor 0 */

static ngx_uint_t
ngx_http_canary_is_set(ngx_http_request_t *r, ngx_canary_string_t *string)
{
    ngx_str_t  value;

    return ngx_http_canary_value(r, string, &value) == NGX_OK && value.len
           && !(value.len == 1 && value.data[0] == '0');
}


static ngx_inline ngx_int_t
ngx_http_canary_value(ngx_http_request_t *r, ngx_canary_string_t *string,
    ngx_str_t *value)
{
    ngx_http_variable_value_t  *vv;

    if (string->variable == -1) {
        return ngx_http_complex_value(r, string->value, value);
    }

    vv = ngx_http_get_flushed_variable(r, string->variable);
    if (vv == NULL) {
        return NGX_ERROR;
    }

    value->data = vv->data;
    value->len = vv->not_found ? 0 : vv->len;

    return NGX_OK;
}


/*
 * Strings are those of the client's request, also for its subrequests, since
 * the choice is made for all of them.
 */

static ngx_canary_noinline ngx_uint_t
ngx_http_canary_force(ngx_http_request_t *r, ngx_http_canary_choice_t *choice)
{
    ngx_str_t              name;
    canary_route_t         route;
    ngx_canary_release_t  *release;

    if (ngx_http_canary_value(r, &choice->endpoint->force, &name) != NGX_OK) {
        return 0;
    }

    release = ngx_http_canary_release_named(choice, &name);

    if (release == NULL) {
        return 0;
    }

    choice->release = release;
    choice->reason = NGX_CANARY_BY_FORCE;

    route = canary_route_decode(choice->word);

    if (release->id == route.canary) {
        choice->role = NGX_CANARY_CANARY;

    } else if (release->id != route.stable) {
        choice->role = NGX_CANARY_NEITHER;
    }

    return 1;
}


/* a release by its name, or else by its role; NULL: there is none */

static ngx_canary_release_t *
ngx_http_canary_release_named(ngx_http_canary_choice_t *choice,
    ngx_str_t *name)
{
    ngx_uint_t              i;
    ngx_canary_release_t   *releases;
    ngx_canary_endpoint_t  *endpoint;

    if (name->len == 0) {
        return NULL;
    }

    endpoint = choice->endpoint;
    releases = endpoint->releases.elts;

    for (i = 0; i < endpoint->releases.nelts; i++) {
        if (releases[i].name.len == name->len
            && ngx_memcmp(releases[i].name.data, name->data, name->len) == 0)
        {
            return &releases[i];
        }
    }

    if (name->len == 6 && ngx_memcmp(name->data, "stable", 6) == 0) {
        return choice->release;
    }

    if (name->len == 6 && ngx_memcmp(name->data, "canary", 6) == 0) {
        return ngx_canary_release(endpoint,
                                canary_route_decode(choice->word).canary);
    }

    return NULL;
}


static ngx_inline ngx_uint_t
ngx_http_canary_is_for_canary(ngx_http_request_t *r,
    ngx_http_canary_choice_t *choice)
{
    ngx_str_t               key;
    ngx_canary_endpoint_t  *endpoint;

    endpoint = choice->endpoint;

    if (endpoint->key.value == NULL) {
        return ngx_http_canary_by_key(choice, NULL, 0);
    }

    return ngx_http_canary_value(r, &endpoint->key, &key) == NGX_OK
           && ngx_http_canary_by_key(choice, key.data, key.len);
}


/* requests without a key are split like others */

static ngx_inline ngx_uint_t
ngx_http_canary_by_key(ngx_http_canary_choice_t *choice, u_char *key,
    size_t len)
{
    uint64_t                hash;
    canary_route_t          route;
    ngx_canary_endpoint_t  *endpoint;

    endpoint = choice->endpoint;
    route = canary_route_decode(choice->word);

    if (len == 0) {
        return canary_split_take(endpoint->routing.phase,
                                 canary_split_step(route.weight));
    }

    hash = canary_key_hash(endpoint->salt, route.epoch, key, len);

    choice->reason = (uint8_t) endpoint->by_key;
    choice->key = (uint32_t) hash;

    return canary_key_place(hash) < route.weight;
}


uint32_t
ngx_http_canary_attempt_key(ngx_canary_attempt_t *attempt)
{
    ngx_http_canary_peer_t  *cp;

    cp = (ngx_http_canary_peer_t *)
             ((u_char *) attempt - offsetof(ngx_http_canary_peer_t, attempt));

    return cp->choice->key;
}


ngx_uint_t
ngx_http_canary_attempt_is_set(ngx_canary_attempt_t *attempt,
    ngx_canary_string_t *string)
{
    ngx_http_canary_peer_t  *cp;

    cp = (ngx_http_canary_peer_t *)
             ((u_char *) attempt - offsetof(ngx_http_canary_peer_t, attempt));

    return ngx_http_canary_is_set(cp->request, string);
}


ngx_http_canary_choice_t *
ngx_http_canary_last_choice(ngx_http_request_t *r)
{
    ngx_http_canary_ctx_t  *ctx;

    ctx = ngx_http_canary_find_ctx(r->main);

    return (ctx && ctx->last && !ctx->last->asked) ? ctx->last : NULL;
}


ngx_canary_release_t *
ngx_http_canary_ask(ngx_http_request_t *r, ngx_canary_endpoint_t *endpoint)
{
    ngx_uint_t                 asked;
    ngx_http_canary_ctx_t     *ctx;
    ngx_http_canary_choice_t  *choice, *last;

    ctx = ngx_http_canary_find_ctx(r->main);
    last = ctx ? ctx->last : NULL;
    choice = last ? ngx_http_canary_find_choice(ctx, endpoint) : NULL;
    asked = (choice == NULL || choice->asked);

    ctx = ngx_http_canary_choose(r, endpoint);
    if (ctx == NULL) {
        return NULL;
    }

    choice = ctx->last;
    choice->asked = asked;

    /* what is made of it may be a part of a cache key */

    choice->in_cache_key = 1;

    if (last) {
        ctx->last = last;
    }

    return choice->moved ? choice->first : choice->release;
}


/*
 * A choice belongs to the main request.  Contexts of modules are wiped by
 * internal redirects, so it is also found by its cleanup handler.
 */

static ngx_http_canary_ctx_t *
ngx_http_canary_get_ctx(ngx_http_request_t *r)
{
    ngx_http_canary_ctx_t  *ctx;

    ctx = ngx_http_canary_find_ctx(r);

    if (ctx) {
        return ctx;
    }

    ctx = ngx_http_canary_take_ctx(r);

    if (ctx) {
        ngx_http_canary_set_ctx(r, ctx);
    }

    return ctx;
}


static ngx_http_canary_ctx_t *
ngx_http_canary_find_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_canary_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_canary_module);

    if (ctx || !(r->internal || r->filter_finalize)) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_canary_cleanup) {
            ctx = cln->data;
            ngx_http_set_ctx(r, ctx, ngx_http_canary_module);
            return ctx;
        }
    }

    return NULL;
}


/*
 * Contexts are used again, one request after another: another few hundred
 * bytes would often make a pool ask for another block.
 */

static ngx_http_canary_ctx_t *
ngx_http_canary_take_ctx(ngx_http_request_t *r)
{
    ngx_http_canary_ctx_t  *ctx;

#if (NGX_DEBUG_PALLOC)

    /* so that sanitizers see a context that is used after its request */

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_canary_ctx_t));

#else

    ctx = ngx_http_canary_spare;

    if (ctx) {
        ngx_http_canary_spare = ctx->spare;
        return ctx;
    }

    ctx = ngx_calloc(sizeof(ngx_http_canary_ctx_t), r->connection->log);

#endif

    if (ctx) {
        ctx->cleanup.handler = ngx_http_canary_cleanup;
        ctx->cleanup.data = ctx;
    }

    return ctx;
}


void
ngx_http_canary_free_spare(void)
{
    ngx_http_canary_ctx_t  *ctx;

    while (ngx_http_canary_spare) {
        ctx = ngx_http_canary_spare;
        ngx_http_canary_spare = ctx->spare;
        ngx_free(ctx);
    }
}


/* What a context held before is gone with this, or set before it is used. */

static ngx_inline void
ngx_http_canary_set_ctx(ngx_http_request_t *r, ngx_http_canary_ctx_t *ctx)
{
    ctx->last = NULL;
    ctx->choice.next = NULL;
    ctx->peer.request = NULL;

    ctx->cleanup.next = r->pool->cleanup;
    r->pool->cleanup = &ctx->cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_canary_module);
}


/* the pool goes on to the next cleanup by what stands in this one */

static void
ngx_http_canary_cleanup(void *data)
{
    ngx_http_canary_ctx_t  *ctx = data;

#if !(NGX_DEBUG_PALLOC)
    ctx->spare = ngx_http_canary_spare;
    ngx_http_canary_spare = ctx;
#else
    (void) ctx;
#endif
}
