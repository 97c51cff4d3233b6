// The folders of src/ are the architecture.
//
// - No folder includes sideways or upwards, and libraries stay behind their folders.
// - The check finds a violation where there is one.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { violations } from './support/includes.mjs';

/** The violations of a tree with these files: { path: content }. */
function violationsOf(files) {
  const root = mkdtempSync(join(tmpdir(), 'rgate-includes-'));
  try {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    return violations(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

describe('includes', () => {
  it('the picture of the folders is true', () => {
    const found = violations(fileURLToPath(new URL('../src', import.meta.url)));
    assert.deepEqual(found, []);
  });

  it('downwards and inside of a folder is allowed', () => {
    assert.deepEqual(violationsOf({
      'base/str.h': '',
      'http/h1.h': '#include "base/str.h"\n',
      'push/sse.c': '#include "http/h1.h"\n#include "push/sse_priv.h"\n#include <stdio.h>\n',
      'push/sse_priv.h': '',
    }), []);
  });

  for (const [what, files, wanted] of [
    ['sideways', { 'event/a.h': '#include "net/b.h"\n', 'net/b.h': '' },
      'event/a.h:1: net/b.h: sideways'],
    ['upwards', { 'base/a.c': '\n # include  "push/b.h"\n', 'push/b.h': '' },
      'base/a.c:2: push/b.h: upwards'],
    ['a private header', { 'http/a.c': '#include "event/b_priv.h"\n', 'event/b_priv.h': '' },
      'http/a.c:1: event/b_priv.h: private to event/'],
    ['a header without its folder', { 'base/a.c': '#include "b.h"\n', 'base/b.h': '' },
      'base/a.c:1: b.h: include by full name: "folder/file.h"'],
    ['a header that is not there', { 'net/a.c': '#include "base/b.h"\n' },
      'net/a.c:1: base/b.h: there is no such file'],
    ['a folder that nobody knows', { 'util/a.c': '' },
      'util/a.c: the folder util/ has no place in the ladder'],
    ['Kafka outside of kafka/', { 'push/a.c': '#include <librdkafka/rdkafka.h>\n' },
      'push/a.c:1: librdkafka/rdkafka.h: belongs behind kafka/'],
    ['HTTP/2 outside of http/', { 'net/a.c': '#include <nghttp2/nghttp2.h>\n' },
      'net/a.c:1: nghttp2/nghttp2.h: belongs behind http/'],
    ['curl in push/', { 'push/a.c': '#include <curl/curl.h>\n' },
      'push/a.c:1: curl/curl.h: belongs behind http/, rgate/'],
    ['regular expressions in http/', { 'http/a.c': '#include <pcre2.h>\n' },
      'http/a.c:1: pcre2.h: belongs behind proxy/'],
    ['jansson in push/', { 'push/a.c': '#include <jansson.h>\n' },
      'push/a.c:1: jansson.h: belongs behind event/, auth/, rgate/, kafka/, proxy/'],
  ]) {
    it(`${what} is found`, () => assert.deepEqual(violationsOf(files), [wanted]));
  }
});
