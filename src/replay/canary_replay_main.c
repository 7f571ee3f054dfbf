
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


/*
 * canary-replay: what a strategy would have done with the traffic of a log.
 *
 * Exit status: 0 the rollout was promoted, or goes on at the end of the log;
 * 3 it was rolled back or halted; 1 it could not be replayed; 2 usage.
 */


#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary_json.h"
#include "canary_replay.h"
#include "canary_replay_names.h"
#include "canary_replay_print.h"
#include "canary_strategy_json.h"
#include "canary_version.h"


#define EXIT_DONE      0
#define EXIT_TROUBLE   1
#define EXIT_USAGE     2
#define EXIT_BROKEN    3

#define STRATEGY_MAX   65536
#define BAD_SHOWN      10         /* bad lines that are told one by one */
#define BAD_MAX        1000       /* with more of them it is the wrong file */


typedef struct {
    canary_replay_options_t  replay;
    canary_replay_format_t   format;
    const char              *strategy;      /* name of a file */
    const char              *log;           /* NULL: standard input */
    int                      json;
    int                      failed;        /* no memory for what is to be
                                               printed */
    canary_replay_names_t    endpoints;     /* that the log has, */
    canary_replay_names_t    releases;      /* and releases of ours */
} settings_t;


static int read_options(settings_t *settings, int argc, char **argv);
static int set_option(settings_t *settings, int option);
static int set_format(settings_t *settings, const char *format);
static int set_latency(settings_t *settings, const char *when);
static int check_options(const settings_t *settings);
static int usage(const char *complaint, ...)
    __attribute__((format(printf, 1, 2)));
static int read_strategy(const char *name, canary_strategy_t *strategy);
static int parse_strategy(const char *name, const char *text, size_t len,
    canary_strategy_t *strategy);
static int check_strategy(const char *name, const canary_strategy_t *strategy);
static int replay_log(settings_t *settings, FILE *log);
static int feed(settings_t *settings, canary_replay_t *replay, FILE *log,
    canary_replay_input_t *input);
static int read_line(FILE *log, char *text, size_t *len);
static int tell_bad(canary_replay_input_t *input, const char *error);
static int add_names(settings_t *settings, const canary_replay_line_t *line);
static int conclude(settings_t *settings, canary_replay_t *replay,
    const canary_replay_input_t *input);
static int check_names(const settings_t *settings,
    const canary_replay_summary_t *summary);
static int tell_names(const char *what, const char *name,
    const canary_replay_names_t *names);
static void report(void *data, const canary_replay_event_t *event);


static const char  help[] =
"usage: canary-replay --stable NAME --canary NAME --strategy FILE [OPTION...] [LOG]\n"
"\n"
"What a rollout of the canary would have done with the attempts of a log, or\n"
"of standard input. FILE has a strategy as the API takes it.\n"
"\n"
"  --stable NAME      the release that was stable\n"
"  --canary NAME      the release to be judged\n"
"  --strategy FILE    {\"canary_strategy\": {...}}\n"
"  --endpoint NAME    only lines of this endpoint\n"
"  --format FORMAT    log or json; what a line begins with tells by default\n"
"  --latency WHEN     header (default) or response: what times end with\n"
"  --weight-from-log  steps as the weights in the log, not as the strategy's\n"
"  --json             events and summary as lines of JSON\n"
"  -h, --help         this\n"
"  -V, --version      the version\n"
"\n"
"Exit status: 0 promoted, or still running at the end of the log; 3 rolled\n"
"back or halted; 1 it could not be replayed; 2 usage.\n";


int
main(int argc, char **argv)
{
    int                status;
    FILE              *log;
    canary_strategy_t  strategy;
    static settings_t  settings;

    memset(&settings, 0, sizeof(settings_t));

    status = read_options(&settings, argc, argv);

    if (status != -1) {
        return status;
    }

    if (!read_strategy(settings.strategy, &strategy)) {
        return EXIT_TROUBLE;
    }

    settings.replay.strategy = &strategy;

    if (settings.log == NULL) {
        return replay_log(&settings, stdin);
    }

    log = fopen(settings.log, "r");

    if (log == NULL) {
        fprintf(stderr, "canary-replay: the log %s: %s\n", settings.log,
                strerror(errno));
        return EXIT_TROUBLE;
    }

    status = replay_log(&settings, log);

    fclose(log);

    return status;
}


/* It and those it calls return -1 to go on, or the exit status. */

