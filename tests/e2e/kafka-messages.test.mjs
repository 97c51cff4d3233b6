// Messages for users and roles from Kafka, with the embedded broker and with Apache Kafka.
//
// - A message reaches every channel of the user, and of the roles, that it names: message-cases.mjs.
// - What is neither a message nor an event is counted, logged with its value, and passed over.
// - Sockets open and join before there is a broker, and get their messages when there is one.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cast, openWs } from '../support/channels.mjs';
import { FIXTURE } from '../support/events.mjs';
import { testGateway } from '../support/gateway.mjs';
import { EmbeddedKafka, Producer, RealKafka, fresh, kafkaUnavailable } from '../support/kafka.mjs';
import { describeMessages } from '../support/message-cases.mjs';
import { freePortRange } from '../support/ports.mjs';
import { until } from '../support/wait.mjs';

const skip = await kafkaUnavailable();

describeMessages('embedded', () => EmbeddedKafka.start());
describeMessages('Apache Kafka', () => RealKafka.start(), { skip });

describe('messages from a broker that comes later', { skip }, () => {
  it('legacy-channels 62: sockets join first, and get messages without a restart', async (t) => {
    const base = await freePortRange(4);
    const { A, ada } = cast();
    const gateway = await testGateway(t, { env: { ...FIXTURE,
      KAFKA_HOSTS: `127.0.0.1:${base}`, KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group'),
      KAFKA_RESTART_DELAY_MS: '2000' } });
    const socket = await openWs(t, gateway, { token: A });
    await socket.joinOwn(`user:${ada}`);

    const broker = await RealKafka.start({ base });
    t.after(() => broker.stop());
    await broker.createTopic('message');
    const producer = await Producer.open(broker.bootstrap);
    t.after(() => producer.close());
    let n = 0;
    await until(async () => {
      await producer.send('message', { username: ada, n: n++ });
      return socket.mail.items.length > 0;
    }, 'a message arrives', 30000);
    const first = (await socket.find(`user:${ada}`, 'message')).payload;
    assert.equal(first.username, ada);
    await producer.send('message', { username: ada, n: 'next' });
    for (let i = first.n + 1; i < n; i++) {
      assert.equal((await socket.find(`user:${ada}`, 'message')).payload.n, i);
    }
    assert.equal((await socket.find(`user:${ada}`, 'message')).payload.n, 'next');
    assert.ok(socket.isOpen);
  });
});
