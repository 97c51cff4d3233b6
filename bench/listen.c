#include "bench/listen.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "bench/args.h"

int rg_listen_at(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;

    if (fd < 0)
        rg_args_die("socket");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4096) < 0)
        rg_args_die("listen");
    return fd;
}

uint16_t rg_listen_port(int fd)
{
    struct sockaddr_in address;
    socklen_t n = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &n) < 0)
        rg_args_die("getsockname");
    return ntohs(address.sin_port);
}
