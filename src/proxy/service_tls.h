/*
 * service_tls.h - how a service is spoken to with TLS, as a definition says it.
 *
 * To read certificates, above all the many that the system trusts, costs more than all the rest of
 * a definition. So what was read is kept for a minute, and shared by all who ask for the same of
 * the same files.
 *
 * Thread: any; blocks for as long as files take to read.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "net/tls_client.h"

/* Appends a text that is equal for settings that are the same, of files that are the same. */
void rg_service_tls_name(const struct rg_tls_client_settings *settings, struct rg_buf *out);

/* A reference, or NULL with why as of rg_tls_client_new(). name is that of the settings. */
struct rg_tls_client *rg_service_tls_get(const struct rg_tls_client_settings *settings,
                                         struct rg_str name, uint64_t now_ms, struct rg_why *why);

/* Forgets what was kept. */
void rg_service_tls_forget(void);
