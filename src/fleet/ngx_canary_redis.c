
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>

#include "ngx_canary_redis.h"

#include "ngx_canary_redis_connection.h"


/* The life of a connection: whose turn it is, and how one begins and ends. */


#define NGX_CANARY_REDIS_POOL  1024


static ngx_int_t ngx_canary_redis_resolve(ngx_canary_redis_t *redis,
    ngx_canary_redis_server_t *server);
static void ngx_canary_redis_resolved(ngx_resolver_ctx_t *ctx);
static ngx_int_t ngx_canary_redis_keep_addresses(ngx_canary_redis_t *redis,
    ngx_resolver_ctx_t *ctx);
static void ngx_canary_redis_dial(ngx_canary_redis_t *redis);
static ngx_int_t ngx_canary_redis_adopt(ngx_canary_redis_t *redis);
static void ngx_canary_redis_connected(ngx_event_t *ev);
static void ngx_canary_redis_refused(ngx_canary_redis_t *redis,
    ngx_err_t err);
static void ngx_canary_redis_end(ngx_canary_redis_t *redis);
static void ngx_canary_redis_next(ngx_canary_redis_t *redis);
static void ngx_canary_redis_over(ngx_canary_redis_t *redis, u_char *why,
    size_t len);
static void ngx_canary_redis_log(ngx_canary_redis_t *redis);
static void ngx_canary_redis_moved_address(ngx_canary_redis_t *redis);


ngx_canary_redis_t *
ngx_canary_redis_create(ngx_canary_redis_conf_t *conf,
    const ngx_canary_redis_events_t *events, void *data, ngx_log_t *log)
{
    ngx_canary_redis_t  *redis;

    redis = ngx_calloc(sizeof(ngx_canary_redis_t)
                       + (conf->servers.nelts + 1) * sizeof(uint32_t), log);
    if (redis == NULL) {
        return NULL;
    }

    redis->conf = conf;
    redis->events = *events;
    redis->data = data;
    redis->log = log;
    redis->logged = (uint32_t *) (redis + 1);

    /* nginx would log each connect that fails */

    redis->quiet = *log;

    if (!(log->log_level & NGX_LOG_DEBUG_ALL)) {
        redis->quiet.log_level = ngx_min(log->log_level, NGX_LOG_ALERT);
    }

    ngx_queue_init(&redis->commands);

    redis->status.address.data = redis->address;
    redis->status.error.data = redis->error;

    return redis;
}


void
ngx_canary_redis_destroy(ngx_canary_redis_t *redis)
{
    ngx_canary_redis_end(redis);

    if (redis->names) {
        ngx_destroy_pool(redis->names);
    }

    if (redis->moved_pool) {
        ngx_destroy_pool(redis->moved_pool);
    }

    ngx_free(redis);
}


ngx_canary_redis_server_t *
ngx_canary_redis_server(ngx_canary_redis_t *redis)
{
    ngx_canary_redis_server_t  *servers;

    servers = redis->conf->servers.elts;

    return redis->is_moved ? &redis->moved : &servers[redis->server];
}


void
ngx_canary_redis_connect(ngx_canary_redis_t *redis)
{
    ngx_canary_redis_server_t  *server;

    server = ngx_canary_redis_server(redis);

    redis->status.address.len = ngx_min(server->host.len,
                                        NGX_SOCKADDR_STRLEN);
    ngx_memcpy(redis->address, server->host.data, redis->status.address.len);

    if (server->naddrs) {
        redis->addrs = server->addrs;
        redis->naddrs = server->naddrs;
        ngx_canary_redis_dial(redis);
        return;
    }

    /* the addresses of a name are tried before it is looked up again */

    if (redis->addr && redis->addr < redis->naddrs) {
        ngx_canary_redis_dial(redis);
        return;
    }

    redis->addr = 0;
    redis->state = NGX_CANARY_REDIS_RESOLVING;

    if (ngx_canary_redis_resolve(redis, server) != NGX_OK) {
        redis->resolving = NULL;
        ngx_canary_redis_failed(redis, "its name cannot be looked up");
    }
}


