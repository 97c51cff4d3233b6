// Which events reach which subscriber.
//
// - A subscriber gets every event that one of its subscriptions matches, once and in order.
// - It gets no other: each test publishes what must not match before an event that does, and then
//   looks at everything that has arrived.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { suiteGateway } from '../support/gateway.mjs';
import { FIXTURE, LAST, ev, post, publish, receivedUntilLast } from '../support/events.mjs';
import { SseStream } from '../support/sse.mjs';
import { WsClient } from '../support/websocket.mjs';

const chat = (data) => ev('chat.posted', data);
const idOf = (event) => event.id;

describe('matching', () => {
  const suite = suiteGateway({ env: FIXTURE });
  const open = async (t, ...subscriptions) => {
    const stream = await SseStream.open(
      suite.gateway, { subscriptions: [...subscriptions, LAST] });
    t.after(() => stream.close());
    return stream;
  };
  const subscribedTo = (t, ...oneOf) => open(t, { eventType: 'chat.posted', oneOf });

  /** Publishes all; exactly the wanted ones, in this order, must be received. */
  async function check(stream, { wanted = [], unwanted = [] }) {
    for (const event of unwanted) await publish(suite.gateway, event);
    for (const event of wanted) await publish(suite.gateway, event);
    for (const event of unwanted) await publish(suite.gateway, event);
    assert.deepEqual((await receivedUntilLast(stream)).map(idOf), wanted.map(idOf));
  }

  /** An event whose data is this JSON text, so that a number's spelling is kept. */
  const written = (data) => {
    const event = chat('data');
    return { id: event.id, text: JSON.stringify(event).replace('"data":"data"', `"data":${data}`) };
  };
  async function checkWritten(stream, wanted, unwanted) {
    const all = [...unwanted.map(written), ...wanted.map(written)];
    for (const { text } of all) assert.equal((await post(suite.gateway, text)).status, 202, text);
    assert.deepEqual((await receivedUntilLast(stream)).map(idOf),
      all.slice(unwanted.length).map(idOf));
  }

  it('client-api 70: the type is compared whole and by case', async (t) => {
    await check(await open(t, { eventType: 'chat.posted' }), {
      wanted: [chat({})],
      unwanted: ['chat.posted.x', 'Chat.posted', 'chat', ' chat.posted'].map((type) => ev(type, {})),
    });
  });

  it('client-api 71: a string is compared whole and by case', async (t) => {
    await check(await subscribedTo(t, { room: 'blue' }), {
      wanted: [chat({ room: 'blue' })],
      unwanted: [{ room: 'Blue' }, { room: 'blue ' }, { room: null }, {}, { room: ['blue'] },
        { room: { x: 'blue' } }].map(chat),
    });
  });

  it('client-api 72: all fields of a constraint must be equal', async (t) => {
    await check(await subscribedTo(t, { room: 'blue', author: 'ada' }), {
      wanted: [chat({ room: 'blue', author: 'ada' })],
      unwanted: [{ room: 'blue', author: 'bob' }, { room: 'red', author: 'ada' }, { room: 'blue' },
        { author: 'ada' }].map(chat),
    });
  });

  it('client-api 73: one of several constraints is enough, and both are not twice', async (t) => {
    await check(await subscribedTo(t, { room: 'blue' }, { author: 'ada' }), {
      wanted: [{ room: 'blue', author: 'bob' }, { room: 'red', author: 'ada' },
        { room: 'blue', author: 'ada' }].map(chat),
      unwanted: [chat({ room: 'red', author: 'bob' })],
    });
  });

  it('client-api 74: numbers are compared by value, and only with numbers', async (t) => {
    await checkWritten(await subscribedTo(t, { size: 30 }),
      ['{"size":30}', '{"size":30.0}', '{"size":3e1}', '{"size":300E-1}'],
      ['{"size":"30"}', '{"size":31}', '{"size":true}', '{"size":30.000001}', '{"size":-30}']);
  });

  it('client-api 75: booleans equal only themselves', async (t) => {
    await check(await subscribedTo(t, { urgent: true }), {
      wanted: [chat({ urgent: true })],
      unwanted: ['true', 1, false].map((urgent) => chat({ urgent })),
    });
    await check(await subscribedTo(t, { urgent: false }), {
      wanted: [chat({ urgent: false })],
      unwanted: [{}, { urgent: 'false' }, { urgent: 0 }, { urgent: null }, { urgent: true }].map(chat),
    });
  });

  for (const constraint of [{ room: null }, {}]) {
    it(`client-api 76: ${JSON.stringify(constraint)} constrains nothing`, async (t) => {
      await check(await subscribedTo(t, constraint), {
        wanted: [{}, { room: 'blue' }, 'text', null].map(chat),
        unwanted: [ev('chat.other', {})],
      });
    });
  }

  it('client-api 77: a field that the configuration does not know is not looked at', async (t) => {
    await check(await subscribedTo(t, { rooom: 'blue' }), {
      wanted: [{}, { room: 'red' }, { rooom: 'red' }].map(chat),
    });
  });

  it('client-api 78: beside an unknown field the known one counts', async (t) => {
    await check(await subscribedTo(t, { rooom: 'x', room: 'blue' }), {
      wanted: [chat({ room: 'blue' })],
      unwanted: [{}, { room: 'red' }, { rooom: 'x' }].map(chat),
    });
  });

  for (const room of [['blue'], { x: 1 }]) {
    it(`client-api 79: ${JSON.stringify(room)} in a constraint never matches`, async (t) => {
      await check(await subscribedTo(t, { room }), {
        unwanted: [{ room }, { room: 'blue' }, {}].map(chat),
      });
    });
  }

  it('client-api 80: a field may stand outside of the data', async (t) => {
    await check(await open(t, { eventType: 'top.level', oneOf: [{ subj: 's1' }] }), {
      wanted: [ev('top.level', {}, { subject: 's1' })],
      unwanted: [ev('top.level', {}, { subject: 's2' }), ev('top.level', { subject: 's1' })],
    });
  });

  it('client-api 81: data of another shape has no value and does no harm', async (t) => {
    await check(await subscribedTo(t, { room: 'blue' }), {
      wanted: [chat({ room: 'blue' })],
      unwanted: ['hello', null, ['blue'], 5, true].map(chat),
    });
  });

  for (const contenttype of ['application/json', 'text/plain']) {
    it(`client-api 82: data that is an object is searched although it is said to be ${contenttype}`,
      async (t) => {
        await check(await subscribedTo(t, { room: 'blue' }), {
          wanted: [ev('chat.posted', { room: 'blue' }, { contenttype })],
          unwanted: [ev('chat.posted', { room: 'red' }, { contenttype })],
        });
      });
  }

  it('client-api 82: data that is JSON in a string is searched where the type says so', async (t) => {
    const inString = (room, type) =>
      ev('chat.posted', JSON.stringify({ room }), type ? { contenttype: type } : {});
    await check(await subscribedTo(t, { room: 'blue' }), {
      wanted: [inString('blue', 'application/json')],
      unwanted: [inString('red', 'application/json'), inString('blue', 'text/plain')],
    });
  });

  it('client-api 83: two connections get the event, each once', async (t) => {
    const one = { eventType: 'chat.posted', oneOf: [{ room: 'blue' }] };
    const streams = [
      await open(t, { eventType: 'chat.posted' }),
      await open(t, one, { eventType: 'chat.posted', oneOf: [{ author: 'ada' }] }, one,
        { eventType: 'chat.posted' }),
    ];
    const event = await publish(suite.gateway, chat({ room: 'blue', author: 'ada' }));
    for (const stream of streams) assert.deepEqual(await receivedUntilLast(stream), [event]);
  });

  it('client-api 84: a thousand events reach who wants them, in order', async (t) => {
    const rooms = ['blue', 'red'];
    const streams = await Promise.all(rooms.map((room) => subscribedTo(t, { room })));
    const sockets = await Promise.all(rooms.map((room) => WsClient.open(suite.gateway,
      { subscriptions: [{ eventType: 'chat.posted', oneOf: [{ room }] }, LAST] })));
    t.after(() => sockets.forEach((socket) => socket.close()));
    const wanted = { blue: [], red: [] };
    for (let i = 0; i < 1000; i++) {
      const room = rooms[i % 2];
      wanted[room].push((await publish(suite.gateway, chat({ room, i }))).id);
    }
    for (const clients of [streams, sockets]) {
      for (const [i, client] of clients.entries()) {
        assert.deepEqual((await receivedUntilLast(client)).map(idOf), wanted[rooms[i]]);
      }
    }
  });
});
