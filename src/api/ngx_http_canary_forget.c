
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <cjson/cJSON.h>

#include "ngx_http_canary_forget.h"

#include "canary_fleet_nodes.h"
#include "canary_json.h"

#include "ngx_canary_endpoint.h"
#include "ngx_canary_fleet_look.h"
#include "ngx_canary_judge.h"

#include "ngx_http_canary_conf.h"

#include "ngx_http_canary_access.h"
#include "ngx_http_canary_answer.h"
#include "ngx_http_canary_api_fleet.h"
#include "ngx_http_canary_body.h"
#include "ngx_http_canary_refuse.h"


/*
 * A node is forgotten by the helper, which has the connection.  The request
 * waits for that, and looks at shared memory every few milliseconds.
 */


#define NGX_HTTP_CANARY_FORGET_POLL      10      /* ms */
#define NGX_HTTP_CANARY_FORGET_PATIENCE  5000    /* ms */


typedef struct {
    ngx_http_request_t      *request;
    ngx_canary_main_conf_t  *main;
    ngx_str_t                node;
    uint64_t                 number;       /* of what was asked for; 0: not
                                              yet, others come first */
    uint64_t                 deadline;     /* ms, monotonic */
    ngx_event_t              timer;
} ngx_http_canary_forget_t;


static void ngx_http_canary_forget_body(ngx_http_request_t *r,
    ngx_str_t *text);
static ngx_int_t ngx_http_canary_forget_begin(ngx_http_canary_forget_t *f);
static void ngx_http_canary_forget_cleanup(void *data);
static void ngx_http_canary_forget_timer(ngx_event_t *ev);
static ngx_int_t ngx_http_canary_forget_look(ngx_http_canary_forget_t *f);
static ngx_int_t ngx_http_canary_forget_answer(ngx_http_canary_forget_t *f,
    ngx_canary_forget_e state, uint64_t value);
static ngx_int_t ngx_http_canary_forgotten(ngx_http_request_t *r,
    uint64_t left);


ngx_int_t
ngx_http_canary_forget(ngx_http_request_t *r,
    ngx_http_canary_target_t *target)
{
    ngx_canary_main_conf_t   *cmcf;
    ngx_canary_fleet_self_t   self;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_canary_module);

    if (cmcf->zone == NULL
        || ngx_canary_fleet_self(cmcf->zone, &self) != NGX_OK)
    {
        return ngx_http_canary_no_fleet(r);
    }

    return ngx_http_canary_body_read(r, ngx_http_canary_forget_body);
}


/* the body says nothing that matters */

static void
ngx_http_canary_forget_body(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_int_t                  rc;
    ngx_pool_cleanup_t        *cln;
    ngx_http_canary_target_t   target;
    ngx_http_canary_forget_t  *f;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_canary_forget_t));
    if (cln == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    f = cln->data;

    ngx_memzero(f, sizeof(ngx_http_canary_forget_t));

    /* found before, so found again */

    (void) ngx_http_canary_location(r)->dialect->find(r, &target);

    f->request = r;
    f->main = ngx_http_get_module_main_conf(r, ngx_http_canary_module);
    f->node = target.node;
    f->deadline = ngx_canary_milliseconds() + NGX_HTTP_CANARY_FORGET_PATIENCE;
    f->timer.handler = ngx_http_canary_forget_timer;
    f->timer.data = f;
    f->timer.log = r->connection->log;

    cln->handler = ngx_http_canary_forget_cleanup;

    rc = ngx_http_canary_forget_begin(f);

    if (rc != NGX_DECLINED) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_add_timer(&f->timer, NGX_HTTP_CANARY_FORGET_POLL);
}


static ngx_int_t
ngx_http_canary_forget_begin(ngx_http_canary_forget_t *f)
{
    canary_actor_t  actor;

    /* what is no name is not sent */

    if (!canary_fleet_name_valid((char *) f->node.data, f->node.len)) {
        return ngx_http_canary_forget_answer(f, NGX_CANARY_FORGET_UNKNOWN, 0);
    }

    ngx_http_canary_find_actor(f->request, &actor);

    f->number = ngx_canary_fleet_to_forget(f->main->zone, &f->node, &actor,
                                           ngx_canary_milliseconds(),
                                           f->deadline);
    return NGX_DECLINED;
}


