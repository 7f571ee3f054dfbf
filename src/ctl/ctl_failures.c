
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdlib.h>

#include "ctl_format.h"
#include "ctl_http.h"
#include "ctl_json.h"


static void ctl_failures_show(const cJSON *failures);
static void ctl_failures_row(ctl_table_t *table, const cJSON *failure);


ctl_exit_t
ctl_failures(const ctl_options_t *options)
{
    char          *path;
    ctl_exit_t     rc;
    ctl_http_t     http;
    ctl_answer_t   answer;

    rc = ctl_http_open(&http, options);

    if (rc == CTL_DONE) {
        path = ctl_endpoint_path(options->args[1], "/failures");
        rc = ctl_http_call(&http, path, NULL, &answer);

        if (rc == CTL_DONE && !ctl_given(options, CTL_OPT_JSON)) {
            ctl_failures_show(ctl_json_list(answer.json, "failures"));
        }

        ctl_answer_free(&answer);
        free(path);
    }

    ctl_http_close(&http);

    return rc;
}


static void
ctl_failures_show(const cJSON *failures)
{
    size_t        n;
    ctl_term_t    term;
    ctl_text_t    out = { NULL, 0, 0 };
    ctl_table_t   table;
    const cJSON  *failure;

    static const char *const  heads[] = {
        "TIME (UTC)", "WEIGHT", "STATUS", "FAILURE", "MS", "PEER",
        "REQUEST ID", "REQUEST"
    };

    ctl_term_init(&term);
    ctl_table_init(&table, "lrllrlll");

    for (n = 0; n < sizeof(heads) / sizeof(heads[0]); n++) {
        ctl_table_add(&table, CTL_DIM, heads[n]);
    }

    /* the API has the newest first */

    failure = NULL;

    while ((failure = ctl_json_before(failures, failure)) != NULL) {
        ctl_failures_row(&table, failure);
    }

    term.columns = 0;

    ctl_table_write(&table, &term, &out);
    ctl_term_write(&out);

    ctl_table_free(&table);
    ctl_text_free(&out);
}


static void
ctl_failures_row(ctl_table_t *table, const cJSON *failure)
{
    ctl_text_t  text = { NULL, 0, 0 };

    ctl_add_time(&text, ctl_json_text(failure, "time", ""));
    ctl_table_add(table, CTL_PLAIN, text.data);

    ctl_cell_ratio(table, CTL_PLAIN, ctl_json_number(failure, "weight", -1));
    ctl_cell_count(table, CTL_BAD, ctl_json_number(failure, "status", -1));
    ctl_table_add(table, CTL_BAD, ctl_json_text(failure, "failure", "-"));
    ctl_cell_ms(table, CTL_PLAIN, ctl_json_number(failure, "time_ms", -1));
    ctl_table_add(table, CTL_PLAIN, ctl_json_text(failure, "peer", "-"));
    ctl_table_add(table, CTL_PLAIN,
                  ctl_json_text(failure, "request_id", "-"));

    ctl_text_clear(&text);
    ctl_text_addf(&text, "%s %s", ctl_json_text(failure, "method", ""),
                  ctl_json_text(failure, "uri", ""));
    ctl_table_add(table, CTL_PLAIN, text.data);

    ctl_text_free(&text);
}
