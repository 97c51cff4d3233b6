// API definitions are made, read, changed and deleted on the internal port.
//
// - What is wrong is told by field, in the order of the rules, and by JSON pointer.
// - A definition has a number that goes on over changes and deletions.
// - Of many who make the same one at a time, one succeeds.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Apis, definition, withEndpoints } from '../support/apis.mjs';
import { suiteGateway } from '../support/gateway.mjs';
import { RawConnection } from '../support/http.mjs';

const JSON_TYPE = 'application/json; charset=utf-8';
const BAD_REQUEST = { errors: { detail: 'Bad request' } };
const NOT_FOUND = { errors: { detail: 'Not found' } };
const OK = { message: 'ok' };
const both = (field) =>
  [{ [field]: 'must be string' }, { [field]: 'must have a length of at least 1' }];

const suite = suiteGateway();
const apis = new Apis(() => suite.gateway);
const v2 = new Apis(() => suite.gateway, 'v2');
const internal = (path, options) => suite.gateway.internal(path, options);

let last = 0;
const fresh = () => `api-${++last}`;

function assertAnswer(answer, status, body) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers['content-type'], JSON_TYPE);
  assert.deepEqual(answer.json(), body);
}

/** POST and, of an id, PUT must refuse the definition with exactly this. */
async function assertRefused(body, faults) {
  assertAnswer(await apis.post(body), 400, faults);
  if (body.id !== undefined) assertAnswer(await apis.put(body.id, body), 400, faults);
  assert.equal((await apis.get(body.id ?? 'x')).status, 404);
}

describe('the internal port', () => {
  it('management-api 1: GET and HEAD /health', async () => {
    const { status, headers, text } = await internal('/health');
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(text, 'OK');
    const head = await internal('/health', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.text, '');
  });

  for (const [method, path] of [['GET', '/v1/apis'], ['GET', '/x'], ['PATCH', '/v3/apis/a'],
    ['POST', '/v3/apis/a'], ['DELETE', '/v3/apis'], ['PUT', '/v3/apis'], ['OPTIONS', '/v3/apis'],
    ['GET', '/v3/apis/a/b']]) {
    it(`management-api 2: ${method} ${path} is not there`, async () => {
      assertAnswer(await apis.ask(method, path), 404, NOT_FOUND);
    });
  }
});

describe('bodies', () => {
  for (const [what, body] of [['broken', '{'], ['an array', '[]'], ['a string', '"a"'],
    ['followed by something', '{} {}'], ['with a member twice', '{"id":"a","id":"b"}'],
    ['with a NUL', '{"id":"\\u0000"}'], ['too deep', '['.repeat(65) + ']'.repeat(65)]]) {
    it(`management-api 3: JSON that is ${what} is a bad request`, async () => {
      assertAnswer(await apis.post(body), 400, BAD_REQUEST);
      assertAnswer(await apis.put('a', body), 400, BAD_REQUEST);
    });
  }

  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data',
    'application/jsonx', 'json', 'text/json']) {
    it(`management-api 4: ${type} is not supported`, async () => {
      const body = JSON.stringify(definition(fresh()));
      assertAnswer(await apis.post(body, { 'content-type': type }), 415, BAD_REQUEST);
      assertAnswer(await apis.put('a', body, { 'content-type': type }), 415, BAD_REQUEST);
    });
  }

  for (const type of ['Application/JSON', 'application/json;charset=utf-8', 'application/vnd.a+json']) {
    it(`management-api 4: ${type} is`, async () => {
      assertAnswer(await apis.post(definition(fresh()), { 'content-type': type }), 201, OK);
    });
  }

  it('management-api 4: without a type there is no body', async () => {
    const answer = await internal('/v3/apis',
      { method: 'POST', body: JSON.stringify(definition(fresh())) });
    assert.equal(answer.status, 400);
    assert.deepEqual(answer.json().api.slice(0, 2), both('id'));
  });

  it('management-api 5: 8,000,000 bytes are enough', async () => {
    const long = (bytes) => {
      const text = JSON.stringify(definition(fresh(), { x: '' }));
      return text.replace('"x":""', `"x":"${'a'.repeat(bytes - text.length)}"`);
    };
    const largest = long(8000000);
    assert.equal(largest.length, 8000000);
    assertAnswer(await apis.post(largest), 201, OK);
    await apis.delete(JSON.parse(largest).id);
    assertAnswer(await apis.post(long(8000001)), 413, BAD_REQUEST);
    assertAnswer(await apis.post(long(9000000)), 413, BAD_REQUEST);
  });

  it('management-api 5: nor are more in chunks, of which nobody knows the end', async () => {
    const connection = await RawConnection.open(suite.gateway.internalPort);
    connection.write('POST /v3/apis HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n' +
      'Transfer-Encoding: chunked\r\n\r\n');
    const chunk = `f4240\r\n${' '.repeat(1000000)}\r\n`;
    for (let i = 0; i < 9; i++) connection.write(chunk);
    const head = (await connection.take('\r\n\r\n')).toString();
    assert.match(head, /^HTTP\/1\.1 413 /);
    const text = JSON.stringify(BAD_REQUEST);
    assert.equal((await connection.take(text.length)).toString(), text);
    connection.close();
  });

  it('management-api 1.1: parameters of the query are not looked at', async () => {
    const id = fresh();
    const { status } = await apis.ask('POST', `/v3/apis?id=${id}&name=n`, {});
    assert.equal(status, 400);
  });
});

