
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_canary_state_path.h"

#include "canary_state_file.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_control.h"


/*
 * nginx makes the directories of a configuration, and gives them to the worker
 * user, whatever is there, and even if it only tests.  So what is there is
 * looked at before.
 */


static ngx_int_t ngx_canary_default_path(ngx_conf_t *cf,
    ngx_canary_main_conf_t *cmcf, ngx_str_t *name);
static ngx_int_t ngx_canary_look_at_state(ngx_conf_t *cf, ngx_path_t *path);
static ngx_int_t ngx_canary_look_for_parent(ngx_conf_t *cf, ngx_path_t *path);
static char *ngx_canary_file_kind(ngx_uint_t mode);
static ngx_int_t ngx_canary_look_into_state(ngx_conf_t *cf, ngx_path_t *path);
static ngx_int_t ngx_canary_refuse_state(ngx_conf_t *cf,
    ngx_path_t *path, ngx_err_t err, char *why);


char *
ngx_canary_state_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_canary_main_conf_t  *cmcf = conf;

    ngx_str_t  *value;

    if (cmcf->state_path) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "is empty, it must be the path of a directory";
    }

    cmcf->state_path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (cmcf->state_path == NULL) {
        return NGX_CONF_ERROR;
    }

    cmcf->state_path->name = value[1];
    cmcf->state_path->conf_file = cf->conf_file->file.name.data;
    cmcf->state_path->line = cf->conf_file->line;

    return NGX_CONF_OK;
}


/*
 * The directory is also what makes nginx start its helper process, in which
 * the control loop runs.
 */

