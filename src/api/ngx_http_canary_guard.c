
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_guard.h"

#include "ngx_http_canary_conf.h"
#include "ngx_http_canary_dialect.h"


/*
 * Modules keep their configurations to themselves, but not what these begin
 * with: that has been the same for as long as there are dynamic modules.
 */


typedef struct {
    ngx_array_t               *rules[1
#if (NGX_HAVE_INET6)
                                     + 1
#endif
#if (NGX_HAVE_UNIX_DOMAIN)
                                     + 1
#endif
                                    ];
} ngx_http_canary_access_conf_t;


typedef struct {
    ngx_str_t                  uri;
} ngx_http_canary_request_conf_t;


static ngx_uint_t ngx_http_canary_guarded(ngx_conf_t *cf);
static void *ngx_http_canary_loc_conf_of(ngx_conf_t *cf, char *name);
static ngx_uint_t ngx_http_canary_by_address(
    ngx_http_canary_access_conf_t *access);
static ngx_uint_t ngx_http_canary_by_user(ngx_http_canary_basic_conf_t *basic);
static ngx_uint_t ngx_http_canary_by_certificate(ngx_conf_t *cf);


void
ngx_http_canary_check_guard(ngx_conf_t *cf, ngx_http_canary_loc_conf_t *lcf)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (!lcf->write || lcf->tokens || ngx_http_canary_guarded(cf)) {
        return;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "\"%s write=on\" in location \"%V\" lets everybody who "
                  "reaches it move traffic: it should have "
                  "\"canary_api_tokens\", \"allow\" and \"deny\", "
                  "\"auth_basic\", \"auth_request\" or "
                  "\"ssl_verify_client on\", in %s:%ui",
                  lcf->dialect->directive, &clcf->name, lcf->file, lcf->line);
}


static ngx_uint_t
ngx_http_canary_guarded(ngx_conf_t *cf)
{
    ngx_http_canary_request_conf_t  *request;

    request = ngx_http_canary_loc_conf_of(cf, "ngx_http_auth_request_module");

    return (request && request->uri.len)
           || ngx_http_canary_by_address(
                 ngx_http_canary_loc_conf_of(cf, "ngx_http_access_module"))
           || ngx_http_canary_by_user(
                 ngx_http_canary_loc_conf_of(cf, "ngx_http_auth_basic_module"))
           || ngx_http_canary_by_certificate(cf);
}


static void *
ngx_http_canary_loc_conf_of(ngx_conf_t *cf, char *name)
{
    ngx_module_t         *module;
    ngx_http_conf_ctx_t  *ctx;

    module = ngx_http_canary_find_module(cf, name);
    ctx = cf->ctx;

    return module ? ctx->loc_conf[module->ctx_index] : NULL;
}


static ngx_uint_t
ngx_http_canary_by_address(ngx_http_canary_access_conf_t *access)
{
    ngx_uint_t  i;

    for (i = 0; access && i < sizeof(access->rules) / sizeof(void *); i++) {
        if (access->rules[i]) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_canary_by_user(ngx_http_canary_basic_conf_t *basic)
{
    ngx_http_complex_value_t  *realm;

    if (basic == NULL || basic->realm == NULL || basic->user_file == 0) {
        return 0;
    }

    realm = basic->realm;

    return realm->lengths || realm->value.len != 3
           || ngx_strncmp(realm->value.data, "off", 3) != 0;
}


/* one that is only asked for keeps nobody out */

static ngx_uint_t
ngx_http_canary_by_certificate(ngx_conf_t *cf)
{
#if (NGX_HTTP_SSL)

    ngx_module_t             *module;
    ngx_http_conf_ctx_t      *ctx;
    ngx_http_ssl_srv_conf_t  *sscf;

    module = ngx_http_canary_find_module(cf, "ngx_http_ssl_module");
    ctx = cf->ctx;

    if (module) {
        sscf = ctx->srv_conf[module->ctx_index];

        return sscf->verify == 1;
    }

#endif

    return 0;
}
