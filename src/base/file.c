#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, size_t n, struct rg_buf *out)
{
    char *p = rg_buf_reserve(out, n);
    size_t at = 0;

    while (at < n) {
        ssize_t got = read(fd, p + at, n - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break; /* shorter than it was a moment ago */
        at += (size_t)got;
    }
    out->n += at;
    return 0;
}

static int cannot_read(struct rg_why *why, const char *path, int err)
{
    return rg_why_set(why, err, "", "the file %s cannot be read: %s", path, rg_strerror(err));
}

static int read_open(int fd, const char *path, size_t max, struct rg_buf *out, struct rg_why *why)
{
    struct stat st;
    int err;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return rg_why_set(why, RG_EINVAL, "", "%s is not a regular file", path);
    if ((size_t)st.st_size > max)
        return rg_why_set(why, RG_EINVAL, "", "the file %s is longer than %zu KiB", path,
                          max >> 10);
    err = read_all(fd, (size_t)st.st_size, out);
    return err < 0 ? cannot_read(why, path, err) : 0;
}

int rg_file_read(const char *path, size_t max, struct rg_buf *out, struct rg_why *why)
{
    /* Opening a named pipe would wait for who writes into it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return cannot_read(why, path, -errno);
    int err = read_open(fd, path, max, out, why);
    close(fd);
    return err;
}
