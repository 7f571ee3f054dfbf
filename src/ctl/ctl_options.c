
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _GNU_SOURCE                       /* getopt_long() */

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "ctl_text.h"


#define CTL_OPT_BASE    256               /* above every letter */

#define CTL_OPT_GLOBAL                                                        \
    (CTL_BIT(CTL_OPT_HELP) | CTL_BIT(CTL_OPT_VERSION)                         \
     | CTL_BIT(CTL_OPT_JSON) | CTL_BIT(CTL_OPT_URL)                           \
     | CTL_BIT(CTL_OPT_TOKEN_FILE) | CTL_BIT(CTL_OPT_CACERT)                  \
     | CTL_BIT(CTL_OPT_CAPATH) | CTL_BIT(CTL_OPT_CERT)                        \
     | CTL_BIT(CTL_OPT_KEY) | CTL_BIT(CTL_OPT_INSECURE))


static int ctl_option_code(int code);
static void ctl_option_unknown(char *const *argv, int code);
static void ctl_option_take(ctl_options_t *options, int option,
    const char *value);
static const char **ctl_option_value(ctl_options_t *options, int option);
static ctl_exit_t ctl_options_check(const ctl_options_t *options);
static ctl_exit_t ctl_options_endpoint(const char *name);
static const char *ctl_option_name(int option);


static const struct option  ctl_long_options[] = {
    { "help", no_argument, NULL, CTL_OPT_BASE + CTL_OPT_HELP },
    { "version", no_argument, NULL, CTL_OPT_BASE + CTL_OPT_VERSION },
    { "json", no_argument, NULL, CTL_OPT_BASE + CTL_OPT_JSON },
    { "url", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_URL },
    { "token-file", required_argument, NULL,
      CTL_OPT_BASE + CTL_OPT_TOKEN_FILE },
    { "cacert", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_CACERT },
    { "capath", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_CAPATH },
    { "cert", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_CERT },
    { "key", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_KEY },
    { "insecure", no_argument, NULL, CTL_OPT_BASE + CTL_OPT_INSECURE },
    { "watch", no_argument, NULL, CTL_OPT_BASE + CTL_OPT_WATCH },
    { "wait", no_argument, NULL, CTL_OPT_BASE + CTL_OPT_WAIT },
    { "follow", no_argument, NULL, CTL_OPT_BASE + CTL_OPT_FOLLOW },
    { "after", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_AFTER },
    { "reason", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_REASON },
    { "if-generation", required_argument, NULL,
      CTL_OPT_BASE + CTL_OPT_IF_GENERATION },
    { "release", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_RELEASE },
    { "strategy", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_STRATEGY },
    { "canary-interval", required_argument, NULL,
      CTL_OPT_BASE + CTL_OPT_INTERVAL },
    { "canary-step", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_STEP },
    { "canary-rule", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_RULE },
    { "approval", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_APPROVAL },
    { "filename", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_FILENAME },
    { NULL, 0, NULL, 0 }
};


static const struct {
    int           letter;
    ctl_option_t  option;
} ctl_short_options[] = {
    { 'h', CTL_OPT_HELP },
    { 'V', CTL_OPT_VERSION },
    { 'k', CTL_OPT_INSECURE },
    { 'E', CTL_OPT_CERT },
    { 's', CTL_OPT_STRATEGY },
    { 'i', CTL_OPT_INTERVAL },
    { 'c', CTL_OPT_RULE },
    { 'f', CTL_OPT_FILENAME }
};


ctl_exit_t
ctl_options(int argc, char *const *argv, ctl_options_t *options)
{
    int  code, option;

    memset(options, 0, sizeof(ctl_options_t));

    options->rules = ctl_calloc((size_t) argc, sizeof(char *));
    options->url = getenv("CANARY_URL");
    options->token_file = getenv("CANARY_TOKEN_FILE");

    opterr = 0;

    for ( ;; ) {
        code = getopt_long(argc, argv, ":hVkE:s:i:c:f:", ctl_long_options,
                           NULL);
        if (code == -1) {
            break;
        }

        option = ctl_option_code(code);

        if (option == -1) {
            ctl_option_unknown(argv, code);
            return CTL_USAGE;
        }

        ctl_option_take(options, option, optarg);
    }

    /* getopt_long() has moved what is no option to the end */

    options->args = (char **) argv + optind;
    options->nargs = (size_t) (argc - optind);

    return ctl_options_check(options);
}


