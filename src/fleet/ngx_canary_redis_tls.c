
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_canary_redis.h"

#include "ngx_canary_redis_connection.h"


/* TLS of a connection. */


#if (NGX_SSL)

#include <openssl/x509v3.h>


static void ngx_canary_redis_shaken(ngx_connection_t *c);
static ngx_int_t ngx_canary_redis_verify(ngx_canary_redis_t *redis,
    ngx_connection_t *c, ngx_str_t *name);
static ngx_str_t *ngx_canary_redis_name(ngx_canary_redis_t *redis);
static ngx_uint_t ngx_canary_redis_is_address(ngx_str_t *name);
static ngx_int_t ngx_canary_redis_check_address(ngx_connection_t *c,
    ngx_str_t *name);


void
ngx_canary_redis_handshake(ngx_canary_redis_t *redis)
{
    ngx_int_t          rc;
    ngx_str_t         *name;
    ngx_connection_t  *c;

    u_char  text[NGX_CANARY_REDIS_ERROR];

    c = redis->peer.connection;
    name = ngx_canary_redis_name(redis);

    if (ngx_ssl_create_connection(redis->conf->ssl, c, NGX_SSL_CLIENT)
        != NGX_OK)
    {
        ngx_canary_redis_failed(redis, "TLS cannot be begun");
        return;
    }

    if (!ngx_canary_redis_is_address(name)) {
        (void) ngx_cpystrn(text, name->data,
                           ngx_min(name->len + 1, sizeof(text)));

        if (SSL_set_tlsext_host_name(c->ssl->connection, (char *) text) == 0) {
            ngx_canary_redis_failed(redis, "its name cannot be asked for");
            return;
        }
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_canary_redis_shaken;
        return;
    }

    ngx_canary_redis_shaken(c);
}


static void
ngx_canary_redis_shaken(ngx_connection_t *c)
{
    ngx_canary_redis_t  *redis;

    redis = c->data;

    if (!c->ssl->handshaked) {
        ngx_canary_redis_failed(redis, "the TLS handshake failed");
        return;
    }

    if (ngx_canary_redis_verify(redis, c, ngx_canary_redis_name(redis))
        != NGX_OK)
    {
        return;
    }

    c->read->handler = ngx_canary_redis_read;
    c->write->handler = ngx_canary_redis_write;

    ngx_canary_redis_greet(redis);
}


static ngx_int_t
ngx_canary_redis_verify(ngx_canary_redis_t *redis, ngx_connection_t *c,
    ngx_str_t *name)
{
    long       rc;
    ngx_int_t  matches;

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_canary_redis_failed(redis, "its certificate cannot be verified: "
                                "%s", X509_verify_cert_error_string(rc));
        return NGX_ERROR;
    }

    matches = ngx_canary_redis_is_address(name)
              ? ngx_canary_redis_check_address(c, name)
              : ngx_ssl_check_host(c, name);

    if (matches != NGX_OK) {
        ngx_canary_redis_failed(redis, "its certificate is not of \"%V\"",
                                name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_str_t *
ngx_canary_redis_name(ngx_canary_redis_t *redis)
{
    return redis->conf->server_name.len ? &redis->conf->server_name
                                        : &ngx_canary_redis_server(redis)->host;
}


static ngx_uint_t
ngx_canary_redis_is_address(ngx_str_t *name)
{
#if (NGX_HAVE_INET6)
    u_char  inet6[16];

    if (ngx_inet6_addr(name->data, name->len, inet6) == NGX_OK) {
        return 1;
    }
#endif

    return ngx_inet_addr(name->data, name->len) != INADDR_NONE;
}


static ngx_int_t
ngx_canary_redis_check_address(ngx_connection_t *c, ngx_str_t *name)
{
    int     rc;
    X509   *cert;
    u_char  text[NGX_SOCKADDR_STRLEN];

    cert = SSL_get1_peer_certificate(c->ssl->connection);
    if (cert == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(text, name->data, ngx_min(name->len + 1, sizeof(text)));

    rc = X509_check_ip_asc(cert, (char *) text, 0);

    X509_free(cert);

    return (rc == 1) ? NGX_OK : NGX_ERROR;
}

#else

void
ngx_canary_redis_handshake(ngx_canary_redis_t *redis)
{
    ngx_canary_redis_failed(redis, "nginx has no TLS");
}

#endif
