/*
 * https.h - the variables HTTPS_*: from what they say to what TLS shows, and what is told about it.
 *
 * Thread: main, which is the control loop later.
 */
#pragma once

#include "net/tls.h"
#include "rgate/config.h"

/*
 * Checks config->https_* against each other, reads certificate and key, and sets config->tls (left
 * NULL where HTTPS is off). Every problem names the variable to look at.
 */
void rg_https_load(struct rg_config *config, struct rg_problems *problems);

/* Logs a warning if the certificate has ended or will within two weeks. */
void rg_https_warn(const struct rg_tls *tls);

/* Logs which certificate is in use, or that there is none. tls may be NULL. */
void rg_https_log(const struct rg_tls *tls);

/* Reads the files again and logs what came of it. tls may be NULL. */
void rg_https_reload(struct rg_tls *tls);

/* Appends the metrics of TLS. tls may be NULL. */
void rg_https_expose(const struct rg_tls *tls, struct rg_buf *out);

/* Prints the certificate's facts as lines of `rgate check`. */
void rg_https_print(const struct rg_config *config);
