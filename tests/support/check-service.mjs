// The service behind SUBSCRIPTION_CHECK and SUBMISSION_CHECK.
import { after, before } from 'node:test';
import { HttpService } from './http-service.mjs';

const PATH = '/Check/Here';

export class CheckService extends HttpService {
  #held = [];

  /** One that allows everything. */
  constructor() {
    super();
    this.says(200);
  }

  get address() {
    return this.url(PATH);
  }

  /** Answers with this status from now on. */
  says(status, headers = {}) {
    this.answer = (request, response) => response.writeHead(status, headers).end();
  }

  /** Answers with (request) => status from now on. */
  decides(decide) {
    this.answer = (request, response) => response.writeHead(decide(request)).end();
  }

  /** Keeps everybody waiting until release(). */
  holds() {
    this.answer = (request, response) => this.#held.push(response);
  }

  /** Answers those who wait. */
  release(status = 200) {
    for (const response of this.#held.splice(0)) response.writeHead(status).end();
  }
}

/** A service for one test. */
export async function testCheckService(t) {
  const service = await new CheckService().listen();
  t.after(() => service.close());
  return service;
}

/** A service that the tests of the enclosing suite share; it has its port once they run. */
export function suiteCheckService() {
  const service = new CheckService();
  before(() => service.listen());
  after(() => service.close());
  return service;
}
