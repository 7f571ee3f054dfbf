
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#define _GNU_SOURCE                       /* getopt_long() */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "ctl_term.h"
#include "ctl_text.h"
#include "ctl_value.h"


#define CTL_TIMEOUT_MAX  (365.0 * 86400)

#define CTL_OPT_BASE    256               /* above every letter */

#define CTL_OPT_GLOBAL                                                        \
    (CTL_BIT(CTL_OPT_HELP) | CTL_BIT(CTL_OPT_VERSION)                         \
     | CTL_BIT(CTL_OPT_JSON) | CTL_BIT(CTL_OPT_URL)                           \
     | CTL_BIT(CTL_OPT_TOKEN_FILE) | CTL_BIT(CTL_OPT_CACERT)                  \
     | CTL_BIT(CTL_OPT_CAPATH) | CTL_BIT(CTL_OPT_CERT)                        \
     | CTL_BIT(CTL_OPT_KEY) | CTL_BIT(CTL_OPT_INSECURE)                       \
     | CTL_BIT(CTL_OPT_UNIX_SOCKET) | CTL_BIT(CTL_OPT_TIMEOUT))


static int ctl_option_code(int code);
static void ctl_option_unknown(char *const *argv, int code);
static int ctl_option_begins(const char *word);
static const char *ctl_options_named(char *const *argv);
static int ctl_option_take(ctl_options_t *options, int option,
    const char *value);
static ctl_exit_t ctl_options_check(const ctl_options_t *options);
static ctl_exit_t ctl_options_timeout(const ctl_options_t *options);
static ctl_exit_t ctl_options_arguments(const ctl_options_t *options,
    const ctl_command_t *command);
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
    { "unix-socket", required_argument, NULL,
      CTL_OPT_BASE + CTL_OPT_UNIX_SOCKET },
    { "timeout", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_TIMEOUT },
    { "watch", no_argument, NULL, CTL_OPT_BASE + CTL_OPT_WATCH },
    { "wait", no_argument, NULL, CTL_OPT_BASE + CTL_OPT_WAIT },
    { "follow", no_argument, NULL, CTL_OPT_BASE + CTL_OPT_FOLLOW },
    { "after", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_AFTER },
    { "exec", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_EXEC },
    { "state", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_STATE },
    { "reason", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_REASON },
    { "if-generation", required_argument, NULL,
      CTL_OPT_BASE + CTL_OPT_IF_GENERATION },
    { "release", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_RELEASE },
    { "strategy", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_STRATEGY },
    { "canary-interval", required_argument, NULL,
      CTL_OPT_BASE + CTL_OPT_INTERVAL },
    { "canary-step", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_STEP },
    { "steps", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_STEPS },
    { "rule", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_RULE },
    { "canary-rule", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_RULE },
    { "bake", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_BAKE },
    { "patience", required_argument, NULL, CTL_OPT_BASE + CTL_OPT_PATIENCE },
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


/* where the value of an option goes */

static const struct {
    ctl_option_t  option;
    size_t        place;
} ctl_values[] = {
    { CTL_OPT_URL, offsetof(ctl_options_t, url) },
    { CTL_OPT_TOKEN_FILE, offsetof(ctl_options_t, token_file) },
    { CTL_OPT_CACERT, offsetof(ctl_options_t, cacert) },
    { CTL_OPT_CAPATH, offsetof(ctl_options_t, capath) },
    { CTL_OPT_CERT, offsetof(ctl_options_t, cert) },
    { CTL_OPT_KEY, offsetof(ctl_options_t, key) },
    { CTL_OPT_UNIX_SOCKET, offsetof(ctl_options_t, unix_socket) },
    { CTL_OPT_TIMEOUT, offsetof(ctl_options_t, timeout) },
    { CTL_OPT_AFTER, offsetof(ctl_options_t, after) },
    { CTL_OPT_EXEC, offsetof(ctl_options_t, exec) },
    { CTL_OPT_STATE, offsetof(ctl_options_t, state) },
    { CTL_OPT_REASON, offsetof(ctl_options_t, reason) },
    { CTL_OPT_IF_GENERATION, offsetof(ctl_options_t, generation) },
    { CTL_OPT_RELEASE, offsetof(ctl_options_t, release) },
    { CTL_OPT_STRATEGY, offsetof(ctl_options_t, strategy) },
    { CTL_OPT_INTERVAL, offsetof(ctl_options_t, interval) },
    { CTL_OPT_STEP, offsetof(ctl_options_t, step) },
    { CTL_OPT_STEPS, offsetof(ctl_options_t, steps) },
    { CTL_OPT_BAKE, offsetof(ctl_options_t, bake) },
    { CTL_OPT_PATIENCE, offsetof(ctl_options_t, patience) },
    { CTL_OPT_APPROVAL, offsetof(ctl_options_t, approval) },
    { CTL_OPT_FILENAME, offsetof(ctl_options_t, filename) }
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

        if (!ctl_option_take(options, option, optarg)) {
            return CTL_USAGE;
        }
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
    const char  *word, *command;

    word = argv[optind - 1];
    command = ctl_options_named(argv);

    if (code == ':') {
        ctl_error("%s needs a value", word);

    } else if (optopt >= CTL_OPT_BASE) {
        ctl_error("%s takes no value", word);

    } else if (optopt) {
        ctl_error("there is no option -%c; see canaryctl %s--help", optopt,
                  command);

    } else if (ctl_option_begins(word)) {
        ctl_error("more than one option begins with %s; see canaryctl %s"
                  "--help", word, command);

    } else {
        ctl_error("there is no option %s; see canaryctl %s--help", word,
                  command);
    }
}