ngx_int_t
ngx_canary_add_state_path(ngx_conf_t *cf, ngx_canary_main_conf_t *cmcf)
{
    ngx_path_t  *path;
    ngx_uint_t   npaths;

    path = cmcf->state_path;

    if (path == NULL) {
        path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
        if (path == NULL) {
            return NGX_ERROR;
        }

        if (ngx_canary_default_path(cf, cmcf, &path->name) != NGX_OK) {
            return NGX_ERROR;
        }

        cmcf->state_path = path;
    }

    if (path->name.len > 1 && path->name.data[path->name.len - 1] == '/') {
        path->name.data[--path->name.len] = '\0';
    }

    if (ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK
        || ngx_canary_look_at_state(cf, path) != NGX_OK)
    {
        return NGX_ERROR;
    }

    path->manager = ngx_canary_manager;
    path->data = cmcf;

    npaths = cf->cycle->paths.nelts;

    if (ngx_add_path(cf, &cmcf->state_path) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a test neither makes it nor takes it from the workers that use it */

    if (ngx_test_config) {
        cf->cycle->paths.nelts = npaths;
    }

    return NGX_OK;
}


/*
 * Beside the temporary paths, where nginx may write and packages keep what is
 * to stay.  It was "canary" in the prefix before: what is there and not here
 * is read, or stays there as long as another process writes it.
 */

static ngx_int_t
ngx_canary_default_path(ngx_conf_t *cf, ngx_canary_main_conf_t *cmcf,
    ngx_str_t *name)
{
    u_char                  *p;
    ngx_str_t                former;
    canary_state_file_id_t   id;

    static u_char  beside[] = NGX_HTTP_CLIENT_TEMP_PATH;

    for (p = beside + sizeof(beside) - 1; p > beside; p--) {
        if (p[-1] == '/') {
            break;
        }
    }

    name->len = p - beside + sizeof("canary") - 1;
    name->data = ngx_pnalloc(cf->pool, name->len + 1);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(name->data, "%*scanary%Z", (size_t) (p - beside),
                       beside);

    ngx_str_set(&former, "canary");

    if (ngx_conf_full_name(cf->cycle, name, 0) != NGX_OK
        || ngx_conf_full_name(cf->cycle, &former, 0) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_strcmp(name->data, former.data) == 0
        || canary_state_file_stat((char *) name->data, &id) != 0
        || canary_state_file_stat((char *) former.data, &id) != 1)
    {
        return NGX_OK;
    }

    if (canary_state_file_locked((char *) former.data)) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "canary: the state stays in \"%V\" while another "
                      "process writes it there, and moves to \"%V\", the "
                      "default of canary_state_path, at a restart",
                      &former, name);
        *name = former;

    } else {
        cmcf->former_path = former;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_canary_look_at_state(ngx_conf_t *cf, ngx_path_t *path)
{
    ngx_err_t        err;
    ngx_file_info_t  fi;

    if (ngx_file_info(path->name.data, &fi) == NGX_FILE_ERROR) {
        err = ngx_errno;

        if (err != NGX_ENOENT) {
            return ngx_canary_refuse_state(cf, path, err,
                                                "cannot be looked at");
        }

        if (ngx_link_info(path->name.data, &fi) != NGX_FILE_ERROR) {
            return ngx_canary_refuse_state(cf, path, 0,
                                                "is a link to nothing");
        }

        return ngx_canary_look_for_parent(cf, path);
    }

    if (!ngx_is_dir(&fi)) {
        return ngx_canary_refuse_state(cf, path, 0,
                                     ngx_canary_file_kind(fi.st_mode));
    }

    /* nobody else can give away what is not theirs */

    return (geteuid() == 0) ? ngx_canary_look_into_state(cf, path)
                            : NGX_OK;
}


/* nginx makes no more than the last of the directories */

static ngx_int_t
ngx_canary_look_for_parent(ngx_conf_t *cf, ngx_path_t *path)
{
    u_char          *parent;
    size_t           len;
    ngx_file_info_t  fi;

    for (len = path->name.len; len > 1; len--) {
        if (path->name.data[len - 1] == '/') {
            break;
        }
    }

    parent = ngx_pnalloc(cf->temp_pool, len + 1);
    if (parent == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(parent, path->name.data, len);
    parent[len] = '\0';

    if (ngx_file_info(parent, &fi) == NGX_FILE_ERROR) {
        return ngx_canary_refuse_state(cf, path, ngx_errno,
                              "is in a directory that cannot be looked at");
    }

    return NGX_OK;
}


static char *
ngx_canary_file_kind(ngx_uint_t mode)
{
    switch (mode & S_IFMT) {

    case S_IFREG:
        return "is a file";

    case S_IFIFO:
        return "is a FIFO";

    case S_IFSOCK:
        return "is a socket";

    default:
        return "is a device";
    }
}


/* a directory of ours, or an empty one, which a file system may be in */

static ngx_int_t
ngx_canary_look_into_state(ngx_conf_t *cf, ngx_path_t *path)
{
    u_char     *name;
    ngx_dir_t   dir;
    ngx_uint_t  others;

    if (ngx_open_dir(&path->name, &dir) == NGX_ERROR) {
        return ngx_canary_refuse_state(cf, path, ngx_errno,
                                            "cannot be looked into");
    }

    others = 0;

    while (ngx_read_dir(&dir) == NGX_OK) {
        name = ngx_de_name(&dir);

        if (canary_state_file_is_ours((char *) name)) {
            others = 0;
            break;
        }

        others |= (ngx_strcmp(name, ".") != 0 && ngx_strcmp(name, "..") != 0
                   && ngx_strcmp(name, "lost+found") != 0);
    }

    (void) ngx_close_dir(&dir);

    return others ? ngx_canary_refuse_state(cf, path, 0,
                                            "is a directory of other files")
                  : NGX_OK;
}


static ngx_int_t
ngx_canary_refuse_state(ngx_conf_t *cf, ngx_path_t *path, ngx_err_t err,
    char *why)
{
    u_char  place[NGX_MAX_CONF_ERRSTR];

    place[0] = '\0';

    if (path->conf_file) {
        ngx_snprintf(place, sizeof(place), " in %s:%ui%Z", path->conf_file,
                     path->line);
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, err,
                  "\"%V\" of canary_state_path %s, it must be a directory "
                  "for the state alone, or not be there yet%s",
                  &path->name, why, place);

    return NGX_ERROR;
}
