/*
 * tls_client_priv.h - what the settings of a client (tls_client.c) and its streams
 * (tls_client_stream.c) share.
 *
 * Thread: any.
 */
#pragma once

#include <openssl/ssl.h>

#include "net/tls_client.h"

/*
 * OpenSSL's part of a connection to server_name, with a session to resume if there is one; NULL if
 * OpenSSL has no memory or does not take the name.
 */
SSL *rg_tls_client_connect(struct rg_tls_client *client, const char *server_name);

/* Where OpenSSL's callbacks find the client and the name of a connection: its app data. */
struct rg_tls_client_peer {
    struct rg_tls_client *client;
    char *server_name;
};