/* a word of two dashes, perhaps with a value */

static int
ctl_option_begins(const char *word)
{
    size_t  i, len;

    word += 2;
    len = strcspn(word, "=");

    for (i = 0; ctl_long_options[i].name; i++) {
        if (strncmp(ctl_long_options[i].name, word, len) == 0) {
            return 1;
        }
    }

    return 0;
}


/* the command that was given, and a blank, if there is one among the words */

static const char *
ctl_options_named(char *const *argv)
{
    static char           name[32];
    const ctl_command_t  *command;

    while (*++argv) {
        command = ctl_command(*argv);

        if (command) {
            (void) snprintf(name, sizeof(name), "%s ", command->name);
            return name;
        }
    }

    return "";
}


/* A value that is empty is a variable that is not set: 0, and it is told. */

static int
ctl_option_take(ctl_options_t *options, int option, const char *value)
{
    size_t  i;

    options->given |= CTL_BIT(option);

    if (value && *value == '\0' && option != CTL_OPT_REASON) {
        ctl_error("--%s needs a value, but that is empty",
                  ctl_option_name(option));
        return 0;
    }

    if (option == CTL_OPT_RULE) {
        options->rules[options->nrules++] = value;
        return 1;
    }

    for (i = 0; i < sizeof(ctl_values) / sizeof(ctl_values[0]); i++) {
        if ((int) ctl_values[i].option == option) {
            *(const char **) ((char *) options + ctl_values[i].place) = value;
            break;
        }
    }

    return 1;
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

    if (ctl_options_timeout(options) != CTL_DONE) {
        return CTL_USAGE;
    }

    command = options->nargs ? ctl_command(options->args[0]) : NULL;

    if (command == NULL) {
        ctl_no_command(options);
        return CTL_USAGE;
    }

    extra = options->given & ~(CTL_OPT_GLOBAL | command->options);

    if (extra) {
        for (option = 0; !(extra & CTL_BIT(option)); option++) { /* void */ }

        ctl_error("%s has no --%s; see canaryctl %s --help", command->name,
                  ctl_option_name(option), command->name);
        return CTL_USAGE;
    }

    return ctl_options_arguments(options, command);
}


static ctl_exit_t
ctl_options_timeout(const ctl_options_t *options)
{
    double  seconds;

    if (options->timeout == NULL) {
        return CTL_DONE;
    }

    if (!ctl_seconds(options->timeout, &seconds) || seconds < 0.001
        || seconds > CTL_TIMEOUT_MAX)
    {
        ctl_error("--timeout has to be a time above 0, as 30 (seconds) or "
                  "5m, not \"%s\"", options->timeout);
        return CTL_USAGE;
    }

    ctl_timeout(seconds);

    return CTL_DONE;
}


void
ctl_no_command(const ctl_options_t *options)
{
    ctl_text_t            names = { NULL, 0, 0 };
    const ctl_command_t  *command;

    for (command = ctl_commands; command->name; command++) {
        ctl_text_addf(&names, "%s%s", names.len ? ", " : "", command->name);
    }

    if (options->nargs) {
        ctl_error("there is no command \"%s\"; the commands are %s",
                  options->args[0], names.data);

    } else {
        ctl_error("a command is needed: %s; see canaryctl --help",
                  names.data);
    }

    ctl_text_free(&names);
}


static ctl_exit_t
ctl_options_arguments(const ctl_options_t *options,
    const ctl_command_t *command)
{
    if (options->nargs < command->nargs) {
        return ctl_missing(command, options->nargs);
    }

    if (options->nargs > command->nargs_max) {
        ctl_error("\"%s\" is one argument too many (a value with blanks "
                  "needs quotes); usage: canaryctl %s",
                  options->args[command->nargs_max], command->synopsis);
        return CTL_USAGE;
    }

    if (command->endpoint && options->nargs > command->endpoint) {
        return ctl_options_endpoint(options->args[command->endpoint]);
    }

    return CTL_DONE;
}


/* the synopsis names the arguments, in their order */

ctl_exit_t
ctl_missing(const ctl_command_t *command, size_t nargs)
{
    const char  *word;

    for (word = command->synopsis; nargs; nargs--) {
        word += strcspn(word, " ") + 1;
    }

    ctl_error("%.*s is missing; usage: canaryctl %s",
              (int) strcspn(word, " "), word, command->synopsis);

    return CTL_USAGE;
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
