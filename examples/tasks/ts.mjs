// TS, the task service: every user's tasks. What changes is told to all of the user's devices through Kafka.
//
//   TS_PORT       where it listens (7072)
//   KAFKA_HOSTS   HOST:PORT,... (localhost:9092)
import { randomUUID } from 'node:crypto';
import kafkajs from 'kafkajs';
import { claimsOf, readJson, Refusal, serve } from './service.mjs';

const { TS_PORT = '7072', KAFKA_HOSTS = 'localhost:9092' } = process.env;
const TOPIC = 'message';
const MAX_TASKS = 100; // of one user

const kafka = new kafkajs.Kafka({ brokers: KAFKA_HOSTS.split(','), logLevel: kafkajs.logLevel.ERROR,
  retry: { retries: 20, maxRetryTime: 2000 } });
const producer = kafka.producer({ allowAutoTopicCreation: true });

/** The gateway pushes the whole object to the devices of the user that it names. */
function tell(username, action, task) {
  const value = JSON.stringify({ username, type: 'task', action, task });
  return producer.send({ topic: TOPIC, messages: [{ key: username, value }] });
}

/* ---- tasks, in memory ---- */

const tasksOf = new Map(); // user -> id -> task

function tasks(username) {
  if (!tasksOf.has(username)) tasksOf.set(username, new Map());
  return tasksOf.get(username);
}

function taskOf(username, id) {
  const task = tasks(username).get(id);
  if (!task) throw new Refusal(404, 'there is no such task');
  return task;
}

/** The members that a client may set. */
function read({ text, done = false, picture = null }) {
  if (typeof text !== 'string' || text === '' || text.length > 1000) throw new Refusal(400, 'text is needed');
  if (typeof done !== 'boolean') throw new Refusal(400, 'done is true or false');
  if (picture !== null && (typeof picture !== 'string' || picture.length > 100)) throw new Refusal(400, 'picture is an id');
  return { text, done, picture };
}

const admin = kafka.admin();
await admin.connect();
await admin.createTopics({ waitForLeaders: false, topics: [{ topic: TOPIC }] }).catch(() => {}); // it may be there
await admin.disconnect();
await producer.connect();

serve('TS', TS_PORT, {
  async 'GET /ts/tasks'({ req, query }) {
    return [200, [...tasks(claimsOf(req, query).username).values()]];
  },

  async 'POST /ts/tasks'({ req, query }) {
    const { username } = claimsOf(req, query);
    const mine = tasks(username);
    const task = { id: randomUUID(), ...read(await readJson(req)) };
    if (mine.size >= MAX_TASKS) throw new Refusal(409, 'there are too many tasks');
    mine.set(task.id, task);
    await tell(username, 'created', task);
    return [201, task];
  },

  async 'GET /ts/tasks/{id}'({ req, id, query }) {
    return [200, taskOf(claimsOf(req, query).username, id)];
  },

  async 'PUT /ts/tasks/{id}'({ req, id, query }) {
    const { username } = claimsOf(req, query);
    const task = Object.assign(taskOf(username, id), read(await readJson(req)));
    await tell(username, 'changed', task);
    return [200, task];
  },

  async 'DELETE /ts/tasks/{id}'({ req, id, query }) {
    const { username } = claimsOf(req, query);
    const task = taskOf(username, id);
    tasks(username).delete(id);
    await tell(username, 'deleted', task);
    return [204];
  },
});
