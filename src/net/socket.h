/*
 * socket.h - a stream on a connected socket.
 *
 * Non-blocking reads and writes on a descriptor of ours, and the readiness of it.
 *
 * Thread: the reactor.
 */
#pragma once

#include "net/stream.h"

/* Takes fd (closed even on failure). NULL if the loop does not accept it. Reading is on. */
struct rg_stream *rg_socket_open(struct rg_reactor *reactor, int fd,
                                 const struct rg_stream_events *events, void *owner);

/*
 * For who reads from the descriptor itself, past the stream, and has found that there is nothing
 * more for now: else its owner would be told in every turn of the loop.
 */
void rg_socket_drained(struct rg_stream *stream);

/* An address as text: the longest IPv6 form, and a NUL. */
#define RG_PEER_SIZE 46

/*
 * Writes the peer's address without the port ("192.0.2.7", "2001:db8::1"; IPv4 in IPv6 form as
 * IPv4) to out, or "" where there is none (a socket pair, a peer that has gone).
 */
void rg_socket_peer(int fd, char out[RG_PEER_SIZE]);

/* Has the end of fd, which follows, look to the peer like a failure (RST), not like an end. */
void rg_socket_set_abort(int fd);
