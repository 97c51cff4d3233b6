// The container image, as far as it can be had without a container engine: tools/image-rootfs assembles its files
// from the Dockerfile's list of packages and runs the gateway in them.
//
// - The image starts as its Dockerfile says, not as root, and has all that the program needs.
// - It serves the port of 2017 and sends requests to the services that variables name; SIGTERM ends it in good order.
// - The Dockerfiles and manifests keep a few rules: no floating tags, one list of packages, no root.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { baseEnvironment, binary } from '../support/gateway.mjs';
import { HttpService } from '../support/http-service.mjs';
import { request } from '../support/http.mjs';
import { token } from '../support/jwt.mjs';
import { freePorts, isListening } from '../support/ports.mjs';
import { deferred, until, within } from '../support/wait.mjs';

const top = fileURLToPath(new URL('../..', import.meta.url));
const tool = `${top}tools/image-rootfs`;
const run = promisify(execFile);
const IMAGE_PORT = 6060;
const SECRET = 'a-secret-for-the-image-of-32-bytes';
const text = (path) => readFile(`${top}${path}`, 'utf8');

/** Instructions of a Dockerfile, stage by stage: [[name, rest], ...] each. */
async function stages(path) {
  const all = [];
  const lines = (await text(path)).replace(/^#.*\n/gm, '').replace(/\\\n/g, ' ').split('\n').filter(Boolean);
  for (const line of lines) {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? assert.fail(`${path}: ${line}`);
    if (name === 'FROM') all.push([]);
    (all.at(-1) ?? []).push([name, rest]);
  }
  return all;
}

const values = (stage, wanted) => stage.filter(([name]) => name === wanted).map(([, rest]) => rest);

/** Why the image cannot be run here, or false. */
async function imageUnavailable() {
  try {
    await run('unshare', ['--user', '--map-root-user', '--mount', 'true']).catch(() => run('unshare', ['--mount', 'true']));
    return false;
  } catch {
    return 'neither root nor user namespaces can be had here';
  }
}

describe('the container image', { skip: await imageUnavailable() }, () => {
  let directory;
  let root;
  let child;
  let output = '';
  let service;
  let routes;
  let internal;
  let client;
  const ended = deferred();

  const enter = (args, env = {}) => spawn(tool, args, {
    env: { ...baseEnvironment(), ...env, IMAGE_ENV: Object.keys(env).join(' ') }, stdio: ['ignore', 'pipe', 'pipe'] });
  const get = (port, path, headers) => request({ port, path, headers });

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rgate-image-'));
    root = join(directory, 'root');
    await run(tool, ['make', binary, root], { timeout: 120_000 });
    service = new HttpService((req, response) => { response.end(`seen ${req.method} ${req.path}`); });
    const { port } = await service.listen();
    let free;
    [internal, free] = await freePorts(2);
    // The image's own port, if it can be had on this machine: the network is shared.
    client = await isListening(IMAGE_PORT) ? free : IMAGE_PORT;
    // As a volume would, this takes the place of the file that the image has.
    routes = join(root, 'opt/rgate/proxy/proxy.json');
    const list = JSON.parse(await readFile(routes, 'utf8'));
    await writeFile(routes, JSON.stringify(list.map((route) => ({ ...route, port }))));
    child = enter(['run', root], { JWT_SECRET_KEY: SECRET, API_HTTP_PORT: String(internal),
      TS_HOST: '127.0.0.1', ...(client !== IMAGE_PORT && { PORT: String(client) }) });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (more) => { output += more; });
    }
    child.on('close', (code, signal) => ended.resolve({ code, signal }));
    await until(async () => (await get(internal, '/health')).status === 200, 'the gateway in the image is healthy', 20000)
      .catch((error) => assert.fail(`${error.message}\n${output}`));
  });
  after(async () => {
    child?.kill('SIGKILL');
    await service?.close();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  it('image: it serves the port of 2017', async () => {
    const { status, text: body } = await get(client, '/_rig/health');
    assert.deepEqual([status, body], [200, 'OK']);
  });

  it('image: requests go to the service that a variable names, with a token only', async () => {
    assert.equal((await get(client, '/ts/tasks')).status, 401);
    const { status, text: body } = await get(client, '/ts/tasks', { authorization: token({ username: 'ada', jti: 'j' }, { key: SECRET }) });
    assert.deepEqual([status, body], [200, 'seen GET /ts/tasks']);
  });

  it('image: it runs in its own files as the user of the Dockerfile, without any capability', async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
    assert.match(status, /^Name:\trgate$/m);
    assert.match(status, /^CapEff:\t0+$/m);
    assert.match(status, /^NoNewPrivs:\t1$/m);
    assert.equal((await run('readlink', [`/proc/${child.pid}/root`])).stdout.trim(), root);
    assert.doesNotMatch(status, /^Uid:\t0\t/m);
  });

  it('image: the health check of the Dockerfile sees whether it is healthy', async () => {
    const [final] = (await stages('Dockerfile')).slice(-1);
    const [, command] = /CMD (\[.*\])$/.exec(values(final, 'HEALTHCHECK')[0]);
    const check = async (port) => {
      const one = enter(['exec', root, ...JSON.parse(command)], { API_HTTP_PORT: String(port) });
      const [code] = await within(new Promise((done) => { one.on('close', (...how) => done(how)); }), 'the check ends', 10000);
      return code;
    };
    assert.equal(await check(internal), 0);
    const [nobody] = await freePorts(1);
    assert.equal(await check(nobody), 1);
  });

  it('image: a command in place of the Dockerfile\'s is one of the program\'s', async () => {
    const one = enter(['run', root, '--version']);
    let printed = '';
    one.stdout.on('data', (more) => { printed += more; });
    await within(new Promise((done) => { one.on('close', done); }), 'it ends');
    assert.match(printed, /^rgate \d/);
  });

  it('image: what the program is linked to comes from packages of the list', async () => {
    const { stdout } = await run('objdump', ['-p', join(root, 'usr/bin/rgate')]);
    const libraries = [...stdout.matchAll(/NEEDED\s+(\S+)/g)].map(([, name]) => name);
    const packages = (await text('packaging/runtime-packages')).split('\n').filter((line) => /^[a-z]/.test(line));
    assert.ok(libraries.length > 5);
    for (const library of libraries.filter((name) => !/^(libc|libm|ld-linux.*)\.so/.test(name))) {
      const found = await run('dpkg', ['-S', `*/${library}`]);
      const owners = found.stdout.split('\n').filter(Boolean).map((line) => line.split(':')[0]);
      assert.ok(owners.some((owner) => packages.includes(owner)), `${library} is of ${owners.join(', ')}`);
    }
  });

  it('image: SIGTERM ends it in good order', async () => {
    child.kill('SIGTERM');
    assert.deepEqual(await within(ended.promise, 'the program ends', 15000), { code: 0, signal: null }, output);
  });
});