static ngx_int_t
ngx_canary_redis_resolve(ngx_canary_redis_t *redis,
    ngx_canary_redis_server_t *server)
{
    ngx_resolver_ctx_t  *ctx;

    if (redis->conf->resolver == NULL) {
        return NGX_ERROR;
    }

    ctx = ngx_resolve_start(redis->conf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return NGX_ERROR;
    }

    ctx->name = server->host;
    ctx->handler = ngx_canary_redis_resolved;
    ctx->data = redis;
    ctx->timeout = redis->conf->resolver_timeout;
    ctx->cancelable = 1;

    redis->resolving = ctx;

    return ngx_resolve_name(ctx);
}


static void
ngx_canary_redis_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_int_t            rc, state;
    ngx_canary_redis_t  *redis;

    redis = ctx->data;
    redis->resolving = NULL;

    state = ctx->state;
    rc = (state == NGX_OK) ? ngx_canary_redis_keep_addresses(redis, ctx)
                           : NGX_OK;

    ngx_resolve_name_done(ctx);

    if (state != NGX_OK) {
        ngx_canary_redis_failed(redis, "its name could not be looked up: %s",
                                ngx_resolver_strerror(state));
        return;
    }

    if (rc != NGX_OK) {
        ngx_canary_redis_failed(redis, "no memory");
        return;
    }

    ngx_canary_redis_dial(redis);
}


static ngx_int_t
ngx_canary_redis_keep_addresses(ngx_canary_redis_t *redis,
    ngx_resolver_ctx_t *ctx)
{
    u_char           *name;
    ngx_uint_t        i;
    ngx_pool_t       *pool;
    ngx_addr_t       *addr;
    struct sockaddr  *sockaddr;

    if (redis->names) {
        ngx_destroy_pool(redis->names);
        redis->names = NULL;
        redis->naddrs = 0;
    }

    pool = ngx_create_pool(NGX_CANARY_REDIS_POOL, redis->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    redis->names = pool;

    addr = ngx_palloc(pool, ctx->naddrs * sizeof(ngx_addr_t));
    if (addr == NULL) {
        return NGX_ERROR;
    }

    redis->addrs = addr;

    for (i = 0; i < ctx->naddrs; i++, addr++) {
        sockaddr = ngx_palloc(pool, ctx->addrs[i].socklen);
        name = ngx_pnalloc(pool, NGX_SOCKADDR_STRLEN);

        if (sockaddr == NULL || name == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(sockaddr, ctx->addrs[i].sockaddr, ctx->addrs[i].socklen);
        ngx_inet_set_port(sockaddr, ngx_canary_redis_server(redis)->port);

        addr->sockaddr = sockaddr;
        addr->socklen = ctx->addrs[i].socklen;
        addr->name.data = name;
        addr->name.len = ngx_sock_ntop(sockaddr, addr->socklen, name,
                                       NGX_SOCKADDR_STRLEN, 1);
    }

    redis->naddrs = ctx->naddrs;

    return NGX_OK;
}


static void
ngx_canary_redis_dial(ngx_canary_redis_t *redis)
{
    ngx_int_t    rc;
    ngx_addr_t  *addr;

    redis->state = NGX_CANARY_REDIS_CONNECTING;

    addr = &redis->addrs[redis->addr];

    redis->status.address.len = ngx_min(addr->name.len, NGX_SOCKADDR_STRLEN);
    ngx_memcpy(redis->address, addr->name.data, redis->status.address.len);

    ngx_memzero(&redis->peer, sizeof(ngx_peer_connection_t));

    redis->peer.sockaddr = addr->sockaddr;
    redis->peer.socklen = addr->socklen;
    redis->peer.name = &addr->name;
    redis->peer.get = ngx_event_get_peer;
    redis->peer.log = &redis->quiet;
    redis->peer.log_error = NGX_ERROR_ERR;

    rc = ngx_event_connect_peer(&redis->peer);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        ngx_canary_redis_refused(redis, ngx_socket_errno);
        return;
    }

    if (ngx_canary_redis_adopt(redis) != NGX_OK) {
        ngx_canary_redis_failed(redis, "no memory");
        return;
    }

    if (rc == NGX_OK) {
        ngx_canary_redis_connected(redis->peer.connection->write);
    }
}


static ngx_int_t
ngx_canary_redis_adopt(ngx_canary_redis_t *redis)
{
    ngx_connection_t  *c;

    c = redis->peer.connection;

    c->data = redis;
    c->log = redis->log;
    c->read->log = redis->log;
    c->write->log = redis->log;
    c->read->handler = ngx_canary_redis_connected;
    c->write->handler = ngx_canary_redis_connected;
    c->addr_text = *redis->peer.name;

    c->pool = ngx_create_pool(NGX_CANARY_REDIS_POOL, redis->log);

    return (c->pool && canary_reply_init(&redis->reply)) ? NGX_OK : NGX_ERROR;
}


static void
ngx_canary_redis_connected(ngx_event_t *ev)
{
    int                  err;
    socklen_t            len;
    ngx_connection_t    *c;
    ngx_canary_redis_t  *redis;

    c = ev->data;
    redis = c->data;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_canary_redis_refused(redis, err);
        return;
    }

    if (redis->peer.sockaddr->sa_family != AF_UNIX) {
        (void) ngx_tcp_nodelay(c);
    }

    c->read->handler = ngx_canary_redis_read;
    c->write->handler = ngx_canary_redis_write;

    if (redis->conf->ssl) {
        ngx_canary_redis_handshake(redis);
        return;
    }

    ngx_canary_redis_greet(redis);
}


