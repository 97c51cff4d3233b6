// Which folder includes which: reads every #include in a source tree and tells what breaks the rules.
//
//   node tests/support/includes.mjs [DIR]     prints one line for each violation; status 1 if any
//
// A folder may include itself and what stands below it, never sideways and never up. Libraries stay
// behind the folders named here.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const LADDER = [
  ['base'],
  ['event', 'net'],
  ['http', 'kafka'],
  ['auth', 'cluster', 'presence'],
  ['push', 'proxy', 'ops'],
  ['rgate'],
];

const LIBRARIES = [
  { header: /^librdkafka\//, folders: ['kafka'] },
  { header: /^nghttp2\//, folders: ['http'] },
  { header: /^curl\//, folders: ['http', 'rgate'] },
  { header: /^openssl\/ssl\.h$/, folders: ['net'] },
  { header: /^zlib\.h$/, folders: ['http', 'push'] },
  { header: /^pcre2\.h$/, folders: ['proxy'] },
  { header: /^jansson\.h$/, folders: ['event', 'auth', 'rgate', 'kafka', 'proxy'] },
];

const levelOf = (folder) => LADDER.findIndex((folders) => folders.includes(folder));

function sourcesBelow(directory) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return sourcesBelow(path);
    return /\.[ch]$/.test(entry.name) ? [path] : [];
  });
}

function checkOwn(root, folder, header) {
  if (!header.includes('/')) return 'include by full name: "folder/file.h"';
  if (!existsSync(join(root, header))) return 'there is no such file';
  const target = header.split('/')[0];
  if (target === folder) return null;
  if (/_priv\.h$/.test(header)) return `private to ${target}/`;
  if (levelOf(target) < levelOf(folder)) return null;
  return levelOf(target) === levelOf(folder) ? 'sideways' : 'upwards';
}

function checkLibrary(folder, header) {
  const rule = LIBRARIES.find((library) => library.header.test(header));
  if (!rule || rule.folders.includes(folder)) return null;
  return `belongs behind ${rule.folders.map((name) => `${name}/`).join(', ')}`;
}

/** One sentence for each violation below root. */
export function violations(root) {
  const found = [];
  for (const path of sourcesBelow(root)) {
    const name = relative(root, path);
    const folder = name.split('/')[0];
    if (levelOf(folder) < 0) {
      found.push(`${name}: the folder ${folder}/ has no place in the ladder`);
      continue;
    }
    for (const [i, line] of readFileSync(path, 'utf8').split('\n').entries()) {
      const include = /^\s*#\s*include\s*(["<])([^">]+)[">]/.exec(line);
      if (!include) continue;
      const [, mark, header] = include;
      const wrong = mark === '"' ? checkOwn(root, folder, header) : checkLibrary(folder, header);
      if (wrong) found.push(`${name}:${i + 1}: ${header}: ${wrong}`);
    }
  }
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = process.argv[2] ?? fileURLToPath(new URL('../../src', import.meta.url));
  const found = violations(root);
  for (const sentence of found) console.log(sentence);
  process.exitCode = found.length > 0 ? 1 : 0;
}
