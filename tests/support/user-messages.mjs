// Messages to users as services send them: through Kafka.
import { after, before } from 'node:test';
import { WsSocket, cast } from './channels.mjs';
import { Gateway } from './gateway.mjs';
import { EmbeddedKafka, Producer, fresh } from './kafka.mjs';
import { until } from './wait.mjs';

const TOPIC = 'message';

/**
 * A gateway that the tests of the enclosing suite share, and tell(message), which sends an object
 * or a text to the topic that the gateway of 2017 reads: { gateway, tell } once they run.
 */
export function suiteMessages({ env }) {
  const shared = { gateway: null };
  let broker;
  let producer;
  shared.tell = (message) => producer.send(TOPIC, message);

  before(async () => {
    broker = await EmbeddedKafka.start();
    await broker.createTopic(TOPIC);
    producer = await Producer.open(broker.bootstrap);
    shared.gateway = await Gateway.start({ env: { ...env, KAFKA_HOSTS: broker.bootstrap,
      KAFKATOFILTER_KAFKA_GROUP_ID: fresh('group') } });
    await untilConsuming();
  });
  after(async () => {
    await shared.gateway?.stop();
    await producer?.close();
    await broker?.stop();
  });

  /** Sends probes until one has arrived: where a new group begins is not known. */
  async function untilConsuming() {
    const { A, ada } = cast();
    const probe = await WsSocket.open(shared.gateway, { token: A });
    try {
      await probe.joinOwn(`user:${ada}`);
      await until(async () => {
        await shared.tell({ username: ada });
        return probe.mail.items.length > 0;
      }, 'messages arrive from Kafka', 30_000);
    } finally {
      probe.close();
    }
  }
  return shared;
}