static int
read_options(settings_t *settings, int argc, char **argv)
{
    int  option, status;

    static const struct option  options[] = {
        { "stable", required_argument, NULL, 's' },
        { "canary", required_argument, NULL, 'c' },
        { "strategy", required_argument, NULL, 'f' },
        { "endpoint", required_argument, NULL, 'e' },
        { "format", required_argument, NULL, 'o' },
        { "latency", required_argument, NULL, 'l' },
        { "weight-from-log", no_argument, NULL, 'w' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 }
    };

    /* who complains of an option */

    argv[0] = (char *) "canary-replay";

    for ( ;; ) {
        option = getopt_long(argc, argv, "hV", options, NULL);

        if (option == -1) {
            break;
        }

        status = set_option(settings, option);

        if (status != -1) {
            return status;
        }
    }

    status = check_options(settings);

    if (status != -1) {
        return status;
    }

    if (argc - optind > 1) {
        return usage("only one log can be replayed, not \"%s\" too",
                     argv[optind + 1]);
    }

    if (optind < argc && strcmp(argv[optind], "-") != 0) {
        settings->log = argv[optind];
    }

    return -1;
}


static int
set_option(settings_t *settings, int option)
{
    switch (option) {

    case 's':
        settings->replay.stable = optarg;
        return -1;

    case 'c':
        settings->replay.canary = optarg;
        return -1;

    case 'f':
        settings->strategy = optarg;
        return -1;

    case 'e':
        settings->replay.endpoint = optarg;
        return -1;

    case 'o':
        return set_format(settings, optarg);

    case 'l':
        return set_latency(settings, optarg);

    case 'w':
        settings->replay.log_weight = 1;
        return -1;

    case 'j':
        settings->json = 1;
        return -1;

    case 'h':
        fputs(help, stdout);
        return EXIT_DONE;

    case 'V':
        printf("canary-replay %s\n", CANARY_VERSION);
        return EXIT_DONE;

    default:
        return usage(NULL);
    }
}


static int
set_format(settings_t *settings, const char *format)
{
    if (strcmp(format, "json") != 0 && strcmp(format, "log") != 0) {
        return usage("--format has to be log or json, not \"%s\"", format);
    }

    settings->format = (format[0] == 'j') ? CANARY_REPLAY_JSON
                                          : CANARY_REPLAY_LOG;
    return -1;
}


static int
set_latency(settings_t *settings, const char *when)
{
    if (strcmp(when, "header") != 0 && strcmp(when, "response") != 0) {
        return usage("--latency has to be header or response, not \"%s\"",
                     when);
    }

    settings->replay.by_response = (when[0] == 'r');

    return -1;
}


static int
check_options(const settings_t *settings)
{
    unsigned  i;

    const struct {
        const char  *option;
        const char  *value;
    } needed[] = {
        { "--stable NAME", settings->replay.stable },
        { "--canary NAME", settings->replay.canary },
        { "--strategy FILE", settings->strategy }
    };

    for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        if (needed[i].value == NULL || needed[i].value[0] == '\0') {
            return usage("%s is needed", needed[i].option);
        }
    }

    if (strcmp(settings->replay.stable, settings->replay.canary) == 0) {
        return usage("--stable and --canary have to be two releases, and are "
                     "both \"%s\"", settings->replay.stable);
    }

    return -1;
}


static int
usage(const char *complaint, ...)
{
    va_list  args;

    if (complaint) {
        fputs("canary-replay: ", stderr);

        va_start(args, complaint);
        (void) vfprintf(stderr, complaint, args);
        va_end(args);

        fputs("\n", stderr);
    }

    fputs("Try canary-replay --help.\n", stderr);

    return EXIT_USAGE;
}


static int
read_strategy(const char *name, canary_strategy_t *strategy)
{
    FILE         *file;
    size_t        len;
    static char   text[STRATEGY_MAX + 1];

    file = fopen(name, "r");

    if (file == NULL) {
        fprintf(stderr, "canary-replay: the strategy %s: %s\n", name,
                strerror(errno));
        return 0;
    }

    len = fread(text, 1, STRATEGY_MAX, file);

    if (ferror(file) || len == STRATEGY_MAX) {
        fprintf(stderr, "canary-replay: %s: %s\n", name,
                ferror(file) ? strerror(errno) : "is too long for a strategy");
        fclose(file);
        return 0;
    }

    fclose(file);
    text[len] = '\0';

    return parse_strategy(name, text, len, strategy)
           && check_strategy(name, strategy);
}


