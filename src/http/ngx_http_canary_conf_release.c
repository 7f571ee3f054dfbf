
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "canary_event.h"
#include "canary_text.h"

#include "ngx_canary_endpoint.h"

#include "ngx_http_canary_choice.h"
#include "ngx_http_canary_conf.h"
#include "ngx_http_canary_failure.h"


/* canary_release: what makes an upstream{} an endpoint. */


static ngx_int_t ngx_http_canary_release_parameter(ngx_conf_t *cf,
    ngx_canary_endpoint_t *endpoint, ngx_canary_release_t *release,
    ngx_str_t *parameter);
static ngx_int_t ngx_http_canary_release_number(ngx_conf_t *cf,
    ngx_str_t *parameter, ngx_canary_release_t *release);
static ngx_canary_endpoint_t *ngx_http_canary_create_endpoint(
    ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_canary_add_placeholder(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_canary_check_name(ngx_conf_t *cf, const char *what,
    ngx_str_t *name);
static char *ngx_http_canary_check_release(ngx_conf_t *cf,
    ngx_canary_endpoint_t *endpoint, ngx_canary_release_t *release);


static const ngx_canary_shell_t       ngx_http_canary_shell = {
    "http", ngx_http_canary_describe, ngx_http_canary_attempt_key,
    ngx_http_canary_attempt_is_set
};


char *
ngx_http_canary_add_release(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_canary_srv_conf_t  *cscf = conf;

    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_canary_release_t          *release;
    ngx_canary_endpoint_t         *endpoint;
    ngx_http_upstream_srv_conf_t  *uscf;

    ngx_http_canary_note_directive(cf, cscf);

    if (cscf->endpoint == NULL) {
        uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

        if (uscf->peer.init_upstream) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"canary_release\" cannot be combined with "
                               "load balancing directives in one upstream, "
                               "put them into the upstreams of the releases");
            return NGX_CONF_ERROR;
        }

        cscf->endpoint = ngx_http_canary_create_endpoint(cf, uscf);
        if (cscf->endpoint == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    endpoint = cscf->endpoint;

    if (endpoint->releases.nelts == NGX_CANARY_RELEASES_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many releases in upstream \"%V\", "
                           "at most %d are possible",
                           &endpoint->name, NGX_CANARY_RELEASES_MAX);
        return NGX_CONF_ERROR;
    }

    release = ngx_array_push(&endpoint->releases);
    if (release == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(release, sizeof(ngx_canary_release_t));

    value = cf->args->elts;

    release->name = value[1];
    release->upstream_name = value[2];
    release->number = endpoint->releases.nelts;
    release->file = cf->conf_file->file.name.data;
    release->line = cf->conf_file->line;

    for (i = 3; i < cf->args->nelts; i++) {
        if (ngx_http_canary_release_parameter(cf, endpoint, release, &value[i])
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_canary_check_release(cf, endpoint, release);
}


static ngx_int_t
ngx_http_canary_release_parameter(ngx_conf_t *cf,
    ngx_canary_endpoint_t *endpoint, ngx_canary_release_t *release,
    ngx_str_t *parameter)
{
    ngx_canary_release_t  *releases;

    if (ngx_strncmp(parameter->data, "id=", 3) == 0) {
        return ngx_http_canary_release_number(cf, parameter, release);
    }

    if (ngx_strcmp(parameter->data, "stable") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"canary_release\", "
                           "it must be \"id=number\" or \"stable\"",
                           parameter);
        return NGX_ERROR;
    }

    releases = endpoint->releases.elts;

    if (endpoint->marked) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "release \"%V\" is \"stable\", as \"%V\" in %s:%ui "
                           "is, it can be only one in upstream \"%V\"",
                           &release->name, &releases[endpoint->first].name,
                           releases[endpoint->first].file,
                           releases[endpoint->first].line, &endpoint->name);
        return NGX_ERROR;
    }

    endpoint->marked = 1;
    endpoint->first = release - releases;

    return NGX_OK;
}


static ngx_int_t
ngx_http_canary_release_number(ngx_conf_t *cf, ngx_str_t *parameter,
    ngx_canary_release_t *release)
{
    ngx_int_t  n;

    n = ngx_atoi(parameter->data + 3, parameter->len - 3);

    if (n == NGX_ERROR || n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid id in \"%V\", it must be a whole number "
                           "above 0", parameter);
        return NGX_ERROR;
    }

    release->number = n;

    return NGX_OK;
}


