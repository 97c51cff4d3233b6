// Tokens in a browser, where neither EventSource nor WebSocket can send a header.
//
// - A token in the query, a one-time ticket and a cookie each say who the page's user is, over
//   plain HTTP and over TLS, where the browser speaks HTTP/2.
// - What is meant for one user is never seen by the page of another.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { V1, suiteGateway, testGateway } from '../support/gateway.mjs';
import { httpsVariables, suiteCertificate } from '../support/certificates.mjs';
import { browserUnavailable, launchBrowser } from '../support/browser.mjs';
import { FIXTURE, LAST, ev, publish } from '../support/events.mjs';
import { token } from '../support/jwt.mjs';
import { until } from '../support/wait.mjs';

const COOKIE = 'session';

/** Each way in which a page says who its user is: the query of its connection. */
const WAYS = {
  query: (page, jwt) => ({ jwt }),
  ticket: async (page, jwt) => ({ ticket: await page.evaluate(async ([path, bearer]) => {
    const response = await fetch(
      path, { method: 'POST', headers: { authorization: `Bearer ${bearer}` } });
    return (await response.json()).ticket;
  }, [`${V1}/tickets`, jwt]) }),
  cookie: async (page, jwt) => {
    const { origin } = new URL(page.url());
    await page.context().addCookies([{ name: COOKIE, value: jwt, url: origin, httpOnly: true }]);
    return {};
  },
};

/** Connects inside of the page, which collects every event in window.events. */
function listen(page, transport, parameters) {
  return page.evaluate(([kind, base, given, types]) => {
    window.events = [];
    const search = new URLSearchParams(given);
    if (kind === 'sse') {
      const source = new EventSource(`${base}/sse?${search}`, { withCredentials: true });
      for (const type of types) {
        source.addEventListener(type, ({ data }) => window.events.push(JSON.parse(data)));
      }
      source.addEventListener('error', () => window.events.push({ type: 'error' }));
    } else {
      const socket = new WebSocket(
        `${location.origin.replace(/^http/, 'ws')}${base}/ws?${search}`);
      socket.addEventListener('message', ({ data }) => window.events.push(JSON.parse(data)));
      socket.addEventListener('close', () => window.events.push({ type: 'close' }));
    }
  }, [transport, `${V1}/connection`, { subscriptions: JSON.stringify([LAST]), ...parameters },
    ['rig.connection.create', 'rig.subscriptions_set', 'chat.posted', LAST.eventType]]);
}

const eventsOf = (page) => page.evaluate(() => window.events);

/** The event of a type, as soon as the page has it. */
const untilSeen = (page, what, isIt) => until(
  async () => (await eventsOf(page)).find(isIt), `the page has ${what}`, 8000);

