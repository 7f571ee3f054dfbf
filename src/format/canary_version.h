
/*
 * Copyright (C) 2026 the nginx-canary authors
 */


#ifndef CANARY_VERSION_H
#define CANARY_VERSION_H


/* of the module and of its programs, as debian/changelog has it too */

#define CANARY_VERSION  "0.1.0"


#endif /* CANARY_VERSION_H */
