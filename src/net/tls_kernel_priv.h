/*
 * tls_kernel_priv.h - sending through the kernel's TLS (tls(7) is linux/tls.h), where it has one.
 *
 * What is written to the socket as text leaves it as records. Receiving stays here: the kernel
 * could do that, too, but would have to be asked for the type of every record.
 *
 * Thread: the reactor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct rg_tls_records;

/*
 * Gives the keys for sending to the kernel, for good. False if the kernel has no TLS, not for this
 * cipher, or not for this kind of socket; nothing has changed then.
 */
bool rg_tls_kernel_take(int fd, const struct rg_tls_records *records);

/* Sends a record that is no data. Whether the socket took it is not worth knowing. */
void rg_tls_kernel_send(int fd, int type, const char *p, size_t n);
