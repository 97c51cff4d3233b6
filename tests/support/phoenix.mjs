// The clients that people use: the package phoenix, of today and of 2017, in Node.
import { load } from './packages.mjs';
import { within } from './wait.mjs';

/** One that gives up a peer that does not answer its close; else that would take half a minute. */
class WebSocket extends load('ws') {
  constructor(url, protocols) {
    super(url, protocols, { closeTimeout: 500 });
  }
}

/** The versions, and the names that load() knows them by. */
export const VERSIONS = { 1.8: 'phoenix', 1.3: 'phoenix-1.3' };

/** What happens, in the order in which it happens: [name, what came with it]. */
class Log {
  entries = [];
  #waiting = new Set();

  note(name, what) {
    this.entries.push([name, what]);
    for (const wake of this.#waiting) wake();
  }

  /** All of a name so far. */
  of(name) {
    return this.entries.filter(([one]) => one === name).map(([, what]) => what);
  }

  /** What came with the nth (the first is 1) of a name for which isIt is true, once it happens. */
  async happened(name, { nth = 1, isIt = () => true, ms } = {}) {
    const look = () => this.of(name).filter(isIt)[nth - 1];
    let wake;
    const seen = new Promise((resolve) => {
      wake = () => { if (this.of(name).filter(isIt).length >= nth) resolve(); };
      this.#waiting.add(wake);
      wake();
    });
    try {
      await within(seen, `${name} happens`, ms);
    } catch (error) {
      error.message += `; what happened: ${JSON.stringify(this.entries)}`;
      throw error;
    } finally {
      this.#waiting.delete(wake);
    }
    return look();
  }
}

/** Presence as an application keeps it: 1.8 has a class for it, 1.3 functions. */
function followPresence({ Presence }, channel) {
  if (typeof Presence === 'function') {
    const presence = new Presence(channel);
    return { references: () => referencesOf(presence.state), list: (by) => presence.list(by) };
  }
  let state = {};
  channel.on('presence_state', (all) => { state = Presence.syncState(state, all); });
  channel.on('presence_diff', (diff) => { state = Presence.syncDiff(state, diff); });
  return { references: () => referencesOf(state), list: (by) => Presence.list(state, by) };
}

/** { user: [references of presences], ... } */
function referencesOf(state) {
  return Object.fromEntries(Object.entries(state).map(
    ([user, { metas }]) => [user, metas.map(({ phx_ref: ref }) => ref).sort()]));
}

/** A socket of the package, with a log of what it tells: open, close, error. */
export class PhoenixUser {
  phoenix;                        // what the package exports
  socket;
  log = new Log();
  #channels = [];

  constructor(gateway, { version = '1.8', token: jwt, url = gateway.url('/socket', 'ws'),
    longPoll = false, ...options } = {}) {
    this.phoenix = load(VERSIONS[version]);
    this.socket = new this.phoenix.Socket(url, {
      transport: longPoll ? this.phoenix.LongPoll : WebSocket,
      ...(jwt !== undefined && { params: { token: jwt } }),
      timeout: 4000,
      ...options,
    });
    this.socket.onOpen(() => this.log.note('open'));
    this.socket.onClose((event) => this.log.note('close', { code: event?.code, reason: event?.reason }));
    this.socket.onError((error) => this.log.note('error', String(error?.message ?? error)));
  }

  async connect() {
    this.socket.connect();
    await this.log.happened('open');
    return this;
  }

  /**
   * Joins. Returns { channel, log, presence }; the log has joined, refused, closed, failed,
   * timeout, and message with what was received.
   */
  startJoin(topic, params = {}) {
    const channel = this.socket.channel(topic, params);
    this.#channels.push(channel);
    const log = new Log();
    const presence = followPresence(this.phoenix, channel);
    channel.onError((why) => log.note('failed', why));
    channel.onClose(() => log.note('closed'));
    channel.on('message', (payload) => log.note('message', payload));
    channel.on('presence_state', (payload) => log.note('presence_state', payload));
    channel.on('presence_diff', (payload) => log.note('presence_diff', payload));
    channel.join()
      .receive('ok', (response) => log.note('joined', response))
      .receive('error', (response) => log.note('refused', response))
      .receive('timeout', () => log.note('timeout'));
    return { channel, log, presence };
  }

  /** The same, once it is allowed. */
  async join(topic, params) {
    const joined = this.startJoin(topic, params);
    await joined.log.happened('joined');
    return joined;
  }

  /** Ends everything, timers included: an old package leaves some running. */
  close() {
    this.socket.disconnect();
    clearInterval(this.socket.heartbeatTimer);
    this.socket.reconnectTimer.reset();
    for (const channel of this.#channels) {
      channel.rejoinTimer.reset();
      channel.joinPush.cancelTimeout();
    }
  }
}

/** A push's outcome: 'ok', 'error' or 'timeout', with the response. */
export function outcome(push) {
  return new Promise((resolve) => {
    for (const status of ['ok', 'error', 'timeout']) {
      push.receive(status, (response) => resolve({ status, response }));
    }
  });
}

/** A user for one test, connected. */
export async function openPhoenix(t, gateway, options) {
  const user = new PhoenixUser(gateway, options);
  t.after(() => user.close());
  return user.connect();
}