static ngx_canary_endpoint_t *
ngx_http_canary_create_endpoint(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_canary_endpoint_t   *endpoint, **place;
    ngx_canary_main_conf_t  *cmcf;

    if (ngx_http_canary_check_name(cf, "endpoint", &uscf->host) != NGX_OK) {
        return NULL;
    }

    endpoint = ngx_pcalloc(cf->pool, sizeof(ngx_canary_endpoint_t));
    if (endpoint == NULL) {
        return NULL;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_canary_module);

    endpoint->main = cmcf;
    endpoint->name = uscf->host;
    endpoint->shell = &ngx_http_canary_shell;

    ngx_queue_init(&endpoint->writes);

    if (ngx_array_init(&endpoint->releases, cf->pool, 2,
                       sizeof(ngx_canary_release_t))
        != NGX_OK)
    {
        return NULL;
    }

    uscf->peer.init_upstream = ngx_http_canary_init_upstream;

    if (ngx_http_canary_add_placeholder(cf, uscf) != NGX_OK) {
        return NULL;
    }

    place = ngx_array_push(&cmcf->endpoints);
    if (place == NULL) {
        return NULL;
    }

    *place = endpoint;

    return endpoint;
}


/*
 * nginx refuses an upstream{} without a server.  The placeholder has an
 * address, since a balancing directive after canary_release would look for
 * one before ngx_http_canary_check_upstreams() can refuse the directive; it
 * is taken out there and never used.
 */

static ngx_int_t
ngx_http_canary_add_placeholder(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_url_t                    u;
    ngx_http_upstream_server_t  *server;

    server = ngx_array_push(uscf->servers);
    if (server == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(server, sizeof(ngx_http_upstream_server_t));
    ngx_memzero(&u, sizeof(ngx_url_t));

    ngx_str_set(&u.url, "127.0.0.1:9");

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        return NGX_ERROR;
    }

    server->name = u.url;
    server->addrs = u.addrs;
    server->naddrs = u.naddrs;
    server->weight = 1;
    server->down = 1;

    return NGX_OK;
}


/* What is wrong with it is not to be done to the log. */

static ngx_int_t
ngx_http_canary_check_name(ngx_conf_t *cf, const char *what, ngx_str_t *name)
{
    u_char       shown[CANARY_NAME_SIZE], *p, *last;
    size_t       i;
    const char  *bad;

    bad = canary_text_bad_name((char *) name->data, name->len);

    if (bad == NULL) {
        return NGX_OK;
    }

    p = shown;
    last = shown + sizeof(shown);

    for (i = 0; i < name->len; i++) {
        p = (name->data[i] < 0x20 || name->data[i] >= 0x7f)
            ? ngx_slprintf(p, last, "\\x%02Xd", name->data[i])
            : ngx_slprintf(p, last, "%c", name->data[i]);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "the name of the %s \"%*s\" %s",
                       what, (size_t) (p - shown), shown, bad);

    return NGX_ERROR;
}


static char *
ngx_http_canary_check_release(ngx_conf_t *cf,
    ngx_canary_endpoint_t *endpoint, ngx_canary_release_t *release)
{
    u_char                *p, *last;
    ngx_uint_t             i;
    ngx_canary_release_t  *releases;

    if (release->name.len
        && ngx_http_canary_check_name(cf, "release", &release->name)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    last = release->name.data + release->name.len;

    for (p = release->name.data; p < last; p++) {
        if (*p <= 0x20 || *p == 0x7f || *p == '"' || *p == '\\') {
            break;
        }
    }

    if (p < last || release->name.len == 0
        || release->name.len >= CANARY_NAME_SIZE)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid release name \"%V\", it must have 1 to "
                           "%d characters, without spaces, quotes and "
                           "backslashes",
                           &release->name, CANARY_NAME_SIZE - 1);
        return NGX_CONF_ERROR;
    }

    releases = endpoint->releases.elts;

    for (i = 0; i < endpoint->releases.nelts - 1; i++) {

        if (releases[i].name.len == release->name.len
            && ngx_memcmp(releases[i].name.data, release->name.data,
                          release->name.len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate release \"%V\" in upstream \"%V\", "
                               "the first is in %s:%ui",
                               &release->name, &endpoint->name,
                               releases[i].file, releases[i].line);
            return NGX_CONF_ERROR;
        }

        if (releases[i].number == release->number) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "release \"%V\" has the id %ui of release "
                               "\"%V\", set another one with \"id=\"",
                               &release->name, release->number,
                               &releases[i].name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}
