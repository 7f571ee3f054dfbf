
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_canary_fleet_conf.h"


/* What rediss:// is made with.  Certificates and names are always verified. */


#if (NGX_SSL)

#define NGX_CANARY_TLS_DEPTH  9            /* certificates of a chain */


static ngx_int_t ngx_canary_fleet_own_certificate(ngx_conf_t *cf,
    ngx_canary_fleet_args_t *args, ngx_ssl_t *ssl);


ngx_int_t
ngx_canary_fleet_tls(ngx_conf_t *cf, ngx_canary_fleet_args_t *args,
    ngx_canary_redis_conf_t *conf)
{
    ngx_ssl_t           *ssl;
    ngx_pool_cleanup_t  *cln;

    if (args->trusted_certificate.data == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"rediss://\" of \"canary_fleet\" needs "
                           "\"trusted_certificate=\", the file with the "
                           "certificates that Redis' is verified with");
        return NGX_ERROR;
    }

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ssl == NULL) {
        return NGX_ERROR;
    }

    ssl->log = cf->log;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    if (ngx_ssl_trusted_certificate(cf, ssl, &args->trusted_certificate,
                                    NGX_CANARY_TLS_DEPTH)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    conf->ssl = ssl;

    if (args->server_name.data) {
        conf->server_name = args->server_name;
    }

    return ngx_canary_fleet_own_certificate(cf, args, ssl);
}


static ngx_int_t
ngx_canary_fleet_own_certificate(ngx_conf_t *cf, ngx_canary_fleet_args_t *args,
    ngx_ssl_t *ssl)
{
    if (args->certificate.data == NULL && args->certificate_key.data == NULL) {
        return NGX_OK;
    }

    if (args->certificate.data == NULL || args->certificate_key.data == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"certificate=\" and \"certificate_key=\" of "
                           "\"canary_fleet\" must be there both");
        return NGX_ERROR;
    }

    return ngx_ssl_certificate(cf, ssl, &args->certificate,
                               &args->certificate_key, NULL);
}

#else

ngx_int_t
ngx_canary_fleet_tls(ngx_conf_t *cf, ngx_canary_fleet_args_t *args,
    ngx_canary_redis_conf_t *conf)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"rediss://\" of \"canary_fleet\" needs nginx to be "
                       "built with TLS (--with-http_ssl_module), and this one "
                       "was not");
    return NGX_ERROR;
}

#endif
