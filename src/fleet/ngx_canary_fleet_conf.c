
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_fleet_conf.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_fleet.h"


/*
 * The directive:
 *
 *     canary_fleet name address [parameter=value ...] [resolve]
 */


#define NGX_CANARY_FLEET_TIMEOUT      500      /* ms */
#define NGX_CANARY_FLEET_TIMEOUT_MIN  200
#define NGX_CANARY_FLEET_TIMEOUT_MAX  5000

#define ngx_canary_fleet_arg(name)                                            \
    { ngx_string(#name), offsetof(ngx_canary_fleet_args_t, name) }


typedef struct {
    ngx_str_t  name;
    size_t     offset;
} ngx_canary_fleet_arg_t;


static ngx_int_t ngx_canary_fleet_args(ngx_conf_t *cf,
    ngx_canary_fleet_args_t *args);
static ngx_str_t *ngx_canary_fleet_find_arg(ngx_canary_fleet_args_t *args,
    ngx_str_t *name);
static ngx_int_t ngx_canary_fleet_unknown(ngx_conf_t *cf, ngx_str_t *value);
static ngx_int_t ngx_canary_fleet_names(ngx_conf_t *cf, ngx_str_t *node,
    ngx_canary_fleet_conf_t *conf);
static ngx_uint_t ngx_canary_fleet_is_name(ngx_str_t *name);
static ngx_int_t ngx_canary_fleet_rest(ngx_conf_t *cf,
    ngx_canary_fleet_args_t *args, ngx_canary_fleet_conf_t *conf);
static ngx_int_t ngx_canary_fleet_timeout(ngx_conf_t *cf, ngx_str_t *value,
    ngx_msec_t *timeout);
static ngx_int_t ngx_canary_fleet_secrets(ngx_conf_t *cf,
    ngx_canary_fleet_args_t *args, ngx_canary_fleet_conf_t *conf);
static ngx_uint_t ngx_canary_fleet_is_near(ngx_canary_fleet_conf_t *conf);
static ngx_uint_t ngx_canary_fleet_is_loopback(struct sockaddr *sockaddr);


static const ngx_canary_fleet_arg_t  ngx_canary_fleet_known[] = {
    ngx_canary_fleet_arg(node),
    ngx_canary_fleet_arg(password_file),
    ngx_canary_fleet_arg(key_file),
    ngx_canary_fleet_arg(trusted_certificate),
    ngx_canary_fleet_arg(certificate),
    ngx_canary_fleet_arg(certificate_key),
    ngx_canary_fleet_arg(server_name),
    ngx_canary_fleet_arg(timeout),
    ngx_canary_fleet_arg(node_tests),
    ngx_canary_fleet_arg(resolve),
    { ngx_null_string, 0 }
};


char *
ngx_canary_fleet_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_canary_main_conf_t  *cmcf = conf;

    ngx_str_t                *value;
    ngx_uint_t                tls;
    ngx_canary_fleet_args_t   args;
    ngx_canary_fleet_conf_t  *fleet;

    if (cmcf->fleet) {
        return "is duplicate";
    }

    fleet = ngx_pcalloc(cf->pool, sizeof(ngx_canary_fleet_conf_t));
    if (fleet == NULL) {
        return NGX_CONF_ERROR;
    }

    cmcf->fleet = fleet;
    value = cf->args->elts;
    fleet->name = value[1];

    if (ngx_canary_fleet_args(cf, &args) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    fleet->resolve = (args.resolve.data != NULL);

    if (ngx_canary_fleet_names(cf, &args.node, fleet) != NGX_OK
        || ngx_canary_fleet_address(cf, &value[2], fleet, &tls) != NGX_OK
        || ngx_canary_fleet_rest(cf, &args, fleet) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (tls) {
        return (ngx_canary_fleet_tls(cf, &args, &fleet->redis) == NGX_OK)
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (args.trusted_certificate.data || args.certificate.data
        || args.certificate_key.data || args.server_name.data)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "certificates and \"server_name\" of "
                           "\"canary_fleet\" are for an address that begins "
                           "with \"rediss://\"");
        return NGX_CONF_ERROR;
    }

    if (fleet->redis.password.len && !ngx_canary_fleet_is_near(fleet)) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "the password of \"canary_fleet\" goes over the "
                           "network in plain text, \"rediss://\" would "
                           "encrypt it");
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_canary_fleet_args(ngx_conf_t *cf, ngx_canary_fleet_args_t *args)
{
    u_char      *equals;
    ngx_str_t   *value, *known, name;
    ngx_uint_t   i;

    ngx_memzero(args, sizeof(ngx_canary_fleet_args_t));

    value = cf->args->elts;

    for (i = 3; i < cf->args->nelts; i++) {
        name = value[i];

        equals = ngx_strlchr(name.data, name.data + name.len, '=');
        if (equals) {
            name.len = equals - name.data;
        }

        known = ngx_canary_fleet_find_arg(args, &name);

        /* resolve is the only one without a value */

        if (known == NULL || (known == &args->resolve) != (equals == NULL)) {
            return ngx_canary_fleet_unknown(cf, &name);
        }

        if (known->data) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\" of "
                               "\"canary_fleet\"", &name);
            return NGX_ERROR;
        }

        *known = name;

        if (equals) {
            known->data = equals + 1;
            known->len = value[i].data + value[i].len - known->data;
        }

        if (known->len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "parameter \"%V\" of \"canary_fleet\" is "
                               "empty, it must have a value or not be there",
                               &name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_str_t *
ngx_canary_fleet_find_arg(ngx_canary_fleet_args_t *args, ngx_str_t *name)
{
    const ngx_canary_fleet_arg_t  *arg;

    for (arg = ngx_canary_fleet_known; arg->name.len; arg++) {

        if (arg->name.len == name->len
            && ngx_strncmp(arg->name.data, name->data, name->len) == 0)
        {
            return (ngx_str_t *) ((u_char *) args + arg->offset);
        }
    }

    return NULL;
}


static ngx_int_t
ngx_canary_fleet_unknown(ngx_conf_t *cf, ngx_str_t *value)
{
    u_char                        *last, known[256];
    const ngx_canary_fleet_arg_t  *arg;

    last = known;

    for (arg = ngx_canary_fleet_known; arg[1].name.len; arg++) {
        last = ngx_slprintf(last, known + sizeof(known), "\"%V=\", ",
                            &arg->name);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" of \"canary_fleet\", it must "
                       "be one of %*s\"%V\"",
                       value, (size_t) (last - known), known, &arg->name);

    return NGX_ERROR;
}


static ngx_int_t
ngx_canary_fleet_names(ngx_conf_t *cf, ngx_str_t *node,
    ngx_canary_fleet_conf_t *conf)
{
    if (!ngx_canary_fleet_is_name(&conf->name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" of a fleet, it must be at "
                           "most %d of the characters A-Z a-z 0-9 . _ -",
                           &conf->name, NGX_CANARY_FLEET_NAME);
        return NGX_ERROR;
    }

    conf->node = *node;

    if (node->data == NULL
        || (node->len == sizeof("$hostname") - 1
            && ngx_strncmp(node->data, "$hostname", node->len) == 0))
    {
        conf->node = cf->cycle->hostname;
    }

    if (!ngx_canary_fleet_is_name(&conf->node)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" of a node, \"node=\" of "
                           "\"canary_fleet\" must be at most %d of the "
                           "characters A-Z a-z 0-9 . _ -, or $hostname",
                           &conf->node, NGX_CANARY_FLEET_NAME);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_canary_fleet_is_name(ngx_str_t *name)
{
    u_char      c;
    ngx_uint_t  i;

    if (name->len == 0 || name->len > NGX_CANARY_FLEET_NAME) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_canary_fleet_rest(ngx_conf_t *cf, ngx_canary_fleet_args_t *args,
    ngx_canary_fleet_conf_t *conf)
{
    ngx_str_t  *value;

    value = &args->node_tests;
    conf->node_tests = 1;

    if (value->data) {
        if (value->len == 3 && ngx_strncmp(value->data, "off", 3) == 0) {
            conf->node_tests = 0;

        } else if (value->len != 2 || ngx_strncmp(value->data, "on", 2) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" of \"node_tests=\", it "
                               "must be \"on\" or \"off\"", value);
            return NGX_ERROR;
        }
    }

    if (ngx_canary_fleet_timeout(cf, &args->timeout, &conf->redis.timeout)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_canary_fleet_secrets(cf, args, conf);
}


static ngx_int_t
ngx_canary_fleet_timeout(ngx_conf_t *cf, ngx_str_t *value, ngx_msec_t *timeout)
{
    ngx_int_t  n;

    if (value->data == NULL) {
        *timeout = NGX_CANARY_FLEET_TIMEOUT;
        return NGX_OK;
    }

    n = ngx_parse_time(value, 0);

    if (n == NGX_ERROR || n < NGX_CANARY_FLEET_TIMEOUT_MIN
        || n > NGX_CANARY_FLEET_TIMEOUT_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"timeout=\" of "
                           "\"canary_fleet\", it must be a time from 200ms "
                           "to 5s", value);
        return NGX_ERROR;
    }

    *timeout = (ngx_msec_t) n;

    return NGX_OK;
}


static ngx_int_t
ngx_canary_fleet_secrets(ngx_conf_t *cf, ngx_canary_fleet_args_t *args,
    ngx_canary_fleet_conf_t *conf)
{
    ngx_str_t  *password;

    password = &conf->redis.password;

    if ((args->password_file.data
         && ngx_canary_fleet_secret(cf, &args->password_file, password)
            != NGX_OK)
        || (args->key_file.data
            && ngx_canary_fleet_keys(cf, &args->key_file, conf) != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (conf->redis.user.len && password->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "user \"%V\" of \"canary_fleet\" has no password, "
                           "\"password_file=\" must name the file that has "
                           "it", &conf->redis.user);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* names that are looked up later may be anywhere */

static ngx_uint_t
ngx_canary_fleet_is_near(ngx_canary_fleet_conf_t *conf)
{
    ngx_uint_t                  i, j;
    ngx_canary_redis_server_t  *servers;

    servers = conf->redis.servers.elts;

    for (i = 0; i < conf->redis.servers.nelts; i++) {

        if (servers[i].naddrs == 0) {
            return 0;
        }

        for (j = 0; j < servers[i].naddrs; j++) {
            if (!ngx_canary_fleet_is_loopback(servers[i].addrs[j].sockaddr)) {
                return 0;
            }
        }
    }

    return 1;
}


static ngx_uint_t
ngx_canary_fleet_is_loopback(struct sockaddr *sockaddr)
{
    struct sockaddr_in  *sin;
#if (NGX_HAVE_INET6)
    struct in6_addr     *addr;
#endif

    switch (sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sockaddr;
        return (ntohl(sin->sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        addr = &((struct sockaddr_in6 *) sockaddr)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(addr)
               || (IN6_IS_ADDR_V4MAPPED(addr)
                   && addr->s6_addr[12] == IN_LOOPBACKNET);
#endif

    default: /* AF_UNIX */
        return 1;
    }
}


ngx_int_t
ngx_canary_fleet_resolver(ngx_conf_t *cf, ngx_canary_main_conf_t *cmcf,
    ngx_resolver_t *resolver, ngx_msec_t timeout)
{
    ngx_canary_fleet_conf_t  *fleet;

    fleet = cmcf->fleet;

    if (fleet == NULL || !fleet->resolve) {
        return NGX_OK;
    }

    /* nginx makes one that can ask nobody where none is configured */

    if (resolver == NULL || resolver->connections.nelts == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"resolve\" of \"canary_fleet\" needs the directive "
                      "\"resolver\" in http{}");
        return NGX_ERROR;
    }

    fleet->redis.resolver = resolver;
    fleet->redis.resolver_timeout = timeout;

    return NGX_OK;
}