describe('definitions', () => {
  it('management-api 6: there are none at first', async () => {
    for (const { id } of (await apis.list()).json()) await apis.delete(id);
    const answer = await apis.list();
    assertAnswer(answer, 200, []);
    assert.equal(answer.headers['cache-control'], 'max-age=0, private, must-revalidate');
    assert.ok(answer.headers['x-request-id']);
    assert.ok(answer.headers.date);
    assert.equal(answer.headers['access-control-allow-origin'], undefined);
    assertAnswer(await apis.ask('GET', '/v3/apis/'), 200, []);
    const head = await apis.ask('HEAD', '/v3/apis');
    assert.equal(head.status, 200);
    assert.equal(head.text, '');
  });

  it('management-api 7: one that was made is shown with defaults', async () => {
    const id = fresh();
    assertAnswer(await apis.post(definition(id)), 201, OK);
    const { timestamp, node_name: node, ...shown } = await v2.shown(id);
    assert.deepEqual(shown, {
      ...definition(id), active: true, auth_type: 'none', versioned: false, ref_number: 0,
      auth: { use_header: false, header_name: '', use_query: false, query_name: '' },
    });
    assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.match(node, /^rig@/);
  });

  it('management-api 8: a second one is 409', async () => {
    const id = fresh();
    await apis.post(definition(id));
    assertAnswer(await apis.post(definition(id, { name: 'm' })), 409,
      { message: `API with id=${id} already exists.` });
    assert.equal((await apis.shown(id)).name, 'n');
  });

  it('management-api 9: the list is sorted by bytes', async () => {
    for (const { id } of (await apis.list()).json()) await apis.delete(id);
    for (const id of ['a', 'b', 'aa', 'B', '\u00e9', '\u{1f600}', '\uffee']) await v2.post(definition(id));
    assert.deepEqual((await apis.list()).json().map(({ id }) => id),
      ['B', 'a', 'aa', 'b', '\u00e9', '\uffee', '\u{1f600}']);
  });

  for (const [path, id] of [['zzz', 'zzz'], ['a%20%2F%22', 'a /"']]) {
    it(`management-api 10: ${path} is not there`, async () => {
      const body = { message: `API with id=${id} doesn't exists.` };
      assertAnswer(await apis.get(path), 404, body);
      assertAnswer(await v2.delete(path), 404, body);
    });
  }

  it('management-api 10: a name that cannot be one is a bad request', async () => {
    for (const path of ['%zz', '%00', '%ff']) {
      assertAnswer(await apis.get(path), 400, BAD_REQUEST);
      assertAnswer(await apis.put(path, definition('a')), 400, BAD_REQUEST);
      assertAnswer(await apis.delete(path), 400, BAD_REQUEST);
    }
  });

  it('management-api 11: PUT changes the one of the path', async () => {
    const id = fresh();
    await apis.post(definition(id, { 'x-owner': 'me', 'x-deep': { a: 1, b: 2 } }));
    assertAnswer(await apis.put(id, definition(`${id}-other`, { name: 'm', 'x-deep': { b: 3 } })),
      200, OK);
    const shown = await apis.shown(id);
    assert.equal(shown.id, id);
    assert.equal(shown.name, 'm');
    assert.equal(shown.ref_number, 1);
    assert.equal(shown['x-owner'], 'me');
    assert.deepEqual(shown['x-deep'], { b: 3 });
    assert.equal((await apis.get(`${id}-other`)).status, 404);
  });

  it('management-api 11: a name may have any character', async () => {
    const id = 'a b/c?d#e%f\u00e9';
    const path = encodeURIComponent(id);
    assertAnswer(await apis.post(definition(id)), 201, OK);
    assertAnswer(await apis.put(path, definition('x')), 200, OK);
    assert.equal((await apis.shown(path)).id, id);
    assert.equal((await apis.delete(path)).status, 204);
  });

  it('management-api 12: PUT of what is not there', async () => {
    assertAnswer(await apis.put('zzz', definition('zzz')), 404,
      { message: "API with id=zzz doesn't exists." });
    assertAnswer(await apis.put('zzz', {}), 400, { api: [...both('name'),
      { proxy: 'must be present' }, { version_data: 'must be present' }] });
  });

  it('management-api 25: DELETE', async () => {
    const id = fresh();
    await apis.post(definition(id));
    const answer = await apis.delete(id);
    assert.equal(answer.status, 204);
    assert.equal(answer.text, '');
    assert.equal((await apis.get(id)).status, 404);
    assertAnswer(await apis.delete(id), 404, { message: `API with id=${id} doesn't exists.` });
    assert.ok((await apis.list()).json().every((shown) => shown.id !== id));
  });

  it('management-api 26: the number goes on behind a deletion', async () => {
    const id = fresh();
    await apis.post(definition(id));
    await apis.put(id, definition(id));
    await apis.delete(id);
    assertAnswer(await apis.post(definition(id)), 201, OK);
    const shown = await apis.shown(id);
    assert.equal(shown.active, true);
    assert.equal(shown.ref_number, 3);
  });

  it('management-api 26: PUT deactivates', async () => {
    const id = fresh();
    await apis.post(definition(id));
    assertAnswer(await apis.put(id, definition(id, { active: false })), 200, OK);
    assert.equal((await apis.get(id)).status, 404);
    assert.equal((await apis.put(id, definition(id))).status, 404);
    assertAnswer(await apis.post(definition(id)), 201, OK);
    assert.equal((await apis.shown(id)).ref_number, 2);
  });

  it('management-api 27: tokens are looked for in the header by default', async () => {
    const [bare, query] = [fresh(), fresh()];
    await apis.post(definition(bare, { auth_type: 'jwt' }));
    assert.deepEqual((await apis.shown(bare)).auth,
      { use_header: true, header_name: 'Authorization', use_query: false, query_name: '' });
    await apis.post(definition(query, { auth_type: 'jwt', auth: { use_query: true, query_name: 't' } }));
    assert.deepEqual((await apis.shown(query)).auth,
      { use_header: true, header_name: 'Authorization', use_query: true, query_name: 't' });
    // Not by PUT, which stores what it is given.
    await apis.put(query, definition(query, { auth_type: 'jwt', auth: { use_query: true, query_name: 'u' } }));
    assert.deepEqual((await apis.shown(query)).auth, { use_query: true, query_name: 'u' });
  });

  it('management-api 28: what is said of the header counts', async () => {
    const id = fresh();
    const auth = { use_header: false, header_name: '', use_query: true, query_name: 't' };
    await apis.post(definition(id, { auth_type: 'jwt', auth }));
    assert.deepEqual((await apis.shown(id)).auth, auth);
  });

  it('management-api 29: what is not known is kept', async () => {
    const id = fresh();
    await apis.post(definition(id, { 'x-owner': 'me', ref_number: 9, timestamp: 't', node_name: 'n',
      phx_ref: 'r' }));
    const shown = await apis.shown(id);
    assert.equal(shown['x-owner'], 'me');
    assert.equal(shown.ref_number, 0);
    assert.notEqual(shown.timestamp, 't');
    assert.notEqual(shown.node_name, 'n');
    assert.ok(!('phx_ref' in shown));
  });

  it('management-api 30: of fifty who make the same one, one succeeds', async () => {
    const id = fresh();
    const answers = await Promise.all(Array.from({ length: 50 }, () => apis.post(definition(id))));
    const statuses = answers.map(({ status }) => status).sort();
    assert.deepEqual(statuses, [201, ...Array(49).fill(409)]);
    assert.equal((await apis.shown(id)).ref_number, 0);
  });

  it('management-api 2.4: of fifty changes none is lost', async () => {
    const id = fresh();
    await apis.post(definition(id));
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => apis.put(id, definition(id, { [`x-${i}`]: i }))));
    assert.ok(answers.every(({ status }) => status === 200));
    const shown = await apis.shown(id);
    assert.equal(shown.ref_number, 50);
    for (let i = 0; i < 50; i++) assert.equal(shown[`x-${i}`], i);
  });

  it('api-gateway 2.3: the method is written large', async () => {
    const id = fresh();
    await apis.post(withEndpoints(id, [{ id: 'e', method: 'get', path_regex: '/x' }]));
    assert.equal((await apis.shown(id)).version_data.default.endpoints[0].method, 'GET');
  });
});

