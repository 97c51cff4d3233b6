// PS, the picture service: takes uploads and shows them again.
//
//   PS_PORT   where it listens (7071)
import { randomUUID } from 'node:crypto';
import { claimsOf, readBody, Refusal, serve } from './service.mjs';

const { PS_PORT = '7071' } = process.env;
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_PICTURES = 50; // kept in memory; the oldest goes
const SHOWN = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'text/plain'];

const pictures = new Map();

/**
 * The gateway makes an upload's file field "qqfile" into three parts: "file", "filename" and "content-type", the
 * latter two as text.
 */
async function readUpload(req) {
  const bytes = await readBody(req, MAX_BYTES);
  const form = await new Response(bytes, { headers: { 'content-type': req.headers['content-type'] ?? '' } })
    .formData().catch(() => { throw new Refusal(400, 'not a form'); });
  const file = form.get('file');
  if (!file || typeof file === 'string') throw new Refusal(400, 'there is no file in it');
  return {
    name: String(form.get('filename') ?? file.name),
    type: String(form.get('content-type') ?? file.type).split(';')[0],
    bytes: Buffer.from(await file.arrayBuffer()),
  };
}

serve('PS', PS_PORT, {
  async 'POST /ps/pictures'({ req, query }) {
    const { username } = claimsOf(req, query);
    const picture = { owner: username, ...await readUpload(req) };
    const id = randomUUID();
    pictures.set(id, picture);
    if (pictures.size > MAX_PICTURES) pictures.delete(pictures.keys().next().value);
    return [201, { id, name: picture.name, type: picture.type, bytes: picture.bytes.length }];
  },

  async 'GET /ps/pictures/{id}'({ req, id, query }) {
    const { username } = claimsOf(req, query);
    const picture = pictures.get(id);
    if (picture?.owner !== username) throw new Refusal(404, 'there is no such picture');
    return [200, picture.bytes, {
      // What others have uploaded never becomes a page.
      'content-type': SHOWN.includes(picture.type) ? picture.type : 'application/octet-stream',
      'content-security-policy': 'sandbox', 'x-content-type-options': 'nosniff',
    }];
  },
});
