/*
 * tlsfile_priv.h - the PEM files of a TLS client, checked before they are used.
 *
 * librdkafka reports a wrong passphrase and a wrong file with the same words; an
 * operator wants to know which variable to look at.
 *
 * Thread: start-up.
 */
#pragma once

#include "base/err.h"

/*
 * Finds a file: as given, else below priv/ in the working directory, else below priv/
 * beside the program. Returns its path, the caller's, or NULL.
 */
char *rg_tlsfile_find(const char *path);

/* Returns 0 if the file has at least one certificate in PEM, else RG_EINVAL with why->text. */
int rg_tlsfile_check_certificate(const char *path, struct rg_why *why);

/*
 * Returns 0 if path is a private key that password (may be NULL) opens, and, unless
 * certificate_path is NULL, the key of its first certificate. RG_ENOTFOUND: the passphrase is
 * missing or wrong; RG_EINVAL: anything else; both with why->text.
 */
int rg_tlsfile_check_key(const char *path, const char *password, const char *certificate_path,
                         struct rg_why *why);
