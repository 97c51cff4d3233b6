// An identity provider's key set, at a URL.
import { HttpService } from './http-service.mjs';
import { keySet } from './jwt.mjs';

export class JwksServer extends HttpService {
  /** One that publishes these keys, for one test. */
  static async start(t, ...keys) {
    const server = new JwksServer();
    server.publishes(...keys);
    await server.listen();
    t.after(() => server.close());
    return server;
  }

  get address() {
    return this.url('/.well-known/jwks.json');
  }

  /** The keys from now on: SigningKeys, or members of a key set as they are. */
  publishes(...keys) {
    this.says(keySet(...keys));
  }

  says(body, status = 200) {
    this.answer = (request, response) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  }

  /** Never answers. */
  stalls() {
    this.answer = () => {};
  }

  /** Sends a set without end. */
  floods() {
    this.answer = (request, response) => {
      const blanks = ' '.repeat(1 << 16);
      const more = () => {
        while (!response.destroyed && response.write(blanks));
      };
      response.on('drain', more);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"keys":[');
      more();
    };
  }
}
