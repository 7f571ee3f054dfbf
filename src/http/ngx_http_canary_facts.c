
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_canary_facts.h"

#include "canary_outcome.h"


/*
 * What nginx knows of an attempt when it ends, and when its header comes; see
 * the core for what it means.
 */


static ngx_uint_t ngx_http_canary_client_left(ngx_http_request_t *r);
static ngx_uint_t ngx_http_canary_is_ours(ngx_http_request_t *r);
static ngx_uint_t ngx_http_canary_is_plain(ngx_http_upstream_t *u);
static ngx_uint_t ngx_http_canary_lacks_room(ngx_http_upstream_t *u);
static ngx_fd_t ngx_http_canary_try_file(ngx_path_t *path);
static ngx_uint_t ngx_http_canary_is_full(ngx_fd_t fd, off_t offset,
    off_t size);
static ngx_uint_t ngx_http_canary_resends(ngx_http_request_t *r);
static ngx_uint_t ngx_http_canary_cut_off(ngx_http_request_t *r);
static ngx_uint_t ngx_http_canary_has_grpc_type(ngx_http_request_t *r);


void
ngx_http_canary_facts(ngx_http_request_t *r, ngx_uint_t state,
    canary_facts_t *facts)
{
    ngx_int_t             grpc_status;
    ngx_connection_t     *c;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    c = u->peer.connection;

    ngx_memzero(facts, sizeof(canary_facts_t));

    facts->failed = (state & (NGX_PEER_FAILED|NGX_PEER_NEXT)) ? 1 : 0;
    facts->header = (u->state->header_time != (ngx_msec_t) -1);
    facts->connected = (c != NULL);
    facts->cached = u->peer.cached;
    facts->resent = facts->cached && ngx_http_canary_resends(r);
    facts->received = (u->state->bytes_received != 0);
    facts->timedout = c && (c->read->timedout || c->write->timedout);
    facts->client_gone = ngx_http_canary_client_left(r);
    facts->given_up = r->connection->timedout;
    facts->exiting = ngx_http_canary_cut_off(r);
    facts->grpc_status = -1;

    if (!facts->header) {
        return;
    }

    facts->status = ngx_http_canary_status(r);

    grpc_status = ngx_http_canary_grpc_status(r);

    facts->cancelled = (grpc_status == CANARY_GRPC_CANCELLED);

    /* a gRPC status in the header is all there is: no trailers follow */

    if (ngx_http_canary_has_grpc_type(r) && grpc_status == -1) {
        facts->grpc = 1;
        facts->grpc_status = (int) ngx_http_canary_grpc_code(
                                                   &u->headers_in.trailers);
    }
}


/*
 * A header that nginx's own filters refuse, as slice does that of another
 * version of a file, was not the release's to answer for, nor a body that they
 * break off.  A response in memory does not pass them.  Some keep the header
 * back until they have the body: it has passed them when "header_sent" is set.
 */

void
ngx_http_canary_facts_of_end(ngx_http_request_t *r, ngx_int_t rc,
    canary_facts_t *facts)
{
    facts->rc = (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : 0;
    facts->error = (rc == NGX_ERROR
                    && (r->subrequest_in_memory
                        || (r->upstream->header_sent
                            && !ngx_http_canary_is_ours(r))));
    facts->torn_down = (rc == NGX_DONE);
    facts->complete = (rc == NGX_OK);
}


/*
 * nginx marks the connection of a client that has left, and that of one whose
 * answer a filter broke off, in the same way.  Events tell of the former; that
 * may be one who has had the filter's own answer, as with image_filter.
 */

static ngx_uint_t
ngx_http_canary_client_left(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    if (!c->error) {
        return c->timedout && r->upstream->pipe
               && r->upstream->pipe->downstream_error;
    }

    if (r->filter_finalize) {
        return 0;
    }

#if (NGX_HTTP_V2)
    if (r->stream
        && (r->stream->out_closed || r->stream->rst_sent
            || r->stream->connection->connection->error))
    {
        return 1;
    }
#endif

    return c->read->eof || c->read->error || c->write->eof || c->write->error;
}


/*
 * Whether an error after the header was sent was nginx's own: of a filter of
 * the body, which may have answered by itself, or where nginx keeps what the
 * client has yet to get.  Of a response that has to be parsed the latter looks
 * as what is wrong with it does: whether there is room for it is asked then.
 */

static ngx_uint_t
ngx_http_canary_is_ours(ngx_http_request_t *r)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (r->connection->error || r->filter_finalize) {
        return 1;
    }

    return u->buffering && (ngx_http_canary_is_plain(u)
                            || ngx_http_canary_lacks_room(u));
}


/* a body that goes through as it is, whatever is in it */

