
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ctl_http.h"
#include "ctl_json.h"
#include "ctl_term.h"


#define CTL_CONNECT_SECONDS  10L
#define CTL_ANSWER_SECONDS   30L
#define CTL_SILENCE_SECONDS  60L          /* a stream has heartbeats */
#define CTL_ANSWER_MAX       (32u << 20)  /* of 10,000 endpoints, about */


typedef struct {
    ctl_http_t         *http;
    ctl_answer_t       *answer;
    ctl_http_piece_pt   handler;          /* NULL: no stream */
    void               *data;
} ctl_transfer_t;


static void ctl_http_prepare(ctl_http_t *http, const char *path,
    ctl_transfer_t *transfer, ctl_answer_t *answer);
static void ctl_http_tls(CURL *curl, const ctl_options_t *options);
static void ctl_http_read(ctl_answer_t *answer);
static void ctl_http_perform(ctl_http_t *http, struct curl_slist *headers,
    ctl_answer_t *answer);
static struct curl_slist *ctl_http_header(struct curl_slist *headers,
    const char *header);
static struct curl_slist *ctl_http_headers(const ctl_http_t *http,
    const char *body);
static size_t ctl_http_piece(char *bytes, size_t size, size_t n, void *data);
static int ctl_http_progress(void *data, curl_off_t download_total,
    curl_off_t download, curl_off_t upload_total, curl_off_t upload);


void
ctl_http_request(ctl_http_t *http, const char *path, const char *body,
    ctl_answer_t *answer)
{
    ctl_transfer_t  transfer = { http, NULL, NULL, NULL };

    ctl_http_prepare(http, path, &transfer, answer);

    curl_easy_setopt(http->curl, CURLOPT_TIMEOUT, CTL_ANSWER_SECONDS);

    if (body) {
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, body);

        if (http->method) {
            curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, http->method);
        }
    }

    ctl_in_doubt(body != NULL);
    ctl_http_perform(http, ctl_http_headers(http, body), answer);
    ctl_in_doubt(0);

    if (answer->code == CURLE_OK) {
        ctl_http_read(answer);
    }
}


static void
ctl_http_read(ctl_answer_t *answer)
{
    if (answer->body.len) {
        answer->json = ctl_json_parse(answer->body.data, answer->body.len,
                                      &answer->values, answer->why,
                                      sizeof(answer->why));
    }
}


void
ctl_http_stream(ctl_http_t *http, const char *path,
    const char *last_event_id, ctl_http_piece_pt handler, void *data,
    ctl_answer_t *answer)
{
    ctl_text_t          header = { NULL, 0, 0 };
    ctl_transfer_t      transfer = { http, NULL, handler, data };
    struct curl_slist  *headers;

    ctl_http_prepare(http, path, &transfer, answer);

    curl_easy_setopt(http->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(http->curl, CURLOPT_LOW_SPEED_TIME, CTL_SILENCE_SECONDS);

    headers = ctl_http_header(NULL, "Accept: text/event-stream");

    if (http->token) {
        headers = ctl_http_header(headers, http->token);
    }

    ctl_text_addf(&header, "Last-Event-ID: %s", last_event_id);
    headers = ctl_http_header(headers, header.data);
    ctl_text_free(&header);

    ctl_http_perform(http, headers, answer);
    ctl_http_read(answer);
}


/* curl_easy_reset() keeps connections, and nothing of the last request */

static void
ctl_http_prepare(ctl_http_t *http, const char *path, ctl_transfer_t *transfer,
    ctl_answer_t *answer)
{
    CURL        *curl;
    ctl_text_t   url = { NULL, 0, 0 };

    curl = http->curl;

    memset(answer, 0, sizeof(ctl_answer_t));
    ctl_text_clear(&answer->body);

    transfer->answer = answer;

    curl_easy_reset(curl);

    ctl_text_addf(&url, "%s%s", http->base, path);
    curl_easy_setopt(curl, CURLOPT_URL, url.data);
    ctl_text_free(&url);

    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, answer->why);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "canaryctl/" CTL_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CTL_CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ctl_http_piece);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, ctl_http_progress);

    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);

    /* nothing leads out of the API, nor a token to others */

    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);

    if (http->here || http->options->unix_socket) {
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    }

    if (http->options->unix_socket) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH,
                         http->options->unix_socket);
    }

    if (http->user) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, http->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, http->password);
    }

    ctl_http_tls(curl, http->options);
}


