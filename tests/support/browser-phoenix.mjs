// phoenix.js inside of a page: its build for browsers, on a page that the test serves.
import { readFile } from 'node:fs/promises';
import { after, before } from 'node:test';
import { HttpService } from './http-service.mjs';
import { load } from './packages.mjs';
import { VERSIONS } from './phoenix.mjs';
import { until } from './wait.mjs';

/** What the page does when told to; runs in the browser. The log has what happened: [name, what]. */
function prepare() {
  const { Phoenix } = window;
  const users = [];
  const referencesOf = (state) => Object.fromEntries(Object.entries(state).map(
    ([user, { metas }]) => [user, metas.map(({ phx_ref: ref }) => ref).sort()]));

  const follow = (channel) => {
    if (typeof Phoenix.Presence === 'function') {
      const presence = new Phoenix.Presence(channel);
      return () => referencesOf(presence.state);
    }
    let state = {};
    channel.on('presence_state', (all) => { state = Phoenix.Presence.syncState(state, all); });
    channel.on('presence_diff', (diff) => { state = Phoenix.Presence.syncDiff(state, diff); });
    return () => referencesOf(state);
  };

  /** Connects and joins; the number of the user is what the others are called with. */
  window.join = (url, token, topic, { longPoll = false, ...options } = {}) => {
    const socket = new Phoenix.Socket(url, {
      params: { token }, reconnectAfterMs: () => 100, rejoinAfterMs: () => 100,
      ...(longPoll && { transport: Phoenix.LongPoll }), ...options });
    const log = [];
    socket.onOpen(() => log.push(['open']));
    socket.onClose((event) => log.push(['close', event && event.code]));
    socket.onError(() => log.push(['error']));
    socket.connect();
    const channel = socket.channel(topic, {});
    const references = follow(channel);
    channel.on('message', (payload) => log.push(['message', payload]));
    channel.onError((why) => log.push(['failed', why]));
    channel.onClose(() => log.push(['closed']));
    channel.join().receive('ok', () => log.push(['joined']))
      .receive('error', (why) => log.push(['refused', why]));
    return users.push({ socket, channel, log, references }) - 1;
  };
  window.logOf = (n) => users[n].log;
  window.presenceOf = (n) => users[n].references();
  window.leave = (n) => { users[n].channel.leave(); };
  window.transportOf = (n) => (users[n].socket.transport === Phoenix.LongPoll ? 'longpoll' : 'ws');
}

/** Serves one page for each version of the package, for the tests of the enclosing suite. */
export function suitePages() {
  const service = new HttpService(async (request, response) => {
    const [, version, file] = request.path.split('/');
    if (!(version in VERSIONS) || (file !== '' && file !== 'phoenix.js')) {
      response.writeHead(404).end();
    } else if (file === '') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(
        `<!doctype html><title>phoenix ${version}</title><script src="phoenix.js"></script>` +
        `<script>(${prepare})()</script>`);
    } else {
      const main = load.resolve(VERSIONS[version]);
      response.writeHead(200, { 'content-type': 'text/javascript' })
        .end(await readFile(main.replace(/[^/]*$/, 'phoenix.js')));
    }
  });
  before(() => service.listen());
  after(() => service.close());
  return { url: (version) => service.url(`/${version}/`) };
}

/** A user inside of a page that suitePages() serves. */
export class BrowserUser {
  page;
  n;

  /** options are the socket's, and longPoll. */
  static async join(page, url, token, topic, options = {}) {
    const user = new BrowserUser();
    user.page = page;
    user.n = await page.evaluate((args) => window.join(...args), [url, token, topic, options]);
    return user;
  }

  log() {
    return this.page.evaluate((n) => window.logOf(n), this.n);
  }

  async of(name) {
    return (await this.log()).filter(([one]) => one === name).map(([, what]) => what);
  }

  /** What came with the nth (the first is 1) of a name, once it happens. */
  async happened(name, { nth = 1, ms = 8000 } = {}) {
    try {
      return await until(async () => {
        const all = await this.of(name);
        return all.length >= nth && { what: all[nth - 1] };
      }, `the page has ${name}`, ms).then(({ what }) => what);
    } catch (error) {
      error.message += `; what happened: ${JSON.stringify(await this.log())}`;
      throw error;
    }
  }

  references() {
    return this.page.evaluate((n) => window.presenceOf(n), this.n);
  }

  leave() {
    return this.page.evaluate((n) => window.leave(n), this.n);
  }

  transport() {
    return this.page.evaluate((n) => window.transportOf(n), this.n);
  }
}
