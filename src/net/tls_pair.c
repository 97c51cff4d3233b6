#include "net/tls_pair_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

#define MAX_FILE_BYTES   (1 << 20)
#define MADE_FOR_DAYS    90
#define ONE_HOUR_S       3600
#define ONE_DAY_S        (24 * ONE_HOUR_S)
#define MADE_FOR_NAMES   "DNS:localhost,IP:127.0.0.1,IP:::1"
#define MADE_FOR_PURPOSE "serverAuth"

const char *rg_tls_last_error(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return reason != NULL ? reason : "OpenSSL gives no reason";
}

void rg_tls_pair_done(struct rg_tls_pair *pair)
{
    X509_free(pair->cert);
    sk_X509_pop_free(pair->chain, X509_free);
    EVP_PKEY_free(pair->key);
    *pair = (struct rg_tls_pair){0};
}

/* ---- files ---- */

static void free_bio(BIO **biop)
{
    BIO_free(*biop);
}

static int check_regular(int fd, const char *place, const char *path, struct rg_why *why)
{
    struct stat st;

    /* Anything else, a named pipe say, could keep us waiting. */
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return rg_why_set(why, RG_EINVAL, place, "%s is not a regular file", path);
    if (st.st_size > MAX_FILE_BYTES)
        return rg_why_set(why, RG_EINVAL, place, "the file %s is longer than %d MiB", path,
                          MAX_FILE_BYTES >> 20);
    return 0;
}

/* The file at path as what OpenSSL reads from, or NULL with why. */
static BIO *open_file(const char *place, const char *path, struct rg_why *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        int err = -errno;
        rg_why_set(why, err, place, "the file %s cannot be read: %s", path, rg_strerror(err));
        return NULL;
    }
    FILE *file = check_regular(fd, place, path, why) == 0 ? fdopen(fd, "r") : NULL;
    if (file == NULL) {
        close(fd);
        return NULL;
    }
    BIO *bio = BIO_new_fp(file, BIO_CLOSE);
    rg_assert(bio != NULL);
    return bio;
}

struct pass {
    const char *text; /* may be NULL */
    bool was_asked;
};

/* Without a callback OpenSSL would ask at the terminal. */
static int give_pass(char *to, int size, int is_writing, void *arg)
{
    struct pass *pass = arg;
    size_t n = pass->text != NULL ? strlen(pass->text) : 0;

    (void)is_writing;
    pass->was_asked = true;
    if (n == 0 || n > (size_t)size)
        return -1;
    memcpy(to, pass->text, n);
    return (int)n;
}

static int load_chain(struct rg_tls_pair *pair, const char *path, struct rg_why *why)
{
    RG_CLEANUP(free_bio) BIO *bio = open_file("cert_file", path, why);
    struct pass none = {0};
    X509 *next;

    if (bio == NULL)
        return RG_EINVAL;
    ERR_clear_error();
    pair->cert = PEM_read_bio_X509_AUX(bio, NULL, give_pass, &none);
    if (pair->cert == NULL)
        return rg_why_set(why, RG_EINVAL, "cert_file", "the file %s has no PEM certificate: %s",
                          path, rg_tls_last_error());
    pair->chain = sk_X509_new_null();
    rg_assert(pair->chain != NULL);
    while ((next = PEM_read_bio_X509(bio, NULL, give_pass, &none)) != NULL)
        rg_assert(sk_X509_push(pair->chain, next) > 0);
    /* The end of the file is "no start line"; a damaged certificate is something else. */
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return rg_why_set(why, RG_EINVAL, "cert_file",
                          "certificate %d in the file %s cannot be read: %s",
                          sk_X509_num(pair->chain) + 2, path, rg_tls_last_error());
    ERR_clear_error();
    return 0;
}

static int load_key(struct rg_tls_pair *pair, const struct rg_tls_settings *settings,
                    struct rg_why *why)
{
    const char *path = settings->key_file;
    RG_CLEANUP(free_bio) BIO *bio = open_file("key_file", path, why);
    struct pass pass = {settings->key_pass, false};

    if (bio == NULL)
        return RG_EINVAL;
    ERR_clear_error();
    pair->key = PEM_read_bio_PrivateKey(bio, NULL, give_pass, &pass);
    const char *reason = rg_tls_last_error();
    if (pair->key != NULL)
        return 0;
    if (!pass.was_asked)
        return rg_why_set(why, RG_EINVAL, "key_file", "the file %s has no PEM private key: %s",
                          path, reason);
    if (pass.text == NULL)
        return rg_why_set(why, RG_EINVAL, "key_pass",
                          "the key in the file %s is encrypted and needs a pass phrase", path);
    return rg_why_set(why, RG_EINVAL, "key_pass", "the pass phrase does not open the key in %s",
                      path);
}

int rg_tls_pair_load(struct rg_tls_pair *pair, const struct rg_tls_settings *settings,
                     struct rg_why *why)
{
    int err = load_chain(pair, settings->cert_file, why);

    if (err == 0)
        err = load_key(pair, settings, why);
    if (err == 0 && X509_check_private_key(pair->cert, pair->key) != 1)
        err = rg_why_set(why, RG_EINVAL, "key_file",
                         "the key in %s is not the one of the first certificate in %s",
                         settings->key_file, settings->cert_file);
    ERR_clear_error();
    return err;
}

/* ---- self-signed ---- */

static bool add_extension(X509 *cert, X509V3_CTX *context, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
    bool is_added = extension != NULL && X509_add_ext(cert, extension, -1) == 1;

    X509_EXTENSION_free(extension);
    return is_added;
}

static bool fill_in(X509 *cert, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(cert);
    X509V3_CTX context;
    uint64_t serial = 0;

    if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
        return false;
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    return X509_set_version(cert, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
           /* Clocks differ a little. */
           X509_gmtime_adj(X509_getm_notBefore(cert), -ONE_HOUR_S) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(cert), (long)MADE_FOR_DAYS * ONE_DAY_S) != NULL &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                      -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, &context, NID_subject_alt_name, MADE_FOR_NAMES) &&
           add_extension(cert, &context, NID_ext_key_usage, MADE_FOR_PURPOSE);
}

int rg_tls_pair_make(struct rg_tls_pair *pair, struct rg_why *why)
{
    ERR_clear_error();
    pair->key = EVP_EC_gen("P-256");
    pair->cert = X509_new();
    if (pair->key == NULL || pair->cert == NULL || !fill_in(pair->cert, pair->key) ||
        X509_sign(pair->cert, pair->key, EVP_sha256()) == 0)
        return rg_why_set(why, RG_EINVAL, "", "cannot make a certificate: %s", rg_tls_last_error());
    return 0;
}