static ngx_uint_t
ngx_http_canary_is_plain(ngx_http_upstream_t *u)
{
    ngx_uint_t     i;
    ngx_module_t  *module;

    for (i = 0; ngx_cycle->modules[i]; i++) {
        module = ngx_cycle->modules[i];

        if (u->output.tag == (ngx_buf_tag_t) module) {
            return (!u->headers_in.chunked
                    && ngx_strcmp(module->name, "ngx_http_proxy_module") == 0)
                   || ngx_strcmp(module->name, "ngx_http_uwsgi_module") == 0
                   || ngx_strcmp(module->name, "ngx_http_scgi_module") == 0;
        }
    }

    return 0;
}


/*
 * Whether nginx has no file for what is in its buffers: it writes when all of
 * them are in use, or at once for a cache.  If that fails it does not tell
 * why, so it is tried again.
 */

static ngx_uint_t
ngx_http_canary_lacks_room(ngx_http_upstream_t *u)
{
    off_t              size;
    ngx_fd_t           fd;
    ngx_uint_t         full;
    ngx_temp_file_t   *file;
    ngx_event_pipe_t  *p;

    p = u->pipe;
    file = p ? p->temp_file : NULL;

    if (file == NULL || !(p->cacheable || p->allocated == p->bufs.num)) {
        return 0;
    }

    size = (off_t) (u->conf->buffer_size + p->bufs.num * p->bufs.size);

    if (file->file.fd != NGX_INVALID_FILE) {
        return ngx_http_canary_is_full(file->file.fd, file->offset, size);
    }

    fd = ngx_http_canary_try_file(file->path);

    if (fd == NGX_INVALID_FILE) {
        return 1;
    }

    full = ngx_http_canary_is_full(fd, 0, size);

    (void) ngx_close_file(fd);

    return full;
}


/* of no name; there may be no descriptor, or no such directory */

static ngx_fd_t
ngx_http_canary_try_file(ngx_path_t *path)
{
    u_char    name[NGX_MAX_PATH];
    ngx_fd_t  fd;

    *ngx_snprintf(name, NGX_MAX_PATH - 1, "%V/canary.XXXXXX", &path->name)
        = '\0';

    fd = mkstemp((char *) name);

    if (fd != NGX_INVALID_FILE) {
        (void) ngx_delete_file(name);
    }

    return fd;
}


/* a disk, a quota, or the size that a file may have */

static ngx_uint_t
ngx_http_canary_is_full(ngx_fd_t fd, off_t offset, off_t size)
{
    int  err;

    err = posix_fallocate(fd, offset, size);

    return err == ENOSPC || err == EDQUOT || err == EFBIG;
}


/*
 * Whether nginx sends a request again whose kept connection was dead, as
 * ngx_http_upstream_next() is going to decide: the try does not count, all
 * else does.
 */

static ngx_uint_t
ngx_http_canary_resends(ngx_http_request_t *r)
{
    ngx_msec_t            timeout;
    ngx_uint_t            mask;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    mask = NGX_HTTP_UPSTREAM_FT_ERROR;
    timeout = u->conf->next_upstream_timeout;

    if (u->request_sent
        && (r->method & (NGX_HTTP_POST|NGX_HTTP_LOCK|NGX_HTTP_PATCH)))
    {
        mask |= NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT;
    }

    return (u->conf->next_upstream & mask) == mask
           && !(u->request_sent && r->request_body_no_buffering)
           && !(timeout && ngx_current_msec - u->peer.start_time >= timeout);
}


/*
 * Whether this process closes its connections, at a fast shutdown or when
 * worker_shutdown_timeout is over.  A worker that exits gracefully finishes
 * its requests, and they count like all others.
 */

static ngx_uint_t
ngx_http_canary_cut_off(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

#if (NGX_HTTP_V2)
    if (r->stream) {
        c = r->stream->connection->connection;
    }
#endif

    return ngx_terminate || (ngx_exiting && c->close);
}


ngx_int_t
ngx_http_canary_grpc_code(ngx_list_t *headers)
{
    ngx_int_t         status;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("grpc-status");

    part = &headers->part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return -1;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == name.len
            && ngx_strncasecmp(h[i].key.data, name.data, name.len) == 0)
        {
            break;
        }
    }

    status = ngx_atoi(h[i].value.data, h[i].value.len);

    /* not a number: a status that nobody can know, UNKNOWN */

    return (status == NGX_ERROR) ? 2 : status;
}


static ngx_uint_t
ngx_http_canary_has_grpc_type(ngx_http_request_t *r)
{
    ngx_table_elt_t  *type;

    type = r->upstream->headers_in.content_type;

    return ngx_http_canary_is_grpc(r)
           && type
           && type->value.len >= sizeof("application/grpc") - 1
           && ngx_strncasecmp(type->value.data, (u_char *) "application/grpc",
                              sizeof("application/grpc") - 1)
              == 0;
}