static void
ngx_canary_redis_refused(ngx_canary_redis_t *redis, ngx_err_t err)
{
    u_char  *last, reason[NGX_CANARY_REDIS_ERROR];

    last = ngx_strerror(err, reason, sizeof(reason));

    ngx_canary_redis_failed(redis, "it cannot be connected to: %*s",
                            (size_t) (last - reason), reason);
}


void
ngx_canary_redis_ready(ngx_canary_redis_t *redis)
{
    redis->state = NGX_CANARY_REDIS_READY;
    redis->status.ready = 1;
    redis->status.connects++;

    redis->events.ready(redis);
}


/* the connection, whatever has become of it; nobody is told */

static void
ngx_canary_redis_end(ngx_canary_redis_t *redis)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    redis->life++;
    redis->state = NGX_CANARY_REDIS_CLOSED;
    redis->status.ready = 0;
    redis->nknown = 0;

    if (redis->resolving) {
        ngx_resolve_name_done(redis->resolving);
        redis->resolving = NULL;
    }

    c = redis->peer.connection;
    redis->peer.connection = NULL;

    if (c) {
        pool = c->pool;

#if (NGX_SSL)
        if (c->ssl) {
            c->ssl->no_wait_shutdown = 1;
            (void) ngx_ssl_shutdown(c);
        }
#endif

        ngx_close_connection(c);

        if (pool) {
            ngx_destroy_pool(pool);
        }
    }

    canary_reply_free(&redis->reply);
    ngx_canary_redis_give_up(redis);
}


void
ngx_canary_redis_close(ngx_canary_redis_t *redis, const char *why)
{
    if (redis->state != NGX_CANARY_REDIS_CLOSED) {
        ngx_canary_redis_over(redis, (u_char *) why, ngx_strlen(why));
    }
}


void
ngx_canary_redis_failed(ngx_canary_redis_t *redis, const char *fmt, ...)
{
    u_char   *last, text[NGX_CANARY_REDIS_ERROR];
    va_list   args;

    va_start(args, fmt);
    last = ngx_vslprintf(text, text + sizeof(text), fmt, args);
    va_end(args);

    ngx_canary_redis_over(redis, text, last - text);

    redis->events.lost(redis);
}


static void
ngx_canary_redis_over(ngx_canary_redis_t *redis, u_char *why, size_t len)
{
    ngx_canary_redis_note(redis, why, len);
    ngx_canary_redis_log(redis);

    ngx_canary_redis_end(redis);
    ngx_canary_redis_next(redis);
}


/* each reason once for each server, until that answers */

static void
ngx_canary_redis_log(ngx_canary_redis_t *redis)
{
    uint32_t   hash, *logged;
    ngx_str_t  *error;

    error = &redis->status.error;
    hash = ngx_crc32_short(error->data, error->len) | 1;

    logged = &redis->logged[redis->is_moved ? redis->conf->servers.nelts
                                            : redis->server];
    if (*logged == hash) {
        return;
    }

    *logged = hash;

    ngx_log_error(NGX_LOG_WARN, redis->log, 0,
                  "canary: Redis of the fleet at \"%V\": %V",
                  &redis->status.address, error);
}