static void
ctl_http_tls(CURL *curl, const ctl_options_t *options)
{
    if (options->cacert) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, options->cacert);
    }

    if (options->capath) {
        curl_easy_setopt(curl, CURLOPT_CAPATH, options->capath);
    }

    if (options->cert) {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, options->cert);
    }

    if (options->key) {
        curl_easy_setopt(curl, CURLOPT_SSLKEY, options->key);
    }

    if (ctl_given(options, CTL_OPT_INSECURE)) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}


static void
ctl_http_perform(ctl_http_t *http, struct curl_slist *headers,
    ctl_answer_t *answer)
{
    long   err;
    char  *text;

    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);

    answer->code = curl_easy_perform(http->curl);

    if (answer->code != CURLE_OK && answer->why[0] == '\0') {
        snprintf(answer->why, sizeof(answer->why), "%s",
                 curl_easy_strerror(answer->code));
    }

    /* libcurl tells of the address that is not asked */

    if (answer->code == CURLE_COULDNT_CONNECT && http->options->unix_socket) {
        err = 0;
        curl_easy_getinfo(http->curl, CURLINFO_OS_ERRNO, &err);

        if (err) {
            snprintf(answer->why, sizeof(answer->why), "%s",
                     strerror((int) err));
        }
    }

    curl_easy_getinfo(http->curl, CURLINFO_REQUEST_SIZE, &answer->sent);
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &answer->status);

    text = NULL;
    curl_easy_getinfo(http->curl, CURLINFO_CONTENT_TYPE, &text);
    answer->type = text ? ctl_strdup(text) : NULL;

    text = NULL;
    curl_easy_getinfo(http->curl, CURLINFO_REDIRECT_URL, &text);
    answer->location = text ? ctl_strdup(text) : NULL;

    curl_slist_free_all(headers);
}


static struct curl_slist *
ctl_http_headers(const ctl_http_t *http, const char *body)
{
    ctl_text_t          match = { NULL, 0, 0 };
    struct curl_slist  *headers;

    headers = ctl_http_header(NULL, "Accept: application/json");

    if (http->token) {
        headers = ctl_http_header(headers, http->token);
    }

    if (body) {
        headers = ctl_http_header(headers, "Content-Type: application/json");

        if (http->options->generation) {
            ctl_text_addf(&match, "If-Match: \"%s\"",
                          http->options->generation);
            headers = ctl_http_header(headers, match.data);
            ctl_text_free(&match);
        }
    }

    return headers;
}


static struct curl_slist *
ctl_http_header(struct curl_slist *headers, const char *header)
{
    struct curl_slist  *longer;

    longer = curl_slist_append(headers, header);
    if (longer == NULL) {
        ctl_no_memory();
    }

    return longer;
}


/* fewer bytes than there are end the transfer with an error */

static size_t
ctl_http_piece(char *bytes, size_t size, size_t n, void *data)
{
    long             status;
    char            *type;
    ctl_transfer_t  *transfer = data;

    n *= size;

    if (transfer->handler) {
        curl_easy_getinfo(transfer->http->curl, CURLINFO_RESPONSE_CODE,
                          &status);
        curl_easy_getinfo(transfer->http->curl, CURLINFO_CONTENT_TYPE, &type);

        if (status == 200 && ctl_is_type(type, "text/event-stream")) {
            return transfer->handler(transfer->data, bytes, n) ? n : 0;
        }
    }

    if (transfer->answer->body.len + n > CTL_ANSWER_MAX) {
        transfer->answer->too_large = 1;
        return 0;
    }

    ctl_text_add(&transfer->answer->body, bytes, n);

    return n;
}


static int
ctl_http_progress(void *data, curl_off_t download_total, curl_off_t download,
    curl_off_t upload_total, curl_off_t upload)
{
    return ctl_interrupted();
}


int
ctl_is_type(const char *type, const char *name)
{
    size_t  len;

    len = strlen(name);

    return type && strncasecmp(type, name, len) == 0
           && (type[len] == '\0' || type[len] == ';' || type[len] == ' ');
}