static int
parse_strategy(const char *name, const char *text, size_t len,
    canary_strategy_t *strategy)
{
    cJSON                   *json;
    unsigned                 i;
    const cJSON             *values[2];
    canary_json_errors_t     errors;
    canary_strategy_kind_t   kind;

    static const char *const  names[] = { "strategy", "canary_strategy" };

    memset(&errors, 0, sizeof(canary_json_errors_t));

    canary_strategy_init(strategy);
    kind = CANARY_STRATEGY_CANARY;

    json = canary_json_parse(text, len, &errors);

    if (json && canary_json_members(json, NULL, names, 2, values, &errors)) {
        kind = canary_strategy_json_read(values[0], values[1], NULL, strategy,
                                         &errors);
    }

    cJSON_Delete(json);

    /* a log does not tell when somebody approved a step */

    strategy->approval = CANARY_APPROVAL_OFF;

    for (i = 0; i < errors.n; i++) {
        fprintf(stderr, "canary-replay: %s: %s%s%s\n", name,
                errors.list[i].pointer, errors.list[i].pointer[0] ? " " : "",
                errors.list[i].detail);
    }

    if (errors.total == 0 && kind == CANARY_STRATEGY_DIRECT) {
        fprintf(stderr, "canary-replay: %s: the strategy \"direct\" has "
                "nothing to replay\n", name);
        return 0;
    }

    return errors.total == 0;
}


static int
check_strategy(const char *name, const canary_strategy_t *strategy)
{
    canary_rollout_t  rollout;
    canary_command_t  command;

    memset(&command, 0, sizeof(canary_command_t));

    command.verb = CANARY_START;
    command.release = 1;
    command.strategy = strategy;

    canary_rollout_init(&rollout, 0);

    switch (canary_rollout_apply(&rollout, &command)) {

    case CANARY_CHANGED:
        return 1;

    case CANARY_NO_RULE:
        fprintf(stderr, "canary-replay: %s: a rollout needs at least one "
                "rule\n", name);
        return 0;

    default:
        fprintf(stderr, "canary-replay: %s: a rollout that starts at 100 %% "
                "needs a rule without a baseline\n", name);
        return 0;
    }
}


static int
replay_log(settings_t *settings, FILE *log)
{
    int                     status;
    canary_replay_t        *replay;
    canary_replay_input_t   input;

    settings->replay.report = report;
    settings->replay.data = settings;

    memset(&input, 0, sizeof(canary_replay_input_t));

    replay = canary_replay_create(&settings->replay);

    if (replay == NULL) {
        fputs("canary-replay: no memory\n", stderr);
        return EXIT_TROUBLE;
    }

    status = feed(settings, replay, log, &input)
             ? conclude(settings, replay, &input) : EXIT_TROUBLE;

    canary_replay_destroy(replay);

    return status;
}


static int
feed(settings_t *settings, canary_replay_t *replay, FILE *log,
    canary_replay_input_t *input)
{
    int                    more, found, known;
    size_t                 len;
    const char            *error;
    static char            text[CANARY_REPLAY_LINE_MAX];
    canary_replay_line_t   line;

    /* after its end, too, until the log has been seen to be the right one */

    for (more = 1, known = 0; more == 1 || !known; /* void */ ) {
        found = read_line(log, text, &len);

        if (found == 0) {
            break;
        }

        input->lines++;

        error = (found == -1) ? "is longer than 65535 bytes"
                              : canary_replay_line_read(text, len,
                                                        settings->format,
                                                        &settings->replay
                                                            .strategy->matches,
                                                        &line);
        if (error) {

            if (!tell_bad(input, error)) {
                return 0;
            }

            continue;
        }

        known = add_names(settings, &line);

        if (more == 0) {
            continue;
        }

        if (line.n == 0) {
            input->empty++;
            continue;
        }

        more = canary_replay_add(replay, &line);

        if (more == -1) {
            fputs("canary-replay: no memory\n", stderr);
            return 0;
        }
    }

    if (ferror(log)) {
        fprintf(stderr, "canary-replay: the log%s%s cannot be read: %s\n",
                settings->log ? " " : "", settings->log ? settings->log : "",
                strerror(errno));
        return 0;
    }

    return 1;
}


/* Whether the log has all of what it was said to have. */

static int
add_names(settings_t *settings, const canary_replay_line_t *line)
{
    const canary_replay_options_t  *options;

    options = &settings->replay;

    canary_replay_names_add(&settings->endpoints, line->endpoint);

    if (options->endpoint == NULL
        || strcmp(options->endpoint, line->endpoint) == 0)
    {
        canary_replay_names_add(&settings->releases, line->release);
    }

    return canary_replay_names_has(&settings->releases, options->stable)
           && canary_replay_names_has(&settings->releases, options->canary);
}


/* Returns 0 at the end of the log, -1 if the line is too long. */