static void
ngx_http_canary_forget_cleanup(void *data)
{
    ngx_http_canary_forget_t  *f = data;

    uint64_t  value;

    if (f->timer.timer_set) {
        ngx_del_timer(&f->timer);
    }

    if (f->number) {
        (void) ngx_canary_fleet_forget_fate(f->main->zone, f->number, 1,
                                            &value);
    }
}


static void
ngx_http_canary_forget_timer(ngx_event_t *ev)
{
    ngx_int_t                  rc;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_canary_forget_t  *f;

    f = ev->data;
    r = f->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = f->number ? ngx_http_canary_forget_look(f)
                   : ngx_http_canary_forget_begin(f);

    if (rc == NGX_DECLINED && f->number == 0
        && ngx_canary_milliseconds() >= f->deadline)
    {
        rc = ngx_http_canary_forget_answer(f, NGX_CANARY_FORGET_UNREACHED, 0);
    }

    if (rc == NGX_DECLINED) {
        ngx_add_timer(&f->timer, NGX_HTTP_CANARY_FORGET_POLL);
        return;
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_canary_forget_look(ngx_http_canary_forget_t *f)
{
    uint64_t             value;
    ngx_uint_t           over;
    ngx_canary_forget_e  state;

    value = 0;
    over = ngx_canary_milliseconds() >= f->deadline;

    state = ngx_canary_fleet_forget_fate(f->main->zone, f->number, over,
                                         &value);

    if (state <= NGX_CANARY_FORGET_SENT) {

        if (!over) {
            return NGX_DECLINED;
        }

        state = (state == NGX_CANARY_FORGET_SENT) ? NGX_CANARY_FORGET_LOST
                                                  : NGX_CANARY_FORGET_UNREACHED;
    }

    f->number = 0;

    return ngx_http_canary_forget_answer(f, state, value);
}


static ngx_int_t
ngx_http_canary_forget_answer(ngx_http_canary_forget_t *f,
    ngx_canary_forget_e state, uint64_t value)
{
    ngx_http_request_t  *r;

    r = f->request;

    switch (state) {

    case NGX_CANARY_FORGET_DONE:
        return ngx_http_canary_forgotten(r, value);

    case NGX_CANARY_FORGET_ALIVE:
        return ngx_http_canary_refuse(r, NGX_HTTP_CONFLICT,
                                      "node \"%V\" was heard of %uL ms ago: "
                                      "only one that is gone, which is silent "
                                      "for %d s, can be forgotten", &f->node,
                                      value, CANARY_FLEET_GONE / 1000);

    case NGX_CANARY_FORGET_UNKNOWN:
        return ngx_http_canary_refuse(r, NGX_HTTP_NOT_FOUND,
                                      "the fleet has no member \"%V\"",
                                      &f->node);

    case NGX_CANARY_FORGET_UNREACHED:
        return ngx_http_canary_refuse_fleet(r, NGX_HTTP_CANARY_UNCHANGED,
                                            "nothing was changed: the fleet "
                                            "cannot be reached");

    default: /* NGX_CANARY_FORGET_LOST */
        return ngx_http_canary_refuse_fleet(r, NGX_HTTP_CANARY_NOT_KNOWN,
                                            "the fleet cannot be reached: it "
                                            "is not known whether node \"%V\" "
                                            "was forgotten", &f->node);
    }
}


static ngx_int_t
ngx_http_canary_forgotten(ngx_http_request_t *r, uint64_t left)
{
    int     failed;
    cJSON  *json;

    failed = 0;
    json = cJSON_CreateObject();

    canary_json_add_number(json, "members", left, 0, &failed);

    return ngx_http_canary_answer(r, NGX_HTTP_OK, &ngx_http_canary_json, json,
                                  failed);
}
