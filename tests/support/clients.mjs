// What is true of every transport: a client connects or is refused.
import assert from 'node:assert/strict';
import { V1 } from './gateway.mjs';
import { query } from './events.mjs';
import { LongPollClient } from './longpoll.mjs';
import { SseStream } from './sse.mjs';
import { WsClient } from './websocket.mjs';

export const TRANSPORTS = ['sse', 'ws', 'longpolling'];

const open = {
  sse: (gateway, parameters, headers, options) =>
    SseStream.open(gateway, parameters, headers, options),
  ws: (gateway, parameters, headers, options) =>
    WsClient.open(gateway, parameters, { headers, ...options }),
  longpolling: (gateway, parameters, headers, options) =>
    LongPollClient.open(gateway, parameters, headers, options),
};

/** Connects a client, which must be accepted; it is closed when t ends. */
export async function connect(t, transport, gateway, parameters = {}, headers = {}, options = {}) {
  const client = await open[transport](gateway, parameters, headers, options);
  t.after(() => client.close());
  return client;
}

/** The subscriptions that a client was told to have after it connected. */
export function subscriptionsOf({ set }) {
  return typeof set.data === 'string' ? JSON.parse(set.data).data : set.data;
}

/**
 * A client that must be refused: with this status and a text that matches, or on a WebSocket, whose
 * handshake succeeds all the same, by a close frame before any event. Returns the response's headers.
 */
export async function assertRefused(transport, gateway, parameters = {},
  { status = 400, text = /./, headers = {}, options = {} } = {}) {
  if (transport === 'ws') {
    const client = await WsClient.connect(gateway, parameters, { headers, ...options });
    const { code, reason } = await client.closed().finally(() => client.close());
    assert.deepEqual({ code, reason }, { code: 1000, reason: 'Bad request.' });
    assert.deepEqual(client.messages.drain(), []);
    return {};
  }
  const response = await gateway.request(
    { path: `${V1}/connection/${transport}${query(parameters)}`, headers, ...options });
  assert.equal(response.status, status, response.text);
  assert.match(response.text, text);
  assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8');
  assert.ok(response.headers['access-control-allow-origin']);
  return response.headers;
}
