
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef _NGX_CANARY_FLEET_CONF_H_INCLUDED_
#define _NGX_CANARY_FLEET_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_endpoint.h"
#include "ngx_canary_redis.h"


/* canary_fleet, as configured. */


#define NGX_CANARY_FLEET_NAME      63      /* bytes of a name at most */
#define NGX_CANARY_FLEET_KEYS_MAX  2


struct ngx_canary_fleet_conf_s {
    ngx_str_t                   name;
    ngx_str_t                   node;
    ngx_str_t                   keys[NGX_CANARY_FLEET_KEYS_MAX];
                                           /* the first signs, all verify */
    ngx_uint_t                  nkeys;     /* 0: nothing is signed */
    ngx_uint_t                  node_tests;
    ngx_uint_t                  resolve;
    ngx_canary_redis_conf_t     redis;
};


/* what the parameters say, as texts; data is NULL where there is none */

typedef struct {
    ngx_str_t                   node;
    ngx_str_t                   password_file;
    ngx_str_t                   key_file;
    ngx_str_t                   trusted_certificate;
    ngx_str_t                   certificate;
    ngx_str_t                   certificate_key;
    ngx_str_t                   server_name;
    ngx_str_t                   timeout;
    ngx_str_t                   node_tests;
    ngx_str_t                   resolve;
} ngx_canary_fleet_args_t;


/*
 * Parts of the directive.  All of them log what is wrong and what would be
 * right, and return NGX_ERROR then.
 */

/* redis://..., rediss://..., unix:...; *tls: whether TLS is asked for */
ngx_int_t ngx_canary_fleet_address(ngx_conf_t *cf, ngx_str_t *url,
    ngx_canary_fleet_conf_t *conf, ngx_uint_t *tls);

/* the only line of a file that nobody but its owner and group can read */
ngx_int_t ngx_canary_fleet_secret(ngx_conf_t *cf, ngx_str_t *file,
    ngx_str_t *secret);

/* one of them, or two */
ngx_int_t ngx_canary_fleet_keys(ngx_conf_t *cf, ngx_str_t *file,
    ngx_canary_fleet_conf_t *conf);

/* what certificates are verified with, and ours */
ngx_int_t ngx_canary_fleet_tls(ngx_conf_t *cf, ngx_canary_fleet_args_t *args,
    ngx_canary_redis_conf_t *conf);


#endif /* _NGX_CANARY_FLEET_CONF_H_INCLUDED_ */
