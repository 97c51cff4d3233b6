// The Autobahn test suite's cases for WebSocket servers (RFC 6455, RFC 7692), in the runner kosoku.
//
// - Framing, control frames, fragments, UTF-8, closing, large messages and permessage-deflate are
//   as the cases want them, strictly; what is allowed beside OK stands in ALLOWED, with its reason.
//
// The cases need an echo, which the gateway's endpoint is not: they run against ws_echo
// (tests/support), which reads and writes with the same code. RG_WS_ECHO names the program; without
// it build directories of the project are searched. The runner comes from PyPI into build/.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { within } from '../support/wait.mjs';

const RUNNER = 'kosoku==0.1.0';
const build = fileURLToPath(new URL('../../build', import.meta.url));
const venv = path.join(build, RUNNER.replace('==', '-'));

// How many cases there are of each group, so that none gets lost.
const GROUPS = {
  1: ['framing', 16], 2: ['pings and pongs', 11], 3: ['reserved bits', 7], 4: ['opcodes', 10],
  5: ['fragments', 20], 6: ['UTF-8', 145], 7: ['closing', 37], 9: ['large messages', 54],
  10: ['fragments of our own choice', 1], 12: ['permessage-deflate', 45],
  13: ['parameters of permessage-deflate', 63],
};

// Each sends 1000 messages of 32 KiB or more, which takes minutes and shows nothing that the smaller
// ones do not show.
const LEFT_OUT = [12, 13].flatMap(
  (group) => [8, 9, 10, 13, 14, 15, 16, 17, 18].map((size) => `${group}.*.${size}`));

const ALLOWED = [
  // The case only tells whether what came before the peer's close frame was answered before it.
  { cases: /^7\.1\.6$/, behavior: 'INFORMATIONAL' },
  // Close codes beyond those of the RFC: the cases only tell what the server makes of them.
  { cases: /^7\.13\./, behavior: 'INFORMATIONAL' },
  // The client wants a window of 512 bytes from us. A message is compressed once for all clients, so
  // its window is that of all; such an offer is declined, and the case ends with its connection open.
  { cases: /^13\.[35]\./, behavior: 'UNIMPLEMENTED' },
];

function findEcho() {
  if (process.env.RG_WS_ECHO) return process.env.RG_WS_ECHO;
  const names = existsSync(build) ? readdirSync(build) : [];
  return names.map((name) => path.join(build, name, 'tests/support/ws_echo')).find(existsSync);
}

/** Runs a program to its end; { code, output }, code null if it could not run. */
function run(file, args) {
  return new Promise((resolve) => {
    execFile(file, args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : null) : 0;
      resolve({ code, output: `${stdout}${stderr}` || String(error?.message) });
    });
  });
}

/** The runner's program; or why there is none: { program } or { reason }. */
async function installRunner() {
  const program = path.join(venv, 'bin/kosoku');
  if (existsSync(program)) return { program };
  const lastLine = (text) => text.trim().split('\n').at(-1);
  const made = await run('python3', ['-m', 'venv', venv]);
  if (made.code !== 0) return { reason: `no venv of Python: ${lastLine(made.output)}` };
  const installed = await run(path.join(venv, 'bin/pip'), ['install', '--quiet', '--no-deps',
    '--only-binary', ':all:', '--disable-pip-version-check', '--retries', '1', RUNNER]);
  if (installed.code === 0) return { program };
  const cause = /connection broken|Temporary failure|timed out/i.test(installed.output)
    ? 'PyPI cannot be reached' : lastLine(installed.output);
  return { reason: `${RUNNER} is not to be had: ${cause}` };
}

async function startEcho(program) {
  const child = spawn(program, [], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await within(new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`ws_echo ended with ${code}`)));
    child.stdout.setEncoding('utf8').once('data', (text) => resolve(Number(text.split(' ')[1])));
  }), 'ws_echo says its port');
  return { child, port };
}

const echo = findEcho();

describe('Autobahn', { skip: echo ? false : 'ws_echo is not built (configure with RG_TESTS=ON)' }, () => {
  let missing;
  let server;
  let output;
  const results = new Map();        // case => { behavior, behaviorClose }
  const reports = mkdtempSync(path.join(tmpdir(), 'rgate-autobahn-'));

  before(async () => {
    const { program, reason } = await installRunner();
    missing = reason;
    if (missing) return;
    server = await startEcho(echo);
    ({ output } = await within(run(program, [
      ...LEFT_OUT.flatMap((pattern) => ['-x', pattern]), '-o', reports,
      '-p', String(Math.min(4, availableParallelism())), `ws://127.0.0.1:${server.port}`,
    ]), 'the cases are done', 170_000));
    const index = path.join(reports, 'index.json');
    assert.ok(existsSync(index), `there is no report:\n${output}`);
    for (const cases of Object.values(JSON.parse(readFileSync(index, 'utf8')))) {
      for (const [id, result] of Object.entries(cases)) results.set(id, result);
    }
  });
  after(() => {
    server?.child.removeAllListeners('exit');
    server?.child.kill();
    rmSync(reports, { recursive: true, force: true });
  });

  const isFine = ([id, { behavior, behaviorClose }]) => (behavior === 'OK' && behaviorClose === 'OK')
    || ALLOWED.some((allowed) => allowed.cases.test(id) && allowed.behavior === behavior
      && ['OK', 'INFORMATIONAL'].includes(behaviorClose));

  for (const [group, [what, count]] of Object.entries(GROUPS)) {
    it(`autobahn ${group}: ${what}`, (t) => {
      if (missing) return t.skip(missing);
      const own = [...results].filter(([id]) => id.startsWith(`${group}.`));
      assert.equal(own.length, count, 'every case ran');
      const wrong = own.filter((one) => !isFine(one)).map(([id, result]) => ({ id, ...result }));
      return assert.deepEqual(wrong, []);
    });
  }
  it('autobahn: the server has survived all of it', (t) => {
    if (missing) return t.skip(missing);
    return assert.equal(server.child.exitCode ?? server.child.signalCode, null);
  });
});
