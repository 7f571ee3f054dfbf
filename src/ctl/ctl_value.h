
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CTL_VALUE_H
#define CTL_VALUE_H


/*
 * Values of the command line, as JSON has them and as nginx.conf has them.
 * Both return 0 if it is neither.
 */

/* "0.35" or "35%" */

int ctl_ratio(const char *text, double *ratio);

/* "10", "0.5", "90s", "1h30m": seconds */

int ctl_seconds(const char *text, double *seconds);


#endif /* CTL_VALUE_H */
