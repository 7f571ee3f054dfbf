
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_H
#define CTL_H


#include <stddef.h>
#include <stdint.h>

#include "canary_version.h"


/*
 * canaryctl: a program over the API of the canary module.  What every part of
 * it needs: the exit status, messages, options, commands.
 */


#define CTL_VERSION       CANARY_VERSION
#define CTL_URL           "http://127.0.0.1:8080/canary/"


typedef enum {
    CTL_DONE = 0,
    CTL_FAILED = 1,
    CTL_USAGE = 2,
    CTL_ROLLED_BACK = 3,                  /* or halted, of what was waited
                                             for */
    CTL_TIMED_OUT = 4                     /* --timeout */
} ctl_exit_t;


typedef struct {
    uint32_t      given;                  /* bits: ctl_option_t */

    const char   *url;
    const char   *token_file;
    const char   *cacert;
    const char   *capath;
    const char   *cert;
    const char   *key;
    const char   *unix_socket;
    const char   *timeout;

    const char   *reason;
    const char   *generation;

    const char   *release;
    const char   *strategy;
    const char   *interval;
    const char   *step;
    const char   *steps;
    const char   *bake;
    const char   *patience;
    const char   *approval;
    const char   *filename;
    const char  **rules;
    size_t        nrules;

    const char   *after;
    const char   *exec;
    const char   *state;

    char        **args;                   /* the command is the first */
    size_t        nargs;
} ctl_options_t;


typedef enum {
    CTL_OPT_HELP = 0,
    CTL_OPT_VERSION,
    CTL_OPT_JSON,
    CTL_OPT_URL,
    CTL_OPT_TOKEN_FILE,
    CTL_OPT_CACERT,
    CTL_OPT_CAPATH,
    CTL_OPT_CERT,
    CTL_OPT_KEY,
    CTL_OPT_INSECURE,
    CTL_OPT_UNIX_SOCKET,
    CTL_OPT_TIMEOUT,
    CTL_OPT_WATCH,
    CTL_OPT_WAIT,
    CTL_OPT_FOLLOW,
    CTL_OPT_AFTER,
    CTL_OPT_EXEC,
    CTL_OPT_STATE,
    CTL_OPT_REASON,
    CTL_OPT_IF_GENERATION,
    CTL_OPT_RELEASE,
    CTL_OPT_STRATEGY,
    CTL_OPT_INTERVAL,
    CTL_OPT_STEP,
    CTL_OPT_STEPS,
    CTL_OPT_BAKE,
    CTL_OPT_PATIENCE,
    CTL_OPT_RULE,
    CTL_OPT_APPROVAL,
    CTL_OPT_FILENAME
} ctl_option_t;


#define CTL_BIT(option)           (1u << (option))
#define ctl_given(options, option)                                            \
    (((options)->given & CTL_BIT(option)) != 0)


typedef struct {
    const char    *name;
    const char    *synopsis;
    const char    *help;
    uint32_t       options;               /* that it has of its own */
    size_t         endpoint;              /* the argument that names one; 0:
                                             none does */
    size_t         nargs;                 /* with its name */
    size_t         nargs_max;
    ctl_exit_t   (*run)(const ctl_options_t *options);
} ctl_command_t;


/* all, the last without a name */

extern const ctl_command_t  ctl_commands[];

const ctl_command_t *ctl_command(const char *name);


/*
 * Takes the command line apart, which has to stay.  What is wrong with it is
 * told on standard error; to be freed in any case.
 */

ctl_exit_t ctl_options(int argc, char *const *argv, ctl_options_t *options);
void ctl_options_free(ctl_options_t *options);

void ctl_help(const ctl_command_t *command);

/* There is none of the name, or no name; or an argument is missing, after so
   many with the command's own: told. */

void ctl_no_command(const ctl_options_t *options);
ctl_exit_t ctl_missing(const ctl_command_t *command, size_t nargs);

/*
 * Why no endpoint has the name, which might lead out of the API; NULL: one
 * may.
 */

const char *ctl_bad_endpoint(const char *name);


/* "canaryctl: ..." on standard error, made safe: always one line. */

void ctl_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void ctl_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));


/* What the commands do */

ctl_exit_t ctl_list(const ctl_options_t *options);
ctl_exit_t ctl_status(const ctl_options_t *options);
ctl_exit_t ctl_update(const ctl_options_t *options);
ctl_exit_t ctl_estimate(const ctl_options_t *options);
ctl_exit_t ctl_verb(const ctl_options_t *options);
ctl_exit_t ctl_approve(const ctl_options_t *options);
ctl_exit_t ctl_weight(const ctl_options_t *options);
ctl_exit_t ctl_events(const ctl_options_t *options);
ctl_exit_t ctl_failures(const ctl_options_t *options);
ctl_exit_t ctl_fleet(const ctl_options_t *options);
ctl_exit_t ctl_forget(const ctl_options_t *options);
ctl_exit_t ctl_token(const ctl_options_t *options);


#endif /* CTL_H */