static void
ngx_canary_redis_next(ngx_canary_redis_t *redis)
{
    if (redis->is_moved) {
        redis->is_moved = 0;
        redis->addr = 0;
        redis->naddrs = 0;
        return;
    }

    if (++redis->addr >= redis->naddrs) {
        redis->addr = 0;
        redis->naddrs = 0;
        redis->server = (redis->server + 1) % redis->conf->servers.nelts;
    }
}


void
ngx_canary_redis_move(ngx_canary_redis_t *redis, ngx_str_t *target)
{
    u_char     *colon, *last, why[NGX_CANARY_REDIS_ERROR];
    ngx_int_t   port;
    ngx_str_t   host;

    last = target->data + target->len;

    for (colon = last; colon > target->data && *colon != ':'; colon--) {
        /* void */
    }

    port = (colon == last) ? NGX_ERROR : ngx_atoi(colon + 1, last - colon - 1);

    host.data = target->data;
    host.len = colon - target->data;

    if (host.len == 0) {
        host = ngx_canary_redis_server(redis)->host;
    }

    if (port < 1 || port > 65535 || host.len > sizeof(redis->moved_text)) {
        ngx_canary_redis_failed(redis, "it moved to nowhere");
        return;
    }

    ngx_memmove(redis->moved_text, host.data, host.len);

    redis->moved.host.data = redis->moved_text;
    redis->moved.host.len = host.len;
    redis->moved.port = (in_port_t) port;

    last = ngx_snprintf(why, sizeof(why), "it moved to %V:%i",
                        &redis->moved.host, port);

    ngx_canary_redis_over(redis, why, last - why);

    redis->is_moved = 1;
    redis->addr = 0;
    redis->naddrs = 0;
    ngx_canary_redis_moved_address(redis);

    redis->events.lost(redis);
}


/* mostly MOVED has an address, which needs no looking up */

static void
ngx_canary_redis_moved_address(ngx_canary_redis_t *redis)
{
    ngx_addr_t                 *addr;
    ngx_canary_redis_server_t  *moved;

    moved = &redis->moved;
    moved->naddrs = 0;

    addr = &redis->moved_addr;

    if (redis->moved_pool) {
        ngx_destroy_pool(redis->moved_pool);
    }

    redis->moved_pool = ngx_create_pool(NGX_CANARY_REDIS_POOL, redis->log);

    if (redis->moved_pool
        && ngx_parse_addr(redis->moved_pool, addr, moved->host.data,
                          moved->host.len)
           == NGX_OK)
    {
        ngx_inet_set_port(addr->sockaddr, moved->port);

        addr->name.data = redis->moved_name;
        addr->name.len = ngx_sock_ntop(addr->sockaddr, addr->socklen,
                                       addr->name.data, NGX_SOCKADDR_STRLEN,
                                       1);
        moved->addrs = addr;
        moved->naddrs = 1;
    }
}


void
ngx_canary_redis_note(ngx_canary_redis_t *redis, u_char *text, size_t len)
{
    u_char  *p;

    len = ngx_min(len, NGX_CANARY_REDIS_ERROR);

    for (p = redis->error; p < redis->error + len; p++, text++) {
        *p = (*text < 0x20 || *text == 0x7f) ? ' ' : *text;
    }

    redis->status.error.len = len;
}


size_t
ngx_canary_redis_local(ngx_canary_redis_t *redis, u_char *text)
{
    socklen_t       socklen;
    ngx_sockaddr_t  sa;

    socklen = sizeof(ngx_sockaddr_t);

    if (redis->peer.connection == NULL
        || getsockname(redis->peer.connection->fd, &sa.sockaddr, &socklen)
           == -1
        || sa.sockaddr.sa_family == AF_UNIX)
    {
        return ngx_sprintf(text, "local") - text;
    }

    return ngx_sock_ntop(&sa.sockaddr, socklen, text, NGX_SOCKADDR_STRLEN, 0);
}


void *
ngx_canary_redis_data(ngx_canary_redis_t *redis)
{
    return redis->data;
}


const ngx_canary_redis_status_t *
ngx_canary_redis_status(ngx_canary_redis_t *redis)
{
    return &redis->status;
}
