/*
 * credentials.h - certificates and keys for tests, made on the spot and written as PEM files.
 *
 * Thread: the test's.
 */
#pragma once

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"

/* In which form a key is written. */
enum credentials_form {
    CREDENTIALS_PKCS8,
    CREDENTIALS_TRADITIONAL
};

/* A directory of our own for the files; static storage. */
static inline const char *credentials_directory(void)
{
    static char directory[] = "/tmp/rgate-credentials-XXXXXX";
    static bool is_made;

    if (!is_made)
        rg_assert(mkdtemp(directory) != NULL);
    is_made = true;
    return directory;
}

/* directory/name; static storage for the last eight. */
static inline const char *credentials_path(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", credentials_directory(), name);
    return path;
}

static inline EVP_PKEY *credentials_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    rg_assert(key != NULL);
    return key;
}

/* A self-signed certificate that is valid from seconds before now to days after it. */
static inline X509 *credentials_cert(EVP_PKEY *key, const char *common_name, int days)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);

    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), (long)days * 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1,
                               0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    rg_assert(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static inline FILE *credentials_open(const char *file)
{
    FILE *f = fopen(credentials_path(file), "we");

    rg_assert(f != NULL);
    return f;
}

/* pass NULL: not encrypted. */
static inline void credentials_write_key(const char *file, EVP_PKEY *key,
                                         enum credentials_form form, const char *pass)
{
    FILE *f = credentials_open(file);
    BIO *bio = BIO_new_fp(f, BIO_CLOSE);
    const EVP_CIPHER *cipher = pass != NULL ? EVP_aes_256_cbc() : NULL;
    int n = pass != NULL ? (int)strlen(pass) : 0;
    int ok;

    if (form == CREDENTIALS_PKCS8)
        ok = PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, pass, n, NULL, NULL);
    else
        ok = PEM_write_bio_PrivateKey_traditional(bio, key, cipher, (unsigned char *)pass, n, NULL,
                                                  NULL);
    rg_assert(ok == 1);
    BIO_free(bio);
}

static inline void credentials_write_cert(const char *file, X509 *cert)
{
    FILE *f = credentials_open(file);

    rg_assert(PEM_write_X509(f, cert) == 1);
    fclose(f);
}

static inline void credentials_write_text(const char *file, const char *text)
{
    FILE *f = credentials_open(file);

    fputs(text, f);
    fclose(f);
}

/* Writes a new key and a certificate of it. */
static inline void credentials_make(const char *cert_file, const char *key_file,
                                    const char *common_name, int days)
{
    EVP_PKEY *key = credentials_key();
    X509 *cert = credentials_cert(key, common_name, days);

    credentials_write_key(key_file, key, CREDENTIALS_PKCS8, NULL);
    credentials_write_cert(cert_file, cert);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* Removes the directory and the files named, a NULL at the end. */
static inline void credentials_remove(const char *const *files)
{
    for (; *files != NULL; files++)
        unlink(credentials_path(*files));
    rmdir(credentials_directory());
}
