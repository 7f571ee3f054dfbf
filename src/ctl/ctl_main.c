
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#include <stdio.h>

#include <curl/curl.h>

#include "ctl.h"


static ctl_exit_t ctl_run(const ctl_options_t *options);


/* What was written has to have been taken: the disk may be full. */

int
main(int argc, char **argv)
{
    ctl_exit_t     rc;
    ctl_options_t  options;

    rc = ctl_options(argc, argv, &options);

    if (rc == CTL_DONE) {
        rc = ctl_run(&options);

        if (fflush(stdout) != 0 || ferror(stdout)) {
            ctl_error("cannot write to standard output");
            rc = CTL_FAILED;
        }
    }

    ctl_options_free(&options);

    return rc;
}


static ctl_exit_t
ctl_run(const ctl_options_t *options)
{
    const ctl_command_t  *command;

    command = options->nargs ? ctl_command(options->args[0]) : NULL;

    if (ctl_given(options, CTL_OPT_HELP)) {

        if (options->nargs && command == NULL) {
            ctl_no_command(options);
            return CTL_USAGE;
        }

        ctl_help(command);
        return CTL_DONE;
    }

    if (ctl_given(options, CTL_OPT_VERSION)) {
        printf("canaryctl %s (libcurl %s)\n", CTL_VERSION,
               curl_version_info(CURLVERSION_NOW)->version);
        return CTL_DONE;
    }

    return command->run(options);
}
