#include "kafka/tlsfile_priv.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"

static char *readable(struct rg_buf *path)
{
    rg_buf_add_char(path, '\0');
    if (access(path->p, R_OK) == 0)
        return rg_buf_steal(path);
    rg_buf_clear(path);
    return NULL;
}

static void add_program_folder(struct rg_buf *path)
{
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe));

    while (n > 0 && exe[n - 1] != '/')
        n--;
    if (n > 0)
        rg_buf_add(path, exe, (size_t)n);
}

char *rg_tlsfile_find(const char *path)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf candidate = {0};
    char *found;

    rg_buf_add_c(&candidate, path);
    found = readable(&candidate);
    if (found != NULL || path[0] == '/')
        return found;

    rg_buf_addf(&candidate, "priv/%s", path);
    found = readable(&candidate);
    if (found != NULL)
        return found;

    add_program_folder(&candidate);
    rg_buf_addf(&candidate, "priv/%s", path);
    return readable(&candidate);
}

static X509 *read_certificate(const char *path)
{
    FILE *f = fopen(path, "re");
    X509 *certificate = NULL;

    if (f != NULL) {
        certificate = PEM_read_X509(f, NULL, NULL, NULL);
        fclose(f);
    }
    ERR_clear_error();
    return certificate;
}

int rg_tlsfile_check_certificate(const char *path, struct rg_why *why)
{
    X509 *certificate = read_certificate(path);

    if (certificate == NULL)
        return rg_why_set(why, RG_EINVAL, "", "there is no PEM certificate in the file");
    X509_free(certificate);
    return 0;
}

struct passphrase {
    const char *text; /* may be NULL */
    bool was_asked;
};

/* Without a callback OpenSSL would ask at the terminal. */
static int give_passphrase(char *buf, int size, int rwflag, void *arg)
{
    struct passphrase *pass = arg;
    size_t n = pass->text != NULL ? strlen(pass->text) : 0;

    (void)rwflag;
    pass->was_asked = true;
    if (n == 0 || n > (size_t)size)
        return -1;
    memcpy(buf, pass->text, n);
    return (int)n;
}

static EVP_PKEY *read_key(const char *path, struct passphrase *pass)
{
    FILE *f = fopen(path, "re");
    EVP_PKEY *key = NULL;

    if (f != NULL) {
        key = PEM_read_PrivateKey(f, NULL, give_passphrase, pass);
        fclose(f);
    }
    ERR_clear_error();
    return key;
}

static bool fits(const char *certificate_path, EVP_PKEY *key)
{
    X509 *certificate = read_certificate(certificate_path);
    bool ok = certificate == NULL || X509_check_private_key(certificate, key) == 1;

    X509_free(certificate);
    ERR_clear_error();
    return ok;
}

int rg_tlsfile_check_key(const char *path, const char *password, const char *certificate_path,
                         struct rg_why *why)
{
    struct passphrase pass = {password, false};
    EVP_PKEY *key = read_key(path, &pass);
    bool is_fitting;

    if (key == NULL && pass.was_asked)
        return rg_why_set(why, RG_ENOTFOUND, "", "the passphrase does not open the key");
    if (key == NULL)
        return rg_why_set(why, RG_EINVAL, "", "there is no PEM private key in the file");

    is_fitting = certificate_path == NULL || fits(certificate_path, key);
    EVP_PKEY_free(key);
    if (!is_fitting)
        return rg_why_set(why, RG_EINVAL, "", "the key does not belong to the certificate");
    return 0;
}
