// phoenix.js in Chromium, from a page of another origin, over WebSocket and over long-polling.
//
// - Two pages see each other, receive messages, and are told when they are sent away.
// - Both are back by themselves after the gateway has started again.
// - Where WebSockets do not get through, the page goes on over long-polling.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Gateway, suiteGateway } from '../support/gateway.mjs';
import { browserUnavailable, launchBrowser } from '../support/browser.mjs';
import { BrowserUser, suitePages } from '../support/browser-phoenix.mjs';
import { admin, cast, refusal, tell } from '../support/channels.mjs';
import { FIXTURE } from '../support/events.mjs';
import { VERSIONS } from '../support/phoenix.mjs';
import { freePorts } from '../support/ports.mjs';
import { testProxy } from '../support/tcp-proxy.mjs';
import { until } from '../support/wait.mjs';

describe('phoenix.js in a browser', { skip: browserUnavailable }, () => {
  let browser;
  const pages = suitePages();
  const suite = suiteGateway({ env: FIXTURE });
  before(async () => { browser = await launchBrowser(); });
  after(() => browser?.close());

  async function newPage(t, version) {
    const context = await browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(8000);
    await page.goto(pages.url(version));
    return page;
  }

  const untilPresent = (user, wanted) => until(async () => {
    const present = await user.references();
    const counts = Object.fromEntries(
      Object.entries(present).map(([name, refs]) => [name, refs.length]));
    assert.deepEqual(counts, wanted);
    return present;
  }, `${JSON.stringify(wanted)} are present`, 8000);

  for (const version of Object.keys(VERSIONS)) {
    for (const longPoll of [false, true]) {
      const over = longPoll ? 'long-polling' : 'WebSocket';

      it(`phoenix ${version} in a browser: two pages over ${over}`, async (t) => {
        const { gateway } = suite;
        const { A, A2, ada, bob, claims } = cast();
        const topic = `user:${ada}`;
        const url = gateway.url('/socket', 'ws');
        const [one, two] = await Promise.all([newPage(t, version), newPage(t, version)]);
        const first = await BrowserUser.join(one, url, A, topic, { longPoll });
        await first.happened('joined');
        await untilPresent(first, { [ada]: 1 });
        const second = await BrowserUser.join(two, url, A2, topic, { longPoll });
        await second.happened('joined');
        await untilPresent(first, { [ada]: 2 });
        const present = await untilPresent(second, { [ada]: 2 });
        assert.deepEqual(present, await first.references());

        const sent = { username: ada, text: 'h\u00e9 \u{1f600} </script>' };
        await tell(gateway, ada, sent);
        for (const user of [first, second]) assert.deepEqual(await user.happened('message'), sent);

        const stranger = await BrowserUser.join(two, url, A, `user:${bob}`, { longPoll });
        assert.equal(await stranger.happened('refused'), refusal(ada, `user:${bob}`).response);
        await stranger.leave();

        // The second is sent away, and stays away; the first stays.
        const { status } = await gateway.request({ method: 'DELETE',
          path: `/rg/connections/${claims.A2.jti}`,
          headers: { authorization: admin('deleteConnection') } });
        assert.equal(status, 204);
        // The old package stops without a word where polling is refused.
        if (version !== '1.3' || !longPoll) await second.happened('failed');
        await untilPresent(first, { [ada]: 1 });
        assert.deepEqual(await first.of('failed'), []);
        await tell(gateway, ada, sent);
        await first.happened('message', { nth: 2 });
        assert.equal((await second.of('message')).length, 1);

        await first.leave();
        await first.happened('closed');
      });
    }

    it(`phoenix ${version} in a browser: it is back after the gateway starts again`, async (t) => {
      const [port, internalPort] = await freePorts(2);
      const env = { ...FIXTURE, INBOUND_PORT: String(port), API_HTTP_PORT: String(internalPort) };
      let gateway = await Gateway.start({ env });
      t.after(() => gateway.stop());
      const { A, A2, ada } = cast();
      const topic = `user:${ada}`;
      const page = await newPage(t, version);
      const users = [];
      for (const [jwt, longPoll] of [[A, false], [A2, true]]) {
        const user = await BrowserUser.join(page, gateway.url('/socket', 'ws'), jwt, topic,
          { longPoll });
        await user.happened('joined');
        users.push(user);
      }
      await gateway.stop();
      for (const user of users) await user.happened('failed');
      gateway = await Gateway.start({ env });
      for (const user of users) await user.happened('joined', { nth: 2, ms: 15_000 });
      for (const user of users) await untilPresent(user, { [ada]: 2 });
      assert.deepEqual(await users[0].references(), await users[1].references());
      await tell(gateway, ada, { username: ada });
      for (const user of users) await user.happened('message');
    });
  }

  it('phoenix 1.8 in a browser: it polls where WebSockets do not get through', async (t) => {
    const { A, ada } = cast();
    const proxy = await testProxy(t, suite.gateway.port);
    proxy.webSockets = 'swallow';
    const page = await newPage(t, '1.8');
    const user = await BrowserUser.join(
      page, proxy.url('/socket'), A, `user:${ada}`, { longPollFallbackMs: 300 });
    await user.happened('joined');
    assert.equal(await user.transport(), 'longpoll');
    await tell(suite.gateway, ada, { username: ada, n: 1 });
    assert.deepEqual(await user.happened('message'), { username: ada, n: 1 });
  });

  it('phoenix 1.8 in a browser: a page that is closed is no longer present', async (t) => {
    const { A, A2, ada } = cast();
    const url = suite.gateway.url('/socket', 'ws');
    const [one, two] = [await newPage(t, '1.8'), await newPage(t, '1.8')];
    const first = await BrowserUser.join(one, url, A, `user:${ada}`);
    await first.happened('joined');
    await BrowserUser.join(two, url, A2, `user:${ada}`);
    await untilPresent(first, { [ada]: 2 });
    await two.close();
    await untilPresent(first, { [ada]: 1 });
  });
});
