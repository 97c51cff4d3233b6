// The example examples/tasks, as its README says to run it: the gateway with the routes of 2017, three services.
//
// - Tasks are made and changed with a token only; a second device is told; an upload comes back as it was sent.
// - Logging out ends the token and its sockets, and no others.
// - In browsers: a task that is added in one appears in the other.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { browserUnavailable, launchBrowser } from '../support/browser.mjs';
import { openSse, openWs } from '../support/channels.mjs';
import { baseEnvironment, binary, Gateway } from '../support/gateway.mjs';
import { request } from '../support/http.mjs';
import { freePortRange } from '../support/ports.mjs';
import { until, within } from '../support/wait.mjs';

const run = fileURLToPath(new URL('../../examples/tasks/run', import.meta.url));

describe('the example of tasks', () => {
  let child;
  let output = '';
  let ended;
  let port;
  const gateway = new Gateway(); // as far as clients ask for one

  /** A request through the gateway. */
  const ask = (method, path, { token, body, headers = {} } = {}) => request({ port, method, path,
    body: body !== undefined && typeof body !== 'string' ? JSON.stringify(body) : body,
    headers: { ...(token && { authorization: token }), ...(body && { 'content-type': 'application/json' }), ...headers } });

  async function logIn(username, password) {
    const answer = await ask('POST', '/is/login', { body: { username, password } });
    assert.equal(answer.status, 200, answer.text);
    return answer.json().token;
  }

  /** The next message about a task; there are records of requests on the channel, too. */
  async function nextTask(next) {
    for (;;) {
      const message = await next();
      if (message.type === 'task') return message;
    }
  }

  /** The data of a stream's messages, one by one; presence is in between. */
  const nextOf = (stream) => async () =>
    JSON.parse((await stream.frames.find(({ event }) => event === 'message', 'a message')).data);

  before(async () => {
    // Below the range from which other connections of this machine get theirs meanwhile.
    const base = await freePortRange(5);
    const [client, internal, is, ps, ts] = [0, 1, 2, 3, 4].map((i) => base + i);
    port = gateway.port = client;
    child = spawn(run, {
      env: { ...baseEnvironment(), RGATE_BINARY: binary, PORT: String(client), API_HTTP_PORT: String(internal),
        IS_PORT: String(is), PS_PORT: String(ps), TS_PORT: String(ts) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    ended = new Promise((resolve) => { child.on('close', resolve); });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => { output += text; });
    }
    const isServing = until(() => ['IS', 'PS', 'TS'].every((name) => output.includes(`${name}: port`)), 'the example runs', 60000);
    await Promise.race([isServing, ended.then(() => { throw new Error('the example has ended'); })])
      .catch((error) => assert.fail(`${error.message}\n${output}`));
    const ready = () => request({ port: internal, path: '/ready' });
    await until(async () => (await ready()).status === 200, 'Kafka is read', 30000);
  });
  after(async () => {
    child?.kill('SIGTERM');
    if (ended) await within(ended, 'the example ends', 30000);
  });

  it('example-tasks: without a token nothing of the kind', async () => {
    for (const [method, path] of [['GET', '/ts/tasks'], ['POST', '/ts/tasks'], ['POST', '/ps/pictures'], ['POST', '/is/logout']]) {
      const answer = await ask(method, path, { body: method === 'POST' ? { text: 'x' } : undefined });
      assert.equal(answer.status, 401, `${method} ${path}`);
      assert.deepEqual(answer.json(), { message: 'Missing or invalid token' });
    }
    assert.equal((await ask('GET', '/ts/elsewhere')).status, 404);
    assert.equal((await ask('POST', '/is/login', { body: { username: 'ada', password: 'wrong' } })).status, 403);
  });

  it('example-tasks: a change of a task is pushed to the other device, over each transport', async (t) => {
    const [first, second] = [await logIn('ada', 'lovelace'), await logIn('ada', 'lovelace')];
    const socket = await openWs(t, gateway, { token: second });
    await socket.joinOwn('user:ada');
    const stream = await openSse(t, gateway, `users[]=ada&token=${second}`);
    const expect = async (action, wanted) => {
      for (const next of [async () => (await socket.find('user:ada', 'message')).payload, nextOf(stream)]) {
        const { username, action: seen, task } = await nextTask(next);
        assert.deepEqual({ username, action: seen, task }, { username: 'ada', action, task: wanted });
      }
    };
    const made = await ask('POST', '/ts/tasks', { token: first, body: { text: 'buy milk' } });
    assert.equal(made.status, 201, made.text);
    const task = made.json();
    await expect('created', task);
    const changed = await ask('PUT', `/ts/tasks/${task.id}`, { token: first, body: { ...task, done: true } });
    assert.equal(changed.status, 200, changed.text);
    await expect('changed', { ...task, done: true });
    assert.deepEqual((await ask('GET', '/ts/tasks', { token: second })).json(), [{ ...task, done: true }]);
    assert.equal((await ask('DELETE', `/ts/tasks/${task.id}`, { token: second })).status, 204);
    await expect('deleted', { ...task, done: true });
  });

  it('example-tasks: tasks and their news are one user\'s own', async (t) => {
    const [ada, bob] = [await logIn('ada', 'lovelace'), await logIn('bob', 'builder')];
    const socket = await openWs(t, gateway, { token: bob });
    await socket.joinOwn('user:bob');
    const { id } = (await ask('POST', '/ts/tasks', { token: ada, body: { text: 'hers' } })).json();
    assert.equal((await ask('GET', `/ts/tasks/${id}`, { token: bob })).status, 404);
    const own = (await ask('POST', '/ts/tasks', { token: bob, body: { text: 'his' } })).json();
    assert.equal((await nextTask(async () => (await socket.find('user:bob', 'message')).payload)).task.id, own.id);
    await ask('DELETE', `/ts/tasks/${id}`, { token: ada });
  });

  it('example-tasks: an upload comes back as it was sent', async () => {
    const token = await logIn('ada', 'lovelace');
    const bytes = Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 255, 13, 10, 45, 45]);
    const form = new FormData();
    form.set('qqfile', new Blob([bytes], { type: 'image/png' }), 'dot.png');
    const sent = await fetch(`http://127.0.0.1:${port}/ps/pictures`,
      { method: 'POST', headers: { authorization: token }, body: form });
    assert.equal(sent.status, 201);
    const { id, ...about } = await sent.json();
    assert.deepEqual(about, { name: 'dot.png', type: 'image/png', bytes: bytes.length });
    const got = await fetch(`http://127.0.0.1:${port}/ps/pictures/${id}?token=${token}`);
    assert.equal(got.headers.get('content-type'), 'image/png');
    assert.deepEqual(Buffer.from(await got.arrayBuffer()), bytes);
    assert.equal((await ask('GET', `/ps/pictures/${id}`)).status, 401);
  });

  it('example-tasks: logging out ends the token and its socket, and no other', async (t) => {
    const [leaving, staying] = [await logIn('ada', 'lovelace'), await logIn('ada', 'lovelace')];
    const sockets = await Promise.all([leaving, staying].map((token) => openWs(t, gateway, { token })));
    for (const socket of sockets) await socket.joinOwn('user:ada');
    assert.equal((await ask('POST', '/is/logout', { token: leaving })).status, 204);
    assert.equal((await sockets[0].closed()).code, 1000);
    assert.equal((await ask('GET', '/ts/tasks', { token: leaving })).status, 401);
    assert.equal((await ask('GET', '/ts/tasks', { token: staying })).status, 200);
    await sockets[1].heartbeat();
  });

  describe('in browsers', { skip: browserUnavailable }, () => {
    const browsers = [];
    const pages = [];

    before(async () => {
      for (let i = 0; i < 2; i++) {
        browsers.push(await launchBrowser());
        pages.push(await browsers[i].newPage());
        pages[i].setDefaultTimeout(10000);
      }
    });
    after(async () => {
      for (const browser of browsers) await browser.close();
    });

    it('example-tasks: a task that one device adds appears on the other, and so does what becomes of it', async () => {
      for (const page of pages) {
        await page.goto(`http://localhost:${port}/ui/index.html`);
        await page.getByText('log in', { exact: true }).click();
        await page.getByText('You are ada.').waitFor();
      }
      await pages[0].locator('#text').fill('water the plants');
      await pages[0].locator('#add button').first().click();
      for (const page of pages) await page.getByText('water the plants').waitFor();
      await pages[1].getByLabel('done: water the plants').check();
      await pages[0].locator('li.done').getByText('water the plants').waitFor();
      await pages[0].locator('li').getByText('delete').click();
      for (const page of pages) await until(async () => await page.locator('li').count() === 0, 'the list is empty');
    });

    it('example-tasks: the page that logs out is told so, the other one goes on', async () => {
      await pages[0].getByText('log out').click();
      await pages[0].getByText('The session is over: session ended.').waitFor();
      assert.equal(await pages[1].locator('#state').textContent(), 'You are ada.');
    });
  });
});