describe('a browser', { skip: browserUnavailable }, () => {
  let browser;
  const pages = {};
  const certificate = suiteCertificate();
  const suite = suiteGateway(() => ({ env: {
    ...FIXTURE, ...httpsVariables(certificate.made), JWT_COOKIE: COOKIE } }));

  before(async () => { browser = await launchBrowser({ ignoreCertificateErrors: true }); });
  after(() => browser?.close());

  /** A page with cookies of its own, and the protocol of each answer it gets: path to protocol. */
  async function newPage() {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    page.setDefaultTimeout(8000);
    const protocols = new Map();
    const devtools = await context.newCDPSession(page);
    await devtools.send('Network.enable');
    devtools.on('Network.responseReceived', ({ response }) =>
      protocols.set(new URL(response.url).pathname, response.protocol));
    return { context, page, protocols };
  }

  /** The page of a user, as good as new: a new one would cost each test a second. */
  async function openPage(user, through) {
    pages[user] ??= await newPage();
    const { context, page, protocols } = pages[user];
    await context.clearCookies();
    protocols.clear();
    await page.goto(through.url('/'));
    return { page, protocols };
  }

  for (const scheme of ['http', 'https']) {
    const through = () => (scheme === 'https' ? suite.gateway.overTls() : suite.gateway);

    for (const transport of ['sse', 'ws']) {
      for (const way of Object.keys(WAYS)) {
        it(`browser: two users over ${transport} by ${way} and ${scheme}`, async () => {
          for (const user of ['ada', 'bob']) {
            const { page, protocols } = await openPage(user, through());
            const parameters = await WAYS[way](page, token({ username: user }));
            await listen(page, transport, parameters);
            const set = await untilSeen(
              page, 'its subscriptions', ({ type }) => type === 'rig.subscriptions_set');
            assert.deepEqual(set.data[0], { eventType: 'chat.posted', oneOf: [{ author: user }] });
            if (scheme === 'https' && transport === 'sse') {
              assert.equal(protocols.get(`${V1}/connection/sse`), 'h2');
            }
          }
          const sent = {};
          for (const user of ['ada', 'bob']) {
            sent[user] = await publish(suite.gateway, ev('chat.posted', { author: user, secret: user }));
          }
          const last = await publish(suite.gateway, ev(LAST.eventType, null));
          for (const user of ['ada', 'bob']) {
            const { page } = pages[user];
            await untilSeen(page, 'the last event', ({ id }) => id === last.id);
            const seen = (await eventsOf(page)).filter(({ type }) => !type.startsWith('rig.'));
            assert.deepEqual(seen, [sent[user], last]);
          }
        });
      }

      it(`browser: a wrong token gets nothing over ${transport} and ${scheme}`, async () => {
        const { page } = await openPage('ada', through());
        await listen(page, transport, { jwt: token({ username: 'ada' }, { key: 'wrong' }) });
        await untilSeen(page, 'an error', ({ type }) => type === 'error' || type === 'close');
        assert.equal((await eventsOf(page)).length, 1);
      });
    }
  }

  it('browser: over TLS everything is HTTP/2', async () => {
    const { page } = await openPage('ada', suite.gateway.overTls());
    const { protocols, health } = await page.evaluate(async () => {
      const text = await (await fetch('/_rig/health')).text();
      return {
        health: text,
        protocols: [...performance.getEntriesByType('navigation'),
          ...performance.getEntriesByType('resource')].map((entry) => entry.nextHopProtocol),
      };
    });
    assert.equal(health, 'OK');
    assert.ok(protocols.length >= 2, protocols.join());
    assert.deepEqual([...new Set(protocols)], ['h2']);
  });

  it('browser: a ticket of one page is worth nothing to another', async () => {
    const [{ page }, { page: other }] = [
      await openPage('ada', suite.gateway), await openPage('bob', suite.gateway)];
    const parameters = await WAYS.ticket(page, token({ username: 'ada' }));
    await listen(page, 'sse', parameters);
    await untilSeen(page, 'its subscriptions', ({ type }) => type === 'rig.subscriptions_set');
    await listen(other, 'sse', parameters);
    await untilSeen(other, 'an error', ({ type }) => type === 'error');
    assert.equal((await eventsOf(other)).length, 1);
  });
});

describe('the page of rgate dev over TLS', { skip: browserUnavailable }, () => {
  it('browser: data moves in it over HTTP/2, for each transport', async (t) => {
    const gateway = await testGateway(t, { command: 'dev' });
    const browser = await launchBrowser({ ignoreCertificateErrors: true });
    t.after(() => browser.close());
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    page.setDefaultTimeout(8000);
    await page.goto(gateway.overTls().url('/'));
    for (const transport of ['sse', 'ws', 'lp']) {
      const events = page.getByTestId(`panel-${transport}`).locator('.event');
      await events.first().waitFor();
      const shown = (await events.allTextContents()).join('\n');
      await until(async () => (await events.allTextContents()).join('\n') !== shown,
        `events move in the panel of ${transport}`, 8000);
    }
    const protocols = await page.evaluate(() => performance.getEntriesByType('navigation')
      .map((entry) => entry.nextHopProtocol));
    assert.deepEqual(protocols, ['h2']);
  });
});
