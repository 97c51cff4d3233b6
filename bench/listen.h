/*
 * listen.h - listening sockets of the bare servers.
 *
 * Thread: any.
 */
#pragma once

#include <stdint.h>

/* A listener on 127.0.0.1 that may share its port (0: a free one) with others; ends the program
 * on failure. */
int rg_listen_at(uint16_t port);

uint16_t rg_listen_port(int fd);
