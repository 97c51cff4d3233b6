// The two users of the page that `rgate dev` shows, in a browser.
//
// - Who logs in gets their own private events, over a stream that was opened with a ticket, and
//   never those of the other.
// - A kicked session ends at once, and with it only that one; so does one whose token runs out,
//   after a warning and unless it is renewed.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Gateway } from '../support/gateway.mjs';
import { browserUnavailable, launchBrowser } from '../support/browser.mjs';
import { until } from '../support/wait.mjs';

const USERS = ['ada', 'bob'];

describe('the users of the page of rgate dev', { skip: browserUnavailable }, () => {
  let browser;
  let gateway;
  let page;
  const at = (id) => page.getByTestId(id);
  const other = (user) => USERS.find((name) => name !== user);
  const state = (user, wanted) =>
    until(async () => await at(`user-state-${user}`).textContent() === wanted,
      `${user} is ${wanted}`, 8000);
  const logIn = async (user, seconds = '3600') => {
    await at(`lifetime-${user}`).selectOption(seconds);
    await at(`login-${user}`).click();
    await state(user, 'connected');
  };
  const logOut = async (user) => {
    await at(`login-${user}`).click();
    await state(user, 'logged out');
  };
  const send = async (user, text) => {
    await at(`private-text-${user}`).fill(text);
    await at(`private-send-${user}`).click();
  };
  const list = (user) => at(`private-${user}`);

  before(async () => {
    gateway = await Gateway.start({ command: 'dev', args: ['--no-demo'] });
    // A new group begins at the end: what is sent before it has joined reaches nobody.
    await until(async () => (await gateway.internal('/ready')).status === 200, 'Kafka is read', 20000);
    browser = await launchBrowser();
    page = await browser.newPage();
    page.setDefaultTimeout(8000);
    await page.goto(gateway.url('/'));
  });
  after(async () => {
    await browser?.close();
    await gateway?.stop();
  });

  it('dev-users: a private event reaches its user and nobody else', async () => {
    for (const user of USERS) await logIn(user);
    for (const user of USERS) {
      await send(user, `for ${user} only`);
      await list(user).getByText(`for ${user} only`).waitFor();
    }
    // Each has got one behind the other's, so what was not for them would be there by now.
    for (const user of USERS) {
      await send(user, `again for ${user}`);
      await list(user).getByText(`again for ${user}`).waitFor();
      assert.doesNotMatch(await list(user).textContent(), new RegExp(`for ${other(user)}`));
    }
    for (const user of USERS) await logOut(user);
  });

  for (const user of USERS) {
    it(`dev-users: kicking ${user} ends that session alone`, async () => {
      for (const name of USERS) await logIn(name);
      await at(`kick-${user}`).click();
      await state(user, 'kicked');
      await send(other(user), `${user} is gone`);
      await list(other(user)).getByText(`${user} is gone`).waitFor();
      await logOut(other(user));
    });

    it(`dev-users: the stream of ${user} ends with the token, after a warning`, async () => {
      await logIn(user, '20');
      await until(async () => /renew it/.test(await at(`user-note-${user}`).textContent()),
        'the end is announced', 20000);
      await state(user, 'connected');
      await until(async () => await at(`user-state-${user}`).textContent() === 'expired',
        'the stream ends', 20000);
    });

    it(`dev-users: renewing the token of ${user} prolongs the stream`, async () => {
      await logIn(user, '20');
      await until(async () => /renew it/.test(await at(`user-note-${user}`).textContent()),
        'the end is announced', 20000);
      await at(`lifetime-${user}`).selectOption('3600');
      await at(`renew-${user}`).click();
      await until(async () => /in 3[56]\d\d s/.test(await at(`expires-${user}`).textContent()),
        'the token ends much later');
      await send(user, 'still here');
      await list(user).getByText('still here').waitFor();
      await logOut(user);
    });
  }
});
