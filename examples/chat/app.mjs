// The page: one socket to the gateway, one channel, presence. Nothing here is special to the gateway:
// it is what phoenix.js does with any server of its kind.
import { Presence, Socket } from './phoenix.mjs';

const $ = (id) => document.getElementById(id);
let token;

async function post(path, body) {
  const answer = await fetch(path, { method: 'POST', body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer.status === 204 ? null : answer.json();
}

function item(text, ...more) {
  const row = document.createElement('li');
  row.append(text, ...more);
  return row;
}

function showDevices(presence) {
  const metas = presence.list((user, entry) => entry.metas).flat();
  $('devices').replaceChildren(...metas.map((meta) => {
    const kick = document.createElement('button');
    kick.textContent = 'end';
    kick.onclick = () => post('/kick', { session: meta.jti });
    return item(`${meta.browser} on ${meta.device} since ${new Date(meta.time).toLocaleTimeString()} `, kick);
  }));
}

function connect(name, gateway) {
  const socket = new Socket(`${gateway.replace(/^http/, 'ws')}/socket`, { params: { token } });
  const channel = socket.channel(`user:${name}`);
  const presence = new Presence(channel);

  presence.onSync(() => showDevices(presence));
  channel.on('message', ({ from, text }) => $('messages').prepend(item(`${from}: ${text}`)));
  // The gateway says why before it ends a session: come back with another token, or not at all.
  channel.onError((why) => {
    if (!why?.reason) return;
    socket.disconnect();
    $('devices').replaceChildren();
    $('state').textContent = `The session is over: ${why.reason}.`;
  });
  socket.connect();
  channel.join()
    .receive('ok', () => { $('state').textContent = `You are ${name}.`; })
    .receive('error', (why) => { $('state').textContent = `Not allowed: ${why}`; });
}

$('login').onsubmit = async (e) => {
  e.preventDefault();
  const name = $('name').value;
  const answer = await post('/login', { username: name });
  token = answer.token;
  connect(name, answer.gateway);
  $('login').hidden = true;
};

$('say').onsubmit = async (e) => {
  e.preventDefault();
  await post('/messages', { to: $('to').value, text: $('text').value });
  $('text').value = '';
};
