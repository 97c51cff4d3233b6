// What people look at on the internal port, as HTTP and in a browser.
//
// - /openapi.json describes every route of the port, and every operation in it is there.
// - Swagger 2.0 lists the same; both are what web/openapi.mjs says.
// - /swagger-ui reads the description and tries it out; what is wrong with a definition is told by pointer.
// - /dashboard shows numbers that move.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { browserUnavailable, launchBrowser } from '../support/browser.mjs';
import { ev } from '../support/events.mjs';
import { suiteGateway } from '../support/gateway.mjs';
import { until } from '../support/wait.mjs';
import { WsClient } from '../support/websocket.mjs';

const top = fileURLToPath(new URL('../..', import.meta.url));
const METHODS = ['get', 'post', 'put', 'delete'];
const api = (id, more = {}) => ({ id, name: 'n', version_data: { default: { endpoints: [] } },
  proxy: { target_url: 'localhost', port: 3000 }, ...more });

/** Every value of a member "$ref" anywhere in it. */
function referencesIn(value) {
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, member]) => (key === '$ref' ? [member] : referencesIn(member)));
}

const follow = (document, reference) => reference.replace(/^#\//, '').split('/')
  .reduce((value, part) => value?.[part.replaceAll('~1', '/').replaceAll('~0', '~')], document);

/** What routes the sources have on the internal port: those that begin with a version, and those of src/ops. */
async function routesInSources() {
  const routes = new Set();
  const files = ['rgate/wiring.c'];
  for (const folder of ['ops', 'proxy', 'push']) {
    files.push(...(await readdir(`${top}src/${folder}`)).map((file) => `${folder}/${file}`));
  }
  for (const file of files.filter((name) => name.endsWith('.c'))) {
    const text = await readFile(`${top}src/${file}`, 'utf8');
    const literal = file.startsWith('ops/') ? /"(\/(?!_|proc)[a-z][\w./:-]*)"/g : /"(\/v[23]\/[\w./:-]+)"/g;
    for (const [, path] of text.matchAll(literal)) routes.add(path.replace(/\/$/, '').replace(/:\w+/g, '{}'));
  }
  return [...routes].filter((path) => !/^\/swagger-ui\/\{\}/.test(path)).sort();
}

const withoutNames = (paths) => [...new Set(paths.map((path) => path.replace(/\{\w+\}/g, '{}')))].sort();

describe('the pages of the internal port', () => {
  const suite = suiteGateway();
  const get = (path, headers) => suite.gateway.internal(path, { headers });
  const openapi = async () => (await get('/openapi.json')).json();

  it('management-api 56: /swagger-ui leads to the page, the document lists /v3/apis', async () => {
    for (const path of ['/swagger-ui', '/swagger-ui/']) {
      const { status, headers, text } = await get(path);
      assert.equal(status, 302);
      assert.equal(headers.location, '/swagger-ui/index.html');
      assert.equal(text, 'Redirecting');
    }
    const page = await get('/swagger-ui/index.html');
    assert.equal(page.status, 200);
    assert.match(page.headers['content-type'], /^text\/html/);
    assert.match(page.headers['content-security-policy'], /connect-src 'self'/);
    const document = await get('/swagger-ui/rig_api_swagger.json');
    assert.equal(document.status, 200);
    assert.equal(document.headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(document.json().swagger, '2.0');
    assert.ok('/v3/apis' in document.json().paths);
  });

  it('management-api 57: /dashboard is a page', async () => {
    const { status, headers, text } = await get('/dashboard');
    assert.equal(status, 200);
    assert.match(headers['content-type'], /^text\/html/);
    assert.match(text, /^<!doctype html>/);
  });

  it('management-api 8: what is not below /swagger-ui is not found, other methods are not allowed', async () => {
    for (const path of ['/swagger-ui/x.css', '/swagger-ui/a/b/c/d']) {
      const plain = await get(path);
      assert.equal(plain.status, 404);
      assert.equal(plain.text, 'not found');
      const json = await get(path, { accept: 'application/json' });
      assert.equal(json.status, 404);
      assert.deepEqual(json.json(), { Error: 'not found' });
      assert.equal((await get(path, { accept: 'application/json, text/html' })).text, 'not found');
    }
    for (const path of ['/swagger-ui', '/swagger-ui/index.html', '/swagger-ui/x']) {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        const { status, text } = await suite.gateway.internal(path, { method, body: 'x' });
        assert.equal(status, 405);
        assert.equal(text, 'method not allowed');
      }
    }
  });

  it('management-pages: HEAD has the heads of GET and no body', async () => {
    for (const path of ['/openapi.json', '/swagger-ui/index.html', '/dashboard']) {
      const got = await get(path);
      const { status, headers, text } = await suite.gateway.internal(path, { method: 'HEAD' });
      assert.equal(status, 200);
      assert.equal(text, '');
      assert.equal(headers['content-length'], got.headers['content-length']);
    }
  });

  for (const path of ['/openapi.json', '/swagger-ui/rig_api_swagger.json']) {
    it(`management-pages: ${path} refers to nothing that is not there, and has the version`, async () => {
      const document = (await get(path)).json();
      const references = referencesIn(document);
      assert.ok(references.length > 20);
      for (const reference of references) assert.ok(follow(document, reference), reference);
      const { text } = await get('/metrics');
      const [, version] = /rgate_info\{version="([^"]+)"\}/.exec(text);
      assert.equal(document.info.version, version);
    });
  }

  it('management-pages: every route of the sources is described, and no other', async () => {
    const { paths } = await openapi();
    assert.deepEqual(withoutNames(Object.keys(paths)), await routesInSources());
  });

  it('management-pages: both descriptions are what web/openapi.mjs says, and list the same', async () => {
    await promisify(execFile)(process.execPath, [`${top}web/openapi.mjs`, '--check']);
    const lists = await Promise.all(['/openapi.json', '/swagger-ui/rig_api_swagger.json'].map(async (path) =>
      Object.entries((await get(path)).json().paths).map(([name, item]) => [name, Object.keys(item)])));
    assert.deepEqual(lists[0], lists[1]);
  });

  it('management-pages: names of operations are unique, parameters of paths are described', async () => {
    const { paths } = await openapi();
    const names = new Set();
    for (const [path, item] of Object.entries(paths)) {
      for (const [method, operation] of Object.entries(item)) {
        assert.ok(METHODS.includes(method), `${method} ${path}`);
        assert.ok(!names.has(operation.operationId), operation.operationId);
        names.add(operation.operationId);
        const described = (operation.parameters ?? []).filter((one) => one.in === 'path').map((one) => one.name);
        assert.deepEqual(described, [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name), path);
      }
    }
  });

  it('management-pages: every operation is there and answers as described', async () => {
    const document = await openapi();
    for (const [path, item] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        const [type, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
        const example = content?.example ?? (content?.schema.$ref && follow(document, content.schema.$ref).example);
        const { status, text } = await suite.gateway.internal(path.replace(/\{\w+\}/g, 'unknown'), {
          method: method.toUpperCase(),
          headers: type && type !== '*/*' ? { 'content-type': type } : {},
          body: example === undefined ? undefined : JSON.stringify(example),
        });
        const what = `${method} ${path}: ${status} ${text.slice(0, 200)}`;
        assert.doesNotMatch(text, /"detail":"Not found"/, what);
        assert.ok(String(status) in operation.responses, what);
      }
    }
  });
});

