
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>
#include <string.h>

#include "ctl_format.h"
#include "ctl_http.h"
#include "ctl_json.h"


/* The machines that are one. */


static ctl_exit_t ctl_fleet_take(ctl_http_t *http, ctl_answer_t *answer);
static void ctl_fleet_show(const cJSON *fleet);
static void ctl_fleet_head(ctl_text_t *out, const cJSON *fleet);
static void ctl_fleet_row(ctl_table_t *table, const cJSON *node);
static ctl_style_t ctl_fleet_style(const char *state);


ctl_exit_t
ctl_fleet(const ctl_options_t *options)
{
    ctl_exit_t    rc;
    ctl_http_t    http;
    ctl_answer_t  answer;

    rc = ctl_http_open(&http, options);

    if (rc == CTL_DONE) {
        ctl_http_request(&http, "fleet", NULL, &answer);
        rc = ctl_fleet_take(&http, &answer);

        if (rc == CTL_DONE && !ctl_given(options, CTL_OPT_JSON)) {
            ctl_fleet_show(answer.json);
        }

        ctl_answer_free(&answer);
    }

    ctl_http_close(&http);

    return rc;
}


ctl_exit_t
ctl_forget(const ctl_options_t *options)
{
    ctl_exit_t     rc;
    ctl_http_t     http;
    ctl_text_t     path = { NULL, 0, 0 };
    ctl_answer_t   answer;
    const char    *node;

    node = options->args[1];

    /* any other might lead out of the API */

    if (node[0] == '\0' || strcmp(node, ".") == 0 || strcmp(node, "..") == 0
        || node[strspn(node, "abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789._-")]
           != '\0')
    {
        ctl_error("\"%s\" is no name of a node: that has letters, digits and "
                  "._- only; canaryctl fleet shows them", node);
        return CTL_USAGE;
    }

    ctl_text_addf(&path, "fleet/nodes/%s", node);

    rc = ctl_http_open(&http, options);

    if (rc == CTL_DONE) {
        http.method = "DELETE";

        ctl_http_request(&http, path.data, "{}", &answer);
        rc = ctl_fleet_take(&http, &answer);

        if (rc == CTL_DONE && !ctl_given(options, CTL_OPT_JSON)) {
            ctl_text_clear(&path);
            ctl_text_addf(&path, "%s is forgotten; the fleet has %d members\n",
                          node, ctl_json_int(answer.json, "members"));
            ctl_term_write(&path);
        }

        ctl_answer_free(&answer);
    }

    ctl_http_close(&http);
    ctl_text_free(&path);

    return rc;
}


/* as ctl_answer_take(), but where there is nothing, no endpoint was meant */

static ctl_exit_t
ctl_fleet_take(ctl_http_t *http, ctl_answer_t *answer)
{
    ctl_text_t  text = { NULL, 0, 0 };

    if (ctl_given(http->options, CTL_OPT_JSON) && answer->json) {
        ctl_answer_print(answer);
    }

    if (ctl_answer_ok(answer)) {
        return CTL_DONE;
    }

    ctl_answer_tell(http, answer, &text);

    if (text.len) {
        ctl_error("%s", text.data);
    }

    ctl_text_free(&text);

    return CTL_FAILED;
}


static void
ctl_fleet_show(const cJSON *fleet)
{
    size_t        i;
    ctl_term_t    term;
    ctl_text_t    out = { NULL, 0, 0 };
    ctl_table_t   table;
    const cJSON  *node;

    static const char *const  heads[] = {
        "NODE", "STATE", "SEEN", "VERSION", "ADDRESS", "LACKS"
    };

    ctl_term_init(&term);

    ctl_fleet_head(&out, fleet);

    ctl_table_init(&table, "llrrlx");

    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        ctl_table_add(&table, CTL_DIM, heads[i]);
    }

    cJSON_ArrayForEach(node, ctl_json_list(fleet, "nodes")) {
        ctl_fleet_row(&table, node);
    }

    ctl_table_write(&table, &term, &out);
    ctl_term_write(&out);

    ctl_table_free(&table);
    ctl_text_free(&out);
}


/* "fleet shop: web1 is a follower; web2 leads; 7 of 8 nodes live; ..." */

static void
ctl_fleet_head(ctl_text_t *out, const cJSON *fleet)
{
    int           n, live;
    double        seconds;
    ctl_text_t    line = { NULL, 0, 0 };
    const char   *state;
    const cJSON  *nodes, *node, *redis;

    nodes = ctl_json_list(fleet, "nodes");
    redis = ctl_json_object(fleet, "redis");
    n = 0;
    live = 0;

    cJSON_ArrayForEach(node, nodes) {
        state = ctl_json_text(node, "state", "");
        live += (strcmp(state, "leader") == 0 || strcmp(state, "live") == 0);
        n++;
    }

    state = ctl_json_text(fleet, "state", "?");

    ctl_text_addf(&line, "fleet %s: %s is %s; ",
                  ctl_json_text(fleet, "name", "?"),
                  ctl_json_text(fleet, "node", "?"),
                  (strcmp(state, "kept_out") == 0) ? "kept out" : state);

    if (strcmp(state, "leader") != 0) {
        ctl_text_addf(&line, "%s leads; ",
                      ctl_json_text(fleet, "leader", "nobody"));
    }

    ctl_text_addf(&line, "%d of %d nodes live; Redis at %s", live, n,
                  ctl_json_text(redis, "address", "?"));

    seconds = ctl_json_number(redis, "last_contact_seconds", -1);

    if (strcmp(state, "leader") != 0 && strcmp(state, "follower") != 0
        && seconds >= 0)
    {
        ctl_text_adds(&line, " answered ");
        ctl_add_seconds(&line, seconds);
        ctl_text_adds(&line, " ago");
    }

    ctl_text_add_safe(out, line.data);
    ctl_text_adds(out, "\n\n");

    ctl_text_free(&line);
}


static void
ctl_fleet_row(ctl_table_t *table, const cJSON *node)
{
    ctl_text_t    text = { NULL, 0, 0 };
    const char   *state;
    const cJSON  *lack;

    state = ctl_json_text(node, "state", "?");

    ctl_table_add(table, CTL_BOLD, ctl_json_text(node, "name", "?"));
    ctl_table_add(table, ctl_fleet_style(state), state);

    ctl_cell_ms(table, CTL_PLAIN, ctl_json_number(node, "age_ms", -1));
    ctl_cell_count(table, CTL_PLAIN, ctl_json_number(node, "version", -1));
    ctl_table_add(table, CTL_PLAIN, ctl_json_text(node, "address", "-"));

    ctl_text_clear(&text);

    cJSON_ArrayForEach(lack, ctl_json_list(node, "lacks")) {
        if (cJSON_IsString(lack)) {
            ctl_text_addf(&text, "%s%s", text.len ? ", " : "",
                          lack->valuestring);
        }
    }

    ctl_table_add(table, CTL_WARN, text.data);
    ctl_text_free(&text);
}


static ctl_style_t
ctl_fleet_style(const char *state)
{
    return (strcmp(state, "gone") == 0) ? CTL_BAD
           : (strcmp(state, "silent") == 0) ? CTL_WARN
                                            : CTL_GOOD;
}
