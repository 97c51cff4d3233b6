// Events, and the configuration under which most cases are stated.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { V1 } from './gateway.mjs';

const field = (index, pointer, jwt) => ({
  stable_field_index: index,
  event: { json_pointer: pointer },
  ...(jwt && { jwt: { json_pointer: jwt } }),
});

/** The extractors of the client API's cases. */
export const EXTRACTORS = {
  'chat.posted': {
    room: field(0, '/data/room'),
    author: field(1, '/data/author', '/username'),
    size: field(2, '/data/size'),
    urgent: field(3, '/data/urgent'),
  },
  'tenant.note': {
    owner: field(0, '/data/owner', '/uid'),
    tenant: field(1, '/data/tenant', '/tenant'),
  },
  'top.level': { subj: field(0, '/subject') },
};

export const FIXTURE = {
  JWT_SECRET_KEY: 'a secret of thirty-two bytes or more',
  EXTRACTORS: JSON.stringify(EXTRACTORS),
};

/** A fresh event; more adds or replaces attributes. */
export function ev(type, data, more = {}) {
  return { specversion: '0.2', type, source: '/t', id: randomUUID(), data, ...more };
}

/** POSTs an event, an object or a text, and returns the response whatever it is. */
export function post(gateway, event, headers = {}) {
  const body = typeof event === 'string' || Buffer.isBuffer(event) ? event : JSON.stringify(event);
  return gateway.request({
    method: 'POST',
    path: `${V1}/events`,
    headers: {
      'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers,
    },
    body,
  });
}

/** Publishes an event that must be accepted. Returns it. */
export async function publish(gateway, event, headers) {
  const { status, text } = await post(gateway, event, headers);
  assert.equal(status, 202, text);
  return event;
}

/** PUTs to the subscriptions of a connection and returns the response whatever it is. */
export function put(gateway, token, body, { headers = {}, transport = 'sse' } = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return gateway.request({
    method: 'PUT',
    path: `${V1}/connection/${transport}/${token}/subscriptions`,
    headers: {
      'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers,
    },
    body: text,
  });
}

/** Replaces the subscriptions of a connection and waits until they are in force. */
export async function subscribe(client, list, options) {
  const { status, text } = await put(client.gateway, client.token, { subscriptions: list }, options);
  assert.equal(status, 204, text);
  assert.equal(text, '');
  return client.next('rig.subscriptions_set');
}

export const query = (parameters) => {
  const text = new URLSearchParams(
    Object.entries(parameters).map(
      ([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]));
  return text.size === 0 ? '' : `?${text}`;
};

/**
 * Everything that the client receives up to an event published now.
 *
 * This is how a test sees that a client receives nothing: what was published before the last event
 * would have arrived before it. The client must be subscribed to that event's type, "the.last".
 */
export async function receivedUntilLast(client) {
  const last = await publish(client.gateway, ev(LAST.eventType, null));
  const before = [];
  for (;;) {
    const event = await client.next();
    if (event.id === last.id) return before;
    if (event.type !== LAST.eventType) before.push(event); // else: another client's last one
  }
}

export const LAST = { eventType: 'the.last' };