static int
read_line(FILE *log, char *text, size_t *len)
{
    int     ch;
    size_t  n;

    for (n = 0; /* void */ ; n++) {
        ch = getc(log);

        if (ch == EOF || ch == '\n') {
            break;
        }

        if (n < CANARY_REPLAY_LINE_MAX - 1) {
            text[n] = (char) ch;
        }
    }

    if (ch == EOF && n == 0) {
        return 0;
    }

    if (n > CANARY_REPLAY_LINE_MAX - 1) {
        return -1;
    }

    if (n && text[n - 1] == '\r') {
        n--;
    }

    text[n] = '\0';
    *len = n;

    return 1;
}


static int
tell_bad(canary_replay_input_t *input, const char *error)
{
    input->bad++;

    if (input->bad <= BAD_SHOWN) {
        fprintf(stderr, "canary-replay: line %" PRIu64 " %s\n", input->lines,
                error);
    }

    if (input->bad == BAD_SHOWN + 1) {
        fputs("canary-replay: more bad lines follow\n", stderr);
    }

    if (input->bad > BAD_MAX) {
        fprintf(stderr, "canary-replay: more than %d bad lines, the last is "
                "line %" PRIu64 ": is this the right log?\n", BAD_MAX,
                input->lines);
        return 0;
    }

    return 1;
}


static int
conclude(settings_t *settings, canary_replay_t *replay,
    const canary_replay_input_t *input)
{
    const canary_replay_summary_t  *summary;

    summary = canary_replay_finish(replay);

    if (!check_names(settings, summary)) {
        return EXIT_TROUBLE;
    }

    if (input->bad == input->lines) {
        fputs(input->lines ? "canary-replay: no line can be replayed: it "
                             "takes a log_format with the variables of an "
                             "attempt, see canary-replay(1)\n"
                           : "canary-replay: the log is empty\n", stderr);
        return EXIT_TROUBLE;
    }

    if (summary->began == 0) {
        fprintf(stderr, "canary-replay: no attempt on %s%s in %" PRIu64
                " lines, %" PRIu64 " of them bad\n", settings->replay.canary,
                settings->replay.log_weight ? " with a weight above 0" : "",
                input->lines, input->bad);
        return EXIT_TROUBLE;
    }

    if (!settings->json) {
        canary_replay_print_summary(stdout, &settings->replay, input, summary);

    } else if (!canary_replay_json_summary(stdout, &settings->replay, input,
                                           summary))
    {
        settings->failed = 1;
    }

    if (settings->failed) {
        fputs("canary-replay: no memory\n", stderr);
        return EXIT_TROUBLE;
    }

    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "canary-replay: the result cannot be written: %s\n",
                strerror(errno));
        return EXIT_TROUBLE;
    }

    return (summary->end == CANARY_REPLAY_ROLLED_BACK
            || summary->end == CANARY_REPLAY_HALTED) ? EXIT_BROKEN
                                                     : EXIT_DONE;
}


/*
 * A log may be of the canary alone; and a request that went on to stable has
 * stable's name only, so that a canary may be there without its own.  But
 * where there is another name, that may be the one that was meant.
 */

static int
check_names(const settings_t *settings,
    const canary_replay_summary_t *summary)
{
    int                             stable, canary;
    const canary_replay_names_t    *names;
    const canary_replay_options_t  *options;

    names = &settings->releases;
    options = &settings->replay;

    if (options->endpoint && settings->endpoints.n
        && !canary_replay_names_has(&settings->endpoints, options->endpoint))
    {
        return tell_names("endpoint", options->endpoint,
                          &settings->endpoints);
    }

    stable = canary_replay_names_has(names, options->stable);
    canary = canary_replay_names_has(names, options->canary);

    if (!stable && names->n > (canary ? 1u : 0u)) {
        return tell_names("release", options->stable, names);
    }

    if (!canary && names->n
        && (summary->began == 0 || names->n > (stable ? 1u : 0u)))
    {
        return tell_names("release", options->canary, names);
    }

    return 1;
}


/* returns 0 */

static int
tell_names(const char *what, const char *name,
    const canary_replay_names_t *names)
{
    unsigned  i;

    fprintf(stderr, "canary-replay: the log has no %s \"%s\", it has", what,
            name);

    for (i = 0; i < names->n; i++) {
        fprintf(stderr, "%s \"%s\"", i ? "," : "", names->names[i]);
    }

    fputs(names->more ? " and others\n" : "\n", stderr);

    return 0;
}


static void
report(void *data, const canary_replay_event_t *event)
{
    settings_t  *settings = data;

    if (settings->json) {
        if (!canary_replay_json_event(stdout, &settings->replay, event)) {
            settings->failed = 1;
        }

        return;
    }

    if (event->verb == CANARY_START) {
        canary_replay_print_head(stdout);
    }

    canary_replay_print_event(stdout, &settings->replay, event);
}
