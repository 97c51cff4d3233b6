/*
 * file.h - a whole file, read once.
 *
 * Thread: any; blocks, so never on a reactor.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/*
 * Appends what is in the file at path, at most max bytes. A negative code, with a sentence in
 * why->text and nothing appended, for what cannot be read, is longer, or is no regular file: a
 * named pipe, say, could keep us waiting.
 */
int rg_file_read(const char *path, size_t max, struct rg_buf *out, struct rg_why *why);