void
ctl_options_free(ctl_options_t *options)
{
    free(options->rules);
}


static int
ctl_option_code(int code)
{
    size_t  i;

    if (code >= CTL_OPT_BASE) {
        return code - CTL_OPT_BASE;
    }

    for (i = 0; i < sizeof(ctl_short_options) / sizeof(ctl_short_options[0]);
         i++)
    {
        if (ctl_short_options[i].letter == code) {
            return (int) ctl_short_options[i].option;
        }
    }

    return -1;
}


static void
ctl_option_unknown(char *const *argv, int code)
{
    const char  *word;

    word = argv[optind - 1];

    if (code == ':') {
        ctl_error("%s needs a value", word);

    } else if (optopt >= CTL_OPT_BASE) {
        ctl_error("%s takes no value", word);

    } else if (optopt) {
        ctl_error("there is no option -%c; see canaryctl --help", optopt);

    } else {
        ctl_error("there is no option %s, or more than one that begins so; "
                  "see canaryctl --help", word);
    }
}


static void
ctl_option_take(ctl_options_t *options, int option, const char *value)
{
    const char  **place;

    options->given |= CTL_BIT(option);

    if (option == CTL_OPT_RULE) {
        options->rules[options->nrules++] = value;
        return;
    }

    place = ctl_option_value(options, option);

    if (place) {
        *place = value;
    }
}


static const char **
ctl_option_value(ctl_options_t *options, int option)
{
    switch (option) {

    case CTL_OPT_URL:
        return &options->url;

    case CTL_OPT_TOKEN_FILE:
        return &options->token_file;

    case CTL_OPT_CACERT:
        return &options->cacert;

    case CTL_OPT_CAPATH:
        return &options->capath;

    case CTL_OPT_CERT:
        return &options->cert;

    case CTL_OPT_KEY:
        return &options->key;

    case CTL_OPT_REASON:
        return &options->reason;

    case CTL_OPT_IF_GENERATION:
        return &options->generation;

    case CTL_OPT_RELEASE:
        return &options->release;

    case CTL_OPT_STRATEGY:
        return &options->strategy;

    case CTL_OPT_INTERVAL:
        return &options->interval;

    case CTL_OPT_STEP:
        return &options->step;

    case CTL_OPT_APPROVAL:
        return &options->approval;

    case CTL_OPT_FILENAME:
        return &options->filename;

    case CTL_OPT_AFTER:
        return &options->after;

    default:
        return NULL;
    }
}


static ctl_exit_t
ctl_options_check(const ctl_options_t *options)
{
    int                   option;
    uint32_t              extra;
    const ctl_command_t  *command;

    if (ctl_given(options, CTL_OPT_HELP)
        || ctl_given(options, CTL_OPT_VERSION))
    {
        return CTL_DONE;
    }

    if (options->nargs == 0) {
        ctl_error("a command is needed; see canaryctl --help");
        return CTL_USAGE;
    }

    command = ctl_command(options->args[0]);

    if (command == NULL) {
        ctl_error("there is no command \"%s\"; see canaryctl --help",
                  options->args[0]);
        return CTL_USAGE;
    }

    extra = options->given & ~(CTL_OPT_GLOBAL | command->options);

    if (extra) {
        for (option = 0; !(extra & CTL_BIT(option)); option++) { /* void */ }

        ctl_error("%s has no --%s; see canaryctl %s --help", command->name,
                  ctl_option_name(option), command->name);
        return CTL_USAGE;
    }

    if (options->nargs < command->nargs
        || options->nargs > command->nargs_max)
    {
        ctl_error("usage: canaryctl %s", command->synopsis);
        return CTL_USAGE;
    }

    if (command->endpoint && options->nargs > command->endpoint) {
        return ctl_options_endpoint(options->args[command->endpoint]);
    }

    return CTL_DONE;
}


static ctl_exit_t
ctl_options_endpoint(const char *name)
{
    const char  *bad;

    bad = ctl_bad_endpoint(name);

    if (bad) {
        ctl_error("there is no endpoint \"%s\": the name %s", name, bad);
        return CTL_USAGE;
    }

    return CTL_DONE;
}


static const char *
ctl_option_name(int option)
{
    size_t  i;

    for (i = 0; ctl_long_options[i].name; i++) {
        if (ctl_long_options[i].val == CTL_OPT_BASE + option) {
            break;
        }
    }

    return ctl_long_options[i].name;
}
