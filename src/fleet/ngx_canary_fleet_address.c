
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_conf.h"


/*
 * Where a Redis is:
 *
 *     redis://[user@]host[:port][,host[:port]...][/db]
 *     rediss://...
 *     unix:/path
 */


#define NGX_CANARY_REDIS_PORT     6379
#define NGX_CANARY_REDIS_SERVERS  16


static ngx_int_t ngx_canary_fleet_user(ngx_conf_t *cf, ngx_str_t *rest,
    ngx_str_t *user);
static ngx_int_t ngx_canary_fleet_db(ngx_conf_t *cf, ngx_str_t *rest,
    ngx_uint_t *db);
static ngx_int_t ngx_canary_fleet_server(ngx_conf_t *cf, ngx_str_t *text,
    ngx_canary_fleet_conf_t *conf);
static ngx_int_t ngx_canary_fleet_literal(ngx_conf_t *cf,
    ngx_canary_redis_server_t *server);
static ngx_uint_t ngx_canary_fleet_scheme(ngx_str_t *rest, const char *scheme);


ngx_int_t
ngx_canary_fleet_address(ngx_conf_t *cf, ngx_str_t *url,
    ngx_canary_fleet_conf_t *conf, ngx_uint_t *tls)
{
    u_char     *p, *last, *comma;
    ngx_str_t   rest, server;

    rest = *url;
    *tls = 0;

    if (ngx_array_init(&conf->redis.servers, cf->pool, 2,
                       sizeof(ngx_canary_redis_server_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rest.len > 5 && ngx_strncmp(rest.data, "unix:", 5) == 0) {
        return ngx_canary_fleet_server(cf, &rest, conf);
    }

    if (ngx_canary_fleet_scheme(&rest, "rediss://")) {
        *tls = 1;

    } else if (!ngx_canary_fleet_scheme(&rest, "redis://")) {

        /* without a scheme it may have a password all the same */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid address of \"canary_fleet\", it must "
                           "begin with \"redis://\", \"rediss://\" or "
                           "\"unix:\"");
        return NGX_ERROR;
    }

    if (ngx_canary_fleet_user(cf, &rest, &conf->redis.user) != NGX_OK
        || ngx_canary_fleet_db(cf, &rest, &conf->redis.db) != NGX_OK)
    {
        return NGX_ERROR;
    }

    last = rest.data + rest.len;

    for (p = rest.data; /* void */ ; p = comma + 1) {

        comma = ngx_strlchr(p, last, ',');

        server.data = p;
        server.len = (comma ? comma : last) - p;

        if (ngx_canary_fleet_server(cf, &server, conf) != NGX_OK) {
            return NGX_ERROR;
        }

        if (comma == NULL) {
            return NGX_OK;
        }
    }
}


static ngx_uint_t
ngx_canary_fleet_scheme(ngx_str_t *rest, const char *scheme)
{
    size_t  len;

    len = ngx_strlen(scheme);

    if (rest->len < len || ngx_strncmp(rest->data, scheme, len) != 0) {
        return 0;
    }

    rest->data += len;
    rest->len -= len;

    return 1;
}


/* what stands before the last @; what may be a password is not repeated */

static ngx_int_t
ngx_canary_fleet_user(ngx_conf_t *cf, ngx_str_t *rest, ngx_str_t *user)
{
    u_char  *p, *last;

    last = rest->data + rest->len;

    for (p = last; p > rest->data && p[-1] != '@'; p--) { /* void */ }

    if (p == rest->data) {
        return NGX_OK;
    }

    user->data = rest->data;
    user->len = p - 1 - rest->data;

    rest->data = p;
    rest->len = last - p;

    if (ngx_strlchr(user->data, user->data + user->len, ':')) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the address of \"canary_fleet\" has a password, "
                           "it must be in a file that \"password_file=\" "
                           "names");
        return NGX_ERROR;
    }

    if (user->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the user in the address of \"canary_fleet\" is "
                           "empty, it must have a name or not be there");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_canary_fleet_db(ngx_conf_t *cf, ngx_str_t *rest, ngx_uint_t *db)
{
    u_char     *slash;
    ngx_int_t   n;
    ngx_str_t   text;

    slash = ngx_strlchr(rest->data, rest->data + rest->len, '/');

    if (slash == NULL) {
        return NGX_OK;
    }

    text.data = slash + 1;
    text.len = rest->data + rest->len - text.data;
    rest->len = slash - rest->data;

    n = ngx_atoi(text.data, text.len);

    if (n == NGX_ERROR || n > INT32_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid database \"%V\" in the address of "
                           "\"canary_fleet\", it must be a number", &text);
        return NGX_ERROR;
    }

    *db = n;

    return NGX_OK;
}


static ngx_int_t
ngx_canary_fleet_server(ngx_conf_t *cf, ngx_str_t *text,
    ngx_canary_fleet_conf_t *conf)
{
    ngx_url_t                   u;
    ngx_canary_redis_server_t  *server;

    if (conf->redis.servers.nelts == NGX_CANARY_REDIS_SERVERS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the address of \"canary_fleet\" has more than %d "
                           "hosts", NGX_CANARY_REDIS_SERVERS);
        return NGX_ERROR;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *text;
    u.default_port = NGX_CANARY_REDIS_PORT;
    u.no_resolve = conf->resolve;

    if (text->len == 0 || ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in host \"%V\" of the address of "
                           "\"canary_fleet\", it must be \"host\" or "
                           "\"host:port\"", u.err ? u.err : "no name", text);
        return NGX_ERROR;
    }

    server = ngx_array_push(&conf->redis.servers);
    if (server == NULL) {
        return NGX_ERROR;
    }

    server->host = u.host;
    server->port = (u.family == AF_UNIX) ? 0 : u.port;
    server->addrs = u.addrs;
    server->naddrs = u.naddrs;

    if (server->host.len > 2 && server->host.data[0] == '[') {
        server->host.data++;
        server->host.len -= 2;
    }

    return u.naddrs ? NGX_OK : ngx_canary_fleet_literal(cf, server);
}


/* an address needs no looking up */

static ngx_int_t
ngx_canary_fleet_literal(ngx_conf_t *cf, ngx_canary_redis_server_t *server)
{
    ngx_int_t    rc;
    ngx_addr_t  *addr;

    addr = ngx_palloc(cf->pool, sizeof(ngx_addr_t));
    if (addr == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_parse_addr(cf->pool, addr, server->host.data, server->host.len);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    ngx_inet_set_port(addr->sockaddr, server->port);

    addr->name.len = NGX_SOCKADDR_STRLEN;
    addr->name.data = ngx_pnalloc(cf->pool, addr->name.len);
    if (addr->name.data == NULL) {
        return NGX_ERROR;
    }

    addr->name.len = ngx_sock_ntop(addr->sockaddr, addr->socklen,
                                   addr->name.data, addr->name.len, 1);

    server->addrs = addr;
    server->naddrs = 1;

    return NGX_OK;
}
