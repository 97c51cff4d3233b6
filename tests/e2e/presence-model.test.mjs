// Presence against a model, over real sockets of all transports.
//
// - Whatever comes and goes, in whatever way and order, who comes new is told exactly who is there,
//   and whoever watches all the time knows the same from the diffs alone.
// - When all have gone nothing is left.
//
// The steps are random; a failure tells the seed, and RGATE_TEST_SEED repeats it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { suiteGateway } from '../support/gateway.mjs';
import { LongPollSocket, OK, SseSocket, WsSocket, ban } from '../support/channels.mjs';
import { FIXTURE } from '../support/events.mjs';
import { token } from '../support/jwt.mjs';
import { load } from '../support/packages.mjs';
import { Random } from '../support/random.mjs';
import { until } from '../support/wait.mjs';

const { Presence } = load('phoenix');
const STEPS = 150;
const SECONDS = 40;
const USERS = ['ada', 'bob', 'eve'];
const ROLES = { ada: ['gold', 'blue'], bob: ['gold'], eve: [] };
const ENV = { ...FIXTURE, REACTORS: '3', CHANNEL_LONGPOLL_IDLE_TIMEOUT: '1000',
  CHANNEL_LONGPOLL_TIMEOUT: '500', PRESENCE_INTERVAL: '30' };

