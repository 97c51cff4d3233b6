// Messages to one user from a service, over HTTP.
//
// - The body is what each channel of the user gets; the answer tells on how many devices.
// - What is no message is refused with a reason, and counted.
// - It is an affair of the internal port.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cast, openWs } from '../support/channels.mjs';
import { FIXTURE } from '../support/events.mjs';
import { suiteGateway } from '../support/gateway.mjs';
import { token } from '../support/jwt.mjs';

describe('messages over HTTP', () => {
  const suite = suiteGateway({ env: { ...FIXTURE, MAX_EVENT_BYTES: '2000' } });

  const post = (user, body, { headers = { 'content-type': 'application/json' }, version = 'v3' } = {}) =>
    suite.gateway.internal(`/${version}/users/${user}/messages`, {
      method: 'POST', body, headers: { ...headers, 'content-length': Buffer.byteLength(body) } });
  async function accepted(...args) {
    const { status, headers, json } = await post(...args);
    assert.equal(status, 202);
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
    assert.ok(headers['x-request-id']);
    return json();
  }
  async function joined(t, jwt, of) {
    const socket = await openWs(t, suite.gateway, { token: jwt });
    assert.equal((await socket.join(of)).status, 'ok');
    return socket;
  }
  const told = async (socket, of) => (await socket.find(of, 'message')).payload;
  const counted = async () => ({
    all: await suite.gateway.metric('rig_consumed_events_total', { source: 'http' }),
    failed: await suite.gateway.metric('rig_consumed_events_failed_total', { source: 'http' }),
  });

  it('the devices of the user get it and are counted', async (t) => {
    const { A, A2, S, B, ada, bob } = cast();
    const own = `user:${ada}`;
    assert.deepEqual(await accepted(ada, '{"n":0}'), { devices: 0 });
    const phone = await joined(t, A, own);
    const other = await joined(t, B, `user:${bob}`);
    assert.deepEqual(await accepted(ada, '{"n":1}'), { devices: 1 });
    const laptop = await joined(t, A2, own);
    // Who has joined to support the user gets it, too, but is no device of the user's.
    const support = await joined(t, S, own);
    assert.deepEqual(await accepted(ada, '{"n":2}'), { devices: 2 });
    assert.deepEqual(await told(phone, own), { n: 1 });
    for (const socket of [phone, laptop, support]) assert.deepEqual(await told(socket, own), { n: 2 });
    assert.deepEqual(await accepted(bob, '{"n":3}'), { devices: 1 });
    assert.deepEqual(await told(other, `user:${bob}`), { n: 3 });
  });

  it('any JSON is a message, and arrives as it was sent', async (t) => {
    const { A, ada } = cast();
    const socket = await joined(t, A, `user:${ada}`);
    const values = ['{ "b":1.0, "a":{"specversion":"1.0"} }', '[1,2]', '"text"', '5', 'null'];
    for (const value of values) await accepted(ada, ` ${value}\n`);
    await accepted(ada, '{}', { headers: {} });
    await accepted(ada, '{}', { headers: { 'content-type': 'application/x+json; a=b' }, version: 'v2' });
    for (const value of [...values, '{}', '{}']) {
      assert.deepEqual(await told(socket, `user:${ada}`), JSON.parse(value));
    }
    assert.ok(socket.texts.some((text) => text.endsWith(`,"message",${values[0]}]`)));
  });

  it('a name is what it says without the percent signs', async (t) => {
    const name = `ada/${cast().n} %41"ü`;
    const socket = await joined(t, token({ username: name, role: [], jti: 'j' }), `user:${name}`);
    assert.deepEqual(await accepted(encodeURIComponent(name), '1'), { devices: 1 });
    assert.equal(await told(socket, `user:${name}`), 1);
  });

  it('what is no message is refused, and counted', async () => {
    const before = await counted();
    const cases = [
      ['ada', '{"n":1', {}, 400, /The request body is not JSON: .+ at byte 6/],
      ['ada', '', {}, 400, /not JSON/],
      ['ada', '{} {}', {}, 400, /something follows/],
      ['%zz', '{}', {}, 400, /percent-encoded/],
      ['%ff', '{}', {}, 400, /UTF-8/],
      ['ada', 'n=1', { headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415,
        /{"errors":{"detail":"Bad request"}}/],
    ];
    for (const [user, body, options, expected, pattern] of cases) {
      const { status, text } = await post(user, body, options);
      assert.equal(status, expected, `${user} ${body}: ${text}`);
      assert.match(text, pattern);
    }
    await accepted('ada', '{}');
    const { all, failed } = await counted();
    assert.deepEqual([all - before.all, failed - before.failed], [cases.length + 1, cases.length]);
    assert.equal((await post('ada', `"${'x'.repeat(2000)}"`)).status, 413);
    assert.equal((await post('', '{}')).status, 404);
    assert.equal((await suite.gateway.internal('/v3/users/ada/messages')).status, 404);
  });

  it('clients cannot send it', async () => {
    const { status } = await suite.gateway.request({ method: 'POST', path: '/v3/users/ada/messages',
      body: '{}', headers: { 'content-type': 'application/json', 'content-length': 2 } });
    assert.equal(status, 404);
  });
});
