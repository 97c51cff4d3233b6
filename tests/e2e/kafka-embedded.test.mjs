// Events from Kafka, with the broker inside of `rgate dev`.
//
// - What a message must be to become an event, and how it then arrives: kafka-cases.mjs.
// - `rgate dev` needs nothing: its own broker takes messages for its own clients.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { testGateway } from '../support/gateway.mjs';
import { ev } from '../support/events.mjs';
import { describeKafka } from '../support/kafka-cases.mjs';
import { EmbeddedKafka, Producer, untilConsuming } from '../support/kafka.mjs';
import { SseStream } from '../support/sse.mjs';

describeKafka('embedded', () => EmbeddedKafka.start());

describe('rgate dev', () => {
  it('dev: a message to its own broker reaches its own clients', async (t) => {
    const gateway = await testGateway(t, { command: 'dev' });
    const producer = await Producer.open(gateway.kafkaBootstrap);
    t.after(() => producer.close());
    await untilConsuming(gateway, producer, 'rig');
    const stream = await SseStream.open(gateway, { subscriptions: [{ eventType: 'a' }] });
    const event = ev('a', { n: 1 });
    await producer.send('rig', event);
    assert.deepEqual(await stream.next('a'), event);
  });
});