/** The sessions present for each user of a topic: { ada: [jti, ...] }, sorted. */
function sessionsOf(state) {
  return Object.fromEntries(Object.entries(state)
    .map(([name, { metas }]) => [name, metas.map(({ jti }) => jti).sort()])
    .filter(([, sessions]) => sessions.length > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Follows topics for as long as the test runs, from diffs alone where there is no state. */
class Watcher {
  #socket;
  #states = new Map();
  problems = [];

  static async open(gateway, jwt, topics) {
    const watcher = new Watcher();
    watcher.#socket = await WsSocket.open(gateway, { token: jwt });
    for (const topic of topics) {
      watcher.#states.set(topic, {});
      assert.deepEqual(await watcher.#socket.join(topic), OK);
    }
    watcher.#follow();
    return watcher;
  }

  async #follow() {
    try {
      for (;;) {
        const { topic, event, payload } = await this.#socket.mail.find(
          (one) => one.event.startsWith('presence_'), 'news', 120_000);
        const state = this.#states.get(topic);
        if (event === 'presence_state') this.#states.set(topic, Presence.syncState(state, payload));
        if (event === 'presence_diff') {
          this.#check(topic, payload);
          this.#states.set(topic, Presence.syncDiff(state, payload));
        }
      }
    } catch { /* closed */ }
  }

  /** What leaves was there, what joins was not. */
  #check(topic, { joins, leaves }) {
    const there = (diff, name) => {
      const known = new Set((this.#states.get(topic)[name]?.metas ?? []).map((meta) => meta.phx_ref));
      return diff[name].metas.map((meta) => known.has(meta.phx_ref));
    };
    for (const name of Object.keys(joins)) {
      if (there(joins, name).includes(true)) this.problems.push(`${topic}: ${name} joins twice`);
    }
    for (const name of Object.keys(leaves)) {
      if (there(leaves, name).includes(false)) this.problems.push(`${topic}: ${name} was not there`);
    }
  }

  sessions(topic) {
    return sessionsOf(this.#states.get(topic));
  }

  heartbeat() {
    return this.#socket.heartbeat();
  }

  close() {
    this.#socket.close();
  }
}

/** One user's socket; joined has the topics that it has joined. */
class Member {
  user;
  session;
  transport;
  socket;
  joined = new Set();
  isSupport;
}

describe('presence', () => {
  const suite = suiteGateway({ env: ENV });

  it('presence: is what a model says, for newcomers and for old watchers', async (t) => {
    const random = new Random();
    const { gateway } = suite;
    const members = [];
    const trace = [];
    let n = 0;
    const userTopics = USERS.map((name) => `user:${name}`);
    const roleTopics = ['role:gold', 'role:blue'];
    const claims = (user, jti) => ({ username: user, role: ROLES[user], jti });
    const supportClaims = (jti) => ({ username: 'sam', role: ['support'], jti });
    const watchers = {};
    const close = () => {
      for (const one of [...members.map(({ socket }) => socket), ...Object.values(watchers)]) one.close();
    };
    t.after(close);

    // A user watches its own topic, from the state on; support all, from the diffs alone.
    for (const user of USERS) {
      watchers[user] = await Watcher.open(
        gateway, token(claims(user, `watch-${user}`)), [`user:${user}`]);
    }
    watchers.roles = await Watcher.open(gateway, token(supportClaims('watch-roles')), roleTopics);

    /** Who is present in a topic: { user: [jti, ...] }. */
    function model(topic) {
      const present = {};
      const add = (user, jti) => (present[user] ??= []).push(jti);
      const [kind, name] = topic.split(':');
      const own = (user, jti) => {
        if (kind === 'user' ? user === name : ROLES[user].includes(name)) add(user, jti);
      };
      for (const user of USERS) own(user, `watch-${user}`);
      for (const { user, session, joined, isSupport } of members) {
        if (isSupport) {
          if (kind === 'user' && joined.has(topic)) add(user, session);
        } else if (joined.has(`user:${user}`)) {
          own(user, session);
        }
      }
      for (const sessions of Object.values(present)) sessions.sort();
      return Object.fromEntries(Object.entries(present).sort(([a], [b]) => (a < b ? -1 : 1)));
    }

    const steps = {
      async come() {
        const member = new Member();
        member.isSupport = random.below(5) === 0;
        member.user = member.isSupport ? 'sam' : random.pick(USERS);
        // Now and then a session has several sockets.
        const twin = random.below(4) === 0
          ? members.find(({ user }) => user === member.user) : undefined;
        member.session = twin?.session ?? `s${++n}`;
        member.transport = random.weighted({ ws: 4, longpoll: 3, sse: 2 });
        const jwt = token(member.isSupport ? supportClaims(member.session)
          : claims(member.user, member.session));
        if (member.transport === 'ws') member.socket = await WsSocket.open(gateway, { token: jwt });
        else if (member.transport === 'longpoll') {
          member.socket = (await LongPollSocket.open(gateway, { token: jwt })).start();
        } else {
          const topic = member.isSupport ? random.pick(userTopics) : `user:${member.user}`;
          member.socket = await SseSocket.open(gateway, `users[]=${topic.slice(5)}&token=${jwt}`);
          member.joined.add(topic);
        }
        members.push(member);
        return `${member.user} comes over ${member.transport} as ${member.session}`;
      },
      async join() {
        const member = random.pick(members.filter(({ transport }) => transport !== 'sse'));
        if (!member) return null;
        const topic = member.isSupport ? random.pick(userTopics) : `user:${member.user}`;
        assert.deepEqual(await member.socket.join(topic), OK);
        member.joined.add(topic);
        return `${member.session} joins ${topic}`;
      },
      async leave() {
        const member = random.pick(
          members.filter(({ transport, joined }) => transport !== 'sse' && joined.size > 0));
        if (!member) return null;
        const topic = random.pick([...member.joined]);
        assert.deepEqual(await member.socket.leave(topic), OK);
        member.joined.delete(topic);
        return `${member.session} leaves ${topic}`;
      },
      async end() {
        const member = random.pick(members);
        if (!member) return null;
        members.splice(members.indexOf(member), 1);
        member.socket.close();
        return `${member.session} ends over ${member.transport}`;
      },
      async endInOrder() {
        const member = random.pick(members.filter(({ transport }) => transport === 'ws'));
        if (!member) return null;
        members.splice(members.indexOf(member), 1);
        member.socket.socket.close(1000);
        return `${member.session} closes`;
      },
      async kill() {
        const member = random.pick(members);
        if (!member) return null;
        await ban(gateway, member.session);
        const killed = members.filter(({ session }) => session === member.session);
        for (const one of killed) {
          members.splice(members.indexOf(one), 1);
          if (one.transport === 'ws') assert.equal((await one.socket.closed()).code, 1000);
          else if (one.transport === 'sse') assert.equal(await one.socket.ended(), 'end');
          else assert.equal(await one.socket.ended(), 403);
        }
        return `${member.session} is banned, with ${killed.length}`;
      },
    };
    const weights = { come: 8, join: 10, leave: 6, end: 3, endInOrder: 1, kill: 2 };

    /** Everybody knows what the model knows. */
    async function agree(topic) {
      const wanted = model(topic);
      await until(async () => {
        const watcher = topic.startsWith('user:') ? watchers[topic.slice(5)] : watchers.roles;
        const seen = watcher.sessions(topic);
        // Support watches roles from before anybody came but the users' watchers, whom it never saw.
        if (topic.startsWith('role:')) {
          for (const user of USERS) {
            if (wanted[user]) wanted[user] = wanted[user].filter((jti) => !jti.startsWith('watch-'));
            if (wanted[user]?.length === 0) delete wanted[user];
          }
        }
        assert.deepEqual(seen, wanted);
        return true;
      }, `those who watch ${topic} know who is there`);
    }

    async function newcomerAgrees(user) {
      const topic = `user:${user}`;
      const wanted = model(topic);
      const socket = await WsSocket.open(gateway, { token: token(claims(user, `new-${user}`)) });
      try {
        const { state } = await socket.joinOwn(topic);
        assert.deepEqual(sessionsOf(state), wanted, `the state of ${topic}`);
      } finally {
        socket.close();
      }
    }

    const began = Date.now();
    try {
      for (let i = 0; i < STEPS && Date.now() - began < SECONDS * 1000; i++) {
        const done = await steps[members.length > 12 ? 'end' : random.weighted(weights)]();
        if (done === null) continue;
        trace.push(done);
        for (const topic of [...userTopics, ...roleTopics]) await agree(topic);
        await newcomerAgrees(random.pick(USERS));
        for (const { problems } of Object.values(watchers)) assert.deepEqual(problems, []);
        await Promise.all([...Object.values(watchers), ...members.map(({ socket }) => socket)]
          .filter((one) => one instanceof Watcher || one instanceof WsSocket)
          .map((one) => one.heartbeat()));
        for (const { socket } of members) {
          if (!(socket instanceof SseSocket)) socket.mail.drain();
        }
      }
      assert.ok(trace.length > 20, 'enough has happened');
    } catch (error) {
      error.message = `RGATE_TEST_SEED=${random.seed}: ${error.message}\nsteps:\n${trace.join('\n')}`;
      throw error;
    }
    for (const { socket } of members.splice(0)) socket.close();
    for (const topic of [...userTopics, ...roleTopics]) await agree(topic);
    close();
    await until(async () => await gateway.metric('rgate_connections') === 0, 'all have gone');
  });
});