describe('what is deployed', () => {
  const FILES = ['Dockerfile', 'build.dockerfile', 'examples/tasks/Dockerfile'];

  for (const file of FILES) {
    it(`image: ${file} starts from what has a name of its own`, async () => {
      const defaults = Object.fromEntries([...(await text(file)).matchAll(/^ARG (\w+)=(\S+)$/gm)].map(([, name, value]) => [name, value]));
      for (const stage of await stages(file)) {
        const from = values(stage, 'FROM')[0].split(' ')[0].replace(/\$\{(\w+)\}/, (_, name) => defaults[name]);
        assert.match(from, /^[a-z/.-]+:[\w.-]+$/, from);
        assert.doesNotMatch(from, /:latest$/);
        assert.deepEqual(values(stage, 'ADD'), []);
      }
    });
  }

  for (const file of ['Dockerfile', 'examples/tasks/Dockerfile']) {
    it(`image: ${file} ends as somebody who is not root`, async () => {
      const [final] = (await stages(file)).slice(-1);
      const user = values(final, 'USER').at(-1);
      assert.ok(user !== undefined && !/^(root|0)(:|$)/.test(user), String(user));
      for (const command of [...values(final, 'ENTRYPOINT'), ...values(final, 'CMD')]) JSON.parse(command);
    });
  }

  it('image: the Dockerfile installs the packages of the one list, and leaves no index', async () => {
    const [final] = (await stages('Dockerfile')).slice(-1);
    const installing = values(final, 'RUN').filter((command) => /apt-get/.test(command));
    assert.equal(installing.length, 1);
    assert.match(installing[0], /runtime-packages \| xargs apt-get -q install -y --no-install-recommends +&&/);
    assert.match(installing[0], /rm -rf \/var\/lib\/apt\/lists/);
    assert.deepEqual(values(final, 'EXPOSE'), ['6060 4010']);
    assert.ok(values(final, 'ENV').includes('PORT=6060'));
    assert.deepEqual(values(final, 'STOPSIGNAL'), ['SIGTERM']);
  });

  it('image: what the Dockerfiles copy is there, and not ignored', async () => {
    const kept = (await text('.dockerignore')).split('\n').filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    const read = await text('tools/image-build');
    for (const path of ['packaging/runtime-packages', 'packaging/healthcheck', 'examples/tasks/proxy.json', 'LICENSE', 'tools/setup']) {
      await text(path);
      assert.ok(kept.some((one) => path === one || path.startsWith(`${one}/`)), `${path} is ignored`);
    }
    assert.match(read, /packaging\/healthcheck/);
  });

  it('image: compose.yaml and the manifest name versions and give no more rights than needed', async () => {
    const compose = await text('compose.yaml');
    for (const [, image] of compose.matchAll(/^ +image: (\S+)$/gm)) assert.doesNotMatch(image, /:latest$/);
    assert.match(compose, /image: apache\/kafka:\d+\.\d+\.\d+$/m);
    for (const service of ['kafka', 'rgate', 'is', 'ps', 'ts']) assert.match(compose, new RegExp(`^  ${service}:$`, 'm'));
    const manifest = await text('packaging/kubernetes/rgate.yaml');
    for (const wanted of [/^  replicas: 2$/m, /livenessProbe:/, /readinessProbe:/, /resources:/, /runAsNonRoot: true/,
      /allowPrivilegeEscalation: false/, /readOnlyRootFilesystem: true/]) assert.match(manifest, wanted);
    const [, image] = /image: (\S+)/.exec(manifest);
    assert.match(image, /:\d+\.\d+\.\d+$/);
  });
});
