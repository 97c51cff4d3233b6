#include "net/tls_kernel_priv.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "net/tls_records_priv.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* All of them begin alike, and go on with iv, key, salt and number of the next record. */
union choice {
    struct tls_crypto_info info;
    struct tls12_crypto_info_aes_gcm_128 aes_128;
    struct tls12_crypto_info_aes_gcm_256 aes_256;
    struct tls12_crypto_info_chacha20_poly1305 chacha;
};

/* The nonce in two parts; TLS 1.2 sends the second, which we count as tls_records.c does. */
static void put_nonce(const struct rg_tls_records *records, unsigned char salt[4],
                      unsigned char iv[8])
{
    memcpy(salt, records->out.iv, 4);
    if (records->is_13)
        memcpy(iv, records->out.iv + 4, 8);
    else
        rg_tls_put_u64(iv, records->out.seq);
}

/* Fills in what the kernel wants to know. Returns its size. */
static socklen_t choose(const struct rg_tls_records *records, union choice *to)
{
    const struct rg_tls_half *out = &records->out;

    *to = (union choice){0};
    to->info.version = records->is_13 ? TLS_1_3_VERSION : TLS_1_2_VERSION;
    switch (rg_tls_records_nid(records)) {
    case NID_aes_128_gcm:
        to->info.cipher_type = TLS_CIPHER_AES_GCM_128;
        put_nonce(records, to->aes_128.salt, to->aes_128.iv);
        memcpy(to->aes_128.key, out->key, sizeof(to->aes_128.key));
        rg_tls_put_u64(to->aes_128.rec_seq, out->seq);
        return sizeof(to->aes_128);
    case NID_aes_256_gcm:
        to->info.cipher_type = TLS_CIPHER_AES_GCM_256;
        put_nonce(records, to->aes_256.salt, to->aes_256.iv);
        memcpy(to->aes_256.key, out->key, sizeof(to->aes_256.key));
        rg_tls_put_u64(to->aes_256.rec_seq, out->seq);
        return sizeof(to->aes_256);
    default:
        to->info.cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
        memcpy(to->chacha.iv, out->iv, sizeof(to->chacha.iv));
        memcpy(to->chacha.key, out->key, sizeof(to->chacha.key));
        rg_tls_put_u64(to->chacha.rec_seq, out->seq);
        return sizeof(to->chacha);
    }
}

static bool attach(int fd)
{
    static atomic_bool is_missing; /* asked for by root, a missing module is looked for on disk */

    if (atomic_load(&is_missing))
        return false;
    if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == 0 || errno == EEXIST)
        return true;
    if (errno == ENOENT)
        atomic_store(&is_missing, true);
    return false;
}

bool rg_tls_kernel_take(int fd, const struct rg_tls_records *records)
{
    union choice choice;

    if (!attach(fd))
        return false;
    socklen_t n = choose(records, &choice);
    bool is_taken = setsockopt(fd, SOL_TLS, TLS_TX, &choice, n) == 0;
    OPENSSL_cleanse(&choice, sizeof(choice));
    return is_taken;
}

void rg_tls_kernel_send(int fd, int type, const char *p, size_t n)
{
    union {
        char bytes[CMSG_SPACE(sizeof(unsigned char))];
        struct cmsghdr header; /* for its alignment */
    } control = {0};
    struct iovec iov = {(void *)p, n};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_TLS;
    header->cmsg_type = TLS_SET_RECORD_TYPE;
    header->cmsg_len = CMSG_LEN(sizeof(unsigned char));
    *CMSG_DATA(header) = (unsigned char)type;
    sendmsg(fd, &message, MSG_NOSIGNAL);
}