describe('what is wrong', () => {
  const E = { id: 'e', method: 'GET', path_regex: '/x' };
  const ofE = (...faults) => ({ 'q/e': faults });
  const jwt = { auth_type: 'must be one of ["jwt"]' };

  it('management-api 13: an empty proxy', () => assertRefused(definition('q', { proxy: {} }), {
    api: [{ proxy: 'must be present' }, ...both('target_url'), { port: 'must be integer' }] }));

  it('management-api 14: no versions', () => assertRefused(definition('q', { version_data: {} }), {
    api: [{ version_data: 'must be present' },
      { version_data: 'must have at least one version, e.g. default' }] }));

  for (const version of [{}, { endpoints: {} }]) {
    it(`management-api 15: a version that is ${JSON.stringify(version)}`, () =>
      assertRefused(definition('q', { version_data: { default: version } }),
        { api: [{ endpoints: 'must be list' }] }));
  }

  it('management-api 16: an empty endpoint', () => assertRefused(withEndpoints('q', [{}]),
    { 'q/': [...both('id'), ...both('path_regex'), ...both('method')] }));

  it('management-api 17: an empty path', () =>
    assertRefused(withEndpoints('q', [{ ...E, path_regex: '' }]),
      ofE({ path_regex: 'must have a length of at least 1' })));

  for (const target of ['kafka', 'kinesis', 'nats', 'Kafka']) {
    it(`management-api 18: ${target} without a topic`, () =>
      assertRefused(withEndpoints('q', [{ ...E, target }]), ofE({ topic: 'must be present' })));
  }

  it('management-api 19: a schema without a target', () =>
    assertRefused(withEndpoints('q', [{ ...E, schema: 's' }]), ofE({ target: 'must be present' })));

  it('management-api 20: secured without tokens', () =>
    assertRefused(withEndpoints('q', [{ ...E, secured: true }]), ofE(jwt)));

  for (const [use, name] of [['use_header', 'header_name'], ['use_query', 'query_name']]) {
    it(`management-api 21: ${use} without a name`, () =>
      assertRefused(definition('q', { auth_type: 'jwt', auth: { [use]: true } }),
        { q: [{ [name]: 'must be present' }] }));
  }

  it('management-api 22: tokens are looked for but not checked', () =>
    assertRefused(definition('q', { auth: { use_query: true, query_name: 't' } }), { q: [jwt] }));

  it('management-api 23: no id', () => assertRefused({ name: 'n' },
    { api: [...both('id'), { proxy: 'must be present' }, { version_data: 'must be present' }] }));

  it('management-api 24: a pattern that is none', async () => {
    await assertRefused(withEndpoints('q', [{ ...E, path_regex: '/x(' }]),
      ofE({ path_regex: 'must be a valid regular expression' }));
  });

  it('api-gateway 3.4: the example', () => assertRefused(
    { ...withEndpoints('orders', [{ ...E, id: 'place', target: 'kafka' }]), name: undefined },
    { api: both('name'), 'orders/place': [{ topic: 'must be present' }] }));

  it('apis: a refusal points to what is wrong', async () => {
    const body = withEndpoints('q', [E, { ...E, path_regex: '/x(' }], { proxy: { target_url: 'a' } });
    const plain = await apis.post(body);
    const pointers = ['/proxy/port', '/version_data/default/endpoints/1/path_regex'];
    assert.equal(plain.headers['rgate-error-pointers'], pointers.join(','));
    assert.deepEqual(Object.keys(plain.json()), ['api', 'q/e']);

    for (const accept of ['application/problem+json', 'text/html, application/problem+json;q=0.9']) {
      const problem = await apis.post(body, { accept });
      assert.equal(problem.status, 400);
      assert.equal(problem.headers['content-type'], 'application/problem+json');
      assert.equal(problem.headers['rgate-error-pointers'], pointers.join(','));
      const { type, title, status, errors } = problem.json();
      assert.deepEqual({ type, title, status }, { type: 'about:blank', title: 'Bad Request', status: 400 });
      assert.deepEqual(errors.map(({ pointer }) => pointer), pointers.map((pointer) => `#${pointer}`));
      assert.match(errors[1].detail, /^path_regex must be a valid regular expression: ./);
    }
    for (const accept of ['application/json', 'application/problem+json;q=0', '*/*']) {
      assert.equal((await apis.post(body, { accept })).headers['content-type'], JSON_TYPE);
    }
  });

  it('apis: pointers are cut at 1 KiB', async () => {
    const { headers, json } = await apis.post(withEndpoints('q', Array(500).fill({})));
    assert.equal(json()['q/'].length, 1000);
    const pointers = headers['rgate-error-pointers'];
    assert.ok(pointers.length <= 1024 && pointers.length > 900, pointers);
    for (const pointer of pointers.split(',')) assert.match(pointer, /^\/version_data\/default\/endpoints\/\d+\/[a-z_]+$/);
  });

  it('apis: changes and refusals are logged', async () => {
    const id = fresh();
    await apis.post(withEndpoints(id, [{ ...E, path_regex: '/x(' }]));
    const [line] = await suite.gateway.run.printed(
      new RegExp(`^.*\\[warn\\] api definition refused change=add id=${id} .*$`, 'm'));
    assert.match(line, / status=400 faults=1 pointer=\/version_data\/default\/endpoints\/0\/path_regex /);
    assert.match(line, /valid regular expression: ./);
  });
});

describe('unruly clients of the management API', () => {
  it('apis: one that leaves in the middle of a definition changes nothing', async () => {
    const id = fresh();
    const text = JSON.stringify(definition(id));
    const connection = await RawConnection.open(suite.gateway.internalPort);
    connection.write('POST /v3/apis HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n' +
      `Content-Length: ${text.length + 1}\r\n\r\n${text}`);
    connection.close();
    assert.equal((await apis.get(id)).status, 404);
  });
});