describe('the pages of the internal port in a browser', { skip: browserUnavailable }, () => {
  const suite = suiteGateway();
  let browser;
  let page;
  const complaints = [];
  const url = (path) => `http://127.0.0.1:${suite.gateway.internalPort}${path}`;
  const operation = (id) => page.getByTestId(`op-${id}`);

  before(async () => {
    browser = await launchBrowser();
    page = await browser.newPage();
    page.setDefaultTimeout(8000);
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      // An answer that is an error is what some of these tests are about.
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
    });
  });
  after(() => browser?.close());

  /** Opens an operation and returns its part of the page. */
  async function open(id) {
    const part = operation(id);
    await part.locator('summary').first().click();
    await part.getByTestId('send').waitFor();
    return part;
  }

  it('management-pages: the reader tries out GET /v3/apis', async () => {
    await page.goto(url('/swagger-ui'));
    assert.equal(new URL(page.url()).pathname, '/swagger-ui/index.html');
    const part = await open('listApis');
    await part.getByTestId('send').click();
    await part.getByTestId('answer').waitFor();
    assert.equal(await part.getByTestId('status').textContent(), '200');
    assert.equal(await part.getByTestId('answer').textContent(), '[]');
    assert.match(await part.getByTestId('headers').textContent(), /content-type: application\/json/);
  });

  it('management-pages: the reader shows by pointer what is wrong with a definition', async () => {
    await page.goto(url('/swagger-ui/index.html'));
    const part = await open('addApi');
    const wrong = api('wrong', { name: undefined, proxy: { target_url: 'localhost', port: 'x' } });
    await part.getByTestId('body').fill(JSON.stringify(wrong));
    await part.getByTestId('send').click();
    await part.getByTestId('pointers').waitFor();
    assert.equal(await part.getByTestId('status').textContent(), '400');
    const lines = await part.getByTestId('pointers').locator('li').allTextContents();
    assert.ok(lines.some((line) => line.startsWith('#/name ')), lines.join('\n'));
    assert.ok(lines.some((line) => line.startsWith('#/proxy/port ')), lines.join('\n'));
  });

  it('management-pages: the reader adds a definition from its example, and one with a parameter reads it', async () => {
    await page.goto(url('/swagger-ui/index.html'));
    const adding = await open('addApi');
    await adding.getByTestId('send').click();
    await adding.getByTestId('answer').waitFor();
    assert.equal(await adding.getByTestId('status').textContent(), '201');
    const reading = await open('getApi');
    await reading.getByTestId('parameter-id').fill('orders');
    await reading.getByTestId('send').click();
    await reading.getByTestId('answer').waitFor();
    assert.equal(JSON.parse(await reading.getByTestId('answer').textContent()).id, 'orders');
  });

  it('management-pages: the reader works with the keyboard alone, and has v2, too', async () => {
    await page.goto(url('/swagger-ui/index.html'));
    await operation('countSessions').locator('summary').first().focus();
    await page.keyboard.press('Enter');
    await operation('countSessions').getByTestId('send').focus();
    await page.keyboard.press('Enter');
    await operation('countSessions').getByTestId('answer').waitFor();
    await page.getByTestId('which').selectOption('v2');
    await operation('countSessionsV2').waitFor();
    assert.equal(await operation('countSessions').count(), 0);
  });

  it('management-pages: headers of one\'s own are sent, and what is no header is not', async () => {
    await page.goto(url('/swagger-ui/index.html'));
    const part = await open('publish');
    await part.getByTestId('type').selectOption('text/plain');
    await part.getByTestId('body').fill('hi');
    await part.getByTestId('more-headers').fill('ce-specversion: 1.0\nce-type: page.test\nce-source: /page\nce-id: 7');
    await part.getByTestId('send').click();
    await part.getByTestId('answer').waitFor();
    assert.equal(await part.getByTestId('status').textContent(), '202');
    assert.equal(JSON.parse(await part.getByTestId('answer').textContent()).id, '7');
    await part.getByTestId('more-headers').fill('oops');
    await part.getByTestId('send').click();
    await until(async () => /Not sent/.test(await part.getByTestId('status').textContent()), 'a sentence');
  });

  it('management-pages: the dashboard shows counts that rise', async () => {
    await page.goto(url('/dashboard'));
    const row = (table, name) => page.getByTestId(table).locator('tr').filter({ hasText: name }).locator('td');
    await until(async () => await page.getByTestId('ready').textContent() === 'ready', 'ready');
    assert.match(await page.getByTestId('version').textContent(), /^\d+\.\d+/);
    assert.match(await page.getByTestId('uptime').textContent(), /\d+ s/);
    assert.equal(await row('connections', 'ws').first().textContent(), '0');
    const client = await WsClient.open(suite.gateway, { subscriptions: [{ eventType: 'dashboard.test' }] });
    try {
      await until(async () => await row('connections', 'ws').first().textContent() === '1', 'the connection is shown', 8000);
      for (const n of [1, 2]) {
        await suite.gateway.internal('/v3/messages', { method: 'POST', body: JSON.stringify(ev('dashboard.test', n)),
          headers: { 'content-type': 'application/json' } });
        await until(async () => await row('forwarded', 'dashboard.test').textContent() === String(n),
          `${n} events are shown`, 8000);
      }
    } finally {
      client.close();
    }
  });

  it('management-pages: the browser has nothing to complain about', () => {
    assert.deepEqual(complaints, []);
  });
});
